//! A confusion matrix as a heat map. Correct predictions on the diagonal are blue. Mistakes are orange on a
//! separate scale, because they are few and the reason to look at the matrix.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{
    Area, CENTRE, DARK, Drawn, Figure, GRID, INK, LABEL, LINES, Letters, MARGIN, PAPER, RIGHT,
    Style, stroke, text_width, title, units, write,
};

/// Counts by true class (row) and predicted class (column).
pub(in crate::report) struct Confusion<'a> {
    pub counts: &'a [Vec<u64>],
    pub classes: &'a [String],
}

/// The font size of counts.
const NUMBER: f64 = 13.0;

/// The opacity of a cell's color, from few to many, and the color of its number. The steps are discrete so
/// that on each of them the text has a contrast of at least 4.5, on light and on dark backgrounds.
pub(super) const STEPS: [(f64, RGBColor); 6] =
    [(0.12, INK), (0.22, INK), (0.34, INK), (0.48, INK), (0.70, DARK), (1.0, PAPER)];

/// The largest room for names, beside the rows and above the columns.
const MOST_ROOM: [f64; 2] = [200.0, 160.0];
/// The top of the names above the columns, below the title.
const BELOW_TITLE: f64 = 56.0;
/// The line height of names, and the gap between names and cells.
const LINE: f64 = 14.0;
const GAP: f64 = 9.0;
const SUBTITLE: &str = "rows: true class; columns: predicted class";

impl Confusion<'_> {
    /// Returns a cell's side in points; cells of up to 26 classes have room for numbers.
    fn cell(&self) -> f64 {
        match self.classes.len() {
            0..=12 => text_width::width(&self.most_digits(), NUMBER).max(40.0) + 6.0,
            13..=26 => 30.0,
            27..=64 => LINE,
            65..=128 => 7.0,
            _ => 3.5,
        }
    }

    /// Returns the digits of the largest count.
    fn most_digits(&self) -> String {
        self.counts.iter().flatten().max().map_or(String::new(), ToString::to_string)
    }

    /// Returns the font size of names: that of labels, if the rows are high enough.
    fn points(&self) -> f64 {
        if self.cell() < 1.3 * LABEL.points { 0.7 * LINE } else { LABEL.points }
    }

    /// Returns the room for names, beside the rows and above the columns.
    fn rooms(&self) -> [f64; 2] {
        let widths = self.classes.iter().map(|name| text_width::width(name, self.points()));
        let longest = widths.fold(0.0, f64::max);
        let above = if self.upright() { longest.min(MOST_ROOM[1]) } else { LINE };
        [longest.min(MOST_ROOM[0]), above]
    }

    fn margins(&self) -> [f64; 2] {
        let [beside, above] = self.rooms();
        [MARGIN + beside + GAP, BELOW_TITLE + above + GAP]
    }

    /// Returns whether the names above the columns are vertical, because the columns are too narrow for them.
    fn upright(&self) -> bool {
        let room = self.cell() * self.step() as f64 - 3.0;
        self.classes.iter().any(|name| text_width::width(name, self.points()) > room)
    }

    /// Returns whether every class is named in full, beside its row and above its column.
    pub fn is_whole(&self) -> bool {
        let [beside, above] = self.rooms();
        let room = if self.upright() { beside.min(above) } else { beside };
        let fits = |name: &String| text_width::width(name, self.points()) <= room;
        self.step() == 1 && self.classes.iter().all(fits)
    }

    fn side(&self) -> f64 {
        self.cell() * self.classes.len() as f64
    }

    /// Returns the step between classes that are named: 1 if there is room for all.
    fn step(&self) -> usize {
        (LINE / self.cell()).ceil() as usize
    }

    /// Returns the color step of a cell with `count` of at most `of`; a cell that is not empty.
    fn step_of(count: u64, of: u64) -> (f64, RGBColor) {
        let fraction = count as f64 / of.max(1) as f64;
        let step = (fraction * STEPS.len() as f64).ceil() as usize;
        STEPS[step.clamp(1, STEPS.len()) - 1]
    }
}

