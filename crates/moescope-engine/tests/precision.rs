//! Weights in blocks and products in bf16: the oracle cases within what rounding explains, and blocks against the
//! same rounded weights in burn's own operators.

use std::{collections::BTreeMap, path::Path};

use moescope_core::{NoProgress, ScoreFunction};
use moescope_engine::{
    BatchRun, Checkpoint, ComputeDevice, ComputeType, DeviceChoice, EngineError, Interventions,
    KvCache, LoadOptions, MoeModel, RunConfig, Span, Tolerances, VerifyReport, WeightType, verify,
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::support::{cases, expected, gpu, repository};

/// What `--compute bf16` may change in an oracle case.
///
/// Rounding to bf16 is wrong by a part of 2⁻⁹ at most. Every product with weights rounds both its factors, and a dozen
/// such products lie between a text and a router or the head. Their errors have no common sign, so they mostly cancel; we
/// allow what 16 of them make that all go one way, as a part of the largest logit. How a kernel sums plays no role beside
/// that. A routing weight is a share of 1. Two scores that are nearer than half of that are a near tie: a share of 1
/// moves by at most a quarter of what its logit moves by, and both move; where scores are the logits themselves, they
/// move as far as logits do.
fn bf16_tolerances(case: &Path) -> Tolerances {
    let part = 16.0 * 2.0 / 512.0;
    let file = std::fs::read(expected(case)).unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let largest = tensors
        .iter()
        .filter(|(name, _)| name.starts_with("logits.") || name.starts_with("router_logits."))
        .flat_map(|(_, view)| view.data().chunks_exact(4))
        .map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()).abs()))
        .fold(0.0, f64::max);
    let score = Checkpoint::open(case)
        .unwrap()
        .model_spec()
        .gating
        .score_function;
    Tolerances {
        logits: part * largest,
        weights: part,
        near_tie: match score {
            ScoreFunction::Identity => part * largest,
            ScoreFunction::Softmax | ScoreFunction::Sigmoid => part / 2.0,
        },
    }
}

fn cpu() -> ComputeDevice {
    ComputeDevice::open(DeviceChoice::Cpu).unwrap()
}

fn load(case: &Path, device: &ComputeDevice, options: LoadOptions) -> MoeModel {
    let checkpoint = Checkpoint::open(case).unwrap();
    MoeModel::load(&checkpoint, device, options, &NoProgress)
        .unwrap_or_else(|error| panic!("{}: {error}", case.display()))
}

fn show(case: &Path, report: &VerifyReport) {
    let bins: Vec<String> = report
        .by_margin
        .iter()
        .map(|bin| {
            let most = bin
                .at_most
                .map_or("more".to_owned(), |m| format!("{m:.0e}"));
            format!("{most}: {}/{}", bin.differing, bin.selections)
        })
        .collect();
    println!(
        "{}: logits {:.1e}, router logits {:.1e}, weights {:.1e}; {} selections, {} differ ({} near ties), {} downstream \
         [{}]; {} greedy tokens, {} differ, {} downstream",
        case.file_name().unwrap().display(),
        report.logits.largest,
        report.router_logits.largest,
        report.weights.largest,
        report.selections,
        report.differing,
        report.near_ties,
        report.downstream,
        bins.join(", "),
        report.greedy_tokens,
        report.differing_greedy,
        report.downstream_greedy
    );
}

/// Families with a decision that rounding can turn and that no trace shows: routers of attention heads, and weights that
/// jump where a logit crosses a threshold. Their numbers are shown and only their selections are judged.
const UNSEEN_DECISIONS: [&str; 2] = ["jetmoe", "phimoe"];

