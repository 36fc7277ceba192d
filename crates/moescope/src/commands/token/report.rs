//! A token's profile as text for people.

use std::io;

use moescope_analytics::{FirstChoiceAgreement, TokenContext, TokenExpert, TokenProfile};
use moescope_core::{LayerId, PhaseSelection, Scope};

use super::{Agreement, Report};
use crate::{
    cells::{percent, ratio},
    output,
};

/// Prints every part that there is, and names those that there are not; `top` experts of each layer.
pub(super) fn print(report: &Report<'_>, top: usize) -> io::Result<()> {
    let profile = report.profile;
    head(report)?;
    if profile.occurrences > 0 {
        labels(profile)?;
        experts(profile, top)?;
        if let Some(agreement) = &report.agreement {
            agreements(agreement)?;
        }
        contexts(profile, report.layer)?;
    }
    for missing in &profile.missing {
        output::line(&format!("not in this trace: {missing}"))?;
    }
    for note in &profile.notes {
        output::line(&format!("note: {note}"))?;
    }
    Ok(())
}

fn head(report: &Report<'_>) -> io::Result<()> {
    let profile = report.profile;
    let text = profile.text.as_deref();
    let text = text.map_or_else(String::new, |text| format!(" {}", output::visible(text)));
    output::line(&format!(
        "token {}{text}: {} occurrences in {} documents, {} of {} tokens",
        profile.id,
        output::count(profile.occurrences),
        output::count(profile.documents),
        part(profile.occurrences, profile.tokens),
        output::count(profile.tokens),
    ))?;
    output::line(&profile.scope)?;
    if profile.occurrences == 0 {
        output::line(&outside(report.scope, &profile.by))?;
    }
    Ok(())
}

/// Where a token may be that does not occur in a scope.
fn outside(scope: &Scope, by: &str) -> String {
    let is_of_all_documents = scope.labels.is_empty() && scope.only.is_empty();
    let narrows = [
        (
            scope.phase != PhaseSelection::All,
            "--phase all counts given and generated tokens",
        ),
        (
            !scope.include_special,
            "--include-special counts special and template tokens",
        ),
        (
            !scope.positions.is_all(),
            "without --positions tokens count wherever they stand",
        ),
        (
            !is_of_all_documents,
            "without --labels and --only every document counts",
        ),
        (by != "all", "--by all counts documents without a label"),
    ];
    let wider: Vec<&str> = narrows
        .into_iter()
        .filter_map(|(is_narrow, help)| is_narrow.then_some(help))
        .collect();
    if wider.is_empty() {
        return "no routed token of the trace is this one".to_owned();
    }
    format!("it may occur outside this scope: {}", wider.join("; "))
}

fn labels(profile: &TokenProfile) -> io::Result<()> {
    output::heading(&format!("Occurrences by {}", profile.by))?;
    let rows: Vec<Vec<String>> = profile
        .labels
        .iter()
        .map(|label| {
            vec![
                label.label.clone(),
                output::count(label.occurrences),
                part(label.occurrences, profile.occurrences),
                output::count(label.tokens),
                part(label.occurrences, label.tokens),
            ]
        })
        .collect();
    let headings = [
        profile.by.as_str(),
        ">times",
        ">share of its occurrences",
        ">tokens",
        ">share of the tokens",
    ];
    output::table(&headings, &rows)
}

fn experts(profile: &TokenProfile, top: usize) -> io::Result<()> {
    if top == 0 {
        return Ok(());
    }
    output::heading(&format!("Experts that it chooses, up to {top} of a layer"))?;
    let mut rows = Vec::new();
    for layer in &profile.layers {
        let at_layer = profile.experts.iter().filter(|e| e.layer == *layer);
        rows.extend(at_layer.take(top).map(expert));
    }
    output::table(
        &[
            ">layer",
            ">expert",
            ">times",
            ">share",
            ">of all tokens",
            ">lift",
            ">heaviest",
        ],
        &rows,
    )?;
    output::line(
        "share: of its occurrences that choose the expert; lift: over the share of all tokens; heaviest: times that it is the \
         first choice",
    )
}

fn expert(expert: &TokenExpert) -> Vec<String> {
    vec![
        expert.layer.to_string(),
        expert.expert.to_string(),
        output::count(expert.chosen),
        percent(expert.share),
        percent(expert.share_of_all),
        ratio(expert.lift),
        expert
            .heaviest
            .map_or_else(|| "–".to_owned(), output::count),
    ]
}

fn agreements(agreement: &Agreement) -> io::Result<()> {
    // A trace that does not rank experts says so among what is missing.
    if agreement.overall.compared == 0 {
        return Ok(());
    }
    output::heading("As its heaviest expert")?;
    let row = |layer: String, expert: String, found: FirstChoiceAgreement| {
        vec![
            layer,
            expert,
            output::count(found.agreeing),
            output::count(found.compared),
            part(found.agreeing, found.compared),
            percent(found.expected_share()),
        ]
    };
    let mut rows: Vec<Vec<String>> = agreement
        .layers
        .iter()
        .map(|at| row(at.layer.to_string(), at.expert.to_string(), at.found))
        .collect();
    rows.push(row("all".to_owned(), String::new(), agreement.overall));
    output::table(
        &[
            ">layer",
            ">expert",
            ">times",
            ">of",
            ">share",
            ">tokens at large",
        ],
        &rows,
    )?;
    output::line("tokens at large: the share if its occurrences chose as all tokens in scope do")
}

fn contexts(profile: &TokenProfile, layer: LayerId) -> io::Result<()> {
    if profile.contexts.is_empty() {
        return Ok(());
    }
    output::heading(&format!(
        "In context (drawn at random from all occurrences), with the experts of layer {layer}"
    ))?;
    let place = profile.layers.iter().position(|known| *known == layer);
    for context in &profile.contexts {
        let experts = place.and_then(|place| context.experts.get(place));
        context_of(context, experts.map_or(&[][..], Vec::as_slice))?;
    }
    Ok(())
}

fn context_of(context: &TokenContext, experts: &[u16]) -> io::Result<()> {
    let experts: Vec<String> = experts.iter().map(ToString::to_string).collect();
    let experts = match experts.as_slice() {
        [] => "no decision".to_owned(),
        experts => format!("experts {}", experts.join(", ")),
    };
    output::line(&format!(
        "{} ({}), position {}: {experts}",
        context.sample, context.label, context.position
    ))?;
    let Some(excerpt) = &context.excerpt else {
        return Ok(());
    };
    output::line(&format!(
        "  {}»{}«{}",
        output::visible(&excerpt.before),
        output::visible(&excerpt.token),
        output::visible(&excerpt.after)
    ))
}

/// A part of a count as a percentage.
#[expect(clippy::cast_precision_loss, reason = "counts of tokens")]
fn part(part: u64, whole: u64) -> String {
    percent(part as f64 / whole as f64)
}