impl Figure for Confusion<'_> {
    fn name(&self) -> &str {
        "confusion"
    }

    fn size(&self) -> (u32, u32) {
        let [left, top] = self.margins();
        // The title needs room, too.
        let title = MARGIN + text_width::width(SUBTITLE, LABEL.points);
        let width = (left + self.side() + 24.0).max(title);
        (width.ceil() as u32, (top + self.side() + 20.0).ceil() as u32)
    }

    fn words(&self) -> String {
        let all: u64 = self.counts.iter().flatten().sum();
        let right: u64 = self.counts.iter().enumerate().map(|(i, row)| row[i]).sum();
        format!(
            "Confusion matrix: {right} of {all} samples are on the diagonal, where the prediction is correct; \
             the lists beside it give the metrics of each class and the most frequent confusions"
        )
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, letters: &Letters) -> Drawn<DB> {
        area.fill(&PAPER)?;
        title(area, "Confusion matrix", SUBTITLE)?;
        let [left, top] = self.margins();
        let (cell, step, side) = (self.cell(), self.step(), self.side());
        let at = |position: usize| cell * position as f64;
        let names = self.classes.iter().enumerate().step_by(step);
        let [beside, above] = self.rooms();
        for (class, name) in names {
            let middle = at(class) + cell / 2.0;
            let row = Style { color: INK, points: self.points(), ..RIGHT };
            let short = letters.name(name, class, row.points, beside);
            write(area, &short, (units(left - GAP), units(top + middle)), row)?;
            let column = match self.upright() {
                true => Style { upwards: true, at: LABEL.at, ..row },
                false => Style { at: (HPos::Center, VPos::Bottom), ..row },
            };
            let short = letters.name(name, class, row.points, above.max(cell));
            write(area, &short, (units(left + middle), units(top - GAP + 2.0)), column)?;
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
                let (color, of) = if i == j { (LINES[0], support) } else { (LINES[1], most) };
                let (strength, ink) = Self::step_of(count, of);
                let corner = |i: usize, j: usize| (units(left + at(j)), units(top + at(i)));
                let ends = [corner(i, j), corner(i + 1, j + 1)];
                area.draw(&Rectangle::new(ends, color.mix(strength).filled()))?;
                if cell >= 30.0 {
                    // Many digits need the whole width of a small cell.
                    let text = count.to_string();
                    let points = NUMBER.min((cell - 3.0) / text_width::width(&text, 1.0));
                    let number = Style { points, color: ink, ..CENTRE };
                    let middle = |position| units(at(position) + cell / 2.0);
                    let place = (units(left) + middle(j), units(top) + middle(i));
                    write(area, &text, place, number)?;
                }
            }
        }
        let lines = if cell >= LINE { 0..=self.classes.len() } else { 0..=1 };
        for line in lines {
            let offset = if cell >= LINE { at(line) } else { side * line as f64 };
            let [along, down] = [left + offset, top + offset].map(units);
            let ends = [[left, left + side], [top, top + side]].map(|ends| ends.map(units));
            let thin = stroke(GRID, 1.0);
            area.draw(&PathElement::new(vec![(along, ends[1][0]), (along, ends[1][1])], thin))?;
            area.draw(&PathElement::new(vec![(ends[0][0], down), (ends[0][1], down)], thin))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(names: &[String]) -> (Vec<Vec<u64>>, Vec<String>) {
        let row = |i: usize| (0..names.len()).map(|j| if i == j { 90 } else { 1 }).collect();
        ((0..names.len()).map(row).collect(), names.to_vec())
    }

    #[test]
    fn every_class_is_named_where_there_is_room() {
        for (classes, named) in [(2, 2), (10, 10), (26, 26), (62, 62), (128, 64), (256, 64)] {
            let names: Vec<String> = (0..classes).map(|i| format!("c{i}")).collect();
            let (counts, classes) = matrix(&names);
            let confusion = Confusion { counts: &counts, classes: &classes };
            assert_eq!(classes.len().div_ceil(confusion.step()), named);
            assert!(confusion.cell() * confusion.step() as f64 >= LINE);
        }
    }

    #[test]
    fn names_are_truncated_only_beyond_the_margins() {
        let names = ["Ankle boot", "T-shirt/top", "Schraubenschlüssel"].map(str::to_owned);
        let (counts, classes) = matrix(&names);
        let svg = super::super::svg(&Confusion { counts: &counts, classes: &classes }).unwrap();
        assert!(!svg.contains('…'));
        assert!(Confusion { counts: &counts, classes: &classes }.is_whole());
        names.iter().for_each(|name| assert_eq!(svg.matches(name.as_str()).count(), 2, "{name}"));
        let (counts, classes) = matrix(&["x".repeat(100), "漢".repeat(100)]);
        let confusion = Confusion { counts: &counts, classes: &classes };
        assert_eq!(confusion.rooms(), MOST_ROOM);
        assert!(!confusion.is_whole());
    }

    #[test]
    fn numbers_stay_in_their_cells() {
        for (classes, count) in [(2, 12_345_678), (10, 123_456), (20, 123_456)] {
            let counts = vec![vec![count; classes]; classes];
            let names = vec!["a".to_owned(); classes];
            let confusion = Confusion { counts: &counts, classes: &names };
            let digits = text_width::width(&confusion.most_digits(), 1.0);
            let points = NUMBER.min((confusion.cell() - 3.0) / digits);
            assert!(points * digits <= confusion.cell() && points >= 5.0, "{points}");
        }
    }
}
