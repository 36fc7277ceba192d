//! Colours and markers that readers with any colour vision can tell apart.
//!
//! Screen and paper share them.
//! Continuous palettes are tables of 33 anchors with linear interpolation between, so a colour never depends on a
//! machine's mathematics library.

use moescope_core::STANDARD_DISCIPLINES;
use serde::{Deserialize, Serialize};

/// A colour in sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rgb {
    /// Red, 0 to 255.
    pub r: u8,
    /// Green, 0 to 255.
    pub g: u8,
    /// Blue, 0 to 255.
    pub b: u8,
}

impl Rgb {
    /// The colour written as `0xRRGGBB`.
    #[must_use]
    pub const fn hex(value: u32) -> Self {
        let [_, r, g, b] = value.to_be_bytes();
        Self { r, g, b }
    }

    /// Relative luminance, 0 (black) to 1 (white), with gamma approximated by a square.
    #[must_use]
    pub fn luminance(self) -> f64 {
        let channel = |c: u8| (f64::from(c) / 255.0) * (f64::from(c) / 255.0);
        0.2126 * channel(self.r) + 0.7152 * channel(self.g) + 0.0722 * channel(self.b)
    }

    /// The ink that reads best on this colour: near-black or white.
    #[must_use]
    pub fn ink(self) -> Self {
        if self.luminance() > 0.24 { INK } else { WHITE }
    }
}

/// Paper.
pub const WHITE: Rgb = Rgb::hex(0x00ff_ffff);
/// Text and axes.
pub const INK: Rgb = Rgb::hex(0x001f_1f1f);
/// Secondary text.
pub const SOFT_INK: Rgb = Rgb::hex(0x0055_5555);
/// Reference and null lines.
pub const REFERENCE: Rgb = Rgb::hex(0x006b_6b6b);
/// Grid lines.
pub const GRID: Rgb = Rgb::hex(0x00e4_e4e4);
/// Lines that are there for comparison.
pub const CONTEXT: Rgb = Rgb::hex(0x00bd_bdbd);
/// Values that are not defined.
pub const UNDEFINED: Rgb = Rgb::hex(0x00c4_c4c4);
/// Values of zero or less on a logarithmic scale.
pub const BELOW_LOG: Rgb = Rgb::hex(0x0000_0000);

/// Viridis (Smith and van der Walt, matplotlib, CC0): dark is low.
const SEQUENTIAL: [u32; 33] = [
    0x44_01_54, 0x47_0d_60, 0x48_18_6a, 0x48_23_74, 0x47_2d_7b, 0x45_37_81, 0x42_40_86, 0x3e_49_89,
    0x3b_52_8b, 0x37_5b_8d, 0x33_63_8d, 0x2f_6b_8e, 0x2c_72_8e, 0x29_7a_8e, 0x26_82_8e, 0x23_89_8e,
    0x21_91_8c, 0x1f_98_8b, 0x1f_a0_88, 0x22_a7_85, 0x28_ae_80, 0x32_b6_7a, 0x3f_bc_73, 0x4e_c3_6b,
    0x5e_c9_62, 0x70_cf_57, 0x84_d4_4b, 0x98_d8_3e, 0xad_dc_30, 0xc2_df_23, 0xd8_e2_19, 0xec_e5_1b,
    0xfd_e7_25,
];

/// Blue to orange through near-white: interpolated in `OKLab`, its two sides of equal lightness at equal distance.
const DIVERGING: [u32; 33] = [
    0x04_2f_60, 0x09_3c_71, 0x0f_4a_83, 0x15_58_95, 0x1c_66_a8, 0x2e_76_b2, 0x40_86_bd, 0x51_97_c7,
    0x61_a7_d1, 0x76_b3_d7, 0x89_be_dd, 0x9c_c9_e2, 0xaf_d4_e7, 0xc1_dc_ea, 0xd2_e4_ed, 0xe3_ec_f0,
    0xf4_f4_f2, 0xf4_e9_db, 0xf3_dd_c3, 0xf2_d1_ac, 0xf1_c5_93, 0xed_b5_7d, 0xe8_a6_66, 0xe4_96_4d,
    0xdf_86_2f, 0xce_76_25, 0xbd_66_1a, 0xad_56_0e, 0x9c_47_00, 0x89_3d_00, 0x75_33_00, 0x63_29_00,
    0x51_20_00,
];

/// Seven colours of Okabe and Ito (2008), their yellow left out as too faint on paper, and a wine red (Tol 2021).
const CATEGORICAL: [u32; 8] = [
    0x00_72_b2, 0xd5_5e_00, 0x00_9e_73, 0x88_22_55, 0x56_b4_e9, 0xe6_9f_00, 0xcc_79_a7, 0x4d_4d_4d,
];

