//! What is tested on which simulation: every metric of the catalogue, and single rows for what needs a request of its own.

use std::{collections::BTreeMap, sync::LazyLock};

use moescope_analytics::{
    AnalyticsError, MeasureRequest, TraceSet, catalogue, catalogue_of_traces, difference_of_traces,
    find,
};
use moescope_core::{LayerId, Measurement, NoProgress};

use super::{
    families::{cells, intervals, rejections},
    simulate::Simulation,
    specials::{
        EFFECT, GENRES, LEFT_OUT, LONG, NO_ORDER, NO_TOKENS, NULL, OF_ORDER, OF_SIZE, OF_TOKENS,
        Special, WORDS,
    },
};

/// The metric that alone is asked for.
pub(crate) fn only() -> Option<&'static str> {
    static ONLY: LazyLock<Option<String>> =
        LazyLock::new(|| std::env::var("MOESCOPE_CALIBRATE_ONLY").ok());
    ONLY.as_deref()
}

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
    traces: Traces,
    pub(crate) looks_at: LooksAt,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Traces {
    One,
    /// Two traces of the same documents, compared.
    Two,
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
        traces: Traces::One,
        looks_at: LooksAt::Nulls,
    },
    Plan {
        simulation: Simulation::NO_TOKENS,
        specials: NO_TOKENS,
        has_catalogue: false,
        traces: Traces::One,
        looks_at: LooksAt::Nulls,
    },
    Plan {
        simulation: Simulation::NO_ORDER,
        specials: NO_ORDER,
        has_catalogue: false,
        traces: Traces::One,
        looks_at: LooksAt::Nulls,
    },
    Plan {
        simulation: Simulation::LONG_NO_ORDER,
        specials: LONG,
        has_catalogue: false,
        traces: Traces::One,
        looks_at: LooksAt::Nulls,
    },
    Plan {
        simulation: Simulation::LONG_EFFECT,
        specials: LONG,
        has_catalogue: false,
        traces: Traces::One,
        looks_at: LooksAt::Intervals,
    },
    Plan {
        simulation: Simulation::WORDS,
        specials: WORDS,
        has_catalogue: false,
        traces: Traces::One,
        looks_at: LooksAt::Nulls,
    },
    Plan {
        simulation: Simulation::GENRES,
        specials: GENRES,
        has_catalogue: false,
        traces: Traces::One,
        looks_at: LooksAt::Nulls,
    },
    Plan {
        simulation: Simulation::EFFECT,
        specials: EFFECT,
        has_catalogue: true,
        traces: Traces::One,
        looks_at: LooksAt::Intervals,
    },
    Plan {
        simulation: Simulation::NULL,
        specials: &[],
        has_catalogue: true,
        traces: Traces::Two,
        looks_at: LooksAt::Nulls,
    },
    Plan {
        simulation: Simulation::EFFECT,
        specials: &[],
        has_catalogue: true,
        traces: Traces::Two,
        looks_at: LooksAt::Intervals,
    },
];

/// Keeps the rows of a metric's tables apart: they are different quantities.
fn name_in_table(name: &str, table: usize) -> String {
    match table {
        0 => name.to_owned(),
        _ => format!("{name} (table {})", table + 1),
    }
}

