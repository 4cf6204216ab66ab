//! The steps of `seqfit train`, each tried on a small scale.

use std::fs;
use std::path::{Path, PathBuf};

use seqfit::data::{self, DatasetName, DryRun, Loaded, Locations, Request};
use seqfit::layers::{Dense, Flatten};
use seqfit::run::{DataConfig, Figures, ModelCheckpoint, Run, RunConfig, RunResult};
use seqfit::{Activation, Device, FitConfig, History, Sequential};

/// Size of a run of the tutorial: the newest checkpoints, the weights twice, and the rest.
const RUN_BYTES: u64 = 10 << 20;
/// Images in the tried training: one batch.
const BATCH: usize = 32;

/// A network that was trained on a batch, and its data.
pub struct Trained {
    data: Loaded,
    fit: FitConfig,
    model: Sequential,
    history: History,
}

/// Trains the tutorial's network on one batch of the built-in digits.
///
/// # Errors
/// Errors of libtorch, or a device that cannot be used.
pub fn train(device: Device) -> anyhow::Result<Trained> {
    let request = Request::Named(DatasetName::Digits);
    let locations = Locations { data: None, cache: None, mirrors: None };
    let mut data = data::resolve(&request, &locations, &mut |_| {})?;
    data.train = data.train.take(BATCH);
    data.test = data.test.take(BATCH);
    let mut model = Sequential::new(data.train.sample_shape())
        .add(Flatten)
        .add(Dense::new(128).activation(Activation::Relu))
        .add(Dense::new(64).activation(Activation::Relu))
        .add(Dense::new(data.train.classes().len()))
        .build(device, 0)?;
    let fit = FitConfig { epochs: 1, ..FitConfig::default() };
    let history = model.fit(&data.train, &fit, &mut [])?;
    Ok(Trained { data, fit, model, history })
}

/// Looks for the data of a training without options, and tries to download it if it is not on this machine.
///
/// # Errors
/// Same as [`data::dry_run`].
pub fn data(locations: &Locations) -> Result<DryRun, data::DataError> {
    data::dry_run(DatasetName::Mnist, locations)
}

/// Writes a run as `train` does, into the folder where `train` puts runs, and removes it.
///
/// # Errors
/// A folder that cannot be written or has too little space, with the fix.
pub fn write_run(runs: &Path, trained: Option<&Trained>) -> anyhow::Result<()> {
    try_writing(runs, trained).map_err(|error| {
        let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        anyhow::anyhow!(
            "runs cannot be written into {}: {error:#}: change to a folder that you may write to, or name one \
             with train --out",
            folder.join(runs).display()
        )
    })
}

fn try_writing(runs: &Path, trained: Option<&Trained>) -> anyhow::Result<()> {
    let _made = MadeFolder::new(runs)?;
    let folder = tempfile::Builder::new().prefix(".seqfit-doctor-").tempdir_in(runs)?;
    if let Ok(free) = fs4::available_space(folder.path()) {
        let needed = RUN_BYTES;
        anyhow::ensure!(free >= needed, "{needed} bytes are needed, and {free} are free");
    }
    trained.map_or(Ok(()), |trained| trained.write(&folder.path().join("run")))
}

impl Trained {
    fn write(&self, path: &Path) -> anyhow::Result<()> {
        let data = DataConfig::of(&self.data);
        let config = RunConfig::now(Device::Cpu, data, self.fit.clone(), self.model.spec().clone());
        let run = Run::create(path, false, config)?;
        self.try_checkpoints(&run)?;
        run.save(&self.model, &self.history)?;
        let result = RunResult {
            test: Figures::from(&self.model.evaluate(&self.data.test)?),
            last_epoch: self.history.last().cloned(),
            epochs: self.history.epochs.len(),
            batch: 0,
            seconds: 0.0,
            restored_epoch: None,
            ended_by: None,
        };
        run.finish(&self.model, &result)?;
        Ok(())
    }

    /// Writes checkpoints. They are written during training, so a copy of the network is trained once more.
    fn try_checkpoints(&self, run: &Run) -> anyhow::Result<()> {
        let (folder, identity) = (run.checkpoints_path(), run.identity()?);
        let config = run.config().checkpoints.clone();
        let mut checkpoints = ModelCheckpoint::new(&folder, identity, config, |_| {})?;
        let mut copy = Sequential::from_spec(self.model.spec().clone(), Device::Cpu, 0)?;
        copy.fit(&self.data.train, &self.fit, &mut [&mut checkpoints])?;
        match checkpoints.finish().first() {
            Some(failure) => anyhow::bail!("{failure}"),
            None => Ok(()),
        }
    }
}

/// A folder that is created if it does not exist; in that case it is removed on drop if it is empty.
struct MadeFolder(Option<PathBuf>);

impl MadeFolder {
    fn new(path: &Path) -> std::io::Result<Self> {
        let was_there = path.is_dir();
        fs::create_dir_all(path)?;
        Ok(Self((!was_there).then(|| path.to_owned())))
    }
}

impl Drop for MadeFolder {
    fn drop(&mut self) {
        // Removal fails, as it should, if a training has started in the folder meanwhile.
        self.0.iter().for_each(|path| drop(fs::remove_dir(path)));
    }
}
