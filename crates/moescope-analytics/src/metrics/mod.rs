//! Every metric, one file each; a test compares this list with the folder.

mod any_overlap_repetition;
mod assignment_share;
mod co_activation;
mod co_activation_lift;
mod co_activation_rank_adjacent;
mod domain_specialization;
mod effective_experts;
mod esft_gate_experts;
mod esft_gate_score;
mod esft_token_experts;
mod expert_weight_similarity;
mod fingerprint_knn;
mod fingerprint_map;
mod first_choice_repetition;
mod jsd;
mod layer_mutual_information;
mod layer_transition;
mod layer_transition_slotwise;
mod load_entropy;
mod mutual_information;
mod nmi;
mod path_entropy;
mod path_purity;
mod relative_load;
mod router_similarity;
mod routing_entropy;
mod sense_contrast;
mod token_dependence;
mod top_paths;
mod top_tokens;
mod vocabulary_specialization;

use crate::Metric;

/// Every metric, by topic.
pub(crate) static METRICS: &[&dyn Metric] = &[
    // Load and its concentration.
    &assignment_share::AssignmentShare,
    &domain_specialization::DomainSpecialization,
    &relative_load::RelativeLoad,
    &load_entropy::LoadEntropy,
    &effective_experts::EffectiveExperts,
    // Confidence of single decisions.
    &routing_entropy::RoutingEntropy,
    // Dependence on the label.
    &jsd::Jsd,
    &mutual_information::MutualInformation,
    &nmi::Nmi,
    // Experts of a label.
    &esft_gate_score::EsftGateScore,
    &esft_gate_experts::EsftGateExperts,
    &esft_token_experts::EsftTokenExperts,
    // Sequence.
    &first_choice_repetition::FirstChoiceRepetition,
    &any_overlap_repetition::AnyOverlapRepetition,
    // Documents by their routing.
    &fingerprint_map::FingerprintMap,
    &fingerprint_knn::FingerprintKnn,
    // Experts and layers among each other.
    &co_activation::CoActivation,
    &co_activation_rank_adjacent::CoActivationRankAdjacent,
    &co_activation_lift::CoActivationLift,
    &layer_transition::LayerTransition,
    &layer_transition_slotwise::LayerTransitionSlotwise,
    &layer_mutual_information::LayerMutualInformation,
    &path_entropy::PathEntropy,
    &top_paths::TopPaths,
    &path_purity::PathPurity,
    &router_similarity::RouterSimilarity,
    &expert_weight_similarity::ExpertWeightSimilarity,
    // Experts and tokens.
    &vocabulary_specialization::VocabularySpecialization,
    &top_tokens::TopTokens,
    &token_dependence::TokenDependence,
    &sense_contrast::SenseContrast,
];
