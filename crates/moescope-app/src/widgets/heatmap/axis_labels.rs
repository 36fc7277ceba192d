//! The names of rows and columns, as many as have room.

use egui::{Align2, FontId, Ui, pos2};

use super::{Grid, Table};
use crate::view::ViewContext;

const FONT: f32 = 11.5;
const LONGEST: f32 = 150.0;

/// Room for labels around the cells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) left: f32,
    pub(super) top: f32,
    pub(super) bottom: f32,
    /// Widest label of a column.
    column: f32,
}

impl Room {
    /// The room that a table's labels need.
    pub(super) fn of(ui: &Ui, table: &Table) -> Self {
        let widest = |labels: &[String]| {
            // Numbers of experts are as wide as the longest of them, and there may be many.
            let longest = labels.iter().max_by_key(|label| label.chars().count());
            longest.map_or(0.0, |label| width(ui, label)).min(LONGEST)
        };
        let row = widest(&table.rows);
        Self {
            left: row + 30.0,
            top: 4.0,
            bottom: 38.0,
            column: widest(&table.columns),
        }
    }
}

fn width(ui: &Ui, text: &str) -> f32 {
    ui.painter()
        .layout_no_wrap(text.to_owned(), font(), egui::Color32::PLACEHOLDER)
        .size()
        .x
}

fn font() -> FontId {
    FontId::proportional(FONT)
}

/// Paints the labels.
pub(super) fn ui(ui: &Ui, context: &ViewContext<'_>, grid: &Grid, table: &Table, room: &Room) {
    let theme = context.theme;
    let size = grid.cell_size();
    let [rows, columns] = grid.visible();
    let painter = ui.painter();
    let stride = stride_for(14.0, size.y);
    for row in rows.filter(|row| row % stride == 0) {
        let y = grid.cell_rect([row, 0]).center().y;
        if let (Some(label), true) = (table.rows.get(row), grid.rect.y_range().contains(y)) {
            painter.text(
                pos2(grid.rect.left() - 7.0, y),
                Align2::RIGHT_CENTER,
                shortened(label),
                font(),
                theme.soft_text,
            );
        }
    }
    let stride = stride_for(room.column + 8.0, size.x);
    for column in columns.filter(|column| column % stride == 0) {
        let x = grid.cell_rect([0, column]).center().x;
        if let (Some(label), true) = (table.columns.get(column), grid.rect.x_range().contains(x)) {
            painter.text(
                pos2(x, grid.rect.bottom() + 5.0),
                Align2::CENTER_TOP,
                shortened(label),
                font(),
                theme.soft_text,
            );
        }
    }
    painter.text(
        pos2(grid.rect.center().x, grid.rect.bottom() + 21.0),
        Align2::CENTER_TOP,
        &table.column_title,
        font(),
        theme.text,
    );
    let title = painter.layout_no_wrap(table.row_title.clone(), font(), theme.text);
    let at = pos2(
        grid.rect.left() - room.left + 2.0,
        grid.rect.center().y + title.size().x / 2.0,
    );
    let turned = egui::epaint::TextShape::new(at, title, theme.text)
        .with_angle(-std::f32::consts::FRAC_PI_2);
    painter.add(turned);
}

/// Every which label has room: 1, 2, 5, 10, 20, …
fn stride_for(needed: f32, cell: f32) -> usize {
    let least = needed / cell.max(1e-3);
    let mut stride = 1;
    for factor in [2, 5, 10].into_iter().cycle() {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
        let is_enough = stride as f32 >= least;
        if is_enough {
            break;
        }
        let decade = 10_usize.pow(stride.ilog10());
        stride = decade * factor;
    }
    stride
}

fn shortened(label: &str) -> String {
    const MOST: usize = 22;
    if label.chars().count() <= MOST {
        return label.to_owned();
    }
    let mut short: String = label.chars().take(MOST - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_distance_in_round_steps() {
        assert_eq!(stride_for(14.0, 20.0), 1);
        assert_eq!(stride_for(14.0, 10.0), 2);
        assert_eq!(stride_for(30.0, 10.0), 5);
        assert_eq!(stride_for(30.0, 1.0), 50);
        assert_eq!(stride_for(30.0, 0.5), 100);
    }
}
