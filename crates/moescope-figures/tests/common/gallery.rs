//! The figures of the gallery: every kind, of sizes that real models have.

use std::fmt::Write as _;

use moescope_core::Measurement;
use moescope_figures::{FigureOptions, Format, catalogue, draw};

use super::structures;

/// A figure of the gallery.
pub(crate) struct Shown {
    /// Its file, without the ending.
    pub(crate) name: &'static str,
    kind: &'static str,
    /// What the command's options would be.
    options: &'static str,
    measurement: Measurement,
    look: FigureOptions,
}

impl Shown {
    /// The drawing.
    pub(crate) fn svg(&self) -> Vec<u8> {
        self.as_format(Format::Svg)
    }

    /// The drawing in some format.
    pub(crate) fn as_format(&self, format: Format) -> Vec<u8> {
        draw(self.kind, &self.measurement, &self.look, format).expect("the fixture fits its figure")
    }
}

/// All figures, by kind.
#[expect(clippy::too_many_lines, reason = "a list of figures")]
pub(crate) fn figures() -> Vec<Shown> {
    let plain = FigureOptions::default;
    let shown = |kind, options, measurement, look| Shown {
        name: kind,
        kind,
        options,
        measurement,
        look,
    };
    let named = |name, of: Shown| Shown { name, ..of };
    vec![
        shown(
            "co_activation_matrix",
            "--layer 0",
            structures::co_activation(1, 24),
            FigureOptions {
                width_mm: 120.0,
                ..plain()
            },
        ),
        shown(
            "fingerprint_map",
            "--hulls --centroids",
            super::map(120, 8),
            FigureOptions {
                hulls: true,
                centroids: true,
                ..plain()
            },
        ),
        shown(
            "group_effects",
            "",
            structures::effects(5),
            FigureOptions {
                width_mm: 140.0,
                ..plain()
            },
        ),
        shown(
            "group_expert_heatmap",
            "--layer 0",
            super::shares(1, 15, 16),
            plain(),
        ),
        shown(
            "group_matrix",
            "--layer 0",
            structures::with_nulls(super::pairs(1, 10)),
            FigureOptions {
                width_mm: 140.0,
                ..plain()
            },
        ),
        shown(
            "lag_profile",
            "--layer 0",
            structures::lags(1, 3, 16),
            FigureOptions {
                width_mm: 140.0,
                ..plain()
            },
        ),
        shown(
            "layer_expert_heatmap",
            "--group physics --group-b law",
            super::shares(16, 15, 32),
            FigureOptions {
                group: Some("physics".into()),
                group_b: Some("law".into()),
                ..plain()
            },
        ),
        shown(
            "layer_flow",
            "--top 5",
            structures::transitions(7, 16),
            FigureOptions {
                top: Some(5),
                ..plain()
            },
        ),
        shown(
            "layer_series",
            "",
            super::series(16, 4),
            FigureOptions {
                width_mm: 140.0,
                ..plain()
            },
        ),
        named(
            "layer_series-highlight",
            shown(
                "layer_series",
                "--highlight law,code",
                super::series(16, 15),
                FigureOptions {
                    width_mm: 140.0,
                    highlight: vec!["law".into(), "code".into()],
                    ..plain()
                },
            ),
        ),
        shown(
            "lollipop",
            "--top 14",
            structures::with_nulls(super::shares(6, 8, 16)),
            FigureOptions {
                width_mm: 130.0,
                top: Some(14),
                ..plain()
            },
        ),
        shown(
            "margin_series",
            "",
            super::margins(),
            FigureOptions {
                width_mm: 120.0,
                ..plain()
            },
        ),
        shown(
            "position_profile",
            "--layer 0",
            structures::positions(1, 8, 16),
            plain(),
        ),
        shown(
            "reliability_curve",
            "",
            structures::reliability(),
            FigureOptions {
                width_mm: 100.0,
                ..plain()
            },
        ),
        shown(
            "saturation_curves",
            "",
            structures::saturation(16, 8),
            FigureOptions {
                width_mm: 140.0,
                ..plain()
            },
        ),
        shown("small_multiples", "", super::shares(6, 6, 8), plain()),
        named(
            "small_multiples-curves",
            shown("small_multiples", "", super::series(16, 8), plain()),
        ),
        shown(
            "vocabulary_table",
            "--layer 0 --top 6",
            structures::tokens(1, 8, 16),
            FigureOptions {
                top: Some(6),
                ..plain()
            },
        ),
    ]
}

/// The page that shows them.
pub(crate) fn page() -> String {
    let mut page = String::from(
        "# Gallery\n\n\
         <!-- Made by `cargo run --release -p moescope-figures --example gallery`; a test compares it. -->\n\n\
         Every kind of figure, drawn from made-up measurements of the sizes that real models have.\n\
         `moescope figure --list` lists the kinds with their options.\n\
         Every figure is SVG, PDF with real text and embedded fonts, or PNG, the same bytes on every machine.\n",
    );
    let figures = figures();
    for kind in catalogue() {
        let about = kind.about();
        let _ = write!(
            page,
            "\n## {}\n\n{}.\nDraws {}.\nNeeds the axes {}.\n",
            about.name, about.summary, about.metrics, about.axes
        );
        for shown in figures.iter().filter(|shown| shown.kind == about.name) {
            let options = match shown.options {
                "" => String::new(),
                options => format!(" {options}"),
            };
            // What lies along traces needs several.
            let traces = if about.axes.contains("× trace") {
                "step-1000 step-10000 final"
            } else {
                "my-trace"
            };
            let _ = write!(
                page,
                "\n`moescope figure {traces} {}{options} --out {}.pdf`\n\n![{}](gallery/{}.svg)\n",
                shown.kind, shown.name, about.summary, shown.name
            );
        }
    }
    page
}
