//! A statistic of many arrangements of the same units.

use moescope_core::Cancelled;
use rayon::prelude::*;

use super::{statistic::Statistic, units::UnitTable};

/// Arrangements that a core works through between two reports: some milliseconds.
const STEP: usize = 16;

/// The statistic of every arrangement at one layer, `[arrangements × len]`; `sum` fills the labels' sums of one.
///
/// # Errors
/// When `report`, which is told how many arrangements are done, cancels.
pub(super) fn rearranged<A: Sync>(
    table: &UnitTable,
    statistic: &Statistic<'_>,
    arrangements: &[A],
    sum: impl Fn(&A, &mut [f64]) + Sync,
    report: impl Fn(usize) -> Result<(), Cancelled>,
) -> Result<Vec<f64>, Cancelled> {
    let len = statistic.len.max(1);
    let step = STEP * rayon::current_num_threads();
    let mut values = vec![0.0; arrangements.len() * statistic.len];
    for (done, (values, arrangements)) in values
        .chunks_mut(step * len)
        .zip(arrangements.chunks(step))
        .enumerate()
    {
        report(done * step)?;
        values.par_chunks_mut(len).zip(arrangements).for_each_init(
            || vec![0.0; table.labels() * table.columns],
            |sums, (values, arrangement)| {
                sum(arrangement, sums);
                (statistic.evaluate)(sums, values);
            },
        );
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::stats::statistic::Sides;

    #[test]
    fn a_layer_is_cancelled_before_its_last_arrangement() {
        let table = UnitTable::new(1, vec![0], 1, 1);
        let evaluated = AtomicUsize::new(0);
        let statistic = Statistic {
            len: 1,
            evaluate: &|_, _| {
                evaluated.fetch_add(1, Ordering::Relaxed);
            },
            sides: &|_| Sides::All,
        };
        let arrangements = vec![(); 100_000];
        let stop_after_the_first_step = |done| if done > 0 { Err(Cancelled) } else { Ok(()) };
        let found = rearranged(
            &table,
            &statistic,
            &arrangements,
            |(), _| {},
            stop_after_the_first_step,
        );
        assert_eq!(found, Err(Cancelled));
        let step = STEP * rayon::current_num_threads();
        assert_eq!(evaluated.into_inner(), step.min(arrangements.len()));
    }
}
