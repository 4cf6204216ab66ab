//! Options that several commands share, and the types they are parsed into.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use seqfit::data::{
    ArrayKeys, ArraysRequest, DataError, Dataset, DatasetName, StreamMemory, TargetKind,
};
use seqfit::layers::{Dense, Dropout, Layer};
use seqfit::run::{Run, RunError, checkpoints};
use seqfit::{Activation, Device, Loss, Sequential, Spec, device};
use serde::de::DeserializeOwned;
use serde::de::value::{self, StringDeserializer};

use super::output::{Usage, print_status, quoted};

/// Selects the data set.
#[derive(Clone, Debug, Args)]
pub struct DataOptions {
    /// A known data set: mnist, fashion-mnist, kmnist or digits (built in)
    #[arg(long, value_name = "NAME", conflicts_with = "data_dir", value_parser = dataset)]
    pub dataset: Option<DatasetName>,
    /// A folder of IDX files: {train,t10k}-{images-idx3,labels-idx1}-ubyte, .gz or not, and
    /// optionally classes.txt with one class name per line
    #[arg(long, value_name = "DIR", value_parser = data_dir)]
    pub data_dir: Option<PathBuf>,
    /// A NumPy .npz file of the arrays x_train and y_train, and optionally x_test and y_test: u8 pictures or
    /// numbers of any shape; classes, several labels or numbers as targets
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dataset", "data_dir"])]
    pub data: Option<PathBuf>,
    /// The names of the arrays in --data if they are others: x_train=images,y_train=labels
    #[arg(long, value_name = "KEY=NAME,…", requires = "data", value_parser = array_keys)]
    pub keys: Option<ArrayKeys>,
    /// What the targets in --data are: one class, several labels (0 or 1 each) or numbers [default: what their
    /// type and shape suggest]
    #[arg(long, value_name = "KIND", requires = "data", value_parser = one_of::<TargetKind>(TargetKind::NAMES))]
    pub task: Option<TargetKind>,
}

impl DataOptions {
    /// Returns the requested data, `Auto` by default.
    pub fn request(&self) -> seqfit::data::Request {
        use seqfit::data::Request;
        if let Some(path) = &self.data {
            let keys = self.keys.clone().unwrap_or_default();
            return Request::Arrays(ArraysRequest { path: path.clone(), keys, targets: self.task });
        }
        match (&self.dataset, &self.data_dir) {
            (_, Some(dir)) => Request::Dir(dir.clone()),
            (Some(name), None) => Request::Named(*name),
            (None, None) => Request::Auto,
        }
    }
}

/// Parses the names of arrays, such as `x_train=images,y_train=labels`; the others keep their usual names.
fn array_keys(text: &str) -> Result<ArrayKeys, String> {
    let mut keys = ArrayKeys::default();
    for part in text.split(',') {
        let (key, name) = part.split_once('=').unwrap_or((part, ""));
        let place = match key {
            "x_train" => &mut keys.x_train,
            "y_train" => &mut keys.y_train,
            "x_test" => &mut keys.x_test,
            "y_test" => &mut keys.y_test,
            _ => {
                return Err(format!(
                    "the keys are x_train, y_train, x_test and y_test, found {key:?}"
                ));
            }
        };
        if name.is_empty() {
            return Err(format!("a key is followed by = and the name of an array, found {part:?}"));
        }
        name.clone_into(place);
    }
    Ok(keys)
}

/// Parses the name of a known data set; the error for a folder names the option for folders.
fn dataset(text: &str) -> Result<DatasetName, String> {
    text.parse().map_err(|error: DataError| match error {
        _ if text.ends_with(".npz") => format!(
            "the option takes the name of a known data set, found a file: use --data {}",
            quoted(Path::new(text))
        ),
        _ if is_path(text) => format!(
            "the option takes the name of a known data set, found a path: use --data-dir {}",
            quoted(Path::new(text))
        ),
        DataError::UnknownName { similar: None, .. } => {
            format!("{error}, or give the folder of your own files with --data-dir")
        }
        error => error.to_string(),
    })
}

/// Parses the path of a folder; the error for the name of a known data set names the option for those.
fn data_dir(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match text.parse::<DatasetName>() {
        Ok(name) if !path.exists() => Err(format!(
            "the option takes a folder, and {name} does not exist: use --dataset {name} for the known data set"
        )),
        _ => Ok(path),
    }
}

