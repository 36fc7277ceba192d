//! What a kind of figure is, and the list of them all.

use moescope_core::Measurement;

use crate::{FigureError, FigureOptions, kinds};

/// A way to draw measurements.
pub trait FigureKind: Sync {
    /// What the figure is called, what it draws and which options it uses.
    fn about(&self) -> FigureAbout;

    /// Draws a measurement as a complete SVG document with its size in millimetres.
    ///
    /// The same measurement and options give the same bytes, on every machine.
    ///
    /// # Errors
    /// When the measurement has other axes than the figure draws, when an option that it needs is missing or names
    /// nothing in the measurement, or when a chosen size does not hold the figure.
    fn draw_svg(
        &self,
        measurement: &Measurement,
        options: &FigureOptions,
    ) -> Result<String, FigureError>;

    /// Draws the measurement of some index with all tables of its metric at hand: some figures quote how stable a map
    /// is, or put tables of single experts together.
    ///
    /// # Errors
    /// As [`Self::draw_svg`].
    ///
    /// # Panics
    /// When there is no table of that index.
    fn draw_svg_of(
        &self,
        tables: &[Measurement],
        index: usize,
        options: &FigureOptions,
    ) -> Result<String, FigureError> {
        self.draw_svg(&tables[index], options)
    }
}

/// What a figure kind says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FigureAbout {
    /// The name by which it is asked for.
    pub name: &'static str,
    /// What it shows, in a line.
    pub summary: &'static str,
    /// The axes that a measurement must have.
    pub axes: &'static str,
    /// Metrics that it is made for.
    pub metrics: &'static str,
    /// The options that it uses besides title, width, height, scale, limits, caption and resolution, with what they
    /// mean here.
    pub options: &'static [(&'static str, &'static str)],
}

/// All kinds of figures, by name.
///
/// ```
/// for kind in moescope_figures::catalogue() {
///     println!("{}: {}", kind.about().name, kind.about().summary);
/// }
/// ```
#[must_use]
pub fn catalogue() -> &'static [&'static dyn FigureKind] {
    &[
        &kinds::CoActivationMatrix,
        &kinds::FingerprintMap,
        &kinds::GroupEffects,
        &kinds::GroupExpertHeatmap,
        &kinds::GroupMatrix,
        &kinds::LagProfile,
        &kinds::LayerExpertHeatmap,
        &kinds::LayerFlow,
        &kinds::LayerSeries,
        &kinds::Lollipop,
        &kinds::MarginSeries,
        &kinds::PositionProfile,
        &kinds::ReliabilityCurve,
        &kinds::SaturationCurves,
        &kinds::SmallMultiples,
        &kinds::VocabularyTable,
    ]
}

/// The kind of a name, if there is one.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn FigureKind> {
    catalogue()
        .iter()
        .copied()
        .find(|kind| kind.about().name == name)
}
