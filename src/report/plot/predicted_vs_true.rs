//! Predicted by true numbers: dots, which lie on the diagonal where a prediction is right.

use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::{
    Area, Drawn, Figure, GRID, INK, LABEL, LINES, Letters, MARGIN, MUTED, PAPER, Style, number,
    short, stroke, text_width, title, units, write,
};
use crate::report::regression_summary::NumberFit;

/// Predicted by true values of one number.
pub(in crate::report) struct Predicted<'a>(pub &'a NumberFit);

const WIDTH: u32 = 440;
const HEIGHT: u32 = 450;
const ABOVE: f64 = 84.0;
const BELOW: f64 = 30.0;
/// The number of labels on each axis.
const TICKS: usize = 6;

impl Predicted<'_> {
    /// Returns the range of both axes, never empty.
    fn range(&self) -> [f64; 2] {
        let values = self.0.points.iter().flatten().copied();
        let [low, high] = values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], value| {
            [low.min(value), high.max(value)]
        });
        let room = 0.04 * (high - low);
        match low < high {
            true => [low - room, high + room],
            false if low.is_finite() => [low - 1.0, low + 1.0],
            false => [0.0, 1.0],
        }
    }
}

impl Figure for Predicted<'_> {
    #[expect(clippy::misnamed_getters, reason = "the figure's name is not the number's")]
    fn name(&self) -> &str {
        &self.0.predicted_plot
    }

    fn size(&self) -> (u32, u32) {
        (WIDTH, HEIGHT)
    }

    fn words(&self) -> String {
        let NumberFit { name, residuals, points, .. } = self.0;
        format!(
            "Predicted by true {name} of {} samples: mean absolute error {}, root mean squared error {}",
            points.len(),
            short(residuals.mae),
            short(residuals.rmse)
        )
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, letters: &Letters) -> Drawn<DB> {
        area.fill(&PAPER)?;
        let room = f64::from(WIDTH) - 2.0 * MARGIN;
        let name = letters.name(&format!("{}: predicted by true", self.0.name), 1, 15.0, room);
        title(area, &name, "dashed: where a prediction equals the true value")?;
        let [low, high] = self.range();
        let ticks = [low, high].map(|value| text_width::width(&number(value), LABEL.points));
        let mut chart = ChartBuilder::on(area)
            .margin_top(units(ABOVE))
            .margin_left(units(MARGIN))
            .margin_right(units(26.0))
            .margin_bottom(units(BELOW))
            .x_label_area_size(units(24.0))
            .y_label_area_size(units(ticks[0].max(ticks[1]) + 22.0))
            .build_cartesian_2d(low..high, low..high)?;
        let tick = |value: &f64| number(*value);
        chart
            .configure_mesh()
            .axis_style(TRANSPARENT)
            .bold_line_style(stroke(GRID, 1.0))
            .max_light_lines(0)
            .x_labels(TICKS)
            .y_labels(TICKS)
            .set_all_tick_mark_size(units(4.0))
            .x_label_formatter(&tick)
            .y_label_formatter(&tick)
            .label_style(LABEL.text())
            .draw()?;
        let dot = |&[is, predicted]: &[f64; 2]| {
            Circle::new((is, predicted), units(2.2), LINES[0].mix(0.45).filled())
        };
        chart.draw_series(self.0.points.iter().map(dot))?;
        let ends = [(low, low), (high, high)].map(|end| chart.backend_coord(&end));
        area.draw(&DashedPathElement::new(ends, units(5.0), units(4.0), stroke(INK, 1.5)))?;
        let [(left, bottom), (right, _)] = ends;
        let line = vec![(left, bottom), (right, bottom)];
        area.draw(&PathElement::new(line, stroke(MUTED, 1.0)))?;
        let below = bottom + units(40.0);
        let middle = Style { at: super::CENTRE.at, ..LABEL };
        write(area, "true", ((left + right) / 2, below), middle)?;
        write(area, "predicted", (left, units(ABOVE - 10.0)), LABEL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Targets;
    use crate::evaluate::Residuals;
    use crate::metrics::Predictions;

    /// Returns the predictions of a number "price".
    fn fit(is: &[f32], predicted: &[f32]) -> NumberFit {
        let targets = Targets::numbers(is, ["price"]);
        let residuals = Residuals::of(&Predictions::new(predicted, &targets).unwrap());
        NumberFit::all(predicted, &targets, &residuals).remove(0)
    }

    #[test]
    fn both_axes_have_the_range_of_all_values() {
        let values = fit(&[1.0, 2.0, 3.0], &[1.5, 2.0, 5.0]);
        let [low, high] = Predicted(&values).range();
        assert!(low < 1.0 && high > 5.0);
        let constant = fit(&[2.0, 2.0], &[2.0, 2.0]);
        assert_eq!(Predicted(&constant).range(), [1.0, 3.0]);
        let svg = super::super::svg(&Predicted(&constant)).unwrap();
        assert!(svg.contains("predicted by true") && !svg.contains("NaN"));
    }
}
