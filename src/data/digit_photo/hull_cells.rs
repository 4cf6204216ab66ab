//! The convex hull of cells, as cells.

use super::connected_components::neighbors;

/// Returns the cells in the convex hull of the marked ones.
pub(super) fn hull(marked: &[bool], [height, width]: [usize; 2]) -> Vec<bool> {
    let mut ends = Vec::new();
    for row in 0..height {
        let line = &marked[row * width..(row + 1) * width];
        if let (Some(left), Some(right)) =
            (line.iter().position(|&m| m), line.iter().rposition(|&m| m))
        {
            ends.push((row as f64, left as f64, right as f64));
        }
    }
    let lefts = chain(ends.iter().map(|&(row, left, _)| (row, left)), 1.0);
    let rights = chain(ends.iter().map(|&(row, _, right)| (row, right)), -1.0);
    let mut inside = vec![false; height * width];
    if let (Some(first), Some(last)) = (ends.first(), ends.last()) {
        for row in first.0 as usize..=last.0 as usize {
            let (from, to) = (at(&lefts, row as f64), at(&rights, row as f64));
            let (from, to) = (from.ceil() as usize, to.floor() as usize);
            inside[row * width + from.min(to)..=row * width + to].fill(true);
        }
    }
    inside
}

/// Returns the corners of one side of a convex hull; `side` is 1 for the left one, -1 for the right.
fn chain(ends: impl Iterator<Item = (f64, f64)>, side: f64) -> Vec<(f64, f64)> {
    let mut corners: Vec<(f64, f64)> = Vec::new();
    for end in ends {
        while let [.., a, b] = corners[..] {
            let turn = (b.1 - a.1) * (end.0 - a.0) - (end.1 - a.1) * (b.0 - a.0);
            if side * turn < 0.0 {
                break;
            }
            corners.pop();
        }
        corners.push(end);
    }
    corners
}

/// Returns where the line through `corners` is in `row`.
fn at(corners: &[(f64, f64)], row: f64) -> f64 {
    let after = corners.partition_point(|corner| corner.0 < row).min(corners.len() - 1);
    let (to, from) = (corners[after], corners[after.saturating_sub(1)]);
    if to.0 <= from.0 {
        return to.1;
    }
    from.1 + (to.1 - from.1) * (row - from.0) / (to.0 - from.0)
}

/// Returns the cells that are not at the edge of the sheet; at the picture's edge all stay.
pub(super) fn without_rim(inside: &[bool], size: [usize; 2]) -> Vec<bool> {
    (0..inside.len()).map(|i| inside[i] && neighbors(i, size).all(|j| inside[j])).collect()
}
