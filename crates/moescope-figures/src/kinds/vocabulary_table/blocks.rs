//! The table: blocks in columns, each with a heading and rows of a token and a bar.

use super::token_text::has_escape;
use crate::{
    FigureError, FigureOptions,
    axis::count,
    canvas::{Align, Area, Canvas, Point, THIN, TextLook},
    page::MARGIN,
    palette::{GRID, INK, SOFT_INK, category},
    text::{self, Face},
    ticks,
};

/// A token with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) text: String,
    pub(super) value: f64,
}

/// The tokens of one expert.
#[derive(Clone, Debug)]
pub(super) struct Block {
    name: String,
    pub(super) entries: Vec<Entry>,
}

impl Block {
    /// A block of the entries that have a value, largest first.
    pub(super) fn new(name: String, mut entries: Vec<Entry>) -> Self {
        entries.retain(|entry| entry.value.is_finite());
        // A stable sort: of equal values the first stays first.
        entries.sort_by(|a, b| b.value.total_cmp(&a.value));
        Self { name, entries }
    }

    /// The largest value.
    pub(super) fn strength(&self) -> f64 {
        self.entries
            .first()
            .map_or(f64::NEG_INFINITY, |entry| entry.value)
    }
}

/// Blocks on a page.
#[derive(Clone, Debug)]
pub(super) struct Table {
    blocks: Vec<Block>,
    columns: usize,
    width: f64,
    unit: String,
    /// The value of the longest bar.
    most: f64,
}

/// Height of a row in millimetres.
const ROW: f64 = 3.7;
/// Space between two columns of blocks in millimetres.
const GAP: f64 = 5.0;
/// Space under a block in millimetres.
const UNDER: f64 = 3.0;
/// The least width of a block in millimetres.
const LEAST: f64 = 36.0;

impl Table {
    pub(super) fn new(blocks: Vec<Block>, options: &FigureOptions, unit: String) -> Self {
        let room = options.width_mm - 2.0 * MARGIN;
        let mut columns = 1;
        while columns < blocks.len() && (room + GAP) / count(columns + 1) - GAP >= LEAST {
            columns += 1;
        }
        let width = ((room + GAP) / count(columns) - GAP).min(70.0);
        let most = blocks
            .iter()
            .flat_map(|block| &block.entries)
            .map(|entry| entry.value)
            .fold(0.0, f64::max);
        Self {
            blocks,
            columns,
            width,
            unit,
            most,
        }
    }

    /// Whether some token is written by the numbers of its letters.
    pub(super) fn has_escapes(&self) -> bool {
        self.blocks
            .iter()
            .flat_map(|block| &block.entries)
            .any(|entry| has_escape(&entry.text))
    }

    /// The height of all blocks with the line about the bars.
    pub(super) fn natural_height(&self) -> f64 {
        let lines: f64 = self.blocks.chunks(self.columns).map(height_of).sum();
        lines + Face::SMALL.line_mm() + 1.0
    }

    /// Draws the blocks, row by row, in `height` millimetres; returns the y under them.
    pub(super) fn paint(
        &self,
        canvas: &mut Canvas<'_>,
        top: f64,
        height: f64,
    ) -> Result<f64, FigureError> {
        let mut y = top;
        for blocks in self.blocks.chunks(self.columns) {
            for (column, block) in blocks.iter().enumerate() {
                let x = MARGIN + (self.width + GAP) * count(column);
                self.block(canvas, (x, y), block)?;
            }
            y += height_of(blocks);
        }
        let face = Face::SMALL;
        let note = if self.blocks.is_empty() {
            "no token with a value".to_owned()
        } else {
            format!("Bars: {}", self.unit)
        };
        let room = self.width * count(self.columns) + GAP * count(self.columns - 1);
        let note = text::shorten(&note, face, room)?;
        let look = TextLook::new(face, Align::Start).color(SOFT_INK);
        canvas.text(&note, (MARGIN, y + face.cap_mm()), look)?;
        Ok(top + height)
    }

    fn block(
        &self,
        canvas: &mut Canvas<'_>,
        (x, y): Point,
        block: &Block,
    ) -> Result<(), FigureError> {
        let face = Face::SMALL;
        let bold = Face {
            is_bold: true,
            ..face
        };
        let name = text::shorten(&block.name, bold, self.width)?;
        let heading = y + 0.5 * (ROW + face.cap_mm());
        canvas.text(&name, (x, heading), TextLook::new(bold, Align::Start))?;
        canvas.line((x, y + ROW), (x + self.width, y + ROW), INK, THIN)?;
        // Half for the token, then the bar, then its number.
        let (token_room, number_room) = (0.5 * self.width, 8.5);
        let bar_x = x + token_room + 1.0;
        let bar_room = (self.width - token_room - 1.0 - number_room).max(2.0);
        for (i, entry) in block.entries.iter().enumerate() {
            let top = y + ROW * count(i + 1);
            let baseline = top + 0.5 * (ROW + face.cap_mm());
            let token = text::shorten(&entry.text, face, token_room)?;
            canvas.text(&token, (x, baseline), TextLook::new(face, Align::Start))?;
            let share = if self.most > 0.0 {
                (entry.value / self.most).clamp(0.0, 1.0)
            } else {
                0.0
            };
            let bar = |width: f64| Area {
                x0: bar_x,
                y0: top + 0.9,
                x1: bar_x + width,
                y1: top + ROW - 0.9,
            };
            canvas.fill(bar(bar_room), GRID)?;
            if share > 0.0 {
                canvas.fill(bar(bar_room * share), category(0).color)?;
            }
            let number = text::shorten(&ticks::short(entry.value), face, number_room)?;
            let look = TextLook::new(face, Align::End).color(SOFT_INK);
            canvas.text(&number, (x + self.width, baseline), look)?;
        }
        Ok(())
    }
}

/// The height of blocks side by side.
fn height_of(blocks: &[Block]) -> f64 {
    let rows = blocks.iter().map(|block| block.entries.len()).max();
    ROW * count(rows.unwrap_or(0) + 1) + UNDER
}
