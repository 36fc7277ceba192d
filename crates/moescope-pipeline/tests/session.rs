//! A live session on the embedded model, against what `generate` does.

mod support;

use std::path::Path;

use moescope_analytics::{MeasureRequest, TraceData, find};
use moescope_core::{NoProgress, Phase, PhaseSelection, Scope};
use moescope_engine::SamplingConfig;
use moescope_pipeline::{
    FinishReason, GenerateConfig, generate, prompt_id,
    session::{
        Branch, BranchId, BranchState, Given, LiveScope, PictureSource, SessionCommand,
        SessionConfig, SessionEvent, StartConfig, picture, picture_difference,
    },
    text_effect,
};
use moescope_trace::RoutingTrace;
use support::{FIRST, Listening, PROMPT, SECOND, experts, ids, loaded, run, sampling, start};

#[test]
fn a_session_writes_what_generate_writes_whether_stepped_or_run() {
    let loaded = loaded();
    let config = GenerateConfig {
        prompt: PROMPT.to_owned(),
        max_new_tokens: 12,
        sampling: sampling(),
        ..GenerateConfig::default()
    };
    let generated = generate(&loaded, &config, &mut |_| true, &NoProgress).unwrap();
    let mut run_on = Listening::to(&loaded, SessionConfig::default());
    run_on.drawn(vec![start(&[]), run(FIRST, 12)], FIRST, 12);
    let mut stepped = Listening::to(&loaded, SessionConfig::default());
    stepped.drawn(vec![start(&[])], FIRST, 0);
    for tokens in 1..=12 {
        stepped.drawn(vec![run(FIRST, 1)], FIRST, tokens);
    }
    let branch = run_on.branch(FIRST);
    assert_eq!(branch.columns.num_prompt_tokens(), generated.prompt_tokens);
    assert!(
        generated.text.starts_with(&branch.reply),
        "{} / {}",
        generated.text,
        branch.reply
    );
    let text: String = branch.columns.tokens()[generated.prompt_tokens..]
        .iter()
        .map(|token| token.text.as_ref())
        .collect();
    assert_eq!(text.trim(), generated.text.trim());
    assert_eq!(ids(branch), ids(stepped.branch(FIRST)));
    assert_eq!(experts(branch), experts(stepped.branch(FIRST)));
    let last = branch.columns.tokens().last().unwrap();
    assert_eq!(last.phase, Phase::Decode);
    assert!(last.surprisal.unwrap() > 0.0 && last.next.len() == 8);
    let sum: f32 = last
        .next
        .iter()
        .map(|candidate| candidate.probability)
        .sum();
    assert!(sum > 0.0 && sum <= 1.0 + 1e-6, "{sum}");
    assert!(branch.tokens_per_sec().unwrap() > 0.0);
    assert!(run_on.failures.is_empty() && stepped.failures.is_empty());
}

#[test]
fn a_fork_repeats_with_the_same_seed_and_the_first_branch_goes_on() {
    let loaded = loaded();
    let mut listening = Listening::to(&loaded, SessionConfig::default());
    listening.drawn(vec![start(&[]), run(FIRST, 14)], FIRST, 14);
    let prompt = listening.branch(FIRST).columns.num_prompt_tokens();
    let fork = SessionCommand::Fork {
        branch: FIRST,
        keep: prompt + 5,
    };
    listening.drawn(vec![fork.clone(), run(SECOND, 9)], SECOND, 14);
    let (first, second) = (listening.branch(FIRST), listening.branch(SECOND));
    assert_eq!(second.info.parent, Some((FIRST, prompt + 5)));
    assert_eq!(ids(first), ids(second));
    assert_eq!(experts(first), experts(second));
    assert_eq!(first.reply, second.reply);
    // Another seed from the same place; the first branch is as it was, and can go on.
    let reseed = SessionCommand::Sample {
        branch: BranchId(2),
        sampling: SamplingConfig {
            temperature: 1.5,
            seed: 99,
            ..SamplingConfig::default()
        },
    };
    let before = ids(listening.branch(FIRST));
    listening.drawn(vec![fork, reseed, run(BranchId(2), 9)], BranchId(2), 14);
    assert_ne!(ids(listening.branch(BranchId(2))), before);
    assert_eq!(ids(listening.branch(FIRST)), before);
    listening.drawn(vec![run(FIRST, 3)], FIRST, 17);
    assert_eq!(ids(listening.branch(FIRST))[..before.len()], before);
    assert!(listening.failures.is_empty(), "{:?}", listening.failures);
}

