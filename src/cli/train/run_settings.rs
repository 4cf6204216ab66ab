//! The options that define a run, applied to a base: the tutorial's recipe, or the config of the resumed run.

use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use seqfit::callback::{EarlyStopping, EarlyStoppingConfig, ReduceLrConfig, ReduceLrOnPlateau};
use seqfit::data::{Dataset, DatasetName, Source, TargetKind};
use seqfit::recipe::{Pictures, Recipe, overlay};
use seqfit::run::{CallbackConfig, CheckpointConfig};
use seqfit::{
    Adam, AdamW, ClassWeights, Engine, FitConfig, Loss, Metric, Monitor, OnNan, Optimizer,
    Precision, RmsProp, Sgd,
};
use serde::{Deserialize, Serialize};

use super::super::output::{Usage, quoted};
use super::super::parse_values::{self, Numbers};

#[derive(Debug, clap::Args)]
pub struct FitOptions {
    /// Settings to start with, which other options override: tutorial, ten, fast99, best or a .toml file (see
    /// seqfit recipe) [default: tutorial]
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<PathBuf>,
    #[command(flatten)]
    optimizer: OptimizerOptions,
    /// Passes over the training set, including those that a resumed run has already made [default: 10]
    #[arg(long, value_name = "N", value_parser = parse_values::count)]
    pub epochs: Option<NonZeroUsize>,
    /// Samples per step [default: 32]
    #[arg(long, value_name = "N", value_parser = parse_values::count)]
    batch_size: Option<NonZeroUsize>,
    #[arg(long, value_name = "NAME[:KEY=X,…]", value_parser = parse_values::loss, help = loss_help())]
    loss: Option<Loss>,
    /// Metrics to compute on the validation set after each epoch, besides loss and accuracy: f1_macro,
    /// balanced_accuracy, top_3_accuracy, precision_macro, recall_macro, roc_auc, average_precision, log_loss,
    /// expected_calibration_error; mae, rmse, r2 of numbers; and others (see docs/cli.md) [default: none]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    metrics: Option<Vec<Metric>>,
    /// Fraction of the training set, drawn by the seed from every class, to validate on after each
    /// epoch [default: 0]
    #[arg(long, value_name = "FRACTION", value_parser = parse_values::share)]
    validation_split: Option<f64>,
    /// Seed of the initial weights, sample order, validation split and dropout [default: 0]
    #[arg(long, value_name = "N", value_parser = parse_values::seed)]
    seed: Option<u64>,
    /// Engine that computes the training steps: autograd (libtorch's) for every network and device; fused for
    /// stacks of Dense layers on the CPU or graph on a GPU, several times as fast; auto uses these where it can
    /// [default: auto]
    #[arg(long, value_parser = parse_values::one_of::<Engine>(["auto", "autograd", "fused", "graph"]))]
    engine: Option<Engine>,
    /// Precision of the matrix products: f32; tf32 on a GPU; or bf16, from f32 weights. Wide layers are faster with
    /// tf32 and bf16, small networks are not [default: f32]
    #[arg(long, value_parser = parse_values::one_of::<Precision>(["f32", "tf32", "bf16"]))]
    precision: Option<Precision>,
    /// Threads per training step on the CPU [default: all; with autograd 1 for small batches]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Learning-rate schedule: constant, step, cosine or one-cycle, its numbers after a colon as in
    /// one-cycle:warm_up=0.15 [default: constant]
    #[arg(long, value_name = "NAME[:KEY=X,…]", value_parser = parse_values::named_numbers)]
    schedule: Option<Numbers>,
    /// Fraction of each target that is spread over all classes [default: 0]
    #[arg(long, value_name = "FRACTION", value_parser = parse_values::share)]
    label_smoothing: Option<f64>,
    /// Weights of the classes in the training loss: balanced, so that all classes count the same, or a .toml or .json
    /// file of class = weight
    #[arg(long, value_name = "balanced|FILE")]
    class_weights: Option<PathBuf>,
    /// Maximum norm of all gradients together; larger gradients are scaled down
    #[arg(long, value_name = "X", value_parser = parse_values::positive)]
    clip_norm: Option<f64>,
    /// Validate and end with a moving average of the weights, with this decay per step
    #[arg(long, value_name = "DECAY", value_parser = parse_values::share)]
    ema: Option<f64>,
    /// Deform training images differently in every epoch, by up to rotation (degrees), scale and shear
    /// (fractions), shift and elastic (pixels of 28 by 28): rotation=9,scale=0.1,shift=1.5,shear=0.1,elastic=0.3
    #[arg(long, value_name = "KEY=X,…", value_parser = parse_values::numbers)]
    augment: Option<Numbers>,
    /// When the loss is NaN or infinite: stop with an error, or restart the epoch with half the learning
    /// rate, at most 3 times [default: stop]
    #[arg(long, value_parser = parse_values::one_of::<OnNan>(["stop", "rollback"]))]
    on_nan: Option<OnNan>,
}

