//! Networks in one line: "conv 32 3 relu, maxpool 2, flatten, dropout 0.5, dense".

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::spec::Spec;
use crate::layers::{
    Activation, AveragePooling2D, BatchNormalization, Conv2D, Dense, DepthwiseConv2D, Dropout,
    Flatten, GlobalAveragePooling2D, GlobalMaxPooling2D, Layer, LayerNormalization, MaxPooling2D,
    Padding, RMSNormalization, Reshape, SeparableConv2D, Size2D, SpatialDropout2D, ZeroPadding2D,
};
use crate::message_text::{did_you_mean, similar};

/// How a layer is written.
struct Form {
    name: &'static str,
    /// Its type in files.
    tag: &'static str,
    /// What follows the name: numbers and sizes, of which those in brackets may be left out, and words.
    words: &'static str,
    example: &'static str,
    build: fn(&Words<'_>) -> Result<Item, String>,
}

const SAME: &str = "[same]";
const ACTIVATION: &str = "[ACTIVATION]";

impl Form {
    const fn new(
        name: &'static str,
        tag: &'static str,
        words: &'static str,
        example: &'static str,
        build: fn(&Words<'_>) -> Result<Item, String>,
    ) -> Self {
        Self { name, tag, words, example, build }
    }

    fn has(&self, word: &str) -> bool {
        self.words.split(' ').any(|own| own == word)
    }

    /// Returns the most numbers and sizes after the name.
    fn numbers(&self) -> usize {
        self.words.split_whitespace().filter(|word| ![SAME, ACTIVATION].contains(word)).count()
    }
}

const CONVOLUTION: &str = "FILTERS SIZE [STRIDES] [same] [ACTIVATION]";
const POOLING: &str = "[SIZE] [STRIDES] [same]";

const FORMS: [Form; 16] = [
    Form::new("conv", "conv2d", CONVOLUTION, "conv 32 3 relu", |own| {
        let layer = Conv2D::new(own.filters()?, own.needed_size(1)?).padding(own.padding);
        Item::layer(layer.strides(own.size(2, 1)?).activation(own.activation))
    }),
    Form::new("sepconv", "separable_conv2d", CONVOLUTION, "sepconv 32 3 relu", |own| {
        let layer = SeparableConv2D::new(own.filters()?, own.needed_size(1)?).padding(own.padding);
        Item::layer(layer.strides(own.size(2, 1)?).activation(own.activation))
    }),
    Form::new(
        "dwconv",
        "depthwise_conv2d",
        "SIZE [STRIDES] [same] [ACTIVATION]",
        "dwconv 3 relu",
        |own| {
            let layer = DepthwiseConv2D::new(own.needed_size(0)?).padding(own.padding);
            Item::layer(layer.strides(own.size(1, 1)?).activation(own.activation))
        },
    ),
    Form::new("maxpool", "max_pooling2d", POOLING, "maxpool 2", |own| {
        let layer = MaxPooling2D::new(own.size(0, 2)?);
        Item::layer(MaxPooling2D { strides: own.size_at(1)?, padding: own.padding, ..layer })
    }),
    Form::new("avgpool", "average_pooling2d", POOLING, "avgpool 2", |own| {
        let layer = AveragePooling2D::new(own.size(0, 2)?);
        Item::layer(AveragePooling2D { strides: own.size_at(1)?, padding: own.padding, ..layer })
    }),
    Form::new("globalavg", "global_average_pooling2d", "", "globalavg", |_| {
        Item::layer(GlobalAveragePooling2D)
    }),
    Form::new("globalmax", "global_max_pooling2d", "", "globalmax", |_| {
        Item::layer(GlobalMaxPooling2D)
    }),
    Form::new("pad", "zero_padding2d", "[SIZE]", "pad 1", |own| {
        Item::layer(ZeroPadding2D::new(own.size(0, 1)?.0))
    }),
    Form::new("batchnorm", "batch_normalization", "", "batchnorm", |_| {
        Item::layer(BatchNormalization::default())
    }),
    Form::new("layernorm", "layer_normalization", "", "layernorm", |_| {
        Item::layer(LayerNormalization::default())
    }),
    Form::new("rmsnorm", "rms_normalization", "", "rmsnorm", |_| {
        Item::layer(RMSNormalization::default())
    }),
    Form::new("flatten", "flatten", "", "flatten", |_| Item::layer(Flatten)),
    Form::new("reshape", "reshape", "SHAPE", "reshape 1x28x28", |own| {
        Item::layer(Reshape::new(own.shape()?))
    }),
    Form::new("dropout", "dropout", "RATE", "dropout 0.5", |own| {
        Item::layer(Dropout::new(own.rate()?))
    }),
    Form::new("spatialdropout", "spatial_dropout2d", "RATE", "spatialdropout 0.2", |own| {
        Item::layer(SpatialDropout2D::new(own.rate()?))
    }),
    Form::new("dense", "dense", "[UNITS] [ACTIVATION]", "dense 64 relu", |own| {
        match own.number(0, "the number of units is a whole number")? {
            Some(units) => Item::layer(Dense::new(units).activation(own.activation)),
            None => Ok(Item::Outputs(own.activation)),
        }
    }),
];

/// "write conv FILTERS SIZE …, such as conv 32 3 relu".
impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, words, example, .. } = self;
        match words.is_empty() {
            true => write!(f, "write {name} alone"),
            false => write!(f, "write {name} {words}, such as {example:?}"),
        }
    }
}

