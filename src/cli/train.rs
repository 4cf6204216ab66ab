//! `seqfit train`: data → network → fit → test figures → run folder.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::ValueEnum;
use seqfit::callback::Callback;
use seqfit::run::{self, DataConfig, Figures, Run, RunConfig, RunResult};
use seqfit::{
    Adam, AdamW, FitConfig, Loss, Optimizer, RmsProp, Sequential, Sgd, Spec, data, device,
};

use serde::Serialize;

use super::options::{self, DataOptions, DeviceOptions, NetworkOptions};
use super::output::{self, Usage, tell};
use super::progress::{self, JsonLines, Progress};

/// Options of `seqfit train`; without any it is the tutorial that everybody starts with.
// Negative numbers are values that break a rule, not unknown options.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    #[command(flatten)]
    data: DataOptions,
    #[command(flatten)]
    network: NetworkOptions,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    optimizer: OptimizerOptions,
    /// Passes over the training set
    #[arg(long, value_name = "N", default_value = "10", value_parser = options::count)]
    epochs: NonZeroUsize,
    /// Samples a step
    #[arg(long, value_name = "N", default_value = "32", value_parser = options::count)]
    batch_size: NonZeroUsize,
    /// Cross-entropy with class numbers (sparse) or one-hot vectors (categorical): the same figures
    #[arg(long, value_enum, default_value = "sparse")]
    loss: LossName,
    /// Share of the training set, drawn by the seed from every class, to validate on after each
    /// epoch
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = options::share)]
    validation_split: f64,
    /// Decides weights, order, validation split and dropout
    #[arg(long, value_name = "N", default_value = "0", value_parser = options::seed)]
    seed: u64,
    /// Threads of libtorch on the CPU [default: 1 for small batches, else all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// The run folder [default: runs/DATASET-TIME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace the run in --out
    #[arg(long, requires = "out")]
    force: bool,
    /// Print nothing but warnings and errors; with --json its lines alone
    #[arg(long, short)]
    quiet: bool,
    /// Print a JSON object an epoch, and one with the result, on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct OptimizerOptions {
    /// How gradients become new weights
    #[arg(long, value_enum, default_value = "adam")]
    optimizer: OptimizerName,
    /// Width of a step [default: 0.001, with sgd 0.01]
    #[arg(long, value_name = "X", value_parser = options::positive)]
    learning_rate: Option<f64>,
    /// Of sgd and rmsprop [default: 0]
    #[arg(long, value_name = "X", value_parser = options::share)]
    momentum: Option<f64>,
    /// Nesterov's method, for sgd with momentum
    #[arg(long)]
    nesterov: bool,
    /// Of adamw, decoupled from the gradient [default: 0.004]
    #[arg(long, value_name = "X", value_parser = options::not_negative)]
    weight_decay: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OptimizerName {
    Adam,
    Adamw,
    Sgd,
    Rmsprop,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LossName {
    Sparse,
    Categorical,
}

impl OptimizerOptions {
    fn parse(&self) -> Result<Optimizer, Usage> {
        use OptimizerName as Name;
        let name = self.optimizer;
        let only = |given: bool, option: &str, owners: &[Name]| {
            if given && !owners.contains(&name) {
                let names: Vec<String> =
                    owners.iter().map(|name| format!("{name:?}").to_lowercase()).collect();
                let optimizer = format!("{name:?}").to_lowercase();
                return Err(Usage(format!(
                    "{option} belongs to --optimizer {}, found it with {optimizer}: leave one out",
                    names.join(" or "),
                )));
            }
            Ok(())
        };
        only(self.momentum.is_some(), "--momentum", &[Name::Sgd, Name::Rmsprop])?;
        only(self.nesterov, "--nesterov", &[Name::Sgd])?;
        only(self.weight_decay.is_some(), "--weight-decay", &[Name::Adamw])?;
        let mut optimizer = match name {
            Name::Adam => Optimizer::Adam(Adam::default()),
            Name::Adamw => {
                let default = AdamW::default();
                let weight_decay = self.weight_decay.unwrap_or(default.weight_decay);
                Optimizer::AdamW(AdamW { weight_decay, ..default })
            }
            Name::Sgd => {
                let momentum = self.momentum.unwrap_or(0.0);
                Optimizer::Sgd(Sgd { momentum, nesterov: self.nesterov, ..Sgd::default() })
            }
            Name::Rmsprop => {
                let momentum = self.momentum.unwrap_or(0.0);
                Optimizer::RmsProp(RmsProp { momentum, ..RmsProp::default() })
            }
        };
        if let Some(learning_rate) = self.learning_rate {
            optimizer = optimizer.with_learning_rate(learning_rate);
        }
        optimizer.check().map_err(|error| Usage(error.to_string()))?;
        Ok(optimizer)
    }
}

impl Args {
    fn fit_config(&self) -> Result<FitConfig, Usage> {
        Ok(FitConfig {
            epochs: self.epochs.get(),
            batch_size: self.batch_size.get(),
            validation_split: self.validation_split,
            loss: match self.loss {
                LossName::Sparse => Loss::Sparse,
                LossName::Categorical => Loss::Categorical,
            },
            optimizer: self.optimizer.parse()?,
            seed: self.seed,
            threads: self.threads.map(usize::from),
        })
    }
}

/// Runs `seqfit train`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    // Everything that can be wrong is found before the first epoch, and before the folder is made.
    let mut fit = args.fit_config()?;
    match (args.device.is_cuda(), fit.threads) {
        (true, Some(_)) => {
            let rule = "--threads is for the CPU, found it with a GPU: leave one out";
            return Err(Usage(rule.to_owned()).into());
        }
        (true, None) => {}
        // Written down, so that the config repeats the run on a machine with other processors.
        (false, _) => fit.threads = Some(fit.step_threads()),
    }
    let device = args.device.require()?;
    if let Some(out) = &args.out {
        Run::check_vacant(out, args.force)?;
    }
    let loaded = progress::with_downloads(args.quiet, |told| {
        data::resolve(&args.data.request(), &data::Locations::from_env()?, told)
    })?;
    let (train, test) = (&loaded.train, &loaded.test);
    if let Some(notice) = &loaded.source.notice {
        progress::notice(notice);
    }
    let network = Spec::classifier(
        &train.image_shape(),
        &args.network.hidden.0,
        args.network.activation.0,
        args.network.dropout,
        train.classes().len(),
    );
    network.check().map_err(|error| Usage(error.to_string()))?;
    let mut model = Sequential::from_spec(network.clone(), device, fit.seed)?;
    let config = RunConfig::now(
        device::name(device),
        DataConfig {
            classes: train.classes().to_vec(),
            train_samples: train.len(),
            test_samples: test.len(),
            source: loaded.source.clone(),
        },
        fit.clone(),
        network,
    );
    let run = match &args.out {
        Some(out) => Run::create(out, args.force, config)?,
        None => Run::create_numbered(&default_path(&loaded.source.name, &config.created), config)?,
    };
    if !args.quiet && !args.json {
        let name = &loaded.source.name;
        tell(format_args!("{name}: {} training and {} test images", train.len(), test.len()));
        tell(model.summary());
    }

    let started = Instant::now();
    let mut bars = (!args.quiet).then(Progress::default);
    let mut lines = args.json.then(JsonLines::default);
    let mut callbacks: Vec<&mut dyn Callback> = Vec::new();
    callbacks.extend(bars.as_mut().map(|bars| bars as &mut dyn Callback));
    callbacks.extend(lines.as_mut().map(|lines| lines as &mut dyn Callback));
    let history = model.fit(train, &fit, &mut callbacks)?;
    let seconds = started.elapsed().as_secs_f64();

    let figures = Figures::from(&model.evaluate(test)?);
    anyhow::ensure!(
        figures.loss.is_finite(),
        "training diverged: the loss on the test set must be finite, found {}: use a lower learning \
         rate",
        figures.loss
    );
    run.save(&model, &history)?;
    model.export(run.path().join(run::TORCHSCRIPT), train.classes())?;
    let result = RunResult {
        test: figures,
        last_epoch: history.last().cloned(),
        epochs: history.epochs.len(),
        seconds,
    };
    let run = run.finish(&result)?;
    match lines {
        Some(mut lines) => {
            lines.write(&Finished { run: run.path(), result: &result })?;
            lines.finish()?;
        }
        None if args.quiet => {}
        None => output::print(&conclusion(run.path(), &result))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The last line of `--json`.
#[derive(Serialize)]
struct Finished<'a> {
    run: &'a Path,
    result: &'a RunResult,
}

fn conclusion(path: &Path, result: &RunResult) -> String {
    let Figures { loss, accuracy, samples } = result.test;
    let percent = 100.0 * accuracy;
    let path = path.display();
    format!("test: loss {loss:.4}, accuracy {percent:.2} % of {samples} images\nrun:  {path}\n")
}

/// `runs/mnist-20261124-031330`.
fn default_path(dataset: &str, created: &str) -> PathBuf {
    let digits: String = created.chars().filter(char::is_ascii_digit).collect();
    let (day, time) = digits.split_at(digits.len().min(8));
    // A folder's name may hold anything; a run's name holds what every shell takes as it is.
    let name: String = dataset
        .chars()
        .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' })
        .collect();
    Path::new("runs").join(format!("{name}-{day}-{time}"))
}
