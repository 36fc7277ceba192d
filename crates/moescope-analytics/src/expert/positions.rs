//! Where in documents an expert is chosen.

use moescope_core::Progress;

use super::PositionShare;
use crate::{AnalyticsError, MeasureRequest, TraceData, find};

/// An expert's part of `position_profile` at the one layer of a request.
pub(super) fn positions(
    data: &TraceData,
    request: &MeasureRequest,
    expert: u16,
    progress: &dyn Progress,
) -> Result<Vec<PositionShare>, AnalyticsError> {
    let metric = find("position_profile")?;
    let found = metric.measure(data, request, progress)?.remove(0);
    // Layer, position, expert, and observed, shuffled and excess.
    let ranges = &found.axes[1].labels;
    Ok(ranges
        .iter()
        .enumerate()
        .map(|(range, positions)| {
            let place = |variant| found.flat_index(&[0, range, usize::from(expert), variant]);
            let interval = |variant| found.intervals.as_ref().and_then(|all| all[place(variant)]);
            let null = found.nulls.as_ref().and_then(|nulls| nulls[place(2)]);
            PositionShare {
                positions: positions.clone(),
                share: found.values[place(0)],
                interval: interval(0),
                excess: found.values[place(2)],
                excess_interval: interval(2),
                q: null.and_then(|null| null.p_corrected),
            }
        })
        .filter(|range| range.share.is_finite())
        .collect())
}
