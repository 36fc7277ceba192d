//! Whether profiles are what the decisions sum to.

use moescope_core::{DecisionBatch, LayerId, Phase, TokenRow};

use super::{ValidationReport, ViolationKind};
use crate::{
    manifest::Manifest,
    profile::{Profile, profiles},
    schema,
};

/// Checks what can be told of profiles alone: keys, lengths and that counts add up.
pub(crate) fn check_shape(
    report: &mut ValidationReport,
    manifest: &Manifest,
    found: &[Profile],
    place: &str,
) {
    let key = |profile: &Profile| (profile.layer, profile.phase);
    for pair in found.windows(2) {
        if key(&pair[0]) >= key(&pair[1]) {
            report.add(ViolationKind::Order, || {
                format!("profiles of {place}: {} out of order", shown(key(&pair[1])))
            });
        }
    }
    let model = &manifest.model;
    for profile in found {
        let at = || format!("{place}, {}", shown(key(profile)));
        if manifest.moe_layer(profile.layer) != Some(profile.moe_layer) {
            report.add(ViolationKind::ValueRange, || {
                format!("{} is called MoE layer {}", at(), profile.moe_layer)
            });
        }
        let floats = [
            (schema::WEIGHT_SUM, &profile.weight_sum),
            (schema::PROB_SUM, &profile.prob_sum),
            (schema::LOGIT_SUM, &profile.logit_sum),
            (schema::LAST_PROB, &profile.last_prob),
        ];
        let lengths = floats
            .iter()
            .filter_map(|(name, list)| Some((*name, list.as_ref()?.len())))
            .chain([(schema::COUNTS, profile.counts.len())]);
        for (name, len) in lengths {
            if len != usize::from(model.num_experts) {
                report.add(ViolationKind::ListLength, || {
                    format!("{}: {len} {name}, expected {}", at(), model.num_experts)
                });
            }
        }
        let sum: u64 = profile.counts.iter().map(|n| u64::from(*n)).sum();
        let expected = u64::from(profile.n_tokens) * u64::from(model.top_k);
        if sum != expected {
            report.add(ViolationKind::Profile, || {
                format!("{}: counts sum to {sum}, expected {expected}", at())
            });
        }
    }
}

/// Compares profiles with the decisions: counts exactly, sums within the rounding of what was stored.
///
/// Sums were taken before rounding. Those of probabilities and logits can be checked only where logits are stored.
pub(crate) fn check_sums(
    report: &mut ValidationReport,
    manifest: &Manifest,
    tokens: &[TokenRow],
    decisions: &DecisionBatch,
    found: &[Profile],
    place: &str,
) {
    let expected = profiles(tokens, decisions, &manifest.model.gating);
    let keys = |list: &[Profile]| -> Vec<(LayerId, Phase)> {
        list.iter().map(|p| (p.layer, p.phase)).collect()
    };
    for key in keys(&expected) {
        if !keys(found).contains(&key) {
            report.add(ViolationKind::Profile, || {
                format!("{place}, {}: missing", shown(key))
            });
        }
    }
    let error = Error::of(manifest, decisions);
    for profile in found {
        let at = || format!("{place}, {}", shown((profile.layer, profile.phase)));
        let Some(sums) = expected
            .iter()
            .find(|e| (e.layer, e.phase) == (profile.layer, profile.phase))
        else {
            report.add(ViolationKind::Profile, || {
                format!("{}: no content token is there", at())
            });
            continue;
        };
        if profile.n_tokens != sums.n_tokens || profile.counts != sums.counts {
            report.add(ViolationKind::Profile, || {
                format!(
                    "{}: {} tokens and counts {:?}, expected {} and {:?}",
                    at(),
                    profile.n_tokens,
                    profile.counts,
                    sums.n_tokens,
                    sums.counts
                )
            });
        }
        let tokens = f64::from(sums.n_tokens);
        let lists = [
            (
                schema::WEIGHT_SUM,
                &profile.weight_sum,
                &sums.weight_sum,
                error.weight,
                0.0,
            ),
            (
                schema::PROB_SUM,
                &profile.prob_sum,
                &sums.prob_sum,
                error.probability,
                0.0,
            ),
            (
                schema::LOGIT_SUM,
                &profile.logit_sum,
                &sums.logit_sum,
                0.0,
                error.logit * tokens,
            ),
            (
                schema::LAST_PROB,
                &profile.last_prob,
                &sums.last_prob,
                error.probability,
                0.0,
            ),
        ];
        for (name, found, wanted, relative, absolute) in lists {
            let (Some(found), Some(wanted)) = (found, wanted) else {
                continue;
            };
            // A sum of f32 numbers that was stored as f32.
            let absolute = absolute + 1e-6 * tokens;
            if let Some(expert) = first_difference(found, wanted, relative, absolute) {
                report.add(ViolationKind::Profile, || {
                    format!(
                        "{}: {name} of expert {expert} is {}, expected {}",
                        at(),
                        found[expert],
                        wanted[expert]
                    )
                });
            }
        }
    }
}

/// How far sums of stored numbers may be from the sums of what was computed.
struct Error {
    weight: f64,
    probability: f64,
    logit: f64,
}

impl Error {
    fn of(manifest: &Manifest, decisions: &DecisionBatch) -> Self {
        let relative = 0.5f64.powi(i32::from(manifest.float_significant_bits)) + 1e-6;
        let largest = decisions
            .router_logits
            .iter()
            .flatten()
            .fold(0.0f64, |most, z| most.max(f64::from(z.abs())));
        let logit = largest * relative;
        Self {
            weight: relative,
            // exp(z + d) / Σ exp(z + d') differs from exp(z) / Σ exp(z) by at most the factor exp(2d).
            probability: (2.0 * logit).exp_m1() + 1e-6,
            logit,
        }
    }
}

/// The first place at which two lists differ by more than allowed; NaN equals NaN.
fn first_difference(found: &[f32], wanted: &[f32], relative: f64, absolute: f64) -> Option<usize> {
    if found.len() != wanted.len() {
        // The length was reported with the shape.
        return None;
    }
    found.iter().zip(wanted).position(|(a, b)| {
        let (a, b) = (f64::from(*a), f64::from(*b));
        let is_close = (a - b).abs() <= absolute + relative * b.abs();
        let is_same = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        !(is_close || is_same)
    })
}

fn shown((layer, phase): (LayerId, Phase)) -> String {
    format!("layer {layer}, {phase}")
}
