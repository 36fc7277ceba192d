//! Every metric, one file each; a test compares this list with the folder.

mod any_overlap_repetition;
mod assignment_share;
mod aux_loss;
mod capacity_drop;
mod co_activation;
mod co_activation_lift;
mod co_activation_rank_adjacent;
mod conditional_mutual_information;
mod coverage_count;
mod cramers_v;
mod domain_specialization;
mod effective_experts;
mod entropy_surprisal_correlation;
mod esft_gate_experts;
mod esft_gate_score;
mod esft_token_experts;
mod expert_cache_hit_rate;
mod expert_weight_similarity;
mod fingerprint_by_layer;
mod fingerprint_knn;
mod fingerprint_logistic;
mod fingerprint_map;
mod fingerprint_separation;
mod first_choice_repetition;
mod gini;
mod jsd;
mod label_drift;
mod label_lift;
mod layer_mutual_information;
mod layer_transition;
mod layer_transition_slotwise;
mod load_cv;
mod load_entropy;
mod lorenz_curve;
mod max_violation;
mod mutual_information;
mod nmi;
mod overlap_by_lag;
mod path_entropy;
mod path_purity;
mod phase_shift;
mod position_profile;
mod profile_identification;
mod rare_experts;
mod relative_load;
mod risk_difference;
mod risk_difference_newcombe;
mod router_similarity;
mod routing_change_points;
mod routing_entropy;
mod segment_routing_consistency;
mod selection_margin;
mod sense_contrast;
mod shared_top_experts;
mod standing_committee;
mod token_dependence;
mod top_paths;
mod top_set_jaccard;
mod top_tokens;
mod topk_mass;
mod variance_partition;
mod vocabulary_specialization;
mod weight_ratio;
mod z_loss;

pub use label_drift::{LabelLook, LabelPreference, LabelReference};

use crate::Metric;

/// Every metric, by topic.
pub(crate) static METRICS: &[&dyn Metric] = &[
    // Load and its concentration.
    &assignment_share::AssignmentShare,
    &domain_specialization::DomainSpecialization,
    &relative_load::RelativeLoad,
    &load_entropy::LoadEntropy,
    &effective_experts::EffectiveExperts,
    &max_violation::MaxViolation,
    &load_cv::LoadCv,
    &gini::Gini,
    &lorenz_curve::LorenzCurve,
    &coverage_count::CoverageCount,
    &rare_experts::RareExperts,
    &aux_loss::AuxLoss,
    &z_loss::ZLoss,
    // Confidence of single decisions.
    &routing_entropy::RoutingEntropy,
    &selection_margin::SelectionMargin,
    &topk_mass::TopkMass,
    &weight_ratio::WeightRatio,
    &entropy_surprisal_correlation::EntropySurprisalCorrelation,
    // Dependence on the label.
    &jsd::Jsd,
    &mutual_information::MutualInformation,
    &nmi::Nmi,
    &conditional_mutual_information::ConditionalMutualInformation,
    &variance_partition::VariancePartition,
    &cramers_v::CramersV,
    &label_lift::LabelLift,
    &risk_difference::RiskDifference,
    &risk_difference_newcombe::RiskDifferenceNewcombe,
    &phase_shift::PhaseShift,
    // Experts of a label.
    &esft_gate_score::EsftGateScore,
    &esft_gate_experts::EsftGateExperts,
    &esft_token_experts::EsftTokenExperts,
    &top_set_jaccard::TopSetJaccard,
    &shared_top_experts::SharedTopExperts,
    &standing_committee::StandingCommittee,
    // Sequence.
    &first_choice_repetition::FirstChoiceRepetition,
    &any_overlap_repetition::AnyOverlapRepetition,
    &overlap_by_lag::OverlapByLag,
    &segment_routing_consistency::SegmentRoutingConsistency,
    &expert_cache_hit_rate::ExpertCacheHitRate,
    &routing_change_points::RoutingChangePoints,
    &position_profile::PositionProfile,
    &capacity_drop::CapacityDrop,
    &label_drift::LabelDrift,
    // Documents by their routing.
    &fingerprint_map::FingerprintMap,
    &fingerprint_knn::FingerprintKnn,
    &fingerprint_logistic::FingerprintLogistic,
    &profile_identification::ProfileIdentification,
    &fingerprint_separation::FingerprintSeparation,
    &fingerprint_by_layer::FingerprintByLayer,
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
