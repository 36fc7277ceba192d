//! The paths through the layers that most tokens take.

use std::collections::{BTreeMap, BTreeSet};

use moescope_core::{Axis, AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::{DecisionNeeds, Selection},
    inference::{
        Blocks, count_paths, for_paths, needs_token_weighting, path_key, refuse_contrast,
        variant_axis,
    },
};

/// The most frequent paths, beside what single layers and neighbouring ones make likely.
pub(super) struct TopPaths;

/// Paths listed.
const LISTED: usize = 20;

impl Metric for TopPaths {
    fn about(&self) -> About {
        About {
            name: "top_paths",
            title: "Most frequent paths through the layers",
            formula: "for the 20 most frequent paths (a token's first choices at all layers of the scope): the first choice at every layer, the `share` of tokens on it, and its `lift` over independent layers and over a first-order Markov chain with the same counts",
            unit: "expert ids; share of tokens; lift as a ratio",
            range: "share 0 to 1; lift 0 upward, 1 where layers are independent (or only neighbours depend on each other)",
            edge_cases: "All labels together; --labels chooses some. The expert at layer l stands under the variant named after it. Equal shares are in no meaningful order. Refused where the trace does not say which expert is the heaviest.",
            uncertainty: "None: a list of the largest of many shares overstates them. `path_entropy` has intervals.",
            citation: "Paths as units: Polysemantic Experts, Monosemantic Paths, arXiv 2604.17837.",
            inputs: &[Input::Routing, Input::Tokens],
            axes: &[AxisKind::Rank, AxisKind::Variant],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let about = self.about();
        refuse_contrast(
            request,
            about.name,
            "lists have no difference, and --labels chooses documents",
        )?;
        needs_token_weighting(request, about.name)?;
        let selection =
            Selection::new(data, request, about.name, progress)?.under_one_label(request);
        let blocks = Blocks::new(&selection, 1, request.seed);
        let counts = count_paths(data, &selection, &blocks, request, about.name, progress)?;
        let (table, model) = (&counts.tables[0], &counts.models[0]);
        let sums = table.sums();
        let mut keys: Vec<(u64, f64)> = table
            .rows(&sums)
            .map(|(key, _, count)| (key, count[0]))
            .collect();
        keys.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        keys.truncate(LISTED);
        let wanted = keys.iter().map(|(key, _)| *key).collect();
        let spelled = spell(data, &selection, request, about.name, wanted, progress)?;
        let mut values = Vec::new();
        for (key, count) in &keys {
            let path = &spelled[key];
            let share = count / model.paths();
            let (independent, markov) = model.probabilities(path);
            values.extend(path.iter().map(|expert| f64::from(*expert)));
            values.extend([share, share / independent, share / markov]);
        }
        let names: Vec<String> = selection
            .layer_axis()
            .labels
            .iter()
            .map(|layer| format!("layer_{layer}"))
            .chain(["share", "lift_over_independent", "lift_over_markov"].map(str::to_owned))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut protocol = selection.protocol(request);
        "none: a list of the largest shares".clone_into(&mut protocol.interval_method);
        let measurement = Measurement {
            metric: about.name.to_owned(),
            title: about.title.to_owned(),
            unit: about.unit.to_owned(),
            axes: vec![
                Axis::new(
                    AxisKind::Rank,
                    (1..=keys.len()).map(|rank| rank.to_string()).collect(),
                ),
                variant_axis(&names),
            ],
            values,
            intervals: None,
            nulls: None,
            reference: None,
            protocol,
        };
        measurement.check()?;
        Ok(vec![measurement])
    }
}

/// Reads the decisions once more to spell out some paths, whose keys alone were counted.
fn spell(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    metric: &str,
    mut wanted: BTreeSet<u64>,
    progress: &dyn Progress,
) -> Result<BTreeMap<u64, Vec<u16>>, AnalyticsError> {
    let layer_places = selection.layer_places(data);
    let places = selection.places(data);
    let mut spelled = BTreeMap::new();
    data.visit_decisions(
        DecisionNeeds::of(&request.scope),
        metric,
        progress,
        &mut |decisions| {
            if wanted.is_empty() || places[decisions.document].is_none() {
                return Ok(());
            }
            let layers = selection.layers.len();
            for_paths(&decisions, &layer_places, layers, |_, path| {
                let key = path_key(path);
                if wanted.remove(&key) {
                    spelled.insert(key, path.to_vec());
                }
            });
            Ok(())
        },
    )?;
    Ok(spelled)
}
