//! An intervention on some experts beside the same intervention on other experts of their layer.

use moescope_core::{Axis, AxisKind, Interval, Measurement, NullComparison};

use super::{
    measurements::Words,
    quantities::{OF_DECISIONS, OF_TOKENS, Quantity},
    ratios::unit_table,
    tables::Tables,
};
use crate::{
    AnalyticsError, MeasureRequest,
    data::Selection,
    inference::{interval_words, null_words, power_of_difference},
    stats::{
        bootstrap::{Bootstrap, BootstrapConfig, bootstrap},
        interval::IntervalMethod,
        number::as_f64,
        permutation::{NullFamily, Tail},
        statistic::{Sides, Statistic},
        units::UnitTable,
    },
};

/// What every table says of each row: the target, the mean of its controls, the first minus the second.
const VARIANTS: [&str; 3] = ["target", "controls", "difference"];

const EFFECT: Words<'_> = Words {
    name: "ablation_effect",
    title: "Change of surprisal under the intervention",
    unit: "nats per token",
};
const DIVERGENCE: Words<'_> = Words {
    name: "ablation_kl",
    title: "Divergence of predictions under the intervention",
    unit: "nats per token",
};
const SELECTIVITY: Words<'_> = Words {
    name: "ablation_selectivity",
    title: "Change of surprisal beyond that of the other labels",
    unit: "nats per token",
};
const DOWNSTREAM: Words<'_> = Words {
    name: "ablation_downstream",
    title: "Assignments that changed at later layers",
    unit: "share of assignments",
};

/// All tables of an ablation; `downstream` says of each layer of the data whether it lies after the changed one.
pub(super) fn measure(
    tables: &Tables<'_>,
    downstream: &[bool],
    request: &MeasureRequest,
) -> Result<Vec<Measurement>, AnalyticsError> {
    let pooled = &request.divided_by("all");
    let all = tables.select(pooled)?;
    let of_all = Beside {
        tables,
        selection: &all,
        request: pooled,
    };
    let mut found = vec![of_all.of_tokens(EFFECT, "surprisal_change")?];
    found.push(of_all.of_tokens(DIVERGENCE, "next_token_kl")?);
    found.extend(of_all.downstream(downstream)?);
    let mut detail = tables.pooled(&all, pooled)?;
    if request.by != "all" {
        let labelled = tables.select(request)?;
        let of_labels = Beside {
            tables,
            selection: &labelled,
            request,
        };
        found.push(of_labels.of_tokens(EFFECT, "surprisal_change")?);
        found.push(of_labels.of_tokens(DIVERGENCE, "next_token_kl")?);
        if labelled.labels.len() > 1 {
            found.push(of_labels.selectivity()?);
        }
        detail.extend(tables.pooled(&labelled, request)?);
    }
    found.extend(detail);
    for measurement in &found {
        measurement.check()?;
    }
    Ok(found)
}

/// The documents of one division into labels.
struct Beside<'a> {
    tables: &'a Tables<'a>,
    selection: &'a Selection,
    request: &'a MeasureRequest,
}

