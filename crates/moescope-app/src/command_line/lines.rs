//! The lines of the command line for lines of Live: of the trace that one was kept as, or of a generation that keeps one.

use std::path::Path;

use moescope_core::PhaseSelection;
use moescope_pipeline::{command_words::Line, prompt_id, session::Branch};
use moescope_trace::RoutingTrace;

use super::{
    compare,
    generation::{Generation, generate},
    pictures::{METRIC, of_phase, picture_of_trace},
};
use crate::{captures::has_trace, lives::LinePart, state::State};

/// What gives the numbers of the heat map of Live: of a line that was kept the line that measures its trace, else
/// `moescope generate` with a trace and after it the line that measures that. Of a line without a reply, or where there is
/// no line yet, it is `moescope generate` alone.
///
/// # Errors
/// When no single line gives them.
pub(crate) fn live(state: &State) -> Result<String, &'static str> {
    let line = state.lives.branch();
    let kept = line.and_then(|line| Some((line, kept_whole(line)?)));
    let generation = Generation::shown(state);
    if let Some((line, trace)) = kept {
        let numbers = picture_of_trace(state, line, trace);
        // Why no command writes a line again does not concern one that is kept.
        if numbers.is_ok() || has_reply(line) || generation.is_err() {
            return numbers;
        }
    }
    let generation = generation?;
    let generated = generate(&generation)?;
    let Some(line) = line.filter(|line| has_reply(line)) else {
        return Ok(generated);
    };
    let numbers = picture_of_trace(state, line, &generation.trace)?;
    // Both bash and PowerShell 7 run the second only where the first has ended well.
    Ok(format!("{generated} && {numbers}"))
}

/// Whether something was drawn.
fn has_reply(line: &Branch) -> bool {
    line.columns.len() > line.columns.num_prompt_tokens()
}

/// What shows the path of every token of a line: `moescope show` of one that was kept, else `moescope generate` with a
/// trace that can be shown.
///
/// # Errors
/// When no single line gives it.
pub(crate) fn token(state: &State) -> Result<String, &'static str> {
    let branch = state.lives.branch().ok_or("generate something first")?;
    if let Some(trace) = kept_whole(branch) {
        let sample = sample_of(branch, trace)
            .ok_or("the trace that this line was kept as cannot be read; keep it again")?;
        let mut line = Line::new("show");
        line.path(trace);
        line.option("sample", &sample);
        line.word("--json");
        return Ok(line.into_string());
    }
    generate(&Generation::shown(state)?)
}

/// The id of a kept line's document. One that was changed within, or has several messages, is named by more than its
/// prompt, which its trace knows.
fn sample_of(line: &Branch, trace: &Path) -> Option<String> {
    if line.info.is_plain && line.info.messages.len() <= 1 {
        return Some(prompt_id(&line.info.prompt));
    }
    let samples = RoutingTrace::open(trace).ok()?.samples_without_text();
    samples.ok()?.pop().map(|row| row.meta.id)
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
    Ok(compare(first, second, METRIC, &of_phase(phase)))
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
