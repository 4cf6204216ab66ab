//! Trials before a training: does the whole path work, can the network learn at all? Lightning's
//! `fast_dev_run` and `overfit_batches`. Nothing of them is kept.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use seqfit::data::{DataError, Dataset, Loaded};
use seqfit::run::{Run, RunResult};
use seqfit::{Device, FitConfig};

use super::super::options;

/// Epochs of a training that is to learn a few samples by heart.
const EPOCHS: usize = 100;

#[derive(Debug, clap::Args)]
pub struct TrialOptions {
    /// Try the whole path in a second: one epoch of a batch, validation, checkpoints, export, evaluation,
    /// reading back; nothing is kept
    #[arg(long, conflicts_with_all = ["overfit", "out", "resume", "seeds", "epochs", "distributed"])]
    fast_dev_run: bool,
    /// Try whether the network can learn N training images by heart, without augmentation, in 100 epochs or
    /// --epochs; if not, something between data and weights is wrong. Nothing is kept
    #[arg(long, value_name = "N", value_parser = options::count, conflicts_with_all = ["out", "resume", "seeds", "validation_split", "distributed"])]
    overfit: Option<NonZeroUsize>,
}

/// A trial, and the folder that it happens in and that goes with it.
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
    /// The trial that was asked for.
    pub fn begin(&self) -> std::io::Result<Option<Trial>> {
        let kind = match (self.fast_dev_run, self.overfit) {
            (true, _) => Kind::FastDevRun,
            (false, Some(_)) => Kind::Overfit,
            (false, None) => return Ok(None),
        };
        let folder = tempfile::Builder::new().prefix("seqfit-trial-").tempdir()?;
        Ok(Some(Trial { kind, folder }))
    }

    /// The settings of the trial.
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

    /// The data of the trial: a few samples, some of every class if there is room for them.
    pub fn data(&self, data: Loaded, fit: &FitConfig) -> anyhow::Result<Loaded> {
        if let Some(samples) = self.overfit {
            let train = few(&data.train, samples.get(), fit.seed)?;
            return Ok(Loaded { test: train.clone(), train, ..data });
        }
        if !self.fast_dev_run {
            return Ok(data);
        }
        // A part of every class for the validation, if there is one.
        let samples = fit.batch_size.max(4 * data.train.classes().len());
        let (train, test) =
            (few(&data.train, samples, fit.seed)?, few(&data.test, samples, fit.seed)?);
        Ok(Loaded { train, test, ..data })
    }
}

/// So many samples, drawn by the seed, of each class as many or one less; all if there are fewer.
fn few(dataset: &Dataset, n: usize, seed: u64) -> Result<Dataset, DataError> {
    // More of each class than are needed, so that what one lacks the others have.
    let share = (4.0 * (n + dataset.classes().len()) as f64 / dataset.len() as f64).min(0.9);
    let (_, drawn) = dataset.split(share, seed)?;
    let from = if drawn.len() < n { dataset } else { &drawn };
    let mut seen = vec![0; from.classes().len()];
    let mut ranked: Vec<(usize, u32)> = (0..from.len() as u32)
        .map(|i| {
            let rank = &mut seen[usize::from(from.label(i as usize))];
            *rank += 1;
            (*rank, i)
        })
        .collect();
    ranked.sort_unstable();
    ranked.truncate(n);
    from.select(&ranked.into_iter().map(|(_, i)| i).collect::<Vec<_>>())
}

impl Trial {
    /// Where its run is.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// What came of it, or what is wrong.
    pub fn verdict(&self, run: &Run, test: &Dataset, result: &RunResult) -> anyhow::Result<String> {
        let again = Run::open(run.path())?.load_model(Device::Cpu)?.evaluate(test)?;
        let found = result.test;
        anyhow::ensure!(
            (again.loss - found.loss).abs() <= 1e-4 * (1.0 + found.loss.abs()),
            "the network that was read back must have the loss of the one that was trained, {}, found {}: \
             please report this",
            found.loss,
            again.loss
        );
        let (percent, samples, epochs) = (100.0 * found.accuracy, found.samples, result.epochs);
        match self.kind {
            Kind::FastDevRun => {
                let told = "the whole path works: training, checkpoints, export, evaluation and reading \
                            back; nothing was kept";
                Ok(told.to_owned())
            }
            Kind::Overfit => {
                anyhow::ensure!(
                    found.accuracy == 1.0,
                    "a network should learn {samples} images by heart, and this one has {percent:.2} % of \
                     them after {epochs} epochs: look at the images (seqfit data preview), try another \
                     --learning-rate, more --hidden units or --epochs, and no dropout"
                );
                Ok(format!(
                    "all {samples} images are learned by heart, loss {:.4} after {epochs} epochs; nothing \
                     was kept",
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
    fn few_are_of_every_class_and_as_many_as_asked_for() {
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