#[test]
fn a_branch_within_the_prompt_knows_what_could_come_next() {
    let loaded = loaded();
    let mut listening = Listening::to(&loaded, SessionConfig::default());
    listening.drawn(vec![start(&[]), run(FIRST, 4)], FIRST, 4);
    let first = listening.branch(FIRST).clone();
    let prompt = first.columns.num_prompt_tokens();
    let keep = 3;
    assert!(keep < prompt && first.columns.tokens()[keep - 1].next.is_empty());
    let fork = |keep| SessionCommand::Fork {
        branch: FIRST,
        keep,
    };
    listening.until(vec![fork(keep)], SECOND, &|branch| {
        branch.columns.len() == keep
    });
    let within = listening.branch(SECOND);
    assert_eq!(ids(within), ids(&first)[..keep]);
    assert_eq!(experts(within), experts(&first)[..keep * 6]);
    let last = within.columns.tokens()[keep - 1].clone();
    assert_eq!(last.surprisal, first.columns.tokens()[keep - 1].surprisal);
    assert_eq!(last.next.len(), 8);
    // Put after it, the likeliest is as surprising as that.
    let best = &last.next[0];
    let third = BranchId(2);
    let give = SessionCommand::Give {
        branch: SECOND,
        keep,
        given: Given::Token(best.id),
    };
    listening.until(vec![give], third, &|branch| {
        branch.columns.len() == keep + 1
    });
    let surprisal = listening.branch(third).columns.tokens()[keep].surprisal;
    assert!((surprisal.unwrap() + best.probability.ln()).abs() < 1e-4);
    // In the reply nothing changes, and a token that is told again counts for no pace.
    let fourth = BranchId(3);
    listening.until(vec![fork(prompt + 2)], fourth, &|branch| {
        branch.columns.len() == prompt + 2
    });
    let within = listening.branch(fourth);
    let kept = &first.columns.tokens()[..prompt + 2];
    assert_eq!(within.columns.tokens(), kept);
    assert_eq!(within.pace, (0, 0.0));
    listening.until(vec![fork(1)], BranchId(4), &|branch| {
        branch.columns.len() == 1
    });
    assert_eq!(ids(listening.branch(BranchId(4))), ids(&first)[..1]);
    assert!(listening.failures.is_empty(), "{:?}", listening.failures);
}

#[test]
fn regenerated_under_a_mask_the_expert_is_gone_and_the_trace_says_so() {
    let loaded = loaded();
    let folder = tempfile::tempdir().unwrap();
    let mut listening = Listening::to(&loaded, SessionConfig::default());
    listening.drawn(vec![start(&[]), run(FIRST, 10)], FIRST, 10);
    let again = SessionCommand::Regenerate {
        branch: FIRST,
        interventions: vec!["mask:all:2".parse().unwrap()],
    };
    listening.drawn(vec![again], SECOND, 10);
    let (plain, masked) = (listening.branch(FIRST), listening.branch(SECOND));
    assert!(experts(plain).iter().flatten().any(|expert| *expert == 2));
    assert!(experts(masked).iter().flatten().all(|expert| *expert != 2));
    assert_eq!(
        masked.info.interventions,
        [(0, vec!["mask:all:2".to_owned()])]
    );
    let path = folder.path().join("masked");
    listening.session.send(SessionCommand::Save {
        branch: SECOND,
        path: path.clone(),
    });
    let (transcript, failures, last) = listening.close();
    assert!(failures.is_empty(), "{failures:?}");
    assert!(
        last.iter()
            .any(|event| matches!(event, SessionEvent::Saved { .. }))
    );
    let masked = transcript.branch(SECOND).unwrap();
    let trace = RoutingTrace::open(&path).unwrap();
    assert_eq!(trace.manifest().interventions, ["mask:all:2"]);
    let document = trace.document(&prompt_id(PROMPT)).unwrap();
    let kept: Vec<u32> = document
        .tokens
        .iter()
        .map(|t| t.token_id.unwrap())
        .collect();
    assert_eq!(kept, ids(masked));
    let of_trace: Vec<Vec<u16>> = (0..document.decisions.len())
        .map(|row| document.decisions.experts(row).to_vec())
        .collect();
    assert_eq!(of_trace, experts(masked));
    // `generate` under the same intervention writes the same.
    let config = GenerateConfig {
        prompt: PROMPT.to_owned(),
        max_new_tokens: 10,
        sampling: sampling(),
        interventions: vec!["mask:all:2".parse().unwrap()],
        ..GenerateConfig::default()
    };
    let generated = generate(&loaded, &config, &mut |_| true, &NoProgress).unwrap();
    assert!(generated.text.starts_with(&masked.reply));
}

