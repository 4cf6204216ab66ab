//! Networks in one line: "conv 32 3 relu, maxpool 2, flatten, dropout 0.5, dense".

use std::str::FromStr;

use seqfit::layers::{
    AveragePooling2D, BatchNormalization, Conv2D, Dense, DepthwiseConv2D, Dropout, Flatten,
    GlobalAveragePooling2D, GlobalMaxPooling2D, Layer, LayerNormalization, MaxPooling2D, Padding,
    RMSNormalization, Reshape, SeparableConv2D, Size2D, SpatialDropout2D, ZeroPadding2D,
};
use seqfit::{Activation, Spec};

/// The names of layers in such a line, with what follows them.
const FORMS: &str = "conv FILTERS SIZE [STRIDES] [same] [ACTIVATION], sepconv FILTERS SIZE [STRIDES] [same] \
    [ACTIVATION], dwconv SIZE [STRIDES] [same] [ACTIVATION], maxpool or avgpool [SIZE] [STRIDES] [same], globalavg, \
    globalmax, pad [SIZE], batchnorm, layernorm, rmsnorm, flatten, dropout RATE, spatialdropout RATE, dense [UNITS] \
    [ACTIVATION], or an activation";

/// The layers of a line; none for the last Dense layer, which has the outputs that the data needs.
#[derive(Clone, Debug)]
pub struct LayerList(Vec<Item>);

#[derive(Clone, Debug)]
enum Item {
    Layer(Layer),
    Outputs(Activation),
}

impl LayerList {
    /// Returns the network for samples of this shape. Gray pictures, [height, width], become [1, height, width] before
    /// the first layer that needs that.
    pub fn spec(&self, shape: &[usize], outputs: usize) -> Spec {
        let (mut layers, mut now): (Vec<Layer>, _) = (Vec::new(), shape.to_vec());
        for item in &self.0 {
            let layer: Layer = match item {
                Item::Layer(layer) => layer.clone(),
                Item::Outputs(activation) => Dense::new(outputs).activation(*activation).into(),
            };
            let one_channel: Vec<usize> = std::iter::once(1).chain(now.iter().copied()).collect();
            let takes = |shape: &[usize]| layer.kind().output_shape(shape).is_ok();
            if now.len() == 2 && !takes(&now) && takes(&one_channel) {
                layers.push(Reshape::new(one_channel.clone()).into());
                now = one_channel;
            }
            // A layer that does not fit is named when the network is checked.
            now = layer.kind().output_shape(&now).unwrap_or(now);
            layers.push(layer);
        }
        Spec::new(shape, layers)
    }
}

/// Reads a line.
///
/// # Errors
/// The layer that is not one, by its number and text.
pub fn layer_list(text: &str) -> Result<LayerList, String> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let mut items = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        let at = |reason: String| format!("layer {}, {part:?}: {reason}", i + 1);
        let item = item(part).map_err(at)?;
        if matches!(item, Item::Outputs(_)) && i + 1 < parts.len() {
            return Err(
                at("dense without units is the last layer: say how many it has".to_owned()),
            );
        }
        items.push(item);
    }
    Ok(LayerList(items))
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
    /// Sorts the words; `most` is the largest number of numbers.
    fn of(words: &[&'a str], most: usize) -> Result<Self, String> {
        let mut own =
            Self { numbers: Vec::new(), padding: Padding::Valid, activation: Activation::Linear };
        for &word in words {
            match (word, activation(word)) {
                ("same", _) => own.padding = Padding::Same,
                ("valid", _) => own.padding = Padding::Valid,
                (_, Some(activation)) => own.activation = activation,
                _ if word.starts_with(|c: char| c.is_ascii_digit()) && own.numbers.len() < most => {
                    own.numbers.push(word);
                }
                _ => return Err(format!("{word:?} is not understood here: layers are {FORMS}")),
            }
        }
        Ok(own)
    }

    fn number<T: FromStr>(&self, place: usize, what: &str) -> Result<Option<T>, String> {
        let Some(word) = self.numbers.get(place) else { return Ok(None) };
        let wrong = |_| format!("{what} is a number, found {word:?}");
        word.parse().map(Some).map_err(wrong)
    }

    fn needed<T: FromStr>(&self, place: usize, what: &str) -> Result<T, String> {
        self.number(place, what)?.ok_or_else(|| format!("{what} is missing"))
    }

    /// Returns a size: "3" or "3x2".
    fn size(&self, place: usize) -> Result<Option<Size2D>, String> {
        let Some(word) = self.numbers.get(place) else { return Ok(None) };
        let (height, width) = word.split_once('x').unwrap_or((word, word));
        match (height.parse(), width.parse()) {
            (Ok(height), Ok(width)) => Ok(Some(Size2D([height, width]))),
            _ => Err(format!("a size is a number, or two as in 3x2, found {word:?}")),
        }
    }

    fn needed_size(&self, place: usize) -> Result<Size2D, String> {
        self.size(place)?.ok_or_else(|| "the size is missing".to_owned())
    }
}

