//! Training: `fit`, its settings, optimizers, callbacks, history and snapshots.
//!
//! The loop computes and reports to its callbacks; it prints nothing and writes no file.

pub mod callback;
mod callback_error;
mod callback_list;
mod class_weights;
mod config;
mod epoch_inputs;
mod error;
mod fit_data;
mod history;
mod lr_find;
mod monitor;
mod optimizer;
pub mod recipe;
mod sample_order;
mod schedule;
mod session;
mod snapshot;
mod start_ranks;
mod step;

pub use class_weights::ClassWeights;
pub use config::{Engine, FitConfig, OnNan};
pub use error::{SnapshotError, TrainError};
pub use fit_data::FitData;
pub use history::{EpochRecord, History};
pub use lr_find::{LrCurve, LrFind, LrPoint};
pub use monitor::{Monitor, MonitorError};
pub use optimizer::{Adam, AdamW, Optimizer, RmsProp, Sgd};
pub use schedule::Schedule;
pub use snapshot::{CallbackState, Snapshot, State, Sums};

pub use crate::config_error::ConfigError;
use crate::device;
use crate::group::{Group, SingleProcess};
use crate::model::Sequential;
use callback::Callback;
use session::Session;

impl Sequential {
    /// Trains the network by backpropagation on `data`: a training set, or a training and a
    /// validation set.
    ///
    /// Every epoch goes once through all samples in an order drawn by the seed. The last partial batch
    /// counts, and means are weighted by samples. With a validation split, that fraction of the training
    /// set is held back and evaluated after every epoch.
    ///
    /// Each call starts from scratch: the optimizer state, the order of the samples and the dropout masks
    /// begin at epoch 1. While a batch is trained on the CPU, the process's libtorch threads are those of
    /// [`FitConfig::step_threads`].
    ///
    /// # Errors
    /// Settings that break a rule, data that does not fit the network, numbers that are no longer
    /// finite (see [`OnNan`]), too little memory, or a callback's own error. The network then keeps
    /// the weights of the last step.
    pub fn fit<'a>(
        &mut self,
        data: impl Into<FitData<'a>>,
        config: &FitConfig,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<History, TrainError> {
        self.train(&SingleProcess, data.into(), config, None, callbacks)
    }

    /// Resumes a training from `snapshot`, which a callback got in
    /// [`on_snapshot`](callback::Callback::on_snapshot).
    ///
    /// With the same data, settings and callbacks the network ends with the very weights of a training
    /// that was never interrupted, bit for bit on the CPU. More epochs may be set than before. The
    /// history is that of all epochs.
    ///
    /// # Errors
    /// Those of [`fit`](Self::fit), and a snapshot of another network, optimizer, data set or batch size.
    pub fn resume<'a>(
        &mut self,
        snapshot: &Snapshot,
        data: impl Into<FitData<'a>>,
        config: &FitConfig,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<History, TrainError> {
        self.train(&SingleProcess, data.into(), config, Some(snapshot), callbacks)
    }

    /// Trains like [`fit`](Self::fit), but together with the other ranks of `group`.
    ///
    /// Each rank calls this with the same data and settings and takes its part of each batch. All end
    /// with the weights that one process would have reached, up to rounding. The batch size is that of
    /// all ranks together.
    ///
    /// Training begins with rank 0's weights. Only rank 0's callbacks are called; those of other ranks
    /// are ignored. Callbacks see the metrics of the whole group.
    ///
    /// # Errors
    /// Those of [`fit`](Self::fit); other data or settings on some rank; a rank that does not answer or
    /// has ended.
    pub fn fit_distributed<'a>(
        &mut self,
        group: &dyn Group,
        data: impl Into<FitData<'a>>,
        config: &FitConfig,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<History, TrainError> {
        self.train(group, data.into(), config, None, callbacks)
    }

    /// Resumes like [`resume`](Self::resume), but together with the other ranks of `group`.
    ///
    /// The number of ranks may differ from before. The snapshot is rank 0's; that of other ranks is
    /// ignored. Without one on rank 0, training begins from scratch.
    ///
    /// # Errors
    /// Those of [`resume`](Self::resume) and [`fit_distributed`](Self::fit_distributed).
    pub fn resume_distributed<'a>(
        &mut self,
        group: &dyn Group,
        snapshot: Option<&Snapshot>,
        data: impl Into<FitData<'a>>,
        config: &FitConfig,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<History, TrainError> {
        self.train(group, data.into(), config, snapshot, callbacks)
    }

    /// Checks that [`resume`](Self::resume) would accept `snapshot`.
    ///
    /// Neither the network nor any file is changed. Callbacks only receive the state that they would
    /// resume from.
    ///
    /// # Errors
    /// Those of [`resume`](Self::resume): [`TrainError::Snapshot`] for a snapshot of something else.
    pub fn check_snapshot<'a>(
        &mut self,
        snapshot: &Snapshot,
        data: impl Into<FitData<'a>>,
        config: &FitConfig,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<(), TrainError> {
        let validate = |session: Session| session.validate_resume(snapshot);
        self.with_session(&SingleProcess, data.into(), config, callbacks, validate)
    }

    fn train(
        &mut self,
        group: &dyn Group,
        data: FitData<'_>,
        config: &FitConfig,
        snapshot: Option<&Snapshot>,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<History, TrainError> {
        start_ranks::verify_consistent_across_ranks(group, self, &data, config)?;
        let is_first = group.rank() == 0;
        let snapshot = snapshot.filter(|_| is_first);
        let callbacks: &mut [&mut dyn Callback] = if is_first { callbacks } else { &mut [] };
        let run = |session: Session| Ok(session.run(snapshot)?.history);
        self.with_session(group, data, config, callbacks, run)
    }

    fn with_session<T>(
        &mut self,
        group: &dyn Group,
        data: FitData<'_>,
        config: &FitConfig,
        callbacks: &mut [&mut dyn Callback],
        work: impl FnOnce(Session) -> Result<T, TrainError>,
    ) -> Result<T, TrainError> {
        config.check()?;
        config.check_for(self.spec(), self.device())?;
        let streaming;
        let config = match data.train.is_streamed() {
            true => {
                streaming = config.clone().for_streaming(self.device())?;
                &streaming
            }
            false => config,
        };
        let split;
        let data = match (config.validation_split, data.validation) {
            (0.0, _) => data,
            (fraction, None) => {
                split = data.train.split(fraction, config.seed)?;
                FitData::from((&split.0, &split.1))
            }
            (fraction, Some(_)) => {
                let rule = "0 with a separate validation set";
                ConfigError::unless(false, "validation split", rule, fraction)?;
                data
            }
        };
        let (batch_size, device) = (config.batch_size, device::name(self.device()));
        let train = data.train;
        Session::new(group, self, data, config, callbacks)
            .and_then(work)
            .map_err(|error| error.into_oom_error(batch_size, device).with_scale_of(train))
    }
}
