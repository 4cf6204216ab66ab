//! Trials before a training: does the whole path work, can the network learn at all? They correspond to Lightning's
//! `fast_dev_run` and `overfit_batches`. Nothing of them is kept.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use seqfit::data::{DataError, Dataset, Loaded, Target, TargetKind};
use seqfit::run::{Run, RunResult};
use seqfit::text::{counted, significant};
use seqfit::{Device, Evaluation, FitConfig};

use super::super::{output, parse_values};

/// Epochs of a training that should overfit a few samples.
const EPOCHS: usize = 100;
/// The same for numbers, of which more than the side of a boundary is to be learned: scaled California housing reaches
/// [`MEMORIZED_R2`] with up to 32 samples.
const EPOCHS_OF_NUMBERS: usize = 300;

#[derive(Clone, Debug, clap::Args)]
pub struct TrialOptions {
    /// Try the whole path in a second: one epoch of one batch, validation, checkpoints, export, evaluation,
    /// reading back; nothing is kept
    #[arg(long, conflicts_with_all = ["overfit", "out", "resume", "seeds", "epochs", "distributed"])]
    fast_dev_run: bool,
    /// Try whether the network can overfit N training samples, without augmentation, in 100 epochs (300 for
    /// numbers, which count as memorized from an R² of 0.99 on) or --epochs; if not, something between data and
    /// weights is wrong. Nothing is kept
    #[arg(long, value_name = "N", value_parser = parse_values::count, conflicts_with_all = ["out", "resume", "seeds", "validation_split", "distributed"])]
    overfit: Option<NonZeroUsize>,
}

/// A trial, and its folder, which is removed with it.
#[derive(Debug)]
pub struct Trial {
    kind: Kind,
    folder: tempfile::TempDir,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    FastDevRun,
    Overfit,
}

impl TrialOptions {
    /// Returns the requested trial, if any, with a new folder.
    pub fn begin(&self) -> std::io::Result<Option<Trial>> {
        let kind = match (self.fast_dev_run, self.overfit) {
            (true, _) => Kind::FastDevRun,
            (false, Some(_)) => Kind::Overfit,
            (false, None) => return Ok(None),
        };
        let folder = tempfile::Builder::new().prefix("seqfit-trial-").tempdir()?;
        Ok(Some(Trial { kind, folder }))
    }

    /// Returns `fit` changed for the trial.
    pub fn fit(&self, fit: FitConfig, epochs: Option<NonZeroUsize>) -> FitConfig {
        match self.overfit {
            None if self.fast_dev_run => FitConfig { epochs: 1, ..fit },
            None => fit,
            Some(samples) => FitConfig {
                epochs: epochs.map_or(EPOCHS, NonZeroUsize::get),
                batch_size: fit.batch_size.min(samples.get()),
                augment: Default::default(),
                label_smoothing: 0.0,
                ..fit
            },
        }
    }

    /// Returns `fit` with the epochs that targets of this kind take to be memorized, unless --epochs says them.
    pub fn for_targets(
        &self,
        fit: FitConfig,
        targets: TargetKind,
        epochs: Option<NonZeroUsize>,
    ) -> FitConfig {
        match (self.overfit, epochs, targets) {
            (Some(_), None, TargetKind::Numbers) => FitConfig { epochs: EPOCHS_OF_NUMBERS, ..fit },
            _ => fit,
        }
    }

    /// Returns the data of the trial: a few samples, from every class if there are enough of them.
    pub fn data(&self, data: Loaded, fit: &FitConfig) -> anyhow::Result<Loaded> {
        if let Some(samples) = self.overfit {
            let train = few(&data.train, samples.get(), fit.seed)?;
            return Ok(Loaded { test: train.clone(), train, ..data });
        }
        if !self.fast_dev_run {
            return Ok(data);
        }
        // Enough of every class for a validation split, if there is one.
        let samples = fit.batch_size.max(4 * data.train.classes().len());
        let (train, test) =
            (few(&data.train, samples, fit.seed)?, few(&data.test, samples, fit.seed)?);
        Ok(Loaded { train, test, ..data })
    }
}

