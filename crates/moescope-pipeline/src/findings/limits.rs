//! What the data cannot say.

use moescope_core::Measurement;

use super::{Finding, studies::Studies, words::sentence};
use crate::error::PipelineError;

/// What can this data not say?
pub(super) fn limits(studies: &mut Studies<'_>) -> Result<Finding, PipelineError> {
    studies.answer("What can this data not say?", "mutual_information", |mi| {
        Some(words(mi))
    })
}

fn words(mi: &Measurement) -> String {
    let protocol = &mi.protocol;
    let mut parts = vec![format!(
        "These numbers count {} tokens per layer in {} documents of {} groups ({}).",
        protocol.n_tokens, protocol.n_documents, protocol.n_groups, protocol.scope
    )];
    parts.extend(
        protocol
            .notes
            .iter()
            .filter(|note| LIMITS.iter().any(|limit| note.contains(limit)))
            .map(|note| sentence(note)),
    );
    parts.push(
        "All of it is about where tokens went: whether the routers learned it or their input alone brings it is told by \
         the same capture with --untrained-routers, and what follows from taking an expert away is another experiment \
         (--intervene)."
            .to_owned(),
    );
    parts.join(" ")
}

/// Words of notes that limit what may be concluded.
const LIMITS: [&str; 7] = [
    "identifiable",
    "power",
    "unknown",
    "nothing here speaks",
    "several labels",
    "length",
    "left out",
];
