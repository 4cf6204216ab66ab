use super::spline::SPACING;
use super::*;
use proptest::prelude::*;

/// The same map, computed in f64 from its definition, pixel by pixel.
fn reference(draw: &Draw, image: &[u8], [height, width]: [usize; 2]) -> Vec<f64> {
    let pixel = |row: f64, column: f64| {
        let inside = row >= 0.0 && column >= 0.0 && row < height as f64 && column < width as f64;
        if inside { f64::from(image[row as usize * width + column as usize]) / 255.0 } else { 0.0 }
    };
    // The cubic B-spline around zero, of support (-2, 2).
    let spline = |t: f64| match t.abs() {
        t if t < 1.0 => 2.0 / 3.0 - t * t + t * t * t / 2.0,
        t if t < 2.0 => (2.0 - t).powi(3) / 6.0,
        _ => 0.0,
    };
    let points = |pixels: usize| (pixels - 1) / SPACING as usize + 4;
    let (rows, columns) = (points(height), points(width));
    let displacement = |of: usize, row: usize, column: usize| -> f64 {
        let mut sum = 0.0;
        for i in 0..rows {
            for j in 0..columns {
                let control = draw.control.get((of * rows + i) * columns + j).copied();
                // Control point i lies at pixel (i - 1) · spacing.
                let at = |pixel: usize, i: usize| {
                    spline(pixel as f64 / f64::from(SPACING) - (i as f64 - 1.0))
                };
                sum += f64::from(control.unwrap_or(0.0)) * at(row, i) * at(column, j);
            }
        }
        sum
    };
    let [xx, xy, x0, yx, yy, y0] = draw.affine.map(f64::from);
    let middle = ((width - 1) as f64 / 2.0, (height - 1) as f64 / 2.0);
    let mut out = Vec::new();
    for row in 0..height {
        for column in 0..width {
            let (u, v) = (column as f64 - middle.0, row as f64 - middle.1);
            let x = xx * u + xy * v + x0 + middle.0 + displacement(0, row, column);
            let y = yx * u + yy * v + y0 + middle.1 + displacement(1, row, column);
            let (left, top) = (x.floor(), y.floor());
            let (fx, fy) = (x - left, y - top);
            out.push(
                (1.0 - fy) * ((1.0 - fx) * pixel(top, left) + fx * pixel(top, left + 1.0))
                    + fy * ((1.0 - fx) * pixel(top + 1.0, left)
                        + fx * pixel(top + 1.0, left + 1.0)),
            );
        }
    }
    out
}

fn apply(augmenter: &Augmenter, draw: &Draw, image: &[u8]) -> Vec<f32> {
    let mut out = vec![f32::NAN; image.len()];
    augmenter.apply(draw, image, &mut out, &mut Scratch::default());
    out
}

const STRONG: Augment =
    Augment { rotation: 30.0, scale: 0.3, shift: 3.0, shear: 0.3, elastic: 1.0, ..Augment::OFF };

proptest! {
    #[test]
    fn the_fused_pass_matches_the_reference_map(
        height in 1usize..40,
        width in 1usize..40,
        seed in any::<u64>(),
        epoch in 1usize..1000,
        sample in any::<u32>(),
        scale in 0.0f64..1.0,
        pixels in prop::collection::vec(any::<u8>(), 1600),
    ) {
        let Augment { rotation, scale: size, shift, shear, elastic, fade, .. } = STRONG;
        let augment = Augment {
            rotation: 6.0 * scale * rotation,
            scale: 2.5 * scale * size,
            shift: 8.0 * scale * shift,
            shear: scale * shear,
            elastic: 4.0 * scale * elastic,
            fade,
            ..Augment::OFF
        };
        let augmenter = Augmenter::new(augment, seed, 1000, [height, width]);
        let image = &pixels[..height * width];
        let draw = augmenter.draw(epoch, sample);
        let expected = reference(&draw, image, [height, width]);
        for (got, expected) in apply(&augmenter, &draw, image).into_iter().zip(expected) {
            // A position of up to some tens in f32 is accurate to a few millionths of a pixel, and
            // adjacent pixels differ by 1 at most.
            prop_assert!((f64::from(got) - expected).abs() < 5e-5, "{got} for {expected}");
        }
    }
}

