//! Curves for a terminal, drawn in braille dots.

use std::fmt::Write as _;

use textplots::{
    AxisBuilder, Chart, ColorPlot, LabelBuilder, LabelFormat, LineStyle, Plot, Shape, TickDisplay,
    TickDisplayBuilder,
};

/// Columns that a chart needs, including the numbers at its side.
pub const WIDTH: usize = 60;
/// Dots of a chart, horizontally and vertically; one character holds 2 x 4 of them.
const DOTS: (u32, u32) = (96, 40);

/// A curve, its name, and its color (red, green, blue).
pub struct Curve {
    pub name: &'static str,
    pub color: (u8, u8, u8),
    pub points: Vec<(f64, f64)>,
}

/// Draws the curves in one chart, with a line above it that names them; `figure` formats the numbers of the x axis.
/// Points that are not finite are left out. Returns `None` if no points are left.
pub fn chart(curves: &[Curve], figure: fn(f32) -> String, colored: bool) -> Option<String> {
    let finite = |points: &[(f64, f64)]| -> Vec<(f32, f32)> {
        let finite = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        finite.map(|&(x, y)| (x as f32, y as f32)).collect()
    };
    let points: Vec<_> = curves.iter().map(|curve| finite(&curve.points)).collect();
    let all: Vec<(f32, f32)> = points.concat();
    all.first()?;
    let range = |of: fn(&(f32, f32)) -> f32| {
        let low = all.iter().map(of).fold(f32::INFINITY, f32::min);
        let high = all.iter().map(of).fold(f32::NEG_INFINITY, f32::max);
        // A single point, or a horizontal line, is drawn in the middle.
        if low == high { (low - 0.5, high + 0.5) } else { (low, high) }
    };
    let ((left, right), (low, high)) = (range(|point| point.0), range(|point| point.1));
    let shapes: Vec<Shape> = points.iter().map(|points| Shape::Lines(points)).collect();
    let mut chart = Chart::new_with_y_range(DOTS.0, DOTS.1, left, right, low, high);
    let begun = chart
        .x_axis_style(LineStyle::None)
        .y_axis_style(LineStyle::None)
        .x_label_format(LabelFormat::Custom(Box::new(figure)))
        .y_label_format(LabelFormat::Custom(Box::new(|y| format!("{y:.4}"))))
        .y_tick_display(TickDisplay::Sparse);
    let drawn = shapes.iter().zip(curves).fold(begun, |chart, (shape, curve)| match colored {
        true => chart.linecolorplot(shape, curve.color.into()),
        false => chart.lineplot(shape),
    });
    drawn.axis();
    drawn.figures();
    let mut text = String::new();
    for (curve, points) in curves.iter().zip(&points).filter(|(_, points)| !points.is_empty()) {
        let (r, g, b) = curve.color;
        let name = console::style(format!("{} {:.4}", curve.name, points[points.len() - 1].1));
        let name = name.force_styling(colored).true_color(r, g, b);
        // Writing to a String cannot fail.
        let _ = write!(text, "{name}  ");
    }
    Some(format!("{}\n{}", text.trim_end(), drawn.to_string().trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chart_shows_names_and_range_and_fits_its_width() {
        let curve = |name, points| Curve { name, color: (200, 60, 60), points };
        let falling = (1..=10).map(|i| (f64::from(i), 1.0 / f64::from(i))).collect();
        let broken = vec![(1.0, f64::NAN), (2.0, f64::INFINITY), (3.0, 0.25)];
        let curves = [curve("loss", falling), curve("val_loss", broken)];
        let text = chart(&curves, |x| format!("{x:.0}"), false).unwrap();
        assert!(text.starts_with("loss 0.1000  val_loss 0.2500\n"), "{text}");
        for figure in ["1.0000", "0.1000", "\n1", "10"] {
            assert!(text.contains(figure), "{figure}: {text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.lines().all(|line| console::measure_text_width(line) <= WIDTH), "{text}");
        let colored = chart(&curves, |x| format!("{x:.0}"), true).unwrap();
        assert!(colored.contains("\u{1b}["));
        assert!(chart(&[curve("loss", vec![(1.0, f64::NAN)])], |x| x.to_string(), false).is_none());
        assert!(chart(&[curve("loss", vec![(1.0, 0.5)])], |x| x.to_string(), false).is_some());
    }
}
