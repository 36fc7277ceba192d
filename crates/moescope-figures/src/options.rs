//! What may be chosen for a figure, and the formats it can take.

use std::{fmt, path::Path, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::FigureError;

/// How values become colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColorScale {
    /// What suits the figure: diverging where values have a centre, sequential elsewhere.
    #[default]
    Auto,
    /// Sequential colours, evenly spaced in the value.
    Linear,
    /// Sequential colours, evenly spaced in the logarithm; values of zero or less are marked as such.
    Log,
    /// Diverging colours, symmetric about the reference, or about zero where there is none.
    Symmetric,
}

impl FromStr for ColorScale {
    type Err = FigureError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "linear" => Ok(Self::Linear),
            "log" => Ok(Self::Log),
            "symmetric" => Ok(Self::Symmetric),
            other => Err(FigureError::UnknownChoice {
                option: "scale",
                found: other.to_owned(),
                choices: "auto, linear, log, symmetric".to_owned(),
            }),
        }
    }
}

impl fmt::Display for ColorScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Linear => "linear",
            Self::Log => "log",
            Self::Symmetric => "symmetric",
        })
    }
}

/// In which order a matrix shows its rows and columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellOrder {
    /// Rows that are alike stand together: average linkage of the differences between rows.
    #[default]
    Similarity,
    /// The order of the measurement.
    Given,
}

impl FromStr for CellOrder {
    type Err = FigureError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "similarity" => Ok(Self::Similarity),
            "given" => Ok(Self::Given),
            other => Err(FigureError::UnknownChoice {
                option: "order",
                found: other.to_owned(),
                choices: "similarity, given".to_owned(),
            }),
        }
    }
}

/// What each panel of small multiples shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Panels {
    /// A layer where there are few of them, a group where there are many layers.
    #[default]
    Auto,
    /// One layer.
    Layer,
    /// One group.
    Group,
}

impl FromStr for Panels {
    type Err = FigureError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "layer" => Ok(Self::Layer),
            "group" => Ok(Self::Group),
            other => Err(FigureError::UnknownChoice {
                option: "panels",
                found: other.to_owned(),
                choices: "auto, layer, group".to_owned(),
            }),
        }
    }
}

/// What a reader of the figure may choose; every kind says which of these it uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FigureOptions {
    /// The title; without one, the measurement's own.
    pub title: Option<String>,
    /// Width of the whole figure in millimetres, 40 to 1000.
    pub width_mm: f64,
    /// Height of the whole figure in millimetres; without one, what the contents need.
    pub height_mm: Option<f64>,
    /// How values become colours, or positions on the value axis of a series.
    pub scale: ColorScale,
    /// Lowest and highest value of the scale; without them, what the values need.
    pub limits: Option<[f64; 2]>,
    /// The layer to draw, in the model's numbering.
    pub layer: Option<u16>,
    /// The group (discipline) to draw.
    pub group: Option<String>,
    /// The group to subtract from `group`.
    pub group_b: Option<String>,
    /// The variant to draw, where a measurement has several.
    pub variant: Option<String>,
    /// Groups that stand out among the lines of a series; the others become grey. Empty: all are alike.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub highlight: Vec<String>,
    /// Experts to show, where a figure shows some of them; empty: those with the largest values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub experts: Vec<u16>,
    /// How many of the largest to show (cells, experts, tokens); without a number, what suits the figure.
    pub top: Option<u16>,
    /// The order of the rows and columns of a matrix.
    pub order: CellOrder,
    /// What each panel of small multiples shows.
    pub panels: Panels,
    /// Whether a map outlines where the documents of each class lie.
    pub hulls: bool,
    /// Whether a map names each class at the middle of its documents.
    pub centroids: bool,
    /// Whether the protocol is printed under the figure.
    pub caption: bool,
    /// Dots per inch of a PNG, 30 to 1200.
    pub png_dpi: u32,
}

impl Default for FigureOptions {
    fn default() -> Self {
        Self {
            title: None,
            width_mm: 170.0,
            height_mm: None,
            scale: ColorScale::Auto,
            limits: None,
            layer: None,
            group: None,
            group_b: None,
            variant: None,
            highlight: Vec::new(),
            experts: Vec::new(),
            top: None,
            order: CellOrder::Similarity,
            panels: Panels::Auto,
            hulls: false,
            centroids: false,
            caption: true,
            png_dpi: 300,
        }
    }
}

impl FigureOptions {
    /// Checks that the sizes are ones a page can have.
    ///
    /// # Errors
    /// Names the size that is out of range, and the range.
    pub fn check(&self) -> Result<(), FigureError> {
        if !(40.0..=1000.0).contains(&self.width_mm) {
            return Err(FigureError::Size {
                what: "a width",
                found: format!("{} mm", self.width_mm),
                help: "use 40 to 1000 mm".to_owned(),
            });
        }
        if let Some(height_mm) = self.height_mm
            && !(30.0..=1000.0).contains(&height_mm)
        {
            return Err(FigureError::Size {
                what: "a height",
                found: format!("{height_mm} mm"),
                help: "use 30 to 1000 mm, or leave the height out".to_owned(),
            });
        }
        if !(30..=1200).contains(&self.png_dpi) {
            return Err(FigureError::Size {
                what: "a resolution",
                found: format!("{} dpi", self.png_dpi),
                help: "use 30 to 1200 dpi".to_owned(),
            });
        }
        if self.top == Some(0) {
            return Err(FigureError::Size {
                what: "a count of the largest values",
                found: "0".to_owned(),
                help: "use 1 or more, or leave it out".to_owned(),
            });
        }
        if let Some([low, high]) = self.limits
            && !(low.is_finite() && high.is_finite() && low < high)
        {
            return Err(FigureError::Size {
                what: "limits",
                found: format!("{low} to {high}"),
                help: "give two finite numbers, the lower one first".to_owned(),
            });
        }
        Ok(())
    }
}

/// The format of a finished figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Scalable vector graphics with real text.
    Svg,
    /// A PDF page of the figure's size, its text searchable and its fonts embedded.
    Pdf,
    /// Pixels, at [`FigureOptions::png_dpi`].
    Png,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::Svg, Self::Pdf, Self::Png];

    /// The format that a file name asks for by its ending, in any case.
    ///
    /// # Errors
    /// When the ending is not `svg`, `pdf` or `png`.
    ///
    /// ```
    /// use moescope_figures::Format;
    /// assert_eq!(Format::from_path("load.PDF".as_ref())?, Format::Pdf);
    /// assert!(Format::from_path("load.jpeg".as_ref()).is_err());
    /// # Ok::<(), moescope_figures::FigureError>(())
    /// ```
    pub fn from_path(path: &Path) -> Result<Self, FigureError> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        Self::ALL
            .into_iter()
            .find(|format| ending.is_some_and(|e| e.eq_ignore_ascii_case(format.extension())))
            .ok_or_else(|| FigureError::UnknownFormat {
                path: path.display().to_string(),
            })
    }

    /// The usual ending of a file name, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Pdf => "pdf",
            Self::Png => "png",
        }
    }
}
