//! Matrix products in f32 on the calling thread, by the crate `gemm-f32`: of the libraries available on a CPU, it
//! is the fastest for the small matrices of a training step (docs/speed.md has the measurements).

use gemm_common::Parallelism;
use gemm_f32::gemm::f32::get_gemm_fn;
use multiversion::multiversion;

/// A matrix view of a slice: element (i, j) is at index i · `row_stride` + j · `column_stride`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Views `data` as a row-major matrix with `stride` elements from one row to the next.
    pub fn new(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        check(data.len(), rows, columns, [stride, 1]);
        Self { data, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// Returns the transpose, without a copy.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// The number of columns summed at a time, limited by the number of registers.
const AT_ONCE: usize = 32;

impl Matrix<'_> {
    /// Writes the sum of the rows.
    ///
    /// # Panics
    /// If `sum` does not have one element per column.
    pub fn sum_rows(self, sum: &mut [f32]) {
        assert_eq!(sum.len(), self.columns, "columns");
        assert_eq!(self.column_stride, 1, "contiguous rows");
        for (start, sum) in (0..).step_by(AT_ONCE).zip(sum.chunks_mut(AT_ONCE)) {
            sum_columns(sum, &self.data[start..], self.rows, self.row_stride);
        }
    }
}

/// Writes the sums of a few columns, in f64: in f32, a sum that cancels out would consist of the rounding errors of its
/// terms.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn sum_columns(sum: &mut [f32], data: &[f32], rows: usize, stride: usize) {
    let mut sums = [0f64; AT_ONCE];
    for row in data.chunks(stride).take(rows) {
        match row.first_chunk::<AT_ONCE>().filter(|_| sum.len() == AT_ONCE) {
            Some(row) => (sums.iter_mut().zip(row)).for_each(|(sum, &v)| *sum += f64::from(v)),
            None => {
                (sums.iter_mut().zip(&row[..sum.len()])).for_each(|(sum, &v)| *sum += f64::from(v))
            }
        }
    }
    sum.iter_mut().zip(sums).for_each(|(sum, exact)| *sum = exact as f32);
}

/// Returns whether [`multiply`] sums up the terms of such a product in the same order for all strides of `a` and `b`.
/// For products this small it chooses its kernel by the strides, too.
pub fn is_order_fixed(rows: usize, inner: usize, columns: usize) -> bool {
    rows > 1 && columns > 1 && inner > 2 && rows * columns > 16 * 16
}

/// The largest number of rows for which the library reads `b` in place where it can, rather than from a copy.
const IN_PLACE: usize = 48;

/// Returns the number of rows of `out` to compute at a time, so that `b` is read in place where that is faster: the
/// products of a block of weights took up to a seventh less time. Rows that are far apart share places of the cache,
/// and few terms do not make up for the calls.
fn rows_at_once(a: &Matrix, b: &Matrix) -> Option<usize> {
    let is_read_in_place = b.column_stride == 1 && b.columns.is_multiple_of(16);
    let is_faster = a.rows > IN_PLACE && b.row_stride <= 256 && (64..=512).contains(&a.columns);
    // A single row would be summed up in another order.
    let sizes = [IN_PLACE, IN_PLACE - 6, IN_PLACE - 12];
    sizes.into_iter().find(|size| is_read_in_place && is_faster && a.rows % size != 1)
}

/// Computes `out` = a · b, or `out` += a · b if `add`; `out` is row-major.
///
/// # Panics
/// If the sizes do not match.
pub fn multiply(out: &mut [f32], a: Matrix, b: Matrix, add: bool) {
    assert_eq!(a.columns, b.rows, "inner sizes");
    check(out.len(), a.rows, b.columns, [b.columns, 1]);
    if a.rows == 0 || b.columns == 0 {
        return;
    }
    let Some(rows) = rows_at_once(&a, &b) else { return product(out, a, b, add) };
    for (i, out) in out[..a.rows * b.columns].chunks_mut(rows * b.columns).enumerate() {
        let data = &a.data[i * rows * a.row_stride..];
        product(out, Matrix { data, rows: out.len() / b.columns, ..a }, b, add);
    }
}

