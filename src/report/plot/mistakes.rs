//! The worst mistakes as one sheet of images, for slides; the page shows them one by one.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{
    Area, Drawn, Figure, INK, LABEL, Letters, PAPER, Style, text_width, title, units, write,
};
use crate::data::PictureShape;
use crate::data::images::Rgb;
use crate::report::assessment::Mistake;

/// Mistakes with their images.
pub(in crate::report) struct Sheet<'a> {
    pub mistakes: &'a [Mistake],
    pub shape: PictureShape,
    pub classes: &'a [String],
}

const COLUMNS: usize = 6;
/// An image's longer side, and the cell around it with three lines of text.
const SIDE: f64 = 84.0;
const CELL: (f64, f64) = (112.0, 152.0);
const TOP: f64 = 66.0;

impl Sheet<'_> {
    fn columns(&self) -> usize {
        COLUMNS.min(self.mistakes.len().max(3))
    }
}

impl Figure for Sheet<'_> {
    fn name(&self) -> &str {
        "mistakes"
    }

    fn size(&self) -> (u32, u32) {
        let rows = self.mistakes.len().div_ceil(self.columns());
        let width = 28.0 + CELL.0 * self.columns() as f64;
        (width as u32, (TOP + CELL.1 * rows as f64) as u32)
    }

    fn words(&self) -> String {
        format!("The {} wrong predictions with the highest confidence", self.mistakes.len())
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, letters: &Letters) -> Drawn<DB> {
        area.fill(&PAPER)?;
        title(area, "Worst mistakes", "wrong predictions in descending confidence")?;
        let PictureShape { height, width, color } = self.shape;
        let pixel = SIDE / height.max(width) as f64;
        for (i, mistake) in self.mistakes.iter().enumerate() {
            let (row, column) = (i / self.columns(), i % self.columns());
            let left = 14.0 + CELL.0 * column as f64;
            let top = TOP + CELL.1 * row as f64;
            let picture = match color {
                true => Rgb::of_planes(&mistake.image, [height, width]).pixels,
                false => mistake.image.iter().flat_map(|&value| [value; 3]).collect(),
            };
            for (i, value) in picture.chunks_exact(3).enumerate() {
                let edge = |start: f64, position: usize| units(start + pixel * position as f64);
                let (x, y) = (i % width, i / width);
                let ends = [(edge(left, x), edge(top, y)), (edge(left, x + 1), edge(top, y + 1))];
                area.draw(&Rectangle::new(ends, RGBColor(value[0], value[1], value[2]).filled()))?;
            }
            let name = |word: &str, class: usize| {
                let room = CELL.0 - 6.0 - text_width::width(word, LABEL.points);
                format!("{word}{}", letters.name(&self.classes[class], class, LABEL.points, room))
            };
            let plain = Style { at: (HPos::Left, VPos::Top), ..LABEL };
            let lines = [
                (name("pred: ", mistake.said), Style { bold: true, color: INK, ..plain }),
                (format!("{:.1} % confident", 100.0 * mistake.confidence()), plain),
                (name("true: ", mistake.class), Style { color: INK, ..plain }),
            ];
            for (line, (text, style)) in lines.iter().enumerate() {
                let below = top + SIDE + 5.0 + 15.5 * line as f64;
                write(area, text, (units(left), units(below)), *style)?;
            }
        }
        Ok(())
    }
}
