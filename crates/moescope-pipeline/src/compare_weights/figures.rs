//! The figures of a comparison.

use std::path::{Path, PathBuf};

use moescope_core::AxisKind::{self, Layer, Margin, Variant};
use moescope_figures::{FigureOptions, Format};

use super::WeightComparison;
use crate::{
    error::PipelineError,
    figure::{kind, write_figure},
};

/// Kind and axes of each figure, and what its file's name has besides.
const FIGURES: [(&str, [AxisKind; 2], &str); 2] = [
    ("layer_series", [Layer, Variant], ""),
    ("margin_series", [Margin, Variant], "-by-margin"),
];

pub(super) fn write(found: &WeightComparison, out: &Path) -> Result<Vec<PathBuf>, PipelineError> {
    let format = Format::from_path(out)?;
    let mut written = Vec::new();
    for (kind_name, axes, suffix) in FIGURES {
        let Some(measurement) = found.table("changed_selections", &axes) else {
            // A model that leaves no expert out has no margins.
            continue;
        };
        let options = FigureOptions::default();
        let svg = kind(kind_name)?.draw_svg(measurement, &options)?;
        let path = beside(out, suffix);
        write_figure(&svg, format, &path, measurement, &options)?;
        written.push(path);
    }
    Ok(written)
}

/// `a/b.svg` → `a/b-by-margin.svg`.
fn beside(out: &Path, suffix: &str) -> PathBuf {
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
