//! Three heat maps on one screen: two sides on one scale, and their difference; what is pointed at in one is framed in all.

use egui::Ui;
use moescope_core::AxisKind;
use moescope_figures::ColorScale;

use crate::{
    answers::Measured,
    view::ViewContext,
    views::disciplines::shared::{choose, chosen_in},
    widgets::heatmap::{HeatmapOutput, HeatmapState, Overlay, TableSource, shared_limits},
};

/// What the maps keep.
#[derive(Debug, Default)]
pub(super) struct Maps {
    sides: [HeatmapState; 2],
    difference: HeatmapState,
    /// The scale of both sides, and what it was made for.
    limits: Option<([TableSource; 2], Option<[f64; 2]>)>,
    /// The cell under the pointer in any of the maps.
    pointed: Option<[usize; 2]>,
}

impl Maps {
    /// Lays them out: the sides beside each other, the difference below.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        side_ui: impl Fn(&mut Self, &mut Ui, usize) -> HeatmapOutput,
        difference_ui: impl FnOnce(&mut Self, &mut Ui) -> HeatmapOutput,
    ) {
        let height = ui.available_height();
        let mut pointed = None;
        ui.horizontal_top(|ui| {
            let width = (ui.available_width() - ui.spacing().item_spacing.x) / 2.0;
            for side in 0..2 {
                ui.allocate_ui(egui::vec2(width, height * 0.5), |ui| {
                    ui.vertical(|ui| {
                        let output = side_ui(self, ui, side);
                        pointed = pointed.or(output.hovered);
                    });
                });
            }
        });
        let output = difference_ui(self, ui);
        self.pointed = pointed.or(output.hovered);
    }

    /// Paints a side; `None` where it has no table.
    pub(super) fn side(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        name: &str,
        sources: &[Option<TableSource>; 2],
        side: usize,
    ) -> Option<HeatmapOutput> {
        let limits = self.limits_of(sources);
        let mut source = sources[side].clone()?;
        source.limits = limits;
        let pointed = self.pointed;
        Some(paint(ui, ctx, name, &mut self.sides[side], source, pointed))
    }

    /// Paints the difference.
    pub(super) fn difference(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        name: &str,
        source: TableSource,
    ) -> HeatmapOutput {
        let pointed = self.pointed;
        paint(ui, ctx, name, &mut self.difference, source, pointed)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.sides.iter().any(HeatmapState::is_busy) || self.difference.is_busy()
    }

    /// The scale that both sides share, once both are there.
    fn limits_of(&mut self, sources: &[Option<TableSource>; 2]) -> Option<[f64; 2]> {
        let [Some(first), Some(second)] = sources else {
            return None;
        };
        let both = [first.clone(), second.clone()];
        if self.limits.as_ref().is_none_or(|(known, _)| *known != both) {
            let limits = shared_limits(&[first, second]);
            self.limits = Some((both, limits));
        }
        self.limits.as_ref().and_then(|(_, limits)| *limits)
    }
}

/// Layers × experts of a measurement.
pub(super) fn table(
    measured: &Measured,
    index: usize,
    fixed: Vec<(AxisKind, String)>,
    scale: ColorScale,
) -> TableSource {
    TableSource {
        measured: measured.clone(),
        index,
        rows: AxisKind::Layer,
        columns: AxisKind::Expert,
        fixed,
        scale,
        limits: None,
        has_marks: false,
    }
}

fn paint(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    name: &str,
    heatmap: &mut HeatmapState,
    source: TableSource,
    linked: Option<[usize; 2]>,
) -> HeatmapOutput {
    heatmap.prepare(ui.ctx(), source);
    let overlay = Overlay {
        chosen: chosen_in(heatmap.table(), ctx.state.choices.cell),
        linked,
    };
    let output = heatmap.ui(ui, ctx, name, overlay);
    if let Some(cell) = output.chosen {
        choose(ctx, heatmap.table(), cell);
    }
    output
}
