//! The list of metrics, and the page about them.

use std::fmt::Write as _;

use moescope_core::{AxisKind, near_names};

use crate::{
    About, AnalyticsError, Metric, TraceSetMetric, metrics::METRICS,
    metrics_of_traces::METRICS_OF_TRACES,
};

/// Every metric, in the order of `docs/METRICS.md`.
#[must_use]
pub fn catalogue() -> &'static [&'static dyn Metric] {
    METRICS
}

/// Every metric that compares traces, in the order of `docs/METRICS.md`.
#[must_use]
pub fn catalogue_of_traces() -> &'static [&'static dyn TraceSetMetric] {
    METRICS_OF_TRACES
}

/// The metric of a name.
///
/// # Errors
/// Names the nearest metrics when there is none of that name, and the other verb when it compares traces.
///
/// ```
/// let metric = moescope_analytics::find("jsd")?;
/// assert_eq!(metric.about().unit, "bits");
/// assert!(moescope_analytics::find("jds").is_err_and(|e| e.to_string().contains("'jsd'")));
/// # Ok::<(), moescope_analytics::AnalyticsError>(())
/// ```
pub fn find(name: &str) -> Result<&'static dyn Metric, AnalyticsError> {
    METRICS
        .iter()
        .copied()
        .find(|metric| metric.about().name == name)
        .ok_or_else(|| {
            if METRICS_OF_TRACES.iter().any(|m| m.about().name == name) {
                AnalyticsError::OtherVerb {
                    name: name.to_owned(),
                    what: "compares traces",
                    command: format!("moescope compare A B {name}"),
                }
            } else {
                unknown(name)
            }
        })
}

/// The metric of a name that compares traces.
///
/// # Errors
/// Names the nearest metrics when there is none of that name.
pub fn find_comparison(name: &str) -> Result<&'static dyn TraceSetMetric, AnalyticsError> {
    METRICS_OF_TRACES
        .iter()
        .copied()
        .find(|metric| metric.about().name == name)
        .ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> AnalyticsError {
    AnalyticsError::UnknownMetric {
        name: name.to_owned(),
        suggestion: suggestion(name),
    }
}

/// The page `docs/METRICS.md`, which a test holds equal to this.
#[must_use]
pub fn metrics_markdown() -> String {
    let mut page = String::from(include_str!("catalogue/head.md"));
    let metrics: Vec<About> = METRICS.iter().map(|metric| metric.about()).collect();
    let of_traces: Vec<About> = METRICS_OF_TRACES.iter().map(|m| m.about()).collect();
    page.push_str("\n## The metrics\n\n");
    write_index(&mut page, &metrics);
    page.push_str("\n## Metrics that compare traces\n\n");
    page.push_str(include_str!("catalogue/comparing.md"));
    page.push('\n');
    write_index(&mut page, &of_traces);
    page.push_str("\n## Numbers of a text that is being written\n\n");
    page.push_str(include_str!("catalogue/live.md"));
    page.push_str("\n## Definitions\n");
    for about in metrics.iter().chain(&of_traces) {
        write_entry(&mut page, about);
    }
    page
}

fn write_index(page: &mut String, abouts: &[About]) {
    page.push_str("| metric | unit | reads | axes |\n|---|---|---|---|\n");
    let cell = |text: &str| text.replace('|', "\\|");
    for about in abouts {
        let inputs: Vec<&str> = about.inputs.iter().map(|input| input.as_str()).collect();
        let axes: Vec<&str> = about.axes.iter().map(|axis| axis_word(*axis)).collect();
        _ = writeln!(
            page,
            "| [`{0}`](#{0}) | {1} | {2} | {3} |",
            about.name,
            cell(about.unit),
            inputs.join(", "),
            axes.join(" × ")
        );
    }
}

fn write_entry(page: &mut String, about: &About) {
    _ = write!(
        page,
        "\n### {}\n\n{}.\n\n- **Formula**: {}\n- **Unit**: {}\n- **Range**: {}\n- **Edge cases**: {}\n- **Uncertainty**: {}\n- **Source**: {}\n",
        about.name,
        about.title,
        about.formula,
        about.unit,
        about.range,
        sentences(about.edge_cases),
        sentences(about.uncertainty),
        about.citation,
    );
}

