//! From sums per unit to measurements with intervals, nulls and protocol.

mod dependence;
mod excess;
mod expert_sets;
mod folds;
mod load;
mod per_label;
mod prediction;
mod relevance;
mod repetition;
mod segments;
mod token_order;
mod words;

pub(crate) use dependence::{Dependence, measure_dependence};
pub(crate) use excess::{Excess, measure_excess};
pub(crate) use expert_sets::measure_expert_sets;
pub(crate) use folds::deal_groups;
pub(crate) use load::{LoadQuantity, load_table, measure_load};
pub(crate) use per_label::{PerLabel, measure_per_label};
pub(crate) use prediction::{
    Prediction, Predictions, accuracy, check_classifiable, measure_predictions, permuted_labels,
    token_bags,
};
pub(crate) use relevance::{Relevance, relevance_table};
pub(crate) use repetition::{Repetition, measure_repetition};
pub(crate) use segments::SegmentCounts;
pub(crate) use token_order::{
    Coincidence, OrderCounts, count_orders, order_table, stretches, weigh_blocks_alike,
};
pub(crate) use words::{add_power_note, interval_words, null_words};
