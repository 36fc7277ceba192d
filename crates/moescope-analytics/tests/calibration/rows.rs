//! What is tested on which simulation: every metric of the catalogue, and single rows for what needs a request of its own.

use std::collections::BTreeMap;

use moescope_analytics::{AnalyticsError, Control, MeasureRequest, TraceData, catalogue, find};
use moescope_core::{AxisKind, Measurement, NoProgress};

use crate::simulate::Simulation;

/// Rows for requests that differ from the default: metric, variant (empty for all values), the difference, and its name.
type Special = (
    &'static str,
    &'static str,
    fn(&mut MeasureRequest),
    &'static str,
);

fn contrast(request: &mut MeasureRequest) {
    request.contrast = Some(("math".into(), "physics".into()));
}

fn match_genre(request: &mut MeasureRequest) {
    request.match_on = vec![Control::Label("genre".into())];
}

fn given_genre(request: &mut MeasureRequest) {
    request.given = vec![Control::Label("genre".into())];
}

fn by_document(request: &mut MeasureRequest) {
    request.scope.weighting = moescope_core::Weighting::Document;
}

/// Where nothing depends on the label, beside every metric of the catalogue.
const NULL: &[Special] = &[
    ("assignment_share", "", contrast, " --contrast"),
    ("routing_entropy", "", contrast, " --contrast"),
    ("first_choice_repetition", "", contrast, " --contrast"),
    (
        "mutual_information",
        "",
        by_document,
        " --weighting document",
    ),
];

/// Where words depend on the label and nothing else does.
const WORDS: &[Special] = &[
    (
        "conditional_mutual_information",
        "",
        |_| {},
        ", labels with words of their own",
    ),
    (
        "variance_partition",
        "discipline_beyond_the_rest",
        |_| {},
        ", labels with words of their own",
    ),
];

/// Where genres depend on the label and nothing else does.
const GENRES: &[Special] = &[
    (
        "mutual_information",
        "",
        match_genre,
        " --match genre, labels with genres of their own",
    ),
    (
        "jsd",
        "",
        match_genre,
        " --match genre, labels with genres of their own",
    ),
    (
        "assignment_share",
        "",
        match_genre,
        " --match genre, labels with genres of their own",
    ),
    (
        "conditional_mutual_information",
        "",
        given_genre,
        " --given genre, labels with genres of their own",
    ),
    (
        "variance_partition",
        "discipline_beyond_the_rest",
        |_| {},
        ", labels with genres of their own",
    ),
];

/// Where the label matters, beside every metric of the catalogue.
const EFFECT: &[Special] = &[
    ("assignment_share", "", contrast, " --contrast"),
    ("routing_entropy", "", contrast, " --contrast"),
    ("first_choice_repetition", "", contrast, " --contrast"),
    ("mutual_information", "", match_genre, " --match genre"),
    (
        "conditional_mutual_information",
        "",
        given_genre,
        " --given genre",
    ),
];

/// Metrics whose value depends on the number of documents, so that the truth is the mean over traces of the same size.
const OF_SIZE: &[&str] = &[
    "fingerprint_knn",
    "fingerprint_logistic",
    "fingerprint_separation",
    "profile_identification",
];

/// Maps take long and have neither intervals nor nulls.
const LEFT_OUT: &[&str] = &["fingerprint_map"];

/// What one trace says: whether the null was rejected, or a value with its interval.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Rejected(bool),
    Interval { value: f64, low: f64, high: f64 },
}

/// Everything to be measured on the traces of one simulation.
pub(crate) struct Plan {
    pub(crate) simulation: Simulation,
    specials: &'static [Special],
    has_catalogue: bool,
    pub(crate) looks_at: LooksAt,
}

/// What of a measurement counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LooksAt {
    /// Whether any corrected p is at most 0.05.
    Nulls,
    /// Whether intervals cover.
    Intervals,
}

