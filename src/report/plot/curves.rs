//! Metrics by epoch, as lines that are labeled at their ends.

use plotters::coord::ranged1d::Ranged;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::{
    Area, Drawn, Figure, GRID, INK, LABEL, LINES, Letters, MARGIN, MUTED, PAPER, Style, number,
    stroke, text_width, title, units, write,
};
use crate::model::grouped;

/// One line.
#[derive(Clone, Debug)]
pub(in crate::report) struct Series {
    pub name: String,
    /// The label if there is no room for names: its number in the page's legend.
    pub number: usize,
    /// Pairs of epoch and value; values that are not finite are omitted.
    pub points: Vec<(f64, f64)>,
    /// Index of the color.
    pub color: usize,
    /// Whether the line is dashed, with hollow markers.
    pub dashed: bool,
}

/// The number format of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::report) enum Numbers {
    /// 0.0196
    Loss,
    /// Fractions: 97.60 %
    Percent,
    /// As short as possible: 0.001, 263,391
    Plain,
}

/// A plot of lines over epochs.
#[derive(Clone, Debug)]
pub(in crate::report) struct Curves {
    pub name: String,
    pub title: String,
    /// The quantity and its unit.
    pub unit: String,
    pub series: Vec<Series>,
    /// The number format.
    pub numbers: Numbers,
    /// Whether the axis begins at 0.
    pub from_zero: bool,
    pub size: (u32, u32),
}

impl Series {
    /// Creates a line from the finite values of `points`.
    pub fn new(
        name: impl Into<String>,
        color: usize,
        dashed: bool,
        points: impl Iterator<Item = (f64, f64)>,
    ) -> Self {
        let points = points.filter(|(_, y)| y.is_finite()).collect();
        Self { name: name.into(), number: color + 1, points, color, dashed }
    }
}

/// The number of labels on the vertical axis.
const YS: usize = 6;
/// The width of a plot in points, whose labels stay readable on a phone, too.
pub(in crate::report) const WIDTH: u32 = 440;
const HEIGHT: u32 = 310;
/// The room for names and values at the ends of the lines, and the heights of a name with a value below it
/// and of both in one line.
const ENDS: f64 = 112.0;
const TWO_LINES: f64 = 31.0;
const ONE_LINE: f64 = 16.0;
/// The margins above and below the lines.
const ABOVE: f64 = 64.0;
const BELOW: f64 = 38.0;

impl Curves {
    /// Returns the size of a plot with room for the labels of `series` lines.
    pub fn size_for(series: usize) -> (u32, u32) {
        let needed = ABOVE + BELOW + ONE_LINE * series as f64 + 20.0;
        (WIDTH, HEIGHT.max(needed.ceil() as u32))
    }

    /// Returns whether every line is labeled with its name; else all are labeled with their numbers.
    pub fn is_named(&self) -> bool {
        let fits = |series: &Series| text_width::width(&series.name, LABEL.points) <= ENDS - 12.0;
        let room = f64::from(self.size.1) - ABOVE - BELOW - 20.0;
        self.series.len() as f64 * TWO_LINES <= room && self.series.iter().all(fits)
    }

    /// Returns the room for the labels of the vertical axis.
    fn axis_room(&self, [y0, y1]: [f64; 2]) -> f64 {
        let axis: RangedCoordf64 = (y0..y1).into();
        let widths =
            axis.key_points(YS).into_iter().map(|y| text_width::width(&self.tick(y), LABEL.points));
        widths.fold(20.0, f64::max) + 12.0
    }

    fn figure(&self, value: f64) -> String {
        match self.numbers {
            Numbers::Percent => format!("{:.2} %", 100.0 * value),
            Numbers::Loss if value.abs() >= 1e-3 => format!("{value:.4}"),
            _ => self.tick(value),
        }
    }

    fn tick(&self, value: f64) -> String {
        match value.abs() {
            _ if self.numbers == Numbers::Percent => format!("{} %", number(100.0 * value)),
            size if size >= 1000.0 => grouped(size.round() as usize),
            _ => number(value),
        }
    }

