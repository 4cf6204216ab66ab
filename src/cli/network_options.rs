//! The options that describe a network: an architecture, hidden layers, their activation, dropout, or any layers.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::TypedValueParser;
use seqfit::data::{Dataset, Loaded};
use seqfit::layers::{Dense, Dropout, Layer, Normalization};
use seqfit::{Activation, Architecture, FitConfig, LayerList, Loss, Spec};
use serde::Deserialize;

use super::network_file::network_for;
use super::output::Usage;
use super::parse_values::{one_of, share};

/// Describes the network.
#[derive(Clone, Debug, Args)]
pub struct NetworkOptions {
    /// The architecture: mlp (Dense layers, see --hidden), cnn, resnet or mobile, with sizes if the usual ones are not
    /// wanted, as in "cnn width=32 depth=2" or "resnet width=16 depth=2 stages=3" [default: mlp]
    #[arg(long, value_name = "NAME", value_parser = Architecture::from_str, conflicts_with_all = ["layers", "file"])]
    model: Option<Architecture>,
    /// Widths of the hidden Dense layers, comma-separated; "" for none [default: 128,64]
    #[arg(long, value_name = "WIDTHS", value_parser = widths)]
    hidden: Option<Widths>,
    /// Activation of the hidden layers [default: relu]
    #[arg(long, value_name = "NAME", value_parser = hidden_activation())]
    activation: Option<Activation>,
    /// Fraction of each hidden layer's outputs that is dropped in training [default: 0]
    #[arg(long, value_name = "RATE", value_parser = share)]
    dropout: Option<f64>,
    /// All layers in one line, "conv 32 3 relu, maxpool 2, flatten, dense" for example; the last dense has the outputs that
    /// the data needs
    #[arg(long, value_name = "LIST", value_parser = LayerList::from_str, conflicts_with_all = ["hidden", "activation", "dropout"])]
    layers: Option<LayerList>,
    /// The layers of a run, or of a TOML file with layers as under [network] in a run's config.toml
    #[arg(long = "network", value_name = "FILE", conflicts_with_all = ["hidden", "activation", "dropout", "layers"])]
    file: Option<PathBuf>,
    /// What normalizes the input before the first layer: channels (the mean and standard deviation of each color over
    /// the training pictures) or none [default: channels for folders of pictures in color and known ones, else none]
    #[arg(long, value_name = "KIND", value_parser = one_of::<InputNormalization>(["channels", "none"]))]
    normalize: Option<InputNormalization>,
}

/// What normalizes the input before the first layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum InputNormalization {
    Channels,
    None,
}

/// A network as the options describe it; the default is the tutorial's.
#[derive(Clone, Debug)]
pub struct Network {
    hidden: Vec<usize>,
    activation: Activation,
    dropout: f64,
}

impl Default for Network {
    fn default() -> Self {
        Self { hidden: vec![128, 64], activation: Activation::Relu, dropout: 0.0 }
    }
}

impl Network {
    /// Returns the layers of the network for samples of `shape`.
    pub fn spec(&self, shape: &[usize], classes: usize) -> Spec {
        Spec::classifier(shape, &self.hidden, self.activation, self.dropout, classes)
    }

    /// Returns the options that would describe `spec`.
    fn of(spec: &Spec) -> Self {
        let mut network = Self { hidden: Vec::new(), ..Self::default() };
        let mut dense: Vec<_> = spec.layers.iter().filter_map(Layer::get::<Dense>).collect();
        dense.pop();
        network.hidden = dense.iter().map(|dense| dense.units).collect();
        if let Some(first) = dense.first() {
            network.activation = first.activation;
        }
        let dropout = spec.layers.iter().find_map(Layer::get::<Dropout>);
        network.dropout = dropout.map_or(0.0, |dropout| dropout.rate);
        network
    }
}

impl NetworkOptions {
    /// Returns `base` with the given options applied.
    pub fn over(&self, base: Network) -> Network {
        Network {
            hidden: self.hidden.clone().map_or(base.hidden, |widths| widths.0),
            activation: self.activation.unwrap_or(base.activation),
            dropout: self.dropout.unwrap_or(base.dropout),
        }
    }

