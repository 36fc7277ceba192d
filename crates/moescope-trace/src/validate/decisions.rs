//! The decisions of one document.

use std::collections::{BTreeMap, BTreeSet};

use moescope_core::{LayerId, ScoreFunction, TokenRow, WeightNormalization};

use super::{ValidationReport, ViolationKind};
use crate::{
    columns::routing::RoutingRows,
    manifest::{ExpertsOrder, Manifest},
    rounding::FULL_BITS,
    schema,
};

/// Reports what is wrong; true where the decisions can be summed up: complete, in range, without repetition.
pub(crate) fn check(
    report: &mut ValidationReport,
    manifest: &Manifest,
    tokens: &[TokenRow],
    rows: &RoutingRows,
    place: &str,
) -> bool {
    let before: u64 = report.violations.iter().map(|v| v.count).sum();
    check_keys(report, manifest, tokens, rows, place);
    let rules = Rules::of(manifest);
    for row in 0..rows.len() {
        rules.check(report, rows, row, place);
    }
    before == report.violations.iter().map(|v| v.count).sum::<u64>()
}

fn check_keys(
    report: &mut ValidationReport,
    manifest: &Manifest,
    tokens: &[TokenRow],
    rows: &RoutingRows,
    place: &str,
) {
    let layers = manifest.recorded_layers();
    let mut found: BTreeMap<(u32, u16), u32> = BTreeMap::new();
    let mut last = None;
    for row in 0..rows.len() {
        let key = (rows.position[row], rows.layer[row]);
        *found.entry(key).or_default() += 1;
        if last.is_some_and(|last| last > key) {
            report.add(ViolationKind::Order, || {
                format!(
                    "routing of {place}: position {}, layer {} out of order",
                    key.0, key.1
                )
            });
        }
        last = Some(key);
        let number = manifest.moe_layer(LayerId(key.1));
        if number.is_some_and(|number| number != rows.moe_layer[row]) {
            report.add(ViolationKind::ValueRange, || {
                format!(
                    "{place}, position {}: layer {} is called MoE layer {}",
                    key.0, key.1, rows.moe_layer[row]
                )
            });
        }
    }
    if manifest.profiles_only {
        return;
    }
    let routed: BTreeSet<u32> = tokens
        .iter()
        .filter(|token| token.is_routed)
        .map(|token| token.position)
        .collect();
    for position in &routed {
        for layer in layers {
            if !found.contains_key(&(*position, layer.0)) {
                report.add(ViolationKind::MissingDecision, || {
                    format!("{place}, position {position}, layer {layer}")
                });
            }
        }
    }
    for ((position, layer), times) in found {
        let is_recorded = layers.binary_search(&LayerId(layer)).is_ok();
        let why = if !routed.contains(&position) {
            "belongs to no routed token"
        } else if !is_recorded {
            "is of no recorded layer"
        } else if times > 1 {
            "is there more than once"
        } else {
            continue;
        };
        report.add(ViolationKind::UnexpectedDecision, || {
            format!("{place}: that of position {position}, layer {layer} {why}")
        });
    }
}

/// What every decision of a trace must obey.
struct Rules<'a> {
    manifest: &'a Manifest,
    /// Relative error of stored floats and of the arithmetic that made them.
    tolerance: f64,
    /// What the weights of a decision sum to, where the gating fixes it.
    weight_sum: Option<f64>,
    /// No weight is above this.
    weight_limit: Option<f64>,
}

impl<'a> Rules<'a> {
    fn of(manifest: &'a Manifest) -> Self {
        let gating = &manifest.model.gating;
        let scaling = f64::from(gating.scaling);
        // An intervention may change weights after normalisation; only their order and range are then certain.
        let is_free = manifest.interventions.is_empty();
        let weight_sum = match gating.normalization {
            WeightNormalization::SumOfSelected | WeightNormalization::SoftmaxOfSelected => {
                is_free.then_some(scaling)
            }
            WeightNormalization::None
            | WeightNormalization::PNormOfSelected
            | WeightNormalization::SigmoidOfSelected
            | WeightNormalization::Sparsemixer => None,
        };
        // Scores that are probabilities, and every normalisation, give at most 1 before scaling.
        let is_bounded = gating.normalization != WeightNormalization::None
            || gating.score_function != ScoreFunction::Identity;
        let weight_limit = (is_free && is_bounded).then_some(scaling);
        Self {
            manifest,
            tolerance: tolerance(manifest),
            weight_sum,
            weight_limit,
        }
    }