#[test]
fn every_case_passes_in_bf16() {
    let options = LoadOptions {
        compute: ComputeType::Bf16,
        ..LoadOptions::default()
    };
    let mut all = VerifyReport::default();
    let mut failed = Vec::new();
    for case in cases() {
        let model = load(&case, &cpu(), options);
        let report = verify(
            &model,
            &expected(&case),
            bf16_tolerances(&case),
            &NoProgress,
        )
        .unwrap();
        show(&case, &report);
        all.selections += report.selections;
        all.differing += report.differing;
        all.downstream += report.downstream;
        all.greedy_tokens += report.greedy_tokens;
        all.differing_greedy += report.differing_greedy;
        all.downstream_greedy += report.downstream_greedy;
        for (sum, bin) in all.by_margin.iter_mut().zip(&report.by_margin) {
            sum.selections += bin.selections;
            sum.differing += bin.differing;
        }
        let family = &model.spec().family;
        if UNSEEN_DECISIONS.contains(&family.as_str()) {
            assert!(
                report.differing * 20 <= report.selections,
                "{}",
                case.display()
            );
        } else if !report.passes() {
            failed.push(format!("{}: {:?}", case.display(), report.failures));
        }
    }
    show(Path::new("all"), &all);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // Near ties are few, and most was compared.
    assert!(all.differing * 50 <= all.selections);
    assert!(all.downstream * 5 <= all.selections);
    assert!(all.greedy_tokens >= 4 * all.downstream_greedy);
    assert!(all.differing_greedy * 20 <= all.greedy_tokens);
}

