//! The `moescope …` lines that give what a view shows.

use std::path::Path;

use moescope_analytics::MeasureRequest;
use moescope_core::{LabelList, LayerSelection, PhaseSelection, Weighting};
use moescope_engine::{DeviceChoice, SamplingConfig};

use crate::{
    choices::{CaptureChoice, Cell},
    lives::{CellAction, LiveChoice, MeasuredEffect},
    state::State,
};

/// `moescope measure TRACE METRIC …`
pub(crate) fn measure(trace: &Path, metric: &str, request: &MeasureRequest) -> String {
    let mut line = Line::new("measure");
    line.path(trace).word(metric);
    request_options(&mut line, request);
    line.0
}

/// `moescope compare FIRST SECOND METRIC …`
pub(crate) fn compare(
    first: &Path,
    second: &Path,
    metric: &str,
    request: &MeasureRequest,
) -> String {
    let mut line = Line::new("compare");
    line.path(first).path(second).word(metric);
    request_options(&mut line, request);
    line.0
}

/// `moescope expert TRACE LAYER:EXPERT …`
pub(crate) fn expert(
    trace: &Path,
    cell: Cell,
    request: &MeasureRequest,
    lists: [usize; 3],
) -> Result<String, &'static str> {
    if request.scope.weighting != Weighting::Token || !request.match_on.is_empty() {
        return Err(
            "moescope expert neither weights documents alike nor matches labels; take the usual scope for it",
        );
    }
    let mut line = Line::new("expert");
    line.path(trace).word(&cell.to_string());
    let [top, contexts, window] = lists;
    line.option("top", &top.to_string());
    line.option("contexts", &contexts.to_string());
    line.option("window", &window.to_string());
    // The layer is the expert's own.
    let of_layer = MeasureRequest {
        scope: moescope_core::Scope {
            layers: LayerSelection::All,
            ..request.scope.clone()
        },
        ..request.clone()
    };
    request_options(&mut line, &of_layer);
    Ok(line.0)
}

/// `moescope capture MODEL --data … --out … …`
pub(crate) fn capture(
    choice: &CaptureChoice,
    device: DeviceChoice,
) -> Result<String, &'static str> {
    if choice.files.is_empty() {
        return Err(if choice.text.trim().is_empty() {
            "choose the texts first"
        } else {
            "the command line reads texts from files; save the typed text as one"
        });
    }
    if choice.out.as_os_str().is_empty() {
        return Err("choose the trace's folder first");
    }
    let mut line = Line::new("capture");
    line.word(&choice.model);
    line.device(device);
    line.0.push_str(" --data");
    for file in &choice.files {
        line.path(file);
    }
    line.option("out", &choice.out.to_string_lossy());
    if choice.limit > 0 {
        line.option("limit", &choice.limit.to_string());
    }
    if choice.generate > 0 {
        line.option("generate", &choice.generate.to_string());
        line.option("temperature", &choice.temperature.to_string());
        line.option("seed", &choice.seed.to_string());
    }
    for (is_on, flag) in [
        (choice.is_chat, "--chat"),
        (choice.keeps_logits, "--logits"),
        (choice.is_full_precision, "--full-precision"),
        (choice.resumes, "--resume"),
    ] {
        if is_on {
            line.word(flag);
        }
    }
    Ok(line.0)
}

/// What `moescope generate` is told.
pub(crate) struct Generation<'a> {
    pub(crate) model: &'a str,
    pub(crate) device: DeviceChoice,
    pub(crate) prompt: &'a str,
    pub(crate) is_chat: bool,
    pub(crate) system: &'a str,
    pub(crate) sampling: SamplingConfig,
    pub(crate) interventions: &'a [String],
    pub(crate) tokens: usize,
}

