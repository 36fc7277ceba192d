//! From a measurement to lines along one of its axes.

use moescope_core::{Axis, AxisKind, Measurement};

use super::{Chart, Explained, LineStyle, PointOfSeries, Series};
use crate::{
    FigureError, FigureOptions,
    page::{self, Words},
    palette::{self, Category},
    slice::{Needs, index_of, slice},
    text::clean,
};

/// What becomes of a measurement with several variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairing {
    /// Each is a line, or one must be chosen where there are several groups.
    None,
    /// Two of them are a solid and a dashed line in the colour of each group.
    SolidAndDashed,
}

/// Draws a line for each group or variant along an axis, with bands for the intervals.
///
/// # Errors
/// As [`FigureKind::draw_svg`](crate::FigureKind::draw_svg).
pub(crate) fn draw_along(
    needs: Needs,
    along: (AxisKind, &str),
    pairing: Pairing,
    measurement: &Measurement,
    options: &FigureOptions,
) -> Result<String, FigureError> {
    let many = |kind: AxisKind| measurement.axis(kind).filter(|(_, axis)| axis.len() > 1);
    let has_groups = many(AxisKind::Group).is_some() && options.group.is_none();
    let variants = many(AxisKind::Variant).filter(|_| options.variant.is_none());
    let mut explained = Explained::default();
    let lines = match variants {
        Some((_, axis)) if pairing == Pairing::SolidAndDashed && pair_of(axis).is_some() => {
            let pair = pair_of(axis).unwrap_or_default();
            let [solid, dashed] = pair.map(|i| clean(&axis.labels[i]));
            explained.solid_and_dashed = Some((solid, dashed));
            paired(needs, along.0, (has_groups, pair), measurement, options)?
        }
        _ if has_groups => named(needs, [along.0, AxisKind::Group], measurement, options)?,
        Some(_) => named(needs, [along.0, AxisKind::Variant], measurement, options)?,
        None => single(needs, along.0, measurement, options)?,
    };
    let series = highlighted(measurement, options, lines.series, &mut explained)?;
    let places = (lines.places, along.1);
    Chart::new(measurement, options, places, series, explained).draw(
        measurement,
        options,
        &lines.subtitle,
        &[],
    )
}

/// Lines of a measurement with what they have in common.
struct Lines {
    places: Vec<String>,
    series: Vec<Series>,
    subtitle: Vec<String>,
}

/// One line without a name.
fn single(
    needs: Needs,
    along: AxisKind,
    measurement: &Measurement,
    options: &FigureOptions,
) -> Result<Lines, FigureError> {
    let slice = slice(needs, measurement, [along], options)?;
    let series = vec![Series {
        name: String::new(),
        look: palette::category(0),
        style: LineStyle::Marked,
        points: (0..slice.axes[0].len())
            .map(|place| point(measurement, slice.flat([place])))
            .collect(),
    }];
    Ok(Lines {
        places: slice.labels(0),
        series,
        subtitle: slice.fixed,
    })
}

/// A line for each label of the second axis.
fn named(
    needs: Needs,
    kinds: [AxisKind; 2],
    measurement: &Measurement,
    options: &FigureOptions,
) -> Result<Lines, FigureError> {
    let slice = slice(needs, measurement, kinds, options)?;
    let names = slice.labels(1);
    let series = names
        .iter()
        .zip(looks(&names))
        .enumerate()
        .map(|(i, (name, look))| Series {
            name: name.clone(),
            look,
            style: LineStyle::Marked,
            points: (0..slice.axes[0].len())
                .map(|place| point(measurement, slice.flat([place, i])))
                .collect(),
        })
        .collect();
    Ok(Lines {
        places: slice.labels(0),
        series,
        subtitle: slice.fixed,
    })
}

