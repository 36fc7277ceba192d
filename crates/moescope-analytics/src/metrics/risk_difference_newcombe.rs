//! Differences in the choice of an expert with the interval and the test that take tokens for independent.

use moescope_core::{Measurement, NullComparison, Progress, Weighting};

use super::risk_difference::{RiskDifference, column_sums, side_axes, side_title};
use crate::{
    About, AnalyticsError, LoadMass, MeasureRequest, Metric, TraceData,
    data::Selection,
    inference::{mass_table, need_two_labels},
    stats::{
        count::real,
        interval::{equal_proportions_p, newcombe},
        multiple::benjamini_hochberg,
    },
};

/// [`RiskDifference`] with analytic intervals over tokens.
pub(super) struct RiskDifferenceNewcombe;

impl Metric for RiskDifferenceNewcombe {
    fn about(&self) -> About {
        About {
            name: "risk_difference_newcombe",
            title: "Difference in the share of tokens that choose an expert, tokens taken for independent",
            edge_cases: "The values of `risk_difference` with intervals and p that are only right for independent tokens. Tokens of one document are alike, so these intervals are too narrow and these p too small, by a factor that grows with the length of documents: they are here to compare with published ones, not to draw conclusions from. Refused under document weighting, where nothing is counted. NaN where a side has no tokens at a layer.",
            uncertainty: "Newcombe's hybrid score interval over tokens, whatever the number of groups. p of the two-proportion z test over tokens, q by Benjamini and Hochberg over all values of the table; no p where all tokens of both sides agree.",
            citation: "SteerMoE, arXiv 2509.09660; Newcombe 1998, Statistics in Medicine 17, 873, method 10; Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57, 289.",
            ..RiskDifference.about()
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let about = self.about();
        if request.scope.weighting == Weighting::Document {
            return Err(AnalyticsError::Request(format!(
                "{} counts tokens, so documents cannot have equal weight; use risk_difference",
                about.name
            )));
        }
        let selection = Selection::new(data, request, about.name, progress)?;
        need_two_labels(&selection, request, about.name)?;
        let mass = LoadMass::Counts;
        let table = mass_table(data, &selection, request, mass, about.name, progress)?;
        let (experts, top_k) = (table.columns, usize::from(data.model().top_k));
        let side_axes = side_axes(&selection, request, experts);
        let sides = side_axes[0].len();
        let mut values = Vec::new();
        let mut intervals = Vec::new();
        let mut p = Vec::new();
        for layer in 0..table.layers {
            let sums = table.sums(layer);
            let all = column_sums(&sums, experts);
            for side in sums.chunks_exact(experts).take(sides) {
                let total: f64 = side.iter().sum();
                let tokens = whole(total) / top_k;
                let others = whole(all.iter().sum::<f64>() - total) / top_k;
                for (a, all) in side.iter().zip(&all) {
                    let (a, b) = ((whole(*a), tokens), (whole(all - a), others));
                    values.push(share(a) - share(b));
                    intervals.push(newcombe(a, b, request.level));
                    p.push(equal_proportions_p(a, b));
                }
            }
        }
        let nulls = p
            .iter()
            .zip(benjamini_hochberg(&p))
            .map(|(p, q)| {
                let comparison = NullComparison {
                    null_mean: 0.0,
                    p: *p,
                    p_corrected: Some(q),
                };
                p.is_finite().then_some(comparison)
            })
            .collect();
        let mut protocol = selection.protocol(request);
        protocol.level = Some(request.level);
        "Newcombe's hybrid score over tokens as if they were independent"
            .clone_into(&mut protocol.interval_method);
        "two-proportion z test over tokens as if they were independent, two-sided; q corrects for all values of this table (Benjamini-Hochberg)"
            .clone_into(&mut protocol.null_method);
        protocol.notes.push(
            "tokens of one document are not independent: these intervals are too narrow and these p too small; risk_difference resamples groups instead"
                .to_owned(),
        );
        let mut axes = vec![selection.layer_axis()];
        axes.extend(side_axes);
        let measurement = Measurement {
            metric: about.name.to_owned(),
            title: side_title(&about, request),
            unit: about.unit.to_owned(),
            axes,
            values,
            intervals: Some(intervals),
            nulls: Some(nulls),
            reference: Some(0.0),
            protocol,
        };
        measurement.check()?;
        Ok(vec![measurement])
    }
}

/// Tokens that choose over tokens; NaN without tokens.
fn share((chosen, tokens): (usize, usize)) -> f64 {
    real(chosen) / real(tokens)
}

/// A sum of counts as a whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a sum of counts is a whole number, exact below 2⁵³"
)]
fn whole(sum: f64) -> usize {
    sum.round() as usize
}