    /// Returns the ranges of both axes, never empty.
    fn ranges(&self) -> ([f64; 2], [f64; 2]) {
        let all = || self.series.iter().flat_map(|series| &series.points);
        let range = |of: fn(&(f64, f64)) -> f64| {
            all().map(of).fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], v| {
                [low.min(v), high.max(v)]
            })
        };
        let ([x0, x1], [mut y0, mut y1]) = (range(|p| p.0), range(|p| p.1));
        if !(x0.is_finite() && y0.is_finite()) {
            return ([0.0, 1.0], [0.0, 1.0]);
        }
        if self.from_zero {
            y0 = y0.min(0.0);
        }
        if y1 <= y0 {
            // A flat line is in the middle.
            let room = if y0 == 0.0 { 1.0 } else { 0.1 * y0.abs() };
            (y0, y1) = (y0 - room, y1 + room);
        } else {
            let room = 0.06 * (y1 - y0);
            (y0, y1) = (if self.from_zero { y0 } else { y0 - room }, y1 + room);
        }
        if self.numbers == Numbers::Percent {
            (y0, y1) = (y0.max(0.0), y1.min(1.0));
        }
        let x = if x1 > x0 { [x0, x1] } else { [x0 - 0.5, x0 + 0.5] };
        (x, [y0, y1])
    }
}

impl Figure for Curves {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn words(&self) -> String {
        let described = self.series.iter().filter_map(|series| {
            let ((first, a), (last, b)) = (series.points.first()?, series.points.last()?);
            let (a, b) = (self.figure(*a), self.figure(*b));
            Some(format!("{} from {a} in epoch {first} to {b} in epoch {last}", series.name))
        });
        let described: Vec<String> = described.collect();
        match described[..] {
            [] => format!("{}: no values yet", self.title),
            _ => format!("{}, {}: {}", self.title, self.unit, described.join("; ")),
        }
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, letters: &Letters) -> Drawn<DB> {
        area.fill(&PAPER)?;
        title(area, &self.title, &self.unit)?;
        let ([x0, x1], [y0, y1]) = self.ranges();
        let mut chart = ChartBuilder::on(area)
            .margin_top(units(ABOVE))
            .margin_left(units(MARGIN))
            .margin_right(units(ENDS))
            .margin_bottom(units(8.0))
            .x_label_area_size(units(BELOW - 8.0))
            .y_label_area_size(units(self.axis_room([y0, y1])))
            .build_cartesian_2d(x0..x1, y0..y1)?;
        let epoch = |x: &f64| {
            let whole = (x - x.round()).abs() < 1e-6;
            if whole { format!("{}", x.round()) } else { String::new() }
        };
        let tick = |y: &f64| self.tick(*y);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .axis_style(TRANSPARENT)
            .bold_line_style(stroke(GRID, 1.0))
            .max_light_lines(0)
            .x_labels(6)
            .y_labels(YS)
            .set_all_tick_mark_size(units(4.0))
            .x_label_formatter(&epoch)
            .y_label_formatter(&tick)
            .label_style(LABEL.text())
            .draw()?;
        let (_, bottom) = chart.backend_coord(&(x1, y0));
        let (right, _) = chart.backend_coord(&(x1, y0));
        let (left, _) = chart.backend_coord(&(x0, y0));
        let line = vec![(left, bottom), (right, bottom)];
        area.draw(&PathElement::new(line, stroke(MUTED, 1.0)))?;
        // To the right of the last number of the axis, which is centered below the end of the line.
        let half = text_width::width(&x1.round().to_string(), LABEL.points) / 2.0;
        write(area, "epoch", (right + units(half + 8.0), bottom + units(16.0)), LABEL)?;

        let mut ends = Vec::new();
        for series in &self.series {
            let color = LINES[series.color % LINES.len()];
            let points = || series.points.iter().copied();
            let line = stroke(color, 2.0);
            if series.dashed {
                let (dash, space) = (units(6.0), units(4.0));
                chart.draw_series(DashedLineSeries::new(points(), dash, space, line))?;
            } else {
                chart.draw_series(LineSeries::new(points(), line))?;
            }
            // Markers on every epoch would overlap.
            let marked = if series.points.len() <= 40 { series.points.len() } else { 1 };
            for point in points().rev().take(marked) {
                let radius = units(3.2);
                chart.draw_series([Circle::new(point, radius, color.filled())])?;
                if series.dashed {
                    chart.draw_series([Circle::new(point, units(1.7), PAPER.filled())])?;
                }
            }
            if let Some(&(x, y)) = series.points.last() {
                let (_, top) = chart.backend_coord(&(x, y));
                ends.push((top, series, y, color));
            }
        }
        ends.sort_by_key(|end| end.0);
        let (_, highest) = chart.backend_coord(&(x0, y1));
        let wanted: Vec<i32> = ends.iter().map(|end| end.0).collect();
        let named = self.is_named();
        let gap = units(if named { TWO_LINES } else { ONE_LINE });
        let places = spread(&wanted, gap, [highest + units(8.0), bottom - units(12.0)]);
        for ((_, series, y, color), place) in ends.into_iter().zip(places) {
            let name_style = Style { color, bold: true, ..LABEL };
            let figure = Style { color: INK, ..LABEL };
            let left = right + units(10.0);
            if named {
                let name = letters.name(&series.name, series.number, LABEL.points, ENDS - 12.0);
                write(area, &name, (left, place - units(7.5)), name_style)?;
                write(area, &self.figure(y), (left, place + units(7.5)), figure)?;
            } else {
                let aside = units(text_width::width("00 ", LABEL.points));
                write(area, &series.number.to_string(), (left, place), name_style)?;
                write(area, &self.figure(y), (left + aside, place), figure)?;
            }
        }
        Ok(())
    }
}

