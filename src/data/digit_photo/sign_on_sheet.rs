//! The sign on a sheet.

use super::connected_components::{Extent, dilated, parts};
use super::float_picture::{Plane, quantile};
use super::hull_shape::Shape;
use super::subtract_background::Ground;

/// Reasons why there is no sign that the choice among signs treats specially.
pub(super) const NOTHING: &str = "nothing that stands out";
pub(super) const CUT_OFF: &str = "nothing but what the edges of a sheet cut off";

/// How far ink stands out from the paper at least, in levels of 255.
const MIN_CONTRAST: f32 = 16.0;
/// The same, in standard deviations of the paper's noise.
const MIN_SIGMAS: f32 = 5.0;
/// The level of sure ink, as a fraction of the stroke's contrast.
const SURE: f32 = 0.25;
/// The level that may be the edge of a stroke that is near.
const EDGE: f32 = 0.05;
/// Parts with less of the ink than this are dust.
const DUST: f32 = 0.015;
/// Below this side there is no room for smoothing, nor need.
const SMOOTH_FROM: usize = 56;
/// How often what belongs to the sheet's surroundings is taken away.
const ROUNDS: usize = 4;
/// The sign has at least this fraction of the ink on its sheet, and its largest part that.
const MIN_DOMINANCE: f32 = 0.4;
const MIN_ALONE: f32 = 0.3;
/// Below this fraction of the ink a sign may be a part of a texture.
const SURE_DOMINANCE: f32 = 0.9;
/// A shadow stands out by fewer levels, or a texture by fewer standard deviations of its noise.
const WEAK: f32 = 40.0;
const WEAK_SIGMAS: f32 = 15.0;
/// The level of a stroke's middle, as a fraction of its darkest pixels.
const FULL: f32 = 0.7;
/// The least part of a stroke's pixels at that level: half are, of a bold pen's or a fine one's.
const STRONG: f64 = 0.45;
/// A part that touches more than this fraction of the sheet's rim belongs to the rim.
const MOST_CONTACT: f64 = 0.13;
/// A part that touches the rim at two places so far apart spans the sheet.
const SPANS: f64 = 0.8;
/// The largest solid square that may be a sign, as a fraction of the picture, lighter than its surroundings or
/// darker: a sheet of paper on a table usually takes up more.
const LIGHT_SQUARE: f64 = 0.1;
const DARK_SQUARE: f64 = 0.2;
/// The same in a picture without a photograph's noise, which is a drawing.
const DRAWN_LIGHT_SQUARE: f64 = 0.2;
const DRAWN_DARK_SQUARE: f64 = 0.38;
/// The most noise of a drawing, in levels.
const DRAWN: f32 = 1.0;
/// How far the values of an even sheet are from their median, as a fraction of it.
const EVEN: f32 = 0.3;
/// The largest number of parts of a sign.
const MOST_PARTS: usize = 9;

/// A picture without its paper: 0 where nothing is drawn, positive where something is.
pub(super) struct Ink<'a> {
    ground: &'a Ground,
    ink: Plane,
    /// The same without single noisy pixels.
    smooth: Plane,
    /// A stroke's usual value.
    contrast: f32,
    /// Standard deviation of the paper.
    noise: f32,
    /// The pixels that are not taken away.
    open: Vec<bool>,
    lighter: bool,
}

/// A sign on a sheet.
pub(super) struct Sign {
    /// The sign alone, cut out.
    pub values: Plane,
    /// Its place in the picture, that of its sheet, and its pixels.
    pub extent: Extent,
    pub sheet: Extent,
    pub pixels: Vec<usize>,
    /// Whether an edge of the picture cuts it off.
    pub is_cut_off: bool,
    /// Its part of all the ink on the sheet.
    pub dominance: f32,
    pub contrast: f32,
    /// Whether it may be a sheet or a disk with a sign on it.
    pub is_plate: bool,
    pub is_solid: bool,
}

