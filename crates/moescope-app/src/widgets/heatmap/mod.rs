//! A table of values as colours: exact under the pointer, readable at any zoom, moved over with the arrow keys.
//!
//! [`Table`] holds what is shown, [`HeatmapState`] makes its texture on another thread and remembers zoom and cursor, and
//! [`HeatmapState::ui`] paints.

mod axis_labels;
mod cell_menu;
mod color_bar;
mod counted;
mod grid;
mod merged;
mod painted;
mod table;
mod zoom;

use std::sync::Arc;

use egui::{
    Color32, CornerRadius, Event, EventFilter, FontId, Id, Key, Mesh, Modifiers, PointerButton,
    Pos2, Rect, Response, Role, Sense, Shape, Stroke, StrokeKind, Ui, Vec2, WidgetInfo, pos2, vec2,
};

use crate::{command::Command, job::Job, lives::LiveCommand, theme::paint, view::ViewContext};

use cell_menu::CellMenu;
use grid::Grid;
use merged::Merging;
use painted::Painted;
pub(crate) use table::{Table, TableSource, shared_limits};
use zoom::Zoom;

/// Cells at least this wide and high show their values.
const CELL_WITH_VALUE: Vec2 = vec2(40.0, 17.0);
/// At most so many cells show their values: more of them nobody reads, and each costs time in every frame.
const MOST_VALUES: usize = 2500;

/// What a heat map keeps from frame to frame.
#[derive(Debug, Default)]
pub(crate) struct HeatmapState {
    source: Option<TableSource>,
    painted: Job<Arc<Painted>>,
    merging: Merging,
    zoom: Zoom,
    cursor: Option<[usize; 2]>,
    /// Whether the keyboard moved last, so that a resting pointer does not count.
    is_by_keys: bool,
    menu: CellMenu,
}

/// What happened in a heat map.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeatmapOutput {
    /// The cell under the pointer, row first.
    pub(crate) hovered: Option<[usize; 2]>,
    /// The cell that was chosen by mouse or keyboard.
    pub(crate) chosen: Option<[usize; 2]>,
}

/// What is laid over the cells from outside.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overlay {
    /// The cell that is chosen, row first.
    pub(crate) chosen: Option<[usize; 2]>,
    /// A cell that is pointed at elsewhere.
    pub(crate) linked: Option<[usize; 2]>,
}

impl HeatmapState {
    /// Makes the texture of a table, if it is another than the last.
    pub(crate) fn prepare(&mut self, ctx: &egui::Context, source: TableSource) {
        self.painted.poll();
        if self.source.as_ref() == Some(&source) {
            return;
        }
        let has_other_size = self
            .source
            .as_ref()
            .is_none_or(|known| known.shape() != source.shape());
        if has_other_size {
            self.zoom = Zoom::default();
            self.cursor = None;
        }
        self.source = Some(source.clone());
        let textures = ctx.clone();
        self.painted.start("painting", ctx, move |_| {
            Painted::new(&textures, source.table()?).map(Arc::new)
        });
    }

    /// The table that is shown.
    pub(crate) fn table(&self) -> Option<&Table> {
        self.painted.value().map(|painted| &painted.table)
    }

    /// Whether a texture is being made.
    pub(crate) fn is_busy(&self) -> bool {
        self.painted.is_running() || self.merging.is_busy()
    }

