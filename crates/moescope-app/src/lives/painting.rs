//! The picture of what is generated: layers × experts of the tokens that are chosen.

use std::{mem::discriminant, sync::Arc, time::Instant};

use moescope_pipeline::session::{BranchId, LiveScope, PictureSource};

use super::{BETWEEN_PICTURES, LiveChoice, Lives, PictureChoice};
use crate::{answers::Measured, job::Job};

/// What a picture was made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PictureKey {
    branch: BranchId,
    tokens: usize,
    scope: LiveScope,
    has_reference: bool,
}

impl Lives {
    /// The picture, where it is of the line and of the tokens that are chosen: else its numbers are not what the choices say.
    pub(crate) fn chosen_picture(&self, choice: &LiveChoice) -> Option<&Measured> {
        let of = self.picture_of.as_ref()?;
        let is_chosen =
            self.is_picture_of_shown() && self.scope(choice).as_ref() == Some(&of.scope);
        self.picture.as_ref().filter(|_| is_chosen)
    }

    /// Whether the picture is of the line that is shown, whichever tokens of it.
    pub(crate) fn is_picture_of_shown(&self) -> bool {
        self.picture_of.as_ref().map(|of| of.branch) == self.shown
    }

    /// What the heat map shall show.
    fn scope(&self, choice: &LiveChoice) -> Option<LiveScope> {
        Some(match choice.picture {
            PictureChoice::Token => LiveScope::Token(self.token()?),
            PictureChoice::Last => LiveScope::Last(choice.last.max(1)),
            PictureChoice::Reply => LiveScope::Reply,
            PictureChoice::MinusPrompt => LiveScope::ReplyMinusPrompt,
            PictureChoice::MinusLabel => LiveScope::ReplyMinusLabel(self.label(choice)?.to_owned()),
        })
    }

    /// The label that replies are compared with.
    pub(crate) fn label<'a>(&'a self, choice: &'a LiveChoice) -> Option<&'a str> {
        let labels = &self.reference.value()?.labels;
        let chosen = choice.label.as_ref().filter(|label| labels.contains(label));
        chosen.or(labels.first()).map(String::as_str)
    }

    /// Has the picture made anew, on another thread, where it is of other tokens than are chosen; the last one stays until the
    /// next is there.
    pub(super) fn paint(&mut self, choice: &LiveChoice, ctx: &egui::Context) {
        self.take_picture();
        self.is_picture_late = false;
        let key = self.branch().and_then(|branch| {
            Some(PictureKey {
                branch: branch.info.id,
                tokens: branch.columns.len(),
                scope: self.scope(choice)?,
                has_reference: self.reference.value().is_some(),
            })
        });
        let Some(key) = key else {
            let waits_for_label =
                choice.picture == PictureChoice::MinusLabel && self.branch().is_some();
            self.forget_picture();
            self.picture_error = waits_for_label
                .then(|| "open a trace of this model whose texts have labels".to_owned());
            return;
        };
        if let Some((known, at)) = &self.pictured {
            if *known == key {
                return;
            }
            let is_same_kind = known.branch == key.branch && known.scope == key.scope;
            let left = BETWEEN_PICTURES.saturating_sub(at.elapsed());
            if is_same_kind && !left.is_zero() {
                self.is_picture_late = true;
                ctx.request_repaint_after(left);
                return;
            }
            // The thread asks for a frame when this one is there, and then it is the next one's turn. Else a picture of the
            // last token might never be there: the next token comes before it.
            let is_alike = known.branch == key.branch
                && discriminant(&known.scope) == discriminant(&key.scope);
            if is_alike && self.painting.is_running() {
                return;
            }
        }
        let Some(branch) = self.branch() else {
            return;
        };
        let source = PictureSource::new(&branch.columns, key.scope.clone());
        let reference = self.reference.value().cloned();
        self.pictured = Some((key.clone(), Instant::now()));
        self.painting.start("picture of tokens", ctx, move |_| {
            source
                .picture(reference.as_deref())
                .map(|measurement| (key, Arc::new(vec![measurement])))
                .map_err(|error| error.to_string())
        });
    }

    /// Shows the picture that has been made, or why there is none.
    fn take_picture(&mut self) {
        if !self.painting.poll() {
            return;
        }
        match &self.painting {
            Job::Ready((key, measured)) => {
                self.picture = Some(Arc::clone(measured));
                self.picture_of = Some(key.clone());
                self.picture_error = None;
            }
            Job::Failed { error, .. } => {
                (self.picture, self.picture_of) = (None, None);
                self.picture_error = Some(error.clone());
            }
            Job::Idle | Job::Running(_) => {}
        }
    }

    /// Drops the picture, and waits for none that is being made.
    pub(super) fn forget_picture(&mut self) {
        (self.picture, self.picture_of, self.pictured) = (None, None, None);
        self.picture_error = None;
        self.painting = Job::Idle;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_another_line_or_of_other_tokens_is_not_the_chosen_one() {
        let reply = LiveChoice::default();
        let mut lives = Lives {
            shown: Some(BranchId(1)),
            picture: Some(Arc::new(Vec::new())),
            picture_of: Some(PictureKey {
                branch: BranchId(1),
                tokens: 3,
                scope: LiveScope::Reply,
                has_reference: false,
            }),
            ..Lives::default()
        };
        assert!(lives.chosen_picture(&reply).is_some());
        let last = LiveChoice {
            picture: PictureChoice::Last,
            ..reply.clone()
        };
        assert!(lives.chosen_picture(&last).is_none() && lives.is_picture_of_shown());
        lives.shown = Some(BranchId(0));
        assert!(lives.chosen_picture(&reply).is_none() && !lives.is_picture_of_shown());
        assert!(lives.picture.is_some(), "it stays until the next is there");
    }
}
