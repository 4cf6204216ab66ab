//! From a file's tensors to a network: its description, and whether the tensors match it.

use super::check_finite::finite;
use super::dense_layers::{self, Dense, Known};
use super::dense_tensors::DenseTensors;
use super::described::Described;
use super::error::Problem;
use super::{
    Card, Imported, ImportedTensor, features, named_variables, output_activation,
    sequential_indices, tensor_roles,
};
use crate::data::{self, FeatureKind, TargetKind};
use crate::layers::{self, Activation, Flatten, Layer, Reshape};
use crate::losses;
use crate::model::Spec;
use crate::native::reserved;
use crate::tensors::{HostTensor, Tensors};

/// Information about a network in addition to its file. Anything not given is taken from the file's card, else
/// inferred from the shapes: relu between the layers, a square image if the first layer's inputs form one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportOptions {
    /// The whole network.
    pub network: Option<Spec>,
    /// The activation of all Dense layers but the last.
    pub activation: Option<Activation>,
    /// The shape of one sample.
    pub input_shape: Option<Vec<usize>>,
    /// Names of the classes.
    pub classes: Option<Vec<String>>,
    /// What the network predicts. If it is not given, a sigmoid at the end means labels, a single output without one a
    /// number, and anything else classes.
    pub task: Option<TargetKind>,
}

/// A network with complete weights: names, shapes and every number are valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Its description.
    pub spec: Spec,
    /// Its weights, under the names of [`Sequential::parameters`](crate::Sequential::parameters).
    pub weights: Tensors,
    /// Names of its classes, in the order of its outputs.
    pub classes: Vec<String>,
    /// What its samples are: as the file says, else pixels for the shape of an image and numbers for any other.
    pub features: FeatureKind,
    /// Whether the activations were neither given nor in the file.
    pub guessed: bool,
}

impl Imported {
    /// Returns the network that these weights belong to.
    ///
    /// # Errors
    /// Tensors that are not of Dense layers, or not of this network (each is listed with the expected
    /// one), that hold NaN or infinities, or class names that do not match it.
    pub fn network(&self, options: &ImportOptions) -> Result<Network, Problem> {
        match (&self.described, &options.network) {
            (Some(Ok(described)), _) => return self.described_network(described, options),
            (Some(Err(reason)), None) => return Err(Problem::Graph(reason.clone())),
            _ => {}
        }
        let card = self.card.as_ref();
        let given = options.network.as_ref().or(card.and_then(|card| card.network.as_ref()));
        if let (None, Some(layer)) = (&options.network, &self.unsupported_layer) {
            return Err(self.unsupported(layer));
        }
        if !self.missing_tensors.is_empty() {
            return Err(Problem::Mismatch(self.missing_tensors.clone()));
        }
        // A network with other layers can only be that of the file's card, with the names that we write.
        if let Some(spec) = given.filter(|spec| named_variables::has_others(spec)) {
            let weights = named_variables::weights(self, spec)?;
            return self.with_classes(spec.clone(), weights, false, options);
        }
        let activation = options.activation.is_some();
        let dense = dense_layers::dense(self, Known { network: given.is_some(), activation })?;
        if given.is_none() {
            check_guess(&dense, activation)?;
        }
        let layers = &dense.layers;
        let mut spec = match given {
            Some(spec) => with_input(spec.clone(), layers),
            None => {
                output_activation::by_last_layer(inferred(layers, options.input_shape.as_deref())?)
            }
        };
        adjust(&mut spec, options);
        let weights = fitted(&spec, &dense)?;
        let guessed = given.is_none() && options.activation.is_none() && layers.len() > 1;
        self.with_classes(spec, weights, guessed, options)
    }

    /// Returns the network of a file that describes all of it.
    fn described_network(
        &self,
        described: &Described,
        options: &ImportOptions,
    ) -> Result<Network, Problem> {
        let mut spec = options.network.clone().unwrap_or_else(|| described.spec.clone());
        if spec.input_shape.is_empty() {
            spec.input_shape.clone_from(&described.spec.input_shape);
        }
        adjust(&mut spec, options);
        if spec.input_shape.is_empty() {
            return Err(Problem::NoInputShape);
        }
        let weights = described.weights(&spec, &self.tensors)?;
        self.with_classes(spec, weights, false, options)
    }

