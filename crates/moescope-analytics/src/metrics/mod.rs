//! Every metric, one file each; a test compares this list with the folder.

mod any_overlap_repetition;
mod assignment_share;
mod conditional_mutual_information;
mod domain_specialization;
mod effective_experts;
mod esft_gate_experts;
mod esft_gate_score;
mod esft_token_experts;
mod fingerprint_knn;
mod fingerprint_map;
mod first_choice_repetition;
mod jsd;
mod load_entropy;
mod mutual_information;
mod nmi;
mod relative_load;
mod routing_entropy;
mod variance_partition;

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
    &conditional_mutual_information::ConditionalMutualInformation,
    &variance_partition::VariancePartition,
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
];
