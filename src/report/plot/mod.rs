//! Plots, each drawn by one function for two outputs: an SVG that takes its colors from the page around it,
//! and, on request, a PNG. The submodules define the contents of each plot, this module their common style.

mod calibration;
mod confusion;
mod curves;
mod lr_find;
mod mistakes;
mod predicted_vs_true;
mod residuals;
mod text_width;

pub(super) use calibration::Reliability;
pub(super) use confusion::Confusion;
pub(super) use curves::{Curves, Numbers, Series};
pub(super) use lr_find::Rates;
pub(super) use mistakes::Sheet;
pub(super) use predicted_vs_true::Predicted;
pub(super) use residuals::Errors;
pub(super) use text_width::shortened;

use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use super::ReportError;
use super::png::Picture;
use text_width::Letters;

/// Units of the drawing per point of the plot: coordinates are integers, and lines would be jagged with
/// fewer.
const UNITS: u32 = 4;
/// Units per pixel of the PNG, in each direction.
const SMOOTH: usize = 2;

const FAMILY: &str = "Open Sans";
const REGULAR: &[u8] = include_bytes!("../fonts/OpenSans-Regular.ttf");
const BOLD: &[u8] = include_bytes!("../fonts/OpenSans-Semibold.ttf");

/// The colors of the light theme, and the page's CSS variables for them, which have other values in the dark
/// theme. The first two line colors are distinguishable with color blindness, too: Okabe and Ito's blue and
/// vermilion, darkened for contrast. All colors differ, so that they can be replaced in an SVG.
const THEME: [(RGBColor, &str); 11] = [
    (INK, "--ink"),
    (DARK, "--dark"),
    (MUTED, "--muted"),
    (GRID, "--grid"),
    (PAPER, "--paper"),
    (LINES[0], "--line-1"),
    (LINES[1], "--line-2"),
    (LINES[2], "--line-3"),
    (LINES[3], "--line-4"),
    (LINES[4], "--line-5"),
    (LINES[5], "--line-6"),
];
const INK: RGBColor = RGBColor(0x14, 0x18, 0x1D);
/// Dark in both themes.
const DARK: RGBColor = RGBColor(0x0B, 0x0E, 0x12);
const MUTED: RGBColor = RGBColor(0x55, 0x5F, 0x6B);
const GRID: RGBColor = RGBColor(0xE1, 0xE5, 0xEA);
const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
/// The colors of lines, `--line-1` and so on in the style sheet.
pub(super) const LINES: [RGBColor; 6] = [
    RGBColor(0x00, 0x5F, 0x9E),
    RGBColor(0xB3, 0x47, 0x00),
    RGBColor(0x00, 0x75, 0x58),
    RGBColor(0x9B, 0x3F, 0x7C),
    RGBColor(0x5B, 0x52, 0xB5),
    RGBColor(0x7A, 0x5E, 0x00),
];

type Area<DB> = DrawingArea<DB, Shift>;
type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// A plot.
pub(super) trait Figure {
    /// Returns the file name without its extension, also used in the ids of the page.
    fn name(&self) -> &str;

    /// Returns width and height in points.
    fn size(&self) -> (u32, u32);

    /// Returns a text alternative for screen readers.
    fn words(&self) -> String;

    /// Draws the plot; coordinates are in [`units`].
    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, letters: &Letters) -> Drawn<DB>;
}

/// Converts points to units of the drawing.
fn units(points: f64) -> i32 {
    (points * f64::from(UNITS)).round() as i32
}

/// Returns the style of a line of `points` width.
fn stroke(color: RGBColor, points: f64) -> ShapeStyle {
    color.stroke_width(units(points) as u32)
}

/// A text style.
#[derive(Clone, Copy)]
struct Style {
    points: f64,
    color: RGBColor,
    bold: bool,
    at: (HPos, VPos),
    upwards: bool,
}

/// Left-aligned text, vertically centered.
const LABEL: Style = Style {
    points: 12.0,
    color: MUTED,
    bold: false,
    at: (HPos::Left, VPos::Center),
    upwards: false,
};

/// Right-aligned and centered text.
const RIGHT: Style = Style { at: (HPos::Right, VPos::Center), ..LABEL };
const CENTRE: Style = Style { at: (HPos::Center, VPos::Center), ..LABEL };

const TITLE: Style =
    Style { points: 15.0, color: INK, bold: true, at: (HPos::Left, VPos::Top), ..LABEL };

