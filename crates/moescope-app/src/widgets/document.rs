//! A document of a trace, to be read.

use egui::{Label, ScrollArea, Ui};

use super::{
    job_panel::job_panel,
    text::{heading, soft},
};
use crate::{
    answers::{DocumentQuestion, Question},
    traces::OpenTrace,
    view::ViewContext,
};

/// Shows a document's text in so much height; true when it is closed.
pub(crate) fn document_panel(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    trace: &OpenTrace,
    id: &str,
    height: f32,
) -> bool {
    let is_closed = ui
        .horizontal(|ui| {
            heading(ui, id);
            ui.button("Close the document").clicked()
        })
        .inner;
    let question = DocumentQuestion {
        trace: trace.path.clone(),
        id: id.to_owned(),
    };
    let job = ctx.document(&question);
    job_panel(
        ui,
        ctx,
        job,
        || Question::Document(question),
        |ui, document| {
            ScrollArea::vertical()
                .id_salt("document")
                .max_height(height)
                .auto_shrink([false, true])
                .show(ui, |ui| {
                    ui.label(soft(document.about.as_str(), ctx.theme));
                    ui.add(Label::new(document.text.as_str()).wrap());
                });
        },
    );
    is_closed
}
