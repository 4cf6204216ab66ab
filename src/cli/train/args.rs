//! The options of `seqfit train`, and what they say about a training: on rank 0, which begins or resumes a run, and on
//! the other ranks, so that a rank with other options is found.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use seqfit::run::RunConfig;
use seqfit::{Device, FitConfig, data, device};

use super::super::data_options::{DataOptions, StreamOptions};
use super::super::device_options::DeviceOptions;
use super::super::distributed::RankOptions;
use super::super::load_data;
use super::super::network_options::NetworkOptions;
use super::super::output::Usage;
use super::super::output_files::{self, FileKind, OutputFile};
use super::super::parse_values;
use super::callback_options::CallbackOptions;
use super::fit_options::FitOptions;
use super::trial_runs::TrialOptions;

/// Options of `seqfit train`; the default is the tutorial's training.
// Negative numbers are invalid values, not unknown options.
#[derive(Clone, Debug, clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    #[command(flatten)]
    pub(super) data: DataOptions,
    #[command(flatten)]
    pub(super) stream: StreamOptions,
    #[command(flatten)]
    pub(super) network: NetworkOptions,
    #[command(flatten)]
    pub(super) device: DeviceOptions,
    #[command(flatten)]
    pub(super) fit: FitOptions,
    #[command(flatten)]
    pub(super) callbacks: CallbackOptions,
    /// Stop cleanly after this time, such as 90s, 10m or 1h30m; the run can be resumed later
    #[arg(long, value_name = "TIME", value_parser = parse_values::duration)]
    pub(super) max_time: Option<Duration>,
    /// Also write the history of the epochs to this CSV file
    #[arg(long, value_name = "FILE")]
    pub(super) csv: Option<PathBuf>,
    /// Train with N seeds, starting with --seed, each into its own run in --out, and report the mean, standard
    /// deviation and 95 % interval of their test metrics; the same command again resumes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=1000), conflicts_with_all = ["resume", "max_time", "csv", "force", "distributed"])]
    pub(super) seeds: Option<u64>,
    /// Number of seeds to train at the same time [default: depends on the number of processors]
    #[arg(long, value_name = "N", value_parser = parse_values::count, requires = "seeds")]
    pub(super) parallel: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(super) trial: TrialOptions,
    #[command(flatten)]
    pub(super) ranks: RankOptions,
    /// The run folder [default: runs/DATASET-TIME]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Replace the run in --out
    #[arg(long, requires = "out")]
    pub(super) force: bool,
    /// Resume the run in this folder where it was interrupted, or with more --epochs; its settings and
    /// data stay the same
    #[arg(long, value_name = "RUN", conflicts_with_all = ["out", "force", "normalize"])]
    pub(super) resume: Option<PathBuf>,
    /// Start with the weights and the network of this run, trained or imported; the rest is as in any
    /// new training
    #[arg(long, value_name = "RUN", conflicts_with_all = ["resume", "model", "hidden", "activation", "dropout", "layers", "file", "normalize"])]
    pub(super) init_from: Option<PathBuf>,
    /// Also write event files for TensorBoard, into this folder or the run's own: curves, histograms of the
    /// weights, the first layer as an image
    #[arg(long, value_name = "DIR", num_args = 0..=1, conflicts_with = "seeds")]
    pub(super) tensorboard: Option<Option<PathBuf>>,
    /// Also write the report of `seqfit report` when training ends, which takes half a second; an existing
    /// report is always written again
    #[arg(long, conflicts_with = "seeds")]
    pub(super) report: bool,
    /// Print only warnings and errors; with --json also its lines
    #[arg(long, short)]
    pub(super) quiet: bool,
    /// Draw the curves of loss and accuracy while it trains, where the terminal is wide enough, and at the
    /// end; then the confusion matrix, too
    #[arg(long, conflicts_with_all = ["quiet", "seeds"])]
    pub(super) plot: bool,
    /// Print one JSON object per epoch, and one with the result, on stdout
    #[arg(long)]
    pub(super) json: bool,
    /// Print where the time went, on stderr: phases that add up to the total
    #[arg(long, conflicts_with = "seeds")]
    pub(super) timing: bool,
}

