//! What turns the outputs of a network into predictions: its file shows it only by an activation at the end, and the
//! user may say it.

use super::error::Problem;
use crate::data::TargetKind;
use crate::layers::{Activation, Dense, Layer};
use crate::model::{OutputActivation, Spec};

/// Returns the network of a file that does not say what it predicts: a sigmoid at the end becomes the output
/// activation, since losses are computed before it; a softmax stays the activation of the last layer; and a single
/// output without either is a number, not the probability of the only class.
pub(super) fn by_last_layer(mut spec: Spec) -> Spec {
    spec.output = match spec.last_activation() {
        Activation::Sigmoid => {
            without_last_activation(&mut spec.layers);
            OutputActivation::Sigmoid
        }
        Activation::Softmax => OutputActivation::Softmax,
        _ if outputs(&spec) == 1 => OutputActivation::Linear,
        _ => OutputActivation::Softmax,
    };
    spec
}

/// Returns the network with the output activation of a task that the user names.
///
/// # Errors
/// A network whose last activation gives other predictions.
pub(super) fn for_task(mut spec: Spec, task: TargetKind) -> Result<Spec, Problem> {
    let refused = |found: &str| Err(Problem::Task { task, found: found.to_owned() });
    let last = spec.last_activation();
    if last == Activation::Softmax && task != TargetKind::Class {
        return refused("a softmax at its end, whose outputs are the probabilities of classes");
    }
    if spec.target_scaling.is_some() && task != TargetKind::Numbers {
        return refused("scaled numbers, as its card says");
    }
    if task == TargetKind::Numbers {
        // A sigmoid is then a part of the network.
        if spec.output == OutputActivation::Sigmoid {
            add_activation(&mut spec.layers, Activation::Sigmoid);
        }
        return Ok(Spec { output: OutputActivation::Linear, ..spec });
    }
    if last == Activation::Sigmoid {
        spec = by_last_layer(spec);
    }
    let is_sigmoid = spec.output == OutputActivation::Sigmoid;
    spec.output = match (task, outputs(&spec)) {
        (TargetKind::Class, 1) if last == Activation::Softmax => {
            return refused("a softmax of a single output, which is always 1");
        }
        (TargetKind::Class, 2..) if is_sigmoid => {
            return refused("a sigmoid at its end, whose outputs are a probability for each label");
        }
        (TargetKind::Class, 2..) => OutputActivation::Softmax,
        _ => OutputActivation::Sigmoid,
    };
    Ok(spec)
}

/// Returns the number of names that the outputs need for a task: two classes for a single one.
pub(super) fn names(outputs: usize, task: Option<TargetKind>) -> usize {
    if (outputs, task) == (1, Some(TargetKind::Class)) { 2 } else { outputs }
}

/// Returns the number of outputs, also for a network of Dense layers whose input shape is not known yet.
fn outputs(spec: &Spec) -> usize {
    let dense = |layer: &Layer| layer.get::<Dense>().map(|dense| dense.units);
    match spec.outputs() {
        0 => spec.layers.iter().rev().find_map(dense).unwrap_or(0),
        outputs => outputs,
    }
}

fn without_last_activation(layers: &mut Vec<Layer>) {
    if let Some(Layer::Dense(dense)) = layers.pop() {
        layers.push(dense.activation(Activation::Linear).into());
    }
}

fn add_activation(layers: &mut Vec<Layer>, activation: Activation) {
    match layers.last_mut() {
        Some(Layer::Dense(dense)) if dense.activation == Activation::Linear => {
            dense.activation = activation;
        }
        _ => layers.push(activation.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(outputs: usize, last: Activation, output: OutputActivation) -> Spec {
        let layers = vec![Dense::new(4).into(), Dense::new(outputs).activation(last).into()];
        Spec { output, ..Spec::new([3], layers) }
    }

    #[test]
    fn the_last_activation_shows_what_a_network_predicts() {
        use {Activation as A, OutputActivation as O};
        for (outputs, last, kept, expected) in [
            (3, A::Linear, A::Linear, O::Softmax),
            (3, A::Softmax, A::Softmax, O::Softmax),
            (3, A::Sigmoid, A::Linear, O::Sigmoid),
            (1, A::Sigmoid, A::Linear, O::Sigmoid),
            (1, A::Linear, A::Linear, O::Linear),
            (1, A::Relu, A::Relu, O::Linear),
        ] {
            let found = by_last_layer(network(outputs, last, O::Softmax));
            assert_eq!(found, network(outputs, kept, expected), "{outputs} {last:?}");
            // Keras may not say the shape of the input.
            let unknown = |spec: Spec| Spec { input_shape: Vec::new(), ..spec };
            let found = by_last_layer(unknown(network(outputs, last, O::Softmax)));
            assert_eq!(found, unknown(network(outputs, kept, expected)), "{outputs} {last:?}");
        }
        // As a separate layer.
        let mut spec = network(2, A::Linear, O::Softmax);
        spec.layers.push(A::Sigmoid.into());
        assert_eq!(by_last_layer(spec), network(2, A::Linear, O::Sigmoid));
    }

    #[test]
    fn a_task_decides_the_output_activation_or_is_refused() {
        use {Activation as A, OutputActivation as O, TargetKind as T};
        let cases = [
            ((3, A::Linear, O::Softmax), T::Labels, Ok((A::Linear, O::Sigmoid))),
            ((3, A::Linear, O::Softmax), T::Numbers, Ok((A::Linear, O::Linear))),
            ((3, A::Linear, O::Softmax), T::Class, Ok((A::Linear, O::Softmax))),
            ((3, A::Softmax, O::Softmax), T::Class, Ok((A::Softmax, O::Softmax))),
            ((3, A::Softmax, O::Softmax), T::Labels, Err("a softmax")),
            ((3, A::Softmax, O::Softmax), T::Numbers, Err("a softmax")),
            ((3, A::Linear, O::Sigmoid), T::Labels, Ok((A::Linear, O::Sigmoid))),
            ((3, A::Linear, O::Sigmoid), T::Class, Err("a sigmoid")),
            // The predictions stay what the file computes.
            ((3, A::Linear, O::Sigmoid), T::Numbers, Ok((A::Sigmoid, O::Linear))),
            ((1, A::Linear, O::Sigmoid), T::Class, Ok((A::Linear, O::Sigmoid))),
            ((1, A::Linear, O::Linear), T::Class, Ok((A::Linear, O::Sigmoid))),
            ((1, A::Linear, O::Linear), T::Labels, Ok((A::Linear, O::Sigmoid))),
            ((1, A::Softmax, O::Softmax), T::Class, Err("a single output")),
            // A description by the user, whose output is the default.
            ((2, A::Sigmoid, O::Softmax), T::Labels, Ok((A::Linear, O::Sigmoid))),
            ((2, A::Sigmoid, O::Softmax), T::Numbers, Ok((A::Sigmoid, O::Linear))),
        ];
        for ((outputs, last, output), task, expected) in cases {
            let found = for_task(network(outputs, last, output), task);
            match (found, expected) {
                (Ok(found), Ok((last, output))) => {
                    assert_eq!(found, network(outputs, last, output), "{task}");
                }
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                other => panic!("{outputs} {last:?} {output:?} {task}: {other:?}"),
            }
        }
    }
}
