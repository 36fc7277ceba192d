//! The lines of the command line that give the heat map of Live again, of a trace that holds the line.

use std::path::Path;

use moescope_analytics::{MeasureRequest, ReferenceScope};
use moescope_core::{PhaseSelection, PositionSelection, Scope};
use moescope_pipeline::session::Branch;

use super::{compare, measure};
use crate::{lives::PictureChoice, state::State};

/// What every picture of a line shows.
pub(super) const METRIC: &str = "assignment_share";

/// `moescope measure TRACE assignment_share …` of the tokens that are chosen to be shown of the line in front, or
/// `moescope compare …` where something is taken away from them. The trace holds the line's tokens, as many as there are.
///
/// # Errors
/// When there are no such tokens, or no trace that has what is taken away.
pub(super) fn picture_of_trace(
    state: &State,
    line: &Branch,
    trace: &Path,
) -> Result<String, &'static str> {
    let choice = &state.choices.live;
    let columns = &line.columns;
    let [given, drawn] = columns.content_tokens();
    let needs_reply = !matches!(choice.picture, PictureChoice::Token | PictureChoice::Last);
    if needs_reply && drawn == 0 {
        return Err("the reply has no token to show yet; draw one first");
    }
    let minus = |other: &Path, reference: ReferenceScope| {
        let request = MeasureRequest {
            reference,
            ..of_phase(PhaseSelection::Decode)
        };
        compare(trace, other, METRIC, &request)
    };
    Ok(match choice.picture {
        PictureChoice::Token => {
            let token = state.lives.token().ok_or("generate something first")?;
            let mut request = of_positions(&[token]);
            // One token, whatever it is.
            request.scope.include_special = true;
            measure(trace, METRIC, &request)
        }
        PictureChoice::Last => {
            let last = columns.last_content(choice.last.max(1));
            if last.is_empty() {
                return Err("there is no token to show yet but a template's; draw one first");
            }
            measure(trace, METRIC, &of_positions(&last))
        }
        PictureChoice::Reply => measure(trace, METRIC, &of_phase(PhaseSelection::Decode)),
        PictureChoice::MinusPrompt if given == 0 => {
            return Err("the prompt has no token to take away");
        }
        PictureChoice::MinusPrompt => minus(
            trace,
            ReferenceScope {
                phase: Some(PhaseSelection::Prefill),
                ..ReferenceScope::default()
            },
        ),
        PictureChoice::MinusLabel => {
            let (labels, documents) = state.lives.taken_away(choice)?;
            let labels = state.traces.get(labels);
            let labels = labels.ok_or("the trace with the labels was closed; open it again")?;
            minus(&labels.path, documents)
        }
    })
}

/// One document without a label, and no more of it than a phase.
pub(super) fn of_phase(phase: PhaseSelection) -> MeasureRequest {
    MeasureRequest {
        scope: Scope {
            phase,
            ..Scope::default()
        },
        by: "all".to_owned(),
        ..MeasureRequest::default()
    }
}

/// One document without a label, and no more of it than the tokens at some places, given or drawn.
fn of_positions(places: &[usize]) -> MeasureRequest {
    let mut request = of_phase(PhaseSelection::All);
    request.scope.positions = PositionSelection::Ranges(ranges(places));
    request
}