/// Returns `n` samples, drawn by the seed, or all if there are fewer. The numbers of samples per class differ by at
/// most one.
fn few(dataset: &Dataset, n: usize, seed: u64) -> Result<Dataset, DataError> {
    // Draw more of each class than needed, so that other classes can make up for one that has too few.
    let share = (4.0 * (n + dataset.classes().len()) as f64 / dataset.len() as f64).min(0.9);
    // Few samples cannot be split: then all are there to choose from.
    let drawn = dataset.split(share, seed).map(|(_, drawn)| drawn);
    let drawn = drawn.ok().filter(|drawn| drawn.len() >= n);
    let from = drawn.as_ref().unwrap_or(dataset);
    let mut seen = vec![0; from.classes().len().max(1)];
    let mut ranked: Vec<(usize, u32)> = (0..from.len() as u32)
        .map(|i| {
            let class = match from.target(i as usize) {
                Target::Class(class) => usize::from(class),
                _ => 0,
            };
            let rank = &mut seen[class];
            *rank += 1;
            (*rank, i)
        })
        .collect();
    ranked.sort_unstable();
    ranked.truncate(n);
    from.select(&ranked.into_iter().map(|(_, i)| i).collect::<Vec<_>>())
}

/// The R² from which on numbers count as memorized.
const MEMORIZED_R2: f64 = 0.99;

/// Returns whether the network predicts all samples, and in words how well it does.
fn memorized(test: &Dataset, found: &Evaluation) -> (bool, String) {
    if let Some(accuracy) = found.accuracy {
        let what = match test.target_kind() {
            TargetKind::Labels => "of their labels",
            _ => "of them",
        };
        return (accuracy == 1.0, format!("predicts {:.2} % {what} correctly", 100.0 * accuracy));
    }
    let squares = found.residuals.iter().map(|residuals| residuals.rmse.powi(2));
    let rmse = (squares.clone().sum::<f64>() / found.residuals.len() as f64).sqrt();
    // The variances are those by which training scales: of a number that is the same in all samples 1, and it has no R².
    let scaling = test.target_scaling();
    let variances = scaling.iter().flat_map(|scaling| &scaling.scale);
    let explained =
        squares.zip(variances).map(|(square, &scale)| 1.0 - square / f64::from(scale).powi(2));
    let r2 = explained.sum::<f64>() / found.residuals.len() as f64;
    let rmse = significant(rmse);
    (
        r2 >= MEMORIZED_R2,
        match test.len() {
            1 => format!("is {rmse} off"),
            _ => format!("has an R² of {r2:.4} on them, below {MEMORIZED_R2} (RMSE {rmse})"),
        },
    )
}

impl Trial {
    /// Returns the path of its run.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// Returns the result of the trial, or an error that names the problem.
    pub fn verdict(&self, run: &Run, test: &Dataset, result: &RunResult) -> anyhow::Result<String> {
        let fit = &run.config().fit;
        let again = Run::open(run.path())?.load_model(Device::Cpu)?.evaluate_with(test, fit)?;
        let found = &result.test;
        anyhow::ensure!(
            (again.loss - found.loss).abs() <= 1e-4 * (1.0 + found.loss.abs()),
            "the network that was read back must have the loss of the one that was trained, {}, found {}: \
             please report this",
            found.loss,
            again.loss
        );
        let (samples, epochs) = (found.samples, result.epochs);
        match self.kind {
            Kind::FastDevRun => {
                let message = "the whole path works: training, checkpoints, export, evaluation and reading \
                               back; nothing was kept";
                Ok(message.to_owned())
            }
            Kind::Overfit => {
                let (is_memorized, reached) = memorized(test, &again);
                let word = output::samples_word(test);
                let one = counted(samples, word.trim_end_matches('s'));
                let all = if samples == 1 { "is memorized" } else { "are memorized" };
                let epochs = counted(epochs, "epoch");
                let look = match (word, test.unscaled_features()) {
                    (_, Some(unscaled)) => unscaled.advice(),
                    ("images", None) => "look at the images (seqfit data preview)".to_owned(),
                    _ => "look at the samples, whose features should be scaled to about -1 to 1"
                        .to_owned(),
                };
                anyhow::ensure!(
                    is_memorized,
                    "a network should overfit {one}, and this one {reached} after {epochs}: {look}, try another \
                     --learning-rate, more --hidden units or --epochs, and no dropout"
                );
                let every = if samples == 1 { "" } else { "all " };
                Ok(format!(
                    "{every}{one} {all}, loss {:.4} after {epochs}; nothing was kept",
                    found.loss
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_returns_n_samples_balanced_over_classes() {
        let (train, _) = seqfit::data::load("digits").unwrap();
        for n in [1, 5, 10, 32, 1000, 1e6 as usize] {
            let drawn = few(&train, n, 3).unwrap();
            assert_eq!(drawn.len(), n.min(train.len()));
            let counts = drawn.class_counts();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(n > 1000 || most - least <= 1, "{n}: {counts:?}");
        }
        let pixels = |data: &Dataset| {
            (0..data.len()).flat_map(|i| data.image(i).to_vec()).collect::<Vec<_>>()
        };
        assert!(pixels(&few(&train, 20, 1).unwrap()) != pixels(&few(&train, 20, 2).unwrap()));
    }
}
