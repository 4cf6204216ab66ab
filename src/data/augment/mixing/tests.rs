use rand_pcg::Pcg64Mcg;

use super::*;
use crate::data::augment::Augmenter;
use crate::rng::{Purpose, stream};

const BOTH: Augment = Augment { mixup: 0.4, cutmix: 1.0, ..Augment::OFF };

fn generator() -> Pcg64Mcg {
    stream(1, Purpose::Augment, &[])
}

/// Mean 1/2 and variance 1 / (4 (2 alpha + 1)).
#[test]
fn parts_have_the_moments_of_the_beta_distribution() {
    let mut rng = generator();
    for (alpha, variance) in [(0.2, 0.178571), (0.4, 0.138889), (1.0, 0.083333), (5.0, 0.022727)] {
        let drawn: Vec<f64> = (0..20_000).map(|_| beta(alpha, &mut rng)).collect();
        let mean = |of: &dyn Fn(f64) -> f64| drawn.iter().map(|&x| of(x)).sum::<f64>() / 20_000.0;
        assert!(drawn.iter().all(|x| (0.0..=1.0).contains(x)));
        // Standard errors are at most 0.003 and 0.001.
        assert!((mean(&|x| x) - 0.5).abs() < 0.012, "{alpha}");
        assert!((mean(&|x| (x - 0.5).powi(2)) - variance).abs() < 0.004, "{alpha}");
    }
    assert!((0..100).all(|_| [0.0, 1.0].contains(&beta(1e-320, &mut rng))));
}

#[test]
fn mixup_blends_all_pixels_and_cutmix_replaces_those_of_an_area() {
    let mixed = |mix: Mix| {
        let mut out = [0.0, 0.25, 0.5, 1.0, 0.0, 0.25];
        mix.apply(&mut out, &[1.0; 6], [2, 3]);
        (out, mix.fraction([2, 3]))
    };
    let all = Mix { partner: 0, amount: 0.75, area: [[0, 2], [0, 3]] };
    assert_eq!(mixed(all), ([0.75, 0.8125, 0.875, 1.0, 0.75, 0.8125], 0.75));
    let corner = Mix { partner: 0, amount: 1.0, area: [[0, 2], [1, 2]] };
    let (out, fraction) = mixed(corner);
    assert_eq!(out, [0.0, 1.0, 0.5, 1.0, 1.0, 0.25]);
    assert!((fraction - 1.0 / 3.0).abs() < 1e-7);
    // Plane by plane.
    let mut planes = [0.0; 6];
    Mix { area: [[0, 1], [1, 2]], ..corner }.apply(&mut planes, &[1.0; 6], [1, 2]);
    assert_eq!(planes, [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
}

/// torchvision: half sides of int(0.5 · sqrt(1 - lambda) · side), cut off at the border.
#[test]
fn the_area_is_a_rectangle_around_a_pixel() {
    let mut rng = generator();
    let mut whole = 0;
    for _ in 0..500 {
        let sides = area(0.25, [32, 20], &mut rng).map(|[first, end]| end - first);
        assert!((8..=16).contains(&sides[0]) && (5..=10).contains(&sides[1]), "{sides:?}");
        whole += usize::from(sides == [16, 10]);
    }
    // In 17 of 32 rows and 11 of 20 columns nothing is cut off: 29 %.
    assert!((100..200).contains(&whole), "{whole}");
}

#[test]
fn the_draw_depends_on_seed_epoch_and_sample() {
    let mixes = |augment, seed, epoch| -> Vec<Option<Mix>> {
        let augmenter = Augmenter::new(augment, seed, 10, [9, 9]);
        (0..200).map(|sample| augmenter.mix(epoch, sample, 200)).collect()
    };
    let found = mixes(BOTH, 1, 2);
    assert_eq!(found, mixes(BOTH, 1, 2));
    assert!(found != mixes(BOTH, 2, 2) && found != mixes(BOTH, 1, 3));
    for (sample, mix) in (0..).zip(&found) {
        assert!(mix.is_none_or(|mix| mix.partner != sample && mix.partner < 200));
    }
    let cut = found.iter().flatten().filter(|mix| mix.amount == 1.0).count();
    assert!((60..140).contains(&cut), "{cut}");
    let cutmix = Augment { mixup: 0.0, ..BOTH };
    assert!(mixes(cutmix, 1, 2).iter().flatten().all(|mix| mix.amount == 1.0));
    // A sample alone stays.
    assert_eq!(Augmenter::new(BOTH, 1, 10, [9, 9]).mix(1, 0, 1), None);
}

#[test]
fn mixing_fades_out_with_the_rest() {
    let augment = Augment { fade: 0.5, cutmix: 0.0, ..BOTH };
    let augmenter = Augmenter::new(augment, 1, 10, [9, 9]);
    let mixed = |epoch| (0..500).filter(|&i| augmenter.mix(epoch, i, 500).is_some()).count();
    assert!(mixed(1) > 450 && (140..260).contains(&mixed(8)), "{} {}", mixed(1), mixed(8));
    assert_eq!(mixed(10), 0);
}

#[test]
fn without_it_records_stay() {
    let record = serde_json::to_string(&Augment::OFF).unwrap();
    assert!(!record.contains("mix"), "{record}");
    assert!(!Augment::OFF.mixes() && BOTH.mixes());
    assert_eq!(Augmenter::new(Augment::OFF, 1, 10, [9, 9]).mix(1, 0, 200), None);
}