#[test]
fn an_intervention_on_the_way_is_kept_with_its_first_token() {
    let loaded = loaded();
    let folder = tempfile::tempdir().unwrap();
    let config = SessionConfig {
        keep_in: Some(folder.path().to_owned()),
        ..SessionConfig::default()
    };
    let mut listening = Listening::to(&loaded, config);
    listening.drawn(vec![start(&[]), run(FIRST, 4)], FIRST, 4);
    let at = listening.branch(FIRST).columns.len();
    let change = SessionCommand::Intervene {
        branch: FIRST,
        interventions: vec!["mask:all:2,5".parse().unwrap()],
    };
    listening.drawn(vec![change, run(FIRST, 8)], FIRST, 12);
    let branch = listening.branch(FIRST);
    let wanted = [(0, Vec::new()), (at, vec!["mask:all:2,5".to_owned()])];
    assert_eq!(branch.info.interventions, wanted);
    let layers = branch.columns.layers().len();
    let all = experts(branch);
    let is_masked = |experts: &Vec<u16>| experts.contains(&2) || experts.contains(&5);
    assert!(all[..at * layers].iter().any(is_masked));
    assert!(!all[at * layers..].iter().any(is_masked));
    // Nobody saved it: the end of the session does.
    drop(listening);
    let trace = RoutingTrace::open(&folder.path().join("branch-0")).unwrap();
    let interventions = &trace.manifest().interventions;
    let wanted = [
        "none from token 0".to_owned(),
        format!("mask:all:2,5 from token {at}"),
    ];
    assert_eq!(*interventions, wanted);
    let document = trace.document(&prompt_id(PROMPT)).unwrap();
    assert_eq!(document.tokens.len(), at + 8);
}

#[test]
fn other_words_make_the_branch_whose_prompt_they_are_in() {
    let loaded = loaded();
    let mut listening = Listening::to(&loaded, SessionConfig::default());
    listening.drawn(vec![start(&["mask:1:3"]), run(FIRST, 6)], FIRST, 6);
    let edit = SessionCommand::Edit {
        branch: FIRST,
        prompt: "The enzyme lowers the pressure".to_owned(),
    };
    listening.drawn(vec![edit, run(SECOND, 6)], SECOND, 6);
    let mut fresh = Listening::to(&loaded, SessionConfig::default());
    let other = SessionCommand::Start(StartConfig {
        prompt: "The enzyme lowers the pressure".to_owned(),
        sampling: sampling(),
        interventions: vec!["mask:1:3".parse().unwrap()],
        ..StartConfig::default()
    });
    fresh.drawn(vec![other, run(FIRST, 6)], FIRST, 6);
    let (edited, fresh) = (listening.branch(SECOND), fresh.branch(FIRST));
    assert_eq!(ids(edited), ids(fresh));
    assert_eq!(experts(edited), experts(fresh));
    assert_eq!(edited.reply, fresh.reply);
    assert!(
        edited.info.parent.unwrap().1 > 1,
        "the beginning is not computed again"
    );
    // A token that might have come instead.
    let first = listening.branch(FIRST);
    let keep = first.columns.len();
    let instead = first.columns.tokens()[keep - 1].next[1].id;
    let give = SessionCommand::Give {
        branch: FIRST,
        keep,
        given: Given::Token(instead),
    };
    let is_read = |branch: &Branch| !branch.columns.is_empty();
    listening.until(vec![give], BranchId(2), &is_read);
    let given = listening.branch(BranchId(2));
    assert_eq!(ids(given).last(), Some(&instead));
    assert_eq!(given.columns.num_prompt_tokens(), keep + 1);
    let words = SessionCommand::Give {
        branch: FIRST,
        keep: 3,
        given: Given::Text(" reaction".to_owned()),
    };
    listening.until(vec![words], BranchId(3), &is_read);
    let text: String = listening.branch(BranchId(3)).columns.tokens()[3..]
        .iter()
        .map(|token| token.text.as_ref())
        .collect();
    assert_eq!(text.trim(), "reaction");
    assert!(listening.failures.is_empty(), "{:?}", listening.failures);
}

