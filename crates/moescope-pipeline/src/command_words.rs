//! The words of `moescope …` lines, as a shell takes them and with no option that says what is usual anyway.
//!
//! What the options of a verb mean is not known here: they are written as their names are given.

use std::path::Path;

use moescope_analytics::{BiasCorrection, Control, MeasureRequest};
use moescope_core::{LabelList, LayerSelection, Weighting};
use moescope_engine::DeviceChoice;

/// A command line, word by word.
///
/// ```
/// use moescope_pipeline::command_words::Line;
///
/// let mut line = Line::new("measure");
/// line.word("my trace").word("jsd");
/// line.option("seed", "7");
/// assert_eq!(line.into_string(), "moescope measure 'my trace' jsd --seed 7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line(String);

impl Line {
    /// A line of a verb: `moescope measure`.
    #[must_use]
    pub fn new(verb: &str) -> Self {
        Self::beginning(&format!("moescope {verb}"))
    }

    /// A line that begins with words that are taken as they are.
    #[must_use]
    pub fn beginning(words: &str) -> Self {
        Self(words.to_owned())
    }

    /// The line as it is typed.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    /// Adds a word, in quotes where a shell needs them.
    pub fn word(&mut self, word: &str) -> &mut Self {
        self.0.push(' ');
        self.0.push_str(&quoted(word));
        self
    }

    /// Adds a path.
    pub fn path(&mut self, path: &Path) -> &mut Self {
        self.word(&path.to_string_lossy())
    }

    /// Adds the device, where one was asked for.
    pub fn device(&mut self, device: DeviceChoice) {
        if device != DeviceChoice::Auto {
            self.option("device", &device.to_string());
        }
    }

    /// Adds an option with its value.
    pub fn option(&mut self, name: &str, value: &str) {
        self.0.push_str(" --");
        self.0.push_str(name);
        if value.starts_with('-') {
            // With a space between, it would be taken for another option.
            self.0.push('=');
            self.0.push_str(&quoted(value));
        } else {
            self.word(value);
        }
    }

    /// Adds the flags that are on.
    pub fn flags(&mut self, flags: &[(bool, &str)]) {
        for (_, flag) in flags.iter().filter(|(is_on, _)| *is_on) {
            self.word(flag);
        }
    }

    /// Adds the options in which a request differs from the command line's own.
    ///
    /// Permutations are as many as resamples on every command line, and the weight of labels in mutual information is the
    /// usual one: a request with others is written as if it had these.
    pub fn request_options(&mut self, request: &MeasureRequest) {
        let plain = MeasureRequest::default();
        self.scope_options(request, &plain);
        if request.resample_by != plain.resample_by {
            self.option("resample-by", &request.resample_by);
        }
        if request.resamples != plain.resamples {
            self.option("resamples", &request.resamples.to_string());
        }
        if request.level.total_cmp(&plain.level).is_ne() {
            self.option("level", &request.level.to_string());
        }
        if request.seed != plain.seed {
            self.option("seed", &request.seed.to_string());
        }
        if !request.match_on.is_empty() {
            self.option("match", &joined(&request.match_on));
        }
        self.metric_options(request, &plain);
    }

    /// Which documents and decisions count, and by which labels.
    fn scope_options(&mut self, request: &MeasureRequest, plain: &MeasureRequest) {
        let scope = &request.scope;
        if request.by != plain.by {
            self.option("by", &request.by);
        }
        for group in &request.merge {
            self.option("merge", &group.to_string());
        }
        if let Some((a, b)) = &request.contrast {
            self.option("contrast", &LabelList::of_pair(a, b));
        }
        if !scope.labels.is_empty() {
            self.option("labels", &LabelList(scope.labels.clone()).to_string());
        }
        for filter in &scope.only {
            self.option("only", &filter.to_string());
        }
        if scope.layers != LayerSelection::All {
            self.option("layers", &scope.layers.to_string());
        }
        if scope.phase != plain.scope.phase {
            self.option("phase", scope.phase.name());
        }
        if !scope.positions.is_all() {
            self.option("positions", &scope.positions.to_string());
        }
        if scope.include_special {
            self.word("--include-special");
        }
        if scope.weighting == Weighting::Document {
            self.option("weighting", "document");
        }
        let reference = &request.reference;
        if let Some(phase) = reference.phase {
            self.option("reference-phase", phase.name());
        }
        if let Some(positions) = &reference.positions {
            self.option("reference-positions", &positions.to_string());
        }
        for filter in &reference.only {
            self.option("reference-only", &filter.to_string());
        }
    }

