//! Which experts the texts of each discipline choose, and how sure that is.

mod choice_row;
mod distances;
mod heat;
mod layers;
mod map;
mod ranking;

use egui::Ui;

use crate::{
    choices::DisciplinesTab,
    command::Command,
    command_line,
    export::FigureOffer,
    traces::OpenTrace,
    view::{View, ViewAbout, ViewContext},
    widgets::empty::no_trace,
};

/// What other views of layers and experts use as well.
pub(in crate::views) mod shared {
    pub(in crate::views) use super::{
        choice_row::{first_with, metric_combo, named_combo},
        heat::{choose, chosen_in, is_of_experts, scale_combo},
    };
}

/// The Disciplines view.
#[derive(Debug, Default)]
pub(crate) struct Disciplines {
    heat: heat::HeatPage,
    distances: distances::DistancesPage,
    map: map::MapPage,
}

impl View for Disciplines {
    fn about(&self) -> ViewAbout {
        ViewAbout {
            name: "disciplines",
            title: "Disciplines",
            summary: "Which experts the texts of each label choose, and where labels differ",
        }
    }

    fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        let Some(trace) = ctx.trace() else {
            return no_trace(ui, ctx);
        };
        let mut choice = ctx.state.choices.disciplines.clone();
        ui.horizontal(|ui| {
            for tab in DisciplinesTab::ALL {
                ui.selectable_value(&mut choice.tab, tab, tab.title());
            }
        });
        ui.separator();
        match choice.tab {
            DisciplinesTab::Heatmap => self.heat.ui(ui, ctx, trace, &mut choice),
            DisciplinesTab::Ranking => ranking::ui(ui, ctx, trace, &mut choice),
            DisciplinesTab::Distances => self.distances.ui(ui, ctx, trace, &mut choice),
            DisciplinesTab::Map => self.map.ui(ui, ctx, trace, &mut choice),
            DisciplinesTab::Layers => layers::ui(ui, ctx, trace, &mut choice),
        }
        if choice != ctx.state.choices.disciplines {
            ctx.send(Command::ChooseDisciplines(Box::new(choice)));
        }
    }

    fn figure(&self, ctx: &ViewContext<'_>) -> Option<FigureOffer> {
        let trace = ctx.trace()?;
        let choice = &ctx.state.choices.disciplines;
        match choice.tab {
            DisciplinesTab::Heatmap => heat::figure(ctx, trace, choice),
            DisciplinesTab::Ranking => ranking::figure(ctx, trace, choice),
            DisciplinesTab::Distances => distances::figure(ctx, trace, choice),
            DisciplinesTab::Map => map::figure(ctx, trace, choice),
            DisciplinesTab::Layers => layers::figure(ctx, trace, choice),
        }
    }

    fn command_line(&self, ctx: &ViewContext<'_>) -> Result<String, &'static str> {
        let trace = ctx.trace().ok_or("open a trace first")?;
        let choice = &ctx.state.choices.disciplines;
        let request = ctx.request();
        let line =
            |trace: &OpenTrace, metric: &str| command_line::measure(&trace.path, metric, request);
        Ok(match choice.tab {
            DisciplinesTab::Heatmap | DisciplinesTab::Ranking => {
                let pair = choice_row::Pair::of(trace, request, choice);
                let request = pair.request(request);
                command_line::measure(&trace.path, &choice.metric, &request)
            }
            DisciplinesTab::Distances => line(trace, &choice.distance),
            DisciplinesTab::Map => line(trace, "fingerprint_map"),
            DisciplinesTab::Layers => line(trace, &choice.layer_metric),
        })
    }

    fn is_busy(&self) -> bool {
        self.heat.is_busy() || self.distances.is_busy()
    }
}
