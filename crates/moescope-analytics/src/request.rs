//! What to measure, and how carefully.

mod labels;
mod reference;

use moescope_core::{LabelGroup, Scope};
use serde::{Deserialize, Serialize};

use crate::{
    AnalyticsError, Control, FingerprintKind, LoadMass,
    stats::information::{BiasCorrection, LabelPrior},
};

pub use reference::ReferenceScope;

/// Everything that a metric is told besides the trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MeasureRequest {
    /// The decisions to count.
    pub scope: Scope,
    /// What counts of the reference in a difference of traces, where it is not what the scope says.
    #[serde(skip_serializing_if = "ReferenceScope::is_as_scope")]
    pub reference: ReferenceScope,
    /// The label column of `samples`; `all` puts every document under one label.
    pub by: String,
    /// Labels of that column that are taken together under one name, and are one label from there on.
    pub merge: Vec<LabelGroup>,
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
    /// What is done about the upward bias of mutual information.
    pub bias: BiasCorrection,
    /// Labels are compared after their documents (or tokens, for `position`) are weighted so that these have the same distribution under every label.
    pub match_on: Vec<Control>,
    /// What `conditional_mutual_information` holds constant, jointly.
    pub given: Vec<Control>,
    /// What stands for a document in maps and classifiers.
    pub fingerprint: FingerprintKind,
    /// The cumulative score at which a set of experts that ESFT selects is complete; `None` is the published value.
    pub esft_p: Option<f64>,
    /// What the load of an expert is a sum of; `None` is what the definition of each metric says.
    pub mass: Option<LoadMass>,
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
            reference: ReferenceScope::default(),
            by: "discipline".to_owned(),
            merge: Vec::new(),
            contrast: None,
            resample_by: "group".to_owned(),
            resamples: 1000,
            permutations: 1000,
            seed: 0,
            level: 0.95,
            prior: LabelPrior::default(),
            bias: BiasCorrection::default(),
            match_on: Vec::new(),
            given: vec![Control::Token],
            fingerprint: FingerprintKind::default(),
            esft_p: None,
            mass: None,
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
    /// When the level is not between 0 and 1, the cumulative score of a set is not above 0 and at most 1, a number of
    /// resamples is absurd, a number of tokens is 0 or absurd, a contrast compares a label with itself, labels are matched
    /// by token, or what is held constant is the label itself or nothing; when a filter or a group names nothing, two are on
    /// one column or of one name, or a label belongs to two groups.
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
        self.check_controls()?;
        self.check_filters_and_groups()?;
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

    fn check_controls(&self) -> Result<(), AnalyticsError> {
        let error = |reason: String| Err(AnalyticsError::Request(reason));
        if self.match_on.contains(&Control::Token) {
            return error(
                "labels cannot be matched by token: too few token ids occur under every label; use conditional_mutual_information, which looks within token ids"
                    .to_owned(),
            );
        }
        let by = Control::Label(self.by.clone());
        if self.match_on.contains(&by) || self.given.contains(&by) {
            return error(format!(
                "{0} cannot be compared while {0} is held constant; name another column",
                self.by
            ));
        }
        if self.given.is_empty() {
            return error(
                "nothing is held constant; name something, e.g. --given token, or use mutual_information"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Refuses another mass than assignments, for a metric that is defined by them.
    pub(crate) fn check_mass_is_counts(&self, metric: &str) -> Result<(), AnalyticsError> {
        match self.mass {
            None | Some(LoadMass::Counts) => Ok(()),
            Some(mass) => Err(AnalyticsError::Request(format!(
                "{metric} is defined by assignments, not by {}; leave out --mass, or use relative_load",
                mass.as_str()
            ))),
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
        let matched = |controls: &[&str]| MeasureRequest {
            match_on: controls.iter().map(|c| (*c).to_owned().into()).collect(),
            ..MeasureRequest::default()
        };
        assert!(check(matched(&["token"])).contains("conditional_mutual_information"));
        assert!(check(matched(&["discipline"])).contains("held constant"));
        matched(&["genre", "length", "position"]).check().unwrap();
        let segment = MeasureRequest {
            segment: 0,
            ..MeasureRequest::default()
        };
        assert!(check(segment).contains("length of a segment is 0 tokens"));
        MeasureRequest::default().check().unwrap();
    }
}
