//! Messages in the lower right corner.

use egui::{Align2, Area, Context, Frame, Order, Stroke, Ui, vec2};

use crate::{
    command::Command,
    notices::{Notice, NoticeKind},
    view::ViewContext,
};

const WIDTH: f32 = 380.0;

/// Paints the messages.
pub(crate) fn ui(ctx: &Context, context: &ViewContext<'_>) {
    let notices: Vec<&Notice> = context.state.notices.iter().collect();
    if notices.is_empty() {
        return;
    }
    Area::new(egui::Id::unique("notices"))
        .order(Order::Foreground)
        .anchor(Align2::RIGHT_BOTTOM, vec2(-14.0, -44.0))
        .show(ctx, |ui| {
            ui.set_max_width(WIDTH);
            for notice in notices {
                let (sign, color) = match notice.kind {
                    NoticeKind::Done => ("Done", context.theme.good),
                    NoticeKind::Found => ("Found", context.theme.accent),
                    NoticeKind::Failed => ("Failed", context.theme.error),
                };
                Frame::popup(ui.style())
                    .stroke(Stroke::new(1.0, color))
                    .show(ui, |ui| {
                        ui.set_width(WIDTH - 24.0);
                        ui.horizontal_top(|ui| {
                            ui.colored_label(color, sign);
                            ui.vertical(|ui| {
                                ui.add(egui::Label::new(&notice.text).wrap());
                                ui.horizontal(|ui| buttons(ui, context, notice));
                            });
                        });
                    });
            }
        });
}

fn buttons(ui: &mut Ui, context: &ViewContext<'_>, notice: &Notice) {
    if let Some(path) = &notice.opens
        && ui.small_button("Open").clicked()
    {
        context.send(Command::OpenTrace(path.clone()));
    }
    let stays = notice.kind != NoticeKind::Done;
    if stays && ui.small_button("Dismiss").clicked() {
        context.send(Command::Dismiss(notice.clone()));
    }
}
