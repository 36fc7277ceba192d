//! From sums per unit to measurements with intervals, nulls and protocol.

mod blocks;
mod cell_measurement;
mod cells;
mod co_activation;
mod co_activation_lift;
mod committee;
mod conditional;
mod dependence;
mod dependence_difference;
mod excess;
mod expert_sets;
mod folds;
mod joint;
mod layer_information;
mod layer_pairs;
mod layer_transition;
mod load;
mod pairwise;
mod path_entropy;
mod path_model;
mod path_purity;
mod paths;
mod per_label;
mod prediction;
mod relevance;
mod repetition;
mod rows;
mod segments;
mod sense_contrast;
mod sense_pairs;
mod token_classes;
mod token_dependence;
mod token_distribution;
mod token_mean;
mod token_order;
mod top_sets;
mod variance;
mod vocabulary;
mod vocabulary_specialization;
mod weight_similarity;
mod words;

pub(crate) use blocks::{BlockCounting, BlockCounts, Blocks};
pub(crate) use cells::CellSource;
pub(crate) use co_activation::{CountedPairs, co_activation, count_pairs, measure_co_activation};
pub(crate) use co_activation_lift::{LIFT_VARIANTS, co_activation_lift};
pub(crate) use committee::{Committee, CommitteeRule};
pub(crate) use conditional::measure_conditional_dependence;
pub(crate) use dependence::{
    Association, BiasScale, Dependence, measure_association, measure_dependence,
};
pub(crate) use excess::{Excess, has_enough_pairs, measure_excess};
pub(crate) use expert_sets::measure_expert_sets;
pub(crate) use folds::deal_groups;
pub(crate) use joint::{Joint, measure_joint, need_two_labels};
pub(crate) use layer_information::measure_layer_information;
pub(crate) use layer_pairs::PairedChoices;
pub(crate) use layer_transition::measure_layer_transition;
pub(crate) use load::{LoadQuantity, LoadValues, load_table, mass_note, mass_table, measure_load};
pub(crate) use pairwise::{Pairwise, measure_pairs};
pub(crate) use path_entropy::{count_paths, measure_path_entropy};
pub(crate) use path_purity::measure_path_purity;
pub(crate) use paths::{for_paths, path_key};
pub(crate) use per_label::{PerLabel, measure_per_label};
pub(crate) use prediction::{
    Prediction, Predictions, accuracy, check_classifiable, measure_predictions, permuted_labels,
    token_bags,
};
pub(crate) use relevance::{Relevance, relevance_table};
pub(crate) use repetition::{Repetition, measure_repetition};
pub(crate) use rows::{PerRow, expert_axis, refuse_contrast, variant_axis};
pub(crate) use segments::SegmentCounts;
pub(crate) use sense_contrast::measure_sense_contrast;
pub(crate) use token_classes::TokenClass;
pub(crate) use token_dependence::measure_token_dependence;
pub(crate) use token_distribution::{TokenDistribution, measure_token_distribution};
pub(crate) use token_mean::{TokenMean, measure_token_mean};
pub(crate) use token_order::{
    Coincidence, OrderCounts, count_orders, order_table, stretches, weigh_blocks_alike,
};
pub(crate) use top_sets::{TopSets, measure_top_sets};
pub(crate) use variance::measure_variance_partition;
pub(crate) use vocabulary::{
    TokenUse, by_count, by_share, for_vocabulary_tables, lacks_predictions, needs_token_weighting,
    tokens_of_experts,
};
pub(crate) use vocabulary_specialization::measure_vocabulary_specialization;
pub(crate) use weight_similarity::{ComparedWeights, measure_weight_similarity};
pub(crate) use words::{
    add_power_note, interval_words, null_words, power_above_null, power_of_difference,
};
