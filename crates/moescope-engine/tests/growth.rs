//! A sequence that is cut, forked and rewritten, against runs that were never touched.

use std::path::Path;

use moescope_core::{NoProgress, Phase};
use moescope_engine::{
    BatchRun, Checkpoint, ComputeDevice, DeviceChoice, Growth, GrowthConfig, Intervention,
    Interventions, LoadOptions, MoeModel, RunConfig, SamplingConfig, SequenceRecord, SequenceToken,
};

fn model() -> MoeModel {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/models/scidfm-mini");
    MoeModel::load(
        &Checkpoint::open(&folder).unwrap(),
        &ComputeDevice::open(DeviceChoice::Cpu).unwrap(),
        LoadOptions::default(),
        &NoProgress,
    )
    .unwrap()
}

fn sampling(seed: u64) -> SamplingConfig {
    SamplingConfig {
        temperature: 0.9,
        top_p: 0.95,
        seed,
        ..SamplingConfig::default()
    }
}

fn config(seed: u64) -> GrowthConfig {
    GrowthConfig {
        sampling: sampling(seed),
        keeps_logits: true,
    }
}

fn changed(model: &MoeModel, specs: &[&str]) -> Interventions {
    let interventions: Vec<Intervention> = specs.iter().map(|spec| spec.parse().unwrap()).collect();
    Interventions::new(interventions, model.spec()).unwrap()
}

fn prompt() -> Vec<u32> {
    (0..37u32).map(|i| (i * 104_729) % 8000 + 10).collect()
}

/// A prompt with `new` drawn tokens, never touched.
fn grown<'m>(
    model: &'m MoeModel,
    prompt: &[u32],
    seed: u64,
    specs: &[&str],
    new: usize,
) -> Growth<'m> {
    let mut growth = Growth::new(model, prompt, config(seed), changed(model, specs)).unwrap();
    for _ in 0..new {
        growth.draw().unwrap();
    }
    growth
}

fn ids(record: &SequenceRecord) -> Vec<u32> {
    record.tokens.iter().map(|token| token.id).collect()
}

/// Tokens, decisions and what comes next, as bits.
fn assert_same(a: &Growth<'_>, b: &Growth<'_>) {
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    let stats = |token: &SequenceToken| {
        (
            token.id,
            token.phase,
            token.predicted_id,
            token.surprisal.map(f32::to_bits),
        )
    };
    let tokens = |growth: &Growth<'_>| growth.record().tokens.iter().map(stats).collect::<Vec<_>>();
    assert_eq!(tokens(a), tokens(b));
    let (x, y) = (&a.record().decisions, &b.record().decisions);
    assert_eq!(x.selected_experts, y.selected_experts);
    assert_eq!((&x.position, &x.layer), (&y.position, &y.layer));
    for column in [
        (&x.routing_weights, &y.routing_weights),
        (&x.router_logits, &y.router_logits),
        (&x.entropy, &y.entropy),
        (&x.margin, &y.margin),
    ] {
        assert_eq!(
            bits(column.0.as_ref().unwrap()),
            bits(column.1.as_ref().unwrap())
        );
    }
    assert_eq!(
        bits(a.next_logits().unwrap()),
        bits(b.next_logits().unwrap())
    );
    assert_eq!(a.record().num_prompt_tokens, b.record().num_prompt_tokens);
}

#[test]
fn a_growing_sequence_is_the_one_that_a_batch_run_makes() {
    let model = model();
    let growth = grown(&model, &prompt(), 4, &[], 12);
    let batch_run = |routes_last: bool| {
        let config = RunConfig {
            max_new_tokens: 12,
            sampling: sampling(4),
            routes_last,
            ..RunConfig::default()
        };
        let mut run = BatchRun::new(&model, &[prompt()], &[0], config, Interventions::default());
        run.prefill().unwrap();
        while run.is_live() {
            run.decode_step().unwrap();
        }
        run.finish().pop().unwrap()
    };
    let whole = batch_run(true);
    assert_eq!(ids(&whole), ids(growth.record()));
    assert_eq!(whole.decisions, growth.record().decisions);
    let phases =
        |record: &SequenceRecord| -> Vec<_> { record.tokens.iter().map(|t| t.phase).collect() };
    assert_eq!(phases(&whole), phases(growth.record()));
    // Unless that is asked for, a batch run does not route its last token.
    let record = batch_run(false);
    assert_eq!(ids(&record), ids(growth.record()));
    let rows = record.decisions.len();
    assert_eq!(
        rows + model.spec().moe_layers.len(),
        growth.record().decisions.len()
    );
    let mut decisions = growth.record().decisions.clone();
    decisions.truncate(rows);
    assert_eq!(decisions, record.decisions);
    let surprisals = |record: &SequenceRecord| -> Vec<Option<u32>> {
        let tokens = record.tokens.iter();
        tokens
            .map(|token| token.surprisal.map(f32::to_bits))
            .collect()
    };
    assert_eq!(surprisals(&record), surprisals(growth.record()));
}

