//! What stands beside a figure: everything that a reader must know to repeat and to doubt it.

use moescope_core::Measurement;

/// Everything that a reader must know to repeat and to doubt the figure.
#[must_use]
pub fn caption_of(measurement: &Measurement) -> String {
    let mut text = format!(
        "{} ({}).\n{}.\n",
        measurement.title,
        measurement.unit,
        measurement.protocol.line()
    );
    for note in &measurement.protocol.notes {
        text.push_str("Note: ");
        text.push_str(note);
        text.push('\n');
    }
    text
}

/// The same as a `\caption` for LaTeX, with the figure's own title where it has one.
///
/// Needs UTF-8, which LaTeX has read since 2018; signs of mathematics are written as such.
#[must_use]
pub fn latex_caption_of(measurement: &Measurement, title: Option<&str>) -> String {
    let title = title.unwrap_or(&measurement.title);
    let mut text = format!(
        "\\caption{{\\textbf{{{}.}} {}.\n",
        escaped(title.trim_end_matches('.')),
        escaped(&measurement.unit)
    );
    for sentence in std::iter::once(measurement.protocol.line().as_str())
        .chain(measurement.protocol.notes.iter().map(String::as_str))
    {
        text.push_str("  ");
        text.push_str(&escaped(&capitalized(sentence.trim_end_matches('.'))));
        text.push_str(".\n");
    }
    text.push_str("}\n");
    text
}

/// Text as LaTeX shows it, on one line.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\textbackslash{}"),
            '{' | '}' | '$' | '&' | '#' | '_' | '%' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '^' => escaped.push_str("\\textasciicircum{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '<' => escaped.push_str("\\textless{}"),
            '>' => escaped.push_str("\\textgreater{}"),
            '|' => escaped.push_str("\\textbar{}"),
            '"' => escaped.push_str("\\textquotedbl{}"),
            '−' => escaped.push_str("$-$"),
            '×' => escaped.push_str("$\\times$"),
            '≤' => escaped.push_str("$\\leq$"),
            '≥' => escaped.push_str("$\\geq$"),
            '·' => escaped.push_str("$\\cdot$"),
            '′' => escaped.push_str("$'$"),
            'Σ' => escaped.push_str("$\\Sigma$"),
            'β' => escaped.push_str("$\\beta$"),
            '∩' => escaped.push_str("$\\cap$"),
            '\u{a0}' => escaped.push('~'),
            '\u{202f}' | '\u{2009}' => escaped.push_str("\\,"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use moescope_core::Protocol;

    use super::*;

    #[test]
    fn latex_captions_have_no_sign_that_latex_would_read() {
        let measurement = Measurement {
            metric: "x".to_owned(),
            title: "Share & more".to_owned(),
            unit: "100 % of mean_prob".to_owned(),
            axes: vec![],
            values: vec![0.5],
            intervals: None,
            nulls: None,
            reference: None,
            protocol: Protocol {
                scope: "a\nb \\input{x}".to_owned(),
                notes: vec!["k ≥ 2 groups of #5.".to_owned()],
                ..Protocol::default()
            },
        };
        let caption = latex_caption_of(&measurement, None);
        assert!(
            caption.starts_with(
                "\\caption{\\textbf{Share \\& more.} 100 \\% of mean\\_prob.\n  Scope: a b \
                 \\textbackslash{}input\\{x\\}; by: ;"
            ),
            "{caption}"
        );
        assert!(
            caption.ends_with("  K $\\geq$ 2 groups of \\#5.\n}\n"),
            "{caption}"
        );
        assert!(latex_caption_of(&measurement, Some("Own.")).contains("\\textbf{Own.}"));
    }
}
