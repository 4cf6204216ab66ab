//! Tests of data sets: what is refused, views, splits, weights.

use super::*;

fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| i.to_string()).collect()
}

/// Returns a data set whose sample i is a single pixel of value i.
fn numbered(labels: &[u8], classes: usize) -> Dataset {
    let pixels = (0..labels.len()).map(|i| i as u8).collect();
    Dataset::new(pixels, [1, 1], labels.to_vec(), names(classes)).unwrap()
}

fn ids(dataset: &Dataset) -> Vec<u8> {
    (0..dataset.len()).map(|i| dataset.image(i)[0]).collect()
}

#[test]
fn invalid_data_sets_are_refused() {
    let text = |pixels: usize, shape, labels: &[u8], classes| {
        Dataset::new(vec![0; pixels], shape, labels.to_vec(), names(classes))
            .unwrap_err()
            .to_string()
    };
    assert!(text(0, [2, 2], &[], 2).contains("found 0 of 2x2"));
    assert!(text(0, [0, 2], &[0], 2).contains("found 1 of 0x2"));
    assert!(text(7, [2, 2], &[0, 1], 2).contains("found 7 pixels"));
    assert!(text(8, [usize::MAX, 2], &[0, 1], 2).contains("found 8 pixels"));
    assert!(text(2, [1, 1], &[0, 0], 1).contains("2 to 256 classes, found 1"));
    assert!(text(2, [1, 1], &[0, 0], 257).contains("found 257"));
    assert!(text(3, [1, 1], &[0, 2, 3], 2).contains("from 0 to 1"));
    assert!(text(3, [1, 1], &[0, 2, 3], 2).contains("found 2 at sample 1"));
}

#[test]
fn arrays_that_form_no_data_set_are_refused_by_place() {
    let text = |features: Features, targets: Targets| {
        Dataset::from_arrays(features, targets).unwrap_err().to_string()
    };
    let (two, one) = (["a", "b"], ["y"]);
    let numbers = |n: usize| Targets::numbers(vec![0.5; n], one);
    let floats = |values: &[f32], shape: &[usize]| Features::floats(values, shape);
    assert!(text(floats(&[], &[2]), numbers(0)).contains("found 0 of shape [2]"));
    assert!(text(floats(&[1.0], &[]), numbers(1)).contains("found 1 of shape []"));
    assert!(text(floats(&[1.0], &[3, 0]), numbers(1)).contains("shape [3, 0]"));
    let error = text(floats(&[1.0; 5], &[2]), numbers(2));
    assert!(error.contains("2 samples of shape [2], found 5 values"), "{error}");
    assert!(text(floats(&[1.0], &[usize::MAX, 2]), numbers(1)).contains("found 1 values"));
    let mut values = vec![0.0; 24];
    values[17] = f32::NAN;
    let error = text(floats(&values, &[2, 2, 3]), numbers(2));
    assert!(error.contains("found NaN at sample 1, column [0, 1, 2]"), "{error}");
    let error = text(floats(&values, &[12]), numbers(2));
    assert!(error.contains("found NaN at sample 1, column 5"), "{error}");
    let ok = || floats(&[0.0; 4], &[2]);
    let error = text(ok(), Targets::numbers([0.0, 1.0, f32::INFINITY, 2.0], two));
    assert!(
        error.contains("targets must be finite") && error.contains("inf at sample 1, column 0")
    );
    let error = text(ok(), Targets::labels([0, 1, 2, 1], two));
    assert!(error.contains("labels are 0 or 1, found 2 at sample 1, column 0"), "{error}");
    let error = text(ok(), Targets::numbers([0.0; 5], two));
    assert!(error.contains("found 2 names and 5 values"), "{error}");
    assert!(text(ok(), Targets::classes([0, 3], two)).contains("found 3 at sample 1"));
    assert!(text(ok(), Targets::classes([0, 0], one)).contains("2 to 256 classes, found 1"));
}

/// Returns a data set whose sample i is the number i, with the targets [i, i + 0.5].
fn floats(samples: usize) -> Dataset {
    let values: Vec<f32> = (0..samples).map(|i| i as f32).collect();
    let targets: Vec<f32> = values.iter().flat_map(|&x| [x, x + 0.5]).collect();
    Dataset::from_arrays(Features::floats(values, [1]), Targets::numbers(targets, ["a", "b"]))
        .unwrap()
}

#[test]
fn views_and_splits_of_numbers_keep_samples_and_targets_together() {
    let some = floats(10).select(&[7, 2, 2]).unwrap();
    assert_eq!((some.len(), some.target_kind()), (3, TargetKind::Numbers));
    assert_eq!(some.sample(0), Sample::Floats(&[7.0]));
    assert_eq!(some.target(0), Target::Numbers(&[7.0, 7.5]));
    assert!(some.classes().is_empty() && some.class_counts().is_empty());
    let (train, validation) = floats(10).split(0.3, 5).unwrap();
    assert_eq!((train.len(), validation.len()), (7, 3));
    let number = |set: &Dataset, i| match (set.sample(i), set.target(i)) {
        (Sample::Floats(&[x]), Target::Numbers(&[a, b])) => {
            assert!(x == a && x + 0.5 == b);
            x
        }
        other => panic!("{other:?}"),
    };
    let mut all: Vec<f32> = [&train, &validation]
        .iter()
        .flat_map(|set| (0..set.len()).map(|i| number(set, i)).collect::<Vec<_>>())
        .collect();
    all.sort_by(f32::total_cmp);
    assert_eq!(all, (0..10).map(|i| i as f32).collect::<Vec<_>>());
}

