//! The part of a measurement that a figure draws: some axes kept, the others fixed to one index.

use moescope_core::{Axis, AxisKind, Measurement};

use crate::{FigureError, FigureOptions, page::group_title, text::clean};

/// What a figure needs to say about itself when a measurement does not fit it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// The figure's name.
    pub(crate) figure: &'static str,
    /// The axes that would do, in words.
    pub(crate) axes: &'static str,
}

/// A measurement seen through `N` of its axes.
#[derive(Clone, Debug)]
pub(crate) struct Slice<'m, const N: usize> {
    /// The measurement.
    pub(crate) measurement: &'m Measurement,
    /// The kept axes, in the order asked for.
    pub(crate) axes: [&'m Axis; N],
    strides: [usize; N],
    offset: usize,
    /// What the other axes were fixed to, in words, e.g. `layer 3`; axes of a single index are included.
    pub(crate) fixed: Vec<String>,
}

impl<const N: usize> Slice<'_, N> {
    /// The flat index of a multi-index over the kept axes.
    pub(crate) fn flat(&self, index: [usize; N]) -> usize {
        self.offset
            + index
                .iter()
                .zip(self.strides)
                .map(|(i, stride)| i * stride)
                .sum::<usize>()
    }

    /// The value at a multi-index over the kept axes.
    pub(crate) fn value(&self, index: [usize; N]) -> f64 {
        self.measurement.values[self.flat(index)]
    }

    /// The cleaned labels of a kept axis.
    pub(crate) fn labels(&self, axis: usize) -> Vec<String> {
        self.axes[axis].labels.iter().map(|l| clean(l)).collect()
    }
}

/// Keeps the axes `kinds` of a measurement and fixes every other axis by the options.
///
/// An axis with a single index needs no choice.
///
/// # Errors
/// When an option or the measurement is inconsistent, an option chooses from an axis that is not there; when the measurement lacks an axis, has an axis that no option fixes, or when an axis is empty.
pub(crate) fn slice<'m, const N: usize>(
    needs: Needs,
    measurement: &'m Measurement,
    kinds: [AxisKind; N],
    options: &FigureOptions,
) -> Result<Slice<'m, N>, FigureError> {
    options.check()?;
    measurement.check()?;
    for (kind, is_chosen) in [
        (AxisKind::Layer, options.layer.is_some()),
        (AxisKind::Group, options.group.is_some()),
        (AxisKind::Variant, options.variant.is_some()),
    ] {
        if is_chosen && !kinds.contains(&kind) && measurement.axis(kind).is_none() {
            return Err(FigureError::NothingToChoose {
                option: kind_in_words(kind),
                metric: clean(&measurement.metric),
                found: axes_in_words(measurement),
            });
        }
    }
    let wrong_axes = || FigureError::WrongAxes {
        figure: needs.figure,
        needed: needs.axes,
        metric: clean(&measurement.metric),
        found: axes_in_words(measurement),
    };
    let has_repeated_axis = measurement
        .axes
        .iter()
        .enumerate()
        .any(|(i, axis)| measurement.axes[..i].iter().any(|a| a.kind == axis.kind));
    if has_repeated_axis {
        return Err(wrong_axes());
    }
    if let Some(axis) = measurement.axes.iter().find(|axis| axis.is_empty()) {
        return Err(FigureError::Empty {
            figure: needs.figure,
            metric: clean(&measurement.metric),
            axis: kind_in_words(axis.kind).to_owned(),
        });
    }
    let strides = strides(measurement);
    let mut kept: [Option<(&Axis, usize)>; N] = [None; N];
    let mut offset = 0;
    let mut fixed = Vec::new();
    for (axis, stride) in measurement.axes.iter().zip(strides) {
        if let Some(place) = kinds.iter().position(|kind| *kind == axis.kind) {
            kept[place] = Some((axis, stride));
            continue;
        }
        let index = fixed_index(needs, axis, options)?.ok_or_else(wrong_axes)?;
        offset += index * stride;
        let label = clean(&axis.labels[index]);
        fixed.push(match axis.kind {
            AxisKind::Layer => format!("layer {label}"),
            AxisKind::Group => format!("{}: {label}", group_title(measurement)),
            kind => format!("{}: {label}", kind_in_words(kind)),
        });
    }
    if kept.iter().any(Option::is_none) {
        return Err(wrong_axes());
    }
    let kept = kept.map(|axis| axis.expect("every kind was found, checked above"));
    Ok(Slice {
        measurement,
        axes: kept.map(|(axis, _)| axis),
        strides: kept.map(|(_, stride)| stride),
        offset,
        fixed,
    })
}