#[derive(Debug, clap::Args)]
struct OptimizerOptions {
    /// Optimizer that updates the weights [default: adam]
    #[arg(long, value_enum)]
    optimizer: Option<OptimizerName>,
    /// Learning rate: step size of the optimizer [default: 0.001, with sgd 0.01]
    #[arg(long, value_name = "X", value_parser = parse_values::positive)]
    learning_rate: Option<f64>,
    /// Momentum of sgd and rmsprop [default: 0]
    #[arg(long, value_name = "X", value_parser = parse_values::share)]
    momentum: Option<f64>,
    /// Nesterov's method, for sgd with momentum
    #[arg(long)]
    nesterov: bool,
    /// Weight decay of adamw, decoupled from the gradient [default: 0.004]
    #[arg(long, value_name = "X", value_parser = parse_values::not_negative)]
    weight_decay: Option<f64>,
}

fn loss_help() -> String {
    let names: Vec<&str> = Loss::all().iter().map(Loss::name).collect();
    format!(
        "Loss that is minimized: {}, its settings after a colon as in huber:delta=0.5; sparse and categorical are \
         the same cross-entropy [default: sparse for classes, {} for several labels, {} for numbers]",
        names.join(", "),
        Loss::usual_for(TargetKind::Labels).name(),
        Loss::usual_for(TargetKind::Numbers).name(),
    )
}

/// Options of the callbacks, named as in Keras.
#[derive(Debug, clap::Args)]
pub struct CallbackOptions {
    /// The metric that callbacks monitor: loss, accuracy, val_loss, val_accuracy, or val_ with a name of
    /// --metrics, such as val_f1_macro [default: val_loss with a validation split, else loss]
    #[arg(long, value_name = "METRIC")]
    monitor: Option<Monitor>,
    /// End the training when the metric does not improve for N epochs
    #[arg(long, value_name = "N", value_parser = parse_values::whole)]
    early_stopping: Option<usize>,
    /// Minimum improvement for early stopping: a change by more than X [default: 0]
    #[arg(long, value_name = "X", value_parser = parse_values::not_negative, requires = "early_stopping")]
    min_delta: Option<f64>,
    /// End with the weights of the best epoch instead of the last
    #[arg(long, requires = "early_stopping")]
    restore_best: bool,
    /// Reduce the learning rate when the metric does not improve for N epochs
    #[arg(long, value_name = "N", value_parser = parse_values::whole)]
    reduce_lr: Option<usize>,
    /// Factor that --reduce-lr multiplies the learning rate by [default: 0.1]
    #[arg(long, value_name = "X", value_parser = parse_values::share, requires = "reduce_lr")]
    reduce_lr_factor: Option<f64>,
    /// Lower bound of the learning rate for --reduce-lr [default: 0]
    #[arg(long, value_name = "X", value_parser = parse_values::not_negative, requires = "reduce_lr")]
    min_learning_rate: Option<f64>,
    /// Number of newest checkpoints to keep, in addition to the best by validation
    /// [default: 3]
    #[arg(long, value_name = "N", value_parser = parse_values::count)]
    keep: Option<NonZeroUsize>,
    /// Seconds between checkpoints within an epoch; there is one after every epoch anyway
    /// [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = parse_values::positive)]
    checkpoint_seconds: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OptimizerName {
    Adam,
    Adamw,
    Sgd,
    Rmsprop,
}

impl OptimizerName {
    fn of(optimizer: &Optimizer) -> Option<Self> {
        match optimizer {
            Optimizer::Adam(_) => Some(Self::Adam),
            Optimizer::AdamW(_) => Some(Self::Adamw),
            Optimizer::Sgd(_) => Some(Self::Sgd),
            Optimizer::RmsProp(_) => Some(Self::Rmsprop),
            _ => None,
        }
    }