/// Like [`dataset`], for a download, which a folder needs none of.
pub fn dataset_to_fetch(text: &str) -> Result<DatasetName, String> {
    text.parse().map_err(|error: DataError| match error {
        _ if is_path(text) => format!(
            "only known data sets are downloaded, found a path: your own files need no download, so use them with \
             seqfit train --data-dir {}",
            quoted(Path::new(text))
        ),
        error => error.to_string(),
    })
}

/// Returns whether a text that is not a known name is meant as a path. A URL is not one.
fn is_path(text: &str) -> bool {
    let looks_like_one = text.contains(['/', '\\']) && !text.contains("://");
    looks_like_one || !text.is_empty() && Path::new(text).is_dir()
}

/// Selects whether the data is streamed from its files.
#[derive(Clone, Copy, Debug, Args)]
pub struct StreamOptions {
    /// Read the images from their files when they are needed, with at most MIB in memory: for data larger
    /// than memory, in shards (see seqfit data shard) or four plain IDX files [default MIB: 64]
    #[arg(long, value_name = "MIB", num_args = 0..=1, require_equals = true, default_missing_value = "64")]
    pub stream: Option<StreamMemory>,
}

/// Selects a run, and which of its weights to use.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// The run folder
    pub run: PathBuf,
    /// Use the weights of a checkpoint: the newest, or the best by validation [default: the final
    /// weights of the training]
    #[arg(long, value_enum)]
    checkpoint: Option<CheckpointName>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CheckpointName {
    Last,
    Best,
}

impl RunOptions {
    /// Opens the run.
    pub fn open(&self) -> Result<Run, RunError> {
        Run::open(&self.run)
    }

    /// Returns the name of the checkpoint whose weights are requested, if any: "last" or "best".
    pub fn checkpoint(&self) -> Option<&'static str> {
        self.checkpoint.map(|name| match name {
            CheckpointName::Last => "last",
            CheckpointName::Best => "best",
        })
    }

    /// Returns these options quoted for a shell.
    pub fn quoted(&self) -> String {
        let run = quoted(&self.run);
        match self.checkpoint() {
            None => run,
            Some(name) => format!("{run} --checkpoint {name}"),
        }
    }

    /// Loads the run's network onto a device.
    pub fn load(&self, run: &Run, device: Device) -> Result<Sequential, RunError> {
        let folder = run.checkpoints_path();
        let path = match self.checkpoint {
            None => {
                if let Some(newer) = run.newer_checkpoint() {
                    print_status(format_args!(
                        "note: the run has continued to {} since its network was saved: --checkpoint last \
                         uses that",
                        newer.display()
                    ));
                }
                return match run.load_model(device) {
                    Err(RunError::Unfinished(path)) if newest(run)?.is_some() => {
                        Err(RunError::OnlyCheckpoints(path))
                    }
                    loaded => loaded,
                };
            }
            Some(CheckpointName::Best) => Some(folder.join(checkpoints::BEST)),
            Some(CheckpointName::Last) => newest(run)?,
        };
        match path {
            Some(path) if path.exists() => run.load_checkpoint(&path, device),
            _ => Err(RunError::NoCheckpoint(self.run.clone())),
        }
    }

    /// Describes the requested weights, if they are not the final ones.
    pub fn which(&self) -> Option<&'static str> {
        self.checkpoint.map(|name| match name {
            CheckpointName::Last => "those of the newest checkpoint",
            CheckpointName::Best => "those of the best checkpoint",
        })
    }

    /// Loads the network of the newest checkpoint; returns `None` if there is no checkpoint.
    pub fn load_newest(&self, run: &Run, device: Device) -> Result<Option<Sequential>, RunError> {
        newest(run)?.map(|path| run.load_checkpoint(&path, device)).transpose()
    }
}

/// Returns the path of a run's newest checkpoint.
fn newest(run: &Run) -> Result<Option<PathBuf>, RunError> {
    let folder = run.checkpoints_path();
    let all = checkpoints::list(&folder);
    let all = all.map_err(|source| RunError::Read { path: folder, source })?;
    Ok(all.into_iter().next_back().map(|(_, path)| path))
}