/// Returns positions near the `wanted` ones (in order), at least `gap` apart, within [first, last] if there
/// is room.
fn spread(wanted: &[i32], gap: i32, [first, last]: [i32; 2]) -> Vec<i32> {
    let mut places = Vec::with_capacity(wanted.len());
    for &wanted in wanted {
        let least = places.last().map_or(first, |before: &i32| before + gap);
        places.push(wanted.max(least));
    }
    let mut most = last;
    for place in places.iter_mut().rev() {
        *place = (*place).min(most);
        most = *place - gap;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_overlap() {
        assert_eq!(spread(&[50, 52, 90], 10, [0, 100]), [50, 60, 90]);
        assert_eq!(spread(&[95, 99], 10, [0, 100]), [90, 100]);
        assert_eq!(spread(&[-5, 0], 10, [0, 100]), [0, 10]);
        assert_eq!(spread(&[], 10, [0, 100]), Vec::<i32>::new());
    }

    fn curves(points: &[(f64, f64)]) -> Curves {
        Curves {
            name: "x".to_owned(),
            title: "Loss".to_owned(),
            unit: "nats".to_owned(),
            series: vec![Series::new("training", 0, false, points.iter().copied())],
            numbers: Numbers::Loss,
            from_zero: true,
            size: (400, 300),
        }
    }

    fn of_runs(names: &[&str]) -> Curves {
        let points = [(1.0, 0.5), (2.0, 0.4)];
        let series = |(i, name): (usize, &&str)| Series::new(*name, i, false, points.into_iter());
        let series: Vec<Series> = names.iter().enumerate().map(series).collect();
        Curves { size: Curves::size_for(series.len()), series, ..curves(&points) }
    }

    #[test]
    fn names_without_room_become_numbers() {
        assert!(of_runs(&["small", "wide"]).is_named());
        assert!(of_runs(&["a", "b", "c", "d", "e", "f"]).is_named());
        assert!(!of_runs(&["digits-hidden-128-lr-0.001", "b"]).is_named());
        assert!(!of_runs(&["a"; 12]).is_named());
        let svg = super::super::svg(&of_runs(&["x".repeat(100).as_str(), "b"])).unwrap();
        let (_, drawn) = svg.split_once("</title>").unwrap();
        assert!(!drawn.contains("xx") && !drawn.contains('…'));
    }

    #[test]
    fn labels_of_many_lines_have_room() {
        for lines in [1, 2, 6, 7, 12, 40] {
            let curves = of_runs(&vec!["a"; lines]);
            let needed = if curves.is_named() { TWO_LINES } else { ONE_LINE };
            let room = f64::from(curves.size.1) - ABOVE - BELOW - 20.0;
            assert!(needed * lines as f64 <= room, "{lines}");
        }
    }

    #[test]
    fn the_axis_has_room_for_its_longest_number() {
        let numbers = Numbers::Plain;
        let of = |most: f64| Curves { numbers, ..curves(&[(1.0, most / 2.0), (2.0, most)]) };
        let room = |most: f64| of(most).axis_room(of(most).ranges().1);
        assert!(room(1e7) >= text_width::width("10,000,000", LABEL.points));
        assert!(room(1.0) < 40.0);
    }

    #[test]
    fn ranges_are_never_empty() {
        let nan = f64::NAN;
        assert_eq!(curves(&[]).ranges(), ([0.0, 1.0], [0.0, 1.0]));
        assert_eq!(curves(&[(1.0, nan)]).ranges(), ([0.0, 1.0], [0.0, 1.0]));
        let ([x0, x1], [y0, y1]) = curves(&[(1.0, 0.0)]).ranges();
        assert!(x0 < x1 && y0 < y1);
        let (x, [y0, y1]) = curves(&[(1.0, 2.0), (2.0, nan), (3.0, 1.0)]).ranges();
        assert_eq!((x, y0), ([1.0, 3.0], 0.0));
        assert!(y1 > 2.0);
        let words = curves(&[(1.0, 2.0), (3.0, 1.0)]).words();
        assert_eq!(words, "Loss, nats: training from 2.0000 in epoch 1 to 1.0000 in epoch 3");
    }
}