    fn optimizer(self) -> Optimizer {
        match self {
            Self::Adam => Optimizer::Adam(Adam::default()),
            Self::Adamw => Optimizer::AdamW(AdamW::default()),
            Self::Sgd => Optimizer::Sgd(Sgd::default()),
            Self::Rmsprop => Optimizer::RmsProp(RmsProp::default()),
        }
    }
}

impl OptimizerOptions {
    fn over(&self, base: Optimizer) -> Result<Optimizer, Usage> {
        use OptimizerName as Name;
        let mut optimizer = match self.optimizer {
            Some(name) if OptimizerName::of(&base) != Some(name) => name.optimizer(),
            _ => base,
        };
        let only = |given: bool, option: &str, owners: &[Name]| {
            let name = OptimizerName::of(&optimizer);
            if given && !name.is_some_and(|name| owners.contains(&name)) {
                let lower = |name: &Name| format!("{name:?}").to_lowercase();
                let owners: Vec<String> = owners.iter().map(lower).collect();
                return Err(Usage(format!(
                    "{option} belongs to --optimizer {}, found it with {}: leave one out",
                    owners.join(" or "),
                    name.as_ref().map(lower).unwrap_or_default(),
                )));
            }
            Ok(())
        };
        only(self.momentum.is_some(), "--momentum", &[Name::Sgd, Name::Rmsprop])?;
        only(self.nesterov, "--nesterov", &[Name::Sgd])?;
        only(self.weight_decay.is_some(), "--weight-decay", &[Name::Adamw])?;
        match &mut optimizer {
            Optimizer::AdamW(o) => o.weight_decay = self.weight_decay.unwrap_or(o.weight_decay),
            Optimizer::Sgd(o) => {
                o.momentum = self.momentum.unwrap_or(o.momentum);
                o.nesterov |= self.nesterov;
            }
            Optimizer::RmsProp(o) => o.momentum = self.momentum.unwrap_or(o.momentum),
            _ => {}
        }
        if let Some(learning_rate) = self.learning_rate {
            optimizer = optimizer.with_learning_rate(learning_rate);
        }
        optimizer.check().map_err(|error| Usage(error.to_string()))?;
        Ok(optimizer)
    }
}

impl FitOptions {
    /// Returns an option that was given but does not apply to a learning rate test.
    pub fn unsupported_by_lr_find(&self) -> Option<&'static str> {
        [
            (self.epochs.is_some(), "--epochs"),
            (self.optimizer.learning_rate.is_some(), "--learning-rate"),
            (self.validation_split.is_some(), "--validation-split"),
            (self.metrics.is_some(), "--metrics"),
            (self.schedule.is_some(), "--schedule"),
            (self.ema.is_some(), "--ema"),
            (self.on_nan.is_some(), "--on-nan"),
        ]
        .into_iter()
        .find_map(|(given, option)| given.then_some(option))
    }

    /// Checks that weights of classes are those of classes of the data, before a run folder is made.
    pub fn check_class_weights(&self, fit: &FitConfig, train: &Dataset) -> anyhow::Result<()> {
        let Some(weights) = &fit.class_weights else { return Ok(()) };
        let checked = weights.of(train).map(drop).map_err(|error| Usage(error.to_string()));
        match &self.class_weights {
            Some(given) if given.as_os_str() != "balanced" => {
                checked.with_context(|| given.display().to_string())
            }
            _ => Ok(checked?),
        }
    }

    /// Returns a note on the pictures that the recipe was tuned for, if the data is not known to be of that kind.
    pub fn note_on_recipe(&self, data: &Source) -> anyhow::Result<Option<String>> {
        let Some(path) = self.recipe.as_deref() else { return Ok(None) };
        let Recipe { name, tuned_for: Some(pictures), .. } = load_recipe(path)? else {
            return Ok(None);
        };
        let known = data.name.parse().is_ok_and(|name: DatasetName| match pictures {
            Pictures::Digits => name.is_digits(),
            _ => false,
        });
        let (pictures, data, recipe) = (pictures.as_str(), &data.name, quoted(path));
        Ok((!known).then(|| {
            format!(
                "note: the recipe {name} was tuned for {pictures}, and {data} is not known to be {pictures}: \
                 its deformations may not suit these pictures (seqfit data preview --recipe {recipe} shows \
                 them, --augment changes them)"
            )
        }))
    }

