//! The options of the training itself, applied to a base: the tutorial's recipe, or the config of the resumed run.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context;
use seqfit::data::{Dataset, PictureKind, Source, TargetKind};
use seqfit::recipe::{Recipe, overlay};
use seqfit::{Device, Engine, FitConfig, LayerList, Loss, Metric, OnNan, Precision, Spec};
use serde::{Deserialize, Serialize};

use super::super::network_options::NetworkOptions;
use super::super::output::{Usage, quoted};
use super::super::parse_values::{self, Numbers};
use super::optimizer_options::OptimizerOptions;
use super::read_settings::{class_weights, load_recipe};

#[derive(Clone, Debug, clap::Args)]
pub struct FitOptions {
    #[arg(long, value_name = "NAME|FILE", help = recipe_help())]
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
    /// expected_calibration_error; mae, rmse, r2 of numbers; and others (see docs/metrics.md) [default: none]
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
    /// Dense layers and convolutions on the CPU or graph on a GPU, several times as fast; auto uses these where it
    /// can [default: auto]
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
    /// (fractions), shift and elastic (pixels of 28 by 28): rotation=9,scale=0.1,shift=1.5,shear=0.1,elastic=0.3; and
    /// photographs by flip (probability), crop and cutout (pixels), brightness, contrast and saturation (fractions),
    /// randaugment (magnitude up to 30), and mixup and cutmix (alpha): flip=0.5,crop=4,cutout=8
    #[arg(long, value_name = "KEY=X,…", value_parser = parse_values::numbers)]
    augment: Option<Numbers>,
    /// When the loss is NaN or infinite: stop with an error, or restart the epoch with half the learning
    /// rate, at most 3 times [default: stop]
    #[arg(long, value_parser = parse_values::one_of::<OnNan>(["stop", "rollback"]))]
    on_nan: Option<OnNan>,
}

fn recipe_help() -> String {
    format!(
        "Settings to start with, which other options override: {} or a .toml file (see seqfit recipe) [default: \
         photos for photographs, in color or scaled, unless an option describes the network; else tutorial]",
        Recipe::name_list(),
    )
}

fn loss_help() -> String {
    let names: Vec<String> = Loss::all().iter().map(Loss::name).collect();
    format!(
        "Loss that is minimized: {}, its settings after a colon as in huber:delta=0.5; sparse and categorical are \
         the same cross-entropy [default: sparse for classes, {} for several labels, {} for numbers]",
        names.join(", "),
        Loss::usual_for(TargetKind::Labels).name(),
        Loss::usual_for(TargetKind::Numbers).name(),
    )
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
        let checked = weights.of(train).map(drop);
        match &self.class_weights {
            Some(given) if given.as_os_str() != "balanced" && train.target_kind().is_class() => {
                checked.with_context(|| given.display().to_string())
            }
            _ => Ok(checked.map_err(Usage::of)?),
        }
    }

    /// Returns a note on the pictures that the recipe was tuned for, if the data is not known to be of that kind.
    pub fn note_on_recipe(&self, data: &Source) -> anyhow::Result<Option<String>> {
        let Some(path) = self.recipe.as_deref() else { return Ok(None) };
        let Recipe { name, tuned_for: Some(pictures), .. } = load_recipe(path)? else {
            return Ok(None);
        };
        let known = PictureKind::of(data) == Some(pictures);
        let (pictures, data, recipe) = (pictures.as_str(), &data.name, quoted(path));
        Ok((!known).then(|| {
            format!(
                "note: the recipe {name} was tuned for {pictures}, and {data} is not known to be {pictures}: \
                 its deformations may not suit these pictures (seqfit data preview --recipe {recipe} shows \
                 them, --augment changes them)"
            )
        }))
    }

    /// Returns these options with the recipe that is usual for the data, and a note that says so; none if there is no such
    /// recipe, or options choose another or the network.
    pub fn with_usual_recipe(
        &self,
        network: &NetworkOptions,
        data: &Source,
    ) -> anyhow::Result<Option<(Self, String)>> {
        if self.recipe.is_some() || network.is_described() {
            return Ok(None);
        }
        Ok(Recipe::usual_for(data)?.map(|Recipe { name, .. }| {
            let note = format!(
                "note: the recipe {name} trains a network of convolutions on these pictures (--recipe tutorial: one of \
                 Dense layers)"
            );
            (Self { recipe: Some(PathBuf::from(name)), ..self.clone() }, note)
        }))
    }

    /// Returns the layers of the recipe, if it has some.
    pub fn recipe_layers(&self) -> anyhow::Result<Option<LayerList>> {
        let recipe = self.recipe.as_deref().map(load_recipe).transpose()?;
        Ok(recipe.and_then(|recipe| recipe.layers))
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

/// Checks the settings against the network and the device. Too little memory is no mistake on the command line.
pub fn check_fits(fit: &FitConfig, network: &Spec, device: Device) -> anyhow::Result<()> {
    fit.check_for(network, device).map_err(|error| match error.setting {
        "the network" => error.into(),
        _ => Usage::of(error).into(),
    })
}

/// Returns `base` with some of its numbers replaced; errors name `option`.
pub fn over<T>(base: &T, numbers: Option<&Numbers>, option: &str) -> Result<T, Usage>
where
    T: Copy + Serialize + for<'a> Deserialize<'a>,
{
    let Some(Numbers(numbers)) = numbers else { return Ok(*base) };
    overlay(base, numbers.clone()).map_err(|message| Usage(format!("{option}: {message}")))
}