    fn check(&self, report: &mut ValidationReport, rows: &RoutingRows, row: usize, place: &str) {
        let at = || {
            format!(
                "{place}, position {}, layer {}",
                rows.position[row], rows.layer[row]
            )
        };
        let model = &self.manifest.model;
        let top_k = usize::from(model.top_k);
        let Some(experts) = rows.experts.row(row).filter(|list| list.len() == top_k) else {
            report.add(ViolationKind::ListLength, || {
                format!("{}: experts, expected {top_k} of them", at())
            });
            return;
        };
        let mut seen = BTreeSet::new();
        for expert in experts {
            if *expert >= model.num_experts {
                report.add(ViolationKind::ExpertRange, || {
                    format!("{}: expert {expert} of {}", at(), model.num_experts)
                });
            } else if !seen.insert(*expert) {
                report.add(ViolationKind::RepeatedExpert, || {
                    format!("{}: expert {expert}", at())
                });
            }
        }
        for (name, column, width) in [
            (schema::WEIGHTS, &rows.weights, top_k),
            (schema::LOGITS, &rows.logits, usize::from(model.num_experts)),
        ] {
            let Some(list) = column.row(row) else {
                continue;
            };
            if list.len() != width {
                report.add(ViolationKind::ListLength, || {
                    format!("{}: {} {name}, expected {width}", at(), list.len())
                });
            }
        }
        if let Some(weights) = rows.weights.row(row).filter(|list| list.len() == top_k) {
            self.check_weights(report, experts, weights, &at);
        }
        self.check_scalars(report, rows, row, experts, &at);
    }

    fn check_weights(
        &self,
        report: &mut ValidationReport,
        experts: &[u16],
        weights: &[f32],
        at: &impl Fn() -> String,
    ) {
        let sum: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        let is_wrong = weights.iter().any(|w| !w.is_finite() || *w < 0.0)
            || self
                .weight_sum
                .is_some_and(|expected| (sum - expected).abs() > expected * self.tolerance)
            || self.weight_limit.is_some_and(|limit| {
                let limit = limit * (1.0 + self.tolerance);
                weights.iter().any(|w| f64::from(*w) > limit)
            });
        if is_wrong {
            report.add(ViolationKind::Weights, || {
                format!("{}: {weights:?} sum to {sum}", at())
            });
        }
        if self.manifest.scores.experts_order != ExpertsOrder::ByWeight {
            return;
        }
        // Weights that differ may be rounded to equal ones, so ties can be told only at full precision.
        let has_exact_ties = self.manifest.float_significant_bits == FULL_BITS;
        for (e, w) in experts.windows(2).zip(weights.windows(2)) {
            let is_tie = w[0].to_bits() == w[1].to_bits();
            if w[0] < w[1] || (is_tie && has_exact_ties && e[0] > e[1]) {
                report.add(ViolationKind::ExpertOrder, || {
                    format!("{}: experts {} and {}", at(), e[0], e[1])
                });
            }
        }
    }

    fn check_scalars(
        &self,
        report: &mut ValidationReport,
        rows: &RoutingRows,
        row: usize,
        experts: &[u16],
        at: &impl Fn() -> String,
    ) {
        let model = &self.manifest.model;
        let slack = self.tolerance;
        let most_entropy = f64::from(model.num_experts).ln();
        let ranges = [
            (schema::ENTROPY, rows.entropy[row], 0.0, most_entropy),
            (schema::TOPK_MASS, rows.topk_mass[row], 0.0, 1.0),
            (schema::LOGSUMEXP, rows.logsumexp[row], f64::MIN, f64::MAX),
        ];
        for (name, value, low, high) in ranges {
            let Some(value) = value.map(f64::from) else {
                continue;
            };
            let is_inside = value >= low - slack && value <= high * (1.0 + slack) + slack;
            if !is_inside {
                report.add(ViolationKind::ValueRange, || {
                    format!("{}: {name} is {value}", at())
                });
            }
        }
        if let Some(expert) = rows.runner_up[row]
            && (expert >= model.num_experts || experts.contains(&expert))
        {
            report.add(ViolationKind::ValueRange, || {
                format!("{}: runner_up is {expert}, chosen are {experts:?}", at())
            });
        }
    }
}

/// How far stored numbers may be from exact ones: half a unit of the stored precision, and of the arithmetic's.
pub(crate) fn tolerance(manifest: &Manifest) -> f64 {
    let stored = 0.5f64.powi(i32::from(manifest.float_significant_bits));
    let arithmetic = match manifest.compute_type.as_deref() {
        Some("f32") => 1e-5,
        Some("f16") => 0.5f64.powi(11),
        // A bf16 has 8 significant bits, and models that compute in it also round their weights to it.
        // It is the coarsest type in use, so it bounds imports that do not say.
        _ => 0.5f64.powi(8),
    };
    stored + arithmetic
}
