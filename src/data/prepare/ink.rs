//! The sign on a sheet.

use super::choice::{CUT_OFF, NOTHING};
use super::ground::Ground;
use super::outline::Outline;
use super::parts::{Extent, dilated, parts};
use super::plane::Plane;

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
/// A part that touches more than this fraction of the sheet's rim belongs to the rim.
const MOST_CONTACT: f64 = 0.13;
/// A part that touches the rim at two places so far apart spans the sheet.
const SPANS: f64 = 0.8;
/// The area of an outline as a fraction of the smallest rectangle around it: a 0 has 0.79.
const RECTANGULAR: f64 = 0.88;
/// The largest solid square that may be a sign, as a fraction of the picture, lighter than its surroundings or
/// darker: a sheet of paper on a table usually takes up more.
const LIGHT_SQUARE: f64 = 0.2;
const DARK_SQUARE: f64 = 0.38;
/// A part that is this many times longer than wide is a line.
const LINE: f64 = 14.0;
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
        self.check_shape(&sign.pixels)?;
        let Extent { top, left, .. } = self.ground.extent;
        let (width, across) = (self.ink.width, self.ground.picture_width);
        let in_picture = |&i: &usize| (top + i / width) * across + left + i % width;
        let pixels: Vec<usize> = sign.pixels.iter().map(in_picture).collect();
        let extent = Extent::of(pixels.iter().copied(), across);
        let (values, contrast) = (self.cut_out(&sign.pixels), self.contrast);
        let sheet = self.ground.extent;
        Ok(Sign { values, extent, sheet, pixels, is_cut_off, dominance, contrast })
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
            let is_edge =
                |part: &&Part| part.contact >= MOST_CONTACT || part.spans || self.is_frame(part);
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
        super::lines::remove(&mut self.ink, threshold, self.ground);
        let smooths = self.ink.height.min(self.ink.width) >= SMOOTH_FROM;
        self.smooth = if smooths { self.ink.smoothed() } else { self.ink.clone() };
    }

    /// Returns whether a large part is a frame, or a long line.
    fn is_frame(&self, part: &Part) -> bool {
        let side = self.ink.height.min(self.ink.width);
        if part.extent.longer_side() * 3 < side {
            return false;
        }
        let outline = Outline::of(&part.pixels, self.ink.width);
        let [long, short] = outline.rectangle();
        let rectangular = outline.area() / (long * short).max(1.0);
        long > LINE * short
            || rectangular > RECTANGULAR && outline.is_hollow(&part.pixels, self.ink.width)
    }

    /// Refuses what is as even, as hollow or as thin as a sheet, a frame or a line.
    fn check_shape(&self, pixels: &[usize]) -> Result<(), &'static str> {
        let outline = Outline::of(pixels, self.ink.width);
        let [long, short] = outline.rectangle();
        let rectangular = outline.area() / (long * short).max(1.0);
        let solid = pixels.len() as f64 / outline.area().max(1.0);
        if long <= 8.0 {
            return Ok(());
        }
        if long > LINE * short {
            return Err("a line");
        }
        // A square may be a sign; one that takes up much of the picture is a sheet, above all a light one.
        let most = if self.lighter { LIGHT_SQUARE } else { DARK_SQUARE };
        let large = outline.area() > most * self.ground.picture_area;
        if rectangular > RECTANGULAR && long < 2.5 * short && solid > 0.85 && large {
            return Err("an empty sheet");
        }
        let at_seam = pixels.iter().filter(|&&i| self.ground.is_seam(i)).count();
        if at_seam * 10 > 6 * pixels.len() {
            return Err("the edge of a sheet or a shadow");
        }
        if rectangular > RECTANGULAR && outline.is_hollow(pixels, self.ink.width) {
            return Err("an empty frame");
        }
        Ok(())
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
