//! From sums per unit to measurements with intervals, nulls and protocol.

mod blocks;
mod cell_measurement;
mod cells;
mod co_activation;
mod co_activation_lift;
mod dependence;
mod expert_sets;
mod layer_information;
mod layer_pairs;
mod layer_transition;
mod load;
mod path_entropy;
mod path_model;
mod path_purity;
mod paths;
mod per_label;
mod relevance;
mod repetition;
mod rows;
mod sense_contrast;
mod sense_pairs;
mod token_classes;
mod token_dependence;
mod vocabulary;
mod vocabulary_specialization;
mod weight_similarity;
mod words;

pub(crate) use blocks::{BlockCounting, BlockCounts, Blocks};
pub(crate) use cells::CellSource;
pub(crate) use co_activation::{CountedPairs, co_activation, count_pairs, measure_co_activation};
pub(crate) use co_activation_lift::{LIFT_VARIANTS, co_activation_lift};
pub(crate) use dependence::{Dependence, measure_dependence};
pub(crate) use expert_sets::measure_expert_sets;
pub(crate) use layer_information::measure_layer_information;
pub(crate) use layer_pairs::PairedChoices;
pub(crate) use layer_transition::measure_layer_transition;
pub(crate) use load::{LoadQuantity, load_table, measure_load};
pub(crate) use path_entropy::{count_paths, measure_path_entropy};
pub(crate) use path_purity::measure_path_purity;
pub(crate) use paths::{for_paths, path_key};
pub(crate) use per_label::{PerLabel, measure_per_label};
pub(crate) use relevance::{Relevance, relevance_table};
pub(crate) use repetition::{Repetition, measure_repetition};
pub(crate) use rows::{PerRow, expert_axis, refuse_contrast, variant_axis};
pub(crate) use sense_contrast::measure_sense_contrast;
pub(crate) use token_classes::TokenClass;
pub(crate) use token_dependence::measure_token_dependence;
pub(crate) use vocabulary::{
    TokenUse, by_count, by_share, for_vocabulary_tables, lacks_predictions, needs_token_weighting,
    tokens_of_experts,
};
pub(crate) use vocabulary_specialization::measure_vocabulary_specialization;
pub(crate) use weight_similarity::{ComparedWeights, measure_weight_similarity};
pub(crate) use words::{add_power_note, interval_words, null_words};