#[test]
fn what_cannot_be_done_is_told_and_changes_nothing() {
    let loaded = loaded();
    let mut listening = Listening::to(&loaded, SessionConfig::default());
    listening.drawn(vec![start(&[]), run(FIRST, 3)], FIRST, 3);
    let before = listening.branch(FIRST).clone();
    let wrong = [
        run(BranchId(7), 1),
        SessionCommand::Fork {
            branch: FIRST,
            keep: 0,
        },
        SessionCommand::Regenerate {
            branch: FIRST,
            interventions: vec!["mask:0:99".parse().unwrap()],
        },
        SessionCommand::Save {
            branch: FIRST,
            path: Path::new("/dev/null/trace").to_owned(),
        },
    ];
    wrong
        .into_iter()
        .for_each(|command| listening.session.send(command));
    let (transcript, failures, _) = listening.close();
    let words = [
        "generate: there is no branch 7",
        "branch: ",
        "generate again: ",
        "save the branch: ",
    ];
    assert_eq!(failures.len(), words.len(), "{failures:?}");
    for (failure, words) in failures.iter().zip(words) {
        assert!(failure.starts_with(words), "{failure}");
    }
    assert_eq!(*transcript.branch(FIRST).unwrap(), before);
}

#[test]
fn a_stopped_reply_can_go_on_and_a_running_one_can_be_paused() {
    let loaded = loaded();
    let mut listening = Listening::to(&loaded, SessionConfig::default());
    let endless = SessionCommand::Run {
        branch: FIRST,
        tokens: None,
    };
    listening.until(vec![start(&[]), endless.clone()], FIRST, &|branch| {
        branch.pace.0 >= 2
    });
    listening.until(vec![SessionCommand::Pause], FIRST, &|branch| {
        branch.state != BranchState::Running
    });
    let is_stopped =
        |branch: &Branch| branch.state == BranchState::Finished(FinishReason::Cancelled);
    listening.until(vec![SessionCommand::Stop(FIRST)], FIRST, &is_stopped);
    let tokens = listening.branch(FIRST).columns.len();
    listening.until(vec![run(FIRST, 2)], FIRST, &|branch| {
        branch.columns.len() == tokens + 2 && branch.state == BranchState::Paused
    });
    assert!(listening.failures.is_empty(), "{:?}", listening.failures);
}

#[test]
fn pictures_are_what_measure_says_of_the_saved_trace() {
    let loaded = loaded();
    let folder = tempfile::tempdir().unwrap();
    let mut listening = Listening::to(&loaded, SessionConfig::default());
    listening.drawn(vec![start(&[]), run(FIRST, 16)], FIRST, 16);
    let path = folder.path().join("trace");
    listening.session.send(SessionCommand::Save {
        branch: FIRST,
        path: path.clone(),
    });
    let (transcript, failures, _) = listening.close();
    assert!(failures.is_empty(), "{failures:?}");
    let kept = transcript.branch(FIRST).unwrap();
    assert_eq!(kept.kept_whole(), Some(path.as_path()));
    let mut grown = kept.clone();
    grown.columns.truncate(3);
    assert_eq!(grown.kept_whole(), None, "other tokens than were kept");
    let columns = &kept.columns;
    let data = TraceData::open(&path).unwrap();
    let measured = |phase| {
        let request = MeasureRequest {
            by: "all".into(),
            scope: Scope {
                phase,
                ..Scope::default()
            },
            ..MeasureRequest::default()
        };
        let metric = find("assignment_share").unwrap();
        metric
            .measure(&data, &request, &NoProgress)
            .unwrap()
            .remove(0)
    };
    let shown = |scope: &LiveScope| picture(columns, scope, None).unwrap();
    let same = |a: &[f64], b: &[f64]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12)
    };
    let (reply, prompt) = (shown(&LiveScope::Reply), shown(&LiveScope::Prompt));
    reply.check().unwrap();
    assert!(same(
        &reply.values,
        &measured(PhaseSelection::Decode).values
    ));
    assert!(same(
        &prompt.values,
        &measured(PhaseSelection::Prefill).values
    ));
    assert!(same(
        &shown(&LiveScope::Text).values,
        &measured(PhaseSelection::All).values
    ));
    let difference = shown(&LiveScope::ReplyMinusPrompt);
    let wanted: Vec<f64> = reply
        .values
        .iter()
        .zip(&prompt.values)
        .map(|(a, b)| a - b)
        .collect();
    assert!(same(&difference.values, &wanted));
    let last = shown(&LiveScope::Token(columns.len() - 1));
    let is_share = |v: &f64| v.abs() < 1e-12 || (v - 0.5).abs() < 1e-12;
    assert!(last.values.iter().all(is_share));
    let last = LiveScope::Last(8);
    assert_eq!(shown(&last).protocol.n_tokens, 8);
    // What was taken stays as it was when the sequence is cut.
    let mut cut = columns.clone();
    let taken = PictureSource::new(&cut, last.clone());
    cut.truncate(columns.len() - 4);
    assert_eq!(taken.picture(None).unwrap(), shown(&last));
    assert_ne!(picture(&cut, &last, None).unwrap(), shown(&last));
    assert!(picture(columns, &LiveScope::Token(999), None).is_err());
    let label = LiveScope::ReplyMinusLabel("law".into());
    let error = picture(columns, &label, None).unwrap_err();
    assert!(error.to_string().contains("open a trace"), "{error}");
}

