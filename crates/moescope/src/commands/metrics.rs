//! `metrics`: the catalogue.

use clap::Args;
use moescope_analytics::{About, catalogue, catalogue_of_traces, find, find_comparison};
use serde_json::json;

use crate::{exit::Outcome, output};

/// List the metrics, or describe one of them
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  moescope metrics
  moescope metrics mutual_information")]
pub(crate) struct MetricsArgs {
    /// The metric to describe
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// A metric, and which verb takes it.
struct Entry {
    about: About,
    compares_traces: bool,
}

impl Entry {
    fn of_trace(about: About) -> Self {
        Self {
            about,
            compares_traces: false,
        }
    }

    fn of_traces(about: About) -> Self {
        Self {
            about,
            compares_traces: true,
        }
    }

    /// How it is called.
    fn command(&self) -> String {
        let name = self.about.name;
        if self.compares_traces {
            format!("moescope compare A B {name}")
        } else {
            format!("moescope measure TRACE {name}")
        }
    }
}

pub(crate) fn run(args: &MetricsArgs) -> anyhow::Result<Outcome> {
    let chosen: Vec<Entry> = if let Some(name) = &args.name {
        vec![if let Ok(metric) = find_comparison(name) {
            Entry::of_traces(metric.about())
        } else {
            Entry::of_trace(find(name)?.about())
        }]
    } else {
        let of_trace = catalogue().iter().map(|m| Entry::of_trace(m.about()));
        let of_traces = catalogue_of_traces()
            .iter()
            .map(|m| Entry::of_traces(m.about()));
        of_trace.chain(of_traces).collect()
    };
    if args.json {
        for entry in &chosen {
            let about = &entry.about;
            let inputs: Vec<&str> = about.inputs.iter().map(|input| input.as_str()).collect();
            output::json(&json!({
                "name": about.name, "title": about.title, "formula": about.formula, "unit": about.unit,
                "range": about.range, "edge_cases": about.edge_cases, "uncertainty": about.uncertainty,
                "source": about.citation, "reads": inputs, "axes": about.axes,
                "compares_traces": entry.compares_traces, "command": entry.command(),
            }))?;
        }
    } else if args.name.is_some() {
        let about = &chosen[0].about;
        output::pairs(&[
            ("name", about.name.to_owned()),
            ("title", about.title.to_owned()),
            ("formula", about.formula.to_owned()),
            ("unit", about.unit.to_owned()),
            ("range", about.range.to_owned()),
            ("edge cases", about.edge_cases.to_owned()),
            ("uncertainty", about.uncertainty.to_owned()),
            ("source", about.citation.to_owned()),
            ("command", chosen[0].command()),
        ])?;
    } else {
        let row = |entry: &Entry| {
            let about = &entry.about;
            [about.name, about.unit, about.title]
                .map(str::to_owned)
                .to_vec()
        };
        let rows = |compares_traces: bool| -> Vec<Vec<String>> {
            let own = chosen
                .iter()
                .filter(|entry| entry.compares_traces == compares_traces);
            own.map(row).collect()
        };
        output::table(&["name", "unit", "what"], &rows(false))?;
        output::line("\nof several traces (moescope compare A B NAME):")?;
        output::table(&["name", "unit", "what"], &rows(true))?;
    }
    Ok(Outcome::Success)
}
