//! The start of a training: a new run, or an existing run that is resumed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use seqfit::data::TargetKind;
use seqfit::run::{CallbackConfig, CheckpointConfig, DataConfig, RUNS, Run, RunConfig, RunError};
use seqfit::text::counted;
use seqfit::{Device, FitConfig, Sequential, Snapshot, Spec, TrainError, data, device};

use super::super::load_data;
use super::super::output::{Usage, print_status, quoted};
use super::super::output_files;
use super::args::Args;
use super::fit_options::check_fits;
use super::job::{Job, RunCallbacks};
use super::timing::Timing;

/// Creates a new run. All possible errors are found before the first epoch, and before the folder is
/// created.
pub(super) fn begin(args: &Args, timing: Option<&mut Timing>) -> anyhow::Result<Job> {
    let trial = args.trial.begin()?;
    let device = args.device(None)?;
    let fit = args.fit(None, device)?;
    let base = (&Default::default(), &Default::default());
    let (callbacks, checkpoints) = args.callbacks.over(base, &fit)?;
    device::require(device)?;
    args.check_files()?;
    if let Some(out) = &args.out {
        Run::check_vacant(out, args.force)?;
    }
    let other = args.init_from.as_deref().map(Run::open).transpose()?;
    let data = resolve(args, None, timing)?;
    output_files::check_not_read(&args.files(), &data.source)?;
    let usual = args.with_usual_recipe(&data.source)?;
    let (args, fit) = match &usual {
        Some((usual, note)) => {
            if !args.quiet {
                print_status(note);
            }
            (usual, usual.fit(None, device)?)
        }
        None => (args, fit),
    };
    // With --seeds each run would repeat it, and none prints it: they are quiet.
    if let Some(note) = args.fit.note_on_recipe(&data.source)?.filter(|_| !args.quiet) {
        print_status(note);
    }
    let fit = args.fit.for_targets(fit, data.train.target_kind())?;
    let fit = args.trial.for_targets(fit, data.train.target_kind(), args.fit.epochs);
    let mut data = args.trial.data(data, &fit)?;
    args.fit.check_class_weights(&fit, &data.train)?;
    check_metrics(&fit, &callbacks, &checkpoints, data.train.target_kind())?;
    match fit.validation_split {
        0.0 => fit.check_weights(&data.train)?,
        fraction => fit.check_weights(&data.train.split(fraction, fit.seed)?.0)?,
    }
    if !args.quiet {
        load_data::note(&data.train.training_advice());
    }
    if fit.augment.is_on() {
        fit.augment.check_for(&data.train).map_err(Usage::of)?;
    }
    let (network, model, origin) = match other {
        None => {
            let network = args.network()?.fitted(&data, &fit)?;
            check_fits(&fit, &network, device)?;
            if !args.quiet {
                load_data::note(&note_on_scaling(&network, data.train.target_kind()));
            }
            let model = Sequential::from_spec(network.clone(), device, fit.seed)?;
            (network, model, None)
        }
        Some(other) => {
            let (model, origin) = (other.load_model(device)?, other.origin()?);
            let path = other.path().display();
            data = for_network(&path.to_string(), other.config(), data)?;
            check_fits(&fit, model.spec(), device)?;
            (model.spec().clone(), model, Some(origin))
        }
    };
    let config = RunConfig {
        callbacks,
        checkpoints,
        origin,
        ..RunConfig::now(device, DataConfig::of(&data), fit, network)
    };
    let default = default_path(&data.source.name, &config.created);
    if trial.is_none() {
        output_files::check_outside("--out", args.out.as_ref().unwrap_or(&default), &data.source)?;
    }
    let run = match (&args.out, &trial) {
        (_, Some(trial)) => Run::create(&trial.path(), false, config)?,
        (Some(out), None) => Run::create(out, args.force, config)?,
        (None, None) => Run::create_numbered(&default, config)?,
    };
    Ok(Job { run, data, model, snapshot: None, failures: Vec::new(), trial })
}

/// Returns a note on targets that are compared with the outputs as they are, where they usually are scaled.
fn note_on_scaling(network: &Spec, targets: TargetKind) -> Vec<String> {
    let is_scaled = targets != TargetKind::Numbers || network.takes_target_scaling();
    let what = "the network does not end in a linear Dense layer, so that its outputs are compared with the targets as \
                they are, without scaling";
    if is_scaled { Vec::new() } else { vec![what.to_owned()] }
}