    /// Returns the network with the names of its classes.
    fn with_classes(
        &self,
        spec: Spec,
        weights: Tensors,
        guessed: bool,
        options: &ImportOptions,
    ) -> Result<Network, Problem> {
        let (card, task) = (self.card.as_ref(), options.task);
        let spec = match task {
            Some(task) => output_activation::for_task(spec, task)?,
            None => spec,
        };
        let from_card = || card.and_then(|card| card.classes.clone());
        let outputs = output_activation::names(spec.outputs(), task);
        let numbers = || (0..outputs).map(|class| class.to_string()).collect();
        let classes = options.classes.clone().or_else(from_card).unwrap_or_else(numbers);
        let names = classes.len();
        let kind = losses::target_kind(&spec, names);
        if !spec.is_named_by(names) || task.is_some_and(|task| task != kind) {
            return Err(Problem::ClassNames { outputs, names });
        }
        data::check_target_names(kind, &classes).map_err(Problem::Classes)?;
        let features = self.features(&spec.input_shape);
        Ok(Network { spec, weights, classes, features, guessed })
    }

    /// Returns what samples of this shape are.
    fn features(&self, shape: &[usize]) -> FeatureKind {
        let of_input =
            self.described.as_ref().and_then(|described| described.as_ref().ok()?.features);
        let of_card = || self.card.as_ref().and_then(Card::features);
        of_input.or_else(of_card).unwrap_or_else(|| features::of_shape(shape))
    }

    /// Returns the error for an unsupported layer, with the tensors that may belong to it.
    fn unsupported(&self, layer: &str) -> Problem {
        let (layer, known) = (layer.to_owned(), Known { network: true, activation: true });
        match dense_layers::dense(self, known) {
            Err(Problem::NotDense(tensors)) => Problem::Layer { layer, tensors },
            _ => Problem::Layer { layer, tensors: Vec::new() },
        }
    }
}

/// Checks that nothing in the file contradicts a network of Dense layers with one activation between
/// them.
fn check_guess(dense: &Dense<'_>, activation: bool) -> Result<(), Problem> {
    if let Some(owners) = &dense.owners {
        sequential_indices::check(owners, activation)?;
    }
    match &dense.layers[..] {
        [first, _, ..]
            if first.bias.is_none() && tensor_roles::may_be_embedding(&first.weight.name) =>
        {
            Err(Problem::Embedding(tensor_roles::described(&[first.weight], &[]).concat()))
        }
        _ => Ok(()),
    }
}

/// Sets the input shape and the activation that the user gave.
fn adjust(spec: &mut Spec, options: &ImportOptions) {
    if let Some(shape) = &options.input_shape {
        spec.input_shape = shape.clone();
        take_images(spec);
    }
    if let Some(activation) = options.activation {
        let last = spec.layers.iter().rposition(Layer::is::<layers::Dense>);
        for layer in spec.layers.iter_mut().take(last.unwrap_or(0)) {
            if let Some(dense) = layer.get::<layers::Dense>() {
                *layer = dense.activation(activation).into();
            }
        }
    }
}

/// Adds a layer before a network that took flat samples, or pictures with an axis of channels, if it takes images by
/// that.
fn take_images(spec: &mut Spec) {
    let channel = match spec.input_shape[..] {
        _ if spec.check().is_ok() => return,
        [height, width] => vec![1, height, width],
        _ => spec.input_shape.clone(),
    };
    for layer in [Flatten.into(), Reshape::new(channel).into()] {
        spec.layers.insert(0, layer);
        if spec.check().is_ok() {
            return;
        }
        spec.layers.remove(0);
    }
}

