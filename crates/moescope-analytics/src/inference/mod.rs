//! From sums per unit to measurements with intervals, nulls and protocol.

mod conditional;
mod committee;
mod dependence;
mod excess;
mod expert_sets;
mod joint;
mod folds;
mod load;
mod pairwise;
mod per_label;
mod prediction;
mod relevance;
mod repetition;
mod variance;
mod segments;
mod token_order;
mod words;

pub(crate) use conditional::measure_conditional_dependence;
pub(crate) use dependence::{Dependence, measure_dependence};
mod token_distribution;
mod token_mean;
mod top_sets;
mod words;

pub(crate) use committee::{Committee, CommitteeRule};
pub(crate) use dependence::{Association, Dependence, measure_association, measure_dependence};
pub(crate) use expert_sets::measure_expert_sets;
pub(crate) use joint::{Joint, measure_joint, need_two_labels};
pub(crate) use load::{LoadQuantity, LoadValues, load_table, mass_note, mass_table, measure_load};
pub(crate) use pairwise::{Pairwise, measure_pairs};
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
pub(crate) use variance::measure_variance_partition;
pub(crate) use token_distribution::{TokenDistribution, measure_token_distribution};
pub(crate) use token_mean::{TokenMean, measure_token_mean};
pub(crate) use top_sets::{TopSets, measure_top_sets};
pub(crate) use segments::SegmentCounts;
pub(crate) use token_order::{
    Coincidence, OrderCounts, count_orders, order_table, stretches, weigh_blocks_alike,
};
pub(crate) use words::{add_power_note, interval_words, null_words};
