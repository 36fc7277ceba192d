//! Which tokens of a live sequence a picture of layers × experts is made of; what it shows of them is measured by analytics.

use moescope_analytics::{LabelReference, TextAssignments};
use moescope_core::{LayerId, Measurement};

use super::{ChosenExperts, LiveColumns};
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

/// What a picture is made of, taken from a sequence at one moment.
///
/// It costs two copies of sums over layers × experts, whatever the number of tokens: the experts of single tokens are shared
/// with the sequence. So another thread can make the picture while the sequence goes on.
#[derive(Clone, Debug)]
pub struct PictureSource {
    scope: LiveScope,
    layers: Vec<LayerId>,
    num_experts: usize,
    chosen: ChosenExperts,
    /// The tokens of a scope of single tokens, ascending.
    places: Vec<usize>,
    /// Assignments of the given content tokens, and the number of these tokens.
    given: (Vec<u32>, usize),
    /// The same of the drawn.
    drawn: (Vec<u32>, usize),
}

impl PictureSource {
    /// Takes what `scope` needs.
    #[must_use]
    pub fn new(columns: &LiveColumns, scope: LiveScope) -> Self {
        let places: Vec<usize> = match &scope {
            LiveScope::Token(token) => (*token..columns.len()).take(1).collect(),
            LiveScope::Last(most) => columns.last_content(*most),
            LiveScope::Text
            | LiveScope::Reply
            | LiveScope::Prompt
            | LiveScope::ReplyMinusPrompt
            | LiveScope::ReplyMinusLabel(_) => Vec::new(),
        };
        let [given, drawn] = columns.content_tokens();
        Self {
            scope,
            layers: columns.layers().to_vec(),
            num_experts: columns.num_experts(),
            chosen: columns.chosen().clone(),
            places,
            given: (columns.prompt_counts().to_vec(), given),
            drawn: (columns.reply_counts().to_vec(), drawn),
        }
    }

    /// Shares of assignments by layer and expert: `assignment_share` of a trace of the same tokens.
    ///
    /// There is no interval: one text is one group.
    ///
    /// # Errors
    /// When the scope has no token, or a label is not in the reference, or the reference is of other routers.
    pub fn picture(
        &self,
        reference: Option<&LabelReference>,
    ) -> Result<Measurement, PipelineError> {
        let assignments = self.assignments()?;
        Ok(match &self.scope {
            LiveScope::Token(_)
            | LiveScope::Last(_)
            | LiveScope::Text
            | LiveScope::Reply
            | LiveScope::Prompt => assignments.measure(),
            LiveScope::ReplyMinusPrompt => {
                let (counts, tokens) = self.given.clone();
                assignments.minus(&self.counted(counts, tokens, "the prompt")?)?
            }
            LiveScope::ReplyMinusLabel(label) => {
                let reference = reference.ok_or_else(|| {
                    PipelineError::Settings(
                        "open a trace of this model with labels to compare with".to_owned(),
                    )
                })?;
                assignments.minus_label(reference, label)?
            }
        })
    }

    /// The tokens that are shown; of a difference those that another part is taken away from.
    fn assignments(&self) -> Result<TextAssignments, PipelineError> {
        let of_places = |what: &str| {
            let counts = self.chosen.counts_of(self.places.iter().copied());
            self.counted(counts, self.places.len(), what)
        };
        let part = |(counts, tokens): &(Vec<u32>, usize), what: &str| {
            self.counted(counts.clone(), *tokens, what)
        };
        match &self.scope {
            LiveScope::Token(token) => Ok(TextAssignments {
                scope: format!("token {token}"),
                ..of_places("this token")?
            }),
            LiveScope::Last(_) => Ok(TextAssignments {
                scope: format!("the last {} content tokens", self.places.len()),
                ..of_places("the last tokens")?
            }),
            LiveScope::Text => {
                let pairs = self.given.0.iter().zip(&self.drawn.0);
                let counts = pairs.map(|(given, drawn)| given + drawn).collect();
                Ok(TextAssignments {
                    scope: "prompt and reply".to_owned(),
                    ..self.counted(counts, self.given.1 + self.drawn.1, "the text")?
                })
            }
            LiveScope::Prompt => part(&self.given, "the prompt"),
            LiveScope::Reply | LiveScope::ReplyMinusPrompt | LiveScope::ReplyMinusLabel(_) => {
                part(&self.drawn, "the reply")
            }
        }
    }

    /// Counts of so many tokens, where there are any.
    fn counted(
        &self,
        counts: Vec<u32>,
        tokens: usize,
        what: &str,
    ) -> Result<TextAssignments, PipelineError> {
        if tokens == 0 {
            return Err(PipelineError::Settings(format!(
                "{what} has no token to show yet"
            )));
        }
        Ok(TextAssignments {
            layers: self.layers.clone(),
            num_experts: self.num_experts,
            counts,
            tokens: tokens as u64,
            scope: what.to_owned(),
        })
    }
}

/// The picture of a sequence as it is, made at once.
///
/// # Errors
/// As [`PictureSource::picture`].
pub fn picture(
    columns: &LiveColumns,
    scope: &LiveScope,
    reference: Option<&LabelReference>,
) -> Result<Measurement, PipelineError> {
    PictureSource::new(columns, scope.clone()).picture(reference)
}

/// The picture of one line minus that of another: whose experts the tokens of two prompts or replies choose more often. Of a
/// scope that is a difference itself, the part is compared that another is taken away from.
///
/// There is no interval: each line is one text, and two texts have no documents to pair.
///
/// # Errors
/// As [`PictureSource::picture`] of either without a reference, and when the lines are of models with other layers or
/// experts.
pub fn picture_difference(
    [first, second]: [&PictureSource; 2],
) -> Result<Measurement, PipelineError> {
    let second = second.assignments()?;
    Ok(first.assignments()?.minus_text(&second)?)
}
