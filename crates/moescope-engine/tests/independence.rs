//! What a token's routing may depend on: its own sequence, and nothing else in the batch.
//!
//! A program of its own: products are made in pools of one thread, and the first product of a process decides how many
//! threads all later ones have.

use std::path::Path;

use moescope_core::{DecisionBatch, NoProgress};
use moescope_engine::{
    BatchRun, Checkpoint, ComputeDevice, ComputeType, DeviceChoice, Intervention, Interventions,
    Lanes, LoadOptions, MoeModel, RunConfig, SamplingConfig, SequenceRecord, WeightType,
};

fn model() -> MoeModel {
    model_in(LoadOptions::default())
}

fn model_in(options: LoadOptions) -> MoeModel {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/models/scidfm-mini");
    let checkpoint = Checkpoint::open(&folder).unwrap();
    MoeModel::load(
        &checkpoint,
        &ComputeDevice::open(DeviceChoice::Cpu).unwrap(),
        options,
        &NoProgress,
    )
    .unwrap()
}

fn run(
    model: &MoeModel,
    prompts: &[Vec<u32>],
    numbers: &[u64],
    max_new_tokens: usize,
    spec: &[&str],
) -> Vec<SequenceRecord> {
    let config = RunConfig {
        max_new_tokens,
        ..RunConfig::default()
    };
    let interventions: Vec<Intervention> = spec.iter().map(|spec| spec.parse().unwrap()).collect();
    let interventions = Interventions::new(interventions, model.spec()).unwrap();
    let run = BatchRun::new(model, prompts, numbers, config, interventions);
    to_the_end(run)
}

fn to_the_end(mut run: BatchRun<'_>) -> Vec<SequenceRecord> {
    run.prefill().unwrap();
    while run.is_live() {
        run.decode_step().unwrap();
    }
    run.finish()
}

/// The same, with every record taken out as soon as it is whole and its turn.
fn piece_by_piece(mut run: BatchRun<'_>) -> Vec<SequenceRecord> {
    run.prefill().unwrap();
    let mut records = run.take_ended();
    while run.is_live() {
        run.decode_step().unwrap();
        records.extend(run.take_ended());
    }
    records.extend(run.finish());
    records
}

/// Deterministic token sequences of different lengths.
fn prompts() -> Vec<Vec<u32>> {
    [3usize, 61, 130, 17, 1]
        .iter()
        .enumerate()
        .map(|(i, len)| {
            (0..*len)
                .map(|j| u32::try_from((i * 7919 + j * 104_729) % 8000 + 10).unwrap())
                .collect()
        })
        .collect()
}

/// The first `rows` decisions of a batch, all columns, as bits.
fn bits(batch: &DecisionBatch, rows: usize) -> Vec<(Vec<u16>, Vec<u32>, Vec<u32>)> {
    let as_bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<u32>>();
    (0..rows)
        .map(|row| {
            (
                batch.experts(row).to_vec(),
                as_bits(batch.weights(row).unwrap()),
                as_bits(batch.logits(row).unwrap()),
            )
        })
        .collect()
}

/// Compares the first `rows` decisions of the same sequence in two batches.
///
/// As stored, they are the same bit for bit. Blocks may be multiplied in another order for a few tokens than for many:
/// sums of the same products, equal within what f32 loses (the tolerances of the oracle cases), and where activations are
/// rounded to bf16 such a loss can turn a rounding, which is a part of 2⁻⁹. A selection may differ only where its margin
/// is within that; what follows is then another computation. Returns how many decisions were compared.
fn assert_alike(options: LoadOptions, a: &DecisionBatch, b: &DecisionBatch, rows: usize) -> usize {
    if options.weights == WeightType::Stored {
        assert_eq!(bits(a, rows), bits(b, rows), "{options:?}");
        return rows;
    }
    let (logits, weights) = match options.compute {
        ComputeType::F32 => (1e-4, 1e-5),
        ComputeType::Bf16 => (16.0 / 512.0, 4.0 / 512.0),
    };
    let near = |a: &[f32], b: &[f32], part: f32| {
        let largest = a.iter().fold(1.0f32, |max, x| max.max(x.abs()));
        a.iter()
            .zip(b)
            .all(|(a, b)| (a - b).abs() <= part * largest)
    };
    for row in 0..rows {
        if a.experts(row) != b.experts(row) {
            let margin = a.margin.as_ref().unwrap()[row];
            let swapped = a.experts(row).iter().all(|e| b.experts(row).contains(e));
            assert!(
                swapped || margin <= 2.0 * weights,
                "{options:?}: margin {margin}"
            );
            return row;
        }
        let found = [
            (a.logits(row), b.logits(row)),
            (a.weights(row), b.weights(row)),
        ];
        for ((a, b), part) in found.into_iter().zip([logits, weights]) {
            assert!(
                near(a.unwrap(), b.unwrap(), part),
                "{options:?}, row {row}: {a:?} {b:?}"
            );
        }
    }
    rows
}