impl Style {
    fn text(self) -> TextStyle<'static> {
        // plotters divides by the same factor.
        let size = self.points * f64::from(UNITS) * 1.24;
        let style = if self.bold { FontStyle::Bold } else { FontStyle::Normal };
        let mut font = FontDesc::new(FontFamily::Name(FAMILY), size, style);
        if self.upwards {
            font = font.transform(FontTransform::Rotate270);
        }
        let (color, pos) = (self.color.to_backend_color(), Pos::new(self.at.0, self.at.1));
        TextStyle { font, color, pos }
    }
}

fn write<DB: DrawingBackend>(
    area: &Area<DB>,
    text: &str,
    at: (i32, i32),
    style: Style,
) -> Drawn<DB> {
    area.draw_text(text, &style.text(), at)
}

/// The empty margin at the left in points, which is cropped in pages: they have their own margin.
const MARGIN: f64 = 14.0;

/// Draws a left-aligned title, and a smaller line below it.
fn title<DB: DrawingBackend>(area: &Area<DB>, title: &str, below: &str) -> Drawn<DB> {
    write(area, title, (units(MARGIN), units(12.0)), TITLE)?;
    let small = Style { at: (HPos::Left, VPos::Top), ..LABEL };
    write(area, below, (units(MARGIN), units(32.0)), small)
}

/// Registers the fonts, once per process: plotters refers to fonts by name.
fn fonts() -> Result<(), ReportError> {
    static FONTS: OnceLock<bool> = OnceLock::new();
    let known = FONTS.get_or_init(|| {
        let fonts = [(FontStyle::Normal, REGULAR), (FontStyle::Bold, BOLD)];
        fonts.into_iter().all(|(style, bytes)| register_font(FAMILY, style, bytes).is_ok())
    });
    match known {
        true => Ok(()),
        false => Err(ReportError::Draw {
            what: "text".to_owned(),
            why: "the font is damaged".to_owned(),
        }),
    }
}

fn failed(figure: &impl Figure, error: impl std::fmt::Display) -> ReportError {
    ReportError::Draw { what: figure.name().to_owned(), why: error.to_string() }
}

/// Returns the elements of a figure's SVG in units, without the root element.
fn elements(figure: &impl Figure) -> Result<String, ReportError> {
    fonts()?;
    let (width, height) = figure.size();
    let mut text = String::new();
    {
        let backend = SVGBackend::with_string(&mut text, (width * UNITS, height * UNITS));
        let area = backend.into_drawing_area();
        figure.draw(&area, &Letters::All).map_err(|error| failed(figure, error))?;
        area.present().map_err(|error| failed(figure, error))?;
    }
    // `opacity="1"` on every element is redundant.
    let text = text.replace(" opacity=\"1\"", "");
    let inner = text.split_once('\n').and_then(|(_, rest)| rest.rsplit_once("</svg>"));
    Ok(inner.map_or(text.as_str(), |(inner, _)| inner).to_owned())
}

/// Returns a figure as an element of a page, with the page's font and its CSS variables as colors.
pub(super) fn inline_svg(figure: &impl Figure) -> Result<String, ReportError> {
    let elements = elements(figure)?;
    // The page is the background: the figure's own background, its first rectangle, would hide the shadows
    // at the edges of scrolling content.
    let inner = match elements.split_once("/>\n") {
        Some((paper, inner)) if paper.starts_with("<rect") => inner,
        _ => &elements,
    };
    let mut inner = inner.replace(&format!(" font-family=\"{FAMILY}\""), "");
    for (color, name) in THEME {
        let RGBColor(r, g, b) = color;
        // In text a quotation mark is `&quot;`, so this matches only attributes.
        let quoted = format!("\"#{r:02X}{g:02X}{b:02X}\"");
        inner = inner.replace(&quoted, &format!("\"var({name})\""));
    }
    let ((width, height), name) = (figure.size(), figure.name());
    let (cut, width) = (units(MARGIN), width - MARGIN as u32);
    let words = escaped(&figure.words());
    Ok(format!(
        "<svg class=\"plot\" viewBox=\"{cut} 0 {} {}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
         aria-labelledby=\"{name}-words\"><title id=\"{name}-words\">{words}</title>\n{inner}</svg>",
        width * UNITS,
        height * UNITS,
    ))
}

