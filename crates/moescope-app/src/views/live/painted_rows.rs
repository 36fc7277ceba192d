//! Rows of chips as they were painted: a frame moves them, and lays out, colours and cuts into triangles only what is new.

use std::{collections::HashMap, ops::Range, sync::Arc};

use egui::{
    Align2, Color32, FontId, Galley, Painter, Pos2, Rect,
    emath::GuiRounding,
    epaint::{
        TextShape,
        text::{Glyph, PlacedRow, Row, RowVisuals},
    },
    pos2, vec2,
};

use super::{
    chips::{GAP, NUMBER, ROW, TEXT},
    colors::Coloring,
};
use crate::theme::Theme;

/// Thickness of the line under a token that was given, in points.
const GIVEN: f32 = 2.0;

/// A token's chip as it is painted.
pub(super) struct Chip {
    /// In points.
    pub width: f32,
    pub fill: Color32,
    /// The colour of both texts.
    pub ink: Color32,
    /// The token.
    pub text: String,
    /// The quantity that colours it.
    pub number: String,
    /// The colour of the line under it, where it has one.
    pub line: Option<Color32>,
}

/// What was painted of the rows that are in sight.
#[derive(Debug, Default)]
pub(super) struct PaintedRows {
    looks: Option<Looks>,
    rows: HashMap<usize, PaintedRow>,
}

/// What all rows were painted with.
#[derive(Debug)]
struct Looks {
    coloring: Coloring,
    /// Colours of chips without a quantity, of their texts, and of the line under what was given.
    colors: [Color32; 3],
    /// A text that the fonts lay out anew when their glyphs lie elsewhere: all other texts must be as well.
    probe: Arc<Galley>,
}

/// A row, relative to its upper left corner.
#[derive(Debug)]
struct PaintedRow {
    tokens: Range<usize>,
    chips: Option<Arc<Galley>>,
}

impl PaintedRows {
    /// Keeps the rows in sight, and none that would look otherwise now.
    pub(super) fn keep(
        &mut self,
        painter: &Painter,
        coloring: Coloring,
        theme: &Theme,
        in_sight: &Range<usize>,
    ) {
        let colors = [theme.field, theme.text, theme.soft_text];
        let probe =
            painter.layout_no_wrap("0".to_owned(), FontId::proportional(TEXT), Color32::WHITE);
        let looks_alike = self.looks.as_ref().is_some_and(|looks| {
            looks.coloring == coloring
                && looks.colors == colors
                && Arc::ptr_eq(&looks.probe, &probe)
        });
        if looks_alike {
            self.rows.retain(|row, _| in_sight.contains(row));
        } else {
            self.clear();
            self.looks = Some(Looks {
                coloring,
                colors,
                probe,
            });
        }
    }

    /// Forgets all rows.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.looks = None;
    }

    /// Paints the row of these tokens, which never change; `chips` are asked for where they were not painted before.
    pub(super) fn paint(
        &mut self,
        painter: &Painter,
        row: usize,
        tokens: Range<usize>,
        corner: Pos2,
        chips: impl FnOnce() -> Vec<Chip>,
    ) {
        let is_known = self
            .rows
            .get(&row)
            .is_some_and(|known| known.tokens == tokens);
        if !is_known {
            self.rows
                .insert(row, PaintedRow::new(painter, tokens, corner, &chips()));
        }
        if let Some(chips) = self.rows.get(&row).and_then(|row| row.chips.as_ref()) {
            let origin = corner.round_to_pixels(painter.pixels_per_point());
            painter.add(TextShape::new(origin, Arc::clone(chips), Color32::WHITE));
        }
    }
}