/// A solid and a dashed line for each group, or for all together.
fn paired(
    needs: Needs,
    along: AxisKind,
    (has_groups, pair): (bool, [usize; 2]),
    measurement: &Measurement,
    options: &FigureOptions,
) -> Result<Lines, FigureError> {
    let (places, names, flat, subtitle): (_, _, Vec<Vec<[usize; 2]>>, _) = if has_groups {
        let kinds = [along, AxisKind::Group, AxisKind::Variant];
        let slice = slice(needs, measurement, kinds, options)?;
        let flat = (0..slice.axes[1].len()).map(|group| {
            let places = 0..slice.axes[0].len();
            let both = |place| pair.map(|variant| slice.flat([place, group, variant]));
            places.map(both).collect()
        });
        (
            slice.labels(0),
            slice.labels(1),
            flat.collect(),
            slice.fixed.clone(),
        )
    } else {
        let slice = slice(needs, measurement, [along, AxisKind::Variant], options)?;
        let places = 0..slice.axes[0].len();
        let both = |place| pair.map(|variant| slice.flat([place, variant]));
        let flat = vec![places.map(both).collect()];
        (
            slice.labels(0),
            vec![String::new()],
            flat,
            slice.fixed.clone(),
        )
    };
    let looks = looks(&names);
    let mut series = Vec::new();
    for (variant, style) in [LineStyle::Marked, LineStyle::Dashed]
        .into_iter()
        .enumerate()
    {
        for ((name, look), flat) in names.iter().zip(&looks).zip(&flat) {
            series.push(Series {
                name: name.clone(),
                look: *look,
                style,
                // The dashed line is what the null expects: its mean would be drawn twice.
                points: flat
                    .iter()
                    .map(|both| PointOfSeries {
                        null_mean: None,
                        ..point(measurement, both[variant])
                    })
                    .collect(),
            });
        }
    }
    Ok(Lines {
        places,
        series,
        subtitle,
    })
}

/// The two variants that belong together: the only two, or the first `observed` one with its `shuffled` one.
fn pair_of(variants: &Axis) -> Option<[usize; 2]> {
    if variants.len() == 2 {
        return Some([0, 1]);
    }
    let observed = variants
        .labels
        .iter()
        .position(|l| l.ends_with("observed"))?;
    let stem = variants.labels[observed].strip_suffix("observed")?;
    let shuffled = format!("{stem}shuffled");
    let other = variants.labels.iter().position(|l| *l == shuffled)?;
    Some([observed, other])
}

/// The value at a flat index with its interval and the mean of its null.
pub(crate) fn point(measurement: &Measurement, flat: usize) -> PointOfSeries {
    PointOfSeries {
        value: measurement.values[flat],
        interval: measurement.intervals.as_ref().and_then(|all| all[flat]),
        null_mean: measurement
            .nulls
            .as_ref()
            .and_then(|all| all[flat])
            .map(|null| null.null_mean),
    }
}

/// The look of each of some groups or variants.
fn looks(names: &[String]) -> Vec<Category> {
    let labels: Vec<&str> = names.iter().map(String::as_str).collect();
    palette::categories(&labels)
}

/// Makes every line grey that is not among those that shall stand out.
fn highlighted(
    measurement: &Measurement,
    options: &FigureOptions,
    mut series: Vec<Series>,
    explained: &mut Explained,
) -> Result<Vec<Series>, FigureError> {
    if options.highlight.is_empty() {
        return Ok(series);
    }
    let Some((_, groups)) = measurement.axis(AxisKind::Group) else {
        return Err(FigureError::NothingToChoose {
            option: "group",
            metric: clean(&measurement.metric),
            found: crate::slice::axes_in_words(measurement),
        });
    };
    for wanted in &options.highlight {
        index_of("highlight", groups, wanted)?;
    }
    let wanted: Vec<String> = options.highlight.iter().map(|label| clean(label)).collect();
    series.retain_mut(|line| {
        if wanted.contains(&line.name) {
            return true;
        }
        let is_kept = line.style != LineStyle::Dashed;
        line.style = LineStyle::Context;
        is_kept
    });
    let others = series
        .iter()
        .filter(|line| line.style == LineStyle::Context)
        .count();
    if others > 0 {
        let group = page::group_title(measurement).to_lowercase();
        explained.context = Some(format!("the other {others} by {group}"));
    }
    Ok(series)
}

impl Chart {
    /// Draws the chart as a whole figure.
    ///
    /// # Errors
    /// A chosen height that is too small, and failures of the backend.
    pub(crate) fn draw(
        &self,
        measurement: &Measurement,
        options: &FigureOptions,
        subtitle: &[String],
        remarks: &[String],
    ) -> Result<String, FigureError> {
        let mut all = remarks.to_vec();
        all.extend(self.remarks());
        let words = Words::new(measurement, options, subtitle, &all, self.drawn());
        let natural = self.natural_height(options);
        page::compose(&words, options, (natural, 18.0), |canvas, top, height| {
            self.paint(canvas, options, top, height)
        })
    }
}