pub(crate) const PLANS: &[Plan] = &[
    Plan {
        simulation: Simulation::NULL,
        specials: NULL,
        has_catalogue: true,
        looks_at: LooksAt::Nulls,
    },
    Plan {
        simulation: Simulation::WORDS,
        specials: WORDS,
        has_catalogue: false,
        looks_at: LooksAt::Nulls,
    },
    Plan {
        simulation: Simulation::GENRES,
        specials: GENRES,
        has_catalogue: false,
        looks_at: LooksAt::Nulls,
    },
    Plan {
        simulation: Simulation::EFFECT,
        specials: EFFECT,
        has_catalogue: true,
        looks_at: LooksAt::Intervals,
    },
];

impl Plan {
    /// The name of every row with what this trace says of it.
    pub(crate) fn outcomes(&self, data: &TraceData, seed: u64) -> Vec<(String, Outcome)> {
        let (resamples, permutations) = match self.looks_at {
            LooksAt::Nulls => (0, 99),
            LooksAt::Intervals => (300, 30),
        };
        let request = MeasureRequest {
            resamples,
            permutations,
            seed,
            ..MeasureRequest::default()
        };
        let mut rows = Vec::new();
        for (metric, variant, name, found) in self.measure(data, &request) {
            for found in found {
                rows.extend(match self.looks_at {
                    LooksAt::Nulls => rejections(&found, variant, &metric, name),
                    LooksAt::Intervals => intervals(&found, &metric, name),
                });
            }
        }
        rows
    }

    /// The values that intervals shall cover: those of a trace of a hundred times as many groups.
    pub(crate) fn truths(&self) -> BTreeMap<String, f64> {
        let large = Simulation {
            groups: 100 * self.simulation.groups,
            ..self.simulation
        };
        let data = large.trace(0);
        // The permutation mean is all but 0 there, and is needed for values that it is subtracted from.
        let request = MeasureRequest {
            resamples: 0,
            permutations: 20,
            ..MeasureRequest::default()
        };
        let mut truths = BTreeMap::new();
        for (metric, _, name, found) in self.measure(&data, &request) {
            for found in found.iter().filter(|_| !OF_SIZE.contains(&metric.as_str())) {
                for (cell, row) in cells(found, &metric, name) {
                    truths.insert(row, found.values[cell]);
                }
            }
        }
        truths
    }

    /// Metric, variant, name of the request and what was found.
    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
    ) -> Vec<(String, &'static str, &'static str, Vec<Measurement>)> {
        let names = catalogue().iter().map(|metric| metric.about().name);
        let of_catalogue = names
            .filter(|name| self.has_catalogue && !LEFT_OUT.contains(name))
            // Quadratic in documents, and their truth is found otherwise.
            .filter(|name| data.documents().len() < 1000 || !OF_SIZE.contains(name))
            .map(|name| (name, "", (|_| {}) as fn(&mut MeasureRequest), ""));
        of_catalogue
            .chain(self.specials.iter().copied())
            .filter_map(|(metric, variant, change, name)| {
                let mut request = request.clone();
                change(&mut request);
                match find(metric).unwrap().measure(data, &request, &NoProgress) {
                    Ok(found) => Some((metric.to_owned(), variant, name, found)),
                    // `not_simulated` lists them.
                    Err(AnalyticsError::MissingInput { .. }) => None,
                    Err(error) => panic!("{metric}{name}: {error}"),
                }
            })
            .collect()
    }
}