/// A connected part of the ink.
struct Part {
    pixels: Vec<usize>,
    mass: f32,
    extent: Extent,
    /// The part of the sheet's rim that it touches.
    contact: f64,
    /// Whether it reaches from one end of the sheet to the other.
    spans: bool,
    /// Whether all that it touches is one side of the picture, which may cut a sign off.
    is_cut_off: bool,
}

impl Part {
    /// Returns the mass, less for what touches the rim: that is rarely the sign.
    fn weight(&self) -> f32 {
        self.mass * if self.contact > 0.0 { 0.3 } else { 1.0 }
    }
}

impl<'a> Ink<'a> {
    /// Returns the ink on `ground`: what is lighter than the paper, or darker.
    pub fn of(ground: &'a Ground, lighter: bool) -> Self {
        let mut ink = ground.darker.clone();
        let sign = if lighter { -1.0 } else { 1.0 };
        ink.values.iter_mut().for_each(|value| *value *= sign);
        let smooths = ink.height.min(ink.width) >= SMOOTH_FROM;
        let mut smooth = if smooths { ink.smoothed() } else { ink.clone() };
        let noise = if smooths { ground.noise / 2.0 } else { ground.noise };
        for plane in [&mut ink, &mut smooth] {
            plane.values.iter_mut().for_each(|value| *value = value.max(0.0));
        }
        let open = vec![true; ink.values.len()];
        Self { ground, ink, smooth, contrast: 0.0, noise, open, lighter }
    }

    fn threshold(&self) -> f32 {
        MIN_CONTRAST.max(MIN_SIGMAS * self.noise)
    }

    fn find_contrast(&mut self) -> Option<()> {
        let threshold = self.threshold();
        let values = self.smooth.values.iter().zip(&self.open);
        let mut strokes: Vec<f32> =
            values.filter(|&(&value, &open)| open && value > threshold).map(|(&v, _)| v).collect();
        let last = strokes.len().checked_sub(1)?;
        let at = (last as f64 * 0.9).round() as usize;
        self.contrast = *strokes.select_nth_unstable_by(at, f32::total_cmp).1;
        Some(())
    }

    fn parts(&self) -> Vec<Part> {
        let level = SURE * self.contrast;
        let open = self
            .smooth
            .values
            .iter()
            .zip(&self.open)
            .map(|(&v, &open)| open && v > level)
            .collect();
        let parts = parts(open, self.ink.height, self.ink.width);
        let mass = |part: &Vec<usize>| part.iter().map(|&i| self.smooth.values[i]).sum::<f32>();
        let masses: Vec<f32> = parts.iter().map(mass).collect();
        let least = DUST * masses.iter().copied().fold(0.0, f32::max);
        let all = parts.into_iter().zip(masses).filter(|&(_, mass)| mass >= least);
        all.map(|(pixels, mass)| self.part(pixels, mass)).collect()
    }

    fn part(&self, pixels: Vec<usize>, mass: f32) -> Part {
        let ground = self.ground;
        let mut cells: Vec<usize> =
            pixels.iter().map(|&i| ground.cell(i)).filter(|&cell| ground.rim[cell]).collect();
        cells.sort_unstable();
        cells.dedup();
        let touched = Extent::of(cells.iter().copied(), ground.cells_across()).size();
        let far = |d: usize| touched[d] as f64 >= SPANS * ground.rim_size[d] as f64;
        Part {
            extent: Extent::of(pixels.iter().copied(), self.ink.width),
            pixels,
            mass,
            contact: cells.len() as f64 / ground.rim_length.max(1) as f64,
            spans: cells.len() > 1 && (far(0) || far(1)),
            is_cut_off: ground.picture_sides(&cells).is_some_and(|sides| sides == 1),
        }
    }

