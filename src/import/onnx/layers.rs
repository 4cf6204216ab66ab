//! From the steps of a graph to the layers of a network, with the tensors of their variables.

use super::super::affine::{Affine, SCALES};
use super::super::described::{Described, Layout, Source};
use super::super::dtype::Dtype;
use super::super::output_activation;
use super::super::tensor_roles::shown;
use super::graph::Input;
use super::pooling_function::PoolingFunction;
use super::step::{Constant, Part, Step, Value};
use super::steps::Steps;
use crate::data::FeatureKind;
use crate::layers::{
    Activation, BatchNormalization, Dense, Dropout, Flatten, GlobalAveragePooling2D,
    GlobalMaxPooling2D, Layer, LayerNormalization, PReLU, Rescaling, Reshape, Residual,
    ZeroPadding2D,
};
use crate::model::Spec;

/// Deepest nesting of residual blocks.
const DEEPEST: usize = 32;
/// The kinds of inputs that are read, by ONNX's numbers.
const FLOAT: u64 = 1;
const UINT8: u64 = 2;
const DOUBLE: u64 = 11;

/// Returns the network whose output is this value.
///
/// # Errors
/// The node that is not part of a network, in words.
pub(super) fn network(
    steps: &Steps<'_>,
    input: &Input<'_>,
    output: usize,
) -> Result<Described, String> {
    if ![FLOAT, UINT8, DOUBLE].contains(&input.kind) {
        return Err(format!("its input has ONNX type {}, and f32, f64 or u8 is read", input.kind));
    }
    let chain = chain(steps, 0, output);
    let batch = input.shape.as_ref().and_then(|shape| shape.first().copied().flatten());
    let shape = input_shape(steps, input, &chain)?;
    let mut network = Network {
        steps,
        // The numbers of a sample: a network of seqfit takes pixels divided by 255.
        pending: if input.kind == UINT8 { Affine::scale(255.0) } else { Affine::default() },
        shape: shape.clone(),
        batch,
        variables: Vec::new(),
    };
    let layers = network.layers(&chain, 0)?;
    let spec = output_activation::by_last_layer(Spec::new(shape, layers));
    let expected = spec.variables().map_err(|problem| problem.to_string())?;
    let pairs = expected.iter().zip(&network.variables);
    for (variable, found) in pairs {
        let (expected, name) = (&variable.variable.shape, &variable.name);
        if let Some((constant, shape)) = found.described(steps)
            && shape != *expected
        {
            return Err(format!(
                "{} is {shape:?}, and {name} must be {expected:?}",
                shown(steps.constants.name(constant))
            ));
        }
    }
    if expected.len() != network.variables.len() {
        return Err("its tensors are not those of its layers".to_owned());
    }
    let sources = network.variables.into_iter().map(|variable| variable.source);
    let features = (input.kind == UINT8).then_some(FeatureKind::Pixels);
    Ok(Described { spec, sources: sources.collect(), features })
}

/// Returns the values after `first` up to `last`, in their order.
fn chain(steps: &Steps<'_>, first: usize, last: usize) -> Vec<usize> {
    let mut chain = Vec::new();
    let mut value = last;
    while value > first {
        chain.push(value);
        value = steps.values[value].from;
    }
    chain.reverse();
    chain
}

/// Returns the shape of a sample: as the file says, else the inputs of the first Dense layer.
fn input_shape(
    steps: &Steps<'_>,
    input: &Input<'_>,
    chain: &[usize],
) -> Result<Vec<usize>, String> {
    let sizes = match input.shape.as_deref() {
        Some([_, sizes @ ..]) => sizes.iter().copied().collect::<Option<Vec<usize>>>(),
        _ => None,
    };
    let first = || {
        chain.iter().find_map(|&value| match steps.values[value].step {
            Step::Dense { weight, .. } => steps.constants.sizes(weight).map(|[_, inputs]| inputs),
            _ => None,
        })
    };
    match sizes.filter(|sizes| !sizes.is_empty()) {
        Some(sizes) => Ok(sizes),
        None => first().map(|inputs| vec![inputs]).ok_or_else(|| "its input has no shape".into()),
    }
}

/// A variable of a layer that is being read.
struct Variable {
    source: Source,
    /// The tensor, with the shape that it must have; none where any fits.
    tensor: Option<(Constant, Shape)>,
}

/// The shape of a tensor, as a layer stores it.
enum Shape {
    Matrix,
    Vector,
    /// Of any number of sizes.
    Whole,
}

impl Variable {
    fn described(&self, steps: &Steps<'_>) -> Option<(Constant, Vec<usize>)> {
        let (constant, shape) = self.tensor.as_ref()?;
        let stored = &steps.constants.tensor(*constant).tensor.shape;
        Some(match (shape, steps.constants.sizes(*constant)) {
            (Shape::Matrix, Some(sizes)) => (*constant, sizes.to_vec()),
            // [n] or [1, n].
            (Shape::Vector, _) => {
                let (last, others) = stored.split_last()?;
                let is_vector = others.iter().all(|&size| size == 1);
                (*constant, if is_vector { vec![*last] } else { stored.clone() })
            }
            _ => (*constant, stored.clone()),
        })
    }
}

