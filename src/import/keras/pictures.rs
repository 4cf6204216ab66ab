//! Networks for pictures in Keras's description: convolutions, pooling and batch normalization.
//!
//! Keras's pictures are [height, width, channels] and seqfit's [channels, height, width]. The weights of the first Dense
//! layer after a Flatten are taken in the other order, too.

use serde_json::Value;

use super::config::{activation, input_shape, named, only};
use super::description::shown;
use super::layer_chain::{Step, check_own, steps};
use super::places::Places;
use crate::data::FeatureKind;
use crate::export::KerasLayout;
use crate::import::described::{Described, Layout, Source};
use crate::import::{ImportedTensor, output_activation};
use crate::layers::{
    Activation, AveragePooling2D, BatchNormalization, Conv2D, Dense, DepthwiseConv2D, Dropout,
    Flatten, GlobalAveragePooling2D, GlobalMaxPooling2D, Layer, MaxPooling2D, Padding, Rescaling,
    Reshape, SeparableConv2D, Size2D, SpatialDropout2D, ZeroPadding2D,
};
use crate::model::Spec;

/// The classes of layers that only networks read here have. A Rescaling may be in any.
const CLASSES: [&str; 10] = [
    "Conv2D",
    "DepthwiseConv2D",
    "SeparableConv2D",
    "BatchNormalization",
    "MaxPooling2D",
    "AveragePooling2D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "ZeroPadding2D",
    "SpatialDropout2D",
];

/// Settings of these layers that do not change the output of a trained network.
const TRAINING: [&str; 17] = [
    "renorm_momentum",
    "depthwise_initializer",
    "depthwise_regularizer",
    "depthwise_constraint",
    "pointwise_initializer",
    "pointwise_regularizer",
    "pointwise_constraint",
    "beta_initializer",
    "beta_regularizer",
    "beta_constraint",
    "gamma_initializer",
    "gamma_regularizer",
    "gamma_constraint",
    "moving_mean_initializer",
    "moving_variance_initializer",
    "synchronized",
    "data_format",
];

/// Returns the network of a model's description; none if it has no layer that is read here.
///
/// # Errors
/// The layer, its setting or its tensor that is not read, in words.
pub(super) fn model(
    config: &Value,
    places: &Places<'_>,
    tensors: &[ImportedTensor],
) -> Option<Result<Described, String>> {
    let steps = steps(config).ok()?;
    let has_one = steps.iter().any(|step| CLASSES.contains(&step.class()));
    has_one.then(|| network(config, &steps, places, tensors))
}

fn network(
    config: &Value,
    steps: &[Step<'_>],
    places: &Places<'_>,
    tensors: &[ImportedTensor],
) -> Result<Described, String> {
    let shape = input_shape(config, steps, sizes);
    let shape = shape.ok_or("an input whose sizes are not all known")?;
    let mut reader = Reader {
        places,
        tensors,
        layers: Vec::new(),
        sources: Vec::new(),
        features: None,
        shape,
        flat: None,
    };
    let input_shape = reader.begin();
    for step in steps {
        let at = |what: String| {
            let (class, name) = (step.class(), step.name.chars().take(60).collect::<String>());
            format!("{class}{what} ({name:?})")
        };
        check_own(step.entry)?;
        reader.step(step).map_err(at)?;
    }
    if reader.flat.is_some() {
        return Err("Flatten of pictures without a Dense layer after it".to_owned());
    }
    let spec = output_activation::by_last_layer(Spec::new(input_shape, reader.layers));
    match spec.variables() {
        Ok(variables) if variables.len() == reader.sources.len() => {
            Ok(Described { spec, sources: reader.sources, features: reader.features })
        }
        Ok(_) => Err("variables that are not those of its layers".to_owned()),
        Err(problem) => Err(problem.to_string()),
    }
}

struct Reader<'a> {
    places: &'a Places<'a>,
    tensors: &'a [ImportedTensor],
    layers: Vec<Layer>,
    sources: Vec<Source>,
    features: Option<FeatureKind>,
    /// The shape of a sample here, [channels, height, width].
    shape: Vec<usize>,
    /// The shape of the pictures that a Flatten made vectors of, up to the next Dense layer.
    flat: Option<[usize; 3]>,
}

