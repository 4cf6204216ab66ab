//! Tiles of sums that stay in registers while products are added to them.

use super::registers::{LANES, Lanes};

/// Returns vectors of zeros. Tiles are filled by loops: closures would not be compiled for the registers.
#[inline(always)]
pub unsafe fn zeros<L: Lanes, const P: usize, const V: usize>() -> [[L; V]; P] {
    unsafe { [[L::splat(0.0); V]; P] }
}

/// Adds `length` products to a tile of sums: row p takes the numbers from `x[p]` on, each times V vectors of `w`,
/// whose rows are `stride` apart.
#[inline(always)]
pub unsafe fn multiply<L: Lanes, const P: usize, const V: usize>(
    sums: &mut [[L; V]; P],
    x: [*const f32; P],
    length: usize,
    w: *const f32,
    stride: usize,
) {
    unsafe {
        for l in 0..length {
            let w: [L; V] = load_row(w.add(l * stride));
            for p in 0..P {
                let x = L::splat(*x[p].add(l));
                for v in 0..V {
                    sums[p][v] = sums[p][v].add_product(x, w[v]);
                }
            }
        }
    }
}

/// Loads V vectors.
#[inline(always)]
pub unsafe fn load_row<L: Lanes, const V: usize>(from: *const f32) -> [L; V] {
    unsafe {
        let mut row = [L::splat(0.0); V];
        for v in 0..V {
            row[v] = L::load(from.add(v * LANES));
        }
        row
    }
}

/// Loads V vectors from each of P places, `stride` apart.
#[inline(always)]
pub unsafe fn load<L: Lanes, const P: usize, const V: usize>(
    from: *const f32,
    stride: usize,
) -> [[L; V]; P] {
    unsafe {
        let mut rows = zeros();
        for p in 0..P {
            rows[p] = load_row(from.add(p * stride));
        }
        rows
    }
}

/// Stores V vectors.
#[inline(always)]
pub unsafe fn store_row<L: Lanes, const V: usize>(row: [L; V], to: *mut f32) {
    unsafe {
        for v in 0..V {
            row[v].store(to.add(v * LANES));
        }
    }
}

/// Stores V vectors at each of P places, `stride` apart.
#[inline(always)]
pub unsafe fn store<L: Lanes, const P: usize, const V: usize>(
    rows: [[L; V]; P],
    to: *mut f32,
    stride: usize,
) {
    unsafe {
        for p in 0..P {
            store_row(rows[p], to.add(p * stride));
        }
    }
}

/// Work that is divided into tiles of some rows and some vectors.
pub trait Tiles {
    /// Computes a tile of P rows from `row` on and V vectors from `column` on.
    unsafe fn tile<L: Lanes, const P: usize, const V: usize>(&mut self, row: usize, column: usize);
}

/// Computes the tiles of `rows` and of the columns of a panel: its first and its width.
#[inline(always)]
pub unsafe fn tiles<L: Lanes>(work: &mut impl Tiles, rows: usize, (first, width): (usize, usize)) {
    let vectors = L::TILE[1].min(width / LANES);
    macro_rules! tile {
        ($rows:literal, $row:expr, $column:expr) => {{
            match vectors {
                1 => work.tile::<L, $rows, 1>($row, $column),
                2 => work.tile::<L, $rows, 2>($row, $column),
                3 => work.tile::<L, $rows, 3>($row, $column),
                _ => work.tile::<L, $rows, 4>($row, $column),
            }
            $rows
        }};
    }
    unsafe {
        for column in (first..first + width).step_by(vectors * LANES) {
            let mut row = 0;
            while row < rows {
                row += match (rows - row).min(L::TILE[0]) {
                    1 => tile!(1, row, column),
                    2 | 3 => tile!(2, row, column),
                    4 | 5 => tile!(4, row, column),
                    _ => tile!(6, row, column),
                };
            }
        }
    }
}
