//! Documents on a map, and how far the map can be trusted.

use moescope_core::{Axis, AxisKind, Measurement, Progress, Protocol};
use rayon::prelude::*;

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::Selection,
    fingerprint::{
        FEWEST_POINTS, MapStart, Matrix, Neighbourhood, Saturation, fingerprints,
        neighbour_overlap, principal_components, trustworthiness, tsne,
    },
};

/// Maps of the documents' fingerprints by PCA and t-SNE.
pub(super) struct FingerprintMap;

/// Neighbours compared for trustworthiness and overlap.
const NEIGHBOURS: usize = 10;
/// More documents than this would make t-SNE take minutes.
const MOST_DOCUMENTS: usize = 10_000;

impl Metric for FingerprintMap {
    fn about(&self) -> About {
        About {
            name: "fingerprint_map",
            title: "Map of documents by their routing",
            formula: "Fingerprint F(d) = the layers' parts one after the other, of one of these kinds: `mean_prob` Σ_t p / n; `selection_frequency` tokens that chose the expert / n; `weight_share` Σ_t w / Σ; `last_prob` p at the last token; `scidfm_logits`, `scidfm_probs`, `scidfm_weights` Softmax(Σ_t g) with g the logits, the probabilities or the weights of the chosen. Then PCA, and t-SNE (Barnes–Hut, perplexity min(30, (n − 1) / 3), started at the PCA) of Euclidean distances",
            unit: "coordinates without unit",
            range: "Coordinates: any. Quality: trustworthiness and neighbour overlap from 0 to 1",
            edge_cases: "Three tables: the PCA map, the t-SNE map, and their quality. Distances on a t-SNE map mean little: classify and measure in fingerprint space (`fingerprint_knn`). The `scidfm` kinds saturate with length; the quality table tells how much. Below ten documents there is no t-SNE.",
            uncertainty: "Stability instead of intervals: trustworthiness at 10 neighbours, and the share of 10 neighbours that t-SNE maps from 5 different starts have in common.",
            citation: "Sun et al., SciDFM, arXiv 2409.18412 (fingerprint); van der Maaten and Hinton 2008 (t-SNE); Venna and Kaski 2001 (trustworthiness).",
            inputs: &[Input::Profiles],
            axes: &[AxisKind::Document, AxisKind::Component],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let about = self.about();
        let selection = Selection::new(data, request, about.name, progress)?;
        let documents = selection.documents.len();
        if !(3..=MOST_DOCUMENTS).contains(&documents) {
            return Err(AnalyticsError::TooLittle {
                metric: about.name.to_owned(),
                found: format!("there are {documents} documents"),
                help: format!("a map needs 3 to {MOST_DOCUMENTS}; choose fewer labels"),
            });
        }
        let points = fingerprints(data, &selection, request, about.name, progress)?;
        let experts = usize::from(data.model().num_experts);
        let saturation = Saturation::of(&points, experts, &selection.tokens);
        let mut protocol = selection.protocol(request);
        protocol.interval_method = String::from("none: a map has its stability instead");
        protocol.notes.push(format!(
            "fingerprint {}, {} numbers per document, Euclidean distances",
            request.fingerprint,
            points.columns()
        ));
        protocol.notes.push(saturation.note(request.fingerprint));
        progress.report(0, 6, "principal components")?;
        let components = principal_components(&points, 2);
        let mut pca_protocol = protocol.clone();
        pca_protocol.notes.push(format!(
            "the axes hold {:.1} % and {:.1} % of the variance{}",
            100.0 * components.explained[0],
            100.0 * components.explained[1],
            if components.is_converged {
                ""
            } else {
                "; the iteration did not converge, the second axis is approximate"
            }
        ));
        let pca = components.scores;
        let mut found = vec![map(
            "PCA",
            "pca",
            data,
            &selection,
            &pca,
            pca_protocol,
            &about,
        )];
        let mut quality = vec![(
            "trustworthiness_pca",
            trustworthiness(&points, &pca, NEIGHBOURS.min((documents - 1) / 2)),
        )];
        if documents >= FEWEST_POINTS {
            progress.report(1, 6, "t-SNE from five starts")?;
            let maps = maps_from_several_starts(&points, request.seed)?;
            let k = NEIGHBOURS.min((documents - 1) / 2);
            quality.push((
                "trustworthiness_tsne",
                trustworthiness(&points, &maps[0], k),
            ));
            quality.push(("neighbour_overlap_tsne", neighbour_overlap(&maps, k)));
            found.push(map(
                "t-SNE",
                "tsne",
                data,
                &selection,
                &maps[0],
                protocol.clone(),
                &about,
            ));
        } else {
            protocol.notes.push(format!(
                "no t-SNE: {documents} documents, at least {FEWEST_POINTS} are needed"
            ));
        }
        quality.push(("one_hot_share", saturation.one_hot));
        quality.push(("length_correlation", saturation.length_correlation));
        let (names, values): (Vec<&str>, Vec<f64>) = quality.into_iter().unzip();
        found.push(Measurement {
            metric: about.name.to_owned(),
            title: format!("{}: quality", about.title),
            unit: "fraction".to_owned(),
            axes: vec![Axis::new(
                AxisKind::Variant,
                names.into_iter().map(str::to_owned).collect(),
            )],
            values,
            intervals: None,
            nulls: None,
            reference: None,
            protocol,
        });
        for measurement in &found {
            measurement.check()?;
        }
        Ok(found)
    }
}

/// The map that is shown, started at the PCA, and four more from random starts.
fn maps_from_several_starts(points: &Matrix, seed: u64) -> Result<Vec<Matrix>, AnalyticsError> {
    let mut starts = vec![MapStart::Pca];
    starts.extend((1..5).map(|i| MapStart::Random(seed.wrapping_add(i))));
    let neighbourhood = Neighbourhood::of(points);
    starts
        .into_par_iter()
        .map(|start| tsne(points, &neighbourhood, start))
        .collect()
}

fn map(
    name: &str,
    short: &str,
    data: &TraceData,
    selection: &Selection,
    scores: &Matrix,
    protocol: Protocol,
    about: &About,
) -> Measurement {
    let labels = (1..=2).map(|i| format!("{short}_{i}")).collect();
    Measurement {
        metric: about.name.to_owned(),
        title: format!("{} ({name})", about.title),
        unit: "coordinate".to_owned(),
        axes: vec![
            selection.document_axis(data),
            Axis::new(AxisKind::Component, labels),
        ],
        values: scores.values().to_vec(),
        intervals: None,
        nulls: None,
        reference: None,
        protocol,
    }
}