/// Layers in one line, from first to last: `conv 32 3 relu, maxpool 2, flatten, dropout 0.5, dense`.
///
/// A last `dense` without a number has the outputs that the data needs. `seqfit train --layers` takes such a line, and a
/// recipe may have one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LayerList(Vec<(String, Item)>);

/// The reason a line is not a list of layers, or does not fit the samples: the layer by its number and text, the rule,
/// and the cure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LayerListError(String);

#[derive(Clone, Debug, PartialEq)]
enum Item {
    Layer(Layer),
    /// The last Dense layer, which has the outputs that the data needs.
    Outputs(Activation),
}

impl Item {
    /// As the closures of the forms return it.
    fn layer(layer: impl Into<Layer>) -> Result<Self, String> {
        Ok(Self::Layer(layer.into()))
    }
}

impl LayerList {
    /// Returns the network for samples of this shape. Gray pictures, [height, width], become [1, height, width] before
    /// the first layer that needs that; what a layer of the list has made of a sample does not.
    ///
    /// # Errors
    /// The first layer that does not fit, by its number and text.
    pub fn spec(&self, shape: &[usize], outputs: usize) -> Result<Spec, LayerListError> {
        let (mut layers, mut now): (Vec<Layer>, _) = (Vec::new(), shape.to_vec());
        let mut is_sample = true;
        for (i, (text, item)) in self.0.iter().enumerate() {
            let layer: Layer = match item {
                Item::Layer(layer) => layer.clone(),
                Item::Outputs(activation) => Dense::new(outputs).activation(*activation).into(),
            };
            let output = |shape: &[usize]| layer.kind().output_shape(shape);
            let mut next = output(&now);
            if let ([height, width], Err(error), true) = (&now[..], &next, is_sample) {
                let one_channel = [1, *height, *width];
                let as_picture = output(&one_channel);
                // Another rule that is broken is not about the number of axes.
                if as_picture.as_ref().map_or_else(|other| other.rule != error.rule, |_| true) {
                    layers.push(Reshape::new(one_channel).into());
                    next = as_picture;
                }
            }
            let wrong = |error| LayerListError(format!("layer {}, {text:?}: {error}", i + 1));
            now = next.map_err(wrong)?;
            // An activation or Dropout leaves a picture a picture.
            is_sample &= now == shape && !layer.is::<Reshape>();
            layers.push(layer);
        }
        Ok(Spec::new(shape, layers))
    }
}

impl FromStr for LayerList {
    type Err = LayerListError;

