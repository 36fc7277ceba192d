//! What the colours mean: a bar with ticks, the unit, the reference, and signs for what has no value.

use egui::{
    Align2, Color32, CornerRadius, FontId, Mesh, Pos2, Rect, Shape, Stroke, StrokeKind, Ui, pos2,
    vec2,
};
use moescope_figures::{palette, short_number};

use super::painted::Painted;
use crate::{theme::paint, view::ViewContext};

/// Width that the bar takes with its words.
pub(super) const WIDTH: f32 = 104.0;
const BAR: f32 = 14.0;
const STEPS: u16 = 64;
const FONT: f32 = 11.0;

/// Paints the bar with all that explains it.
pub(super) fn ui(ui: &Ui, context: &ViewContext<'_>, room: Rect, painted: &Painted) {
    let table = &painted.table;
    let signs = signs(painted);
    #[expect(clippy::cast_precision_loss, reason = "a handful of signs")]
    let below = 17.0 * signs.len() as f32;
    let bar = Rect::from_min_max(
        room.min + vec2(0.0, 2.0),
        pos2(
            room.left() + BAR,
            (room.bottom() - below).max(room.top() + 40.0),
        ),
    );
    let brush = ui.painter();
    brush.add(gradient(painted, bar));
    let edge = Stroke::new(1.0, context.theme.strong_line);
    brush.rect_stroke(bar, CornerRadius::ZERO, edge, StrokeKind::Outside);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a bar has some hundred points"
    )]
    let wanted = ((bar.height() / 42.0) as usize).clamp(2, 9);
    let place = |share: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
        let share = share as f32;
        bar.bottom() - share * bar.height()
    };
    for tick in table.scale.ticks(wanted) {
        if let Some(share) = table.scale.place_on_bar(tick.value) {
            let y = place(share);
            brush.hline(bar.right()..=bar.right() + 4.0, y, edge);
            brush.text(
                pos2(bar.right() + 7.0, y),
                Align2::LEFT_CENTER,
                tick.label,
                FontId::proportional(FONT),
                context.theme.soft_text,
            );
        }
    }
    if let Some(share) = table
        .reference
        .and_then(|reference| table.scale.place_on_bar(reference))
    {
        let at = pos2(bar.left() - 2.0, place(share));
        let triangle = vec![at, at + vec2(-6.0, -4.0), at + vec2(-6.0, 4.0)];
        brush.add(Shape::convex_polygon(
            triangle,
            context.theme.text,
            Stroke::NONE,
        ));
    }
    paint_unit(ui, context, room, bar, &table.unit);
    let mut at = bar.left_bottom() + vec2(0.0, 12.0);
    for (sign, words) in signs {
        paint_sign(ui, context, at, &sign);
        brush.text(
            at + vec2(14.0, 0.0),
            Align2::LEFT_CENTER,
            words,
            FontId::proportional(FONT),
            context.theme.soft_text,
        );
        at.y += 17.0;
    }
}

/// The unit beside the bar, upwards, as long as there is room.
fn paint_unit(ui: &Ui, context: &ViewContext<'_>, room: Rect, bar: Rect, unit: &str) {
    let mut job = egui::text::LayoutJob::simple_singleline(
        unit.to_owned(),
        FontId::proportional(FONT),
        context.theme.text,
    );
    job.wrap = egui::text::TextWrapping::truncate_at_width(bar.height());
    let galley = ui.painter().layout_job(job);
    let at = pos2(
        room.right() - galley.size().y - 2.0,
        bar.center().y + galley.size().x / 2.0,
    );
    let turned = egui::epaint::TextShape::new(at, galley, context.theme.text)
        .with_angle(-std::f32::consts::FRAC_PI_2);
    ui.painter().add(turned);
}

/// A sign that the key explains.
enum Sign {
    Fill(palette::Rgb),
    Reference,
    Mark,
}

fn signs(painted: &Painted) -> Vec<(Sign, String)> {
    let table = &painted.table;
    let mut signs = Vec::new();
    if let Some(reference) = table.reference {
        let words = format!("reference {}", short_number(reference));
        signs.push((Sign::Reference, words));
    }
    if let Some(words) = table.mark_words.as_ref().filter(|_| painted.has_marks) {
        signs.push((Sign::Mark, words.clone()));
    }
    if painted.has_undefined {
        signs.push((Sign::Fill(palette::UNDEFINED), "not defined".to_owned()));
    }
    if table.scale.has_below() {
        signs.push((Sign::Fill(palette::BELOW_LOG), "0 or less".to_owned()));
    }
    signs
}

fn paint_sign(ui: &Ui, context: &ViewContext<'_>, at: Pos2, sign: &Sign) {
    let brush = ui.painter();
    let middle = at + vec2(5.0, 0.0);
    match sign {
        Sign::Fill(color) => {
            let rect = Rect::from_center_size(middle, vec2(10.0, 10.0));
            brush.rect_filled(rect, CornerRadius::ZERO, paint(*color));
            let edge = Stroke::new(1.0, context.theme.strong_line);
            brush.rect_stroke(rect, CornerRadius::ZERO, edge, StrokeKind::Outside);
        }
        Sign::Reference => {
            let points = vec![
                middle + vec2(3.0, 0.0),
                middle + vec2(-3.0, -4.0),
                middle + vec2(-3.0, 4.0),
            ];
            brush.add(Shape::convex_polygon(
                points,
                context.theme.text,
                Stroke::NONE,
            ));
        }
        Sign::Mark => {
            let points = vec![
                middle + vec2(0.0, -4.0),
                middle + vec2(4.0, 0.0),
                middle + vec2(0.0, 4.0),
                middle + vec2(-4.0, 0.0),
            ];
            brush.add(Shape::convex_polygon(
                points,
                context.theme.text,
                Stroke::NONE,
            ));
        }
    }
}

fn gradient(painted: &Painted, bar: Rect) -> Shape {
    let mut mesh = Mesh::default();
    for step in 0..=STEPS {
        let share = f32::from(step) / f32::from(STEPS);
        let color: Color32 = paint(painted.table.scale.color_on_bar(f64::from(share)));
        let y = bar.bottom() - share * bar.height();
        mesh.colored_vertex(pos2(bar.left(), y), color);
        mesh.colored_vertex(pos2(bar.right(), y), color);
        if step > 0 {
            let first = 2 * u32::from(step) - 2;
            mesh.add_triangle(first, first + 1, first + 2);
            mesh.add_triangle(first + 1, first + 2, first + 3);
        }
    }
    Shape::mesh(mesh)
}
