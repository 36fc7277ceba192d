//! The list of metrics, and the page about them.

use std::fmt::Write as _;

use moescope_core::AxisKind;

use crate::{AnalyticsError, Metric, metrics::METRICS};

/// Every metric, in the order of `docs/METRICS.md`.
#[must_use]
pub fn catalogue() -> &'static [&'static dyn Metric] {
    METRICS
}

/// The metric of a name.
///
/// # Errors
/// Names the nearest metrics when there is none of that name.
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
        .ok_or_else(|| AnalyticsError::UnknownMetric {
            name: name.to_owned(),
            suggestion: suggestion(name),
        })
}

/// The page `docs/METRICS.md`, which a test holds equal to this.
#[must_use]
pub fn metrics_markdown() -> String {
    let mut page = String::from(include_str!("catalogue/head.md"));
    page.push_str("\n## The metrics\n\n| metric | unit | reads | axes |\n|---|---|---|---|\n");
    let cell = |text: &str| text.replace('|', "\\|");
    for about in METRICS.iter().map(|metric| metric.about()) {
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
    for about in METRICS.iter().map(|metric| metric.about()) {
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
    page
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

/// Near names, nearest first, or where the list is.
fn suggestion(name: &str) -> String {
    let mut near: Vec<(usize, &str)> = METRICS
        .iter()
        .map(|metric| metric.about().name)
        .map(|known| (distance(name, known), known))
        .filter(|(distance, known)| {
            *distance <= 2.max(known.len() / 3) || (name.len() > 2 && known.contains(name))
        })
        .collect();
    near.sort_unstable();
    let near: Vec<String> = near
        .iter()
        .take(3)
        .map(|(_, known)| format!("'{known}'"))
        .collect();
    if near.is_empty() {
        "`moescope metrics` lists all".to_owned()
    } else {
        format!("did you mean {}?", near.join(" or "))
    }
}

/// Levenshtein's distance with swaps of neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    // A name that long resembles none of ours, and the table below would only cost memory.
    const LONGEST: usize = 64;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().max(b.len()) > LONGEST {
        return usize::MAX;
    }
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = usize::from(a[i - 1] != b[j - 1]);
                let mut best = (table[i - 1][j - 1] + change)
                    .min(table[i - 1][j] + 1)
                    .min(table[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(table[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    table[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_metric_file_is_in_the_list_and_named_after_its_metric() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/metrics");
        let files: BTreeSet<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "rs"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .filter(|name| name != "mod")
            .collect();
        let listed: BTreeSet<String> = METRICS.iter().map(|m| m.about().name.to_owned()).collect();
        assert_eq!(files, listed);
        assert_eq!(listed.len(), METRICS.len(), "names are unique");
    }

    #[test]
    fn every_description_is_complete() {
        for about in METRICS.iter().map(|metric| metric.about()) {
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
