//! An expert's profile as text for people.

use std::io;

use moescope_analytics::{Context, ExpertProfile, TokenList, TopToken};
use moescope_core::Interval;

use crate::{
    cells::{percent, ratio},
    output::{self, heading},
};

/// Prints every part that there is, and names those that there are not.
pub(super) fn print(profile: &ExpertProfile) -> io::Result<()> {
    output::line(&format!(
        "layer {}, expert {} of {}: chosen by {} of the tokens ({} if no expert were preferred)",
        profile.layer,
        profile.expert,
        profile.num_experts,
        percent(profile.share),
        percent(f64::from(profile.top_k) / f64::from(profile.num_experts)),
    ))?;
    let [tokens, documents, groups] = profile.sizes.map(output::count);
    output::line(&format!(
        "{tokens} tokens, {documents} documents, {groups} groups; {}",
        profile.scope
    ))?;
    labels(profile)?;
    companions(profile)?;
    for list in &profile.tokens {
        tokens_of(list)?;
    }
    vocabulary(profile)?;
    positions(profile)?;
    contexts(profile)?;
    for missing in &profile.missing {
        output::line(&format!("not in this trace: {missing}"))?;
    }
    for note in &profile.notes {
        output::line(&format!("note: {note}"))?;
    }
    Ok(())
}

fn labels(profile: &ExpertProfile) -> io::Result<()> {
    heading(&format!("Share of tokens by {}", profile.by))?;
    let mut labels: Vec<_> = profile.labels.iter().collect();
    labels.sort_by(|a, b| b.share.total_cmp(&a.share));
    let rows: Vec<Vec<String>> = labels
        .into_iter()
        .map(|label| {
            vec![
                label.label.clone(),
                percent(label.share),
                range(label.interval, percent),
                ratio(label.lift),
                range(label.lift_interval, ratio),
                probability(label.p),
                probability(label.q),
            ]
        })
        .collect();
    let interval = format!("{:.0} % interval", 100.0 * profile.level.unwrap_or(0.95));
    let headings = [
        profile.by.as_str(),
        ">share",
        &interval,
        ">lift",
        &interval,
        ">p",
        ">q",
    ];
    output::table(&headings, &rows)?;
    output::line(&format!(
        "lift: over the share of all tokens; q corrects for all labels and experts of the layer; intervals: {}",
        profile.interval_method
    ))
}

fn companions(profile: &ExpertProfile) -> io::Result<()> {
    if profile.companions.is_empty() {
        return Ok(());
    }
    heading("Chosen together with")?;
    let rows: Vec<Vec<String>> = profile
        .companions
        .iter()
        .map(|companion| {
            vec![
                companion.expert.to_string(),
                percent(companion.co_activation),
                range(companion.interval, percent),
                ratio(companion.lift_given_k),
                range(companion.lift_interval, ratio),
                probability(companion.q),
                ratio(companion.lift),
                format!("{:.1}", companion.z),
            ]
        })
        .collect();
    output::table(
        &[
            ">expert",
            ">share",
            "interval",
            ">lift given k",
            "interval",
            ">q",
            ">lift",
            ">z",
        ],
        &rows,
    )?;
    output::line(
        "share: of this expert's tokens; lift given k: over chance with the same loads and exactly k experts a token; lift and z: \
         over the hypergeometric null, z as if tokens were independent",
    )
}

fn tokens_of(list: &TokenList) -> io::Result<()> {
    let what = match list.class.as_str() {
        "predicted" => "Predicted next tokens",
        "next" => "Actual next tokens",
        _ => "Tokens",
    };
    heading(&format!(
        "{what}, most frequent ({} different)",
        list.distinct
    ))?;
    token_table(&list.by_count)?;
    if list.by_lift.is_empty() {
        return output::line("no token occurs ten times: no list by lift");
    }
    heading(&format!("{what}, by lift (ten occurrences or more)"))?;
    token_table(&list.by_lift)
}

fn token_table(tokens: &[TopToken]) -> io::Result<()> {
    let rows: Vec<Vec<String>> = tokens
        .iter()
        .map(|token| {
            vec![
                output::visible(&token.text),
                output::count(token.count),
                output::count(token.occurrences),
                percent(token.share),
                ratio(token.lift),
            ]
        })
        .collect();
    output::table(
        &["token", ">with expert", ">occurrences", ">share", ">lift"],
        &rows,
    )
}

fn vocabulary(profile: &ExpertProfile) -> io::Result<()> {
    if profile.vocabulary.is_empty() {
        return Ok(());
    }
    heading("Vocabulary specialization of the layer")?;
    let rows: Vec<Vec<String>> = profile
        .vocabulary
        .iter()
        .map(|value| {
            vec![
                value.label.clone(),
                value.variant.clone(),
                value.value.map_or_else(|| "–".to_owned(), percent),
                range(value.interval, percent),
                value.null_mean.map_or_else(String::new, percent),
            ]
        })
        .collect();
    output::table(
        &["label", "variant", ">value", "interval", ">shuffled"],
        &rows,
    )
}

fn positions(profile: &ExpertProfile) -> io::Result<()> {
    if profile.positions.is_empty() {
        return Ok(());
    }
    heading("Share of assignments by position")?;
    let rows: Vec<Vec<String>> = profile
        .positions
        .iter()
        .map(|range_of| {
            vec![
                range_of.positions.clone(),
                percent(range_of.share),
                range(range_of.interval, percent),
                percent(range_of.excess),
                range(range_of.excess_interval, percent),
                probability(range_of.q),
            ]
        })
        .collect();
    let headings = [
        ">positions",
        ">share",
        "interval",
        ">excess",
        "interval",
        ">q",
    ];
    output::table(&headings, &rows)?;
    output::line("excess: over what the same documents give with their tokens in random order")
}

fn contexts(profile: &ExpertProfile) -> io::Result<()> {
    if profile.contexts.is_empty() {
        return Ok(());
    }
    heading("In context (drawn at random from all occurrences)")?;
    for context in &profile.contexts {
        context_of(context)?;
    }
    Ok(())
}

fn context_of(context: &Context) -> io::Result<()> {
    let rank = context
        .rank
        .map_or_else(String::new, |rank| format!(", choice {rank}"));
    output::line(&format!(
        "{} ({}), position {}{rank}",
        context.sample, context.label, context.position
    ))?;
    output::line(&format!(
        "  {}»{}«{}",
        output::visible(&context.before),
        output::visible(&context.token),
        output::visible(&context.after)
    ))?;
    let named = |what: &str, text: &Option<String>| {
        text.as_ref()
            .map(|text| format!("{what} '{}'", output::visible(text)))
    };
    let parts: Vec<String> = [
        named("predicted next", &context.predicted),
        named("actual next", &context.next),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() {
        return Ok(());
    }
    output::line(&format!("  {}", parts.join(", ")))
}

fn range(interval: Option<Interval>, show: impl Fn(f64) -> String) -> String {
    interval.map_or_else(String::new, |interval| {
        format!("{} to {}", show(interval.low), show(interval.high))
    })
}

fn probability(p: Option<f64>) -> String {
    p.map_or_else(String::new, |p| {
        if p < 0.000_1 {
            "<0.0001".to_owned()
        } else {
            format!("{p:.4}")
        }
    })
}
