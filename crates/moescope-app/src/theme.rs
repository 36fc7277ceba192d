//! The colours of the app, which come from the files in `assets/themes` alone.

use std::fmt;

use egui::{Color32, CornerRadius, Margin, Stroke, Style, Vec2, Visuals, epaint::Shadow};
use moescope_figures::palette::Rgb;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::error::AppError;

const DARK: &str = include_str!("../../../assets/themes/dark.toml");
const LIGHT: &str = include_str!("../../../assets/themes/light.toml");

/// Which theme the user wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThemeChoice {
    /// Light letters on a dark ground.
    #[default]
    Dark,
    /// Dark letters on a light ground.
    Light,
}

impl ThemeChoice {
    /// Both themes.
    pub const ALL: [Self; 2] = [Self::Dark, Self::Light];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::Dark,
        }
    }
}

impl fmt::Display for ThemeChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dark => "dark",
            Self::Light => "light",
        })
    }
}

/// Named colours; their meanings stand in the theme files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the theme files say what each colour is for")]
pub struct Theme {
    pub is_dark: bool,
    #[serde(deserialize_with = "color")]
    pub ground: Color32,
    #[serde(deserialize_with = "color")]
    pub panel: Color32,
    #[serde(deserialize_with = "color")]
    pub raised: Color32,
    #[serde(deserialize_with = "color")]
    pub field: Color32,
    #[serde(deserialize_with = "color")]
    pub line: Color32,
    #[serde(deserialize_with = "color")]
    pub strong_line: Color32,
    #[serde(deserialize_with = "color")]
    pub text: Color32,
    #[serde(deserialize_with = "color")]
    pub soft_text: Color32,
    #[serde(deserialize_with = "color")]
    pub faint_text: Color32,
    #[serde(deserialize_with = "color")]
    pub button: Color32,
    #[serde(deserialize_with = "color")]
    pub button_hovered: Color32,
    #[serde(deserialize_with = "color")]
    pub button_pressed: Color32,
    #[serde(deserialize_with = "color")]
    pub accent: Color32,
    #[serde(deserialize_with = "color")]
    pub accent_ground: Color32,
    #[serde(deserialize_with = "color")]
    pub on_accent: Color32,
    #[serde(deserialize_with = "color")]
    pub good: Color32,
    #[serde(deserialize_with = "color")]
    pub warning: Color32,
    #[serde(deserialize_with = "color")]
    pub error: Color32,
    #[serde(deserialize_with = "color")]
    pub cursor: Color32,
    #[serde(deserialize_with = "color")]
    pub cursor_edge: Color32,
    #[serde(deserialize_with = "color")]
    pub shadow: Color32,
}

impl Theme {
    /// Reads the file of a theme, which is part of the program.
    ///
    /// # Errors
    /// When the file lacks a colour or names one that there is not.
    pub fn load(choice: ThemeChoice) -> Result<Self, AppError> {
        let (name, text) = match choice {
            ThemeChoice::Dark => ("dark", DARK),
            ThemeChoice::Light => ("light", LIGHT),
        };
        toml::from_str(text).map_err(|error| AppError::Theme {
            name,
            reason: error.to_string(),
        })
    }

    /// Gives every widget the theme's colours and spacing.
    pub fn apply(&self, ctx: &egui::Context) {
        let theme = if self.is_dark {
            egui::Theme::Dark
        } else {
            egui::Theme::Light
        };
        ctx.set_theme(theme);
        ctx.style_mut_of(theme, |style| {
            style.visuals = self.visuals();
            spacing(style);
        });
    }

