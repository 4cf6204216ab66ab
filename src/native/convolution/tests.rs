use super::registers::simulated::{REGISTERS, Registers};
use super::*;

/// Whole numbers, of which no product or sum is rounded.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 31 + i / 7 + seed) % 11) as f32 - 5.0).collect()
}

/// Packs a matrix of [rows, columns] into panels.
fn packed(matrix: &[f32], rows: usize, columns: usize, width: usize) -> Vec<f32> {
    let mut data = Vec::new();
    for first in (0..columns).step_by(width) {
        for row in 0..rows {
            let end = columns.min(first + width);
            data.extend_from_slice(&matrix[row * columns..][first..end]);
        }
    }
    data
}

type Sizes = ([usize; 2], [usize; 2], [usize; 2], usize);

/// Convolutions of several sizes: the height and width of the output, channels, filters, rows and columns of a
/// filter, strides.
const SIZES: [Sizes; 6] = [
    ([1, 1], [16, 16], [1, 1], 1),
    ([3, 4], [16, 32], [3, 3], 1),
    ([5, 5], [32, 48], [3, 2], 2),
    ([2, 9], [48, 80], [2, 3], 1),
    ([4, 7], [32, 64], [3, 3], 3),
    ([3, 3], [144, 16], [1, 1], 2),
];

#[test]
fn products_match_the_definition() {
    for registers in [Registers::Own, Registers::Wide, Registers::Plain] {
        REGISTERS.set(registers);
        check_products();
    }
}

fn check_products() {
    for ([height, width], [channels, filters], [rows, columns], step) in SIZES {
        let across = (width - 1) * step + columns;
        let down = (height - 1) * step + rows;
        let starts: Vec<u32> = (0..height * width)
            .map(|i| ((i / width * across + i % width) * step * channels) as u32)
            .collect();
        let (stride, length) = (across * channels, columns * channels);
        let windows = Windows { starts: &starts, rows, stride, length };
        let (size, pixels) = (windows.size(), starts.len());
        let x = numbers(down * across * channels, 1);
        let weights = numbers(filters * size, 2);
        let bias = numbers(filters, 3);
        let place =
            |pixel: usize, k: usize| starts[pixel] as usize + k / length * stride + k % length;

        let transposed: Vec<f32> =
            (0..size * filters).map(|i| weights[i % filters * size + i / filters]).collect();
        let width = panel_width();
        let data = packed(&transposed, size, filters, width);
        let panels = Panels { data: &data, rows: size, columns: filters, width };
        let mut out = vec![f32::NAN; pixels * filters];
        correlate(&mut out, &x, windows, panels, &bias);
        for (i, &value) in out.iter().enumerate() {
            let (pixel, filter) = (i / filters, i % filters);
            let products = (0..size).map(|k| x[place(pixel, k)] * weights[filter * size + k]);
            assert_eq!(value, bias[filter] + products.sum::<f32>());
        }

        let dy = numbers(pixels * filters, 4);
        let mut dx = numbers(x.len(), 5);
        let mut expected = dx.clone();
        for (pixel, k) in (0..pixels).flat_map(|pixel| (0..size).map(move |k| (pixel, k))) {
            let products = (0..filters).map(|f| dy[pixel * filters + f] * weights[f * size + k]);
            expected[place(pixel, k)] += products.sum::<f32>();
        }
        let width = (1..=panel_width() / LANES)
            .rev()
            .find(|width| (channels / LANES).is_multiple_of(*width))
            .unwrap_or(1)
            * LANES;
        let data = packed(&weights, filters, size, width);
        let panels = Panels { data: &data, rows: filters, columns: size, width };
        spread(&mut dx, windows, &dy, panels);
        assert_eq!(dx, expected);

        let mut dw = numbers(weights.len(), 6);
        let mut expected = dw.clone();
        for (i, sum) in expected.iter_mut().enumerate() {
            let (filter, k) = (i / size, i % size);
            *sum += (0..pixels).map(|p| dy[p * filters + filter] * x[place(p, k)]).sum::<f32>();
        }
        let before = dw.clone();
        add_gradient(&mut dw, &x, windows, &dy);
        assert_eq!(dw, expected);

        // Gradients of one or no pixel for each channel, and a zero among them.
        let maxima = 3;
        let pixel = |i: usize| i * 7 % pixels;
        let found: Vec<f32> =
            (0..maxima * filters).map(|i| f32::from_bits(pixel(i) as u32)).collect();
        let values = numbers(maxima * filters, 0);
        let mut dense = vec![0.0; dy.len()];
        for (i, value) in values.iter().enumerate() {
            dense[pixel(i) * filters + i % filters] += value;
        }
        let mut sparse = SparseGradients::default();
        sparse.collect(&values, &found, &starts, filters);
        let (mut one, mut other) = (before.clone(), before);
        add_gradient(&mut one, &x, windows, &dense);
        add_sparse_gradient(&mut other, &x, windows, &sparse);
        assert_eq!(one, other);
        if rows == 1 && size <= MOST_DIRECT * LANES {
            let mut other = numbers(weights.len(), 6);
            add_maxima_gradient(&mut other, &x, windows, &values, &found);
            assert_eq!(one, other);
        }
        let (mut one, mut other) = (x.clone(), x.clone());
        spread(&mut one, windows, &dense, panels);
        spread_sparse(&mut other, windows, &sparse, &weights);
        assert_eq!(one, other);
    }
}

#[test]
#[should_panic(expected = "a window beyond its picture")]
fn a_window_beyond_its_picture_is_refused() {
    let windows = Windows { starts: &[1], rows: 2, stride: 16, length: 16 };
    add_gradient(&mut [0.0; 512], &[0.0; 32], windows, &[0.0; 16]);
}
