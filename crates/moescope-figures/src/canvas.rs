//! Drawing in millimetres on the SVG backend of plotters, whose own coordinates are whole numbers.
//!
//! One unit is a hundredth of a millimetre, so rounding is invisible.
//! The finished document gets the size in millimetres with a matching view box, and loses the attributes that
//! only repeat defaults.

use plotters::{
    backend::SVGBackend,
    prelude::DrawingBackend,
    style::{
        Color as _, FontDesc, FontFamily, FontStyle, FontTransform, RGBColor, ShapeStyle,
        TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use crate::{
    FigureError,
    palette::{INK, Rgb, WHITE},
    text::{FAMILY, Face, MM_PER_PT},
};

/// Units of the SVG per millimetre.
const UNITS_PER_MM: f64 = 100.0;
/// plotters divides the size of a font by this before it writes it.
const BACKEND_SIZE_RATIO: f64 = 1.24;
/// What a viewer without our font shows instead.
const FAMILIES: &str = "Roboto, 'Helvetica Neue', Helvetica, Arial, sans-serif";

/// A thin line, in millimetres: 0.5 pt.
pub(crate) const THIN: f64 = 0.18;
/// A line that carries data, in millimetres: 1.1 pt.
pub(crate) const BOLD_LINE: f64 = 0.4;

/// A point in millimetres from the upper left corner.
pub(crate) type Point = (f64, f64);

/// A rectangle in millimetres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Area {
    /// Left edge.
    pub(crate) x0: f64,
    /// Upper edge.
    pub(crate) y0: f64,
    /// Right edge.
    pub(crate) x1: f64,
    /// Lower edge.
    pub(crate) y1: f64,
}

impl Area {
    /// Width in millimetres.
    pub(crate) fn width(self) -> f64 {
        self.x1 - self.x0
    }

    /// Height in millimetres.
    pub(crate) fn height(self) -> f64 {
        self.y1 - self.y0
    }
}

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// The text starts at the point.
    Start,
    /// The text is centred on the point.
    Middle,
    /// The text ends at the point.
    End,
}

/// How a text is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextLook {
    /// Size and weight.
    pub(crate) face: Face,
    /// Horizontal alignment, before rotation.
    pub(crate) align: Align,
    /// Colour.
    pub(crate) color: Rgb,
    /// Whether the text reads upwards.
    pub(crate) is_upward: bool,
}

impl TextLook {
    /// Dark, horizontal text.
    pub(crate) const fn new(face: Face, align: Align) -> Self {
        Self {
            face,
            align,
            color: INK,
            is_upward: false,
        }
    }

    /// The same in another colour.
    pub(crate) const fn color(self, color: Rgb) -> Self {
        Self { color, ..self }
    }

    /// The same, reading upwards.
    pub(crate) const fn upward(self) -> Self {
        Self {
            is_upward: true,
            ..self
        }
    }
}

/// A page being drawn on; lengths are in millimetres, y points down.
pub(crate) struct Canvas<'a> {
    backend: SVGBackend<'a>,
}

