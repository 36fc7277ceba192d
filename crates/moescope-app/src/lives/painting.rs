//! The picture of what is generated: layers × experts of the tokens that are chosen.

use std::{sync::Arc, time::Instant};

use moescope_core::Measurement;
use moescope_pipeline::session::{BranchId, LiveScope, picture};

use super::{BETWEEN_PICTURES, LiveChoice, Lives, PictureChoice};

/// What a picture was made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PictureKey {
    branch: BranchId,
    tokens: usize,
    scope: LiveScope,
    has_reference: bool,
}

impl Lives {
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

    pub(super) fn paint(&mut self, choice: &LiveChoice, ctx: &egui::Context) {
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
            self.picture_error = waits_for_label
                .then(|| "open a trace of this model whose texts have labels".to_owned());
            (self.picture, self.pictured) = (None, None);
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
        }
        let reference = self.reference.value().map(Arc::as_ref);
        let made: Option<Result<Measurement, _>> = self
            .branch()
            .map(|branch| picture(&branch.columns, &key.scope, reference));
        match made {
            Some(Ok(measurement)) => {
                self.picture = Some(Arc::new(vec![measurement]));
                self.picture_error = None;
            }
            Some(Err(error)) => {
                self.picture = None;
                self.picture_error = Some(error.to_string());
            }
            None => {}
        }
        self.pictured = Some((key, Instant::now()));
    }
}