/// One sentence per line, as all our Markdown.
fn sentences(text: &str) -> String {
    text.replace(". ", ".\n  ")
}

fn axis_word(kind: AxisKind) -> &'static str {
    match kind {
        AxisKind::Layer => "layer",
        AxisKind::Expert => "expert",
        AxisKind::ExpertB => "second expert",
        AxisKind::Group => "label",
        AxisKind::GroupB => "second label",
        AxisKind::Document => "document",
        AxisKind::Component => "component",
        AxisKind::Variant => "variant",
        AxisKind::Margin => "margin",
        AxisKind::ChangedLayers => "changed layers",
        AxisKind::LayerB => "second layer",
        AxisKind::Lag => "lag",
        AxisKind::Position => "position",
        AxisKind::Token => "token",
        AxisKind::Rank => "rank",
        AxisKind::Trace => "trace",
    }
}

/// The names of all metrics.
fn names() -> impl Iterator<Item = &'static str> {
    let of_traces = METRICS_OF_TRACES.iter().map(|metric| metric.about().name);
    METRICS
        .iter()
        .map(|metric| metric.about().name)
        .chain(of_traces)
}

/// Near names, or where the list is.
fn suggestion(name: &str) -> String {
    let known: Vec<&str> = names().collect();
    near_names(name, &known).map_or_else(
        || "`moescope metrics` lists all".to_owned(),
        |near| format!("did you mean {near}?"),
    )
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// The files of a folder of metrics.
    fn files(folder: &str) -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src")
            .join(folder);
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "rs"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .filter(|name| name != "mod")
            .collect()
    }

    #[test]
    fn every_metric_file_is_in_its_list_and_named_after_its_metric() {
        let listed: BTreeSet<String> = METRICS.iter().map(|m| m.about().name.to_owned()).collect();
        assert_eq!(files("metrics"), listed);
        let of_traces = METRICS_OF_TRACES.iter().map(|m| m.about().name.to_owned());
        let of_traces: BTreeSet<String> = of_traces.collect();
        assert_eq!(files("metrics_of_traces"), of_traces);
        let unique: BTreeSet<&str> = names().collect();
        assert_eq!(
            unique.len(),
            METRICS.len() + METRICS_OF_TRACES.len(),
            "names are unique"
        );
    }

    #[test]
    fn every_description_is_complete() {
        let of_traces = METRICS_OF_TRACES.iter().map(|metric| metric.about());
        for about in METRICS.iter().map(|metric| metric.about()).chain(of_traces) {
            for text in [
                about.title,
                about.formula,
                about.unit,
                about.range,
                about.edge_cases,
                about.uncertainty,
                about.citation,
            ] {
                assert!(!text.trim().is_empty(), "{}", about.name);
                assert!(!text.contains('\n'), "{}: one line", about.name);
            }
            assert!(
                !about.inputs.is_empty() && !about.axes.is_empty(),
                "{}",
                about.name
            );
        }
    }

    #[test]
    fn a_metric_of_several_traces_says_which_verb_takes_it() {
        let error = find("router_saturation").err().unwrap().to_string();
        assert_eq!(
            error,
            "router_saturation compares traces: `moescope compare A B router_saturation`"
        );
        assert!(find_comparison("router_saturation").is_ok());
        let error = find_comparison("router_saturatoin").err().unwrap();
        assert!(error.to_string().contains("'router_saturation'"));
    }

    #[test]
    fn the_page_about_metrics_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/METRICS.md");
        let page = metrics_markdown();
        if std::env::var_os("MOESCOPE_UPDATE_GOLDEN").is_some() {
            fs::write(&path, &page).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == page,
            "docs/METRICS.md is not what the catalogue says; run this test with MOESCOPE_UPDATE_GOLDEN=1"
        );
    }

    #[test]
    fn unknown_names_suggest_near_ones() {
        let error = |name: &str| find(name).err().unwrap().to_string();
        assert!(error("load_entrop").contains("'load_entropy'"));
        assert!(error("repetition").contains("'first_choice_repetition'"));
        assert!(error("zzzzzzzzzzzzzzz").contains("lists all"));
        assert!(error(&"x".repeat(100_000)).contains("lists all"));
    }
}