/// Weights and arithmetic of every type.
fn all_options() -> Vec<LoadOptions> {
    WeightType::ALL
        .into_iter()
        .flat_map(|weights| {
            [ComputeType::F32, ComputeType::Bf16].map(|compute| LoadOptions {
                weights,
                compute,
                ..LoadOptions::default()
            })
        })
        .collect()
}

#[test]
fn prefill_routing_is_the_same_alone_among_others_and_with_generation() {
    for options in all_options() {
        prefill_is_independent(&model_in(options), options);
    }
}

/// The same on one thread, whose results are those of all threads.
#[test]
fn one_thread_gives_the_same_bits_as_many() {
    let prompts = prompts();
    let numbers: Vec<u64> = (0..prompts.len() as u64).collect();
    let pool = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
    };
    for options in all_options() {
        let model = model_in(options);
        let on = |threads| pool(threads).install(|| run(&model, &prompts, &numbers, 3, &[]));
        let many = on(3);
        for (one, many) in on(1).iter().zip(&many) {
            let rows = one.decisions.len();
            assert_eq!(
                bits(&one.decisions, rows),
                bits(&many.decisions, rows),
                "{options:?}"
            );
            assert_eq!(one.tokens, many.tokens, "{options:?}");
        }
    }
}

fn prefill_is_independent(model: &MoeModel, options: LoadOptions) {
    let prompts = prompts();
    let numbers: Vec<u64> = (0..prompts.len() as u64).collect();
    let together = run(model, &prompts, &numbers, 0, &[]);
    let generating = run(model, &prompts, &numbers, 4, &[]);
    let (mut compared, mut all) = (0, 0);
    for (number, prompt) in prompts.iter().enumerate() {
        let alone = &run(
            model,
            std::slice::from_ref(prompt),
            &[numbers[number]],
            0,
            &[],
        )[0];
        let rows = prompt.len() * model.spec().moe_layers.len();
        assert_eq!(alone.decisions.len(), rows);
        for other in [&together[number], &generating[number]] {
            compared += assert_alike(options, &alone.decisions, &other.decisions, rows);
            all += rows;
        }
        if options.weights == WeightType::Stored {
            let surprisal = |record: &SequenceRecord| record.tokens[..prompt.len()].to_vec();
            assert_eq!(
                surprisal(alone),
                surprisal(&together[number]),
                "{options:?}"
            );
        }
    }
    println!("{options:?}: {compared} of {all} decisions compared");
    assert!(compared * 2 > all, "{options:?}: {compared} of {all}");
}

#[test]
fn generated_text_does_not_depend_on_the_batch() {
    let prompts = prompts();
    let numbers: Vec<u64> = (0..prompts.len() as u64).collect();
    for options in all_options() {
        let model = model_in(options);
        let together = run(&model, &prompts, &numbers, 6, &[]);
        for (number, prompt) in prompts.iter().enumerate() {
            let alone = &run(
                &model,
                std::slice::from_ref(prompt),
                &[numbers[number]],
                6,
                &[],
            )[0];
            if options.weights == WeightType::Stored {
                assert_eq!(
                    alone.tokens, together[number].tokens,
                    "{options:?}: sequence {number}"
                );
            }
            let rows = prompt.len() * model.spec().moe_layers.len();
            assert_alike(options, &alone.decisions, &together[number].decisions, rows);
            assert_eq!(alone.tokens.len(), prompt.len() + 6);
            assert!(
                alone.tokens.last().unwrap().phase.is_none(),
                "the last token was never fed back"
            );
        }
    }
}

