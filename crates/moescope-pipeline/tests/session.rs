//! A live session on the embedded model, against what `generate` does.

use std::path::Path;

use moescope_core::{NoProgress, Phase};
use moescope_engine::SamplingConfig;
use moescope_pipeline::{
    FinishReason, GenerateConfig, generate, prompt_id,
    session::{
        Branch, BranchId, BranchState, Given, SessionCommand, SessionConfig, SessionEvent,
        StartConfig,
    },
};
use moescope_trace::RoutingTrace;

use crate::support::{
    FIRST, Listening, PROMPT, SECOND, experts, ids, loaded, run, sampling, start,
};

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
