//! A layout as settings and undo keep it.

use egui_tiles::{Container, Tile, Tree};
use serde::{Deserialize, Serialize};

use super::Pane;

/// A layout as settings keep it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SavedLayout {
    pub(super) tree: Option<Tree<Pane>>,
}

impl SavedLayout {
    /// Whether the same views are open and stand alike, whichever of them are in front.
    pub(crate) fn is_arranged_as(&self, other: &Self) -> bool {
        let without_front = |layout: &Self| {
            let mut tree = layout.tree.clone()?;
            for tile in tree.tiles.tiles_mut() {
                if let Tile::Container(Container::Tabs(tabs)) = tile {
                    tabs.active = None;
                }
            }
            Some(tree)
        };
        without_front(self) == without_front(other)
    }
}
