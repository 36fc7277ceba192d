//! Everything that the user chose; plain values, so that undo can step through them.

mod capture;

use std::{fmt, path::PathBuf, sync::Arc};

use moescope_analytics::MeasureRequest;
use moescope_core::LayerId;
use moescope_figures::ColorScale;
use moescope_pipeline::session::BranchId;
use serde::{Deserialize, Serialize};

use crate::lives::{LinePart, LiveChoice};

pub use capture::{CaptureChoice, ColumnsChoice};

/// Everything that the user chose in a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Choices {
    /// Which decisions are measured, and how carefully; shared by all views.
    pub request: MeasureRequest,
    /// The expert that views tell of.
    pub cell: Option<Cell>,
    /// The documents that are chosen on a map, by their ids; not kept, for the next trace may have others.
    #[serde(skip)]
    pub documents: Arc<[String]>,
    /// What the Disciplines view shows.
    pub disciplines: DisciplinesChoice,
    /// What the Compare view shows.
    pub compare: CompareChoice,
    /// What the Capture view would run.
    pub capture: CaptureChoice,
    /// What live generations begin with, and what is shown of them.
    pub live: LiveChoice,
}

/// One expert of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// The layer, in the model's numbering.
    pub layer: LayerId,
    /// The expert.
    pub expert: u16,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.layer, self.expert)
    }
}

/// A page of the Disciplines view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisciplinesTab {
    /// Layers × experts of a label, or of a difference.
    #[default]
    Heatmap,
    /// The experts that a label uses most differently.
    Ranking,
    /// How far apart labels are.
    Distances,
    /// Documents as points.
    Map,
    /// A quantity along the layers.
    Layers,
}

impl DisciplinesTab {
    /// All pages, in order.
    pub const ALL: [Self; 5] = [
        Self::Heatmap,
        Self::Ranking,
        Self::Distances,
        Self::Map,
        Self::Layers,
    ];

    /// Its name on the screen.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Heatmap => "Heat map",
            Self::Ranking => "Ranking",
            Self::Distances => "Distances",
            Self::Map => "Map",
            Self::Layers => "Layer curves",
        }
    }
}

/// What the Disciplines view shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DisciplinesChoice {
    /// The page.
    pub tab: DisciplinesTab,
    /// The metric of layers × experts.
    pub metric: String,
    /// The label that is shown; the first one where there is none of this name.
    pub group: Option<String>,
    /// The label that is subtracted from it.
    pub minus: Option<String>,
    /// How values become colours.
    pub scale: ColorScale,
    /// Whether cells that a permutation test sets apart carry a mark.
    pub marks: bool,
    /// The metric of the distances between labels.
    pub distance: String,
    /// The layer of the distances; the last one where there is none.
    pub distance_layer: Option<LayerId>,
    /// How distances become colours.
    pub distance_scale: ColorScale,
    /// Which map is drawn.
    pub map: String,
    /// The metric along the layers.
    pub layer_metric: String,
}

impl Default for DisciplinesChoice {
    fn default() -> Self {
        Self {
            tab: DisciplinesTab::default(),
            metric: "assignment_share".to_owned(),
            group: None,
            minus: None,
            scale: ColorScale::Auto,
            marks: true,
            distance: "jsd".to_owned(),
            distance_layer: None,
            distance_scale: ColorScale::Auto,
            map: "PCA".to_owned(),
            layer_metric: "mutual_information".to_owned(),
        }
    }
}

/// What the Compare view shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CompareChoice {
    /// The folder of the trace that is compared.
    pub first: Option<PathBuf>,
    /// The folder of the trace that it is compared with.
    pub second: Option<PathBuf>,
    /// The lines of Live that stand in the place of these traces; not kept, for a session numbers its own.
    #[serde(skip)]
    pub lines: [Option<BranchId>; 2],
    /// Which tokens of two lines are compared.
    pub part: LinePart,
    /// The metric of layers × experts.
    pub metric: String,
    /// The label that is shown; all documents together where there is none.
    pub group: Option<String>,
    /// How values become colours.
    pub scale: ColorScale,
}

impl CompareChoice {
    /// The folder of the trace on a side, which counts where no line stands there.
    pub(crate) fn folder(&self, side: usize) -> Option<&PathBuf> {
        [&self.first, &self.second][side].as_ref()
    }

    /// The same, to be chosen.
    pub(crate) fn folder_mut(&mut self, side: usize) -> &mut Option<PathBuf> {
        if side == 0 {
            &mut self.first
        } else {
            &mut self.second
        }
    }
}

impl Default for CompareChoice {
    fn default() -> Self {
        Self {
            first: None,
            second: None,
            lines: [None; 2],
            part: LinePart::default(),
            metric: "assignment_share".to_owned(),
            group: None,
            scale: ColorScale::Auto,
        }
    }
}