/// The metrics that have no row, with the reason.
pub(crate) fn not_simulated() -> Vec<(&'static str, String)> {
    let data = Simulation::NULL.trace(1);
    let request = MeasureRequest {
        resamples: 100,
        permutations: 20,
        ..MeasureRequest::default()
    };
    let reason = |name: &'static str| {
        if LEFT_OUT.contains(&name) {
            return Some("takes long, and has neither intervals nor nulls".to_owned());
        }
        match find(name).unwrap().measure(&data, &request, &NoProgress) {
            Err(error) => Some(error.to_string()),
            Ok(found)
                if found
                    .iter()
                    .all(|f| f.intervals.is_none() && f.nulls.is_none()) =>
            {
                Some("has neither intervals nor nulls".to_owned())
            }
            Ok(_) => None,
        }
    };
    let names = catalogue().iter().map(|metric| metric.about().name);
    names
        .filter_map(|name| Some((name, reason(name)?)))
        .collect()
}

/// Whether any corrected p is at most 0.05, for each family of tests in a measurement.
///
/// Where p is not corrected, every variant is a test of its own.
fn rejections(
    found: &Measurement,
    variant: &str,
    metric: &str,
    name: &str,
) -> Vec<(String, Outcome)> {
    let Some(nulls) = &found.nulls else {
        return Vec::new();
    };
    let mut smallest: BTreeMap<String, f64> = BTreeMap::new();
    for (cell, null) in nulls.iter().enumerate() {
        let Some(null) = null else { continue };
        let own = variant_of(found, cell);
        // Of a quantity as it is and less its bias, both have the same p.
        let is_same_test = own.starts_with("minus_");
        let is_chosen = variant.is_empty() || own == variant;
        if is_chosen && !is_same_test {
            let p = null.p_corrected.unwrap_or(null.p);
            let row = if own.is_empty() || own == "plug_in" {
                format!("{metric}{name}")
            } else {
                format!("{metric}, {own}{name}")
            };
            let smallest = smallest.entry(row).or_insert(1.0);
            *smallest = smallest.min(p);
        }
    }
    smallest
        .into_iter()
        .map(|(row, p)| (row, Outcome::Rejected(p <= 0.05)))
        .collect()
}

/// The first interval of every variant.
fn intervals(found: &Measurement, metric: &str, name: &str) -> Vec<(String, Outcome)> {
    let Some(intervals) = &found.intervals else {
        return Vec::new();
    };
    cells(found, metric, name)
        .into_iter()
        .filter_map(|(cell, row)| {
            let interval = intervals[cell]?;
            let value = found.values[cell];
            Some((
                row,
                Outcome::Interval {
                    value,
                    low: interval.low,
                    high: interval.high,
                },
            ))
        })
        .collect()
}

/// The first defined cell off the diagonal of every variant, with the row's name.
fn cells(found: &Measurement, metric: &str, name: &str) -> Vec<(usize, String)> {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for cell in 0..found.values.len() {
        let own = variant_of(found, cell);
        let row = if own.is_empty() {
            format!("{metric}{name}")
        } else {
            format!("{metric}, {own}{name}")
        };
        if found.values[cell].is_finite() && !is_diagonal(found, cell) {
            first.entry(row).or_insert(cell);
        }
    }
    first.into_iter().map(|(row, cell)| (cell, row)).collect()
}

/// The index of a cell along an axis.
fn index(found: &Measurement, cell: usize, axis: usize) -> usize {
    let stride: usize = found.axes[axis + 1..]
        .iter()
        .map(|axis| axis.labels.len())
        .product();
    cell / stride % found.axes[axis].labels.len()
}

fn variant_of(found: &Measurement, cell: usize) -> String {
    found
        .axis(AxisKind::Variant)
        .map_or(String::new(), |(place, axis)| {
            axis.labels[index(found, cell, place)].clone()
        })
}

fn is_diagonal(found: &Measurement, cell: usize) -> bool {
    [
        (AxisKind::Group, AxisKind::GroupB),
        (AxisKind::Expert, AxisKind::ExpertB),
    ]
    .into_iter()
    .filter_map(|(a, b)| Some((found.axis(a)?, found.axis(b)?)))
    .any(|((a, first), (b, second))| {
        first.labels[index(found, cell, a)] == second.labels[index(found, cell, b)]
    })
}
