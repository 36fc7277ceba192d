//! The menu of a cell of layers and experts: a secondary click, the Menu key or Shift+F10.

use egui::{Key, Modifiers, Popup, Pos2, Response, SetOpenCommand};
use moescope_core::{AxisKind, LayerId};

use super::{Grid, Table, table::axis_title};
use crate::{choices::Cell, view::ViewContext, widgets::expert_menu::expert_menu};

/// The menu, open or not.
#[derive(Debug, Default)]
pub(super) struct CellMenu {
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    cell: Cell,
    at: Pos2,
    is_by_keys: bool,
    /// Whether the first entry still has to get the keyboard.
    focuses_first: bool,
}

impl CellMenu {
    /// Opens it where that is asked for, at the cell under the pointer or at that of the keyboard, and shows it.
    pub(super) fn ui(
        &mut self,
        context: &ViewContext<'_>,
        response: &Response,
        grid: &Grid,
        table: &Table,
        [pointed, focused]: [Option<[usize; 2]>; 2],
    ) {
        let by_keys = response.has_focus()
            && response.ctx.input_mut(|input| {
                input.consume_key(Modifiers::SHIFT, Key::F10)
                    || input.consume_key(Modifiers::NONE, Key::Menu)
            });
        let asked = if response.secondary_clicked() {
            let at = response.interact_pointer_pos();
            pointed.map(|cell| (cell, at.unwrap_or(grid.cell_rect(cell).center())))
        } else {
            let cell = focused.filter(|_| by_keys);
            cell.map(|cell| (cell, grid.cell_rect(cell).center()))
        };
        let asked = asked.and_then(|(cell, at)| {
            Some(Open {
                cell: expert_at(table, cell)?,
                at,
                is_by_keys: by_keys,
                focuses_first: by_keys,
            })
        });
        let is_asked = asked.is_some();
        let set = (is_asked || response.clicked()).then_some(SetOpenCommand::Bool(is_asked));
        if let Some(open) = asked {
            if open.is_by_keys {
                // The arrows are the menu's from now on.
                response.surrender_focus();
            }
            self.open = Some(open);
        }
        let Some(open) = &mut self.open else {
            return;
        };
        let popup = Popup::menu(response).open_memory(set).at_position(open.at);
        let shown = popup.show(|ui| {
            let first = expert_menu(ui, context, open.cell, table.columns.len());
            if let Some(first) = first.filter(|_| open.focuses_first && !ui.is_sizing_pass()) {
                first.request_focus();
                open.focuses_first = false;
            }
        });
        if shown.is_none() {
            if open.is_by_keys {
                response.request_focus();
            }
            self.open = None;
        }
    }
}

/// The expert of a cell, in a table of layers and experts.
fn expert_at(table: &Table, [row, column]: [usize; 2]) -> Option<Cell> {
    let is_of_experts = table.row_title == axis_title(AxisKind::Layer)
        && table.column_title == axis_title(AxisKind::Expert);
    if !is_of_experts {
        return None;
    }
    Some(Cell {
        layer: LayerId(table.rows.get(row)?.parse().ok()?),
        expert: table.columns.get(column)?.parse().ok()?,
    })
}