/// Draws a document and returns it; `draw` returns the height that it needed, in millimetres.
///
/// # Errors
/// Those of `draw`, and those of the backend.
pub(crate) fn document(
    width_mm: f64,
    title: &str,
    description: &str,
    draw: impl FnOnce(&mut Canvas<'_>) -> Result<f64, FigureError>,
) -> Result<String, FigureError> {
    let mut raw = String::new();
    let height_mm = {
        let mut canvas = Canvas {
            backend: SVGBackend::with_string(&mut raw, (1, 1)),
        };
        let height_mm = draw(&mut canvas)?;
        canvas.backend.present().map_err(|e| failed("page", &e))?;
        height_mm
    };
    Ok(finish(
        &raw,
        units(width_mm),
        units(height_mm),
        title,
        description,
    ))
}

impl Canvas<'_> {
    /// Fills a rectangle.
    pub(crate) fn fill(&mut self, area: Area, color: Rgb) -> Result<(), FigureError> {
        self.backend
            .draw_rect(
                point((area.x0, area.y0)),
                point((area.x1, area.y1)),
                &paint(color, 1.0),
                true,
            )
            .map_err(|e| failed("rectangle", &e))
    }

    /// Fills a rectangle, letting what lies under it show through; `alpha` is 0 to 1.
    pub(crate) fn veil(&mut self, area: Area, color: Rgb, alpha: f64) -> Result<(), FigureError> {
        self.backend
            .draw_rect(
                point((area.x0, area.y0)),
                point((area.x1, area.y1)),
                &paint(color, alpha),
                true,
            )
            .map_err(|e| failed("rectangle", &e))
    }

    /// Draws the outline of a rectangle.
    pub(crate) fn frame(&mut self, area: Area, color: Rgb, width: f64) -> Result<(), FigureError> {
        self.path(
            &[
                (area.x0, area.y0),
                (area.x1, area.y0),
                (area.x1, area.y1),
                (area.x0, area.y1),
                (area.x0, area.y0),
                (area.x1, area.y0),
            ],
            color,
            width,
        )
    }

    /// Draws a straight line.
    pub(crate) fn line(
        &mut self,
        from: Point,
        to: Point,
        color: Rgb,
        width: f64,
    ) -> Result<(), FigureError> {
        self.backend
            .draw_line(point(from), point(to), &stroke(color, width))
            .map_err(|e| failed("line", &e))
    }

    /// Draws a line through points.
    pub(crate) fn path(
        &mut self,
        points: &[Point],
        color: Rgb,
        width: f64,
    ) -> Result<(), FigureError> {
        self.backend
            .draw_path(points.iter().copied().map(point), &stroke(color, width))
            .map_err(|e| failed("path", &e))
    }

    /// Draws a straight dashed line; `dash` and `gap` are lengths.
    pub(crate) fn dashes(
        &mut self,
        from: Point,
        to: Point,
        color: Rgb,
        (dash, gap): (f64, f64),
    ) -> Result<(), FigureError> {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = (dx * dx + dy * dy).sqrt();
        let mut start = 0.0;
        while start < length {
            let end = (start + dash).min(length);
            let at = |d: f64| (from.0 + dx * d / length, from.1 + dy * d / length);
            self.line(at(start), at(end), color, 0.25)?;
            start = end + gap;
        }
        Ok(())
    }

    /// Fills a polygon; `alpha` is 0 to 1.
    pub(crate) fn polygon(
        &mut self,
        points: &[Point],
        color: Rgb,
        alpha: f64,
    ) -> Result<(), FigureError> {
        self.backend
            .fill_polygon(points.iter().copied().map(point), &paint(color, alpha))
            .map_err(|e| failed("polygon", &e))
    }

    /// Fills a disc.
    pub(crate) fn disc(
        &mut self,
        center: Point,
        radius: f64,
        color: Rgb,
    ) -> Result<(), FigureError> {
        self.backend
            .draw_circle(point(center), length(radius), &paint(color, 1.0), true)
            .map_err(|e| failed("circle", &e))
    }

    /// Draws a circle's outline.
    pub(crate) fn ring(
        &mut self,
        center: Point,
        radius: f64,
        color: Rgb,
        width: f64,
    ) -> Result<(), FigureError> {
        self.backend
            .draw_circle(point(center), length(radius), &stroke(color, width), false)
            .map_err(|e| failed("circle", &e))
    }

    /// Writes one line of cleaned text with its baseline at a point.
    pub(crate) fn text(
        &mut self,
        text: &str,
        at: Point,
        look: TextLook,
    ) -> Result<(), FigureError> {
        if text.is_empty() {
            return Ok(());
        }
        let h_pos = match look.align {
            Align::Start => HPos::Left,
            Align::Middle => HPos::Center,
            Align::End => HPos::Right,
        };
        let style = if look.face.is_bold {
            FontStyle::Bold
        } else {
            FontStyle::Normal
        };
        let mut font = FontDesc::new(
            FontFamily::Name(FAMILY),
            f64::from(units(look.face.pt * MM_PER_PT)) * BACKEND_SIZE_RATIO,
            style,
        );
        if look.is_upward {
            font = font.transform(FontTransform::Rotate270);
        }
        let color = rgb(look.color);
        let style = TextStyle::from(font)
            .color(&color)
            .pos(Pos::new(h_pos, VPos::Top));
        self.backend
            .draw_text(text, &style, point(at))
            .map_err(|e| failed("text", &e))
    }
}

