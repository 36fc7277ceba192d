//! All integration tests of the crate as one program: each program is linked with everything, so one takes far less time
//! to build than many.

mod ablation;
mod calibration;
mod common;
mod comparing_traces;
mod comparison;
mod control;
mod end_to_end;
mod esft;
mod expert_profile;
mod fingerprints;
mod hand_computed;
mod label_reference;
mod label_scope;
mod loads;
mod loads_oracle;
mod oracle_sequence;
mod position_scope;
mod published_esft;
mod published_values;
mod sequence;
mod structure;
mod structure_oracle;
mod synthetic;
mod token_profile;