    /// Returns these options with the layers of a recipe, unless they describe a network themselves.
    pub fn or_layers(&self, recipe: Option<LayerList>) -> anyhow::Result<Self> {
        let Some(layers) = recipe.filter(|_| !self.is_stack() && self.hidden.is_none()) else {
            return Ok(self.clone());
        };
        let given =
            [("--activation", self.activation.is_some()), ("--dropout", self.dropout.is_some())];
        if let Some((option, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
            let rule =
                "is for a network by --model or --hidden, and the recipe has layers of its own";
            let cure = "leave it out, or add --layers, which the recipe's are the default of";
            return Err(Usage(format!("{option} {rule}: {cure}")).into());
        }
        Ok(Self { layers: Some(layers), ..self.clone() })
    }

    /// Returns whether an option describes the network.
    pub fn is_described(&self) -> bool {
        let of_dense = self.activation.is_some() || self.dropout.is_some();
        self.is_stack() || self.hidden.is_some() || of_dense
    }

    /// Returns whether an option gives all layers.
    fn is_stack(&self) -> bool {
        self.layers.is_some() || self.file.is_some() || self.model.is_some()
    }

    /// Returns the requested network for samples of this shape.
    pub fn spec(&self, shape: &[usize], outputs: usize) -> anyhow::Result<Spec> {
        match (&self.layers, &self.file) {
            (Some(list), _) => {
                list.spec(shape, outputs).map_err(|error| Usage(error.to_string()).into())
            }
            (None, Some(path)) => network_for(path, shape),
            (None, None) => match self.sized_model()? {
                Some(model) => self.of_model(model, shape, outputs),
                None => Ok(self.over(Network::default()).spec(shape, outputs)),
            },
        }
    }

    /// Returns the architecture, unless it is the one that --hidden describes.
    fn sized_model(&self) -> anyhow::Result<Option<&Architecture>> {
        let is_own = |model: &&Architecture| model.takes_pictures() || model.has_sizes();
        let model = self.model.as_ref().filter(is_own);
        match (model, &self.hidden) {
            (Some(model), Some(_)) => {
                let rule = "--hidden is the widths of --model mlp without sizes";
                let cure = "leave one of the two out";
                Err(Usage(format!("{rule}, found --model {}: {cure}", model.name())).into())
            }
            (model, _) => Ok(model),
        }
    }

    fn of_model(
        &self,
        model: &Architecture,
        shape: &[usize],
        outputs: usize,
    ) -> anyhow::Result<Spec> {
        let Network { activation, dropout, .. } = self.over(Network::default());
        let spec = model.spec(shape, outputs, activation, dropout);
        Ok(spec.map_err(|error| Usage(format!("--model: {error}")))?)
    }

    /// Returns the requested network for this data, with the outputs that the loss needs.
    pub fn of_data(&self, data: &Dataset, loss: &Loss) -> anyhow::Result<Spec> {
        let (kind, count) = (data.target_kind(), data.target_names().len());
        let outputs = loss.kind().outputs_for(kind, count).unwrap_or(count);
        let spec = self.spec(data.sample_shape(), outputs)?;
        spec.check().map_err(|error| Usage(error.to_string()))?;
        loss.check(&spec, kind, count)
            .and_then(|()| loss.check_for_training(&spec))
            .map_err(|error| Usage(error.to_string()))?;
        Ok(spec)
    }

    /// Like [`of_data`](Self::of_data), with everything that is fitted on the part of the data that is trained on: the
    /// normalization of the input, and the scaling of the targets.
    pub fn fitted(&self, data: &Loaded, fit: &FitConfig) -> anyhow::Result<Spec> {
        let mut network = self.of_data(&data.train, &fit.loss)?;
        if network.takes_target_scaling() {
            network.target_scaling = fit.target_scaling(&data.train)?;
        }
        // Arrays are taken as they are.
        let is_color = data.train.picture_shape().is_some_and(|shape| shape.color);
        let usual = is_color
            && data.source.arrays.is_none()
            && !network.layers.iter().any(is_normalization);
        if self.normalize.map_or(usual, |chosen| chosen == InputNormalization::Channels) {
            let Some(layer) = fit.channel_normalization(&data.train)? else {
                let found = data.train.samples_in_words();
                let rule = "--normalize channels is for pictures in color";
                return Err(Usage(format!("{rule}, found {found}: leave it out")).into());
            };
            network.layers.insert(0, layer.into());
        }
        Ok(network)
    }

    /// Like [`over`](Self::over), applied to an existing network, which is returned unchanged if no option
    /// was given.
    pub fn over_spec(&self, base: &Spec) -> anyhow::Result<Spec> {
        if self.is_described() {
            let (shape, outputs) = (&base.input_shape, base.outputs());
            let mut spec = match self.is_stack() {
                true => self.spec(shape, outputs)?,
                false => self.over(Network::of(base)).spec(shape, outputs),
            };
            if let Some(first) = base.layers.first().filter(|layer| is_normalization(layer)) {
                spec.layers.insert(0, first.clone());
            }
            return Ok(Spec { target_scaling: base.target_scaling.clone(), ..spec });
        }
        Ok(base.clone())
    }
}

fn is_normalization(layer: &Layer) -> bool {
    layer.is::<Normalization>()
}

/// A list in one argument; clap would treat a bare Vec as repeated arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Widths(pub Vec<usize>);

fn widths(text: &str) -> Result<Widths, String> {
    if text.is_empty() {
        return Ok(Widths(Vec::new()));
    }
    let width = |part: &str| match part.trim().parse() {
        Ok(width) if width > 0 => Ok(width),
        _ => Err(format!("a width is a whole number of at least 1, found {part:?}")),
    };
    text.split(',').map(width).collect::<Result<_, _>>().map(Widths)
}

/// Parses an activation that is allowed inside a network: all except softmax.
pub fn hidden_activation() -> impl TypedValueParser<Value = Activation> {
    let is_inside = |activation: &Activation| *activation != Activation::Softmax;
    one_of(Activation::ALL.into_iter().filter(is_inside).map(Activation::name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_whole_numbers_above_zero() {
        assert_eq!(widths("128, 64"), Ok(Widths(vec![128, 64])));
        assert_eq!(widths(""), Ok(Widths(vec![])));
        for text in ["0", "128,", "12.5", "-1", "a"] {
            assert!(widths(text).is_err(), "{text}");
        }
    }

    #[test]
    fn network_options_round_trip_through_a_spec() {
        let network = Network { hidden: vec![9, 8], activation: Activation::Silu, dropout: 0.25 };
        for network in
            [network, Network::default(), Network { hidden: vec![], ..Network::default() }]
        {
            let spec = network.spec(&[4, 5], 3);
            assert_eq!(Network::of(&spec).spec(&[4, 5], 3), spec);
        }
    }
}
