//! Information per layer, less what shuffled labels give.

use moescope_core::{AxisKind, Measurement};

use super::words::{bracket, interval};

/// The bias-corrected column of a measurement of information by layer.
pub(super) struct Corrected<'a> {
    measurement: &'a Measurement,
    layers: &'a [String],
    variants: usize,
    place: usize,
}

impl<'a> Corrected<'a> {
    /// `None` where the measurement has no such column.
    pub(super) fn of(measurement: &'a Measurement) -> Option<Self> {
        let (_, layers) = measurement.axis(AxisKind::Layer)?;
        let (_, variants) = measurement.axis(AxisKind::Variant)?;
        let place = variants
            .labels
            .iter()
            .position(|v| v.starts_with("minus_"))?;
        Some(Self {
            measurement,
            layers: &layers.labels,
            variants: variants.len(),
            place,
        })
    }

    fn cell(&self, layer: usize) -> usize {
        layer * self.variants + self.place
    }

    fn bits(&self, layer: usize) -> f64 {
        self.measurement.values[self.cell(layer)]
    }

    fn defined(&self) -> impl Iterator<Item = usize> {
        (0..self.layers.len()).filter(|layer| self.bits(*layer).is_finite())
    }

    /// Number of layers.
    pub(super) fn num_layers(&self) -> usize {
        self.layers.len()
    }

    /// The layer's name.
    pub(super) fn layer(&self, layer: usize) -> &str {
        &self.layers[layer]
    }

    /// The layer with the largest value.
    pub(super) fn strongest(&self) -> Option<usize> {
        self.defined()
            .max_by(|a, b| self.bits(*a).total_cmp(&self.bits(*b)))
    }

    /// The layer with the smallest value.
    pub(super) fn weakest(&self) -> Option<usize> {
        self.defined()
            .min_by(|a, b| self.bits(*a).total_cmp(&self.bits(*b)))
    }

    /// p corrected over layers, or as it is where it was not corrected.
    pub(super) fn q(&self, layer: usize) -> Option<f64> {
        let null = self.measurement.nulls.as_ref()?[self.cell(layer)]?;
        Some(null.p_corrected.unwrap_or(null.p))
    }

    /// The layers whose corrected p is below 5 %.
    pub(super) fn significant(&self) -> Vec<usize> {
        self.defined()
            .filter(|layer| self.q(*layer).is_some_and(|q| q < 0.05))
            .collect()
    }

    /// The value with its interval.
    pub(super) fn value(&self, layer: usize) -> String {
        format!(
            "{:.4} bits{}",
            self.bits(layer),
            bracket(interval(self.measurement, self.cell(layer)), |x| format!(
                "{x:.4}"
            ))
        )
    }

    /// Whether the interval of one layer lies above that of another.
    pub(super) fn lies_above(&self, high: usize, low: usize) -> Option<bool> {
        let high = interval(self.measurement, self.cell(high))?;
        let low = interval(self.measurement, self.cell(low))?;
        Some(high.low > low.high)
    }

    /// At how many layers labels make a difference, in words.
    pub(super) fn verdict(&self) -> String {
        let all = self.num_layers();
        if self.q(0).is_none() && self.significant().is_empty() {
            return "Not tested (no permutations were asked for)".to_owned();
        }
        match self.significant().len() {
            0 => "Not that this data could show".to_owned(),
            n if n == all => format!("Yes, at all {all} MoE layers"),
            n => format!("Yes, at {n} of {all} MoE layers"),
        }
    }
}
