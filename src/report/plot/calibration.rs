//! A reliability diagram: accuracy by confidence, and the number of predictions by confidence.

use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::{
    Area, CENTRE, Drawn, Figure, GRID, INK, LABEL, LINES, Letters, MUTED, PAPER, RIGHT, Style,
    stroke, title, units, write,
};
use crate::metrics::{BINS, Calibration};
use crate::model::grouped;

/// The reliability diagram.
pub(in crate::report) struct Reliability<'a>(pub &'a Calibration);

const SIDE: f64 = 340.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 92.0;
/// The height of the histogram of counts below, and of the gap above it, which holds its caption.
const BELOW: f64 = 60.0;
const BETWEEN: f64 = 34.0;

impl Figure for Reliability<'_> {
    fn name(&self) -> &str {
        "calibration"
    }

    fn size(&self) -> (u32, u32) {
        ((LEFT + SIDE + 24.0) as u32, (TOP + SIDE + BETWEEN + BELOW + 52.0) as u32)
    }

    fn words(&self) -> String {
        format!(
            "Reliability diagram: mean confidence {:.2} %, expected calibration error {:.2} percentage \
             points over {} predictions; the table below lists every bin",
            100.0 * self.0.mean_confidence(),
            100.0 * self.0.expected_error(),
            self.0.samples()
        )
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, _: &Letters) -> Drawn<DB> {
        area.fill(&PAPER)?;
        let error = format!("expected error {:.2} points", 100.0 * self.0.expected_error());
        title(area, "Calibration", &format!("accuracy by confidence; {error}"))?;
        let x = |fraction: f64| units(LEFT + SIDE * fraction);
        let y = |fraction: f64| units(TOP + SIDE * (1.0 - fraction));
        let line = |from, to, style| PathElement::new(vec![from, to], style);
        let floor = units(TOP + SIDE + BETWEEN + BELOW);
        for tick in [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] {
            area.draw(&line((x(0.0), y(tick)), (x(1.0), y(tick)), stroke(GRID, 1.0)))?;
            let label = format!("{:.0} %", 100.0 * tick);
            write(area, &label, (x(0.0) - units(8.0), y(tick)), RIGHT)?;
            write(area, &label, (x(tick), floor + units(16.0)), CENTRE)?;
        }
        let most = self.0.bins().iter().map(|bin| bin.samples).max().unwrap_or(0).max(1);
        for (i, bin) in self.0.bins().iter().enumerate().filter(|(_, bin)| bin.samples > 0) {
            let edge = |i: usize| x(i as f64 / BINS as f64);
            let (left, right) = (edge(i) + units(1.5), edge(i + 1) - units(1.5));
            let (accuracy, confidence) = (bin.accuracy(), bin.mean_confidence());
            let bar = |top: f64, bottom: f64| [(left, y(top)), (right, y(bottom))];
            let both = accuracy.min(confidence);
            area.draw(&Rectangle::new(bar(both, 0.0), LINES[0].mix(0.9).filled()))?;
            // A frame where it is over-confident, a fill where it is under-confident: distinguishable
            // without colors, too.
            let gap = bar(accuracy.max(confidence), both);
            if confidence > accuracy {
                area.draw(&Rectangle::new(gap, LINES[1].mix(0.18).filled()))?;
                outline(area, gap, stroke(LINES[1], 1.5))?;
            } else {
                area.draw(&Rectangle::new(gap, LINES[2].filled()))?;
            }
            // The square root keeps small counts visible beside large ones.
            let height = BELOW * (bin.samples as f64 / most as f64).sqrt();
            let ends = [(left, floor - units(height.max(1.0))), (right, floor)];
            area.draw(&Rectangle::new(ends, MUTED.mix(0.55).filled()))?;
        }
        area.draw(&line((x(0.0), y(0.0)), (x(1.0), y(0.0)), stroke(MUTED, 1.0)))?;
        area.draw(&line((x(0.0), floor), (x(1.0), floor), stroke(MUTED, 1.0)))?;
        let ends = [(x(0.0), y(0.0)), (x(1.0), y(1.0))];
        let dashes = DashedPathElement::new(ends, units(5.0), units(4.0), stroke(INK, 1.5));
        area.draw(&dashes)?;
        // Captions go above the bars, not between them.
        let above = units(TOP - 21.0);
        let key = [(x(0.0), above), (x(0.08), above)];
        let dashes = DashedPathElement::new(key, units(5.0), units(4.0), stroke(INK, 1.5));
        area.draw(&dashes)?;
        let small = Style { color: INK, ..LABEL };
        write(area, "perfectly calibrated", (x(0.1), above), small)?;
        let count = format!("predictions, up to {}", grouped(most as usize));
        let above = units(TOP + SIDE + BETWEEN - 9.0);
        write(area, &count, (x(0.0), above), Style { color: MUTED, ..small })?;
        write(area, "confidence", (x(0.5), floor + units(35.0)), CENTRE)
    }
}

/// Draws a rectangle's four sides with `style`; plotters' own rectangles have lines of one unit.
fn outline<DB: DrawingBackend>(
    area: &Area<DB>,
    [(left, top), (right, bottom)]: [(i32, i32); 2],
    style: ShapeStyle,
) -> Drawn<DB> {
    let corners = vec![(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
    area.draw(&PathElement::new(corners, style))
}
