//! The letters of the app: those of the figures first, and egui's own for signs that they lack.

use std::sync::Arc;

use egui::{FontData, FontDefinitions, FontFamily};

const REGULAR: &[u8] = include_bytes!("../../../assets/fonts/Roboto-Regular.ttf");
const BOLD: &[u8] = include_bytes!("../../../assets/fonts/Roboto-Bold.ttf");

/// The family of headings.
pub(crate) fn bold() -> FontFamily {
    FontFamily::Name("bold".into())
}

/// Installs the fonts.
pub(crate) fn install(ctx: &egui::Context) {
    let mut fonts = FontDefinitions::default();
    for (name, bytes) in [("regular", REGULAR), ("bold", BOLD)] {
        fonts
            .font_data
            .insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
    }
    let fallbacks = fonts
        .families
        .get(&FontFamily::Proportional)
        .cloned()
        .unwrap_or_default();
    let with = |first: &str| {
        let first = std::iter::once(first.to_owned());
        first.chain(fallbacks.iter().cloned()).collect()
    };
    fonts
        .families
        .insert(FontFamily::Proportional, with("regular"));
    fonts.families.insert(bold(), with("bold"));
    ctx.set_fonts(fonts);
}