#[test]
fn code_for_pictures_refuses_other_samples_by_name() {
    let houses = floats(3);
    let error = houses.image_shape().unwrap_err().to_string();
    assert_eq!(
        error,
        "this needs gray pictures of [height, width], found float features of shape [1]"
    );
    assert!(houses.read_image(0).is_err());
    let color = Features::pixels(vec![7; 2 * 3 * 4], [3, 2, 2]);
    let color = Dataset::from_arrays(color, Targets::classes([0, 1], ["a", "b"])).unwrap();
    let error = color.pictures_for("augmentation").unwrap_err().to_string();
    assert!(error.ends_with("found color images of 2x2"), "{error}");
    assert_eq!(color.read_image(1).unwrap(), [7; 12]);
    let folder = tempfile::tempdir().unwrap();
    let error = super::super::save_dir(&houses, &houses, &folder.path().join("x")).unwrap_err();
    assert!(error.to_string().starts_with("a folder of IDX files needs pictures, gray ones of"));
    let error = houses.classes_for("x").unwrap_err().to_string();
    assert_eq!(error, "x needs targets that are classes, found numbers");
}

#[test]
fn facts_tell_floats_and_targets_apart() {
    let digest = |set: &Dataset| set.facts("data").unwrap();
    let set = |x: f32, y: f32| {
        Dataset::from_arrays(Features::floats([x], [1]), Targets::numbers([y], ["y"])).unwrap()
    };
    assert_eq!(digest(&set(1.0, 2.0)), digest(&set(1.0, 2.0)));
    assert_ne!(digest(&set(1.0, 2.0)), digest(&set(1.0, 2.5)));
    assert_ne!(digest(&set(1.0, 2.0)), digest(&set(1.5, 2.0)));
}

#[test]
fn sample_weights_follow_their_samples() {
    let all = numbered(&[0, 1, 0, 1], 2);
    let weigh = |weights: &[f32]| numbered(&[0, 1, 0, 1], 2).with_sample_weights(weights);
    let weighted = weigh(&[0.5, 1.0, 0.0, 3.0]).unwrap().select(&[3, 0]).unwrap();
    assert_eq!([0, 1].map(|i| weighted.sample_weight(i)), [Some(3.0), Some(0.5)]);
    assert_ne!(weighted.facts("x").unwrap(), all.select(&[3, 0]).unwrap().facts("x").unwrap());
    let error = weigh(&[1.0]).unwrap_err().to_string();
    assert!(error.starts_with("4 samples need 4 weights, found 1"), "{error}");
    let error = weigh(&[1.0, f32::NAN, 1.0, 1.0]).unwrap_err().to_string();
    assert!(error.ends_with("found NaN at sample 1"), "{error}");
}

#[test]
fn views_compose() {
    let all = numbered(&[0, 1, 0, 1, 0, 1], 2);
    let some = all.select(&[5, 3, 1, 1]).unwrap();
    assert_eq!(ids(&some), [5, 3, 1, 1]);
    assert_eq!(ids(&some.select(&[3, 0]).unwrap()), [1, 5]);
    assert_eq!(ids(&some.take(2)), [5, 3]);
    assert_eq!(ids(&some.take(9)), [5, 3, 1, 1]);
    assert_eq!(some.class_counts(), [0, 4]);
    assert!(all.take(0).is_empty());
    assert!(some.select(&[4]).unwrap_err().to_string().contains("from 0 to 3, found 4"));
}

#[test]
fn a_split_is_stratified_seeded_and_keeps_the_order() {
    let labels: Vec<u8> = (0..100).map(|i| u8::from(i % 10 == 0)).chain([2]).collect();
    let all = numbered(&labels, 3);
    let (train, validation) = all.split(0.25, 7).unwrap();
    // 90 * 0.25 = 22.5, 10 * 0.25 = 2.5; a class of one stays in training.
    assert_eq!(validation.class_counts(), [23, 3, 0]);
    assert_eq!(train.class_counts(), [67, 7, 1]);
    assert!(ids(&train).is_sorted() && ids(&validation).is_sorted());
    let mut together = [ids(&train), ids(&validation)].concat();
    together.sort();
    assert_eq!(together, ids(&all));

    let (_, same) = all.split(0.25, 7).unwrap();
    let (_, other) = all.split(0.25, 8).unwrap();
    assert_eq!(ids(&validation), ids(&same));
    assert_ne!(ids(&validation), ids(&other));
}

#[test]
fn a_split_that_empties_a_part_is_an_error() {
    let all = numbered(&[0, 0, 1, 1, 1], 2);
    let (train, validation) = all.split(0.01, 0).unwrap();
    assert_eq!((train.class_counts(), validation.class_counts()), (vec![1, 2], vec![1, 1]));
    let (train, validation) = all.split(0.99, 0).unwrap();
    assert_eq!((train.class_counts(), validation.class_counts()), (vec![1, 1], vec![1, 2]));
    let (train, validation) = all.split(0.0, 0).unwrap();
    assert_eq!((train.len(), validation.len()), (5, 0));
    for fraction in [-0.1, 1.0, f64::NAN] {
        assert!(all.split(fraction, 0).is_err());
    }
    let error = numbered(&[0, 1], 2).split(0.3, 0).unwrap_err().to_string();
    assert!(error.contains("2 samples to train on and 0 to validate on, of 2"), "{error}");
}
