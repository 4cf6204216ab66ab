//! The convex outline of a part of a picture.

/// The corners of a convex hull, counterclockwise, as (row, column).
pub(super) struct Outline(Vec<(f64, f64)>);

impl Outline {
    /// Returns the hull of the pixels at `positions` in a picture of `width` columns.
    pub fn of(positions: &[usize], width: usize) -> Self {
        let top = positions.iter().min().map_or(0, |i| i / width);
        let bottom = positions.iter().max().map_or(0, |i| i / width);
        let mut ends = vec![(usize::MAX, 0); bottom + 1 - top];
        for &i in positions {
            let end = &mut ends[i / width - top];
            *end = (end.0.min(i % width), end.1.max(i % width));
        }
        // The corners of the pixels, not their centers: a line has an area, too.
        let corners = |(row, &(left, right)): (usize, &(usize, usize))| {
            let (row, left, right) = ((row + top) as f64, left as f64, right as f64 + 1.0);
            [(row, left), (row, right), (row + 1.0, left), (row + 1.0, right)]
        };
        let filled = |&(_, &(left, right)): &(usize, &(usize, usize))| left <= right;
        let mut points: Vec<(f64, f64)> =
            ends.iter().enumerate().filter(filled).flat_map(corners).collect();
        points.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        let mut hull = half(points.iter().copied());
        hull.extend(half(points.iter().rev().copied()));
        Self(hull)
    }

    /// Returns the area in pixels.
    pub fn area(&self) -> f64 {
        let next = self.0.iter().cycle().skip(1);
        self.0.iter().zip(next).map(|(a, b)| a.0 * b.1 - a.1 * b.0).sum::<f64>().abs() / 2.0
    }

    /// Returns the length in pixels.
    pub fn length(&self) -> f64 {
        let next = self.0.iter().cycle().skip(1);
        self.0.iter().zip(next).map(|(a, b)| (a.0 - b.0).hypot(a.1 - b.1)).sum()
    }

    /// Returns the sides of the smallest rectangle around it at any angle, the longer one first.
    pub fn rectangle(&self) -> [f64; 2] {
        let sides = (0..45).map(|step| self.sides_at(f64::from(step) * 2f64.to_radians()));
        let smallest = sides.min_by(|a, b| (a[0] * a[1]).total_cmp(&(b[0] * b[1])));
        let [a, b] = smallest.unwrap_or_default();
        [a.max(b), a.min(b)]
    }

    /// Returns whether none of `positions` is near the middle.
    pub fn is_hollow(&self, positions: &[usize], width: usize) -> bool {
        const MIDDLE: f64 = 0.6; // of its width and height
        let n = self.0.len().max(1) as f64;
        let sum =
            self.0.iter().fold((0.0, 0.0), |sum, corner| (sum.0 + corner.0, sum.1 + corner.1));
        let (row, column) = (sum.0 / n, sum.1 / n);
        let blown_up = |i: usize| {
            let (r, c) = ((i / width) as f64 + 0.5, (i % width) as f64 + 0.5);
            (row + (r - row) / MIDDLE, column + (c - column) / MIDDLE)
        };
        !positions.iter().any(|&i| self.contains(blown_up(i)))
    }

    fn contains(&self, point: (f64, f64)) -> bool {
        let next = self.0.iter().cycle().skip(1);
        self.0
            .iter()
            .zip(next)
            .all(|(a, b)| (b.0 - a.0) * (point.1 - a.1) - (b.1 - a.1) * (point.0 - a.0) >= 0.0)
    }

    fn sides_at(&self, angle: f64) -> [f64; 2] {
        let (sin, cos) = angle.sin_cos();
        let side = |along: (f64, f64)| {
            let at = self.0.iter().map(|point| point.0 * along.0 + point.1 * along.1);
            let (low, high) = at.fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
            high - low
        };
        [side((cos, sin)), side((-sin, cos))]
    }
}

/// Returns one half of the hull of sorted points, without its last point.
fn half(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut hull: Vec<(f64, f64)> = Vec::new();
    for point in points {
        while let [.., a, b] = hull[..] {
            let turn = (b.0 - a.0) * (point.1 - a.1) - (b.1 - a.1) * (point.0 - a.0);
            if turn > 0.0 {
                break;
            }
            hull.pop();
        }
        hull.push(point);
    }
    hull.pop();
    hull
}