    /// Paints the table into all the room there is.
    pub(crate) fn ui(
        &mut self,
        ui: &mut Ui,
        context: &ViewContext<'_>,
        name: &str,
        overlay: Overlay,
    ) -> HeatmapOutput {
        let mut output = HeatmapOutput::default();
        if let Some(error) = self.painted.error() {
            ui.colored_label(context.theme.error, format!("Error: {error}"));
            return output;
        }
        let Some(painted) = self.painted.value() else {
            ui.spinner();
            return output;
        };
        let table = &painted.table;
        let frame = Layout::new(ui, table);
        let id = ui.scope_id().with(name);
        take_space(ui, context, id);
        let response = ui.interact(frame.cells, id, Sense::click_and_drag());
        self.zoom.take_input(ui, &response, table.shape());
        let grid = Grid {
            rect: frame.cells,
            shown: self.zoom.shown(table.shape()),
        };
        let block = grid.cells_a_pixel(ui.pixels_per_point());
        self.merging.prepare(ui.ctx(), painted, block);
        let merged = self.merging.merged();
        let hovered = response
            .hover_pos()
            .and_then(|pos| grid.cell_at(pos))
            .map(|cell| merged.map_or(cell, |merged| merged.seen_at(cell)));
        let cursor = take_keys(ui, &response, self.cursor.or(overlay.chosen), table);
        if cursor.moved {
            self.cursor = cursor.cell;
            self.is_by_keys = true;
            if let Some(cell) = cursor.cell {
                self.zoom.show_cell(cell, table.shape());
            }
        }
        // A pointer that rests on the map counts again when it moves.
        self.is_by_keys &= ui.input(|input| input.pointer.delta() == Vec2::ZERO);
        let asked_of = [hovered, cursor.cell];
        self.menu.ui(context, &response, &grid, table, asked_of);
        let hovered = hovered.filter(|_| !self.is_by_keys);
        output.hovered = hovered;
        if response.clicked_by(PointerButton::Primary) {
            response.request_focus();
            self.cursor = hovered;
            output.chosen = hovered;
        } else if response.clicked() {
            // Enter, or a screen reader.
            output.chosen = cursor.cell;
        }
        copy_cell(ui, &response, hovered.or(self.cursor), table);

        match merged {
            Some(merged) => merged.paint(ui, &grid),
            None => painted.paint(ui, &grid),
        }
        paint_marks(ui, &grid, painted);
        paint_values(ui, &grid, painted);
        axis_labels::ui(ui, context, &grid, table, &frame.labels);
        color_bar::ui(ui, context, frame.bar, painted, &grid);
        let pen = Pen { ui, context, grid };
        if let Some(cell) = overlay.linked {
            pen.outline(cell, 1.5);
        }
        if let Some(cell) = overlay.chosen {
            pen.outline(cell, 2.5);
        }
        if response.has_focus() {
            pen.focus_frame();
            if let Some(cell) = self.cursor {
                pen.outline(cell, 2.0);
            }
        }
        if let Some(cell) = hovered {
            pen.outline(cell, 1.5);
        }
        let told = hovered.or(self.cursor).or(overlay.chosen);
        let words = told.map(|cell| table.describe(cell));
        response.widget_info(|| {
            let label = match &words {
                Some(words) => format!("{name}: {}", words.join(", ")),
                None => format!("{name}: {} by {}", table.row_title, table.column_title),
            };
            WidgetInfo::labeled(Role::Image, true, label)
        });
        if let Some(cell) = hovered {
            let lines = table.describe(cell);
            response.on_hover_ui_at_pointer(|ui| {
                for line in lines {
                    ui.label(line);
                }
            });
        }
        output
    }
}

/// Where the parts of a heat map stand.
struct Layout {
    cells: Rect,
    bar: Rect,
    labels: axis_labels::Room,
}

impl Layout {
    fn new(ui: &mut Ui, table: &Table) -> Self {
        let room = axis_labels::Room::of(ui, table);
        let least = vec2(room.left + color_bar::WIDTH + 60.0, room.bottom + 60.0);
        let size = ui.available_size().max(least);
        let (_, rect) = ui.allocate_space(size);
        let cells = Rect::from_min_max(
            pos2(rect.left() + room.left, rect.top() + room.top),
            pos2(rect.right() - color_bar::WIDTH, rect.bottom() - room.bottom),
        );
        let bar = Rect::from_min_max(
            pos2(cells.right() + 14.0, cells.top()),
            pos2(rect.right(), cells.bottom()),
        );
        Self {
            cells,
            bar,
            labels: room,
        }
    }
}

/// Paints frames over cells.
struct Pen<'a, 'c> {
    ui: &'a Ui,
    context: &'a ViewContext<'c>,
    grid: Grid,
}

impl Pen<'_, '_> {
    /// A frame that reads on every colour: a light line between dark ones.
    fn outline(&self, cell: [usize; 2], width: f32) {
        let least = Rect::from_center_size(self.grid.cell_rect(cell).center(), Vec2::splat(4.0));
        let rect = self.grid.cell_rect(cell).union(least);
        let painter = self.ui.painter().with_clip_rect(self.grid.rect.expand(3.0));
        let theme = self.context.theme;
        let none = CornerRadius::ZERO;
        let edge = Stroke::new(width + 2.0, theme.cursor_edge);
        painter.rect_stroke(rect, none, edge, StrokeKind::Middle);
        let line = Stroke::new(width, theme.cursor);
        painter.rect_stroke(rect, none, line, StrokeKind::Middle);
    }

    fn focus_frame(&self) {
        let line = Stroke::new(1.5, self.context.theme.accent);
        let rect = self.grid.rect.expand(3.0);
        self.ui
            .painter()
            .rect_stroke(rect, CornerRadius::same(2), line, StrokeKind::Outside);
    }
}

/// Space starts and pauses a generation here as elsewhere. What has the focus would take it for a click, so it is taken
/// before.
fn take_space(ui: &Ui, context: &ViewContext<'_>, id: Id) {
    let has_focus = ui.memory(|memory| memory.has_focus(id));
    if has_focus && ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Space)) {
        context.send(Command::Live(Box::new(LiveCommand::Toggle)));
    }
}