/// Where a sequence ends another one begins in its place; nothing that is recorded depends on it.
#[test]
fn sequences_that_take_the_places_of_others_give_the_same_bits() {
    let model = model();
    let mut prompts = [prompts(), prompts()].concat();
    // What is empty neither begins nor ends.
    prompts.insert(1, Vec::new());
    let numbers: Vec<u64> = (0..prompts.len() as u64).collect();
    // A third of the vocabulary ends a sequence, so that some end early.
    let vocab = u32::try_from(model.config().vocab_size).unwrap();
    let config = RunConfig {
        max_new_tokens: 6,
        stop_tokens: (0..vocab).step_by(3).collect(),
        sampling: SamplingConfig {
            temperature: 2.0,
            ..SamplingConfig::default()
        },
        ..RunConfig::default()
    };
    let none = Interventions::default;
    let together = BatchRun::new(&model, &prompts, &numbers, config.clone(), none());
    let together = to_the_end(together);
    let generated = |record: &SequenceRecord| record.tokens.len() - record.num_prompt_tokens;
    let lengths: Vec<usize> = together.iter().map(generated).collect();
    assert!(lengths.contains(&1) || lengths.contains(&2), "{lengths:?}");
    assert!(lengths.iter().any(|length| *length > 2), "{lengths:?}");
    // One lane is one sequence after the other; a prompt of 130 tokens is longer than the pass.
    for (count, pass_tokens) in [(1, 70), (2, 70), (3, 1000), (99, 20)] {
        let lanes = Lanes { count, pass_tokens };
        let run = BatchRun::in_lanes(&model, &prompts, &numbers, config.clone(), none(), lanes);
        for records in [to_the_end(run.clone()), piece_by_piece(run)] {
            assert_eq!(records.len(), together.len());
            for (a, b) in together.iter().zip(&records) {
                assert_eq!(a.tokens, b.tokens, "{lanes:?}");
                let rows = a.decisions.len();
                let (a, b) = (&a.decisions, &b.decisions);
                assert_eq!(bits(a, rows), bits(b, rows), "{lanes:?}");
            }
        }
    }
}

/// The types differ: what is tested above are not six times the same numbers.
#[test]
fn types_of_weights_and_arithmetic_change_the_numbers() {
    let prompts = vec![prompts()[1].clone()];
    let mut seen: Vec<Vec<f32>> = Vec::new();
    for options in all_options() {
        let record = run(&model_in(options), &prompts, &[0], 0, &[]).remove(0);
        let logits = record
            .decisions
            .logits(record.decisions.len() - 1)
            .unwrap()
            .to_vec();
        assert!(!seen.contains(&logits), "{options:?}");
        seen.push(logits);
    }
}

#[test]
fn a_cached_decode_routes_like_a_prefill_of_the_same_text() {
    let model = model();
    let prompt = prompts()[1].clone();
    let generated = &run(&model, &[prompt], &[0], 5, &[])[0];
    let fed: Vec<u32> = generated.tokens[..generated.tokens.len() - 1]
        .iter()
        .map(|t| t.id)
        .collect();
    let whole = &run(&model, &[fed], &[0], 0, &[])[0];
    assert_eq!(
        bits(&whole.decisions, whole.decisions.len()),
        bits(&generated.decisions, whole.decisions.len())
    );
}

#[test]
fn masked_experts_are_never_selected_and_forced_ones_always_are() {
    let model = model();
    let prompts = prompts();
    let numbers: Vec<u64> = (0..prompts.len() as u64).collect();
    for record in run(
        &model,
        &prompts,
        &numbers,
        3,
        &["mask:2:0,5", "force:4:7", "mask:1-2:3"],
    ) {
        let decisions = &record.decisions;
        for row in 0..decisions.len() {
            let chosen = decisions.experts(row);
            match decisions.layer[row].0 {
                1 => assert!(!chosen.contains(&3)),
                2 => assert!(!chosen.contains(&0) && !chosen.contains(&5) && !chosen.contains(&3)),
                4 => assert!(chosen.contains(&7)),
                _ => {}
            }
            let sum: f32 = decisions.weights(row).unwrap().iter().sum();
            assert!((sum - 1.0).abs() < 1e-5, "weights are renormalised");
        }
    }
}