fn item(part: &str) -> Result<Item, String> {
    let words: Vec<&str> = part.split_whitespace().collect();
    let (&name, words) = words.split_first().ok_or_else(|| format!("it is empty: {FORMS}"))?;
    let of = |most| Words::of(words, most);
    let one = Size2D([1, 1]);
    let layer: Layer = match name {
        "conv" => {
            let own = of(3)?;
            let layer = Conv2D::new(own.needed(0, "the number of filters")?, own.needed_size(1)?);
            let layer = layer.strides(own.size(2)?.unwrap_or(one)).padding(own.padding);
            layer.activation(own.activation).into()
        }
        "sepconv" => {
            let own = of(3)?;
            let filters = own.needed(0, "the number of filters")?;
            let layer = SeparableConv2D::new(filters, own.needed_size(1)?);
            let layer = layer.strides(own.size(2)?.unwrap_or(one)).padding(own.padding);
            layer.activation(own.activation).into()
        }
        "dwconv" => {
            let own = of(2)?;
            let layer = DepthwiseConv2D::new(own.needed_size(0)?).padding(own.padding);
            layer.strides(own.size(1)?.unwrap_or(one)).activation(own.activation).into()
        }
        "maxpool" => {
            let own = of(2)?;
            let layer = MaxPooling2D::new(own.size(0)?.unwrap_or(Size2D([2, 2])));
            MaxPooling2D { strides: own.size(1)?, padding: own.padding, ..layer }.into()
        }
        "avgpool" => {
            let own = of(2)?;
            let layer = AveragePooling2D::new(own.size(0)?.unwrap_or(Size2D([2, 2])));
            AveragePooling2D { strides: own.size(1)?, padding: own.padding, ..layer }.into()
        }
        "globalavg" => of(0).map(|_| GlobalAveragePooling2D)?.into(),
        "globalmax" => of(0).map(|_| GlobalMaxPooling2D)?.into(),
        "pad" => ZeroPadding2D::new(of(1)?.size(0)?.unwrap_or(one).0).into(),
        "batchnorm" => of(0).map(|_| BatchNormalization::default())?.into(),
        "layernorm" => of(0).map(|_| LayerNormalization::default())?.into(),
        "rmsnorm" => of(0).map(|_| RMSNormalization::default())?.into(),
        "flatten" => of(0).map(|_| Flatten)?.into(),
        "dropout" => Dropout::new(of(1)?.needed(0, "the rate")?).into(),
        "spatialdropout" => SpatialDropout2D::new(of(1)?.needed(0, "the rate")?).into(),
        "dense" => {
            let own = of(1)?;
            match own.number(0, "the number of units")? {
                Some(units) => Dense::new(units).activation(own.activation).into(),
                None => return Ok(Item::Outputs(own.activation)),
            }
        }
        name => match (activation(name), words) {
            (Some(activation), []) => activation.into(),
            _ => return Err(format!("{name:?} is not a layer: layers are {FORMS}")),
        },
    };
    Ok(Item::Layer(layer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_convnet_of_keras_in_one_line_has_its_parameters() {
        let line =
            "conv 32 3 relu, maxpool 2, conv 64 3 relu, maxpool 2, flatten, dropout 0.5, dense";
        let spec = layer_list(line).unwrap().spec(&[28, 28], 10);
        assert_eq!(seqfit::Summary::new(&spec).unwrap().parameters(), 34_826);
        assert_eq!(spec.layers.len(), 8);
        let color = layer_list(line).unwrap().spec(&[3, 28, 28], 10);
        assert_eq!((color.layers.len(), color.outputs()), (7, 10));
    }

    #[test]
    fn settings_are_those_of_the_words() {
        let spec = layer_list(
            "conv 4 3x2 2 same silu, batchnorm, dwconv 3 same, relu, globalavg, dense 5 tanh",
        );
        let spec = spec.unwrap().spec(&[1, 6, 5], 9);
        let conv = Conv2D::new(4, [3, 2]).strides(2).padding(Padding::Same);
        assert_eq!(spec.layers[0], conv.activation(Activation::Silu).into());
        assert_eq!(spec.layers[3], Activation::Relu.into());
        assert_eq!(spec.outputs(), 5);
    }

    #[test]
    fn a_wrong_word_is_named_with_its_layer() {
        for (line, message) in [
            ("conv 32 3 relu, maxpol 2", "layer 2, \"maxpol 2\": \"maxpol\" is not a layer"),
            ("conv 32", "layer 1, \"conv 32\": the size is missing"),
            ("conv 3x 3", "the number of filters is a number, found \"3x\""),
            ("maxpool 2 2 2", "\"2\" is not understood here"),
            ("conv 8 3 relo", "\"relo\" is not understood here"),
            ("flatten,, dense", "layer 2, \"\": it is empty"),
            ("dense, flatten", "layer 1, \"dense\": dense without units is the last layer"),
            ("dropout", "the rate is missing"),
        ] {
            let error = layer_list(line).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
