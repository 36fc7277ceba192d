//! From a value to a colour, and to a place on the colour bar.

use crate::{
    FigureOptions,
    options::ColorScale,
    palette::{self, BELOW_LOG, Rgb, UNDEFINED},
    ticks::{self, Tick},
};

/// How one figure's values become colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValueScale {
    /// Value of the palette's first colour.
    low: f64,
    /// Value of the palette's last colour.
    high: f64,
    /// The part of `low..high` that values can take, which is what the colour bar shows.
    shown: (f64, f64),
    mapping: Mapping,
    /// Whether some values are zero or less on a logarithmic scale.
    has_below: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mapping {
    Linear,
    Logarithmic,
    Diverging,
    /// Diverging in the logarithm, for ratios: half and double are equally far from the centre.
    Ratio,
}

impl ValueScale {
    /// The scale that suits some values; `center` is what a diverging scale is symmetric about, and `is_centred`
    /// says whether [`ColorScale::Auto`] should diverge.
    #[must_use]
    pub fn new(values: &[f64], options: &FigureOptions, center: f64, is_centred: bool) -> Self {
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        let least = finite().fold(f64::INFINITY, f64::min);
        let most = finite().fold(f64::NEG_INFINITY, f64::max);
        let (least, most) = if least > most {
            (0.0, 1.0)
        } else {
            (least, most)
        };
        let mapping = match options.scale {
            ColorScale::Symmetric => Mapping::Diverging,
            ColorScale::Auto if is_centred => Mapping::Diverging,
            ColorScale::Log if finite().any(|v| v > 0.0) => Mapping::Logarithmic,
            _ => Mapping::Linear,
        };
        let (low, high) = match (options.limits, mapping) {
            (Some([low, high]), Mapping::Diverging) => {
                let reach = (high - center).abs().max((low - center).abs());
                (center - reach, center + reach)
            }
            (Some([low, high]), Mapping::Logarithmic) if low > 0.0 => (low, high),
            (Some([low, high]), Mapping::Linear) => (low, high),
            // A scale of ratios is made by `of_ratios`.
            (_, Mapping::Diverging | Mapping::Ratio) => {
                let reach = (most - center).abs().max((least - center).abs());
                let reach = if reach > 0.0 { reach } else { widened(center) };
                (center - reach, center + reach)
            }
            (_, Mapping::Logarithmic) => {
                let positive = finite().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
                if positive < most {
                    (positive, most)
                } else {
                    (most / 2.0, most * 2.0)
                }
            }
            // A scale of ratios is made by [`Self::of_ratios`] alone.
            (_, Mapping::Linear) => {
                // Shares and counts start at zero, unless all of them lie far from it.
                let low = if least >= 0.0 && least <= 0.5 * most {
                    0.0
                } else {
                    least
                };
                if low < most {
                    (low, most)
                } else {
                    (low - widened(low), most + widened(most))
                }
            }
        };
        let shown = if mapping == Mapping::Diverging && least >= 0.0 {
            (low.max(0.0), high)
        } else {
            (low, high)
        };
        Self {
            low,
            high,
            shown,
            mapping,
            has_below: mapping == Mapping::Logarithmic && finite().any(|v| v <= 0.0),
        }
    }

    /// The scale of ratios to a positive `center` (1 for a lift): diverging in the logarithm, unless another scale was
    /// asked for.
    ///
    /// The largest ratio above the centre sets its reach, at least a factor of two: ratios near zero, which are common
    /// where pairs never meet, would otherwise take all the colours.
    #[must_use]
    pub fn of_ratios(values: &[f64], options: &FigureOptions, center: f64) -> Self {
        if options.scale != ColorScale::Auto || center <= 0.0 {
            return Self::new(values, options, center, false);
        }
        let most = values
            .iter()
            .copied()
            .filter(|v| v.is_finite())
            .fold(0.0, f64::max);
        let reach = match options.limits {
            Some([low, high]) if low > 0.0 => (high / center).max(center / low),
            Some([_, high]) => high / center,
            None => most / center,
        };
        let reach = if reach.is_finite() {
            reach.max(2.0)
        } else {
            1e3
        };
        let (low, high) = (center / reach, center * reach);
        Self {
            low,
            high,
            shown: (low, high),
            mapping: Mapping::Ratio,
            has_below: values.iter().any(|v| v.is_finite() && *v <= 0.0),
        }
    }

    /// How many positive values lie below a scale of ratios and have its lowest colour; with that value.
    pub(crate) fn faded(&self, values: &[f64]) -> Option<(usize, f64)> {
        let below = values
            .iter()
            .filter(|v| **v > 0.0 && **v < self.low)
            .count();
        (self.mapping == Mapping::Ratio && below > 0).then_some((below, self.low))
    }

    /// Where a value stands among the colours, 0 to 1; NaN where it is not defined.
    pub(crate) fn share(&self, value: f64) -> f64 {
        if !value.is_finite() {
            return f64::NAN;
        }
        let place = self.place(value, self.low, self.high);
        // The logarithm of nothing lies below every scale.
        if place.is_nan() {
            0.0
        } else {
            place.clamp(0.0, 1.0)
        }
    }

