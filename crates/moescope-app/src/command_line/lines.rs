//! The lines of the command line for lines of Live: of the trace that one was kept as, or of a generation that keeps one.

use std::path::Path;

use moescope_analytics::MeasureRequest;
use moescope_core::{PhaseSelection, Scope};
use moescope_pipeline::{command_words::Line, prompt_id, session::Branch};

use super::{
    compare,
    generation::{Generation, generate},
    measure,
};
use crate::{
    captures::has_trace,
    lives::{LinePart, PictureChoice},
    state::State,
};

/// What every picture of a line shows.
const METRIC: &str = "assignment_share";

/// What gives the numbers of the heat map of Live: of a line that was kept `moescope measure` for the whole reply, else
/// `moescope generate` with a trace that can be measured.
///
/// # Errors
/// When no single line gives them.
pub(crate) fn live(state: &State) -> Result<String, &'static str> {
    let lives = &state.lives;
    let kept = lives.branch().and_then(kept_whole);
    let choice = &state.choices.live;
    let is_reply = choice.picture == PictureChoice::Reply;
    if let Some(trace) = kept.filter(|_| is_reply && lives.chosen_picture(choice).is_some()) {
        return Ok(measure(trace, METRIC, &request(PhaseSelection::Decode)));
    }
    let generation = Generation::shown(state).map_err(|why| {
        if kept.is_some() {
            "this line is kept as a trace, of which a single command gives the whole reply alone; show that"
        } else {
            why
        }
    })?;
    generate(&generation)
}

/// What shows the path of every token of a line: `moescope show` of one that was kept, else `moescope generate` with a
/// trace that can be shown.
///
/// # Errors
/// When no single line gives it.
pub(crate) fn token(state: &State) -> Result<String, &'static str> {
    let branch = state.lives.branch().ok_or("generate something first")?;
    // The sample of a line that was changed within has a name of its own.
    let is_named = branch.info.is_plain && branch.info.messages.len() <= 1;
    if let Some(trace) = kept_whole(branch).filter(|_| is_named) {
        let mut line = Line::new("show");
        line.path(trace);
        line.option("sample", &prompt_id(&branch.info.prompt));
        line.word("--json");
        return Ok(line.into_string());
    }
    generate(&Generation::shown(state)?)
}

/// `moescope compare FIRST SECOND assignment_share …` of two lines that were kept as traces.
///
/// # Errors
/// When one was not, or went on since.
pub(crate) fn compare_lines(lines: [&Branch; 2], part: LinePart) -> Result<String, &'static str> {
    let [Some(first), Some(second)] = lines.map(|line| kept_part(line, part)) else {
        return Err(
            "a command reads traces: keep both lines as they are now, each by Keep as a trace in Live",
        );
    };
    let phase = match part {
        LinePart::Text => PhaseSelection::All,
        LinePart::Prompt => PhaseSelection::Prefill,
        LinePart::Reply => PhaseSelection::Decode,
    };
    Ok(compare(first, second, METRIC, &request(phase)))
}

/// One document without a label, and no more of it than a phase.
fn request(phase: PhaseSelection) -> MeasureRequest {
    MeasureRequest {
        scope: Scope {
            phase,
            ..Scope::default()
        },
        by: "all".to_owned(),
        ..MeasureRequest::default()
    }
}

/// The trace of all that a line is now, if it is still there.
fn kept_whole(line: &Branch) -> Option<&Path> {
    line.kept_whole().filter(|path| has_trace(path))
}

/// The trace of a part of a line, if it is still there: the prompt stays as it is when a line goes on.
fn kept_part(line: &Branch, part: LinePart) -> Option<&Path> {
    if part != LinePart::Prompt {
        return kept_whole(line);
    }
    let (path, _) = line.kept.as_ref()?;
    Some(path.as_path()).filter(|path| has_trace(path))
}
