//! The figures of a comparison.

use std::path::{Path, PathBuf};

use moescope_core::{
    AxisKind::{self, Layer, Margin, Variant},
    Measurement,
};
use moescope_figures::{ColorScale, FigureOptions, Format};

use super::WeightComparison;
use crate::{
    error::PipelineError,
    figure::{kind, write_figure},
};

/// One of the figures.
struct Figure {
    kind: &'static str,
    axes: [AxisKind; 2],
    title: &'static str,
    /// What its file's name has besides.
    suffix: &'static str,
}

const FIGURES: [Figure; 2] = [
    Figure {
        kind: "layer_series",
        axes: [Layer, Variant],
        title: "Selections that differ from those with weights as stored",
        suffix: "",
    },
    Figure {
        kind: "margin_series",
        axes: [Margin, Variant],
        title: "Selections that differ from those with weights as stored, by margin",
        suffix: "-by-margin",
    },
];

/// Values further apart than this factor are unreadable beside one another on a linear axis.
const WIDEST_LINEAR: f64 = 10.0;

pub(super) fn write(found: &WeightComparison, out: &Path) -> Result<Vec<PathBuf>, PipelineError> {
    let format = Format::from_path(out)?;
    let mut written = Vec::new();
    for figure in FIGURES {
        let Some(measurement) = found.table("changed_selections", &figure.axes) else {
            // A model that leaves no expert out has no margins.
            continue;
        };
        let options = FigureOptions {
            title: Some(figure.title.to_owned()),
            scale: scale(measurement),
            ..FigureOptions::default()
        };
        let svg = kind(figure.kind)?.draw_svg(measurement, &options)?;
        let path = beside(out, figure.suffix);
        write_figure(&svg, format, &path, measurement, &options)?;
        written.push(path);
    }
    Ok(written)
}

/// A logarithmic axis for values that lie far apart, if none of them is 0.
fn scale(measurement: &Measurement) -> ColorScale {
    let values = || measurement.values.iter().copied();
    let (low, high) = (
        values().fold(f64::INFINITY, f64::min),
        values().fold(0.0, f64::max),
    );
    if low > 0.0 && high > WIDEST_LINEAR * low {
        ColorScale::Log
    } else {
        ColorScale::Linear
    }
}

/// `a/b.svg` → `a/b-by-margin.svg`.
pub(crate) fn beside(out: &Path, suffix: &str) -> PathBuf {
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    let extension = out.extension().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!("{stem}{suffix}.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_figure_stands_beside_the_first() {
        let path = beside(Path::new("a/b.c.pdf"), "-by-margin");
        assert_eq!(path, Path::new("a/b.c-by-margin.pdf"));
        assert_eq!(beside(Path::new("b.svg"), ""), Path::new("b.svg"));
    }
}