impl<'a> Generation<'a> {
    /// The reply that is shown, or where there is none the one that would be drawn now.
    ///
    /// # Errors
    /// When no single line gives that reply.
    pub(crate) fn shown(state: &'a State) -> Result<Self, &'static str> {
        let (choice, lives) = (&state.choices.live, &state.lives);
        let chosen = Self {
            model: &state.choices.capture.model,
            device: state.device_choice,
            prompt: &choice.prompt,
            is_chat: choice.is_chat,
            system: choice.system.trim(),
            sampling: choice.sampling(),
            interventions: &choice.interventions,
            tokens: choice.max_tokens,
        };
        let Some(branch) = lives.branch() else {
            return Ok(chosen);
        };
        let info = &branch.info;
        if info.messages.len() > 1 {
            return Err(
                "moescope generate asks one question; a conversation of several messages is kept as a trace",
            );
        }
        if !info.is_plain {
            return Err(
                "this line was changed on the way, which no single command does; keep it as a trace",
            );
        }
        let model = lives.model.value().map(|model| model.name.as_str());
        let drawn = branch.columns.len() - branch.columns.num_prompt_tokens();
        Ok(Self {
            model: model.unwrap_or(chosen.model),
            prompt: &info.prompt,
            is_chat: info.is_chat,
            system: info.system.as_deref().unwrap_or_default(),
            sampling: info.sampling.clone(),
            interventions: info
                .interventions
                .first()
                .map_or(&[][..], |(_, specs)| specs.as_slice()),
            tokens: if drawn > 0 { drawn } else { chosen.tokens },
            ..chosen
        })
    }
}

/// `moescope generate MODEL --prompt … …`
pub(crate) fn generate(generation: &Generation<'_>) -> Result<String, &'static str> {
    if generation.prompt.is_empty() {
        return Err("type a prompt first");
    }
    let mut line = Line::new("generate");
    line.word(generation.model);
    line.device(generation.device);
    line.option("prompt", generation.prompt);
    line.option("max-tokens", &generation.tokens.to_string());
    let (sampling, plain) = (&generation.sampling, SamplingConfig::default());
    if sampling.temperature > 0.0 {
        line.option("temperature", &sampling.temperature.to_string());
        line.option("seed", &sampling.seed.to_string());
    }
    if sampling.top_k != plain.top_k {
        line.option("top-k", &sampling.top_k.to_string());
    }
    if sampling.top_p < plain.top_p {
        line.option("top-p", &sampling.top_p.to_string());
    }
    if generation.is_chat {
        line.word("--chat");
        if !generation.system.is_empty() {
            line.option("system", generation.system);
        }
    }
    for spec in generation.interventions {
        line.option("intervene", spec);
    }
    Ok(line.0)
}

/// Bytes of a word that every shell passes on; Linux takes up to 128 KiB.
const LONGEST_WORD: usize = 100_000;

/// `moescope effect MODEL --text … --intervene …`; tokens by their ids where no text gives the same ones.
pub(crate) fn effect(
    measured: &MeasuredEffect,
    device: DeviceChoice,
) -> Result<String, &'static str> {
    let (option, value) = if let Some(text) = &measured.text {
        ("text", text.clone())
    } else {
        let ids: Vec<String> = measured.ids.iter().map(ToString::to_string).collect();
        ("token-ids", ids.join(","))
    };
    if value.len() > LONGEST_WORD {
        return Err("the text is too long for a command line; measure on a shorter line");
    }
    let mut line = Line::new("effect");
    line.word(&measured.model);
    line.device(device);
    line.option(option, &value);
    for spec in &measured.effect.interventions {
        line.option("intervene", spec);
    }
    Ok(line.0)
}

/// `moescope ablate MODEL --data … --expert … …`; without data where the command takes the embedded texts.
pub(crate) fn ablate(
    capture: &CaptureChoice,
    choice: &LiveChoice,
    device: DeviceChoice,
    cell: Cell,
) -> Result<String, &'static str> {
    let mut line = Line::new("ablate");
    line.word(&capture.model);
    line.device(device);
    if capture.held_out().is_none() {
        if capture.files.is_empty() {
            return Err("choose the texts first");
        }
        line.0.push_str(" --data");
        for file in &capture.files {
            line.path(file);
        }
    }
    line.option("expert", &cell.to_string());
    match choice.action {
        CellAction::Mask => {}
        CellAction::Zero => {
            line.word("--zero");
        }
        CellAction::Force => {
            line.word("--force");
        }
        CellAction::Boost => line.option("boost", &choice.boost.to_string()),
        CellAction::Swap => {
            return Err("choose mask, zero, force or boost; a swap has no controls");
        }
    }
    line.option("controls", &choice.controls.to_string());
    if choice.ablate_limit > 0 {
        line.option("limit", &choice.ablate_limit.to_string());
    }
    Ok(line.0)
}