    /// The colour of a value.
    #[must_use]
    pub fn color(&self, value: f64) -> Rgb {
        if !value.is_finite() {
            return UNDEFINED;
        }
        if matches!(self.mapping, Mapping::Logarithmic | Mapping::Ratio) && value <= 0.0 {
            return BELOW_LOG;
        }
        // 256 levels: neighbouring cells of one level become one rectangle. Rounding to a billionth first keeps a
        // last-bit difference between mathematics libraries from moving a value across a level.
        let t = (self.place(value, self.low, self.high) * 1e9).round() / 1e9;
        let level = (t.clamp(0.0, 1.0) * 255.0).round() / 255.0;
        match self.mapping {
            Mapping::Diverging | Mapping::Ratio => palette::diverging(level),
            Mapping::Linear | Mapping::Logarithmic => palette::sequential(level),
        }
    }

    /// Where a value lies on the colour bar, 0 to 1, if it lies on it.
    #[must_use]
    pub fn place_on_bar(&self, value: f64) -> Option<f64> {
        let place = self.place(value, self.shown.0, self.shown.1);
        (place.is_finite() && (-1e-6..=1.000_001).contains(&place)).then(|| place.clamp(0.0, 1.0))
    }

    /// The colour at a place of the colour bar.
    #[must_use]
    pub fn color_on_bar(&self, place: f64) -> Rgb {
        let (low, high) = self.shown;
        let value = match self.mapping {
            Mapping::Logarithmic => {
                return palette::sequential(place);
            }
            Mapping::Ratio => return palette::diverging(place),
            Mapping::Linear | Mapping::Diverging => low + (high - low) * place,
        };
        self.color(value)
    }

    /// Ticks for the colour bar.
    #[must_use]
    pub fn ticks(&self, wanted: usize) -> Vec<Tick> {
        let (low, high) = self.shown;
        match self.mapping {
            Mapping::Logarithmic | Mapping::Ratio => ticks::logarithmic(low, high, wanted),
            Mapping::Linear | Mapping::Diverging => ticks::linear(low, high, wanted),
        }
    }

    /// Whether some values are zero or less although the scale is logarithmic.
    #[must_use]
    pub fn has_below(&self) -> bool {
        self.has_below
    }

    fn place(&self, value: f64, low: f64, high: f64) -> f64 {
        match self.mapping {
            Mapping::Logarithmic | Mapping::Ratio => {
                (value.ln() - low.ln()) / (high.ln() - low.ln())
            }
            // Halved first, so that the span of huge values stays finite.
            Mapping::Linear | Mapping::Diverging => {
                (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)
            }
        }
    }
}

/// Half the width of a scale on which all values are equal.
fn widened(value: f64) -> f64 {
    if value == 0.0 { 1.0 } else { value.abs() * 0.1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale_of(values: &[f64], scale: ColorScale, center: f64) -> ValueScale {
        let options = FigureOptions {
            scale,
            ..FigureOptions::default()
        };
        ValueScale::new(values, &options, center, false)
    }

    #[test]
    fn symmetric_scale_puts_its_centre_in_the_middle() {
        let scale = scale_of(&[-0.1, 0.4], ColorScale::Symmetric, 0.0);
        assert_eq!(scale.color(0.0), palette::diverging(0.5 + 0.5 / 255.0));
        assert_eq!(scale.color(0.4), palette::diverging(1.0));
        // −0.1 is an eighth of the way from −0.4 … 0.4 below the middle: (0.3/0.8) = 0.375 → level 96/255.
        assert_eq!(scale.color(-0.1), palette::diverging(96.0 / 255.0));
    }

    #[test]
    fn the_bar_of_shares_does_not_show_negative_values() {
        let scale = scale_of(&[0.05, 0.5], ColorScale::Symmetric, 0.125);
        assert_eq!(scale.place_on_bar(0.0), Some(0.0));
        assert_eq!(scale.place_on_bar(-0.1), None);
    }

    #[test]
    fn zero_has_its_own_colour_on_a_log_scale() {
        let scale = scale_of(&[0.0, 0.01, 1.0], ColorScale::Log, 0.0);
        assert_eq!(scale.color(0.0), BELOW_LOG);
        assert!(scale.has_below());
        assert_eq!(scale.color(0.01), palette::sequential(0.0));
        assert_eq!(scale.color(0.1), palette::sequential(128.0 / 255.0));
    }

    #[test]
    fn half_and_double_are_equally_far_from_one() {
        // The largest is 4, so the scale reaches from 1/4 to 4; 1/8 lies below it and is counted.
        let values = [0.0, 0.125, 0.5, 2.0, 4.0];
        let scale = ValueScale::of_ratios(&values, &FigureOptions::default(), 1.0);
        assert_eq!(scale.color(4.0), palette::diverging(1.0));
        assert_eq!(scale.color(0.0), BELOW_LOG);
        assert!((scale.share(0.5) - 0.25).abs() < 1e-12 && (scale.share(2.0) - 0.75).abs() < 1e-12);
        assert_eq!(scale.faded(&values), Some((1, 0.25)));
        assert!(scale.share(f64::NAN).is_nan());
    }

    #[test]
    fn undefined_and_equal_values_have_colours() {
        let scale = scale_of(&[f64::NAN, f64::INFINITY], ColorScale::Auto, 0.0);
        assert_eq!(scale.color(f64::NAN), UNDEFINED);
        assert_eq!(scale.color(f64::INFINITY), UNDEFINED);
        let scale = scale_of(&[3.0, 3.0], ColorScale::Linear, 0.0);
        assert!(!scale.ticks(4).is_empty());
        let _ = scale_of(&[f64::MIN, f64::MAX], ColorScale::Linear, 0.0).color(0.0);
        let _ = scale_of(&[0.0, -1.0], ColorScale::Log, 0.0).color(0.0);
    }
}