#[test]
fn two_prompts_differ_by_the_shares_of_each() {
    let loaded = loaded();
    let folder = tempfile::tempdir().unwrap();
    let mut listening = Listening::to(&loaded, SessionConfig::default());
    listening.drawn(vec![start(&[]), run(FIRST, 2)], FIRST, 2);
    let other = "The court held that the contract was void";
    let edit = SessionCommand::Edit {
        branch: FIRST,
        prompt: other.to_owned(),
    };
    listening.drawn(vec![edit, run(SECOND, 2)], SECOND, 2);
    let both = [FIRST, SECOND].map(|id| &listening.branch(id).columns);
    let scope = LiveScope::Prompt;
    let [first, second] = both.map(|columns| picture(columns, &scope, None).unwrap());
    let sources = both.map(|columns| PictureSource::new(columns, scope.clone()));
    let difference = picture_difference(sources.each_ref()).unwrap();
    difference.check().unwrap();
    assert_eq!(difference.axes, first.axes);
    let wanted: Vec<f64> = first
        .values
        .iter()
        .zip(&second.values)
        .map(|(a, b)| a - b)
        .collect();
    assert_eq!(difference.values, wanted);
    assert!(wanted.iter().any(|value| value.abs() > 0.01));
    let sizes = [&first, &second].map(|shown| shown.protocol.n_tokens);
    assert_eq!(difference.protocol.n_tokens, sizes[0] + sizes[1]);
    // Kept, they are two documents: nothing pairs them by mistake.
    for branch in [FIRST, SECOND] {
        let path = folder.path().join(branch.to_string());
        listening
            .session
            .send(SessionCommand::Save { branch, path });
    }
    let (_, failures, _) = listening.close();
    assert!(failures.is_empty(), "{failures:?}");
    for (branch, prompt) in [(FIRST, PROMPT), (SECOND, other)] {
        let trace = RoutingTrace::open(&folder.path().join(branch.to_string())).unwrap();
        let samples = trace.samples().unwrap();
        assert_eq!(samples[0].meta.id, prompt_id(prompt));
    }
}

#[test]
fn the_effect_on_a_text_is_that_of_two_passes() {
    let loaded = loaded();
    let tokens: Vec<u32> = (0..40u32).map(|i| (i * 104_729) % 8000 + 10).collect();
    let mask = "mask:1:0,1,2".parse().unwrap();
    let effect = text_effect(&loaded, &tokens, &[mask], &NoProgress).unwrap();
    assert_eq!(effect.interventions, ["mask:1:0,1,2"]);
    assert_eq!((effect.tokens.len(), effect.layers.len()), (40, 6));
    // What comes before the change is as it was; what comes after feels it.
    assert!(effect.layers[0].changed_assignments == 0.0);
    assert!(effect.layers[1].changed_assignments > 0.1);
    assert!(
        effect.layers[2..]
            .iter()
            .any(|layer| layer.changed_assignments > 0.0)
    );
    assert!(effect.tokens[0].surprisal_change.is_none());
    let changes: Vec<f64> = effect
        .tokens
        .iter()
        .filter_map(|t| t.surprisal_change)
        .collect();
    let mean = changes.iter().sum::<f64>() / 39.0;
    assert!((effect.mean_surprisal_change.unwrap() - mean).abs() < 1e-12 && mean != 0.0);
    assert!(effect.mean_kl > 0.0);
    let table = effect.by_layer();
    table.check().unwrap();
    assert_eq!(table.axes[0].labels, ["0", "1", "2", "3", "4", "5"]);
    let shares = effect.layers.iter().map(|layer| layer.changed_assignments);
    assert_eq!(table.values, shares.collect::<Vec<f64>>());
    assert!(table.title.contains("mask:1:0,1,2"), "{}", table.title);
    let nothing = text_effect(
        &loaded,
        &tokens,
        &["boost=0:all:1".parse().unwrap()],
        &NoProgress,
    )
    .unwrap();
    assert!(
        nothing
            .tokens
            .iter()
            .all(|t| t.kl_nats == 0.0 && t.changed_layers == 0)
    );
    assert!(text_effect(&loaded, &[], &[], &NoProgress).is_err());
}