/// Selects the device.
#[derive(Clone, Debug, Args)]
pub struct DeviceOptions {
    /// Compute on the first GPU, the same as --device cuda
    #[arg(long, conflicts_with = "device")]
    cuda: bool,
    /// cpu, cuda or cuda:N [default: cpu]
    #[arg(long, value_name = "DEVICE", value_parser = device::parse)]
    device: Option<Device>,
}

impl DeviceOptions {
    /// Returns the requested device, if any.
    pub fn chosen(&self) -> Option<Device> {
        if self.cuda { Some(Device::Cuda(0)) } else { self.device }
    }

    /// Returns the requested device, by default the CPU, after checking that it is available.
    pub fn require(&self) -> Result<Device, device::DeviceError> {
        let chosen = self.chosen().unwrap_or(Device::Cpu);
        device::require(chosen)?;
        Ok(chosen)
    }

    /// Returns whether a GPU was requested.
    pub fn is_cuda(&self) -> bool {
        self.chosen().is_some_and(|device| device.is_cuda())
    }
}

/// Describes the network.
#[derive(Clone, Debug, Args)]
pub struct NetworkOptions {
    /// Widths of the hidden Dense layers, comma-separated; "" for none [default: 128,64]
    #[arg(long, value_name = "WIDTHS", value_parser = widths)]
    hidden: Option<Widths>,
    /// Activation of the hidden layers [default: relu]
    #[arg(long, value_name = "NAME", value_parser = hidden_activation())]
    activation: Option<Activation>,
    /// Fraction of each hidden layer's outputs that is dropped in training [default: 0]
    #[arg(long, value_name = "RATE", value_parser = share)]
    dropout: Option<f64>,
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

    /// Returns the requested network for this data, with the outputs that the loss needs.
    pub fn of_data(&self, data: &Dataset, loss: &Loss) -> Result<Spec, Usage> {
        let network = self.over(Network::default());
        let (kind, count) = (data.target_kind(), data.target_names().len());
        let outputs = loss.kind().outputs_for(kind, count).unwrap_or(count);
        let spec = network.spec(data.sample_shape(), outputs);
        spec.check().map_err(|error| Usage(error.to_string()))?;
        loss.check(&spec, kind, count).map_err(|error| Usage(error.to_string()))?;
        Ok(spec)
    }

    /// Like [`over`](Self::over), applied to an existing network, which is returned unchanged if no option
    /// was given.
    pub fn over_spec(&self, base: &Spec) -> Spec {
        let Self { hidden: None, activation: None, dropout: None } = self else {
            let network = self.over(Network::of(base));
            let spec = network.spec(&base.input_shape, base.outputs());
            return Spec { target_scaling: base.target_scaling.clone(), ..spec };
        };
        base.clone()
    }
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

/// Parses one of these names, by which serde knows the variants of an enum.
pub fn one_of<T>(names: impl IntoIterator<Item = &'static str>) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names)
        .try_map(|name| T::deserialize(StringDeserializer::<value::Error>::new(name)))
}

/// Parses a whole number of at least 1.
pub fn count(text: &str) -> Result<NonZeroUsize, String> {
    let most = u32::MAX;
    match text.parse::<NonZeroU32>() {
        Ok(n) => Ok(n.try_into().unwrap_or(NonZeroUsize::MIN)),
        Err(_) => Err(format!("this must be a whole number from 1 to {most}, found {text:?}")),
    }
}

/// Parses a whole number of at least 0.
pub fn whole(text: &str) -> Result<usize, String> {
    let most = u32::MAX;
    match text.parse::<u32>() {
        Ok(n) => Ok(n as usize),
        Err(_) => Err(format!("this must be a whole number from 0 to {most}, found {text:?}")),
    }
}

/// Parses a seed: a non-negative whole number that TOML, and so a run's config, can hold.
pub fn seed(text: &str) -> Result<u64, String> {
    let most = i64::MAX as u64;
    match text.parse() {
        Ok(n) if n <= most => Ok(n),
        _ => Err(format!("a seed is a whole number from 0 to {most}, found {text:?}")),
    }
}

/// Parses a fraction that leaves something: 0 ≤ x < 1.
pub fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if (0.0..1.0).contains(&x) => Ok(x),
        _ => Err(format!("a fraction is a number of at least 0 and below 1, found {text:?}")),
    }
}