impl Beside<'_> {
    /// A quantity of tokens under every label.
    fn of_tokens(&self, words: Words<'_>, quantity: &str) -> Result<Measurement, AnalyticsError> {
        let sums = sums_of(OF_TOKENS, quantity);
        let table = self.table(1, |document, _, variant| {
            sums(&self.tables.sums[variant][document].tokens)
        });
        self.placed(words, None, &table)
    }

    /// What changed at each later layer; `None` where there is none.
    fn downstream(&self, is_later: &[bool]) -> Result<Option<Measurement>, AnalyticsError> {
        let layers = self.selection.layers.iter().enumerate();
        let later: Vec<(usize, usize)> = layers
            .filter(|(_, layer)| is_later[**layer])
            .map(|(place, layer)| (place, *layer))
            .collect();
        if later.is_empty() {
            return Ok(None);
        }
        let all = self.selection.layer_axis();
        let labels = later.iter().map(|(place, _)| all.labels[*place].clone());
        let axis = Axis::new(AxisKind::Layer, labels.collect());
        let sums = sums_of(OF_DECISIONS, "changed_assignments");
        let table = self.table(later.len(), |document, row, variant| {
            sums(&self.tables.sums[variant][document].layers[later[row].1])
        });
        self.placed(DOWNSTREAM, Some(axis), &table).map(Some)
    }

    /// Each label's change minus that of all other labels together.
    fn selectivity(&self) -> Result<Measurement, AnalyticsError> {
        let sums = sums_of(OF_TOKENS, "surprisal_change");
        let table = self.table(1, |document, _, variant| {
            sums(&self.tables.sums[variant][document].tokens)
        });
        let (labels, columns) = (self.selection.labels.len(), table.columns);
        let evaluate = |sums: &[f64], out: &mut [f64]| {
            for (label, out) in out.chunks_exact_mut(VARIANTS.len()).enumerate() {
                let own = &sums[label * columns..(label + 1) * columns];
                let mut rest = vec![0.0; columns];
                let others = sums.chunks_exact(columns).enumerate();
                for (_, other) in others.filter(|(other, _)| *other != label) {
                    rest.iter_mut().zip(other).for_each(|(sum, x)| *sum += x);
                }
                let (own, rest) = (three(own), three(&rest));
                for (out, (own, rest)) in out.iter_mut().zip(own.iter().zip(rest)) {
                    *out = own - rest;
                }
            }
        };
        let statistic = Statistic {
            len: labels * VARIANTS.len(),
            evaluate: &evaluate,
            sides: &|_| Sides::All,
        };
        let resampled = self.resample(&table, &statistic)?;
        let mut nulls = None;
        let mut null_method = String::new();
        let mut note = None;
        if self.request.permutations > 0 {
            let tail = Tail::TwoSided;
            let mut family = NullFamily::new(tail, self.request.permutations, self.request.seed);
            family.add(&table, &statistic, self.tables.progress)?;
            null_method = null_words(&family, tail, "values of this table");
            note = family.note();
            nulls = Some(family.finish());
        }
        let values = statistic.values(&table.sums(0));
        let mut found = self.measurement(SELECTIVITY, None, values, &resampled);
        found.nulls = nulls;
        found.protocol.null_method = null_method;
        found.protocol.notes.extend(note);
        Ok(found)
    }

    /// A table of values with intervals, the target placed among its controls.
    fn placed(
        &self,
        words: Words<'_>,
        rows: Option<Axis>,
        table: &UnitTable,
    ) -> Result<Measurement, AnalyticsError> {
        let (labels, columns) = (self.selection.labels.len(), table.columns);
        let evaluate = |sums: &[f64], out: &mut [f64]| {
            for (sums, out) in sums
                .chunks_exact(columns)
                .zip(out.chunks_exact_mut(VARIANTS.len()))
            {
                out.copy_from_slice(&three(sums));
            }
        };
        let statistic = Statistic {
            len: labels * VARIANTS.len(),
            evaluate: &evaluate,
            sides: &|value| Sides::One(value / VARIANTS.len()),
        };
        let resampled = self.resample(table, &statistic)?;
        let controls = columns / 2 - 1;
        let number = u32::try_from(controls).expect("a few controls");
        let mut family = NullFamily::new(Tail::Greater, number, self.request.seed);
        let mut values = Vec::new();
        for row in 0..table.layers {
            let sums = table.sums(row);
            values.extend(statistic.values(&sums));
            for sums in sums.chunks_exact(columns) {
                let each = ratios_of(sums);
                family.add_value(each[0], &each[1..]);
            }
        }
        let mut found = self.measurement(words, rows, values, &resampled);
        let beside_target = |null: Option<NullComparison>| [null, None, None];
        found.nulls = Some(
            family
                .finish()
                .into_iter()
                .flat_map(beside_target)
                .collect(),
        );
        found.protocol.null_method = format!(
            "the target's place among {controls} load-matched random controls of the same layer, one-sided (more than \
             they), p = (1 + controls with at least as much) / (1 + controls); q corrects for all values of this table \
             (max-T)"
        );
        found.protocol.notes.push(format!(
            "with {controls} controls p cannot be below {:.3}",
            1.0 / as_f64(controls + 1)
        ));
        Ok(found)
    }

    fn resample(
        &self,
        table: &UnitTable,
        statistic: &Statistic<'_>,
    ) -> Result<Bootstrap, AnalyticsError> {
        let config = BootstrapConfig {
            resamples: self.request.resamples,
            seed: self.request.seed,
            level: self.request.level,
            method: IntervalMethod::Percentile,
        };
        Ok(bootstrap(table, statistic, config, self.tables.progress)?)
    }

    /// A measurement over `[rows, labels, variants]` without a null yet.
    fn measurement(
        &self,
        words: Words<'_>,
        rows: Option<Axis>,
        values: Vec<f64>,
        resampled: &Bootstrap,
    ) -> Measurement {
        let (request, selection) = (self.request, self.selection);
        let mut protocol = selection.protocol(request);
        let method = IntervalMethod::Percentile;
        protocol.interval_method = interval_words(selection, request, method, resampled);
        // What did not happen once in the data cannot happen in a resample of it.
        let is_zero = |value: f64, i: Interval| value == 0.0 && i.low == 0.0 && i.high == 0.0;
        let intervals: Vec<Option<Interval>> = resampled
            .intervals
            .iter()
            .zip(&values)
            .map(|(interval, value)| interval.filter(|i| !is_zero(*value, *i)))
            .collect();
        let has_intervals = intervals.iter().any(Option::is_some);
        protocol.level = has_intervals.then_some(request.level);
        let of_difference = resampled
            .standard_errors
            .iter()
            .skip(2)
            .step_by(VARIANTS.len());
        let errors: Vec<f64> = of_difference.copied().collect();
        protocol
            .notes
            .extend(power_of_difference(&errors, "the controls", words.unit));
        let mut axes: Vec<Axis> = rows.into_iter().collect();
        if request.by != "all" {
            axes.push(selection.group_axis());
        }
        let variants = VARIANTS.iter().map(|name| (*name).to_owned());
        axes.push(Axis::new(AxisKind::Variant, variants.collect()));
        Measurement {
            metric: words.name.to_owned(),
            title: words.title.to_owned(),
            unit: words.unit.to_owned(),
            axes,
            values,
            intervals: has_intervals.then_some(intervals),
            nulls: None,
            reference: Some(0.0),
            protocol,
        }
    }

    /// Numerators and denominators of every variant per unit, `[rows, units, 2 · variants]`.
    fn table(&self, rows: usize, sums: impl Fn(usize, usize, usize) -> [f64; 2]) -> UnitTable {
        let variants = self.tables.variants.len();
        unit_table(self.selection, rows, variants, |document, row, out| {
            for (variant, out) in out.iter_mut().enumerate() {
                *out = sums(document, row, variant);
            }
        })
    }
}

/// The two sums of a quantity of the list.
fn sums_of<S>(quantities: &[Quantity<S>], name: &str) -> fn(&S) -> [f64; 2] {
    let found = quantities.iter().find(|quantity| quantity.name == name);
    found.expect("a quantity of the list").sums
}

/// Every variant's ratio.
fn ratios_of(sums: &[f64]) -> Vec<f64> {
    sums.chunks_exact(2).map(|pair| pair[0] / pair[1]).collect()
}

/// The target's ratio, the mean of its controls', and the difference.
fn three(sums: &[f64]) -> [f64; 3] {
    let each = ratios_of(sums);
    let controls = each[1..].iter().sum::<f64>() / as_f64(each.len() - 1);
    [each[0], controls, each[0] - controls]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_stands_beside_the_mean_of_its_controls() {
        // 6 / 4, and controls 1 / 4, 3 / 4 and 0: their mean is a third of 1.
        let found = three(&[6.0, 4.0, 1.0, 4.0, 3.0, 4.0, 0.0, 4.0]);
        let want = [1.5, 1.0 / 3.0, 1.5 - 1.0 / 3.0];
        for (found, want) in found.iter().zip(want) {
            assert!((found - want).abs() < 1e-15, "{found} {want}");
        }
    }
}