/// What a model computes on a case's own texts, in the form that `verify` reads.
fn computed(model: &MoeModel, case: &Path, to: &Path) {
    let file = std::fs::read(expected(case)).unwrap();
    let theirs = SafeTensors::deserialize(&file).unwrap();
    let spec = model.spec();
    let mut out: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
    let f32s = |values: &[f32]| {
        values
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    for (name, view) in theirs
        .iter()
        .filter(|(name, _)| name.starts_with("input_ids."))
    {
        let length = name.strip_prefix("input_ids.").unwrap();
        let ids: Vec<u32> = (view.data().chunks_exact(8))
            .map(|b| u32::try_from(i64::from_le_bytes(b.try_into().unwrap())).unwrap())
            .collect();
        let mut cache = KvCache::new(model, &[ids.len()]);
        let span = Span {
            sequence: 0,
            tokens: &ids,
        };
        let hidden = model.forward(&[span], &mut cache, &mut ()).unwrap();
        let logits: Vec<f32> = model.logits(&hidden).into_data().iter::<f32>().collect();
        let shape = vec![ids.len(), model.config().vocab_size];
        out.insert(
            format!("logits.{length}"),
            (Dtype::F32, shape, f32s(&logits)),
        );
        out.insert(
            name.to_owned(),
            (view.dtype(), view.shape().to_vec(), view.data().to_vec()),
        );
        let config = RunConfig {
            records_surprisal: false,
            ..RunConfig::default()
        };
        let mut run = BatchRun::new(
            model,
            std::slice::from_ref(&ids),
            &[0],
            config,
            Interventions::default(),
        );
        run.prefill().unwrap();
        let decisions = run.finish().remove(0).decisions;
        for layer in &spec.moe_layers {
            let rows = || (0..decisions.len()).filter(|row| decisions.layer[*row] == *layer);
            let selected: Vec<u8> = rows()
                .flat_map(|row| decisions.experts(row).to_vec())
                .flat_map(|id| i64::from(id).to_le_bytes())
                .collect();
            let weights: Vec<f32> = rows()
                .flat_map(|row| decisions.weights(row).unwrap().to_vec())
                .collect();
            let logits: Vec<f32> = rows()
                .flat_map(|row| decisions.logits(row).unwrap().to_vec())
                .collect();
            let chosen = vec![ids.len(), usize::from(spec.top_k)];
            let all = vec![ids.len(), usize::from(spec.num_experts)];
            let at = format!("{length}.{}", layer.0);
            out.insert(
                format!("selected.{at}"),
                (Dtype::I64, chosen.clone(), selected),
            );
            out.insert(
                format!("weights.{at}"),
                (Dtype::F32, chosen, f32s(&weights)),
            );
            out.insert(
                format!("router_logits.{at}"),
                (Dtype::F32, all, f32s(&logits)),
            );
        }
    }
    let views: Vec<(&String, TensorView<'_>)> = out
        .iter()
        .map(|(name, (dtype, shape, data))| {
            (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
        })
        .collect();
    safetensors::serialize_to_file(views, None, to).unwrap();
}

/// The same rounded weights in burn's own operators must give the same numbers, as tightly as in f32.
fn blocks_agree(device: &ComputeDevice) {
    let folder = tempfile::tempdir().unwrap();
    let values = folder.path().join("computed.safetensors");
    // Two scores that are both wrong by what routing weights may be wrong by.
    let tolerances = Tolerances {
        near_tie: 2.0 * Tolerances::default().weights,
        ..Tolerances::default()
    };
    for weights in [WeightType::Q8, WeightType::Q4] {
        let options = LoadOptions {
            weights,
            ..LoadOptions::default()
        };
        let mut in_blocks = 0;
        for case in cases() {
            computed(
                &load(&case, &ComputeDevice::plain_cpu(), options),
                &case,
                &values,
            );
            let model = load(&case, device, options);
            let types = model.weight_types();
            in_blocks += usize::from(types["experts"].contains(weights.name()));
            let stored = Checkpoint::open(&case)
                .unwrap()
                .types_kept(WeightType::Stored)
                .unwrap();
            for class in ["router", "norms", "embeddings"] {
                assert_eq!(types[class], stored[class], "{}: {class}", case.display());
            }
            let report = verify(&model, &values, tolerances, &NoProgress).unwrap();
            if !report.passes() {
                show(&case, &report);
            }
            assert!(
                report.passes(),
                "{weights}, {}: {:?}",
                case.display(),
                report.failures
            );
            assert!(report.selections > 10 * report.downstream);
        }
        assert!(
            in_blocks >= 39,
            "{weights}: experts in blocks in {in_blocks} cases"
        );
    }
}

#[test]
fn blocks_agree_on_the_cpu() {
    blocks_agree(&cpu());
}

#[test]
fn blocks_agree_on_the_gpu() {
    if let Some(device) = gpu() {
        blocks_agree(&device);
    }
}

/// Rounding shows: a model in q4 is another model, and one in q8 is nearer to the stored one.
#[test]
fn fewer_bits_are_further_from_the_stored_weights() {
    for name in [
        "mixtral",
        "deepseek_v3_fp8",
        "gpt_oss_mxfp4",
        "llama4_text",
        "dbrx",
    ] {
        let case = repository().join("tests/fixtures/golden").join(name);
        let error = |weights| {
            let options = LoadOptions {
                weights,
                ..LoadOptions::default()
            };
            let model = load(&case, &cpu(), options);
            let report = verify(
                &model,
                &expected(&case),
                bf16_tolerances(&case),
                &NoProgress,
            )
            .unwrap();
            // The first layer's router has only attention before it.
            (report.router_logits.largest, report.differing)
        };
        let (q8, q4) = (error(WeightType::Q8), error(WeightType::Q4));
        println!("{name}: q8 {q8:?}, q4 {q4:?}");
        assert!(
            q8.0 > 1e-4 && q4.0 > 3.0 * q8.0,
            "{name}: q8 {q8:?}, q4 {q4:?}"
        );
    }
}

#[test]
fn weights_that_blocks_cannot_hold_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let case = repository().join("tests/fixtures/golden/mixtral");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(case.join(file), folder.path().join(file)).unwrap();
    }
    let path = folder.path().join("model.safetensors");
    let mut file = std::fs::read(&path).unwrap();
    let name = "model.layers.1.self_attn.q_proj.weight";
    let place = {
        let tensors = SafeTensors::deserialize(&file).unwrap();
        let data = tensors.tensor(name).unwrap().data().as_ptr() as usize;
        data - file.as_ptr() as usize
    };
    // Row 2, column 5 of f32 rows of 32.
    let at = place + 4 * (2 * 32 + 5);
    file[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, file).unwrap();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    for weights in [WeightType::Q8, WeightType::Q4] {
        let options = LoadOptions {
            weights,
            ..LoadOptions::default()
        };
        let error = MoeModel::load(&checkpoint, &cpu(), options, &NoProgress).unwrap_err();
        let words = error.to_string();
        assert!(matches!(error, EngineError::Precision(_)), "{words}");
        assert!(words.contains(name) && words.contains("row 2"), "{words}");
    }
}

#[test]
fn other_devices_refuse_bf16_with_the_reason() {
    let case = repository().join("tests/fixtures/golden/mixtral");
    let checkpoint = Checkpoint::open(&case).unwrap();
    let options = LoadOptions {
        compute: ComputeType::Bf16,
        ..LoadOptions::default()
    };
    for device in gpu().into_iter().chain([ComputeDevice::plain_cpu()]) {
        let error = MoeModel::load(&checkpoint, &device, options, &NoProgress).unwrap_err();
        assert!(error.to_string().contains("--compute f32"), "{error}");
    }
}