#[test]
fn a_fork_with_the_same_seed_repeats_what_followed_and_leaves_the_other_as_it_was() {
    let model = model();
    let whole = grown(&model, &prompt(), 7, &[], 20);
    for keep in [1, 20, 37, 38, 45, 56] {
        let mut fork = whole.clone();
        fork.cut(keep).unwrap();
        assert_eq!(fork.len(), keep);
        // What stays of a prompt is drawn on from the beginning of the stream.
        if keep < 37 {
            assert_same(&fork, &grown(&model, &prompt()[..keep], 7, &[], 0));
            continue;
        }
        assert_same(&fork, &grown(&model, &prompt(), 7, &[], keep - 37));
        while fork.len() < whole.len() {
            fork.draw().unwrap();
        }
        assert_same(&fork, &whole);
    }
    assert_same(&whole, &grown(&model, &prompt(), 7, &[], 20));
}

#[test]
fn another_seed_or_another_routing_makes_another_continuation_of_the_same_past() {
    let model = model();
    let whole = grown(&model, &prompt(), 7, &[], 20);
    let after = |change: &dyn Fn(&mut Growth<'_>)| {
        let mut fork = whole.clone();
        fork.cut(41).unwrap();
        change(&mut fork);
        (0..16).for_each(|_| {
            fork.draw().unwrap();
        });
        assert_eq!(ids(fork.record())[..41], ids(whole.record())[..41]);
        fork
    };
    let reseeded = after(&|fork| fork.set_sampling(&sampling(8)));
    assert_ne!(ids(reseeded.record()), ids(whole.record()));
    assert_eq!(reseeded.samplings(), [(37, sampling(7)), (41, sampling(8))]);
    // Cut before the change, tokens are drawn as they were.
    let mut earlier = reseeded.clone();
    earlier.cut(39).unwrap();
    assert_eq!(
        (earlier.sampling(), earlier.samplings()),
        (&sampling(7), &[(37, sampling(7))][..])
    );
    let masked = after(&|fork| fork.set_interventions(changed(&model, &["mask:0:0,1,2"])));
    let decisions = &masked.record().decisions;
    let chose = |row: usize| decisions.experts(row).iter().any(|expert| *expert < 3);
    let first_layer = |row: &usize| decisions.layer[*row].0 == 0;
    let rows = || (0..decisions.len()).filter(first_layer);
    assert!(
        rows()
            .filter(|row| decisions.position[*row] >= 41)
            .all(|row| !chose(row))
    );
    assert!(
        rows()
            .filter(|row| decisions.position[*row] < 41)
            .any(chose)
    );
    let stretches: Vec<(usize, usize)> = masked
        .stretches()
        .iter()
        .map(|(first, under)| (*first, under.specs().len()))
        .collect();
    assert_eq!(stretches, [(0, 0), (41, 1)]);
    // Cut before the change, the routing is what it was.
    let mut back = masked.clone();
    back.cut(40).unwrap();
    while back.len() < whole.len() {
        back.draw().unwrap();
    }
    assert_same(&back, &whole);
}

#[test]
fn a_rewritten_sequence_is_the_one_whose_prompt_it_is() {
    let model = model();
    let words = [55u32, 1203, 77];
    let new_prompt = |whole: &Growth<'_>, keep: usize| {
        let mut new = ids(whole.record())[..keep].to_vec();
        new.extend(words);
        new
    };
    let whole = grown(&model, &prompt(), 7, &["mask:1:4"], 20);
    for keep in [0, 9, 37, 48] {
        let mut rewritten = whole.clone();
        rewritten.rewrite(keep, &words).unwrap();
        let new = new_prompt(&whole, keep);
        assert_same(&rewritten, &grown(&model, &new, 7, &["mask:1:4"], 0));
        (0..6).for_each(|_| {
            rewritten.draw().unwrap();
        });
        assert_same(&rewritten, &grown(&model, &new, 7, &["mask:1:4"], 6));
        let phases = |phase| {
            let tokens = rewritten.record().tokens.iter();
            tokens.filter(|token| token.phase == Some(phase)).count()
        };
        assert_eq!(
            (phases(Phase::Prefill), phases(Phase::Decode)),
            (new.len(), 6)
        );
    }
    // Under other interventions than before, all of it is computed anew.
    let mut rewritten = whole.clone();
    rewritten.set_interventions(Interventions::default());
    rewritten.rewrite(40, &words).unwrap();
    assert_same(
        &rewritten,
        &grown(&model, &new_prompt(&whole, 40), 7, &[], 0),
    );
}

#[test]
fn a_failed_step_changes_nothing() {
    let model = model();
    let mut growth = grown(&model, &prompt(), 7, &[], 3);
    let error = growth.rewrite(40, &[9_999_999]).unwrap_err();
    assert!(error.to_string().contains("vocabulary"), "{error}");
    assert_same(&growth, &grown(&model, &prompt(), 7, &[], 3));
    assert!(growth.cut(0).is_err() && growth.cut(41).is_err());
    let error = Growth::new(&model, &[], config(1), Interventions::default()).unwrap_err();
    assert!(error.to_string().contains("no token"), "{error}");
    let long = vec![10; model.config().max_positions + 1];
    let error = Growth::new(&model, &long, config(1), Interventions::default()).unwrap_err();
    assert!(error.to_string().contains("context"), "{error}");
}

#[test]
fn logits_are_kept_only_where_they_are_wanted() {
    let model = model();
    let mut growth = Growth::new(
        &model,
        &prompt(),
        GrowthConfig::default(),
        Interventions::default(),
    )
    .unwrap();
    growth.draw().unwrap();
    let decisions = &growth.record().decisions;
    assert!(decisions.router_logits.is_none());
    assert_eq!(decisions.len(), 38 * model.spec().moe_layers.len());
    assert_eq!(decisions.margin.as_ref().unwrap().len(), decisions.len());
}
