//! What is measured of single texts and tokens while a model writes them: counts of one text, held against itself, another
//! text, or a trace's labels.
//!
//! One text is one group, so nothing here has an interval or a null.

mod choices_alike;
mod text_assignments;
mod text_protocol;

pub use choices_alike::ChoicesAlike;
pub use text_assignments::TextAssignments;
pub use text_protocol::text_protocol;