/// Returns whether the layer makes vectors of pictures.
fn is_global(layer: &Layer) -> bool {
    layer.is::<GlobalAveragePooling2D>() || layer.is::<GlobalMaxPooling2D>()
}

/// A network that is being read.
struct Network<'s, 'a> {
    steps: &'s Steps<'a>,
    /// The arithmetic since the last layer.
    pending: Affine,
    /// The shape of a sample after the last layer.
    shape: Vec<usize>,
    /// The size of the batch, if it is fixed.
    batch: Option<usize>,
    variables: Vec<Variable>,
}

impl Network<'_, '_> {
    fn layers(&mut self, chain: &[usize], depth: usize) -> Result<Vec<Layer>, String> {
        if depth > DEEPEST {
            return Err(format!("residual blocks are nested deeper than {DEEPEST}"));
        }
        let (steps, mut layers) = (self.steps, Vec::new());
        for &value in chain {
            let Value { step, node, .. } = &steps.values[value];
            let at = |reason: &dyn std::fmt::Display| format!("{node}, {reason}");
            if let Step::Arithmetic(operator, constant) = *step {
                let size = self.shape.last().copied().unwrap_or(0);
                let numbers = steps.constants.numbers(constant, size);
                let numbers = numbers.map_err(|reason| at(&reason))?;
                if !self.pending.continues_with(numbers.len()) {
                    self.settle(&mut layers).map_err(|reason| at(&reason))?;
                }
                self.pending.then(operator, &numbers);
                continue;
            }
            self.settle(&mut layers).map_err(|reason| at(&reason))?;
            let layer = self.layer(value, depth, &mut layers).map_err(|reason| match step {
                // A node in the block has named itself.
                Step::Residual(_) => reason,
                _ => at(&reason),
            })?;
            if let Some(layer) = layer {
                self.push(layer, &mut layers).map_err(|reason| at(&reason))?;
            }
        }
        self.settle(&mut layers)?;
        Ok(layers)
    }

    /// Adds a layer for the arithmetic since the last one.
    fn settle(&mut self, layers: &mut Vec<Layer>) -> Result<(), String> {
        match std::mem::take(&mut self.pending).layer() {
            Ok(Some(layer)) => self.push(layer, layers),
            Ok(None) => Ok(()),
            Err(scale) => Err(format!("before which values are scaled by {scale}: {SCALES}")),
        }
    }

    fn push(&mut self, layer: Layer, layers: &mut Vec<Layer>) -> Result<(), String> {
        let shape = layer.kind().output_shape(&self.shape);
        self.shape = shape.map_err(|problem| problem.to_string())?;
        layers.push(layer);
        Ok(())
    }

    /// Returns the layer of a step, unless it became a part of the last one.
    fn layer(
        &mut self,
        value: usize,
        depth: usize,
        layers: &mut Vec<Layer>,
    ) -> Result<Option<Layer>, String> {
        let (steps, size) = (self.steps, self.shape.last().copied().unwrap_or(0));
        Ok(Some(match &steps.values[value].step {
            Step::Dense { weight, bias } => {
                let [units, inputs] =
                    steps.constants.sizes(*weight).ok_or("whose weights are not a matrix")?;
                if self.shape != [inputs] {
                    return Err(format!("which takes {inputs} values, found {:?}", self.shape));
                }
                self.tensor(*weight, Shape::Matrix)?;
                match bias {
                    Some(bias) => self.vector(*bias, units)?,
                    None => {
                        self.variables.push(Variable { source: Source::Filled(0.0), tensor: None })
                    }
                }
                Dense::new(units).into()
            }
            Step::Convolution { weight, bias, groups, windows } => {
                let shape = &steps.constants.tensor(*weight).tensor.shape;
                let own = windows.convolution(shape, *groups, bias.is_some(), &self.shape)?;
                self.tensor(*weight, Shape::Whole)?;
                if let Some(bias) = bias {
                    self.vector(*bias, shape[0])?;
                }
                self.last_of(own, layers)?
            }
            Step::Pooling { function, windows, counts_padding } => {
                let own = windows.pooling(*function, *counts_padding, &self.shape)?;
                self.last_of(own, layers)?
            }
            Step::GlobalPooling(PoolingFunction::Average) => GlobalAveragePooling2D.into(),
            Step::GlobalPooling(PoolingFunction::Max) => GlobalMaxPooling2D.into(),
            Step::ZeroPadding(sides) => ZeroPadding2D::new(*sides).into(),
            // Which is a vector here already.
            Step::Flatten | Step::Reshape(_) if layers.last().is_some_and(is_global) => {
                return Ok(None);
            }
            Step::Activation(activation) => match layers.last_mut() {
                Some(Layer::Dense(dense)) if dense.activation == Activation::Linear => {
                    dense.activation = *activation;
                    return Ok(None);
                }
                _ => (*activation).into(),
            },
            Step::BatchNormalization { variables, epsilon, momentum } => {
                let size = if self.shape.len() == 3 { self.shape[0] } else { size };
                for variable in variables {
                    self.vector(*variable, size)?;
                }
                BatchNormalization { epsilon: *epsilon, momentum: *momentum }.into()
            }
            Step::LayerNormalization { weight, bias, epsilon } => {
                self.vector(*weight, size)?;
                match bias {
                    Some(bias) => self.vector(*bias, size)?,
                    None => {
                        self.variables.push(Variable { source: Source::Filled(0.0), tensor: None })
                    }
                }
                LayerNormalization { epsilon: *epsilon }.into()
            }
            Step::PRelu(slope) => {
                self.vector(*slope, size)?;
                PReLU.into()
            }
            Step::Dropout(rate) => Dropout::new(*rate).into(),
            Step::Flatten => Flatten.into(),
            Step::Reshape(sizes) => self.reshaped(sizes)?,
            Step::Residual(last) => {
                let from = steps.values[value].from;
                // `push` follows the shape through the block once more.
                let before = self.shape.clone();
                let inner = self.layers(&chain(steps, from, *last), depth + 1)?;
                self.shape = before;
                match inner.is_empty() {
                    // x + x, where the layers of a block are only active in training.
                    true => Rescaling::new(2.0, 0.0).into(),
                    false => Residual { layers: inner }.into(),
                }
            }
            Step::Part(Part::Input) | Step::Arithmetic(..) => return Ok(None),
            Step::Part(_) => return Err("which is no layer of seqfit".to_owned()),
        }))
    }

