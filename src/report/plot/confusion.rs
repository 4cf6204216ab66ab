//! A confusion matrix as a heat map. What is right stands on the diagonal in blue, mistakes in orange
//! on a scale of their own: they are few, and what there is to see.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{
    Area, CENTRE, DARK, Drawn, Figure, GRID, INK, LABEL, LINES, Letters, PAPER, RIGHT, Style,
    stroke, title, units, write,
};

/// Counts by true class (row) and named class (column).
pub(in crate::report) struct Confusion<'a> {
    pub counts: &'a [Vec<u64>],
    pub classes: &'a [String],
}

/// How strongly a cell is coloured, from few to many, and what its number is written in. Between the
/// steps there is room for no more: on each of them the text has a contrast of at least 4.5, on light
/// paper and on dark.
pub(super) const STEPS: [(f64, RGBColor); 6] =
    [(0.12, INK), (0.22, INK), (0.34, INK), (0.48, INK), (0.70, DARK), (1.0, PAPER)];

impl Confusion<'_> {
    /// A cell's side in points: numbers have room in large ones.
    fn cell(&self) -> f64 {
        match self.classes.len() {
            0..=12 => 46.0,
            13..=26 => 30.0,
            27..=64 => 13.0,
            65..=128 => 6.5,
            _ => 3.5,
        }
    }

    fn margins(&self) -> [f64; 2] {
        let longest = self.classes.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let names = 7.0 * longest.clamp(1, MOST_CHARS) as f64;
        [26.0 + names, if self.long_names() { 122.0 } else { 84.0 }]
    }

    /// Whether names stand upright above their columns, which are too narrow for them.
    fn long_names(&self) -> bool {
        self.classes.iter().any(|name| name.chars().count() > 3)
    }

    fn side(&self) -> f64 {
        self.cell() * self.classes.len() as f64
    }

    /// The names' step: every class has one where there is room.
    fn step(&self) -> usize {
        (13.0 / self.cell()).ceil() as usize
    }

    /// The step of a cell with so many `of` the most, which holds something.
    fn step_of(count: u64, of: u64) -> (f64, RGBColor) {
        let share = count as f64 / of.max(1) as f64;
        let step = (share * STEPS.len() as f64).ceil() as usize;
        STEPS[step.clamp(1, STEPS.len()) - 1]
    }
}

/// The longest name that is shown whole.
const MOST_CHARS: usize = 14;

impl Figure for Confusion<'_> {
    fn name(&self) -> &'static str {
        "confusion"
    }

    fn size(&self) -> (u32, u32) {
        let [left, top] = self.margins();
        // The title needs room, too.
        let width = (left + self.side() + 24.0).max(330.0);
        (width.ceil() as u32, (top + self.side() + 20.0).ceil() as u32)
    }

    fn words(&self) -> String {
        let all: u64 = self.counts.iter().flatten().sum();
        let right: u64 = self.counts.iter().enumerate().map(|(i, row)| row[i]).sum();
        format!(
            "Confusion matrix: {right} of {all} samples are on the diagonal, where the answer is right; \
             the lists beside it give the figures of each class and the most frequent confusions"
        )
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, letters: &Letters) -> Drawn<DB> {
        area.fill(&PAPER)?;
        title(area, "Confusion matrix", "rows: what it is; columns: what it was called")?;
        let [left, top] = self.margins();
        let (cell, step, side) = (self.cell(), self.step(), self.side());
        let at = |position: usize| cell * position as f64;
        let names = self.classes.iter().enumerate().step_by(step);
        let long = self.long_names();
        for (class, name) in names {
            let middle = at(class) + cell / 2.0;
            let row = Style { colour: INK, ..RIGHT };
            let short = letters.name(name, class, MOST_CHARS);
            write(area, &short, (units(left - 9.0), units(top + middle)), row)?;
            let column = match long {
                true => Style { upwards: true, at: LABEL.at, ..row },
                false => Style { at: (HPos::Center, VPos::Bottom), ..row },
            };
            let short = letters.name(name, class, if long { 8 } else { 3 });
            write(area, &short, (units(left + middle), units(top - 7.0)), column)?;
        }
        let wrong = self.counts.iter().enumerate().flat_map(|(i, row)| {
            row.iter().enumerate().filter(move |(j, _)| i != *j).map(|(_, &count)| count)
        });
        let most = wrong.max().unwrap_or(0);
        for (i, row) in self.counts.iter().enumerate() {
            let support = row.iter().sum();
            for (j, &count) in row.iter().enumerate() {
                if count == 0 {
                    continue;
                }
                let (colour, of) = if i == j { (LINES[0], support) } else { (LINES[1], most) };
                let (strength, ink) = Self::step_of(count, of);
                let corner = |i: usize, j: usize| (units(left + at(j)), units(top + at(i)));
                let ends = [corner(i, j), corner(i + 1, j + 1)];
                area.draw(&Rectangle::new(ends, colour.mix(strength).filled()))?;
                if cell >= 30.0 {
                    // Four figures need a small cell's whole width.
                    let points = if cell < 40.0 && count >= 1000 { 10.0 } else { 13.0 };
                    let number = Style { points, colour: ink, ..CENTRE };
                    let middle = |position| units(at(position) + cell / 2.0);
                    let place = (units(left) + middle(j), units(top) + middle(i));
                    write(area, &count.to_string(), place, number)?;
                }
            }
        }
        let lines = if cell >= 13.0 { 0..=self.classes.len() } else { 0..=1 };
        for line in lines {
            let offset = if cell >= 13.0 { at(line) } else { side * line as f64 };
            let [along, down] = [left + offset, top + offset].map(units);
            let ends = [[left, left + side], [top, top + side]].map(|ends| ends.map(units));
            let thin = stroke(GRID, 1.0);
            area.draw(&PathElement::new(vec![(along, ends[1][0]), (along, ends[1][1])], thin))?;
            area.draw(&PathElement::new(vec![(ends[0][0], down), (ends[0][1], down)], thin))?;
        }
        Ok(())
    }
}
