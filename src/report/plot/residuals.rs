//! A histogram of the errors of a number: predicted minus true.

use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::{
    Area, CENTRE, Drawn, Figure, GRID, INK, LABEL, LINES, Letters, MARGIN, MUTED, PAPER, RIGHT,
    short, stroke, text_width, title, units, write,
};
use crate::model::grouped;
use crate::report::regression_summary::{BARS, NumberFit};

/// The errors of one number.
pub(in crate::report) struct Errors<'a>(pub &'a NumberFit);

const WIDTH: u32 = 440;
const HEIGHT: u32 = 310;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 52.0;

impl Figure for Errors<'_> {
    #[expect(clippy::misnamed_getters, reason = "the figure's name is not the number's")]
    fn name(&self) -> &str {
        &self.0.errors_plot
    }

    fn size(&self) -> (u32, u32) {
        (WIDTH, HEIGHT)
    }

    fn words(&self) -> String {
        let residuals = &self.0.residuals;
        format!(
            "Errors of {}, predicted minus true: mean {}, standard deviation {}, from {} to {}",
            self.0.name,
            short(residuals.mean),
            short(residuals.standard_deviation),
            short(residuals.min),
            short(residuals.max)
        )
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, letters: &Letters) -> Drawn<DB> {
        let NumberFit { histogram, range: [low, high], residuals, .. } = self.0;
        area.fill(&PAPER)?;
        let room = f64::from(WIDTH) - 2.0 * MARGIN;
        let name = letters.name(&format!("{}: errors", self.0.name), 1, 15.0, room);
        title(area, &name, "samples by predicted minus true; dashed: no error")?;
        let most = histogram.iter().copied().max().unwrap_or(0).max(1);
        let label = grouped(most as usize);
        let left = MARGIN + text_width::width(&label, LABEL.points) + 10.0;
        let right = f64::from(WIDTH) - 26.0;
        let floor = f64::from(HEIGHT) - BOTTOM;
        let x = |fraction: f64| units(left + (right - left) * fraction);
        let y = |count: f64| units(floor - (floor - TOP) * count / most as f64);
        let place = |error: f64| (error - low) / (high - low);
        for count in [0, most] {
            let line = vec![(x(0.0), y(count as f64)), (x(1.0), y(count as f64))];
            area.draw(&PathElement::new(line, stroke(GRID, 1.0)))?;
            write(area, &grouped(count as usize), (x(0.0) - units(8.0), y(count as f64)), RIGHT)?;
        }
        for (i, &count) in histogram.iter().enumerate().filter(|(_, count)| **count > 0) {
            let edge = |i: usize| x(i as f64 / BARS as f64);
            let top = y(count as f64).min(units(floor - 1.0));
            let bar = [(edge(i) + units(0.75), top), (edge(i + 1) - units(0.75), units(floor))];
            area.draw(&Rectangle::new(bar, LINES[0].mix(0.9).filled()))?;
        }
        let line = vec![(x(0.0), units(floor)), (x(1.0), units(floor))];
        area.draw(&PathElement::new(line, stroke(MUTED, 1.0)))?;
        let none = place(0.0);
        if (0.0..=1.0).contains(&none) {
            let ends = [(x(none), units(TOP)), (x(none), units(floor))];
            area.draw(&DashedPathElement::new(ends, units(5.0), units(4.0), stroke(INK, 1.5)))?;
        }
        for (value, at) in [(*low, 0.0), ((low + high) / 2.0, 0.5), (*high, 1.0)] {
            write(area, &short(value), (x(at), units(floor + 15.0)), CENTRE)?;
        }
        let spread = format!(
            "mean {}, standard deviation {}",
            short(residuals.mean),
            short(residuals.standard_deviation)
        );
        write(area, &spread, (x(0.5), units(floor + 36.0)), CENTRE)
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
    fn equal_errors_are_drawn() {
        let svg = super::super::svg(&Errors(&fit(&[1.0, 2.0], &[1.0, 2.0]))).unwrap();
        assert!(svg.contains("errors") && !svg.contains("NaN"));
    }
}