    /// Returns the last of one or two layers, before which the other is added.
    fn last_of(
        &mut self,
        (before, last): (Option<Layer>, Layer),
        layers: &mut Vec<Layer>,
    ) -> Result<Layer, String> {
        if let Some(before) = before {
            self.push(before, layers)?;
        }
        Ok(last)
    }

    fn reshaped(&self, sizes: &[i64]) -> Result<Layer, String> {
        let refused = || format!("which gives its input the shape {sizes:?}");
        let (&batch, sizes) = sizes.split_first().ok_or_else(refused)?;
        let fixed = self.batch.is_some_and(|fixed| usize::try_from(batch) == Ok(fixed));
        if !(batch == 0 || batch == -1 || fixed) {
            return Err(refused());
        }
        let values: usize = self.shape.iter().product();
        let known = sizes.iter().filter(|&&size| size != -1);
        let known = known.map(|&size| usize::try_from(size).ok().filter(|&size| size > 0));
        let known = known.collect::<Option<Vec<usize>>>().ok_or_else(refused)?;
        let product = known.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
        let rest = product.and_then(|product| values.checked_div(product)).ok_or_else(refused)?;
        if sizes.len() - known.len() > usize::from(batch != -1) {
            return Err(refused());
        }
        let size = |&size: &i64| usize::try_from(size).unwrap_or(rest);
        let target: Vec<usize> = sizes.iter().map(size).collect();
        match target[..] {
            [size] if size == values => Ok(Flatten.into()),
            [_] => Err(refused()),
            _ => Ok(Reshape::new(target).into()),
        }
    }

    /// Adds a variable of `size` numbers; a single number stands for all.
    fn vector(&mut self, constant: Constant, size: usize) -> Result<(), String> {
        match self.steps.constants.values(constant) {
            Some([_]) if size != 1 => {
                self.check_numbers(constant)?;
                let layout = Layout::Repeated(size);
                let source = Source::Tensor { tensor: constant.tensor, layout };
                self.variables.push(Variable { source, tensor: None });
                Ok(())
            }
            _ => self.tensor(constant, Shape::Vector),
        }
    }

    fn tensor(&mut self, constant: Constant, shape: Shape) -> Result<(), String> {
        self.check_numbers(constant)?;
        let layout = match (self.steps.constants.sizes(constant), &shape) {
            (Some([outputs, inputs]), Shape::Matrix) if constant.transposed => {
                Layout::Transposed([outputs, inputs])
            }
            _ => Layout::AsStored,
        };
        let source = Source::Tensor { tensor: constant.tensor, layout };
        self.variables.push(Variable { source, tensor: Some((constant, shape)) });
        Ok(())
    }

    fn check_numbers(&self, constant: Constant) -> Result<(), String> {
        let constants = &self.steps.constants;
        constants.check_inside(constant)?;
        match constants.values(constant) {
            Some(_) => Ok(()),
            None => Err(format!(
                "whose tensor {} has no numbers of {}",
                shown(constants.name(constant)),
                Dtype::WEIGHTS
            )),
        }
    }
}
