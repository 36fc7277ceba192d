//! Where the views stand: tiles that can be dragged, split and put into tabs.

mod dragging;
mod saved;

use std::collections::BTreeMap;

use egui::{Color32, Stroke, Ui, Visuals, WidgetText};
use egui_tiles::{
    Behavior, Container, EditAction, Linear, LinearDir, SimplificationOptions, TabState, Tile,
    TileId, Tiles, Tree, UiResponse,
};
use serde::{Deserialize, Serialize};

use super::view_bar;
use crate::{
    command::Command,
    view::{View, ViewContext},
    views::VIEWS,
};

pub(crate) use dragging::{Dragged, Rearranged};
pub(crate) use saved::SavedLayout;

/// A view by name: what a tile holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pane(String);

/// Where the views stand.
#[derive(Debug)]
pub(crate) struct Layout {
    tree: Tree<Pane>,
    /// The view that was used last.
    last: Option<String>,
    /// How they stood when a button of the pointer was pressed.
    pressed: Option<SavedLayout>,
    /// What has been dragged since then.
    dragged: Option<Dragged>,
    /// What was dragged and let go, until the app takes note of it.
    rearranged: Option<Rearranged>,
}

/// Share of the width that the main views have at first.
const MAIN_SHARE: f32 = 0.62;
/// Views that stand on the right at first.
const RIGHT: [&str; 2] = ["expert", "token"];

impl Default for Layout {
    fn default() -> Self {
        let mut tiles = Tiles::default();
        let mut main = Vec::new();
        let mut right = Vec::new();
        for make in VIEWS {
            let name = make().about().name;
            let tile = tiles.insert_pane(Pane(name.to_owned()));
            if RIGHT.contains(&name) {
                right.push(tile);
            } else {
                main.push(tile);
            }
        }
        let main = tiles.insert_tab_tile(main);
        let right = tiles.insert_tab_tile(right);
        let mut row = Linear::new(LinearDir::Horizontal, vec![main, right]);
        row.shares.set_share(main, MAIN_SHARE);
        row.shares.set_share(right, 1.0 - MAIN_SHARE);
        let root = tiles.insert_container(Container::Linear(row));
        Self::of(Tree::new(egui::Id::unique("views"), root, tiles))
    }
}

impl Layout {
    /// The layout that was kept; the first one where it knows none or another set of views.
    pub(crate) fn restore(saved: Option<&SavedLayout>) -> Self {
        let Some(tree) = saved.and_then(|saved| saved.tree.clone()) else {
            return Self::default();
        };
        let is_known = |pane: &Pane| VIEWS.iter().any(|make| make().about().name == pane.0);
        let are_known = tree.tiles.tiles().all(|tile| match tile {
            Tile::Pane(pane) => is_known(pane),
            Tile::Container(_) => true,
        });
        if are_known && !tree.is_empty() {
            Self::of(tree)
        } else {
            Self::default()
        }
    }

    fn of(tree: Tree<Pane>) -> Self {
        Self {
            tree,
            last: None,
            pressed: None,
            dragged: None,
            rearranged: None,
        }
    }

    /// Puts the views where they stood.
    pub(crate) fn put_back(&mut self, saved: SavedLayout) {
        if let Some(tree) = saved.tree {
            self.tree = tree;
        }
    }

    /// The layout as settings keep it.
    pub(crate) fn saved(&self) -> SavedLayout {
        SavedLayout {
            tree: Some(self.tree.clone()),
        }
    }

    /// Brings a view to the front, or back if it was closed; it is the one that is used then.
    pub(crate) fn show(&mut self, name: &str) {
        self.bring_to_front(name);
        self.last = Some(name.to_owned());
    }

    fn bring_to_front(&mut self, name: &str) {
        let pane = Pane(name.to_owned());
        if let Some(id) = self.tree.tiles.find_pane(&pane) {
            self.tree.set_visible(id, true);
        } else {
            let id = self.tree.tiles.insert_pane(pane.clone());
            self.adopt(id);
        }
        self.tree
            .make_active(|_, tile| matches!(tile, Tile::Pane(found) if *found == pane));
    }