/// The options in which a request differs from the command line's own.
fn request_options(line: &mut Line, request: &MeasureRequest) {
    let plain = MeasureRequest::default();
    let scope = &request.scope;
    if request.by != plain.by {
        line.option("by", &request.by);
    }
    if let Some((a, b)) = &request.contrast {
        line.option("contrast", &LabelList::of_pair(a, b));
    }
    if !scope.labels.is_empty() {
        line.option("labels", &LabelList(scope.labels.clone()).to_string());
    }
    if scope.layers != LayerSelection::All {
        line.option("layers", &scope.layers.to_string());
    }
    match scope.phase {
        PhaseSelection::Prefill => {}
        PhaseSelection::Decode => line.option("phase", "decode"),
        PhaseSelection::All => line.option("phase", "all"),
    }
    if scope.include_special {
        line.word("--include-special");
    }
    if scope.weighting == Weighting::Document {
        line.option("weighting", "document");
    }
    if request.resample_by != plain.resample_by {
        line.option("resample-by", &request.resample_by);
    }
    if request.resamples != plain.resamples {
        line.option("resamples", &request.resamples.to_string());
    }
    if request.level.total_cmp(&plain.level).is_ne() {
        line.option("level", &request.level.to_string());
    }
    if request.seed != plain.seed {
        line.option("seed", &request.seed.to_string());
    }
    if !request.match_on.is_empty() {
        let variables: Vec<String> = request.match_on.iter().map(ToString::to_string).collect();
        line.option("match", &variables.join(","));
    }
    if request.fingerprint != plain.fingerprint {
        line.option("fingerprint", request.fingerprint.as_str());
    }
}

/// A command line, word by word.
struct Line(String);

impl Line {
    fn new(verb: &str) -> Self {
        Self(format!("moescope {verb}"))
    }

    fn word(&mut self, word: &str) -> &mut Self {
        self.0.push(' ');
        self.0.push_str(&quoted(word));
        self
    }

    fn path(&mut self, path: &Path) -> &mut Self {
        self.word(&path.to_string_lossy())
    }

    /// The device, where one was asked for.
    fn device(&mut self, device: DeviceChoice) {
        if device != DeviceChoice::Auto {
            self.option("device", &device.to_string());
        }
    }

    fn option(&mut self, name: &str, value: &str) {
        self.0.push_str(" --");
        self.0.push_str(name);
        self.word(value);
    }
}