/// Checks, before anything is made, that all metrics that are computed or watched are for targets of this kind.
fn check_metrics(
    fit: &FitConfig,
    callbacks: &CallbackConfig,
    checkpoints: &CheckpointConfig,
    targets: TargetKind,
) -> Result<(), Usage> {
    let usage = |error: &dyn std::fmt::Display| Usage(error.to_string());
    let mut metrics = fit.metrics.iter();
    metrics.try_for_each(|metric| metric.check_for(targets).map_err(|error| usage(&error)))?;
    let CallbackConfig { early_stopping, reduce_lr } = callbacks;
    let early_stopping = early_stopping.iter().map(|config| &config.monitor);
    let reduce_lr = reduce_lr.iter().map(|config| &config.monitor);
    let mut watched = early_stopping.chain(reduce_lr).chain(&checkpoints.monitor);
    watched.try_for_each(|monitor| monitor.check_for(targets).map_err(|error| usage(&error)))
}

/// Returns the data as the network of another run takes it, its classes matched with the network's. A network
/// whose classes have no names gets those of the data.
pub(super) fn for_network(
    path: &str,
    config: &RunConfig,
    data: data::Loaded,
) -> anyhow::Result<data::Loaded> {
    let (takes, found) = (&config.network.input_shape, data.train.sample_shape());
    anyhow::ensure!(
        takes[..] == *found || takes[..] == [found.iter().product::<usize>()],
        "the network of {path} takes samples of shape {takes:?}, found samples of {found:?}: choose data \
         of its shape",
    );
    load_data::same_features(config.data.features, data.train.feature_kind())
        .with_context(|| format!("the network of {path}"))?;
    let (predicts, found) = (config.data.targets, data.train.target_kind());
    anyhow::ensure!(
        predicts == found,
        "the network of {path} predicts {predicts}, found data whose targets are {found}: choose data of its kind",
    );
    if !found.is_class() {
        return Ok(data);
    }
    let network = load_data::names_of(&config.data);
    let names = data::ClassNames::new(data.train.classes(), Some(&data.source));
    let (outputs, found) = (config.data.classes.len(), data.train.classes().len());
    anyhow::ensure!(
        outputs == found || !(network.is_numbered() || names.is_numbered()),
        "the network of {path} has {outputs} classes, found data of {found}: choose data of the same number",
    );
    if network.is_numbered() {
        return Ok(data);
    }
    let data = data.for_network(network).with_context(|| format!("the network of {path}"))?;
    load_data::note(&data.notes);
    Ok(data)
}

