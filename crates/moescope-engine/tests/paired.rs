//! Two loads of one model over the same texts, against runs of each of them alone.

use std::path::Path;

use moescope_core::NoProgress;
use moescope_engine::{
    BatchRun, Checkpoint, ComputeDevice, ComputeType, DeviceChoice, Interventions, LoadOptions,
    MoeModel, PairedSequence, RunConfig, SequenceRecord, WeightType, run_paired,
};

fn load(weights: WeightType, compute: ComputeType) -> MoeModel {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/models/scidfm-mini");
    MoeModel::load(
        &Checkpoint::open(&folder).unwrap(),
        &ComputeDevice::open(DeviceChoice::Cpu).unwrap(),
        LoadOptions {
            weights,
            compute,
            ..LoadOptions::default()
        },
        &NoProgress,
    )
    .unwrap()
}

/// Deterministic sequences of different lengths, one of them longer than the rows whose logits are compared at once.
fn sequences() -> Vec<Vec<u32>> {
    [5u32, 90, 1, 23]
        .into_iter()
        .enumerate()
        .map(|(i, len)| {
            let start = u32::try_from(i).unwrap() * 7919;
            (0..len)
                .map(|j| (start + j * 104_729) % 8000 + 10)
                .collect()
        })
        .collect()
}

/// A model alone: what it recorded, and its logits after the last token of every sequence.
fn alone(model: &MoeModel, sequences: &[Vec<u32>]) -> (Vec<SequenceRecord>, Vec<Vec<f32>>) {
    let numbers: Vec<u64> = (0..sequences.len() as u64).collect();
    let config = RunConfig {
        max_new_tokens: 1,
        ..RunConfig::default()
    };
    let mut run = BatchRun::new(model, sequences, &numbers, config, Interventions::default());
    run.prefill().unwrap();
    let logits = (0..sequences.len())
        .map(|sequence| run.last_logits(sequence).unwrap().to_vec())
        .collect();
    (run.finish(), logits)
}

/// ln softmax, term by term.
fn log_probabilities(logits: &[f32]) -> Vec<f64> {
    let total: f64 = logits.iter().map(|z| f64::from(*z).exp()).sum();
    logits.iter().map(|z| f64::from(*z) - total.ln()).collect()
}

fn check_against_each_alone(variant: &MoeModel) -> Vec<PairedSequence> {
    let reference = load(WeightType::Stored, ComputeType::F32);
    let sequences = sequences();
    let paired = run_paired(&reference, variant, &sequences).unwrap();
    let (of_reference, p) = alone(&reference, &sequences);
    let (of_variant, q) = alone(variant, &sequences);
    for (number, paired) in paired.iter().enumerate() {
        let (a, b) = (&of_reference[number], &of_variant[number]);
        assert_eq!(*paired.reference, a.decisions);
        assert_eq!(paired.variant, b.decisions);
        for (position, found) in paired.divergences.iter().enumerate() {
            let (a, b) = (&a.tokens[position], &b.tokens[position]);
            assert_eq!(
                found.is_prediction_changed,
                a.predicted_id != b.predicted_id
            );
            // The others are sums in f32 over a vocabulary of thousands.
            let close = |x: f64, y: Option<f32>| (x - f64::from(y.unwrap())).abs() < 1e-4;
            match found.surprisals {
                None => assert!(position == 0 && a.surprisal.is_none()),
                Some((x, y)) => assert!(close(x, a.surprisal) && close(y, b.surprisal)),
            }
        }
        let (ln_p, ln_q) = (log_probabilities(&p[number]), log_probabilities(&q[number]));
        let kl: f64 = ln_p.iter().zip(&ln_q).map(|(p, q)| p.exp() * (p - q)).sum();
        let last = paired.divergences.last().unwrap();
        // Blocks may be unpacked in another way for one row of the head than for many: logits then differ by roundings
        // of f32, and KL by about √(2 KL) times as much.
        assert!(
            (last.kl_nats - kl).abs() < 1e-5 * (kl + kl.sqrt()) + 1e-9,
            "{last:?} {kl}"
        );
    }
    paired
}

#[test]
fn a_pair_sees_what_each_model_sees_alone() {
    let q4 = check_against_each_alone(&load(WeightType::Q4, ComputeType::F32));
    let q8 = check_against_each_alone(&load(WeightType::Q8, ComputeType::Bf16));
    let total = |paired: &[PairedSequence]| -> f64 {
        let all = paired.iter().flat_map(|p| &p.divergences);
        all.map(|divergence| divergence.kl_nats).sum()
    };
    assert!(total(&q4) > total(&q8) && total(&q8) > 0.0);
}

#[test]
fn a_model_does_not_diverge_from_itself() {
    let (one, other) = (
        load(WeightType::Stored, ComputeType::F32),
        load(WeightType::Stored, ComputeType::F32),
    );
    for paired in run_paired(&one, &other, &sequences()).unwrap() {
        assert_eq!(*paired.reference, paired.variant);
        for divergence in paired.divergences {
            assert_eq!(divergence.kl_nats.to_bits(), 0.0_f64.to_bits());
            assert!(!divergence.is_prediction_changed);
        }
    }
}

#[test]
fn nothing_is_compared_of_an_empty_sequence() {
    let model = load(WeightType::Stored, ComputeType::F32);
    let paired = run_paired(&model, &model, &[vec![], vec![11, 12], vec![]]).unwrap();
    let lengths: Vec<usize> = paired.iter().map(|p| p.divergences.len()).collect();
    assert_eq!(lengths, [0, 2, 0]);
    assert!(paired[1].divergences[1].surprisals.is_some());
}