/// A word as a POSIX shell takes it unchanged.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use moescope_core::{LayerId, Scope};
    use moescope_pipeline::{TextEffect, session::BranchId};

    use super::*;
    use crate::lives::TextOrigin;

    #[test]
    fn only_what_differs_from_the_usual_is_said() {
        let path = Path::new("my trace");
        assert_eq!(
            measure(path, "jsd", &MeasureRequest::default()),
            "moescope measure 'my trace' jsd"
        );
        let request = MeasureRequest {
            scope: Scope {
                layers: "3".parse().unwrap(),
                phase: PhaseSelection::All,
                ..Scope::default()
            },
            contrast: Some(("math".into(), "law".into())),
            resamples: 200,
            permutations: 200,
            ..MeasureRequest::default()
        };
        assert_eq!(
            measure(Path::new("t"), "assignment_share", &request),
            "moescope measure t assignment_share --contrast math:law --layers 3 --phase all --resamples 200"
        );
    }

    #[test]
    fn an_expert_is_named_by_layer_and_number() {
        let cell = Cell {
            layer: LayerId(3),
            expert: 5,
        };
        assert_eq!(
            expert(
                Path::new("t"),
                cell,
                &MeasureRequest::default(),
                [12, 12, 12]
            )
            .unwrap(),
            "moescope expert t 3:5 --top 12 --contexts 12 --window 12"
        );
        let weighted = MeasureRequest {
            scope: Scope {
                weighting: Weighting::Document,
                ..Scope::default()
            },
            ..MeasureRequest::default()
        };
        assert!(expert(Path::new("t"), cell, &weighted, [12, 12, 12]).is_err());
    }

    #[test]
    fn a_generation_and_an_ablation_are_lines_of_their_own() {
        let choice = LiveChoice {
            prompt: "The enzyme".into(),
            interventions: vec!["mask:3:5".into()],
            ..LiveChoice::default()
        };
        let mut state = State::default();
        state.choices.live = LiveChoice {
            max_tokens: 20,
            ..choice.clone()
        };
        let line = |state: &State| generate(&Generation::shown(state).unwrap()).unwrap();
        assert_eq!(
            line(&state),
            "moescope generate demo --prompt 'The enzyme' --max-tokens 20 --temperature 0.8 --seed 1 --intervene mask:3:5"
        );
        state.device_choice = DeviceChoice::Cpu;
        assert!(line(&state).starts_with("moescope generate demo --device cpu --prompt"));
        let auto = DeviceChoice::Auto;
        let capture = CaptureChoice {
            files: vec!["law.jsonl".into()],
            ..CaptureChoice::default()
        };
        let cell = Cell {
            layer: LayerId(3),
            expert: 5,
        };
        assert_eq!(
            ablate(&capture, &choice, auto, cell).unwrap(),
            "moescope ablate demo --data law.jsonl --expert 3:5 --controls 7 --limit 8"
        );
        // No texts: the embedded model has its own, others have none.
        let without = CaptureChoice::default();
        assert_eq!(
            ablate(&without, &choice, auto, cell).unwrap(),
            "moescope ablate demo --expert 3:5 --controls 7 --limit 8"
        );
        let other = CaptureChoice {
            model: "my-model".into(),
            ..without
        };
        assert!(ablate(&other, &choice, auto, cell).is_err());
    }

    #[test]
    fn an_effect_is_measured_on_the_same_tokens() {
        let mut measured = MeasuredEffect {
            branch: BranchId(0),
            origin: TextOrigin::Shown,
            model: "demo".into(),
            ids: vec![1, 27, 5],
            text: Some("The enzyme".into()),
            effect: TextEffect {
                interventions: vec!["mask:3:5".into(), "boost=2:1:0".into()],
                tokens: Vec::new(),
                layers: Vec::new(),
                mean_surprisal_change: None,
                mean_kl: 0.0,
            },
            by_change: Vec::new(),
        };
        let auto = DeviceChoice::Auto;
        assert_eq!(
            effect(&measured, auto).unwrap(),
            "moescope effect demo --text 'The enzyme' --intervene mask:3:5 --intervene boost=2:1:0"
        );
        measured.text = None;
        assert_eq!(
            effect(&measured, DeviceChoice::Cpu).unwrap(),
            "moescope effect demo --device cpu --token-ids 1,27,5 --intervene mask:3:5 --intervene boost=2:1:0"
        );
        measured.text = Some("a".repeat(LONGEST_WORD + 1));
        assert!(effect(&measured, auto).is_err());
    }

    #[test]
    fn quotes_survive_the_shell() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
