//! The experts that tokens choose together with one.

use moescope_core::Progress;

use super::{Companion, ExpertConfig};
use crate::{
    AnalyticsError, MeasureRequest, Metric, TraceData,
    data::Selection,
    find,
    inference::{CountedPairs, LIFT_VARIANTS, co_activation, co_activation_lift, count_pairs},
};

/// The companions of an expert at the one layer of a request, most over chance first.
pub(super) fn companions(
    data: &TraceData,
    request: &MeasureRequest,
    config: &ExpertConfig,
    progress: &dyn Progress,
) -> Result<Vec<Companion>, AnalyticsError> {
    let [together, beside] =
        [find("co_activation")?, find("co_activation_lift")?].map(Metric::about);
    let selection =
        Selection::new(data, request, together.name, progress)?.under_one_label(request);
    let pairs = CountedPairs::All;
    let counts = count_pairs(data, &selection, request, together.name, pairs, progress)?;
    let share = co_activation(
        data, &selection, request, &together, &counts, pairs, progress,
    )?;
    let lift = co_activation_lift(data, &selection, request, &beside, &counts, progress)?;
    let experts = usize::from(data.model().num_experts);
    let own = usize::from(config.expert);
    let variant = |name: &str| {
        LIFT_VARIANTS
            .iter()
            .position(|known| *known == name)
            .expect("a variant of the metric")
    };
    let place = |name: &str, other: usize| (variant(name) * experts + own) * experts + other;
    let mut found: Vec<Companion> = (0..data.model().num_experts)
        .filter(|other| *other != config.expert)
        .map(|expert| {
            let other = usize::from(expert);
            let tested = place("lift_given_k", other);
            Companion {
                expert,
                co_activation: share.values[own * experts + other],
                interval: share
                    .intervals
                    .as_ref()
                    .and_then(|all| all[own * experts + other]),
                lift_given_k: lift.values[tested],
                lift_interval: lift.intervals.as_ref().and_then(|all| all[tested]),
                lift: lift.values[place("lift", other)],
                z: lift.values[place("z", other)],
                q: lift
                    .nulls
                    .as_ref()
                    .and_then(|nulls| nulls[tested]?.p_corrected),
            }
        })
        .filter(|companion| companion.lift_given_k.is_finite())
        .collect();
    found.sort_by(|a, b| b.lift_given_k.total_cmp(&a.lift_given_k));
    found.truncate(config.top);
    Ok(found)
}
