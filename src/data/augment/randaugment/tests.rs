use serde::Deserialize;

use super::*;
use crate::data::PictureShape;
use crate::data::augment::{Augment, Augmenter, Draw, Scratch};

/// Written by `tests/fixtures/make_randaugment.py`.
const FIXTURE: &str = include_str!("../../../../tests/fixtures/randaugment.json");

#[derive(Deserialize)]
struct Fixture {
    height: usize,
    width: usize,
    picture: Vec<u8>,
    cases: Vec<Case>,
    large: Vec<u8>,
    equalized: Vec<u8>,
}

#[derive(Deserialize)]
struct Case {
    kind: String,
    magnitude: f64,
    sign: f64,
    pixels: Vec<f32>,
}

/// Returns an image after one operation.
fn changed(operation: Operation, picture: &[u8], shape: PictureShape) -> Vec<f32> {
    let augmenter = Augmenter::new(Augment::OFF, 1, 1, shape);
    let draw = augmenter.draw(1, 1);
    let affine = operation.map([shape.height, shape.width]).map(|value| value as f32);
    let draw = Draw { affine, operations: [operation, Operation::default()], ..draw };
    let mut out = vec![f32::NAN; picture.len()];
    augmenter.apply(&draw, picture, &mut out, &mut Scratch::default());
    out
}

#[test]
fn each_operation_is_that_of_torchvision() {
    let Fixture { height, width, picture, cases, .. } = serde_json::from_str(FIXTURE).unwrap();
    for case in &cases {
        let kind = KINDS.into_iter().find(|kind| format!("{kind:?}") == case.kind).unwrap();
        let operation = Operation::new(kind, case.magnitude, case.sign);
        // Pictures in color have other borders, which `the_border_of_colors_is_reflected` looks at.
        let found: Vec<f32> = match operation.moves() {
            false => changed(operation, &picture, PictureShape { color: true, height, width }),
            true => picture
                .chunks_exact(height * width)
                .flat_map(|plane| changed(operation, plane, [height, width].into()))
                .collect(),
        };
        assert_eq!(found.len(), case.pixels.len());
        for (found, expected) in found.iter().zip(&case.pixels) {
            // The expected values have 6 decimals, and positions in f32 are accurate to a millionth of a pixel.
            assert!(
                (found - expected).abs() < 3e-6,
                "{} {} {}: {found} for {expected}",
                case.kind,
                case.magnitude,
                case.sign
            );
        }
    }
    assert_eq!(cases.len(), 3 * (5 + 2 * 9));
}

#[test]
fn levels_are_equalized_as_in_pillow() {
    let Fixture { large, equalized, .. } = serde_json::from_str(FIXTURE).unwrap();
    let found = changed(Operation::new(Kind::Equalize, 9.0, 1.0), &large, [24, 24].into());
    let found: Vec<u8> = found.iter().map(|value| (255.0 * value).round() as u8).collect();
    assert_eq!(found, equalized);
    assert_ne!(large, equalized);
}

#[test]
fn the_border_of_colors_is_reflected() {
    let picture: Vec<u8> = [[10u8, 20, 30, 40]; 3].concat();
    let shape = PictureShape { color: true, height: 1, width: 4 };
    let found = changed(Operation { kind: Kind::TranslateX, amount: 0.5 }, &picture, shape);
    let found: Vec<u8> = found.iter().map(|value| (255.0 * value).round() as u8).collect();
    assert_eq!(found, [[30u8, 20, 10, 20]; 3].concat());
}

#[test]
fn operations_depend_on_seed_epoch_and_sample() {
    let augment = Augment { randaugment: 9.0, ..Augment::OFF };
    let draws = |seed, epoch| -> Vec<_> {
        let augmenter = Augmenter::new(augment, seed, 9, [8, 8]);
        (0..50).map(|sample| augmenter.draw(epoch, sample).operations).collect()
    };
    assert_eq!(draws(1, 2), draws(1, 2));
    assert!(draws(1, 2) != draws(2, 2) && draws(1, 2) != draws(1, 3));
    let mut kinds: Vec<String> =
        draws(1, 2).iter().flatten().map(|operation| format!("{:?}", operation.kind)).collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds.len(), KINDS.len());
}

/// Two operations in the order of the draw: the second is applied to the result of the first.
#[test]
fn moving_operations_are_joined_in_their_order() {
    let [turned, shifted] = [(Kind::Rotate, 90.0), (Kind::TranslateX, 0.4)]
        .map(|(kind, amount)| Operation { kind, amount }.map([5, 5]));
    // Output (2, 0) comes from (0, 0) before the shift to the right, and that from (0, 0) before the rotation; output
    // (2, 1) from (0, 1), and that from (-1, 0).
    let joined = compose(turned, shifted);
    let at = |u: f64, v: f64| {
        let [a, b, x, c, d, y] = joined;
        [a * u + b * v + x, c * u + d * v + y].map(f64::round)
    };
    assert_eq!((at(2.0, 0.0), at(2.0, 1.0)), ([0.0, 0.0], [-1.0, 0.0]));
}

#[test]
fn operations_fade_out_with_the_rest() {
    let augment = Augment { randaugment: 9.0, fade: 0.5, ..Augment::OFF };
    let augmenter = Augmenter::new(augment, 1, 10, [8, 8]);
    let idle = |epoch| {
        let operations = (0..500).flat_map(|sample| augmenter.draw(epoch, sample).operations);
        operations.filter(|operation| operation.kind == Kind::Identity).count()
    };
    // One in 14 is the identity itself: of 1000 about 71 at full strength, and 629 at 0.4.
    assert!(idle(1) < 110 && (560..700).contains(&idle(8)), "{} {}", idle(1), idle(8));
    assert_eq!(idle(10), 1000);
}

#[test]
fn without_it_records_and_draws_stay() {
    let record = serde_json::to_string(&Augment::OFF).unwrap();
    assert!(!record.contains("randaugment"), "{record}");
    let old: Augment = serde_json::from_str(r#"{"rotation": 9.0}"#).unwrap();
    assert_eq!(old.randaugment, 0.0);
    let other = Augment { rotation: 9.0, elastic: 0.3, flip: 0.5, crop: 2.0, ..Augment::OFF };
    let both = Augment { randaugment: 9.0, ..other };
    let draw = |augment| Augmenter::new(augment, 1, 9, [8, 8]).draw(1, 7);
    let (own, joined) = (draw(other), draw(both));
    assert_eq!((own.control, own.changes), (joined.control, joined.changes));
    assert_eq!(own.operations, <[Operation; OPERATIONS]>::default());
}
