//! What a window of a document's routing looks like: how far it is from each label, and how likely each label is.

mod calibration;
mod preference;
mod reference;
mod windows;

use moescope_core::{Axis, AxisKind, Measurement, Progress, Protocol};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::Selection,
    inference::{PerLabel, measure_per_label},
    stats::{interval::IntervalMethod, number::as_f64},
};

use calibration::Calibration;
pub use preference::LabelPreference;
pub use reference::{LabelLook, LabelReference};
use windows::{Window, windows};

/// Divergence of a document's windows from every label's profile, and calibrated probabilities of the labels.
pub(super) struct LabelDrift;

/// Later windows are left out of the tables by position.
const MOST_WINDOWS: usize = 32;
/// More probabilities than this are not listed document by document.
const MOST_LISTED: usize = 200_000;

impl Metric for LabelDrift {
    fn about(&self) -> About {
        About {
            name: "label_drift",
            title: "Divergence of a document's windows from every label",
            formula: "A document's counted tokens are cut into windows of w tokens. First table: mean over layers of the Jensen–Shannon divergence between the window's shares of assignments and a label's shares without the document's group, as a mean over the windows at that place of all documents of a label (rows: the documents' label; columns: the label compared with). Calibrated probability of label D: softmax over labels of β Σ_layers Σ_e c(e) ln q_D(e), with c the window's assignments, q_D = (n_D(e) + ½) / (N_D + E / 2) of the label without the document's group, and β the value under which the labels of the documents of other folds are most likely. Second table: mean probability of the most likely label and share of windows where it is right, by tenth of windows in order of that probability, calibrated and with β = 1. Third table: the same over all windows, with calibration error Σ_tenths |probability − right| / windows, mean −log2 of the probability of the true label, and β. Fourth table: probabilities along every document",
            unit: "bits; probabilities and shares from 0 to 1",
            range: "0 (same shares) to 1 bit; a window is short, so its divergence is never near 0: compare labels, not values",
            edge_cases: "w is `--window` (32). Documents shorter than w are one window; else a shorter rest is left out. Five folds of whole groups, or as many as there are groups. Layers and neighbouring tokens are dependent, so with β = 1 the product of their likelihoods is far too sure after few tokens; β between 0 and 1 says by how much. Labels have equal prior weight. The fourth table is left out above 200,000 probabilities; tables by place end with the 32nd window. No --contrast: choose labels with --labels.",
            uncertainty: "Percentile bootstrap over groups within label, profiles and β fixed. No null: `profile_identification` tests whether routing tells labels.",
            citation: "Temperature scaling: Guo et al., On Calibration of Modern Neural Networks, arXiv 1706.04599, here one factor on the log-likelihoods, fitted on other folds.",
            inputs: &[Input::Profiles, Input::Routing, Input::Tokens],
            axes: &[AxisKind::Group, AxisKind::GroupB, AxisKind::Position],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let about = self.about();
        if request.contrast.is_some() {
            return Err(AnalyticsError::Request(
                "label_drift compares every label and has no --contrast; choose two with --labels"
                    .to_owned(),
            ));
        }
        let selection = Selection::new(data, request, about.name, progress)?;
        if selection.labels.len() < 2 || selection.groups < 2 {
            return Err(AnalyticsError::TooLittle {
                metric: about.name.to_owned(),
                found: format!(
                    "there are {} labels in {} groups",
                    selection.labels.len(),
                    selection.groups
                ),
                help: "labels are told apart from two labels and two groups on, e.g. another --by"
                    .to_owned(),
            });
        }
        let windows = windows(data, &selection, request, about.name, progress)?;
        let calibration = Calibration::fit(&selection, &windows, request.seed);
        let mut found = vec![divergence_by_place(
            &about, &selection, request, &windows, progress,
        )?];
        found.extend(calibration.measure(&about, &selection, request, &windows, progress)?);
        if let Some(list) = listed(&about, data, &selection, request, &windows, &calibration) {
            found.push(list);
        } else {
            found[0].protocol.notes.push(format!(
                "no table of documents: above {MOST_LISTED} probabilities; choose fewer documents"
            ));
        }
        for measurement in &mut found {
            measurement.protocol.notes.push(format!(
                "windows of {} tokens; profiles without the document's group",
                request.window
            ));
            measurement.check()?;
        }
        Ok(found)
    }
}

/// The places that the tables show: those that occur, up to a limit.
fn places(windows: &[Vec<Window>]) -> usize {
    let most = windows.iter().map(Vec::len).max().unwrap_or(0);
    most.min(MOST_WINDOWS)
}

fn place_axis(places: usize, request: &MeasureRequest) -> Axis {
    let tokens = request.window as usize;
    let labels = (0..places).map(|i| format!("{}-{}", i * tokens, (i + 1) * tokens - 1));
    Axis::new(AxisKind::Position, labels.collect())
}

/// Mean divergence by label of the documents, label compared with, and place of the window.
fn divergence_by_place(
    about: &About,
    selection: &Selection,
    request: &MeasureRequest,
    windows: &[Vec<Window>],
    progress: &dyn Progress,
) -> Result<Measurement, AnalyticsError> {
    let (labels, places) = (selection.labels.len(), places(windows));
    let together = selection.with_layers_together();
    // Sums and windows of every label compared with and place.
    let columns = 2 * labels * places;
    let place_of = selection.place_of_documents();
    let table = together.unit_table(columns, |document, _, row| {
        for (place, window) in windows[place_of[&document]].iter().take(places).enumerate() {
            for (label, divergence) in window.divergence.iter().enumerate() {
                // A label without another group has no profile.
                if divergence.is_finite() {
                    row[2 * (label * places + place)] += divergence;
                    row[2 * (label * places + place) + 1] += 1.0;
                }
            }
        }
    });
    let mut found = measure_per_label(
        &together,
        request,
        PerLabel {
            about: about.clone(),
            unit: "bits".to_owned(),
            table: &table,
            width: labels * places,
            evaluate: &|sums, out| {
                for (out, sums) in out.iter_mut().zip(sums.chunks_exact(2)) {
                    *out = sums[0] / sums[1];
                }
            },
            last_axis: Some(Axis::new(
                AxisKind::Position,
                vec![String::new(); labels * places],
            )),
            method: IntervalMethod::Percentile,
            has_null: false,
            reference: None,
        },
        progress,
    )?;
    found.axes = vec![
        selection.group_axis(),
        Axis::new(AxisKind::GroupB, selection.labels.clone()),
        place_axis(places, request),
    ];
    Ok(found)
}

/// Calibrated probabilities of every label along every document, if they are not too many.
fn listed(
    about: &About,
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    windows: &[Vec<Window>],
    calibration: &Calibration,
) -> Option<Measurement> {
    let (labels, places) = (selection.labels.len(), places(windows));
    let cells = windows.len() * places * labels;
    if cells > MOST_LISTED {
        return None;
    }
    let mut values = vec![f64::NAN; cells];
    for (document, windows) in windows.iter().enumerate() {
        for (place, window) in windows.iter().take(places).enumerate() {
            let start = (document * places + place) * labels;
            let probabilities = calibration.probabilities(document, window);
            values[start..start + labels].copy_from_slice(&probabilities);
        }
    }
    let protocol = Protocol {
        interval_method: "none: one window each; how far to trust it stands in the table by tenths"
            .to_owned(),
        ..selection.protocol(request)
    };
    Some(Measurement {
        metric: about.name.to_owned(),
        title: "Calibrated probability of each label along documents".to_owned(),
        unit: "probability".to_owned(),
        axes: vec![
            selection.document_axis(data),
            place_axis(places, request),
            selection.group_axis(),
        ],
        values,
        intervals: None,
        nulls: None,
        reference: Some(1.0 / as_f64(labels)),
        protocol,
    })
}
