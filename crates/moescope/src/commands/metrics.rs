//! `metrics`: the catalogue.

use clap::Args;
use moescope_analytics::{About, catalogue, find};
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

pub(crate) fn run(args: &MetricsArgs) -> anyhow::Result<Outcome> {
    let chosen: Vec<About> = match &args.name {
        Some(name) => vec![find(name)?.about()],
        None => catalogue().iter().map(|metric| metric.about()).collect(),
    };
    if args.json {
        for about in &chosen {
            let inputs: Vec<&str> = about.inputs.iter().map(|input| input.as_str()).collect();
            output::json(&json!({
                "name": about.name, "title": about.title, "formula": about.formula, "unit": about.unit,
                "range": about.range, "edge_cases": about.edge_cases, "uncertainty": about.uncertainty,
                "source": about.citation, "reads": inputs, "axes": about.axes,
            }))?;
        }
    } else if args.name.is_some() {
        let about = &chosen[0];
        output::pairs(&[
            ("name", about.name.to_owned()),
            ("title", about.title.to_owned()),
            ("formula", about.formula.to_owned()),
            ("unit", about.unit.to_owned()),
            ("range", about.range.to_owned()),
            ("edge cases", about.edge_cases.to_owned()),
            ("uncertainty", about.uncertainty.to_owned()),
            ("source", about.citation.to_owned()),
        ])?;
    } else {
        let rows: Vec<Vec<String>> = chosen
            .iter()
            .map(|about| {
                vec![
                    about.name.to_owned(),
                    about.unit.to_owned(),
                    about.title.to_owned(),
                ]
            })
            .collect();
        output::table(&["name", "unit", "what"], &rows)?;
    }
    Ok(Outcome::Success)
}