impl Plan {
    /// The name of every row with what this trace says of it.
    pub(crate) fn outcomes(&self, seed: u64) -> Vec<(String, Outcome)> {
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
        for (metric, variant, name, found) in self.measure(self.simulation, seed, &request) {
            for (table, found) in found.iter().enumerate() {
                let name = name_in_table(name, table);
                rows.extend(match self.looks_at {
                    LooksAt::Nulls => rejections(found, variant, &metric, &name),
                    LooksAt::Intervals => intervals(found, &metric, &name),
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
        // The permutation mean is all but 0 there, and is needed for values that it is subtracted from.
        let request = MeasureRequest {
            resamples: 0,
            permutations: 20,
            ..MeasureRequest::default()
        };
        let mut truths = BTreeMap::new();
        for (metric, _, name, found) in self.measure(large, 0, &request) {
            if OF_SIZE.contains(&metric.as_str()) {
                continue;
            }
            for (table, found) in found.iter().enumerate() {
                for (cell, row) in cells(found, &metric, &name_in_table(name, table)) {
                    truths.insert(row, found.values[cell]);
                }
            }
        }
        truths
    }

    /// Metric, variant, name of the request and what was found.
    fn measure(
        &self,
        simulation: Simulation,
        seed: u64,
        request: &MeasureRequest,
    ) -> Vec<(String, &'static str, &'static str, Vec<Measurement>)> {
        if self.traces == Traces::Two {
            return compared(&simulation.two_traces(seed), request);
        }
        let data = &simulation.trace(seed);
        let names = catalogue().iter().map(|metric| metric.about().name);
        let is_asked = |name: &str| only().is_none_or(|only| only == name);
        let of_catalogue = names
            .filter(|name| self.has_catalogue && !LEFT_OUT.contains(name))
            .filter(|name| {
                let has_other_null = OF_TOKENS.contains(name) || OF_ORDER.contains(name);
                self.looks_at != LooksAt::Nulls || !has_other_null
            })
            // Quadratic in documents, and their truth is found otherwise.
            .filter(|name| data.documents().len() < 1000 || !OF_SIZE.contains(name))
            .map(|name| (name, "", (|_| {}) as fn(&mut MeasureRequest), ""));
        let mut all: Vec<(String, &str, &str, Vec<Measurement>)> = of_catalogue
            .chain(self.specials.iter().copied())
            .filter(|(name, ..)| is_asked(name))
            .filter_map(|(metric, variant, change, name)| {
                let mut request = request.clone();
                change(&mut request);
                match find(metric).unwrap().measure(data, &request, &NoProgress) {
                    Ok(found) => Some((metric.to_owned(), variant, name, found)),
                    // `not_simulated` lists them.
                    Err(
                        AnalyticsError::MissingInput { .. }
                        | AnalyticsError::Request(_)
                        | AnalyticsError::TooLittle { .. },
                    ) => None,
                    Err(error) => panic!("{metric}{name}: {error}"),
                }
            })
            .collect();
        if self.has_catalogue && self.looks_at == LooksAt::Intervals && only().is_none() {
            all.extend(paired(simulation, seed, request));
        }
        if self.has_catalogue && is_asked("ablation") {
            all.extend(ablated(simulation, seed, request));
        }
        all
    }
}

/// Two traces of the same documents: every metric that has a difference, and those of several traces.
fn compared(
    traces: &TraceSet,
    request: &MeasureRequest,
) -> Vec<(String, &'static str, &'static str, Vec<Measurement>)> {
    let request = MeasureRequest {
        by: "all".into(),
        ..request.clone()
    };
    let is_asked = |name: &str| only().is_none_or(|only| only == name);
    let differences = catalogue()
        .iter()
        .filter(|metric| !OF_SIZE.contains(&metric.about().name))
        .filter(|metric| is_asked(metric.about().name))
        .map(|metric| {
            let found = difference_of_traces(traces, *metric, &request, &NoProgress);
            (metric.about().name, found)
        });
    let others = catalogue_of_traces()
        .iter()
        .filter(|metric| is_asked(metric.about().name));
    let others = others.map(|metric| {
        let found = metric.compare(traces, &request, &NoProgress);
        (metric.about().name, found)
    });
    differences
        .chain(others)
        .filter_map(|(name, found)| match found {
            Ok(found) => Some((format!("compare: {name}"), "", "", found)),
            // What has no difference, or reads what these traces lack.
            Err(
                AnalyticsError::MissingInput { .. }
                | AnalyticsError::Request(_)
                | AnalyticsError::TooLittle { .. },
            ) => None,
            Err(error) => panic!("compare: {name}: {error}"),
        })
        .collect()
}

/// Two computations of the same documents: the first table of each quantity.
fn paired(
    simulation: Simulation,
    seed: u64,
    request: &MeasureRequest,
) -> Vec<(String, &'static str, &'static str, Vec<Measurement>)> {
    let request = MeasureRequest {
        by: "all".into(),
        ..request.clone()
    };
    let comparison = simulation.comparison(seed);
    let found = comparison.measure(&request, &NoProgress).unwrap();
    let mut first: BTreeMap<String, Measurement> = BTreeMap::new();
    for found in found {
        first.entry(found.metric.clone()).or_insert(found);
    }
    first
        .into_iter()
        .map(|(metric, found)| (format!("compare-weights: {metric}"), "", "", vec![found]))
        .collect()
}

/// An intervention on one expert beside the same on others: the tables that place it among them.
fn ablated(
    simulation: Simulation,
    seed: u64,
    request: &MeasureRequest,
) -> Vec<(String, &'static str, &'static str, Vec<Measurement>)> {
    let comparison = simulation.ablation(seed);
    let found = comparison.measure_ablation(LayerId(1), request, &NoProgress);
    let mut tables: BTreeMap<String, Vec<Measurement>> = BTreeMap::new();
    for found in found.unwrap() {
        if found.metric.starts_with("ablation_") {
            tables.entry(found.metric.clone()).or_default().push(found);
        }
    }
    tables
        .into_iter()
        .map(|(metric, found)| (format!("ablate: {metric}"), "", "", found))
        .collect()
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