/// Opens an existing run to resume it; returns `None` if it is finished. Options that define the run must have the
/// values that it began with.
pub(super) fn resume(
    args: &Args,
    path: &Path,
    timing: Option<&mut Timing>,
) -> anyhow::Result<Option<Job>> {
    let mut run = Run::resume(path)?;
    args.check_files()?;
    let began = run.config().clone();
    let device = args.device(Some(&began))?;
    let fit = args.fit.for_targets(args.fit(Some(&began), device)?, began.data.targets)?;
    let base = (&began.callbacks, &began.checkpoints);
    let (callbacks, checkpoints) = args.callbacks.over(base, &fit)?;
    check_metrics(&fit, &callbacks, &checkpoints, began.data.targets)?;
    let network = fit.loss.with_output(args.network()?.over_spec(&began.network)?);
    let fit = fit.resolved(&network, device);
    let mut config = RunConfig {
        device: device::name(device),
        data: DataConfig { stream: args.stream(Some(&began)), ..began.data.clone() },
        fit,
        callbacks,
        checkpoints,
        network,
        ..began.clone()
    };
    // Before the data is read: a wrong option is reported at once.
    run.check_config(&config)?;
    let mut data = resolve(args, Some(&began), timing)?;
    output_files::check_not_read(&args.files(), &data.source)?;
    if let (data::Request::Auto, Some(source)) = (args.data.request(), &began.data.source) {
        source.check_same(&data.source)?;
        data.source.arrays = source.arrays.clone();
    }
    let data = data.as_trained(&began.data.classes, began.data.source.as_ref())?;
    config.data = DataConfig::of(&data);
    run.check_config(&config)?;
    device::require(device)?;
    let mut model = Sequential::from_spec(config.network.clone(), device, config.fit.seed)?;
    let snapshot = newest_that_fits(&run, &mut model, &data, &config.fit)?;
    let Some(snapshot) = snapshot else {
        if run.result().is_some() {
            return Err(RunError::NothingToGoOnFrom(path.to_owned()).into());
        }
        print_status("note: there is no checkpoint yet, so the run starts over");
        if let Some(origin) = &run.config().origin {
            model.load_safetensors(&origin.read()?)?;
        }
        return Ok(Some(Job {
            run,
            data,
            model,
            snapshot: None,
            failures: Vec::new(),
            trial: None,
        }));
    };
    let state = &snapshot.state;
    if config.fit.epochs < state.epoch + usize::from(state.batch > 0) {
        let found = config.fit.epochs;
        let done = match state.batch {
            0 => counted(state.epoch, "epoch"),
            1 => format!("{} and 1 batch", counted(state.epoch, "epoch")),
            batch => format!("{} and {batch} batches", counted(state.epoch, "epoch")),
        };
        return Err(RunError::TooFewEpochs { path: path.to_owned(), done, found }.into());
    }
    let result = run.result().filter(|result| {
        let ended = state.stopped || state.epoch >= config.fit.epochs;
        let same = (result.epochs, result.batch) == (state.epoch, state.batch);
        ended && same && run.load_model(Device::Cpu).is_ok()
    });
    if let Some(result) = result {
        let (epochs, stopped) = (state.epoch, state.stopped);
        // A killed process may have left it beside its final place.
        let run = run.settle()?;
        if !args.quiet {
            let path = run.path().display();
            print_status(match result.ended_by.filter(|_| stopped) {
                Some(why) => {
                    format!(
                        "{path} is finished, ended by {why}: a higher --epochs does not continue it"
                    )
                }
                None if run.config().fit.depends_on_length() => {
                    let epochs = counted(epochs, "epoch");
                    format!(
                        "{path} is finished after {epochs}, and its schedule or augmentation ends there: a higher \
                         --epochs is another training, which --init-from {} may begin with its weights",
                        quoted(run.path())
                    )
                }
                None => {
                    let epochs = counted(epochs, "epoch");
                    format!("{path} is finished after {epochs}: a higher --epochs continues it")
                }
            });
        }
        return Ok(None);
    }
    let now = seqfit::libtorch::version();
    if began.versions.libtorch != now {
        print_status(format_args!(
            "note: the run began with libtorch {}, and resumes with {now}: its weights may differ in \
             their last bits",
            began.versions.libtorch
        ));
    }
    let mut failures = Vec::new();
    match run.set_config(config) {
        // On a full disk training continues in memory.
        Err(RunError::Write(error)) if error.lacks_room() => {
            print_status(format_args!("warning: {error}; training continues"));
            failures.push(error.to_string());
        }
        set => set?,
    }
    Ok(Some(Job { run, data, model, snapshot: Some(snapshot), failures, trial: None }))
}

/// Returns the newest snapshot that the run can resume from; those that are put aside are reported.
fn newest_that_fits(
    run: &Run,
    model: &mut Sequential,
    data: &data::Loaded,
    fit: &FitConfig,
) -> anyhow::Result<Option<Arc<Snapshot>>> {
    let mut callbacks = RunCallbacks::new(run)?;
    let (found, aside) = run.newest_that_fits::<anyhow::Error>(|snapshot| {
        match model.check_snapshot(snapshot, &data.train, fit, &mut callbacks.callbacks()) {
            Err(TrainError::Snapshot(problem)) => Ok(Err(problem)),
            checked => Ok(Ok(checked?)),
        }
    })?;
    for damaged in aside {
        let (path, problem) = (damaged.path.display(), damaged.problem);
        print_status(format_args!("warning: {path} is put aside, it cannot be used: {problem}"));
    }
    Ok(found.map(|found| found.checkpoint.snapshot))
}

fn resolve(
    args: &Args,
    resumed: Option<&RunConfig>,
    mut timing: Option<&mut Timing>,
) -> anyhow::Result<data::Loaded> {
    timing.iter_mut().for_each(|timing| timing.mark("options"));
    let data = load_data::asked(&args.request(resumed)?, args.stream(resumed), args.quiet)?;
    timing.iter_mut().for_each(|timing| timing.mark("data: read, unpacked and checked"));
    Ok(data)
}

/// Returns a path such as `runs/mnist-20261124-031330`.
fn default_path(dataset: &str, created: &str) -> PathBuf {
    let digits: String = created.chars().filter(char::is_ascii_digit).collect();
    let (day, time) = digits.split_at(digits.len().min(8));
    // A folder's name may contain anything; a run's name contains only what needs no quoting in a shell.
    let name: String = dataset
        .chars()
        .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' })
        .collect();
    Path::new(RUNS).join(format!("{name}-{day}-{time}"))
}

/// Returns the path of a folder with this name and the current time, for runs without a data set yet.
pub(super) fn stamped(name: &str) -> PathBuf {
    default_path(name, &RunConfig::timestamp())
}