impl Reader<'_> {
    /// Turns the shape of Keras's samples, and returns that of a sample: gray pictures have no axis of channels.
    fn begin(&mut self) -> Vec<usize> {
        match self.shape[..] {
            [height, width, 1] => {
                self.shape = vec![height, width];
                let gray = self.shape.clone();
                self.push(Reshape::new([1, height, width]));
                gray
            }
            [height, width, channels] => {
                self.shape = vec![channels, height, width];
                self.shape.clone()
            }
            _ => self.shape.clone(),
        }
    }

    fn push(&mut self, layer: impl Into<Layer>) {
        let layer = layer.into();
        // A layer that does not fit is named when the network is checked.
        if let Ok(shape) = layer.kind().output_shape(&self.shape) {
            self.shape = shape;
        }
        self.layers.push(layer);
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), String> {
        if step.config()["data_format"] == "channels_first" {
            return Err(" with data_format = channels_first".to_owned());
        }
        match step.class() {
            "InputLayer"
            | "Identity"
            | "ActivityRegularization"
            | "GaussianNoise"
            | "GaussianDropout"
            | "AlphaDropout" => Ok(()),
            "Rescaling" => self.rescaling(step),
            "Reshape" => self.reshape(step),
            "Flatten" => self.flatten(step),
            "Dense" => self.dense(step),
            "Dropout" => self.dropout(step),
            "SpatialDropout2D" => self.dropout(step),
            "Conv2D" => self.convolution(step),
            "DepthwiseConv2D" => self.depthwise(step),
            "SeparableConv2D" => self.separable(step),
            "MaxPooling2D" | "AveragePooling2D" => self.pooling(step),
            "GlobalAveragePooling2D" | "GlobalMaxPooling2D" => self.global_pooling(step),
            "ZeroPadding2D" => self.zero_padding(step),
            "BatchNormalization" => self.batch_normalization(step),
            // Its error names the class.
            _ => {
                let own = activation(step.entry).map_err(|what| {
                    match what.strip_prefix(step.class()) {
                        Some(rest) => rest.to_owned(),
                        None => format!(" with {what}"),
                    }
                })?;
                self.activation(own);
                Ok(())
            }
        }
    }

    /// Sets an activation on the Dense layer or the convolution before it, or adds it as a layer.
    fn activation(&mut self, activation: Activation) {
        match self.layers.last_mut() {
            _ if activation == Activation::Linear => {}
            Some(Layer::Dense(dense)) if dense.activation == Activation::Linear => {
                dense.activation = activation;
            }
            _ => self.push(activation),
        }
    }

    /// Numbers from 0 to 255 that are divided by 255 are the pixels that seqfit has from 0 to 1.
    fn rescaling(&mut self, step: &Step<'_>) -> Result<(), String> {
        let config = checked(step, &["scale", "offset"])?;
        let number = |key: &str| config[key].as_f64().ok_or(format!(" without one {key}"));
        let (scale, offset) = (number("scale")?, number("offset")?);
        let is_first = !self.layers.iter().any(|layer| !layer.is::<Reshape>());
        let of_bytes = is_first && (1.0 / 512.0..1.0 / 64.0).contains(&scale);
        let scale = if of_bytes { scale * 255.0 } else { scale };
        self.features = self.features.or(of_bytes.then_some(FeatureKind::Pixels));
        if (scale as f32, offset) != (1.0, 0.0) {
            self.push(Rescaling::new(scale, offset));
        }
        Ok(())
    }

    /// One channel added to gray pictures, or vectors made of samples, or of vectors pictures of one channel.
    fn reshape(&mut self, step: &Step<'_>) -> Result<(), String> {
        let config = checked(step, &["target_shape"])?;
        let target = config["target_shape"].as_array().map_or(&[][..], Vec::as_slice);
        let target: Option<Vec<usize>> = target.iter().map(size).collect();
        match (target.as_deref(), &self.shape[..]) {
            (Some(&[height, width, 1]), [_] | [_, _]) => {
                self.push(Reshape::new([1, height, width]));
                Ok(())
            }
            (_, [_, _]) if config["target_shape"].as_array().is_some_and(|it| it.len() == 1) => {
                self.push(Flatten);
                Ok(())
            }
            _ => Err(format!(" to {} of samples {:?}", shown(&config["target_shape"]), self.shape)),
        }
    }

    fn flatten(&mut self, step: &Step<'_>) -> Result<(), String> {
        checked(step, &[])?;
        self.flat = self.flat.or(self.shape[..].try_into().ok());
        self.push(Flatten);
        Ok(())
    }

    fn dropout(&mut self, step: &Step<'_>) -> Result<(), String> {
        let config = checked(step, &["rate", "noise_shape"])?;
        let rate = config["rate"].as_f64().ok_or(" without a rate")?;
        match step.class() {
            "SpatialDropout2D" => self.push(SpatialDropout2D::new(rate)),
            _ => self.push(Dropout::new(rate)),
        }
        Ok(())
    }

    fn dense(&mut self, step: &Step<'_>) -> Result<(), String> {
        let config = checked(step, &["units", "activation", "use_bias"])?;
        let units = number(config, "units")?;
        let inputs: usize = self.shape.iter().product();
        // Of vectors that were pictures, each input has another place.
        let [channels, height, width] = self.flat.take().unwrap_or([inputs, 1, 1]);
        let kernel = self.kernel(step, 0, "kernel", [units, channels, height, width], 0)?;
        let bias = match config["use_bias"] {
            Value::Bool(false) => Source::Filled(0.0),
            _ => self.vector(step, 1, "bias", units)?,
        };
        self.sources.extend([kernel, bias]);
        self.push(Dense::new(units).activation(named(&config["activation"])?));
        Ok(())
    }

    fn convolution(&mut self, step: &Step<'_>) -> Result<(), String> {
        let own = ["filters", "groups", "activation", "use_bias"];
        let config = checked(step, &[&WINDOW[..], &own].concat())?;
        let (filters, window) = (number(config, "filters")?, Window::of(config)?);
        let groups = size(&config["groups"]).unwrap_or(1);
        let inputs = self.channels()? / groups.max(1);
        let use_bias = config["use_bias"] != false;
        let [height, width] = window.size.0;
        let kernel = self.kernel(step, 0, "kernel", [filters, inputs, height, width], 0)?;
        self.sources.push(kernel);
        self.bias(step, 1, filters, use_bias)?;
        let layer = Conv2D::new(filters, window.size).strides(window.strides).groups(groups);
        let layer = layer.padding(window.padding).dilation_rate(window.dilation);
        self.push(layer.use_bias(use_bias).activation(named(&config["activation"])?));
        Ok(())
    }

    fn depthwise(&mut self, step: &Step<'_>) -> Result<(), String> {
        let own = ["depth_multiplier", "activation", "use_bias", "filters", "groups"];
        let config = checked(step, &[&WINDOW[..], &own].concat())?;
        let window = Window::of(config)?;
        let (times, use_bias) = (number(config, "depth_multiplier")?, config["use_bias"] != false);
        let filters = self.depthwise_kernel(step, &window, times)?;
        self.bias(step, 1, filters, use_bias)?;
        let layer =
            DepthwiseConv2D::new(window.size).strides(window.strides).padding(window.padding);
        let layer = layer.dilation_rate(window.dilation).depth_multiplier(times).use_bias(use_bias);
        self.push(layer.activation(named(&config["activation"])?));
        Ok(())
    }

    fn separable(&mut self, step: &Step<'_>) -> Result<(), String> {
        let own = ["filters", "depth_multiplier", "activation", "use_bias", "groups"];
        let config = checked(step, &[&WINDOW[..], &own].concat())?;
        let (filters, window) = (number(config, "filters")?, Window::of(config)?);
        let (times, use_bias) = (number(config, "depth_multiplier")?, config["use_bias"] != false);
        let inner = self.depthwise_kernel(step, &window, times)?;
        let pointwise = self.kernel(step, 1, "pointwise_kernel", [filters, inner, 1, 1], 0)?;
        self.sources.push(pointwise);
        self.bias(step, 2, filters, use_bias)?;
        let layer = SeparableConv2D::new(filters, window.size).strides(window.strides);
        let layer = layer.padding(window.padding).dilation_rate(window.dilation);
        let layer = layer.depth_multiplier(times).use_bias(use_bias);
        self.push(layer.activation(named(&config["activation"])?));
        Ok(())
    }

    /// Adds the weights of a convolution of each channel, and returns the number of its outputs.
    fn depthwise_kernel(
        &mut self,
        step: &Step<'_>,
        window: &Window,
        times: usize,
    ) -> Result<usize, String> {
        let filters = self.channels()?.saturating_mul(times);
        let [height, width] = window.size.0;
        // Keras 3 calls that of a DepthwiseConv2D as those of other layers.
        let is_old = self.tensor(step, 0, "depthwise_kernel").is_ok();
        let leaf = if is_old { "depthwise_kernel" } else { "kernel" };
        let kernel = self.kernel(step, 0, leaf, [filters, 1, height, width], times)?;
        self.sources.push(kernel);
        Ok(filters)
    }

    fn bias(
        &mut self,
        step: &Step<'_>,
        number: usize,
        size: usize,
        use_bias: bool,
    ) -> Result<(), String> {
        if use_bias {
            let bias = self.vector(step, number, "bias", size)?;
            self.sources.push(bias);
        }
        Ok(())
    }

    fn pooling(&mut self, step: &Step<'_>) -> Result<(), String> {
        let config = checked(step, &["pool_size", "strides", "padding"])?;
        let size = two(&config["pool_size"]).ok_or(" without a pool_size")?;
        let (strides, padding) = (two(&config["strides"]).unwrap_or(size), padding(config)?);
        match step.class() {
            "MaxPooling2D" => {
                self.push(MaxPooling2D::new(size).strides(strides).padding(padding));
            }
            _ => self.push(AveragePooling2D::new(size).strides(strides).padding(padding)),
        }
        Ok(())
    }

    fn global_pooling(&mut self, step: &Step<'_>) -> Result<(), String> {
        let config = checked(step, &["keepdims"])?;
        if config["keepdims"] == true {
            return Err(" with keepdims = true".to_owned());
        }
        match step.class() {
            "GlobalMaxPooling2D" => self.push(GlobalMaxPooling2D),
            _ => self.push(GlobalAveragePooling2D),
        }
        Ok(())
    }

    fn zero_padding(&mut self, step: &Step<'_>) -> Result<(), String> {
        let config = checked(step, &["padding"])?;
        let sides = config["padding"].as_array().map_or(&[][..], Vec::as_slice);
        match sides.iter().map(two).collect::<Option<Vec<_>>>().as_deref() {
            Some([vertical, horizontal]) => {
                self.push(ZeroPadding2D::new([vertical.0, horizontal.0]));
                Ok(())
            }
            _ => Err(format!(" with padding = {}", shown(&config["padding"]))),
        }
    }

    fn batch_normalization(&mut self, step: &Step<'_>) -> Result<(), String> {
        let known = ["axis", "epsilon", "momentum", "center", "scale", "renorm"];
        let config = checked(step, &known)?;
        if config["renorm"] == true {
            return Err(" with renorm = true".to_owned());
        }
        let axis =
            config["axis"].as_array().and_then(|list| list.first()).unwrap_or(&config["axis"]);
        if !(axis.is_null() || *axis == -1 || *axis == self.shape.len()) {
            return Err(format!(" with axis = {}", shown(&config["axis"])));
        }
        if self.flat.is_some() {
            return Err(" of a Flatten of pictures".to_owned());
        }
        let size = self.shape.first().copied().unwrap_or(0);
        let mut place = 0;
        for (leaf, given, otherwise) in [
            ("gamma", config["scale"] != false, 1.0),
            ("beta", config["center"] != false, 0.0),
            ("moving_mean", true, 0.0),
            ("moving_variance", true, 1.0),
        ] {
            let source = match given {
                true => self.vector(step, place, leaf, size)?,
                false => Source::Filled(otherwise),
            };
            self.sources.push(source);
            place += usize::from(given);
        }
        let usual = BatchNormalization::default();
        let epsilon = config["epsilon"].as_f64().unwrap_or(usual.epsilon);
        let momentum = config["momentum"].as_f64().unwrap_or(usual.momentum);
        self.push(BatchNormalization { momentum, epsilon });
        Ok(())
    }

    fn channels(&self) -> Result<usize, String> {
        match self.shape[..] {
            [channels, _, _] => Ok(channels),
            _ => Err(format!(" of samples of shape {:?}", self.shape)),
        }
    }

    /// Returns the weights of a kernel with this shape here, those of `filters` filters of each channel if above 0.
    fn kernel(
        &self,
        step: &Step<'_>,
        number: usize,
        leaf: &str,
        shape: [usize; 4],
        filters: usize,
    ) -> Result<Source, String> {
        let layout = KerasLayout::of(&shape, filters);
        let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
        let tensor = self.tensor(step, number, leaf)?;
        let found = &self.tensors[tensor].shape;
        let inputs = shape[1..].iter().product();
        // The kernel of a Dense layer is a matrix.
        let fits = *found == layout.shape() || *found == [inputs, shape[0]];
        if !fits || count.is_none() {
            return Err(format!(", whose {leaf} is {found:?}, not {:?}", layout.shape()));
        }
        Ok(Source::Tensor { tensor, layout: Layout::Keras { shape, filters } })
    }

    /// Returns a variable with one axis of this size.
    fn vector(
        &self,
        step: &Step<'_>,
        number: usize,
        leaf: &str,
        size: usize,
    ) -> Result<Source, String> {
        let tensor = self.tensor(step, number, leaf)?;
        match &self.tensors[tensor].shape[..] {
            [found] if *found == size => Ok(Source::Tensor { tensor, layout: Layout::AsStored }),
            found => Err(format!(", whose {leaf} is {found:?}, not [{size}]")),
        }
    }

    fn tensor(&self, step: &Step<'_>, number: usize, leaf: &str) -> Result<usize, String> {
        let found = self.places.variable([&step.path, &step.top, &step.name], (number, leaf));
        found.ok_or_else(|| format!(", whose {leaf} is missing"))
    }
}

