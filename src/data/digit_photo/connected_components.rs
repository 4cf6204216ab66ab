//! Connected parts of a picture, and where they lie.

/// The connected parts (diagonals count) of all positions that are `open`, as lists of positions.
pub(super) fn parts(mut open: Vec<bool>, height: usize, width: usize) -> Vec<Vec<usize>> {
    let mut parts = Vec::new();
    for start in 0..open.len() {
        if !std::mem::take(&mut open[start]) {
            continue;
        }
        let (mut part, mut next) = (vec![start], 0);
        while let Some(&i) = part.get(next) {
            next += 1;
            let (row, column) = (i / width, i % width);
            for r in row.saturating_sub(1)..(row + 2).min(height) {
                for c in column.saturating_sub(1)..(column + 2).min(width) {
                    if std::mem::take(&mut open[r * width + c]) {
                        part.push(r * width + c);
                    }
                }
            }
        }
        parts.push(part);
    }
    parts
}

/// Returns the positions above, below, left and right of `i`.
pub(super) fn neighbors(i: usize, [height, width]: [usize; 2]) -> impl Iterator<Item = usize> {
    let (row, column) = (i / width, i % width);
    [
        (row > 0).then(|| i - width),
        (row + 1 < height).then_some(i + width),
        (column > 0).then(|| i.wrapping_sub(1)),
        (column + 1 < width).then_some(i + 1),
    ]
    .into_iter()
    .flatten()
}

/// Returns which positions are at most `reach` rows and columns away from one of `positions`.
pub(super) fn dilated(positions: &[usize], [height, width]: [usize; 2], reach: usize) -> Vec<bool> {
    let mut near = vec![false; height * width];
    for &i in positions {
        let (row, column) = (i / width, i % width);
        let (from, to) = (column.saturating_sub(reach), (column + reach + 1).min(width));
        near[row * width + from..row * width + to].fill(true);
    }
    spread_down(&mut near, [height, width], reach);
    near
}

/// Extends each marked position by `reach` rows both ways.
fn spread_down(near: &mut [bool], [height, width]: [usize; 2], reach: usize) {
    let rows = near.to_vec();
    let mut since = vec![reach + 1; width];
    let mut pass = |row: usize, since: &mut [usize]| {
        let line = row * width..(row + 1) * width;
        for ((near, &here), since) in near[line.clone()].iter_mut().zip(&rows[line]).zip(since) {
            *since = if here { 0 } else { since.saturating_add(1) };
            *near |= *since <= reach;
        }
    };
    (0..height).for_each(|row| pass(row, &mut since));
    since.fill(reach + 1);
    (0..height).rev().for_each(|row| pass(row, &mut since));
}

/// The rows and columns that positions take up, the last ones included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub top: usize,
    pub bottom: usize,
    pub left: usize,
    pub right: usize,
}

impl Extent {
    /// Returns the extent of `positions` in a picture of `width` columns; of none, a single pixel.
    pub fn of(positions: impl IntoIterator<Item = usize>, width: usize) -> Self {
        let nothing = Extent { top: usize::MAX, bottom: 0, left: usize::MAX, right: 0 };
        let all = positions.into_iter().fold(nothing, |extent, i| Extent {
            top: extent.top.min(i / width),
            bottom: extent.bottom.max(i / width),
            left: extent.left.min(i % width),
            right: extent.right.max(i % width),
        });
        Extent { top: all.top.min(all.bottom), left: all.left.min(all.right), ..all }
    }

    /// Returns height and width.
    pub fn size(&self) -> [usize; 2] {
        [self.bottom + 1 - self.top, self.right + 1 - self.left]
    }

    pub fn has(&self, row: usize, column: usize) -> bool {
        (self.top..=self.bottom).contains(&row) && (self.left..=self.right).contains(&column)
    }

    pub fn holds(&self, other: &Self) -> bool {
        self.has(other.top, other.left) && self.has(other.bottom, other.right)
    }

    pub fn longer_side(&self) -> usize {
        let [height, width] = self.size();
        height.max(width)
    }

    /// Returns the extent with `more` rows and columns on all sides.
    pub fn grown(&self, more: usize) -> Self {
        Extent {
            top: self.top.saturating_sub(more),
            bottom: self.bottom.saturating_add(more),
            left: self.left.saturating_sub(more),
            right: self.right.saturating_add(more),
        }
    }

    /// Returns the extent in a picture of which this one is the part that starts at this place.
    pub fn moved(&self, top: usize, left: usize) -> Self {
        Extent {
            top: self.top + top,
            bottom: self.bottom + top,
            left: self.left + left,
            right: self.right + left,
        }
    }

    /// Returns the extent with `fewer` rows and columns on all sides, where there are enough.
    pub fn shrunk(&self, fewer: usize) -> Self {
        let [rows, columns] = self.size().map(|side| fewer.min((side - 1) / 2));
        Extent {
            top: self.top + rows,
            bottom: self.bottom - rows,
            left: self.left + columns,
            right: self.right - columns,
        }
    }

    /// Returns the rows or columns between the two, whichever are more; 0 if they overlap.
    pub fn gap(&self, other: &Self) -> usize {
        let between =
            |a: [usize; 2], b: [usize; 2]| b[0].saturating_sub(a[1]).max(a[0].saturating_sub(b[1]));
        let rows = between([self.top, self.bottom], [other.top, other.bottom]);
        rows.max(between([self.left, self.right], [other.left, other.right]))
    }

    /// Returns the positions in a picture of `width` columns, row by row.
    pub fn positions(self, width: usize) -> impl Iterator<Item = usize> {
        (self.top..=self.bottom)
            .flat_map(move |row| (self.left..=self.right).map(move |column| row * width + column))
    }
}