#[test]
fn a_swap_exchanges_two_experts_and_keeps_the_weights() {
    let model = model();
    let prompts = vec![prompts()[2].clone()];
    // At layer 0 nothing upstream has changed, so the two runs must agree but for the exchange.
    let plain = &run(&model, &prompts, &[0], 0, &[])[0].decisions;
    let swapped = &run(&model, &prompts, &[0], 0, &["swap:0:1=6"])[0].decisions;
    let mut exchanged = 0;
    for row in (0..plain.len()).filter(|row| plain.layer[*row].0 == 0) {
        let want: Vec<u16> = plain
            .experts(row)
            .iter()
            .map(|e| match e {
                1 => 6,
                6 => 1,
                other => *other,
            })
            .collect();
        exchanged += usize::from(want != plain.experts(row));
        assert_eq!(swapped.experts(row), want);
        assert_eq!(swapped.weights(row), plain.weights(row));
    }
    assert!(exchanged > 0, "the text uses expert 1 or 6 at layer 0");
}

#[test]
fn a_zeroed_expert_is_selected_as_ever_and_adds_nothing() {
    let model = model();
    let prompts = vec![prompts()[2].clone()];
    // At layer 0 nothing upstream has changed.
    let plain = &run(&model, &prompts, &[0], 0, &[])[0].decisions;
    let zeroed = &run(&model, &prompts, &[0], 0, &["zero:0:1,6"])[0].decisions;
    let mut found = 0;
    for row in (0..plain.len()).filter(|row| plain.layer[*row].0 == 0) {
        for (expert, weight) in plain.experts(row).iter().zip(plain.weights(row).unwrap()) {
            let slot = zeroed
                .experts(row)
                .iter()
                .position(|e| e == expert)
                .unwrap();
            let is_zeroed = [1, 6].contains(expert);
            let want = if is_zeroed { 0.0 } else { *weight };
            found += usize::from(is_zeroed);
            assert_eq!(zeroed.weights(row).unwrap()[slot].to_bits(), want.to_bits());
        }
    }
    assert!(found > 0, "the text uses expert 1 or 6 at layer 0");
    // An expert that adds nothing changes what comes after.
    let logits = |batch: &DecisionBatch| batch.router_logits.clone().unwrap();
    assert_ne!(logits(plain), logits(zeroed));
}

#[test]
fn a_boost_of_nothing_changes_nothing_and_a_large_one_selects() {
    let model = model();
    let prompts = vec![prompts()[1].clone()];
    let plain = &run(&model, &prompts, &[0], 0, &[])[0].decisions;
    let same = &run(&model, &prompts, &[0], 0, &["boost=1e-30:all:0"])[0].decisions;
    assert_eq!(bits(plain, plain.len()), bits(same, same.len()));
    let boosted = &run(&model, &prompts, &[0], 0, &["boost=2:3:4"])[0].decisions;
    assert!(
        (0..boosted.len())
            .filter(|row| boosted.layer[*row].0 == 3)
            .all(|row| boosted.experts(row).contains(&4))
    );
}

#[test]
fn interventions_that_do_not_fit_the_model_are_refused() {
    let model = model();
    for (spec, reason) in [
        ("mask:0:8", "does not exist"),
        ("mask:9:1", "no MoE layer"),
        ("mask:0:0,1,2,3,4,5,6", "would be left"),
        ("force:0:1,2,3", "cannot all be"),
        ("zero:0:8", "does not exist"),
    ] {
        let error = Interventions::new(vec![spec.parse().unwrap()], model.spec()).unwrap_err();
        assert!(error.to_string().contains(reason), "{spec}: {error}");
    }
    for spec in [
        "mask",
        "mask:0",
        "boost:0:1",
        "boost=x:0:1",
        "boost=inf:0:1",
        "swap:0:1",
        "freeze:0:1",
        "mask:a:1",
    ] {
        assert!(spec.parse::<Intervention>().is_err(), "{spec}");
    }
}