/// Computes a product, whose sizes match, by the library.
fn product(out: &mut [f32], a: Matrix, b: Matrix, add: bool) {
    check(out.len(), a.rows, b.columns, [b.columns, 1]);
    // The library is made for column-major results: outᵀ = bᵀ · aᵀ is one. Its own front end, the crate `gemm`,
    // leaves a single column as it is, and so do we for the same order of summation.
    let width = b.columns;
    let (a, b) = if width == 1 { (a, b) } else { (b.transposed(), a.transposed()) };
    let stride = |stride: usize| stride as isize;
    // SAFETY: every element of the three matrices is within its slice, which `check` has verified (of a part of `a`,
    // for the whole), and `out` is borrowed mutably.
    unsafe {
        get_gemm_fn()(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            stride(width),
            1,
            // Whether `out` is read.
            add,
            a.data.as_ptr(),
            stride(a.column_stride),
            stride(a.row_stride),
            b.data.as_ptr(),
            stride(b.column_stride),
            stride(b.row_stride),
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

fn check(length: usize, rows: usize, columns: usize, [row, column]: [usize; 2]) {
    let fits = || {
        let last_row = rows.checked_sub(1)?.checked_mul(row)?;
        let last_column = columns.checked_sub(1)?.checked_mul(column)?;
        Some(last_row.checked_add(last_column)? < length)
    };
    assert!(rows == 0 || columns == 0 || fits() == Some(true), "a matrix beyond its slice");
    assert!(isize::try_from(length).is_ok(), "a slice that no memory holds");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn products_match_the_definition(
            (m, k, n) in (1usize..40, 1usize..70, 1usize..40),
            mirrored in any::<[bool; 2]>(),
            gap in 0usize..3,
        ) {
            let numbers = |count: usize, seed: usize| -> Vec<f32> {
                (0..count).map(|i| ((i * 31 + seed) % 17) as f32 - 8.0).collect()
            };
            let matrix = |data: &'static [f32], rows, columns, mirrored| match mirrored {
                false => Matrix::new(data, rows, columns, columns + gap),
                true => Matrix::new(data, columns, rows, rows + gap).transposed(),
            };
            let leaked = |count, seed| &*Vec::leak(numbers(count, seed));
            let a = matrix(leaked((m + gap) * (k + gap), 1), m, k, mirrored[0]);
            let b = matrix(leaked((k + gap) * (n + gap), 5), k, n, mirrored[1]);
            let mut out = vec![f32::NAN; m * n];
            multiply(&mut out, a, b, false);
            let mut twice = out.clone();
            multiply(&mut twice, a, b, true);
            let at = |x: Matrix, i, j| x.data[i * x.row_stride + j * x.column_stride];
            for i in 0..m {
                for j in 0..n {
                    let expected: f32 = (0..k).map(|l| at(a, i, l) * at(b, l, j)).sum();
                    // Whole numbers: nothing is rounded.
                    prop_assert_eq!(out[i * n + j], expected);
                    prop_assert_eq!(twice[i * n + j], 2.0 * expected);
                }
            }
        }
    }

    /// Numbers whose products and sums are rounded.
    fn rounded(count: usize) -> Vec<f32> {
        (0..count).map(|i| 1.0 / (1 + (i * 7919) % 1013) as f32 - 0.01).collect()
    }

    #[test]
    fn strides_change_no_bit_of_a_product_whose_order_is_fixed() {
        let sizes = [(2, 3, 129), (2, 32, 256), (7, 31, 40), (32, 32, 257), (300, 5, 17)];
        for (rows, inner, columns) in sizes {
            assert!(is_order_fixed(rows, inner, columns));
            let (a, b) = (rounded(rows * inner), rounded(inner * columns));
            let mirrored: Vec<f32> =
                (0..b.len()).map(|i| b[i % inner * columns + i / inner]).collect();
            let a = Matrix::new(&a, rows, inner, inner);
            let of = |b| {
                let mut out = vec![0.5; rows * columns];
                multiply(&mut out, a, b, true);
                out
            };
            let plain = of(Matrix::new(&b, inner, columns, columns));
            assert_eq!(of(Matrix::new(&mirrored, columns, inner, inner).transposed()), plain);
        }
    }

    #[test]
    fn products_in_parts_have_the_bits_of_whole_ones() {
        for (rows, inner, columns) in [(49, 64, 32), (88, 256, 32), (97, 100, 256), (337, 512, 16)]
        {
            let (a, b) = (rounded(rows * inner), rounded(inner * columns));
            let a = Matrix::new(&a, inner, rows, rows).transposed();
            let b = Matrix::new(&b, inner, columns, columns);
            assert!(rows_at_once(&a, &b).is_some_and(|size| size < rows && rows % size != 1));
            let [mut parts, mut whole] = [(); 2].map(|()| vec![0.5; rows * columns]);
            multiply(&mut parts, a, b, true);
            product(&mut whole, a, b, true);
            assert_eq!(parts, whole, "{rows} x {inner} x {columns}");
        }
    }

    #[test]
    #[should_panic(expected = "a matrix beyond its slice")]
    fn a_matrix_beyond_its_slice_is_refused() {
        let _ = Matrix::new(&[0.0; 5], 2, 3, 3);
    }

    #[test]
    #[should_panic(expected = "a matrix beyond its slice")]
    fn a_product_beyond_its_slice_is_refused() {
        let a = [0.0; 6];
        multiply(&mut [0.0; 3], Matrix::new(&a, 2, 3, 3), Matrix::new(&a, 3, 2, 2), false);
    }
}