    /// Brings a view to the front, unless that would cover another, `seen`; a view that was closed stays so.
    pub(crate) fn show_beside(&mut self, name: &str, seen: &str) {
        let find = |name: &str| self.tree.tiles.find_pane(&Pane(name.to_owned()));
        if let (Some(id), Some(seen)) = (find(name), find(seen))
            && !self.share_tabs(id, seen)
        {
            self.bring_to_front(name);
        }
    }

    /// Whether only one of two tiles can be in front: the innermost container that holds both has tabs.
    fn share_tabs(&self, a: TileId, b: TileId) -> bool {
        let tiles = &self.tree.tiles;
        let around = |tile: TileId| {
            std::iter::successors(tiles.parent_of(tile), move |above| tiles.parent_of(*above))
        };
        let of_b: Vec<TileId> = around(b).collect();
        around(a)
            .find(|tile| of_b.contains(tile))
            .and_then(|tile| tiles.get_container(tile))
            .is_some_and(|container| matches!(container, Container::Tabs(_)))
    }

    /// The view that was used last, where it can be seen; else the first that can.
    pub(crate) fn current(&self) -> Option<&'static str> {
        let seen: Vec<&'static str> = VIEWS
            .iter()
            .map(|make| make().about().name)
            .filter(|name| self.is_in_front(name))
            .collect();
        let last = seen
            .iter()
            .find(|name| self.last.as_deref() == Some(**name));
        last.or(seen.first()).copied()
    }

    /// Takes a view away.
    pub(crate) fn hide(&mut self, name: &str) {
        if let Some(id) = self.tree.tiles.find_pane(&Pane(name.to_owned())) {
            self.tree.remove_recursively(id);
        }
    }

    /// Whether a view is somewhere in the window.
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.tree.tiles.find_pane(&Pane(name.to_owned())).is_some()
    }

    /// Whether a view can be seen.
    pub(crate) fn is_in_front(&self, name: &str) -> bool {
        let mut seen = self.tree.active_tiles().into_iter();
        seen.any(|id| {
            let pane = self.tree.tiles.get_pane(&id);
            pane.is_some_and(|pane| pane.0 == name)
        })
    }

    /// The views that are in front.
    #[cfg(test)]
    fn visible(&self) -> Vec<String> {
        self.tree
            .active_tiles()
            .into_iter()
            .filter_map(|id| self.tree.tiles.get_pane(&id).map(|pane| pane.0.clone()))
            .collect()
    }

    /// Paints the views.
    pub(crate) fn ui(
        &mut self,
        ui: &mut Ui,
        context: &ViewContext<'_>,
        views: &mut BTreeMap<&'static str, Box<dyn View>>,
    ) {
        if self.dragged.is_none() && ui.input(|input| input.pointer.any_pressed()) {
            self.pressed = Some(self.saved());
        }
        let mut painter = Painter {
            context,
            views,
            used: None,
            dragged: None,
        };
        self.tree.ui(&mut painter, ui);
        let Painter { used, dragged, .. } = painter;
        if used.is_some() {
            self.last = used;
        }
        self.dragged = dragged.or(self.dragged);
        if !ui.input(|input| input.pointer.any_down()) {
            self.note_rearranged(ui.ctx());
        }
    }

    /// Puts a tile among the first tabs there are.
    fn adopt(&mut self, id: TileId) {
        let tabs = self.tree.tiles.iter().find_map(|(tile_id, tile)| {
            matches!(tile, Tile::Container(Container::Tabs(_))).then_some(*tile_id)
        });
        match (tabs, self.tree.root()) {
            (Some(tabs), _) => {
                if let Some(Tile::Container(container)) = self.tree.tiles.get_mut(tabs) {
                    container.add_child(id);
                }
            }
            (None, Some(root)) => {
                let root = self.tree.tiles.insert_tab_tile(vec![root, id]);
                self.tree.root = Some(root);
            }
            (None, None) => self.tree.root = Some(self.tree.tiles.insert_tab_tile(vec![id])),
        }
    }
}