/// The settings of windows.
const WINDOW: [&str; 5] = ["kernel_size", "strides", "padding", "dilation_rate", "rank"];

struct Window {
    size: Size2D,
    strides: Size2D,
    dilation: Size2D,
    padding: Padding,
}

impl Window {
    fn of(config: &Value) -> Result<Self, String> {
        let one = Size2D([1, 1]);
        Ok(Self {
            size: two(&config["kernel_size"]).ok_or(" without a kernel_size")?,
            strides: two(&config["strides"]).unwrap_or(one),
            dilation: two(&config["dilation_rate"]).unwrap_or(one),
            padding: padding(config)?,
        })
    }
}

/// Returns a layer's settings, if it has only those and others that are for training.
fn checked<'a>(step: &Step<'a>, known: &[&str]) -> Result<&'a Value, String> {
    only(step.config(), &[known, &TRAINING].concat())?;
    Ok(step.config())
}

/// Returns the sizes of a sample: `[null, 32, 32, 3]` → [32, 32, 3].
fn sizes(value: &Value) -> Option<Vec<usize>> {
    let (_, sizes) = value.as_array()?.split_first()?;
    sizes.iter().map(size).collect()
}

fn size(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

fn two(value: &Value) -> Option<Size2D> {
    match value.as_array().map(Vec::as_slice) {
        Some([height, width]) => Some(Size2D([size(height)?, size(width)?])),
        Some([both]) => Some(size(both)?.into()),
        Some(_) => None,
        None => Some(size(value)?.into()),
    }
}

fn number(config: &Value, key: &str) -> Result<usize, String> {
    size(&config[key]).filter(|&size| size > 0).ok_or_else(|| format!(" without {key}"))
}

fn padding(config: &Value) -> Result<Padding, String> {
    match config["padding"].as_str() {
        Some("valid") => Ok(Padding::Valid),
        Some("same") => Ok(Padding::Same),
        _ => Err(format!(" with padding = {}", shown(&config["padding"]))),
    }
}
