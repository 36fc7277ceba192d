//! Which text interventions are measured on: one that they did not write.

use moescope_pipeline::session::{Branch, BranchId, BranchInfo, Transcript};

/// Why an effect was measured on the text that it was measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextOrigin {
    /// It is the text that was shown, and no intervention was in force while it was drawn.
    Shown,
    /// It is a text of the same prompt without interventions: the one that was shown was drawn under some.
    Before {
        /// The branch that was shown.
        shown: BranchId,
    },
    /// It is the text that was shown, drawn under interventions: there is none of the same prompt without.
    Intervened,
}

/// The branch whose text is measured: the one that is shown, unless interventions wrote it; then the one beside it, or
/// the nearest that it came from.
///
/// A model finds likely what it wrote itself. On a text that was drawn under the interventions the computation with them
/// is at home, so the change of surprisal comes out too low there.
pub(super) fn text_to_measure<'a>(
    transcript: &'a Transcript,
    shown: &'a Branch,
    beside: Option<&'a Branch>,
) -> (&'a Branch, TextOrigin) {
    let is_own = |branch: &Branch| {
        let origin = (&branch.info, branch.columns.num_prompt_tokens());
        !is_intervened(transcript, origin, branch.columns.len())
    };
    if is_own(shown) {
        return (shown, TextOrigin::Shown);
    }
    // Those that were closed have no text any more, and may have come from one that does.
    let above = std::iter::successors(parent(&shown.info), |id| {
        transcript.origin(*id).and_then(|(info, _)| parent(info))
    });
    let ancestors = above.filter_map(|id| transcript.branch(id));
    let mut others = beside.into_iter().chain(ancestors);
    let before = others.find(|other| other.info.prompt == shown.info.prompt && is_own(other));
    before.map_or((shown, TextOrigin::Intervened), |before| {
        let shown = shown.info.id;
        (before, TextOrigin::Before { shown })
    })
}

fn parent(info: &BranchInfo) -> Option<BranchId> {
    info.parent.map(|(parent, _)| parent)
}

/// Whether one of a branch's first tokens was drawn while interventions were in force, there or in the branch that it
/// has them from; `given` of its tokens are its prompt.
fn is_intervened(
    transcript: &Transcript,
    (info, given): (&BranchInfo, usize),
    tokens: usize,
) -> bool {
    // A token is drawn from what the one before it left.
    let from = given.saturating_sub(1);
    let to = tokens.saturating_sub(1);
    let stretches = &info.interventions;
    let mut own = stretches.iter().enumerate();
    let is_own = own.any(|(place, (first, specs))| {
        let next = stretches.get(place + 1);
        let end = next.map_or(to, |(first, _)| to.min(*first));
        !specs.is_empty() && from.max(*first) < end
    });
    let inherits = info.parent.is_some_and(|(id, kept)| {
        let parent = transcript.origin(id);
        parent.is_some_and(|parent| is_intervened(transcript, parent, kept.min(tokens)))
    });
    is_own || inherits
}