    fn visuals(&self) -> Visuals {
        let mut visuals = if self.is_dark {
            Visuals::dark()
        } else {
            Visuals::light()
        };
        visuals.panel_fill = self.panel;
        visuals.window_fill = self.raised;
        visuals.window_stroke = Stroke::new(1.0, self.strong_line);
        visuals.window_corner_radius = CornerRadius::same(8);
        visuals.menu_corner_radius = CornerRadius::same(6);
        let shadow = Shadow {
            offset: [0, 4],
            blur: 18,
            spread: 0,
            color: self.shadow.gamma_multiply(0.35),
        };
        visuals.window_shadow = shadow;
        visuals.popup_shadow = shadow;
        visuals.extreme_bg_color = self.field;
        visuals.text_edit_bg_color = Some(self.field);
        visuals.faint_bg_color = self.ground;
        visuals.code_bg_color = self.ground;
        visuals.hyperlink_color = self.accent;
        visuals.warn_fg_color = self.warning;
        visuals.error_fg_color = self.error;
        visuals.weak_text_color = Some(self.soft_text);
        visuals.selection.bg_fill = self.accent_ground;
        visuals.selection.stroke = Stroke::new(1.0, self.on_accent);
        let widgets = &mut visuals.widgets;
        widgets.noninteractive.bg_fill = self.panel;
        widgets.noninteractive.weak_bg_fill = self.panel;
        widgets.noninteractive.bg_stroke = Stroke::new(1.0, self.line);
        widgets.noninteractive.fg_stroke = Stroke::new(1.0, self.text);
        for (widget, fill, edge) in [
            (&mut widgets.inactive, self.button, self.line),
            (&mut widgets.hovered, self.button_hovered, self.strong_line),
            (&mut widgets.active, self.button_pressed, self.accent),
            (&mut widgets.open, self.button_hovered, self.strong_line),
        ] {
            widget.bg_fill = fill;
            widget.weak_bg_fill = fill;
            widget.bg_stroke = Stroke::new(1.0, edge);
            widget.fg_stroke = Stroke::new(1.0, self.text);
            widget.corner_radius = CornerRadius::same(5);
            widget.expansion = 0.0;
        }
        visuals
    }
}

fn spacing(style: &mut Style) {
    style.spacing.item_spacing = Vec2::new(8.0, 6.0);
    style.spacing.button_padding = Vec2::new(9.0, 4.0);
    style.spacing.interact_size.y = 24.0;
    style.spacing.menu_margin = Margin::same(6);
    style.spacing.window_margin = Margin::same(14);
    style.interaction.tooltip_delay = 0.25;
}

/// A colour of the figures' palettes as the window paints it.
#[must_use]
pub fn paint(color: Rgb) -> Color32 {
    opaque(color.r, color.g, color.b)
}

#[expect(
    clippy::disallowed_methods,
    reason = "colours enter the app here, from theme files and palettes"
)]
fn opaque(r: u8, g: u8, b: u8) -> Color32 {
    Color32::from_rgb(r, g, b)
}

fn color<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Color32, D::Error> {
    let text = String::deserialize(deserializer)?;
    let value = u32::from_str_radix(&text, 16)
        .ok()
        .filter(|_| text.len() == 6);
    value.map(|value| paint(Rgb::hex(value))).ok_or_else(|| {
        D::Error::custom(format!(
            "a colour is six hexadecimal digits, found '{text}'"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance by WCAG 2.
    fn luminance(color: Color32) -> f64 {
        let channel = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.040_45 {
                c / 12.92
            } else {
                ((c + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(color.r()) + 0.7152 * channel(color.g()) + 0.0722 * channel(color.b())
    }

    fn contrast(a: Color32, b: Color32) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn writing_reads_on_every_ground_in_both_themes() {
        for choice in ThemeChoice::ALL {
            let theme = Theme::load(choice).unwrap();
            for (name, ground) in [
                ("ground", theme.ground),
                ("panel", theme.panel),
                ("raised", theme.raised),
                ("field", theme.field),
            ] {
                for (ink, color, least) in [
                    ("text", theme.text, 7.0),
                    ("soft_text", theme.soft_text, 4.5),
                    ("faint_text", theme.faint_text, 3.8),
                    ("accent", theme.accent, 4.5),
                    ("good", theme.good, 4.5),
                    ("warning", theme.warning, 4.5),
                    ("error", theme.error, 4.5),
                ] {
                    let found = contrast(color, ground);
                    assert!(found >= least, "{choice}: {ink} on {name} has {found:.2}");
                }
            }
            assert!(contrast(theme.on_accent, theme.accent_ground) >= 4.5);
            assert!(contrast(theme.text, theme.button_pressed) >= 4.5);
        }
    }
}