fn failed(what: &'static str, error: &impl std::fmt::Display) -> FigureError {
    FigureError::Draw {
        what,
        reason: error.to_string(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "pages are at most a metre and contents stay near them; the cast saturates"
)]
fn units(mm: f64) -> i32 {
    (mm * UNITS_PER_MM).round() as i32
}

fn length(mm: f64) -> u32 {
    u32::try_from(units(mm)).unwrap_or(0).max(1)
}

fn point((x, y): Point) -> (i32, i32) {
    (units(x), units(y))
}

fn rgb(color: Rgb) -> RGBColor {
    RGBColor(color.r, color.g, color.b)
}

fn paint(color: Rgb, alpha: f64) -> ShapeStyle {
    rgb(color).mix(alpha).filled()
}

fn stroke(color: Rgb, width: f64) -> ShapeStyle {
    rgb(color).stroke_width(length(width))
}

/// Gives the document its size in millimetres and takes away what only repeats defaults.
fn finish(raw: &str, width: i32, height: i32, title: &str, description: &str) -> String {
    let mm = |units: i32| format!("{}.{:02}", units / 100, units % 100);
    let (width_mm, height_mm) = (mm(width), mm(height));
    let title = escape(title);
    let description = if description.is_empty() {
        String::new()
    } else {
        format!("<desc>{}</desc>\n", escape(description))
    };
    let Rgb { r, g, b } = WHITE;
    let mut svg = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width_mm}mm\" height=\"{height_mm}mm\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" font-family=\"{FAMILIES}\" stroke-linejoin=\"round\">\n\
         <title>{title}</title>\n\
         {description}\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#{r:02X}{g:02X}{b:02X}\"/>\n"
    );
    svg.reserve(raw.len());
    let family = format!(" font-family=\"{FAMILY}\"");
    // Contents of texts hold no line break (they are cleaned) and no '<' (they are escaped), so each tag is a line.
    let mut lines = raw.lines().skip(1);
    while let Some(line) = lines.next() {
        let mut tag = line
            .replace(" opacity=\"1\"", "")
            .replace(" stroke=\"none\"", "");
        if tag.starts_with("<text") {
            tag = tag
                .replace(" dy=\"0.76em\"", "")
                .replace(&family, "")
                .replace(" text-anchor=\"start\"", "");
            svg.push_str(&with_whole_font_size(&tag));
            svg.push_str(lines.next().unwrap_or_default());
            svg.push_str(lines.next().unwrap_or_default());
        } else {
            svg.push_str(&tag);
        }
        svg.push('\n');
    }
    svg
}

/// The tag with its font size in whole units, which the backend's division has blurred in the last digit.
fn with_whole_font_size(tag: &str) -> String {
    const NAME: &str = " font-size=\"";
    let rounded = tag.split_once(NAME).and_then(|(before, rest)| {
        let (size, after) = rest.split_once('"')?;
        let size: f64 = size.parse().ok()?;
        Some(format!("{before}{NAME}{size:.0}\"{after}"))
    });
    rounded.unwrap_or_else(|| tag.to_owned())
}

/// Text for XML; it is cleaned of forbidden characters before.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_has_its_size_in_millimetres() {
        let svg = document(85.5, "T & co", "", |canvas| {
            canvas.text("a<b", (1.0, 2.0), TextLook::new(Face::SMALL, Align::Start))?;
            Ok(40.25)
        })
        .unwrap();
        assert!(svg.contains("width=\"85.50mm\" height=\"40.25mm\" viewBox=\"0 0 8550 4025\""));
        assert!(svg.contains("<title>T &amp; co</title>"));
        // 7 pt = 2.469 mm = 247 units; the baseline is where it was asked for.
        assert!(
            svg.contains(
                "<text x=\"100\" y=\"200\" font-size=\"247\" fill=\"#1F1F1F\">a&lt;b</text>"
            ),
            "{svg}"
        );
        assert!(svg.ends_with("</svg>\n"));
    }
}