/// Where the keyboard is.
struct KeyboardCursor {
    cell: Option<[usize; 2]>,
    moved: bool,
}

fn take_keys(
    ui: &Ui,
    response: &Response,
    from: Option<[usize; 2]>,
    table: &Table,
) -> KeyboardCursor {
    let mut cursor = KeyboardCursor {
        cell: from,
        moved: false,
    };
    if !response.has_focus() {
        return cursor;
    }
    let filter = EventFilter {
        horizontal_arrows: true,
        vertical_arrows: true,
        ..EventFilter::default()
    };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
    let [rows, columns] = table.shape();
    if rows == 0 || columns == 0 {
        return cursor;
    }
    let steps = [
        (Key::ArrowUp, -1, 0),
        (Key::ArrowDown, 1, 0),
        (Key::ArrowLeft, 0, -1),
        (Key::ArrowRight, 0, 1),
        (Key::OpenBracket, -1, 0),
        (Key::CloseBracket, 1, 0),
    ];
    for (key, down, right) in steps {
        let count = ui.input_mut(|input| input.count_and_consume_key(Modifiers::NONE, key));
        for _ in 0..count {
            let [row, column] = cursor.cell.unwrap_or([0, 0]);
            let is_first = cursor.cell.is_none();
            cursor.cell = Some(if is_first {
                [row, column]
            } else {
                [
                    row.saturating_add_signed(down).min(rows - 1),
                    column.saturating_add_signed(right).min(columns - 1),
                ]
            });
            cursor.moved = true;
        }
    }
    cursor
}

/// Ctrl+C over or within a heat map copies the cell with its interval.
fn copy_cell(ui: &Ui, response: &Response, cell: Option<[usize; 2]>, table: &Table) {
    let is_meant = response.has_focus() || response.hovered() && !ui.ctx().text_edit_focused();
    if let (true, Some(cell)) = (is_meant, cell)
        && ui.input(|input| input.events.iter().any(|e| matches!(e, Event::Copy)))
    {
        ui.ctx().copy_text(table.describe(cell).join("\t"));
    }
}

/// Marks are diamonds in one mesh: thousands of circles would cost more than all else in a frame.
fn paint_marks(ui: &Ui, grid: &Grid, painted: &Painted) {
    let size = grid.cell_size();
    let table = &painted.table;
    if table.marks.is_empty() || !grid.has_room_for_marks() {
        return;
    }
    let radius = (size.min_elem() * 0.18).clamp(1.2, 3.6);
    let has_values = shows_values(grid);
    let mut mesh = Mesh::default();
    let [rows, columns] = grid.visible();
    for row in rows {
        for column in columns.clone() {
            let flat = table.flat([row, column]);
            if flat.is_some_and(|flat| table.marks[flat]) {
                let cell = grid.cell_rect([row, column]);
                let at = if has_values {
                    cell.right_top() + vec2(-7.0, 7.0)
                } else {
                    cell.center()
                };
                let ink = paint(painted.color_of([row, column]).ink());
                add_diamond(&mut mesh, at, radius, ink);
            }
        }
    }
    let brush = ui.painter().with_clip_rect(grid.rect);
    brush.add(Shape::mesh(mesh));
}

fn add_diamond(mesh: &mut Mesh, at: Pos2, radius: f32, color: Color32) {
    let Ok(first) = u32::try_from(mesh.vertices.len()) else {
        return;
    };
    for (x, y) in [(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)] {
        mesh.colored_vertex(at + radius * vec2(x, y), color);
    }
    mesh.add_triangle(first, first + 1, first + 2);
    mesh.add_triangle(first, first + 2, first + 3);
}

fn shows_values(grid: &Grid) -> bool {
    let cell = grid.cell_size();
    let [rows, columns] = grid.visible();
    cell.x >= CELL_WITH_VALUE.x
        && cell.y >= CELL_WITH_VALUE.y
        && rows.len() * columns.len() <= MOST_VALUES
}

fn paint_values(ui: &Ui, grid: &Grid, painted: &Painted) {
    if !shows_values(grid) {
        return;
    }
    let brush = ui.painter().with_clip_rect(grid.rect);
    let [rows, columns] = grid.visible();
    for row in rows {
        for column in columns.clone() {
            let Some(flat) = painted.table.flat([row, column]) else {
                continue;
            };
            let value = painted.table.values[flat];
            if value.is_finite() {
                brush.text(
                    grid.cell_rect([row, column]).center(),
                    egui::Align2::CENTER_CENTER,
                    Table::short(value),
                    FontId::proportional(11.0),
                    paint(painted.color_of([row, column]).ink()),
                );
            }
        }
    }
}