// The base of each is the config of the run that is resumed, if it is one.
impl Args {
    /// Returns the files to write, outside of the run.
    pub(super) fn files(&self) -> Vec<OutputFile<'_>> {
        let file = |path| OutputFile { option: "--csv", path, kind: FileKind::History };
        self.csv.as_deref().map(file).into_iter().collect()
    }

    /// Checks the files and folders to write outside of the run.
    pub(super) fn check_files(&self) -> anyhow::Result<()> {
        if let Some(Some(folder)) = &self.tensorboard
            && folder.exists()
            && !folder.is_dir()
        {
            let rule = "--tensorboard writes into a folder, found the file";
            return Err(Usage(format!("{rule} {}: name a folder", folder.display())).into());
        }
        output_files::check_beside(&self.files(), self.out.as_deref())
    }

    /// Returns this rank's device.
    pub(super) fn device(&self, resumed: Option<&RunConfig>) -> anyhow::Result<Device> {
        let device = match (self.device.chosen(), resumed) {
            (Some(device), _) => device,
            (None, Some(began)) => device::parse(&began.device)?,
            (None, None) => Device::Cpu,
        };
        Ok(device::own(device)?)
    }

    /// Returns the settings of the training.
    pub(super) fn fit(
        &self,
        resumed: Option<&RunConfig>,
        device: Device,
    ) -> anyhow::Result<FitConfig> {
        let Some(began) = resumed else {
            let fit = self.fit.over(&FitConfig::default(), device.is_cuda())?;
            let fit = self.trial.fit(fit, self.fit.epochs);
            return match self.stream.stream {
                Some(_) => Ok(fit.for_streaming(device)?),
                None => Ok(fit),
            };
        };
        let fit = self.fit.over(&began.fit, device.is_cuda())?;
        // A recipe's epochs apply only to new trainings.
        let epochs = if self.fit.epochs.is_some() { fit.epochs } else { began.fit.epochs };
        Ok(FitConfig { epochs, ..fit })
    }

    /// Returns the options of a new run with the recipe that is usual for its data, and a note on it; none if options
    /// choose another, or the network.
    pub(super) fn with_usual_recipe(
        &self,
        data: &data::Source,
    ) -> anyhow::Result<Option<(Self, String)>> {
        if self.init_from.is_some() {
            return Ok(None);
        }
        let usual = self.fit.with_usual_recipe(&self.network, data)?;
        Ok(usual.map(|(fit, note)| (Self { fit, ..self.clone() }, note)))
    }

    /// Returns the options that describe the network.
    pub(super) fn network(&self) -> anyhow::Result<NetworkOptions> {
        self.network.or_layers(self.fit.recipe_layers()?)
    }

    /// Returns the data to load.
    pub(super) fn request(&self, resumed: Option<&RunConfig>) -> anyhow::Result<data::Request> {
        match (self.data.request(), resumed.and_then(|began| began.data.source.as_ref())) {
            (data::Request::Auto, Some(source)) => {
                let request = source.request(&data::Locations::from_env()?)?;
                let kind = resumed.map(|began| began.data.targets).unwrap_or_default();
                Ok(load_data::of_kind(request, kind))
            }
            (request, _) => Ok(request),
        }
    }

    /// Returns the memory for data that is streamed.
    pub(super) fn stream(&self, resumed: Option<&RunConfig>) -> Option<data::StreamMemory> {
        self.stream.stream.or_else(|| resumed?.data.stream)
    }

    /// Limits the threads to those available to each of several processes, even if the run began with more.
    pub(super) fn for_this_machine(&self, fit: FitConfig) -> FitConfig {
        if !self.ranks.distributed || self.fit.threads.is_some() {
            return fit;
        }
        let threads = fit.threads.map(|threads| threads.min(device::all_threads()));
        FitConfig { threads, ..fit }
    }
}
