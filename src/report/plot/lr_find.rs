//! The loss of a learning rate finder by learning rate, and the suggested learning rate.

use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::{
    Area, Drawn, Figure, GRID, INK, LABEL, LINES, Letters, MUTED, PAPER, RIGHT, Style, number,
    stroke, title, units, write,
};
use crate::train::LrCurve;

/// Loss by learning rate on a logarithmic axis.
pub(in crate::report) struct Rates<'a>(pub &'a LrCurve);

/// Points that can be drawn: the decimal logarithm of the learning rate, and a loss.
type Points = Vec<(f64, f64)>;

impl Rates<'_> {
    /// Returns the smoothed losses, and those losses of single batches that are within the plot.
    fn points(&self) -> (Points, Points) {
        let finite = |of: fn(&crate::train::LrPoint) -> f64| {
            let points = self.0.points.iter().map(move |p| (p.learning_rate.log10(), of(p)));
            points.filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
        };
        let (smoothed, mut own): (Points, Points) = (finite(|p| p.smoothed), finite(|p| p.loss));
        let (_, [_, top]) = ranges(&smoothed);
        own.retain(|(_, y)| *y <= top);
        (smoothed, own)
    }

    /// Returns the point of the suggested learning rate on the curve.
    fn suggestion(&self) -> Option<(f64, f64)> {
        let rate = self.0.suggestion()?;
        let point = self.0.points.iter().find(|point| point.learning_rate == rate)?;
        Some((rate.log10(), point.smoothed))
    }
}

/// Returns the ranges of both axes, never empty; that of the losses begins at 0.
fn ranges(points: &[(f64, f64)]) -> ([f64; 2], [f64; 2]) {
    let range = |of: fn(&(f64, f64)) -> f64| {
        points
            .iter()
            .map(of)
            .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)])
    };
    let ([x0, x1], [_, y1]) = (range(|p| p.0), range(|p| p.1));
    match x0 < x1 {
        true => ([x0, x1], [0.0, 1.06 * y1.max(f64::MIN_POSITIVE)]),
        false => ([0.0, 1.0], [0.0, 1.0]),
    }
}

impl Figure for Rates<'_> {
    fn name(&self) -> &str {
        "lr-find"
    }

    fn size(&self) -> (u32, u32) {
        (560, 330)
    }

    fn words(&self) -> String {
        let (smoothed, _) = self.points();
        let ends = match (smoothed.first(), smoothed.last()) {
            (Some((first, a)), Some((last, b))) => format!(
                "from {a:.4} at {:.1e} to {b:.4} at {:.1e}",
                10f64.powf(*first),
                10f64.powf(*last)
            ),
            _ => "no values".to_owned(),
        };
        let suggested = match self.0.suggestion() {
            Some(rate) => format!("suggestion {rate:.1e}"),
            None => "no suggestion".to_owned(),
        };
        format!("Smoothed loss by learning rate: {ends}; {suggested}")
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, _: &Letters) -> Drawn<DB> {
        area.fill(&PAPER)?;
        let below = "loss by learning rate: single batches as dots, smoothed as a line";
        title(area, "Learning rate test", below)?;
        let (smoothed, own) = self.points();
        let ([x0, x1], [y0, y1]) = ranges(&smoothed);
        let mut chart = ChartBuilder::on(area)
            .margin_top(units(64.0))
            .margin_left(units(8.0))
            .margin_right(units(34.0))
            .margin_bottom(units(8.0))
            .x_label_area_size(units(30.0))
            .y_label_area_size(units(62.0))
            .build_cartesian_2d(x0..x1, y0..y1)?;
        let rate = |x: &f64| match (x - x.round()).abs() < 1e-6 {
            true => format!("1e{}", x.round()),
            false => String::new(),
        };
        let loss = |y: &f64| number(*y);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .axis_style(TRANSPARENT)
            .bold_line_style(stroke(GRID, 1.0))
            .max_light_lines(0)
            .x_labels(10)
            .y_labels(6)
            .set_all_tick_mark_size(units(4.0))
            .x_label_formatter(&rate)
            .y_label_formatter(&loss)
            .label_style(LABEL.text())
            .draw()?;
        let floor = vec![chart.backend_coord(&(x0, y0)), chart.backend_coord(&(x1, y0))];
        area.draw(&PathElement::new(floor, stroke(MUTED, 1.0)))?;
        let dot = |point: (f64, f64)| Circle::new(point, units(1.6), LINES[0].mix(0.35).filled());
        chart.draw_series(own.into_iter().map(dot))?;
        chart.draw_series(LineSeries::new(smoothed, stroke(LINES[0], 2.0)))?;
        if let Some((x, y)) = self.suggestion() {
            let (top, bottom) = (chart.backend_coord(&(x, y1)), chart.backend_coord(&(x, y0)));
            let line = stroke(LINES[1], 1.5);
            area.draw(&DashedPathElement::new([top, bottom], units(5.0), units(4.0), line))?;
            chart.draw_series([Circle::new((x, y), units(4.0), LINES[1].filled())])?;
            let text = format!("suggestion {:.1e}", 10f64.powf(x));
            // On the side with room for it.
            let (side, gap) = if x < x0 + 0.7 * (x1 - x0) { (LABEL, 8.0) } else { (RIGHT, -8.0) };
            let style = Style { color: INK, bold: true, ..side };
            write(area, &text, (top.0 + units(gap), top.1 + units(10.0)), style)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::LrPoint;

    /// Returns a loss that falls from step to step, and diverges at the end.
    fn curve(steps: usize) -> LrCurve {
        let point = |step: usize| {
            let x = step as f64 / steps as f64;
            let loss = if x < 0.9 { 2.3 - 2.0 * x } else { 40.0 * x };
            LrPoint { learning_rate: 10f64.powf(8.0 * x - 7.0), loss: 1.1 * loss, smoothed: loss }
        };
        LrCurve { points: (0..steps).map(point).collect() }
    }

    #[test]
    fn suggestion_is_on_the_curve_and_within_the_axes() {
        let curve = curve(100);
        let rates = Rates(&curve);
        let (smoothed, own) = rates.points();
        let at = rates.suggestion().unwrap();
        assert!(smoothed.contains(&at));
        let ([x0, x1], [y0, y1]) = ranges(&smoothed);
        assert!((x0..=x1).contains(&at.0) && y0 == 0.0 && own.iter().all(|(_, y)| *y <= y1));
        assert!(own.len() < smoothed.len(), "losses above the plot are omitted");
        let words = rates.words();
        assert!(
            words.contains("from 2.3000 at 1.0e-7") && words.contains("suggestion "),
            "{words}"
        );
    }

    #[test]
    fn curve_without_finite_values_is_drawn() {
        let broken = LrPoint { learning_rate: 0.1, loss: f64::NAN, smoothed: f64::INFINITY };
        for points in [vec![], vec![broken; 3]] {
            let curve = LrCurve { points };
            let svg = super::super::svg(&Rates(&curve)).unwrap();
            assert!(svg.contains("no values; no suggestion") && !svg.contains("NaN"));
        }
    }
}