/// Ascending places as inclusive ranges.
fn ranges(places: &[usize]) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for place in places {
        let place = u32::try_from(*place).expect("a context is far below 2^32 tokens");
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == place => *last = place,
            _ => ranges.push((place, place)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use moescope_core::{DecisionBatch, Gating, LayerId, Phase};
    use moescope_engine::SamplingConfig;
    use moescope_pipeline::session::{BranchId, BranchInfo, BranchState, LiveColumns, LiveToken};

    use super::*;
    use crate::lives::LiveChoice;

    const GIVEN: Phase = Phase::Prefill;
    const DRAWN: Phase = Phase::Decode;

    /// A line of tokens at one layer, each with whether the usual scope counts it.
    fn line(tokens: &[(Phase, bool)]) -> Branch {
        let mut batch = DecisionBatch::new(4, 2);
        for (position, _) in (0..).zip(tokens) {
            let (experts, weights) = ([0, 1], [0.75, 0.25]);
            let logits = [2.0, 1.0, 0.5, 0.0];
            let gating = Gating::top_k_softmax();
            batch.push_decision(
                position,
                LayerId(0),
                0,
                &experts,
                &weights,
                &logits,
                &gating,
            );
        }
        let token = |(phase, is_content): &(Phase, bool)| LiveToken {
            id: 7,
            text: "x".into(),
            phase: *phase,
            is_content: *is_content,
            surprisal: None,
            next: Vec::new(),
        };
        let mut columns = LiveColumns::new(vec![LayerId(0)], 4, 2);
        columns.extend(tokens.iter().map(token).collect(), &batch, 0);
        Branch {
            info: BranchInfo {
                id: BranchId(0),
                parent: None,
                prompt: "The enzyme".to_owned(),
                messages: Vec::new(),
                is_chat: false,
                system: None,
                is_plain: true,
                sampling: SamplingConfig::default(),
                interventions: Vec::new(),
            },
            columns,
            reply: String::new(),
            state: BranchState::Paused,
            pace: (0, 0.0),
            kept: None,
        }
    }

    /// The line of a picture, of the last three tokens where it is of the last ones.
    fn of_trace(line: &Branch, picture: PictureChoice) -> Result<String, &'static str> {
        let mut state = State::default();
        state.choices.live = LiveChoice {
            picture,
            last: 3,
            ..LiveChoice::default()
        };
        picture_of_trace(&state, line, Path::new("kept"))
    }

    #[track_caller]
    fn check(line: &Branch, picture: PictureChoice, expected: &str) {
        let expected = expected.replace("METRIC", "assignment_share --by all");
        let expected = format!("moescope {expected}");
        assert_eq!(of_trace(line, picture), Ok(expected));
    }

    #[test]
    fn each_picture_has_its_tokens() {
        // A template's token, two of the prompt, and a special one within the reply.
        let tokens = [
            (GIVEN, false),
            (GIVEN, true),
            (GIVEN, true),
            (DRAWN, true),
            (DRAWN, false),
            (DRAWN, true),
        ];
        let line = line(&tokens);
        check(
            &line,
            PictureChoice::Last,
            "measure kept METRIC --phase all --positions 2-3,5",
        );
        check(
            &line,
            PictureChoice::Reply,
            "measure kept METRIC --phase decode",
        );
        check(
            &line,
            PictureChoice::MinusPrompt,
            "compare kept kept METRIC --phase decode --reference-phase prefill",
        );
    }

    #[test]
    fn what_is_not_there_is_said() {
        let told = |line: &Branch, picture| of_trace(line, picture).unwrap_err();
        let prompt = line(&[(GIVEN, true), (GIVEN, true)]);
        for picture in [
            PictureChoice::Reply,
            PictureChoice::MinusPrompt,
            PictureChoice::MinusLabel,
        ] {
            assert!(told(&prompt, picture).contains("the reply has no token"));
        }
        check(
            &prompt,
            PictureChoice::Last,
            "measure kept METRIC --phase all --positions 0-1",
        );
        let template = line(&[(GIVEN, false), (DRAWN, true)]);
        let found = told(&template, PictureChoice::MinusPrompt);
        assert!(found.contains("the prompt has no token"), "{found}");
        let nothing = line(&[(GIVEN, false)]);
        assert!(told(&nothing, PictureChoice::Last).contains("but a template's"));
    }

    #[test]
    fn places_in_a_row_are_one_range() {
        assert_eq!(ranges(&[7]), [(7, 7)]);
        assert_eq!(ranges(&[0, 1, 2]), [(0, 2)]);
        assert_eq!(ranges(&[3, 5, 6, 9]), [(3, 3), (5, 6), (9, 9)]);
    }
}
