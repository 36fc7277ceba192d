//! What to measure, and how carefully.

use moescope_core::Scope;
use serde::{Deserialize, Serialize};

use crate::{AnalyticsError, FingerprintKind, stats::information::LabelPrior};

/// Everything that a metric is told besides the trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MeasureRequest {
    /// The decisions to count.
    pub scope: Scope,
    /// The label column of `samples`; `all` puts every document under one label.
    pub by: String,
    /// Measure the difference first − second of two labels instead of every label.
    pub contrast: Option<(String, String)>,
    /// The column of `samples` whose values are resampled together; NULL means the document itself.
    pub resample_by: String,
    /// Bootstrap resamples; 0 makes no intervals.
    pub resamples: u32,
    /// Permutations of the null; 0 makes no p values.
    pub permutations: u32,
    /// Seed of all randomness.
    pub seed: u64,
    /// Level of the intervals, between 0 and 1.
    pub level: f64,
    /// The weight of labels in mutual information.
    pub prior: LabelPrior,
    /// What stands for a document in maps and classifiers.
    pub fingerprint: FingerprintKind,
    /// The cumulative score at which a set of experts that ESFT selects is complete; `None` is the published value.
    pub esft_p: Option<f64>,
    /// The largest distance of tokens whose experts are compared.
    pub lags: u32,
    /// Tokens of a segment that one set of experts is to serve.
    pub segment: u32,
    /// Tokens of a window whose routing is compared with that of labels.
    pub window: u32,
}

impl Default for MeasureRequest {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            by: "discipline".to_owned(),
            contrast: None,
            resample_by: "group".to_owned(),
            resamples: 1000,
            permutations: 1000,
            seed: 0,
            level: 0.95,
            prior: LabelPrior::default(),
            fingerprint: FingerprintKind::default(),
            esft_p: None,
            lags: 32,
            segment: 16,
            window: 32,
        }
    }
}

impl MeasureRequest {
    /// Checks the options that no type checks.
    ///
    /// # Errors
    /// When the level is not between 0 and 1, a number of tokens is 0 or absurd, the cumulative score of a set is not above 0 and at most 1, a number of resamples is absurd, or a contrast compares a label with itself.
    pub fn check(&self) -> Result<(), AnalyticsError> {
        const MOST_RESAMPLES: u32 = 1_000_000;
        const MOST_TOKENS: u32 = 1024;
        let error = |reason: String| Err(AnalyticsError::Request(reason));
        if !(self.level > 0.0 && self.level < 1.0) {
            return error(format!(
                "the level of the intervals is {}; use a number between 0 and 1, e.g. 0.95",
                self.level
            ));
        }
        if self.resamples.max(self.permutations) > MOST_RESAMPLES {
            return error(format!(
                "{} resamples were asked for; use at most {MOST_RESAMPLES}",
                self.resamples.max(self.permutations)
            ));
        }
        if let Some(p) = self.esft_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
            return error(format!(
                "the cumulative score of ESFT's sets is {p}; use a number above 0 and at most 1, e.g. 0.2"
            ));
        }
        let lengths = [
            ("largest lag", self.lags),
            ("length of a segment", self.segment),
            ("length of a window", self.window),
        ];
        if let Some((name, found)) = lengths.iter().find(|(_, n)| !(1..=MOST_TOKENS).contains(n)) {
            return error(format!(
                "the {name} is {found} tokens; use 1 to {MOST_TOKENS}"
            ));
        }
        match &self.contrast {
            Some((a, b)) if a == b => error(format!(
                "the contrast compares '{a}' with itself; name two labels, e.g. math:law"
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_options_are_refused_in_words() {
        let check = |request: MeasureRequest| request.check().unwrap_err().to_string();
        let level = MeasureRequest {
            level: 95.0,
            ..MeasureRequest::default()
        };
        assert!(check(level).contains("between 0 and 1"));
        let contrast = MeasureRequest {
            contrast: Some(("law".into(), "law".into())),
            ..MeasureRequest::default()
        };
        assert!(check(contrast).contains("with itself"));
        for p in [0.0, 1.5, f64::NAN] {
            let request = MeasureRequest {
                esft_p: Some(p),
                ..MeasureRequest::default()
            };
            assert!(check(request).contains("above 0 and at most 1"));
        }
        let segment = MeasureRequest {
            segment: 0,
            ..MeasureRequest::default()
        };
        assert!(check(segment).contains("length of a segment is 0 tokens"));
        MeasureRequest::default().check().unwrap();
    }
}