    /// Returns `base` with the recipe and the given options applied.
    pub fn over(&self, base: &FitConfig, cuda: bool) -> anyhow::Result<FitConfig> {
        let base = &match &self.recipe {
            None => base.clone(),
            Some(recipe) => {
                let fit = load_recipe(recipe)?.fit;
                // No built-in recipe sets these: they stay the run's own unless a recipe file sets them.
                let own = FitConfig::default();
                FitConfig {
                    seed: if fit.seed == own.seed { base.seed } else { fit.seed },
                    threads: fit.threads.or(base.threads),
                    engine: if fit.engine == own.engine { base.engine } else { fit.engine },
                    ..fit
                }
            }
        };
        if cuda && self.threads.is_some() {
            let rule = "--threads is for the CPU, found it with a GPU: leave one out";
            return Err(Usage(rule.to_owned()).into());
        }
        let fit = FitConfig {
            epochs: self.epochs.map_or(base.epochs, NonZeroUsize::get),
            batch_size: self.batch_size.map_or(base.batch_size, NonZeroUsize::get),
            validation_split: self.validation_split.unwrap_or(base.validation_split),
            loss: self.loss.as_ref().unwrap_or(&base.loss).clone(),
            optimizer: self.optimizer.over(base.optimizer)?,
            seed: self.seed.unwrap_or(base.seed),
            schedule: over(&base.schedule, self.schedule.as_ref(), "--schedule")?,
            label_smoothing: self.label_smoothing.unwrap_or(base.label_smoothing),
            class_weights: match &self.class_weights {
                Some(given) => Some(class_weights(given)?),
                None => base.class_weights.clone(),
            },
            clip_norm: self.clip_norm.or(base.clip_norm),
            ema: self.ema.or(base.ema),
            augment: over(&base.augment, self.augment.as_ref(), "--augment")?,
            on_nan: self.on_nan.unwrap_or(base.on_nan),
            engine: self.engine.unwrap_or(base.engine),
            precision: self.precision.unwrap_or(base.precision),
            metrics: self.metrics.as_ref().unwrap_or(&base.metrics).clone(),
            threads: self.threads.map(usize::from).or(base.threads),
        };
        fit.check().map_err(|error| Usage(error.to_string()))?;
        Metric::check_all(&fit.metrics).map_err(|error| Usage(error.to_string()))?;
        if self.metrics.is_some() && fit.validation_split == 0.0 {
            let rule = "--metrics are computed on the validation set, and there is none: add --validation-split";
            return Err(Usage(rule.to_owned()).into());
        }
        if cuda && fit.engine == Engine::Fused {
            let rule = "--engine fused is for the CPU, found it with a GPU: leave one out";
            return Err(Usage(rule.to_owned()).into());
        }
        if !cuda && fit.engine == Engine::Graph {
            let rule = "--engine graph is for a GPU, found it without: add --cuda, or leave it out";
            return Err(Usage(rule.to_owned()).into());
        }
        if !cuda && fit.precision == Precision::Tf32 {
            let rule =
                "--precision tf32 is for a GPU, found it without: add --cuda, or take f32 or bf16";
            return Err(Usage(rule.to_owned()).into());
        }
        if fit.engine == Engine::Fused && !fit.precision.is_f32() {
            let rule = "--engine fused computes in f32, found --precision bf16: leave one out";
            return Err(Usage(rule.to_owned()).into());
        }
        Ok(fit)
    }

    /// Returns the settings with the usual loss for targets of this kind, unless an option or a recipe chose another.
    pub fn for_targets(&self, fit: FitConfig, targets: TargetKind) -> Result<FitConfig, Usage> {
        let is_chosen = self.loss.is_some() || fit.loss != Loss::default();
        let loss = if is_chosen { fit.loss } else { Loss::usual_for(targets) };
        let fit = FitConfig { loss, ..fit };
        fit.check().map_err(|error| Usage(error.to_string()))?;
        Ok(fit)
    }
}

