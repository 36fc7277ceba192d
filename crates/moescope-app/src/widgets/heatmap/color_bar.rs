//! What the colours mean: a bar with ticks, the unit, the reference, and signs for what has no value.

use std::sync::Arc;

use egui::{
    Align2, Color32, CornerRadius, FontId, Galley, Mesh, Pos2, Rect, Shape, Stroke, StrokeKind, Ui,
    pos2, vec2,
};
use moescope_figures::{palette, short_number};

use super::{Grid, painted::Painted};
use crate::{theme::paint, view::ViewContext};

/// Width that the bar takes with its words.
pub(super) const WIDTH: f32 = 104.0;
const BAR: f32 = 14.0;
const STEPS: u16 = 64;
const FONT: f32 = 11.0;
/// Width of a sign, and least height of a sign with its words.
const SIGN: f32 = 14.0;
const ROW: f32 = 17.0;

/// Paints the bar with all that explains it.
pub(super) fn ui(ui: &Ui, context: &ViewContext<'_>, room: Rect, painted: &Painted, grid: &Grid) {
    let table = &painted.table;
    let font = FontId::proportional(FONT);
    let width = room.width() - SIGN;
    let lay_out = |words: String| {
        ui.painter()
            .layout(words, font.clone(), context.theme.soft_text, width)
    };
    let signs: Vec<(Sign, Arc<Galley>)> = signs(painted, grid, ui.pixels_per_point())
        .into_iter()
        .map(|(sign, words)| (sign, lay_out(words)))
        .collect();
    let below: f32 = signs.iter().map(|(_, words)| height(words)).sum();
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
        let line = words.rows.first().map_or(FONT, |row| row.size.y);
        let next = at.y + height(&words);
        brush.galley(at + vec2(SIGN, -line / 2.0), words, context.theme.soft_text);
        at.y = next;
    }
}

/// Height that a sign takes with its words.
fn height(words: &Galley) -> f32 {
    (words.size().y + 4.0).max(ROW)
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
    Merged,
}

fn signs(painted: &Painted, grid: &Grid, pixels_per_point: f32) -> Vec<(Sign, String)> {
    let table = &painted.table;
    let mut signs = Vec::new();
    if grid.cells_a_pixel(pixels_per_point) != [1, 1] {
        let words = "several cells a pixel: the most extreme is shown; zoom in for all";
        signs.push((Sign::Merged, words.to_owned()));
    }
    if let Some(reference) = table.reference {
        let words = format!("reference {}", short_number(reference));
        signs.push((Sign::Reference, words));
    }
    if let Some(words) = table.mark_words.as_ref().filter(|_| painted.has_marks) {
        let words = if grid.has_room_for_marks() {
            words.clone()
        } else {
            format!("{words}: zoom in to see the marks")
        };
        signs.push((Sign::Mark, words));
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
        Sign::Merged => {
            // Four cells in the place of one.
            let edge = Stroke::new(1.0, context.theme.strong_line);
            for (x, y) in [(-2.5, -2.5), (2.5, -2.5), (-2.5, 2.5), (2.5, 2.5)] {
                let cell = Rect::from_center_size(middle + vec2(x, y), vec2(5.0, 5.0));
                brush.rect_stroke(cell, CornerRadius::ZERO, edge, StrokeKind::Middle);
            }
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

#[cfg(test)]
mod tests {
    use super::{super::table::tests::source, *};

    #[test]
    fn the_key_says_what_is_too_small_to_be_seen() {
        let table = source().table().unwrap();
        let painted = Painted::new(&egui::Context::default(), table).unwrap();
        // Two cells along each side.
        let words = |side: f32| -> Vec<String> {
            let grid = Grid {
                rect: Rect::from_min_size(Pos2::ZERO, vec2(side, side)),
                shown: Rect::from_min_size(Pos2::ZERO, vec2(2.0, 2.0)),
            };
            let signs = signs(&painted, &grid, 1.0);
            signs.into_iter().map(|(_, words)| words).collect()
        };
        let has = |words: &[String], wanted: &str| words.iter().any(|w| w.contains(wanted));
        let large = words(40.0);
        assert!(has(&large, "q ≤ "), "{large:?}");
        assert!(!has(&large, "zoom in"), "{large:?}");
        let small = words(4.0);
        assert!(has(&small, "zoom in to see the marks"), "{small:?}");
        assert!(!has(&small, "several cells a pixel"), "{small:?}");
        let tiny = words(1.0);
        assert!(has(&tiny, "several cells a pixel"), "{tiny:?}");
        assert!(has(&tiny, "zoom in to see the marks"), "{tiny:?}");
    }
}