/// The index that an axis is fixed to; `None` when no option fixes axes of its kind.
fn fixed_index(
    needs: Needs,
    axis: &Axis,
    options: &FigureOptions,
) -> Result<Option<usize>, FigureError> {
    let (option, choice) = match axis.kind {
        AxisKind::Layer => ("layer", options.layer.map(|layer| layer.to_string())),
        AxisKind::Group => ("group", options.group.clone()),
        AxisKind::GroupB => ("group_b", options.group_b.clone()),
        AxisKind::Variant => ("variant", options.variant.clone()),
        _ => return Ok((axis.len() == 1).then_some(0)),
    };
    match choice {
        Some(choice) => index_of(option, axis, &choice).map(Some),
        None if axis.len() == 1 => Ok(Some(0)),
        None => Err(FigureError::MissingChoice {
            figure: needs.figure,
            option,
            choices: choices(axis),
        }),
    }
}

/// The index of a label on an axis.
///
/// # Errors
/// Names the labels that there are.
pub(crate) fn index_of(
    option: &'static str,
    axis: &Axis,
    label: &str,
) -> Result<usize, FigureError> {
    axis.labels
        .iter()
        .position(|l| l == label)
        .ok_or_else(|| FigureError::UnknownChoice {
            option,
            found: clean(label),
            choices: choices(axis),
        })
}

/// The labels of an axis, the first twenty of them.
pub(crate) fn choices(axis: &Axis) -> String {
    let shown: Vec<String> = axis.labels.iter().take(20).map(|l| clean(l)).collect();
    let rest = axis.len().saturating_sub(shown.len());
    if rest == 0 {
        shown.join(", ")
    } else {
        format!("{} and {rest} more", shown.join(", "))
    }
}

/// The axes of a measurement in words, e.g. `layer (6) × expert (8)`.
pub(crate) fn axes_in_words(measurement: &Measurement) -> String {
    if measurement.axes.is_empty() {
        return "none (a single number)".to_owned();
    }
    let axes: Vec<String> = measurement
        .axes
        .iter()
        .map(|axis| format!("{} ({})", kind_in_words(axis.kind), axis.len()))
        .collect();
    axes.join(" × ")
}

/// The name of an axis in a sentence.
pub(crate) fn kind_in_words(kind: AxisKind) -> &'static str {
    match kind {
        AxisKind::Layer => "layer",
        AxisKind::Expert => "expert",
        AxisKind::ExpertB => "expert B",
        AxisKind::Group => "group",
        AxisKind::GroupB => "group B",
        AxisKind::Document => "document",
        AxisKind::Component => "component",
        AxisKind::Variant => "variant",
        AxisKind::Margin => "margin",
        AxisKind::ChangedLayers => "changed layers",
        AxisKind::LayerB => "layer B",
        AxisKind::Lag => "lag",
        AxisKind::Position => "position",
        AxisKind::Token => "token",
        AxisKind::Rank => "rank",
        AxisKind::Trace => "trace",
    }
}

fn strides(measurement: &Measurement) -> Vec<usize> {
    let mut strides = vec![1; measurement.axes.len()];
    for i in (1..measurement.axes.len()).rev() {
        strides[i - 1] = strides[i] * measurement.axes[i].len();
    }
    strides
}