/// Returns `base` with some of its numbers replaced; errors name `option`.
pub fn over<T>(base: &T, numbers: Option<&Numbers>, option: &str) -> Result<T, Usage>
where
    T: Copy + Serialize + for<'a> Deserialize<'a>,
{
    let Some(Numbers(numbers)) = numbers else { return Ok(*base) };
    overlay(base, numbers.clone()).map_err(|message| Usage(format!("{option}: {message}")))
}

/// Returns the weights of classes that are balanced, or in a file.
fn class_weights(given: &Path) -> anyhow::Result<ClassWeights> {
    if given.as_os_str() == "balanced" {
        return Ok(ClassWeights::Balanced);
    }
    let name = given.display();
    let wrong =
        || format!("{name} cannot be read as weights of classes, one class = weight per line");
    // A line for each of 256 classes; a longer file is something else.
    let mut text = String::new();
    std::fs::File::open(given)
        .and_then(|file| file.take(1 << 20).read_to_string(&mut text))
        .with_context(wrong)?;
    let weights = match given.extension() {
        Some(extension) if extension == "json" => {
            serde_json::from_str(&text).with_context(wrong)?
        }
        _ => toml::from_str(&text)
            .map_err(|error| anyhow::anyhow!("{}", error.message()))
            .with_context(wrong)?,
    };
    let weights = ClassWeights::Named(weights);
    weights.check().with_context(|| name.to_string())?;
    Ok(weights)
}

/// Loads a recipe by its name, or from a file if `recipe` looks like a path.
pub fn load_recipe(recipe: &Path) -> anyhow::Result<Recipe> {
    let name = recipe.display().to_string();
    if recipe.extension().is_none() && recipe.components().count() == 1 {
        return Ok(Recipe::named(&name).map_err(|error| Usage(error.to_string()))?);
    }
    // A recipe has a few lines; a longer file is something else.
    let mut text = String::new();
    std::fs::File::open(recipe)
        .and_then(|file| file.take(1 << 16).read_to_string(&mut text))
        .with_context(|| format!("{name} cannot be read as a recipe"))?;
    Ok(Recipe::from_toml(&name, &text)?)
}

impl CallbackOptions {
    /// Returns the given configs with the given options applied, for a training with these settings.
    pub fn over(
        &self,
        (callbacks, checkpoints): (&CallbackConfig, &CheckpointConfig),
        fit: &FitConfig,
    ) -> Result<(CallbackConfig, CheckpointConfig), Usage> {
        let usage = |error: &dyn std::fmt::Display| Usage(error.to_string());
        let validates = fit.validation_split > 0.0;
        if let Some(monitor) = &self.monitor {
            monitor.check(validates.into(), &fit.metrics).map_err(|error| usage(&error))?;
        }
        let default = if validates { Monitor::ValLoss } else { Monitor::Loss };
        let monitor = self.monitor.clone().unwrap_or(default);
        let early_stopping = self.early_stopping.map(|patience| EarlyStoppingConfig {
            monitor: monitor.clone(),
            patience,
            min_delta: self.min_delta.unwrap_or(0.0),
            restore_best: self.restore_best,
        });
        let reduce_lr = self.reduce_lr.map(|patience| {
            let default = ReduceLrConfig::new(monitor.clone());
            ReduceLrConfig {
                patience,
                factor: self.reduce_lr_factor.unwrap_or(default.factor),
                min_learning_rate: self.min_learning_rate.unwrap_or(default.min_learning_rate),
                ..default
            }
        });
        if let Some(config) = early_stopping.clone() {
            EarlyStopping::new(config).map_err(|error| usage(&error))?;
        }
        if let Some(config) = reduce_lr.clone() {
            ReduceLrOnPlateau::new(config).map_err(|error| usage(&error))?;
        }
        let usual = validates.then_some(Monitor::ValLoss);
        let checkpoints = CheckpointConfig {
            keep: self.keep.map_or(checkpoints.keep, NonZeroUsize::get),
            seconds: self.checkpoint_seconds.unwrap_or(checkpoints.seconds),
            monitor: self.monitor.clone().or_else(|| checkpoints.monitor.clone()).or(usual),
        };
        let callbacks = CallbackConfig {
            early_stopping: early_stopping.or_else(|| callbacks.early_stopping.clone()),
            reduce_lr: reduce_lr.or_else(|| callbacks.reduce_lr.clone()),
        };
        Ok((callbacks, checkpoints))
    }
}