    /// Returns the sign, without what belongs to the sheet and its surroundings.
    ///
    /// # Errors
    /// The thing that there is instead.
    pub fn sign(mut self) -> Result<Sign, &'static str> {
        let mut parts = self.parts_without_edges()?;
        let total: f32 = parts.iter().map(|part| part.mass).sum();
        let main =
            (0..parts.len()).max_by(|&a, &b| parts[a].weight().total_cmp(&parts[b].weight()));
        let main = parts.swap_remove(main.ok_or("nothing but a frame or an edge")?);
        if main.contact > 0.0 && !main.is_cut_off {
            return Err(CUT_OFF);
        }
        let alone = main.mass / total;
        let is_cut_off = main.is_cut_off;
        let (sign, count) = joined(main, parts);
        let dominance = sign.mass / total;
        if dominance < MIN_DOMINANCE || alone < MIN_ALONE || count > MOST_PARTS {
            return Err("many marks instead of one sign");
        }
        let is_weak = self.contrast < f32::max(WEAK, WEAK_SIGMAS * self.noise);
        let uncertain = is_cut_off || dominance < SURE_DOMINANCE;
        if is_weak && uncertain && self.is_faded(&sign.pixels) {
            return Err("a texture or a shadow");
        }
        let shape = Shape::of(&sign.pixels, self.ink.width);
        self.check_shape(&shape, &sign.pixels)?;
        let Extent { top, left, .. } = self.ground.extent;
        let (width, across) = (self.ink.width, self.ground.picture_width);
        let in_picture = |&i: &usize| (top + i / width) * across + left + i % width;
        let pixels: Vec<usize> = sign.pixels.iter().map(in_picture).collect();
        let extent = Extent::of(pixels.iter().copied(), across);
        let (values, contrast) = (self.cut_out(&sign.pixels), self.contrast);
        let sheet = self.ground.extent;
        let is_plate = shape.is_plate() && self.is_even(&sign.pixels);
        let is_solid = shape.is_solid();
        Ok(Sign {
            values,
            extent,
            sheet,
            pixels,
            is_cut_off,
            dominance,
            contrast,
            is_plate,
            is_solid,
        })
    }

    /// Returns the parts that are left when lines, frames and edges are taken away, round by round:
    /// what is left may be much paler.
    fn parts_without_edges(&mut self) -> Result<Vec<Part>, &'static str> {
        let reach = 1 + self.ink.height.max(self.ink.width) / 200;
        self.find_contrast().ok_or(NOTHING)?;
        let mut parts = self.parts();
        if parts.iter().any(|part| part.spans) {
            self.without_lines();
            self.find_contrast().ok_or("lines alone")?;
            parts = self.parts();
        }
        for _ in 0..ROUNDS {
            let is_edge = |part: &&Part| {
                part.contact >= MOST_CONTACT || part.spans || self.is_frame(part, &parts)
            };
            let edges = parts.iter().filter(is_edge).flat_map(|part| part.pixels.iter().copied());
            let edges: Vec<usize> = edges.collect();
            if edges.is_empty() {
                return Ok(parts);
            }
            let gone = dilated(&edges, [self.ink.height, self.ink.width], reach);
            self.open.iter_mut().zip(gone).for_each(|(open, gone)| *open &= !gone);
            self.find_contrast().ok_or("a frame or the edges of a sheet")?;
            parts = self.parts();
        }
        Err("frames and edges")
    }

    fn without_lines(&mut self) {
        let threshold = self.threshold();
        super::ruled_lines::remove(&mut self.ink, threshold, self.ground);
        let smooths = self.ink.height.min(self.ink.width) >= SMOOTH_FROM;
        self.smooth = if smooths { self.ink.smoothed() } else { self.ink.clone() };
    }

    /// Returns whether a large part is a frame, or a long line.
    fn is_frame(&self, part: &Part, all: &[Part]) -> bool {
        let side = self.ink.height.min(self.ink.width);
        if part.extent.longer_side() * 3 < side {
            return false;
        }
        let shape = Shape::of(&part.pixels, self.ink.width);
        shape.is_line() || shape.is_frame() || shape.is_hollow() && is_around(part, all)
    }

    /// Refuses what is as even, as hollow or as thin as a sheet, a frame or a line.
    fn check_shape(&self, shape: &Shape, pixels: &[usize]) -> Result<(), &'static str> {
        if shape.long <= 8.0 {
            return Ok(());
        }
        if shape.is_line() {
            return Err("a line");
        }
        // A square may be a sign; one that takes up much of the picture is a sheet, above all a light one.
        let most = match (self.noise <= DRAWN, self.lighter) {
            (false, true) => LIGHT_SQUARE,
            (false, false) => DARK_SQUARE,
            (true, true) => DRAWN_LIGHT_SQUARE,
            (true, false) => DRAWN_DARK_SQUARE,
        };
        let large = shape.area > most * self.ground.picture_area;
        if large && shape.is_square() && self.is_even(pixels) {
            return Err("an empty sheet");
        }
        let at_seam = pixels.iter().filter(|&&i| self.ground.is_seam(i)).count();
        if at_seam * 10 > 6 * pixels.len() {
            return Err("the edge of a sheet or a shadow");
        }
        if shape.is_frame() {
            return Err("an empty frame");
        }
        Ok(())
    }

    /// Returns whether few of `pixels` are nearly as dark as the darkest, unlike those of strokes.
    fn is_faded(&self, pixels: &[usize]) -> bool {
        let mut values: Vec<f32> = pixels.iter().map(|&i| self.smooth.values[i]).collect();
        values.sort_by(f32::total_cmp);
        let full = FULL * quantile(&values, 0.95).unwrap_or(0.0);
        let strong = values.iter().filter(|&&value| value > full).count() as f64;
        strong < STRONG * values.len() as f64
    }

    /// Returns whether most of `pixels` are about as dark as each other, as those of a sheet are.
    fn is_even(&self, pixels: &[usize]) -> bool {
        let mut values: Vec<f32> = pixels.iter().map(|&i| self.ink.values[i]).collect();
        values.sort_by(f32::total_cmp);
        let middle = quantile(&values, 0.5).unwrap_or(0.0);
        let near = values.iter().filter(|&&value| (value - middle).abs() <= EVEN * middle).count();
        4 * near >= 3 * values.len()
    }

    /// Returns the sign, cut out: dust, and the noise around the strokes, are gone.
    fn cut_out(&self, sure: &[usize]) -> Plane {
        let Self { ref ink, ref smooth, contrast, noise, .. } = *self;
        let size = [ink.height, ink.width];
        // Edges reach as far as one pixel of the result, which has about 20 across the sign.
        let extent = Extent::of(sure.iter().copied(), ink.width);
        let reach = extent.longer_side().div_ceil(20);
        let near = dilated(sure, size, reach);
        let edge = f32::max(EDGE * contrast, 3.0 * noise).min(SURE * contrast);
        // Smoothing spreads a sharp edge into the next pixel: the box is that of the strokes as
        // they are.
        let limits = sure.iter().copied().filter(|&i| ink.values[i] > SURE * contrast);
        let extent = Extent::of(limits, ink.width);
        let value = |i: usize| {
            if near[i] && self.open[i] && smooth.values[i] > edge { ink.values[i] } else { 0.0 }
        };
        let values = extent.positions(ink.width).map(value).collect();
        let [height, width] = extent.size();
        Plane { height, width, values }
    }
}

/// Returns whether a hollow part has another one in it that is large enough for a sign.
fn is_around(part: &Part, all: &[Part]) -> bool {
    let side = part.extent.longer_side();
    let inner = part.extent.shrunk(side / 20);
    all.iter().any(|other| inner.holds(&other.extent) && 4 * other.extent.longer_side() > side)
}

/// Returns `main` with those of `parts` that belong to it, and their number: near it, or as large.
fn joined(main: Part, parts: Vec<Part>) -> (Part, usize) {
    let near = main.extent.longer_side() / 2;
    let joins = |part: &Part| {
        part.contact == 0.0
            && (part.extent.gap(&main.extent) <= near || part.mass >= 0.5 * main.mass)
    };
    let others: Vec<Part> = parts.into_iter().filter(joins).collect();
    let count = 1 + others.len();
    let mut sign = main;
    for part in others {
        sign.mass += part.mass;
        sign.pixels.extend(part.pixels);
    }
    (sign, count)
}