impl PaintedRow {
    fn new(painter: &Painter, tokens: Range<usize>, corner: Pos2, chips: &[Chip]) -> Self {
        let scale = painter.pixels_per_point();
        let origin = corner.round_to_pixels(scale).to_vec2();
        let mut joined = JoinedText::default();
        let mut left = corner.x;
        for chip in chips {
            let rect = Rect::from_min_size(pos2(left, corner.y), vec2(chip.width, ROW - GAP));
            joined.fill(rect.round_to_pixels(scale).translate(-origin), chip.fill);
            // What was given has a line under it, so that it is told from the reply without colours.
            if let Some(color) = chip.line {
                let line = rect.with_min_y(rect.bottom() - GIVEN);
                joined.fill(line.round_to_pixels(scale).translate(-origin), color);
            }
            let mut write = |text: &str, size, at, anchor: Align2| {
                let font = FontId::proportional(size);
                let text = painter.layout_no_wrap(text.to_owned(), font, chip.ink);
                let at = anchor.anchor_size(at, text.size()).min;
                joined.write(at.round_to_pixels(scale) - origin, &text);
            };
            let middle = rect.center().x;
            let (top, bottom) = (
                pos2(middle, rect.top() + 2.0),
                pos2(middle, rect.bottom() - 1.0),
            );
            write(&chip.text, TEXT, top, Align2::CENTER_TOP);
            write(&chip.number, NUMBER, bottom, Align2::CENTER_BOTTOM);
            left += chip.width + GAP;
        }
        Self {
            tokens,
            chips: joined.end().map(Arc::new),
        }
    }
}

/// Fills and texts as one text, in the order in which they lie over each other: a shape costs more than its glyphs do.
#[derive(Default)]
struct JoinedText {
    /// What the whole is a copy of, but for what is painted.
    first: Option<Arc<Galley>>,
    visuals: RowVisuals,
    glyphs: Vec<Glyph>,
}

impl JoinedText {
    /// Adds a rectangle of one colour.
    fn fill(&mut self, rect: Rect, color: Color32) {
        self.visuals.mesh.add_colored_rect(rect, color);
        self.visuals.mesh_bounds |= rect;
    }

    /// Adds a text, put there.
    fn write(&mut self, at: Pos2, text: &Arc<Galley>) {
        self.first.get_or_insert_with(|| Arc::clone(text));
        for placed in &text.rows {
            let shift = at.to_vec2() + placed.pos.to_vec2();
            let mut part = placed.row.visuals.mesh.clone();
            part.translate(shift);
            let before = self.visuals.mesh.vertices.len();
            self.visuals.mesh.append(part);
            self.visuals.mesh_bounds |= placed.row.visuals.mesh_bounds.translate(shift);
            let end = self.visuals.mesh.vertices.len();
            self.note_glyphs(&placed.row.glyphs, before, end);
        }
    }

    /// Notes glyphs whose colours are their own; what comes after them, from vertex `end`, is again of the colour that it has.
    fn note_glyphs(&mut self, glyphs: &[Glyph], before: usize, end: usize) {
        if !glyphs.iter().any(|glyph| glyph.is_color) {
            return;
        }
        let at = |vertex: usize| u32::try_from(vertex).unwrap_or(u32::MAX);
        self.glyphs.extend(glyphs.iter().map(|glyph| {
            let mut glyph = *glyph;
            glyph.first_vertex += at(before);
            glyph
        }));
        if let Some(last) = glyphs.last() {
            let mut plain = *last;
            (plain.is_color, plain.first_vertex) = (false, at(end));
            self.glyphs.push(plain);
        }
    }