/// Height and width, such as 28x28.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub [usize; 2]);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.0[0], self.0[1])
    }
}

/// Parses a size of images: both sides are at least 1.
pub fn size(text: &str) -> Result<Size, String> {
    let side = |text: &str| text.parse().ok().filter(|&side| side > 0);
    let sides = text.split_once('x').and_then(|(h, w)| Some([side(h)?, side(w)?]));
    sides.map(Size).ok_or_else(|| format!("a size is HEIGHTxWIDTH such as 28x28, found {text:?}"))
}

/// Parses the size that pictures are converted to: both sides are at most 1024.
pub fn picture_size(text: &str) -> Result<Size, String> {
    match size(text)? {
        Size([height, width]) if height.max(width) > 1024 => {
            Err(format!("images have at most 1024 rows and columns here, found {text:?}"))
        }
        fits => Ok(fits),
    }
}

/// Parses a number above 0.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x > 0.0 && x.is_finite() => Ok(x),
        _ => Err(format!("this must be a number above 0, found {text:?}")),
    }
}

/// Parses a number of at least 0.
pub fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x >= 0.0 && x.is_finite() => Ok(x),
        _ => Err(format!("this must be a number of at least 0, found {text:?}")),
    }
}

/// Named numbers, as a TOML table.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers(pub toml::Table);

/// Parses named numbers such as `rotation=9,scale=0.1`.
pub fn numbers(text: &str) -> Result<Numbers, String> {
    let number = |part: &str| {
        let (key, value) = part.split_once('=')?;
        let whole = value.parse::<i64>().ok().map(toml::Value::Integer);
        let value = whole.or_else(|| value.parse::<f64>().ok().map(toml::Value::Float))?;
        Some((key.trim().to_owned(), value))
    };
    let parts = text.split(',').map(|part| number(part.trim()).ok_or(part));
    let table = parts.collect::<Result<toml::Table, _>>();
    table.map(Numbers).map_err(|part| format!("numbers are written KEY=NUMBER, found {part:?}"))
}

/// Parses a name with optional numbers, such as `one-cycle` or `one-cycle:warm_up=0.15,start=0.04`.
pub fn named_numbers(text: &str) -> Result<Numbers, String> {
    let (name, rest) = match text.split_once(':') {
        None => (text, None),
        Some((name, rest)) => (name, Some(rest)),
    };
    let mut table = rest.map(numbers).transpose()?.map(|Numbers(table)| table).unwrap_or_default();
    table.insert("name".to_owned(), toml::Value::String(name.to_owned()));
    Ok(Numbers(table))
}

/// Parses the name of a loss with optional settings, such as `huber` or `huber:delta=0.5`.
pub fn loss(text: &str) -> Result<Loss, String> {
    let Numbers(mut settings) = named_numbers(text)?;
    let name = settings.remove("name").unwrap_or_else(|| text.into());
    let loss = match (settings.is_empty(), &name) {
        (false, toml::Value::String(name)) => {
            toml::Value::Table([(name.clone(), settings.into())].into_iter().collect())
        }
        _ => name,
    };
    let loss: Loss =
        loss.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
    loss.kind().check().map_err(|error| error.to_string())?;
    Ok(loss)
}

/// Parses a time such as 90s, 10m or 1h30m; a bare number is in seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let rule =
        || format!("a time is a number with a unit such as 90s, 10m or 1h30m, found {text:?}");
    let seconds = text.parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()));
    let parsed = seconds.or_else(|| {
        let parsed = text.parse::<jiff::SignedDuration>().ok()?;
        parsed.try_into().ok()
    });
    parsed.filter(|time| !time.is_zero()).ok_or_else(rule)
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
    fn durations_parse_with_units() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "0", "-5s", "10x", "ten minutes"] {
            assert!(duration(text).is_err(), "{text}");
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

    #[test]
    fn numbers_outside_their_range_are_refused() {
        assert!(count("0").is_err() && count("-1").is_err() && count("3").is_ok());
        assert_eq!((share("0.5"), positive("1e-3")), (Ok(0.5), Ok(1e-3)));
        for text in ["1", "-0.1", "nan", "x"] {
            assert!(share(text).is_err(), "{text}");
        }
        for text in ["0", "-1", "inf", "nan", ""] {
            assert!(positive(text).is_err(), "{text}");
        }
    }
}
