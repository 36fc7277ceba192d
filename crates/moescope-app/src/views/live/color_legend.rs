//! What the colours, the small numbers and the lines under tokens mean.

use egui::{
    Align2, CornerRadius, FontId, Mesh, Role, Sense, Shape, Stroke, StrokeKind, Ui, Vec2,
    WidgetInfo, pos2, vec2,
};
use moescope_figures::palette::{self, Rgb};
use moescope_pipeline::session::Branch;

use super::colors::{Colors, Legend};
use crate::{lives::LiveChoice, theme::paint, view::ViewContext, widgets::text::soft};

const BAR: Vec2 = vec2(96.0, 12.0);
const SWATCH: Vec2 = vec2(20.0, 15.0);
/// Pieces of a bar; between their edges colours are mixed.
const PIECES: u16 = 16;

/// Paints what the tokens of a line look like, and why.
pub(super) fn ui(ui: &mut Ui, ctx: &ViewContext<'_>, branch: &Branch, choice: &LiveChoice) {
    let colors = Colors::new(ctx, &branch.columns, choice);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(4.0, 2.0);
        match colors.legend() {
            Legend::Experts { colors, repeats } => {
                for expert in 0..colors {
                    swatch(ui, expert);
                }
                if repeats {
                    let told = format!("further experts in the same {colors} colours");
                    ui.label(soft(told, ctx.theme));
                }
            }
            Legend::Bar { color, low, high } => {
                ui.label(soft(low, ctx.theme));
                bar(ui, ctx, color);
                ui.label(soft(high, ctx.theme));
            }
        }
        let told = format!(
            "· number: {} · underlined: given, not generated",
            colors.words()
        );
        let more = format!("That is {}; — where there is none", colors.explained());
        ui.label(soft(told, ctx.theme)).on_hover_text(more);
    });
}

/// An expert's colour with its number.
fn swatch(ui: &mut Ui, expert: usize) {
    let (rect, response) = ui.allocate_exact_size(SWATCH, Sense::hover());
    let color = palette::category(expert).color;
    let brush = ui.painter();
    brush.rect_filled(rect, CornerRadius::ZERO, paint(color));
    brush.text(
        rect.center(),
        Align2::CENTER_CENTER,
        expert.to_string(),
        FontId::proportional(10.0),
        paint(color.ink()),
    );
    response.widget_info(|| {
        WidgetInfo::labeled(Role::Image, true, format!("Colour of expert {expert}"))
    });
}

fn bar(ui: &mut Ui, ctx: &ViewContext<'_>, color: fn(f64) -> Rgb) {
    let (rect, _) = ui.allocate_exact_size(BAR, Sense::hover());
    let mut mesh = Mesh::default();
    for edge in 0..=PIECES {
        let share = f32::from(edge) / f32::from(PIECES);
        let x = rect.left() + share * rect.width();
        let ink = paint(color(f64::from(share)));
        mesh.colored_vertex(pos2(x, rect.top()), ink);
        mesh.colored_vertex(pos2(x, rect.bottom()), ink);
        if edge > 0 {
            let last = 2 * u32::from(edge);
            mesh.add_triangle(last - 2, last - 1, last);
            mesh.add_triangle(last - 1, last, last + 1);
        }
    }
    let brush = ui.painter();
    brush.add(Shape::mesh(mesh));
    let edge = Stroke::new(1.0, ctx.theme.strong_line);
    brush.rect_stroke(rect, CornerRadius::ZERO, edge, StrokeKind::Outside);
}