    /// All of it; nothing where there is no text.
    fn end(self) -> Option<Galley> {
        let Self {
            first,
            mut visuals,
            glyphs,
        } = self;
        let mut galley = Galley::clone(first.as_ref()?);
        let mut row = Row::clone(&galley.rows.first()?.row);
        visuals.glyph_vertex_range = 0..visuals.mesh.vertices.len();
        galley.num_vertices = visuals.mesh.vertices.len();
        galley.num_indices = visuals.mesh.indices.len();
        (galley.mesh_bounds, galley.rect) = (visuals.mesh_bounds, visuals.mesh_bounds);
        (row.visuals, row.glyphs) = (visuals, glyphs);
        galley.rows = vec![PlacedRow {
            pos: Pos2::ZERO,
            row: Arc::new(row),
            ends_with_newline: false,
        }];
        Some(galley)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use egui::{Context, RawInput, epaint::Primitive};

    use super::*;
    use crate::theme::ThemeChoice;

    const INK: Color32 = Color32::RED;
    const FILL: Color32 = Color32::BLUE;
    const WORDS: [&str; 3] = ["the", "enzyme", ","];

    fn chips() -> Vec<Chip> {
        let chip = |text: &str| Chip {
            width: 60.0,
            fill: FILL,
            ink: INK,
            text: text.to_owned(),
            number: "0.25".to_owned(),
            line: None,
        };
        WORDS.map(chip).into()
    }

    /// Corners of triangles, with their colours, of what is painted in a frame.
    fn corners(ctx: &Context, mut paint: impl FnMut(&Painter)) -> Vec<(Pos2, Color32)> {
        let mut output = ctx.run_ui(RawInput::default(), |ui| paint(ui.painter()));
        let shapes = std::mem::take(&mut output.shapes);
        let primitives = ctx.tessellate(shapes, output.pixels_per_point);
        output.drop_without_applying_deltas();
        let meshes = primitives.iter().map(|primitive| {
            let Primitive::Mesh(mesh) = &primitive.primitive else {
                panic!("only meshes are painted");
            };
            mesh
        });
        meshes
            .flat_map(|mesh| mesh.vertices.iter().map(|v| (v.pos, v.color)))
            .collect()
    }

    fn paint(rows: &mut PaintedRows, painter: &Painter, corner: Pos2, asked: &Cell<u32>) {
        rows.paint(painter, 4, 0..3, corner, || {
            asked.set(asked.get() + 1);
            chips()
        });
    }

    #[test]
    fn texts_lie_where_egui_puts_them_and_over_their_fills() {
        let ctx = Context::default();
        let corner = pos2(10.3, 20.0);
        let own = corners(&ctx, |painter| {
            paint(&mut PaintedRows::default(), painter, corner, &Cell::new(0));
        });
        let expected = corners(&ctx, |painter| {
            for (place, text) in (0u8..).zip(WORDS) {
                let middle = corner.x + f32::from(place) * (60.0 + GAP) + 30.0;
                let write = |y, anchor, text, size| {
                    painter.text(
                        pos2(middle, y),
                        anchor,
                        text,
                        FontId::proportional(size),
                        INK,
                    );
                };
                write(corner.y + 2.0, Align2::CENTER_TOP, text, TEXT);
                let bottom = corner.y + ROW - GAP - 1.0;
                write(bottom, Align2::CENTER_BOTTOM, "0.25", NUMBER);
            }
        });
        let inks: Vec<_> = own
            .iter()
            .filter(|(_, color)| *color == INK)
            .copied()
            .collect();
        assert_eq!(inks, expected);
        assert_eq!(
            own[..4].iter().filter(|(_, color)| *color == FILL).count(),
            4
        );
        assert_eq!(own.len(), inks.len() + 4 * WORDS.len());
    }

    #[test]
    fn a_row_is_painted_once_and_then_moved() {
        let ctx = Context::default();
        let (mut rows, asked) = (PaintedRows::default(), Cell::new(0));
        let first = corners(&ctx, |painter| {
            paint(&mut rows, painter, pos2(10.0, 20.0), &asked);
        });
        let moved = corners(&ctx, |painter| {
            paint(&mut rows, painter, pos2(10.0, 56.0), &asked);
        });
        assert_eq!(asked.get(), 1);
        let down = |(at, color): &(Pos2, Color32)| (*at + vec2(0.0, 36.0), *color);
        assert_eq!(moved, first.iter().map(down).collect::<Vec<_>>());
    }

    #[test]
    fn rows_out_of_sight_and_rows_of_other_looks_are_forgotten() {
        let ctx = Context::default();
        let (mut rows, asked) = (PaintedRows::default(), Cell::new(0));
        let themes = [ThemeChoice::Dark, ThemeChoice::Light].map(Theme::load);
        let [Ok(dark), Ok(light)] = &themes else {
            panic!("themes are read: {themes:?}");
        };
        for (theme, in_sight, times) in [
            (dark, 4..5, 1),
            (dark, 4..5, 1),
            (dark, 7..9, 2),
            (dark, 4..5, 2),
            (light, 4..5, 3),
        ] {
            corners(&ctx, |painter| {
                rows.keep(painter, Coloring::default(), theme, &in_sight);
                paint(&mut rows, painter, Pos2::ZERO, &asked);
            });
            assert_eq!(asked.get(), times, "{in_sight:?}");
        }
    }
}