/// Paints tiles and their tabs.
struct Painter<'a, 'c> {
    context: &'a ViewContext<'c>,
    views: &'a mut BTreeMap<&'static str, Box<dyn View>>,
    /// The view in which something was pressed, by pointer or key.
    used: Option<String>,
    /// What was moved in this frame.
    dragged: Option<Dragged>,
}

impl Behavior<Pane> for Painter<'_, '_> {
    fn pane_ui(&mut self, ui: &mut Ui, _tile_id: TileId, pane: &mut Pane) -> UiResponse {
        // Before the view takes the keys that it knows.
        if is_used(ui) {
            self.used = Some(pane.0.clone());
        }
        if let Some(view) = self.views.get_mut(pane.0.as_str()) {
            let context = ViewContext {
                view: Some(view.about().name),
                ..*self.context
            };
            egui::Frame::new().inner_margin(10).show(ui, |ui| {
                view_bar::ui(ui, &context, view.as_ref());
                view.ui(ui, &context);
            });
        }
        UiResponse::None
    }

    fn tab_title_for_pane(&mut self, pane: &Pane) -> WidgetText {
        self.views
            .get(pane.0.as_str())
            .map_or(pane.0.as_str(), |view| view.about().title)
            .into()
    }

    fn on_tab_button(
        &mut self,
        tiles: &mut Tiles<Pane>,
        tile_id: TileId,
        button: egui::Response,
    ) -> egui::Response {
        if button.clicked()
            && let Some(pane) = tiles.get_pane(&tile_id)
        {
            self.used = Some(pane.0.clone());
        }
        button
    }

    fn is_tab_closable(&self, _tiles: &Tiles<Pane>, _tile_id: TileId) -> bool {
        true
    }

    fn on_tab_close(&mut self, tiles: &mut Tiles<Pane>, tile_id: TileId) -> bool {
        if let Some(pane) = tiles.get_pane(&tile_id)
            && let Some((&name, _)) = self.views.get_key_value(pane.0.as_str())
        {
            self.context.send(Command::CloseView(name));
        }
        // The app closes it, as it does everything.
        false
    }

    fn on_edit(&mut self, edit_action: EditAction) {
        match edit_action {
            EditAction::TileResized => self.dragged = Some(Dragged::Border),
            EditAction::TileDropped => self.dragged = Some(Dragged::View),
            // Nothing has moved yet, or only another view is in front.
            EditAction::TileDragged | EditAction::TabSelected => {}
        }
    }

    fn simplification_options(&self) -> SimplificationOptions {
        SimplificationOptions {
            all_panes_must_have_tabs: true,
            ..SimplificationOptions::default()
        }
    }

    fn tab_bar_height(&self, _style: &egui::Style) -> f32 {
        30.0
    }

    fn gap_width(&self, _style: &egui::Style) -> f32 {
        4.0
    }

    fn tab_bar_color(&self, _visuals: &Visuals) -> Color32 {
        self.context.theme.ground
    }

    fn tab_bg_color(
        &self,
        _visuals: &Visuals,
        _tiles: &Tiles<Pane>,
        _tile_id: TileId,
        state: &TabState,
    ) -> Color32 {
        if state.active {
            self.context.theme.panel
        } else {
            self.context.theme.ground
        }
    }

    fn tab_outline_stroke(
        &self,
        _visuals: &Visuals,
        _tiles: &Tiles<Pane>,
        _tile_id: TileId,
        state: &TabState,
    ) -> Stroke {
        if state.active {
            Stroke::new(1.0, self.context.theme.line)
        } else {
            Stroke::NONE
        }
    }

