//! From sums per unit to measurements with intervals, nulls and protocol.

mod dependence;
mod dependence_difference;
mod expert_sets;
mod load;
mod per_label;
mod relevance;
mod repetition;
mod words;

pub(crate) use dependence::{Dependence, measure_dependence};
pub(crate) use expert_sets::measure_expert_sets;
pub(crate) use load::{LoadQuantity, load_table, measure_load};
pub(crate) use per_label::{PerLabel, measure_per_label};
pub(crate) use relevance::{Relevance, relevance_table};
pub(crate) use repetition::{Repetition, measure_repetition};
pub(crate) use words::{add_power_note, interval_words, null_words};
