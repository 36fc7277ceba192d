//! Every metric, one file each; a test compares this list with the folder.

mod any_overlap_repetition;
mod assignment_share;
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

use crate::Metric;

/// Every metric, by topic: load, confidence, dependence on the label, experts of a label, sequence, fingerprints.
pub(crate) static METRICS: &[&dyn Metric] = &[
    &assignment_share::AssignmentShare,
    &domain_specialization::DomainSpecialization,
    &relative_load::RelativeLoad,
    &load_entropy::LoadEntropy,
    &effective_experts::EffectiveExperts,
    &routing_entropy::RoutingEntropy,
    &jsd::Jsd,
    &mutual_information::MutualInformation,
    &nmi::Nmi,
    &esft_gate_score::EsftGateScore,
    &esft_gate_experts::EsftGateExperts,
    &esft_token_experts::EsftTokenExperts,
    &first_choice_repetition::FirstChoiceRepetition,
    &any_overlap_repetition::AnyOverlapRepetition,
    &fingerprint_map::FingerprintMap,
    &fingerprint_knn::FingerprintKnn,
];