    /// What single metrics are told.
    fn metric_options(&mut self, request: &MeasureRequest, plain: &MeasureRequest) {
        if request.given != plain.given {
            self.option("given", &joined(&request.given));
        }
        match request.bias {
            BiasCorrection::Permutation => {}
            BiasCorrection::MillerMadow => self.option("bias", "miller-madow"),
            BiasCorrection::None => self.option("bias", "none"),
        }
        if request.fingerprint != plain.fingerprint {
            self.option("fingerprint", request.fingerprint.as_str());
        }
        if let Some(p) = request.esft_p {
            self.option("esft-p", &p.to_string());
        }
        if let Some(mass) = request.mass {
            self.option("mass", mass.as_str());
        }
        let lengths = [
            ("lags", request.lags, plain.lags),
            ("segment", request.segment, plain.segment),
            ("window", request.window, plain.window),
        ];
        for (name, tokens, usual) in lengths {
            if tokens != usual {
                self.option(name, &tokens.to_string());
            }
        }
    }
}

/// Variables with commas between.
fn joined(variables: &[Control]) -> String {
    let names: Vec<String> = variables.iter().map(ToString::to_string).collect();
    names.join(",")
}

/// A word as a POSIX shell takes it unchanged.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use moescope_analytics::{LoadMass, ReferenceScope};
    use moescope_core::PhaseSelection;

    use super::*;

    #[track_caller]
    fn check(request: &MeasureRequest, expected: &str) {
        let mut line = Line::beginning("measure TRACE jsd");
        line.request_options(request);
        assert_eq!(line.into_string(), format!("measure TRACE jsd{expected}"));
    }

    #[test]
    fn quotes_survive_the_shell() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_value_that_begins_like_an_option_stays_a_value() {
        let mut line = Line::new("capture");
        line.device(DeviceChoice::Auto);
        line.device(DeviceChoice::Cpu);
        line.option("system", "- briefly");
        line.flags(&[(true, "--logits"), (false, "--resume")]);
        assert_eq!(
            line.into_string(),
            "moescope capture --device cpu --system='- briefly' --logits"
        );
    }

    #[test]
    fn only_what_differs_from_the_usual_is_said() {
        check(&MeasureRequest::default(), "");
        let request = MeasureRequest {
            by: "genre".into(),
            contrast: Some(("a:b".into(), "review".into())),
            resample_by: "book".into(),
            resamples: 200,
            permutations: 200,
            seed: 7,
            level: 0.9,
            match_on: vec!["length".to_owned().into(), "position".to_owned().into()],
            ..MeasureRequest::default()
        };
        check(
            &request,
            r" --by genre --contrast 'a\:b:review' --resample-by book --resamples 200 --level 0.9 --seed 7 --match length,position",
        );
    }

    #[test]
    fn scopes_are_written_as_the_command_line_reads_them() {
        let merge = ["science=chemistry,physics", r"arts\=letters=history: old"];
        let only = [r"genre=abstract,review\, short"];
        let mut request = MeasureRequest {
            merge: merge.iter().map(|group| group.parse().unwrap()).collect(),
            ..MeasureRequest::default()
        };
        request.scope.labels = vec!["science".into(), "law".into()];
        request.scope.only = only.iter().map(|filter| filter.parse().unwrap()).collect();
        request.scope.layers = "0,5-8".parse().unwrap();
        request.scope.phase = PhaseSelection::Decode;
        request.scope.positions = "0,16-".parse().unwrap();
        request.scope.include_special = true;
        request.scope.weighting = Weighting::Document;
        check(
            &request,
            r" --merge science=chemistry,physics --merge 'arts\=letters=history\: old' --labels science,law --only 'genre=abstract,review\, short' --layers 0,5-8 --phase decode --positions 0,16- --include-special --weighting document",
        );
    }

    #[test]
    fn what_counts_of_a_reference_is_said() {
        let mut request = MeasureRequest::default();
        request.scope.phase = PhaseSelection::All;
        request.reference = ReferenceScope {
            phase: Some(PhaseSelection::Prefill),
            positions: Some("0-7".parse().unwrap()),
            only: vec!["discipline=law,old math".parse().unwrap()],
        };
        check(
            &request,
            " --phase all --reference-phase prefill --reference-positions 0-7 --reference-only 'discipline=law,old math'",
        );
    }

    #[test]
    fn what_single_metrics_are_told_is_said() {
        let request = MeasureRequest {
            given: vec!["position".to_owned().into(), "genre".to_owned().into()],
            bias: BiasCorrection::MillerMadow,
            esft_p: Some(0.1),
            mass: Some(LoadMass::Weights),
            lags: 8,
            segment: 4,
            window: 64,
            ..MeasureRequest::default()
        };
        check(
            &request,
            " --given position,genre --bias miller-madow --esft-p 0.1 --mass weights --lags 8 --segment 4 --window 64",
        );
    }
}
