//! The line of the command line that writes a reply again.

use std::path::PathBuf;

use moescope_engine::{DeviceChoice, SamplingConfig};
use moescope_pipeline::{command_words::Line, session::BranchId};

use super::draw_options;
use crate::{
    lives::{free_path, kept_folder},
    state::State,
};

/// What `moescope generate` is told.
pub(super) struct Generation<'a> {
    pub(super) model: &'a str,
    pub(super) device: DeviceChoice,
    pub(super) prompt: &'a str,
    pub(super) is_chat: bool,
    pub(super) system: &'a str,
    pub(super) sampling: SamplingConfig,
    pub(super) interventions: &'a [String],
    pub(super) tokens: usize,
    /// The folder of a trace that is not there yet, of which every number of the routing can be measured.
    pub(super) trace: PathBuf,
}

impl<'a> Generation<'a> {
    /// The reply that is shown, or where there is none the one that would be drawn now.
    ///
    /// # Errors
    /// When no single line gives that reply.
    pub(super) fn shown(state: &'a State) -> Result<Self, &'static str> {
        let (choice, lives) = (&state.choices.live, &state.lives);
        let line = lives.branch().map_or(BranchId(0), |branch| branch.info.id);
        let folder = kept_folder(choice, &state.choices.capture);
        let chosen = Self {
            model: &state.choices.capture.model,
            device: state.device_choice,
            prompt: &choice.prompt,
            is_chat: choice.is_chat,
            system: choice.system.trim(),
            sampling: choice.sampling(),
            interventions: &choice.interventions,
            tokens: choice.max_tokens,
            trace: free_path(&folder, line),
        };
        let Some(branch) = lives.branch() else {
            return Ok(chosen);
        };
        let info = &branch.info;
        if info.messages.len() > 1 {
            return Err(
                "moescope generate asks one question; a conversation of several messages can be kept as a trace, of which every picture is measured",
            );
        }
        if !info.is_plain {
            return Err(
                "this line was changed on the way, which no single command does; keep it as a trace, of which every picture is measured",
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

/// `moescope generate MODEL --prompt … … --trace FOLDER`
pub(super) fn generate(generation: &Generation<'_>) -> Result<String, &'static str> {
    if generation.prompt.is_empty() {
        return Err("type a prompt first");
    }
    let mut line = Line::new("generate");
    line.word(generation.model);
    line.device(generation.device);
    line.option("prompt", generation.prompt);
    line.option("max-tokens", &generation.tokens.to_string());
    let sampling = &generation.sampling;
    if sampling.temperature > 0.0 {
        line.option("temperature", &sampling.temperature.to_string());
        line.option("seed", &sampling.seed.to_string());
    }
    draw_options(&mut line, sampling.top_k, sampling.top_p);
    if generation.is_chat {
        line.word("--chat");
        if !generation.system.is_empty() {
            line.option("system", generation.system);
        }
    }
    for spec in generation.interventions {
        line.option("intervene", spec);
    }
    line.option("trace", &generation.trace.to_string_lossy());
    Ok(line.into_string())
}

#[cfg(test)]
mod tests {
    use moescope_pipeline::command_words::quoted;

    use super::*;
    use crate::lives::LiveChoice;

    #[test]
    fn a_generation_is_a_line_with_all_that_it_is_told() {
        let mut state = State::default();
        state.choices.live = LiveChoice {
            prompt: "The enzyme".into(),
            interventions: vec!["mask:3:5".into()],
            max_tokens: 20,
            kept_in: "kept".into(),
            ..LiveChoice::default()
        };
        let line = |state: &State| generate(&Generation::shown(state).unwrap()).unwrap();
        // The folder is the one in which a line is kept by its button.
        let kept = std::path::absolute("kept").unwrap().join("live-0");
        assert_eq!(
            line(&state),
            format!(
                "moescope generate demo --prompt 'The enzyme' --max-tokens 20 --temperature 0.8 --seed 1 --intervene mask:3:5 --trace {}",
                quoted(&kept.to_string_lossy())
            )
        );
        state.device_choice = DeviceChoice::Cpu;
        assert!(line(&state).starts_with("moescope generate demo --device cpu --prompt"));
    }
}
