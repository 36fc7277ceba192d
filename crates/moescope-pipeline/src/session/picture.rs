//! Layers × experts of a part of a live sequence, as a measurement like any other.

use moescope_analytics::LabelReference;
use moescope_core::{Axis, AxisKind, Measurement, Protocol};

use super::LiveColumns;
use crate::error::PipelineError;

/// Which tokens a picture shows, and what is taken away from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveScope {
    /// One token, whatever it is.
    Token(usize),
    /// The last content tokens, at most so many.
    Last(usize),
    /// All content tokens, given and drawn.
    Text,
    /// The drawn content tokens.
    Reply,
    /// The given content tokens.
    Prompt,
    /// The drawn content tokens minus the given.
    ReplyMinusPrompt,
    /// The drawn content tokens minus the documents of a label of a reference.
    ReplyMinusLabel(String),
}

/// Shares of assignments by layer and expert: `assignment_share` of a trace of the same tokens.
///
/// There is no interval: one text is one group.
///
/// # Errors
/// When the scope has no token, or a label is not in the reference, or the reference is of other routers.
pub fn picture(
    columns: &LiveColumns,
    scope: &LiveScope,
    reference: Option<&LabelReference>,
) -> Result<Measurement, PipelineError> {
    let [given, drawn] = columns.content_tokens();
    let reply = || shares(columns, columns.reply_counts(), drawn, "the reply");
    let (values, tokens, words) = match scope {
        LiveScope::Token(token) => {
            let token = *token;
            if token >= columns.len() {
                return Err(nothing("this token"));
            }
            let counts = columns.counts_of([token]);
            let shares = shares(columns, &counts, 1, "this token")?;
            (shares, 1, format!("token {token}"))
        }
        LiveScope::Last(most) => {
            let last = columns.last_content(*most);
            let number = last.len();
            let counts = columns.counts_of(last);
            let shares = shares(columns, &counts, number, "the last tokens")?;
            (shares, number, format!("the last {number} content tokens"))
        }
        LiveScope::Text => {
            let both = columns.prompt_counts().iter().zip(columns.reply_counts());
            let counts: Vec<u32> = both.map(|(given, drawn)| given + drawn).collect();
            let shares = shares(columns, &counts, given + drawn, "the text")?;
            (shares, given + drawn, "prompt and reply".to_owned())
        }
        LiveScope::Reply => (reply()?, drawn, "the reply".to_owned()),
        LiveScope::Prompt => {
            let shares = shares(columns, columns.prompt_counts(), given, "the prompt")?;
            (shares, given, "the prompt".to_owned())
        }
        LiveScope::ReplyMinusPrompt => {
            let prompt = shares(columns, columns.prompt_counts(), given, "the prompt")?;
            let words = "the reply minus the prompt".to_owned();
            (difference(&reply()?, &prompt), drawn + given, words)
        }
        LiveScope::ReplyMinusLabel(label) => {
            let of_label = of_label(columns, reference, label)?;
            let words = format!("the reply minus documents of {label}");
            (difference(&reply()?, &of_label), drawn, words)
        }
    };
    let is_difference = matches!(
        scope,
        LiveScope::ReplyMinusPrompt | LiveScope::ReplyMinusLabel(_)
    );
    let (layers, experts) = (columns.layers().iter(), 0..columns.num_experts());
    #[expect(clippy::cast_precision_loss, reason = "a count of experts")]
    let even = 1.0 / columns.num_experts() as f64;
    Ok(Measurement {
        metric: "assignment_share".to_owned(),
        title: format!("Assignment share of {words}"),
        unit: "share of assignments".to_owned(),
        axes: vec![
            Axis::new(AxisKind::Layer, layers.map(ToString::to_string).collect()),
            Axis::new(AxisKind::Expert, experts.map(|e| e.to_string()).collect()),
        ],
        values,
        intervals: None,
        nulls: None,
        reference: Some(if is_difference { 0.0 } else { even }),
        protocol: Protocol {
            scope: words,
            phase: "all".to_owned(),
            by: "all".to_owned(),
            interval_method: "no interval: one text".to_owned(),
            bias_correction: "none".to_owned(),
            resample_by: "group".to_owned(),
            n_tokens: tokens as u64,
            n_documents: 1,
            n_groups: 1,
            ..Protocol::default()
        },
    })
}

/// The picture of one line minus that of another: whose experts the tokens of two prompts or replies choose more often.
///
/// There is no interval: each line is one text, and two texts have no documents to pair.
///
/// # Errors
/// As [`picture`] of either without a reference, and when the lines are of models with other layers or experts.
pub fn picture_difference(
    [first, second]: [&LiveColumns; 2],
    scope: &LiveScope,
) -> Result<Measurement, PipelineError> {
    let of_first = picture(first, scope, None)?;
    let of_second = picture(second, scope, None)?;
    if of_first.axes != of_second.axes {
        return Err(PipelineError::Settings(
            "the two lines are of models with other layers or experts; compare lines of one model"
                .to_owned(),
        ));
    }
    let protocol = Protocol {
        scope: format!("{} of two lines", of_first.protocol.scope),
        interval_method: "no interval: each line is one text".to_owned(),
        n_tokens: of_first.protocol.n_tokens + of_second.protocol.n_tokens,
        n_documents: 2,
        n_groups: 2,
        ..of_first.protocol
    };
    Ok(Measurement {
        title: format!("{}, one line minus the other", of_first.title),
        values: difference(&of_first.values, &of_second.values),
        reference: Some(0.0),
        protocol,
        ..of_first
    })
}

/// Counts of so many tokens as shares of their assignments at each layer.
fn shares(
    columns: &LiveColumns,
    counts: &[u32],
    tokens: usize,
    what: &str,
) -> Result<Vec<f64>, PipelineError> {
    if tokens == 0 {
        return Err(nothing(what));
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of assignments")]
    let assignments = (tokens * columns.top_k()) as f64;
    Ok(counts.iter().map(|n| f64::from(*n) / assignments).collect())
}

fn of_label(
    columns: &LiveColumns,
    reference: Option<&LabelReference>,
    label: &str,
) -> Result<Vec<f64>, PipelineError> {
    let error = |reason: String| PipelineError::Settings(reason);
    let reference = reference.ok_or_else(|| {
        error("open a trace of this model with labels to compare with".to_owned())
    })?;
    if reference.layers != columns.layers() || reference.num_experts != columns.num_experts() {
        return Err(error(
            "the trace that labels are taken from has other layers or experts than this model"
                .to_owned(),
        ));
    }
    reference.shares(label).ok_or_else(|| {
        error(format!(
            "the trace has no label '{label}'; it has {}",
            reference.labels.join(", ")
        ))
    })
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn nothing(what: &str) -> PipelineError {
    PipelineError::Settings(format!("{what} has no token to show yet"))
}
