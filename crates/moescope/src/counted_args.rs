//! Which tokens of a document count; shared by every verb that measures.

use clap::Args;
use moescope_core::{PhaseSelection, PositionSelection, Scope};

/// Tokens that count.
#[derive(Args, Debug)]
pub(crate) struct CountedArgs {
    /// Given text, generated text, or both: prefill, decode, all
    #[arg(long, default_value = "prefill", value_name = "PHASE")]
    phase: PhaseSelection,
    /// Tokens by their position in their document, of which the first has 0, like 0,5-8 or 16-; prompt and generated
    /// tokens are counted through
    #[arg(long, default_value = "all", value_name = "POSITIONS")]
    positions: PositionSelection,
    /// Count special and template tokens as well
    #[arg(long)]
    include_special: bool,
}

impl CountedArgs {
    /// The scope of these tokens, in all documents and at all layers.
    pub(crate) fn scope(&self) -> Scope {
        Scope {
            phase: self.phase,
            positions: self.positions.clone(),
            include_special: self.include_special,
            ..Scope::default()
        }
    }
}