    fn from_str(text: &str) -> Result<Self, LayerListError> {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let mut items = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            let at =
                |reason: String| LayerListError(format!("layer {}, {part:?}: {reason}", i + 1));
            let item = item(part).map_err(at)?;
            let is_last = parts[i + 1..].iter().all(|part| part.is_empty());
            if matches!(item, Item::Outputs(_)) && !is_last {
                let rule = "dense without units is the last layer: say how many it has";
                return Err(at(rule.to_owned()));
            }
            items.push(((*part).to_owned(), item));
        }
        Ok(Self(items))
    }
}

impl TryFrom<String> for LayerList {
    type Error = LayerListError;

    fn try_from(text: String) -> Result<Self, LayerListError> {
        text.parse()
    }
}

impl From<LayerList> for String {
    fn from(list: LayerList) -> Self {
        list.0.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// The words after a layer's name.
struct Words<'a> {
    numbers: Vec<&'a str>,
    padding: Padding,
    activation: Activation,
}

fn activation(word: &str) -> Option<Activation> {
    Activation::ALL.into_iter().find(|activation| activation.name() == word)
}

impl<'a> Words<'a> {
    /// Sorts the words; each that the layer does not take is an error.
    fn of(words: &[&'a str], form: &Form) -> Result<Self, String> {
        let (mut numbers, mut padding, mut chosen) = (Vec::new(), None, None);
        for &word in words {
            let is_number = word.starts_with(|c: char| c.is_ascii_digit() || "-.".contains(c));
            match (word, activation(word)) {
                ("same", _) if form.has(SAME) && padding.is_none() => padding = Some(Padding::Same),
                ("valid", _) if form.has(SAME) && padding.is_none() => {
                    padding = Some(Padding::Valid)
                }
                (_, Some(named)) if form.has(ACTIVATION) && chosen.is_none() => {
                    chosen = Some(named)
                }
                _ if is_number && numbers.len() < form.numbers() => numbers.push(word),
                _ => return Err(misunderstood(word, form)),
            }
        }
        let (padding, activation) = (padding.unwrap_or_default(), chosen.unwrap_or_default());
        Ok(Self { numbers, padding, activation })
    }

    fn number<T: FromStr>(&self, place: usize, what: &str) -> Result<Option<T>, String> {
        let Some(word) = self.numbers.get(place) else { return Ok(None) };
        let wrong = |_| format!("{what}, found {word:?}");
        word.parse().map(Some).map_err(wrong)
    }

    fn filters(&self) -> Result<usize, String> {
        let what = "the number of filters is a whole number";
        self.number(0, what)?.ok_or_else(|| "the number of filters is missing".to_owned())
    }

    fn rate(&self) -> Result<f64, String> {
        let what = "the rate is a number from 0 to below 1";
        self.number(0, what)?.ok_or_else(|| "the rate is missing".to_owned())
    }

    /// Returns the sizes of a shape: `1x28x28`.
    fn shape(&self) -> Result<Vec<usize>, String> {
        let word = self.numbers.first().ok_or("the shape is missing")?;
        let sizes = word.split('x').map(|size| size.parse().ok()).collect::<Option<_>>();
        sizes.ok_or_else(|| format!("a shape is whole numbers, as in 1x28x28, found {word:?}"))
    }

    fn size_at(&self, place: usize) -> Result<Option<Size2D>, String> {
        let Some(word) = self.numbers.get(place) else { return Ok(None) };
        let (height, width) = word.split_once('x').unwrap_or((word, word));
        match (height.parse(), width.parse()) {
            (Ok(height), Ok(width)) => Ok(Some(Size2D([height, width]))),
            _ => Err(format!("a size is a whole number, or two as in 3x2, found {word:?}")),
        }
    }

    fn size(&self, place: usize, usual: usize) -> Result<Size2D, String> {
        Ok(self.size_at(place)?.unwrap_or(usual.into()))
    }

    fn needed_size(&self, place: usize) -> Result<Size2D, String> {
        self.size_at(place)?.ok_or_else(|| "the size is missing".to_owned())
    }
}

/// Returns the error for a word that a layer does not take.
fn misunderstood(word: &str, form: &Form) -> String {
    let activations = Activation::ALL.map(Activation::name).into_iter();
    let meant = similar(word, activations.filter(|name| form.has(ACTIVATION) && *name != word));
    let meant = meant.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default();
    format!("{word:?} is not understood here{meant}")
}

fn item(part: &str) -> Result<Item, String> {
    let words: Vec<&str> = part.split_whitespace().collect();
    let Some((&name, words)) = words.split_first() else {
        let example = "conv 32 3 relu, maxpool 2, flatten, dense";
        return Err(format!(
            "no layer is there: leave out the comma, or write layers such as {example:?}"
        ));
    };
    if let Some(form) = FORMS.iter().find(|form| form.name == name) {
        let layer = Words::of(words, form).and_then(|own| (form.build)(&own));
        return layer.map_err(|problem| format!("{problem}: {form}"));
    }
    match (activation(name), words) {
        (Some(activation), []) => Ok(Item::Layer(activation.into())),
        (Some(_), _) => Err(format!("an activation has no settings: write {name} alone")),
        (None, _) => Err(unknown(name)),
    }
}

/// Returns the error for a name that no layer has.
fn unknown(name: &str) -> String {
    let names = FORMS.iter().map(|form| form.name);
    let (own, in_files) =
        (names.clone().map(|name| (name, name)), FORMS.iter().map(|form| (form.tag, form.name)));
    let activations = Activation::ALL.into_iter().map(|one| (one.name(), one.name()));
    let only_in_files: Vec<(&str, String)> = Layer::TYPES
        .iter()
        // An activation is written as its name.
        .filter(|tag| **tag != "activation" && FORMS.iter().all(|form| form.tag != **tag))
        .map(|tag| (*tag, format!("{tag} by --network FILE")))
        .collect();
    let only_in_files = only_in_files.iter().map(|(tag, cure)| (*tag, &cure[..]));
    let cure = did_you_mean(name, own.chain(in_files).chain(activations).chain(only_in_files));
    let names = names.collect::<Vec<_>>().join(", ");
    let all = if cure.contains("--network") { "" } else { " (--network FILE takes all layers)" };
    format!("{name:?} is not a layer of {names}: {cure}{all}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Summary;

    fn layer_list(line: &str) -> Result<LayerList, LayerListError> {
        line.parse()
    }

    #[test]
    fn the_convnet_of_keras_in_one_line_has_its_parameters() {
        let line =
            "conv 32 3 relu, maxpool 2, conv 64 3 relu, maxpool 2, flatten, dropout 0.5, dense";
        let spec = layer_list(line).unwrap().spec(&[28, 28], 10).unwrap();
        assert_eq!(Summary::new(&spec).unwrap().parameters(), 34_826);
        assert_eq!(spec.layers.len(), 8);
        let color = layer_list(line).unwrap().spec(&[3, 28, 28], 10).unwrap();
        assert_eq!((color.layers.len(), color.outputs()), (7, 10));
    }

    #[test]
    fn settings_are_those_of_the_words() {
        let spec = layer_list(
            "conv 4 3x2 2 same silu, batchnorm, dwconv 3 same, relu, globalavg, dense 5 tanh",
        );
        let spec = spec.unwrap().spec(&[1, 6, 5], 9).unwrap();
        let conv = Conv2D::new(4, [3, 2]).strides(2).padding(Padding::Same);
        assert_eq!(spec.layers[0], conv.activation(Activation::Silu).into());
        assert_eq!(spec.layers[3], Activation::Relu.into());
        assert_eq!(spec.outputs(), 5);
    }

    #[test]
    fn the_documentation_has_every_word() {
        let page = include_str!("../../docs/networks.md");
        for Form { name, words, example, .. } in &FORMS {
            let row = format!("| `{}` | ", format!("{name} {words}").trim_end());
            assert!(page.lines().any(|line| line.starts_with(&row)), "{row}");
            assert!(layer_list(example).is_ok(), "{example}");
        }
        let named = |activation: &Activation| page.contains(&format!("`{}`", activation.name()));
        assert!(Activation::ALL.iter().all(named));
    }

    #[test]
    fn a_wrong_word_is_named_with_its_layer() {
        for (line, message) in [
            (
                "conv 32 3 relu, maxpol 2",
                "layer 2, \"maxpol 2\": \"maxpol\" is not a layer of conv, ",
            ),
            ("maxpol 2", ": did you mean maxpool?"),
            ("conv2d 8 3", ": did you mean conv?"),
            ("reluu", ": did you mean relu?"),
            (
                "dense 32, prelu",
                "dropout, spatialdropout, dense: did you mean prelu by --network FILE?",
            ),
            ("residual", ": did you mean residual by --network FILE?"),
            ("rescalling", ": did you mean rescaling by --network FILE?"),
            ("warp", ": take one of these (--network FILE takes all layers)"),
            (
                "conv 32",
                "layer 1, \"conv 32\": the size is missing: write conv FILTERS SIZE [STRIDES] [same] [ACTIVATION], such \
                 as \"conv 32 3 relu\"",
            ),
            ("conv", "the number of filters is missing: write conv FILTERS"),
            ("conv 3x 3", "the number of filters is a whole number, found \"3x\""),
            ("conv -3 3", "the number of filters is a whole number, found \"-3\""),
            ("conv 3 3.5", "a size is a whole number, or two as in 3x2, found \"3.5\""),
            ("maxpool 2 2 2", "\"2\" is not understood here: write maxpool [SIZE]"),
            ("maxpool 2 relu", "\"relu\" is not understood here: write maxpool"),
            ("batchnorm relu", "\"relu\" is not understood here: write batchnorm alone"),
            ("dense 8 same", "\"same\" is not understood here"),
            ("conv 8 3 relu tanh", "\"tanh\" is not understood here"),
            ("conv 8 3 relo", "\"relo\" is not understood here (did you mean relu?): write conv"),
            ("relu 2", "an activation has no settings: write relu alone"),
            ("flatten,, dense", "layer 2, \"\": no layer is there: leave out the comma"),
            ("flatten, dense,", "layer 3, \"\": no layer is there: leave out the comma"),
            ("dense, flatten", "layer 1, \"dense\": dense without units is the last layer"),
            ("dropout", "the rate is missing: write dropout RATE, such as \"dropout 0.5\""),
            ("dropout x", "\"x\" is not understood here: write dropout RATE"),
            ("reshape 3xy", "a shape is whole numbers, as in 1x28x28, found \"3xy\""),
        ] {
            let error = layer_list(line).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn a_layer_that_does_not_fit_is_named_with_its_own_rule() {
        for (line, message) in [
            (
                "conv 8 30",
                "layer 1, \"conv 8 30\": the window of Conv2D must fit into the picture, found 30 x 30",
            ),
            ("conv 8 0", "the window of Conv2D must be from 1 to 65536, found [0, 0]"),
            ("conv 0 3", "Conv2D needs at least 1 filter, found 0"),
            ("conv 1000000000 3", "the output of Conv2D may hold at most 4294967296 values"),
            ("maxpool 99", "the window of MaxPooling2D must fit into the picture"),
            ("dense", "layer 1, \"dense\": Dense needs vectors, found samples of shape [28, 28]"),
            (
                "flatten, conv 8 3",
                "layer 2, \"conv 8 3\": Conv2D needs samples of [channels, height, width]",
            ),
            (
                "reshape 14x56, conv 8 3",
                "layer 2, \"conv 8 3\": Conv2D needs samples of [channels, height, width]",
            ),
            (
                "reshape 28x28, batchnorm",
                "layer 2, \"batchnorm\": BatchNormalization needs vectors, found samples of shape [28, 28]",
            ),
            (
                "reshape 2x2, dense",
                "layer 1, \"reshape 2x2\": the target shape must have the input's 784 values",
            ),
        ] {
            let error = layer_list(line).unwrap().spec(&[28, 28], 10).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let still_picture = layer_list("relu, dropout 0.1, conv 8 3, flatten, dense").unwrap();
        assert_eq!(still_picture.spec(&[28, 28], 10).unwrap().layers.len(), 6);
        let again = layer_list("flatten, reshape 1x28x28, conv 8 3, flatten, dense").unwrap();
        assert_eq!(again.spec(&[28, 28], 10).unwrap().outputs(), 10);
    }
}
