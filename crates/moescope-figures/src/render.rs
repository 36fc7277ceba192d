//! From SVG to the bytes of a file.
//!
//! Only the embedded font is known to the renderers, nothing is fetched, and nothing says when or where it was made.

use std::sync::{Arc, OnceLock};

use krilla::{Document, SerializeSettings, geom::Size, metadata::Metadata, page::PageSettings};
use krilla_svg::{SurfaceExt as _, SvgSettings};
use moescope_core::Measurement;
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{self, Options, Tree, fontdb::Database},
};

use crate::{
    FigureError, FigureOptions, Format,
    kind::{catalogue, find},
    text::{BOLD, FAMILY, REGULAR, clean},
};

/// CSS pixels per inch.
const PX_PER_INCH: f32 = 96.0;
/// PDF points per inch.
const PT_PER_INCH: f32 = 72.0;
/// The most pixels of a PNG: a metre squared at 300 dpi, 560 MiB while it is being drawn.
const MOST_PIXELS: u64 = 12_000 * 12_000;

/// Draws a measurement as a figure of some kind, and returns the bytes of a file.
///
/// # Errors
/// When there is no such kind, and those of [`FigureKind::draw_svg`](crate::FigureKind::draw_svg) and [`render`].
pub fn draw(
    kind: &str,
    measurement: &Measurement,
    options: &FigureOptions,
    format: Format,
) -> Result<Vec<u8>, FigureError> {
    let figure = find(kind).ok_or_else(|| FigureError::UnknownKind {
        found: clean(kind),
        known: catalogue()
            .iter()
            .map(|kind| kind.about().name)
            .collect::<Vec<_>>()
            .join(", "),
    })?;
    options.check()?;
    render(&figure.draw_svg(measurement, options)?, format, options)
}

/// Turns an SVG that [`FigureKind::draw_svg`](crate::FigureKind::draw_svg) drew into the bytes of a file.
///
/// SVG comes back as it is; of the options only the resolution of a PNG is used.
///
/// # Errors
/// When the SVG is not well formed, or a PNG of its size would have too many pixels.
pub fn render(svg: &str, format: Format, options: &FigureOptions) -> Result<Vec<u8>, FigureError> {
    options.check()?;
    match format {
        Format::Svg => Ok(svg.as_bytes().to_vec()),
        Format::Pdf => pdf(svg),
        Format::Png => png(svg, options.png_dpi),
    }
}

fn pdf(svg: &str) -> Result<Vec<u8>, FigureError> {
    let failed = |reason: String| FigureError::Render {
        format: "PDF",
        reason,
    };
    let tree = parse(svg, "PDF")?;
    let scale = PT_PER_INCH / PX_PER_INCH;
    let size = Size::from_wh(tree.size().width() * scale, tree.size().height() * scale)
        .ok_or_else(|| failed("the page has no size".to_owned()))?;
    let mut document = Document::new_with(SerializeSettings::default());
    let mut metadata = Metadata::new()
        .language("en".to_owned())
        .creator("moescope".to_owned());
    if let Some(title) = title(svg) {
        metadata = metadata.title(title);
    }
    document.set_metadata(metadata);
    let mut page = document.start_page_with(PageSettings::new(size));
    let mut surface = page.surface();
    surface
        .draw_svg(&tree, size, SvgSettings::default())
        .ok_or_else(|| failed("the page could not be drawn".to_owned()))?;
    surface.finish();
    page.finish();
    document
        .finish()
        .map_err(|error| failed(format!("{error:?}")))
}

fn png(svg: &str, dpi: u32) -> Result<Vec<u8>, FigureError> {
    let tree = parse(svg, "PNG")?;
    #[expect(clippy::cast_precision_loss, reason = "at most 1200, checked")]
    let scale = dpi as f32 / PX_PER_INCH;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sizes are positive and the cast saturates"
    )]
    let pixels = |px: f32| (px * scale).round() as u32;
    let (width, height) = (pixels(tree.size().width()), pixels(tree.size().height()));
    let too_large = || FigureError::Size {
        what: "a resolution",
        found: format!("{dpi} dpi ({width} × {height} pixels)"),
        help: "use fewer dots per inch, or a vector format".to_owned(),
    };
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(too_large());
    }
    let mut pixmap = Pixmap::new(width, height).ok_or_else(too_large)?;
    resvg::render(
        &tree,
        Transform::from_scale(scale, scale),
        &mut pixmap.as_mut(),
    );
    let encoded = pixmap.encode_png().map_err(|error| FigureError::Render {
        format: "PNG",
        reason: error.to_string(),
    })?;
    Ok(with_resolution(encoded, dpi))
}

fn parse(svg: &str, format: &'static str) -> Result<Tree, FigureError> {
    static FONTS: OnceLock<Arc<Database>> = OnceLock::new();
    let fonts = FONTS.get_or_init(|| {
        let mut fonts = Database::new();
        fonts.load_font_data(REGULAR.to_vec());
        fonts.load_font_data(BOLD.to_vec());
        fonts.set_sans_serif_family(FAMILY);
        Arc::new(fonts)
    });
    let options = Options {
        fontdb: Arc::clone(fonts),
        font_family: FAMILY.to_owned(),
        // Our figures hold no images; a foreign SVG shall not make us read files.
        image_href_resolver: usvg::ImageHrefResolver {
            resolve_data: Box::new(|_, _, _| None),
            resolve_string: Box::new(|_, _| None),
        },
        ..Options::default()
    };
    Tree::from_str(svg, &options).map_err(|error| FigureError::Render {
        format,
        reason: error.to_string(),
    })
}

/// The document's title.
fn title(svg: &str) -> Option<String> {
    let document = usvg::roxmltree::Document::parse(svg).ok()?;
    document
        .root_element()
        .children()
        .find(|node| node.has_tag_name("title"))
        .and_then(|node| node.text())
        .map(str::to_owned)
}

/// Adds the resolution to a PNG, so that it has its size in print too.
fn with_resolution(png: Vec<u8>, dpi: u32) -> Vec<u8> {
    // The signature is 8 bytes, IHDR always follows and has 25: length, name, 13 bytes, checksum.
    const AFTER_HEADER: usize = 8 + 25;
    if png.len() < AFTER_HEADER {
        return png;
    }
    // Dots per metre, rounded: 1 inch is 0.0254 m.
    let per_metre = (dpi * 10_000 + 127) / 254;
    let mut chunk = b"pHYs".to_vec();
    chunk.extend(per_metre.to_be_bytes());
    chunk.extend(per_metre.to_be_bytes());
    chunk.push(1);
    let checksum = crc32(&chunk);
    let mut whole = png[..AFTER_HEADER].to_vec();
    whole.extend(9_u32.to_be_bytes());
    whole.extend(chunk);
    whole.extend(checksum.to_be_bytes());
    whole.extend(&png[AFTER_HEADER..]);
    whole
}

/// The checksum of a PNG chunk (ISO 3309), bit by bit: it is for thirteen bytes.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_the_standard_one() {
        // The check value of CRC-32 for "123456789".
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn broken_svg_is_an_error() {
        for format in [Format::Pdf, Format::Png] {
            assert!(matches!(
                render("<svg", format, &FigureOptions::default()),
                Err(FigureError::Render { .. })
            ));
        }
    }
}