#[test]
fn without_deformation_the_image_is_only_scaled() {
    let image: Vec<u8> = (0..=255).collect();
    let augmenter = Augmenter::new(Augment::default(), 1, 1, [16, 16]);
    for (got, &pixel) in apply(&augmenter, &augmenter.draw(1, 1), &image).iter().zip(&image) {
        assert!((got - f32::from(pixel) / 255.0).abs() < 1e-6);
    }
}

#[test]
fn the_draw_depends_on_sample_and_epoch() {
    let augmenter = |seed| Augmenter::new(STRONG, seed, 9, [28, 28]);
    let draw = |seed, epoch, sample| {
        let draw = augmenter(seed).draw(epoch, sample);
        [&draw.affine[..], &draw.control].concat()
    };
    assert_eq!(draw(1, 2, 3), draw(1, 2, 3));
    for other in [draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4)] {
        assert_ne!(other, draw(1, 2, 3));
    }
}

/// Over many draws each number stays within its limits and fills them, and the elastic displacement has the
/// standard deviation that its setting names.
#[test]
fn draws_fill_the_limits_of_their_settings() {
    let augmenter = Augmenter::new(STRONG, 3, 9, [28, 28]);
    let (mut most, mut squares, mut count) = ([0.0f32; 3], 0.0, 0.0);
    for sample in 0..4000 {
        let draw = augmenter.draw(1, sample);
        let [xx, _, x, yx, _, y] = draw.affine;
        let angle = yx.atan2(xx).to_degrees().abs();
        let size = 1.0 / xx.hypot(yx);
        for (most, value) in most.iter_mut().zip([angle, (size - 1.0).abs(), x.abs().max(y.abs())])
        {
            *most = most.max(value);
        }
        let mut scratch = Scratch::default();
        augmenter.spread(&draw, &mut scratch);
        // The displacement along x in row 13, at its center.
        let (first, weights) = augmenter.rows.taps[13];
        let middle = (0..4).map(|tap| weights[tap] * scratch.spread[(first + tap) * 28 + 14]);
        squares += f64::from(middle.sum::<f32>()).powi(2);
        count += 1.0;
    }
    for (most, limit) in most.into_iter().zip([30.0, 0.3, 3.0]) {
        assert!(most <= limit * 1.0001 && most > 0.99 * limit, "{most} for {limit}");
    }
    // At one position the variance is not quite the mean over all positions.
    let deviation = (squares / count).sqrt();
    assert!((0.85..1.15).contains(&deviation), "{deviation}");
}

#[test]
fn fading_reaches_zero_in_the_last_epoch() {
    let fading = |fade| Augmenter::new(Augment { fade, ..STRONG }, 3, 10, [28, 28]);
    let strengths: Vec<f64> = (1..=10).map(|epoch| fading(0.5).strength(epoch)).collect();
    assert_eq!(strengths, [1.0, 1.0, 1.0, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2, 0.0]);
    assert!((1..=10).all(|epoch| fading(0.0).strength(epoch) == 1.0));
    let last = fading(0.5).draw(10, 1);
    assert!(
        last.affine == [1.0, 0.0, 0.0, 0.0, 1.0, 0.0] && last.control.iter().all(|&d| d == 0.0)
    );
    // Smaller but otherwise the same: the same positions at another strength.
    let (whole, part) = (fading(0.0).draw(6, 1), fading(0.5).draw(6, 1));
    assert!((part.control[7] / whole.control[7] - 0.8).abs() < 1e-6);
}

#[test]
fn positions_split_into_whole_and_fraction() {
    for place in
        [-1e30, -3.0, 0.0, 0.5, 0.75, 1.0, 1.5, 2.0, 2.999, 3.0, 28.25, 30.0, 1e30, f32::NAN]
    {
        let (whole, rest) = split(place, 30.0);
        let inside = if place.is_nan() { 0.5 } else { place.clamp(0.5, 30.0) };
        assert!((whole as f32 + rest - inside).abs() < 1e-6, "{place}: {whole} + {rest}");
        assert!((0.0..=1.0).contains(&rest) && whole <= 30, "{place}: {whole} + {rest}");
    }
}