/// Completes a description without an input shape by the inputs of its first layer: a square image, if they form
/// one.
fn with_input(mut spec: Spec, layers: &[DenseTensors<'_>]) -> Spec {
    if let (true, Some(first)) = (spec.input_shape.is_empty(), layers.first()) {
        spec.input_shape = image(first.sizes()[0]);
        if spec.input_shape.len() > 1 && !spec.layers.first().is_some_and(Layer::is::<Flatten>) {
            spec.layers.insert(0, Flatten.into());
        }
    }
    spec
}

/// Returns the shape of a sample of `values` values.
fn image(values: usize) -> Vec<usize> {
    let side = values.isqrt();
    if side * side == values { vec![side, side] } else { vec![values] }
}

fn inferred(layers: &[DenseTensors<'_>], input_shape: Option<&[usize]>) -> Result<Spec, Problem> {
    let widths: Vec<usize> = layers.iter().map(|layer| layer.sizes()[1]).collect();
    let inputs = layers.first().map_or(0, |layer| layer.sizes()[0]);
    let input_shape = match input_shape {
        Some(shape) if shape.iter().try_fold(1usize, |n, &m| n.checked_mul(m)) == Some(inputs) => {
            shape.to_vec()
        }
        Some(shape) => return Err(Problem::InputShape { shape: shape.to_vec(), found: inputs }),
        None => image(inputs),
    };
    let (classes, hidden) = widths.split_last().unwrap_or((&0, &[]));
    Ok(Spec::classifier(&input_shape, hidden, Activation::Relu, 0.0, *classes))
}

/// Returns the layers' tensors under the network's names, if they match it.
fn fitted(spec: &Spec, dense: &Dense<'_>) -> Result<Tensors, Problem> {
    let layers = &dense.layers;
    let variables = spec.variables()?;
    let linear = variables.chunks_exact(2).map(|pair| {
        let position = pair[0].name.strip_suffix(".weight").unwrap_or(&pair[0].name);
        let shape = &pair[0].variable.shape;
        (position, shape.get(1).copied().unwrap_or(0), shape.first().copied().unwrap_or(0))
    });
    let linear: Vec<_> = linear.collect();
    // Networks without any biases have zero biases; a single missing one is an error.
    let biased = layers.iter().any(|layer| layer.bias.is_some());
    let (mut lines, mut right) = (Vec::new(), true);
    for i in 0..linear.len().max(layers.len()) {
        let (expected, found) = (linear.get(i), layers.get(i));
        let weight =
            expected.map(|(p, inputs, outputs)| (format!("{p}.weight"), vec![*outputs, *inputs]));
        let none = dense.exact && found.is_some_and(|layer| layer.bias.is_none());
        let bias = expected.filter(|_| !none);
        let bias = bias.map(|(p, _, outputs)| (format!("{p}.bias"), vec![*outputs]));
        let matrix = found.map(|layer| {
            let [inputs, outputs] = layer.sizes();
            (layer.weight, vec![outputs, inputs])
        });
        let vector = found.and_then(|layer| layer.bias).map(|bias| (bias, bias.shape.clone()));
        let unbiased = none || !biased && matrix.is_some();
        right &= is_same(&weight, &matrix) && (unbiased || is_same(&bias, &vector));
        lines.push(line(weight, matrix));
        if bias.is_some() || vector.is_some() {
            lines.push(line(bias, vector));
        }
    }
    if !right {
        return Err(Problem::Mismatch(lines));
    }
    let mut weights = Tensors::new();
    for (&(position, inputs, outputs), layer) in linear.iter().zip(layers) {
        let matrix = matrix(layer, [inputs, outputs])?;
        weights
            .insert(format!("{position}.weight"), HostTensor::new(vec![outputs, inputs], matrix));
        let bias = match layer.bias {
            Some(bias) => copied(finite(bias)?)?,
            None => {
                let mut zeros = reserved(outputs).map_err(|bytes| Problem::Memory { bytes })?;
                zeros.resize(outputs, 0.0);
                zeros
            }
        };
        weights.insert(format!("{position}.bias"), HostTensor::new(vec![outputs], bias));
    }
    Ok(weights)
}

type Expected = Option<(String, Vec<usize>)>;
type Found<'a> = Option<(&'a ImportedTensor, Vec<usize>)>;

fn is_same(expected: &Expected, found: &Found<'_>) -> bool {
    matches!((expected, found), (Some((_, expected)), Some((_, found))) if expected == found)
}

fn line(expected: Expected, found: Found<'_>) -> String {
    let expected = match expected {
        Some((name, shape)) => format!("{name} {shape:?}"),
        None => "nothing".to_owned(),
    };
    let found = match found {
        Some((tensor, shape)) => format!("{} {shape:?}", tensor_roles::shown(&tensor.name)),
        None => "nothing".to_owned(),
    };
    format!("expected {expected}, found {found}")
}

/// Returns the matrix as [outputs, inputs], row by row.
fn matrix(layer: &DenseTensors<'_>, [inputs, outputs]: [usize; 2]) -> Result<Vec<f32>, Problem> {
    let stored = finite(layer.weight)?;
    if !layer.transposed {
        return copied(stored);
    }
    let mut values = reserved(stored.len()).map_err(|bytes| Problem::Memory { bytes })?;
    values.extend((0..outputs).flat_map(|o| (0..inputs).map(move |i| stored[i * outputs + o])));
    Ok(values)
}

fn copied(values: &[f32]) -> Result<Vec<f32>, Problem> {
    let mut copy = reserved(values.len()).map_err(|bytes| Problem::Memory { bytes })?;
    copy.extend_from_slice(values);
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::Dtype;
    use crate::import::Format;

    fn file(format: Format, tensors: &[(&str, &[usize], &[f32])]) -> Imported {
        let tensors = tensors.iter().map(|&(name, shape, values)| ImportedTensor {
            name: name.to_owned(),
            dtype: Dtype::F32,
            shape: shape.to_vec(),
            values: Some(values.to_vec()),
        });
        Imported::new(format, tensors.collect())
    }

    #[test]
    fn the_network_is_inferred_from_shapes_and_kernels_are_transposed() -> Result<(), Problem> {
        let kernel: Vec<f32> = (0..8u8).map(f32::from).collect();
        let keras =
            file(Format::Npz, &[("arr_0", &[4, 2], &kernel), ("arr_1", &[2], &[0.5, -0.5])]);
        // A lone pair without names could be a kernel and a norm layer's scale.
        assert!(matches!(keras.network(&ImportOptions::default()), Err(Problem::Unnamed(_))));
        let relu = ImportOptions { activation: Some(Activation::Relu), ..ImportOptions::default() };
        let network = keras.network(&relu)?;
        assert_eq!(network.spec, Spec::classifier(&[2, 2], &[], Activation::Relu, 0.0, 2));
        assert_eq!((&network.classes[..], network.guessed), (&["0".into(), "1".into()][..], false));
        assert_eq!(*network.weights["1.weight"].values, [0., 2., 4., 6., 1., 3., 5., 7.]);
        assert_eq!(*network.weights["1.bias"].values, [0.5, -0.5]);
        let flat = Spec::new([4], vec![crate::layers::Dense::new(2).into()]);
        let card = Card { network: Some(flat), ..Card::default() };
        let given = Imported { card: Some(card), ..keras.clone() };
        let options = ImportOptions { input_shape: Some(vec![1, 4]), ..relu.clone() };
        assert_eq!(given.network(&ImportOptions::default())?.spec.layers.len(), 1);
        assert_eq!(given.network(&options)?.spec, keras.network(&options)?.spec);
        assert_eq!(keras.network(&options)?.spec.input_shape, [1, 4]);
        Ok(())
    }

    #[test]
    fn mismatches_are_listed() {
        let error = |file: &Imported, options: &ImportOptions| {
            file.network(options).unwrap_err().to_string()
        };
        let two = file(
            Format::TorchStateDict,
            &[("a.weight", &[2, 4], &[0.0; 8]), ("a.bias", &[2], &[0.0; 2])],
        );
        let network = Some(Spec::classifier(&[2, 2], &[3], Activation::Relu, 0.0, 2));
        let options = ImportOptions { network, ..ImportOptions::default() };
        assert_eq!(
            error(&two, &options),
            "its tensors are not those of the network:\n  \
             expected 1.weight [3, 4], found a.weight [2, 4]\n  \
             expected 1.bias [3], found a.bias [2]\n  \
             expected 3.weight [2, 3], found nothing\n  \
             expected 3.bias [2], found nothing"
        );
        let options = ImportOptions { input_shape: Some(vec![5]), ..ImportOptions::default() };
        assert!(error(&two, &options).contains("takes 4 values, found input shape [5]"));
        let options = ImportOptions { classes: Some(vec!["a".into()]), ..ImportOptions::default() };
        assert!(error(&two, &options).contains("has 2 classes, found 1"));
        let nan = file(Format::Npz, &[("weight", &[2, 2], &[0.0, 1.0, f32::NAN, 2.0])]);
        let message = "tensor \"weight\" must hold finite numbers, found NaN at position 2";
        assert!(error(&nan, &ImportOptions::default()).contains(message));
    }
}