    fn tab_bar_hline_stroke(&self, _visuals: &Visuals) -> Stroke {
        Stroke::new(1.0, self.context.theme.line)
    }

    fn tab_text_color(
        &self,
        _visuals: &Visuals,
        _tiles: &Tiles<Pane>,
        _tile_id: TileId,
        state: &TabState,
    ) -> Color32 {
        if state.active {
            self.context.theme.text
        } else {
            self.context.theme.soft_text
        }
    }
}

/// Whether something within a pane was pressed in this frame: by the pointer, or by a key while it has the focus.
fn is_used(ui: &Ui) -> bool {
    let rect = ui.max_rect();
    let (is_pointer, is_key) = ui.input(|input| {
        let is_key = |event: &egui::Event| matches!(event, egui::Event::Key { pressed: true, .. });
        (input.pointer.any_pressed(), input.events.iter().any(is_key))
    });
    let has_focus = || {
        let focused = ui.memory(egui::Memory::focused);
        let widget = focused.and_then(|id| ui.ctx().read_response(id));
        widget.is_some_and(|widget| {
            widget.layer_id == ui.layer_id() && rect.contains(widget.rect.center())
        })
    };
    is_pointer && ui.rect_contains_pointer(rect) || is_key && has_focus()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_views_come_back_and_layouts_survive_settings() {
        let mut layout = Layout::default();
        layout.show("compare");
        assert!(layout.visible().contains(&"compare".to_owned()));
        layout.hide("compare");
        assert!(!layout.holds("compare"));
        let text = serde_json::to_string(&layout.saved()).unwrap();
        let saved: SavedLayout = serde_json::from_str(&text).unwrap();
        let mut layout = Layout::restore(Some(&saved));
        assert!(!layout.holds("compare"));
        layout.show("compare");
        assert!(layout.visible().contains(&"compare".to_owned()));
        for make in VIEWS {
            layout.hide(make().about().name);
        }
        layout.show("expert");
        assert_eq!(layout.visible(), ["expert"]);
    }

    #[test]
    fn layouts_are_alike_whichever_views_are_in_front() {
        let first = Layout::default().saved();
        let mut layout = Layout::default();
        layout.show("compare");
        assert!(first != layout.saved() && first.is_arranged_as(&layout.saved()));
        layout.hide("compare");
        assert!(!first.is_arranged_as(&layout.saved()));
        layout.put_back(first.clone());
        assert!(layout.holds("compare") && first == layout.saved());
    }

    #[test]
    fn a_view_comes_forward_where_it_covers_nothing_that_is_looked_at() {
        let mut layout = Layout::default();
        layout.show("live");
        layout.show("expert");
        layout.show_beside("token", "live");
        assert!(layout.is_in_front("token") && layout.is_in_front("live"));
        // Both stand in the same tabs.
        layout.show_beside("expert", "token");
        assert!(layout.is_in_front("token") && !layout.is_in_front("expert"));
        layout.hide("expert");
        layout.show_beside("expert", "live");
        assert!(!layout.holds("expert"), "what was closed stays so");
    }

    #[test]
    fn the_current_view_is_the_one_that_was_used_last_and_can_be_seen() {
        let mut layout = Layout::default();
        layout.show("compare");
        layout.show("token");
        assert_eq!(layout.current(), Some("token"));
        layout.hide("token");
        assert!(["compare", "expert"].contains(&layout.current().unwrap()));
        layout.show("compare");
        layout.show_beside("expert", "compare");
        assert_eq!(layout.current(), Some("compare"));
        for make in VIEWS {
            layout.hide(make().about().name);
        }
        assert_eq!(layout.current(), None);
    }

    #[test]
    fn a_layout_with_views_that_are_gone_is_not_restored() {
        let mut layout = Layout::default();
        layout.show("of another version");
        let restored = Layout::restore(Some(&layout.saved()));
        assert!(!restored.holds("of another version") && restored.holds("expert"));
    }
}