/// Returns a figure as a standalone SVG file in the light theme.
pub(super) fn svg(figure: &impl Figure) -> Result<String, ReportError> {
    let family = format!(" font-family=\"'{FAMILY}', 'Segoe UI', Helvetica, Arial, sans-serif\"");
    let inner = elements(figure)?.replace(&format!(" font-family=\"{FAMILY}\""), &family);
    let (width, height) = figure.size();
    let words = escaped(&figure.words());
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\"><title>{words}</title>\n{inner}</svg>\n",
        width * UNITS,
        height * UNITS,
    ))
}

/// Returns a figure as a PNG file with two pixels per point.
pub(super) fn png(figure: &impl Figure) -> Result<Vec<u8>, ReportError> {
    fonts()?;
    let (width, height) = figure.size();
    let (width, height) = (width * UNITS, height * UNITS);
    let mut drawing = Picture::filled(width as usize, height as usize, [255; 3]);
    {
        let backend = BitMapBackend::with_buffer(&mut drawing.rgb, (width, height));
        let area = backend.into_drawing_area();
        figure.draw(&area, &Letters::BuiltIn).map_err(|error| failed(figure, error))?;
        area.present().map_err(|error| failed(figure, error))?;
    }
    drawing.reduced(SMOOTH).png()
}

/// Escapes text for HTML and SVG. Control characters, which XML cannot represent, are omitted.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
        escaped
    })
}

/// Formats a measured number with three digits.
pub(super) fn short(value: f64) -> String {
    number(format!("{value:.2e}").parse().unwrap_or(value))
}

/// Formats a number for an axis, with no more digits than necessary.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.abs() >= 1e-4 {
        let text = format!("{value:.5}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    // 4.9999999e-5 is 5e-5.
    let text = format!("{value:.2e}");
    match text.split_once('e') {
        Some((digits, power)) => {
            format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'))
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (0.30000000000000004, "0.3"),
            (1e-3, "0.001"),
            (8e-4, "0.0008"),
            (5e-5, "5e-5"),
            (4.9999999e-5, "5e-5"),
            (1.25e-6, "1.25e-6"),
            (250.0, "250"),
            (-0.5, "-0.5"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!([-0.039267, 12345.6, 0.0].map(short), ["-0.0393", "12300", "0"]);
    }

    /// Returns the style sheet's colors of the light and the dark theme, in the order of `THEME`.
    fn on_paper() -> [Vec<RGBColor>; 2] {
        let (light, rest) = crate::report::page::STYLE.split_once("@media").unwrap();
        let dark = rest.split_once("@media").map_or(rest, |(dark, _)| dark);
        let of = |part: &str, name: &str| {
            let value = part.split_once(&format!("{name}: #")).map(|(_, value)| &value[..6]);
            let value = u32::from_str_radix(value?, 16).unwrap().to_be_bytes();
            Some(RGBColor(value[1], value[2], value[3]))
        };
        [light, dark].map(|part| {
            let color = |(_, name): &(RGBColor, &str)| of(part, name).or_else(|| of(light, name));
            THEME.iter().map(|entry| color(entry).unwrap()).collect()
        })
    }

    /// Returns the contrast ratio of WCAG 2.2.
    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let luminance = |color: [f64; 3]| {
            let linear = color
                .map(|v| v / 255.0)
                .map(|v| if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) });
            0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_contrast_is_sufficient_in_both_themes() {
        let floats = |RGBColor(r, g, b): RGBColor| [r, g, b].map(f64::from);
        let sheets = on_paper();
        assert_eq!(sheets[0], THEME.map(|(color, _)| color));
        for sheet in sheets {
            let here = |color: RGBColor| {
                let at = THEME.iter().position(|(other, _)| *other == color).unwrap();
                floats(sheet[at])
            };
            let paper = here(PAPER);
            for text in [INK, MUTED].iter().chain(&LINES) {
                assert!(contrast(here(*text), paper) >= 4.5, "{text:?} on {paper:?}");
            }
            for (strength, ink) in confusion::STEPS {
                for color in [LINES[0], LINES[1]].map(here) {
                    let cell = [0, 1, 2].map(|i| strength * color[i] + (1.0 - strength) * paper[i]);
                    let found = contrast(here(ink), cell);
                    assert!(found >= 4.5, "{found:.2} at {strength} of {color:?} on {paper:?}");
                }
            }
        }
    }

    #[test]
    fn theme_colors_and_names_are_distinct() {
        for (i, (a, name)) in THEME.iter().enumerate() {
            assert!(THEME[i + 1..].iter().all(|(b, other)| a != b && name != other));
        }
    }
}