/// The sequential palette at `t`, 0 (lowest) to 1 (highest); `t` outside is clamped.
///
/// ```
/// use moescope_figures::palette::{Rgb, sequential};
/// assert_eq!(sequential(0.0), Rgb::hex(0x440154));
/// assert_eq!(sequential(7.0), sequential(1.0));
/// ```
#[must_use]
pub fn sequential(t: f64) -> Rgb {
    interpolate(&SEQUENTIAL, t)
}

/// The diverging palette at `t`: 0 is deep blue, 0.5 the centre, 1 deep orange; `t` outside is clamped.
#[must_use]
pub fn diverging(t: f64) -> Rgb {
    interpolate(&DIVERGING, t)
}

/// The colour of a line at `t`, 0 (first) to 1 (last) of an ordered sequence such as the layers.
///
/// The sequential palette without its lightest part, which is too faint for a line on paper.
#[must_use]
pub fn line_of_sequence(t: f64) -> Rgb {
    sequential(0.84 * t.clamp(0.0, 1.0))
}

fn interpolate(anchors: &[u32; 33], t: f64) -> Rgb {
    let place = t.clamp(0.0, 1.0) * 32.0;
    // A NaN lands on anchor 0; callers colour undefined values before they come here.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=31"
    )]
    let low = (place.floor() as usize).min(31);
    let share = place - f64::from(u8::try_from(low).expect("at most 31"));
    let (a, b) = (Rgb::hex(anchors[low]), Rgb::hex(anchors[low + 1]));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between two bytes"
    )]
    let mix = |a: u8, b: u8| (f64::from(a) * (1.0 - share) + f64::from(b) * share).round() as u8;
    Rgb {
        r: mix(a.r, b.r),
        g: mix(a.g, b.g),
        b: mix(a.b, b.b),
    }
}

/// The shape of a point: colour is never the only sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the shapes")]
pub enum Marker {
    Circle,
    Square,
    TriangleUp,
    Diamond,
    Plus,
    TriangleDown,
    Star,
    Cross,
    OpenCircle,
    OpenSquare,
    OpenTriangleUp,
    OpenDiamond,
}

impl Marker {
    /// All shapes, in the order in which classes take them.
    pub const ALL: [Self; 12] = [
        Self::Circle,
        Self::Square,
        Self::TriangleUp,
        Self::Diamond,
        Self::Plus,
        Self::TriangleDown,
        Self::Star,
        Self::Cross,
        Self::OpenCircle,
        Self::OpenSquare,
        Self::OpenTriangleUp,
        Self::OpenDiamond,
    ];
}

/// How one class is drawn: a colour together with a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Category {
    /// The colour.
    pub color: Rgb,
    /// The shape.
    pub marker: Marker,
}

/// The look of class number `index`; the first 24 differ pairwise in colour and shape taken together.
#[must_use]
pub fn category(index: usize) -> Category {
    Category {
        color: Rgb::hex(CATEGORICAL[index % CATEGORICAL.len()]),
        marker: Marker::ALL[(index + index / 24) % Marker::ALL.len()],
    }
}

/// The look of each of some classes, in their order.
///
/// When all are disciplines of [`STANDARD_DISCIPLINES`], each has its own fixed look, the same in every figure.
/// Otherwise looks are given out in the order of the labels.
#[must_use]
pub fn categories(labels: &[&str]) -> Vec<Category> {
    let known: Option<Vec<usize>> = labels
        .iter()
        .map(|label| STANDARD_DISCIPLINES.iter().position(|d| d == label))
        .collect();
    match known {
        Some(places) => places.into_iter().map(category).collect(),
        None => (0..labels.len()).map(category).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn first_24_classes_are_pairwise_distinct() {
        let looks: HashSet<Category> = (0..24).map(category).collect();
        assert_eq!(looks.len(), 24);
    }

    #[test]
    fn a_discipline_looks_the_same_in_every_figure() {
        let both = categories(&["physics", "law"]);
        let alone = categories(&["law"]);
        assert_eq!(both[1], alone[0]);
        assert_ne!(both[0], both[1]);
    }

    #[test]
    fn unknown_labels_take_looks_in_order() {
        assert_eq!(
            categories(&["a", "physics"]),
            vec![category(0), category(1)]
        );
    }

    #[test]
    fn diverging_sides_are_equally_dark() {
        for step in 1..=16 {
            let t = f64::from(step) / 32.0;
            let (below, above) = (diverging(0.5 - t), diverging(0.5 + t));
            assert!(
                (below.luminance() - above.luminance()).abs() < 0.07,
                "{step}: {below:?} {above:?}"
            );
        }
    }

    #[test]
    fn sequential_luminance_rises() {
        let steps: Vec<f64> = (0..=64)
            .map(|i| sequential(f64::from(i) / 64.0).luminance())
            .collect();
        assert!(steps.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn anchors_come_out_unchanged_and_nan_does_not_panic() {
        assert_eq!(sequential(1.0), Rgb::hex(0x00fd_e725));
        assert_eq!(diverging(0.5), Rgb::hex(0x00f4_f4f2));
        let _ = sequential(f64::NAN);
    }
}
