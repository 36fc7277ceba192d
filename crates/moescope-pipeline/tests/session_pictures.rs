//! What is measured of texts in a session: pictures of their routing, and the effect of interventions on one.

use moescope_analytics::{MeasureRequest, TraceData, find};
use moescope_core::{NoProgress, PhaseSelection, Scope};
use moescope_pipeline::{
    prompt_id,
    session::{
        LiveScope, PictureSource, SessionCommand, SessionConfig, picture, picture_difference,
    },
    text_effect,
};
use moescope_trace::RoutingTrace;

use crate::support::{FIRST, Listening, PROMPT, SECOND, loaded, run, start};

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
