//! `seqfit train`: data → network → fit → test metrics → run folder; or resumes an existing run.

mod args;
mod callback_options;
mod fit_options;
mod interruption;
mod job;
mod optimizer_options;
mod other_ranks;
mod read_settings;
mod seeds;
mod start_run;
mod timing;
mod trial_runs;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use seqfit::callback::{Callback, CsvLogger, EarlyStopping};
use seqfit::group::broadcast_object;
use seqfit::report::TensorBoard;
use seqfit::run::{self, Figures, ModelCheckpoint, Run, RunResult};
use seqfit::{Evaluation, History, Measures, TrainError, data};
use serde::Serialize;

use super::confusion_matrix;
use super::distributed::Ranks;
use super::load_data;
use super::output::{self, print_status, quoted, samples_word};
use super::progress::{JsonLines, Progress};
use super::report;
use interruption::Interruption;
use job::{Job, RunCallbacks};
use other_ranks::Plan;
use timing::Timing;

pub use args::Args;
pub use fit_options::{FitOptions, check_fits, over};
pub use read_settings::load_recipe;

/// Runs `seqfit train`.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(seeds) = args.seeds {
        return seeds::run(args, seeds);
    }
    args.ranks.meet()?.together(|ranks| match ranks.is_first() {
        true => run_rank0(args, ranks),
        false => other_ranks::follow(args, ranks),
    })
}

/// Runs the training on rank 0, the process that writes and prints.
fn run_rank0(args: &Args, ranks: &Ranks) -> anyhow::Result<ExitCode> {
    let mut timing = args.timing.then(Timing::begin);
    let deadline = args.max_time.and_then(|time| Instant::now().checked_add(time));
    let job = match &args.resume {
        None => start_run::begin(args, timing.as_mut())?,
        Some(path) => match start_run::resume(args, path, timing.as_mut())? {
            Some(job) => job,
            None => {
                broadcast_object(ranks.group(), Plan::Nothing)?;
                return Ok(ExitCode::SUCCESS);
            }
        },
    };
    broadcast_object(ranks.group(), Plan::Train(Box::new(job.run.config().clone())))?;
    if !args.quiet && !args.json {
        let data::Loaded { train, test, source, .. } = &job.data;
        let name = &source.name;
        let what = samples_word(train);
        print_status(format_args!(
            "{name}: {} training and {} test {what}",
            train.len(),
            test.len()
        ));
        let targets = train.target_kind().counted(train.target_names().len());
        print_status(format_args!("task: {targets}"));
        print_status(job.model.summary());
        if let size @ 2.. = ranks.group().size() {
            print_status(format_args!("{size} ranks train together"));
        }
    }
    if let Some(snapshot) = job.snapshot.as_deref().filter(|_| !args.quiet) {
        print_status(format_args!("resuming at {}", snapshot.place()));
    }
    let place = Place::of(&job, args.resume.is_none());
    let code = Interruption::watch(deadline)
        .map_err(anyhow::Error::from)
        .and_then(|interruption| job.train(args, ranks, interruption, &mut timing))
        .map_err(|error| place.after_failure(error))?;
    if let Some(mut timing) = timing {
        timing.mark("the rest");
        print_status(timing.table());
        ranks.exchanged().into_iter().for_each(print_status);
    }
    Ok(code)
}

/// Where a run is, for when its training fails.
struct Place {
    path: PathBuf,
    /// The run that it was to replace.
    replaced: Option<PathBuf>,
    /// Whether this process made the folder.
    is_new: bool,
}

impl Place {
    fn of(job: &Job, is_new: bool) -> Self {
        let replaced = job.run.replaced().map(Path::to_owned);
        Self { path: job.run.path().to_owned(), replaced, is_new }
    }

    /// Leaves nothing of a run that did not begin. Says where the rest of another one is, which the next --force does
    /// not replace: it may be continued.
    fn after_failure(self, error: anyhow::Error) -> anyhow::Error {
        let Self { path, replaced, is_new } = self;
        let is_gone = is_new && Run::remove_unused(&path) || !path.exists();
        match replaced {
            Some(replaced) if !is_gone => {
                let (old, new) = (replaced.display(), path.display());
                let message = format!(
                    "{}; {old} is as it was, and what was trained stays in {new}: delete that folder, or continue with \
                     seqfit train --resume {}",
                    output::chain(&error),
                    quoted(&path)
                );
                error.context(message)
            }
            _ => error,
        }
    }
}

impl Job {
    fn train(
        mut self,
        args: &Args,
        ranks: &Ranks,
        mut interruption: Interruption,
        timing: &mut Option<Timing>,
    ) -> anyhow::Result<ExitCode> {
        let config = self.run.config().clone();
        if let Some(csv) = &args.csv {
            // Of the run that is replaced, too.
            self.run.check_output(csv)?;
            // Report a path that cannot be written before training starts.
            CsvLogger::check(csv)?;
        }
        let mut own = RunCallbacks::new(&self.run)?;
        let tables = [Some(self.run.path().join(run::HISTORY)), args.csv.clone()];
        let mut tables: Vec<CsvLogger> = tables.into_iter().flatten().map(CsvLogger::new).collect();
        let events = args.tensorboard.as_ref();
        let mut events = events.map(|folder| {
            TensorBoard::new(folder.clone().unwrap_or_else(|| self.run.path().join(run::EVENTS)))
        });
        let mut bars = (!args.quiet).then(|| Progress::new(args.plot));
        let mut lines = args.json.then(JsonLines::default);
        let mut callbacks: Vec<&mut dyn Callback> = Vec::new();
        // Checkpoints first: an epoch is reported when the previous one is on disk.
        callbacks.extend(own.callbacks());
        callbacks.extend(tables.iter_mut().map(|c| c as &mut dyn Callback));
        callbacks.extend(events.as_mut().map(|c| c as &mut dyn Callback));
        callbacks.extend(bars.as_mut().map(|c| c as &mut dyn Callback));
        callbacks.extend(lines.as_mut().map(|c| c as &mut dyn Callback));
        callbacks.push(&mut interruption);
        callbacks.extend(timing.as_mut().map(|c| c as &mut dyn Callback));
        let started = Instant::now();
        let before = self.snapshot.as_ref().map_or(0.0, |snapshot| snapshot.state.seconds);
        let (group, snapshot) = (ranks.group(), self.snapshot.as_deref());
        let fit = args.for_this_machine(config.fit);
        other_ranks::agree_on_test(group, &self.data.test)?;
        let trained =
            self.model.resume_distributed(group, snapshot, &self.data.train, &fit, &mut callbacks);
        let seconds = before + started.elapsed().as_secs_f64();
        let RunCallbacks { early_stopping, checkpoints, .. } = own;
        let mut failures = std::mem::take(&mut self.failures);
        failures.extend(
            checkpoints.map(ModelCheckpoint::finish).iter().flatten().map(ToString::to_string),
        );
        let mut mark = |phase| timing.iter_mut().for_each(|timing| timing.mark(phase));
        mark("checkpoints: waiting for the last");
        failures.extend(tables.iter().filter_map(|table| Some(table.failure()?.to_string())));
        failures.extend(events.and_then(|events| Some(events.failure()?.to_string())));
        let history = trained.map_err(|error| self.with_resume_hint(error))?;

        if let Some((number, name)) = interruption.signal().filter(|_| interruption.stopped()) {
            print_status(format_args!("interrupted by {name}; {}", self.resume_hint()));
            whole(&failures)?;
            broadcast_object(group, false)?;
            return Ok(ExitCode::from(128 + number as u8));
        }
        let stopped = early_stopping.as_ref().and_then(EarlyStopping::stopped_epoch);
        let batch = interruption.batch();
        // The weights first: metrics can be computed later.
        self.run.save(&self.model, &history).inspect_err(|_| warn(&failures))?;
        mark("saving and exporting");
        broadcast_object(group, true)?;
        let evaluation = self.test(ranks)?;
        let test = Figures::from(&evaluation);
        for (metric, why) in evaluation.undefined.iter().filter(|_| !args.quiet) {
            print_status(format_args!("note: {metric} has no value on the test set: {why}"));
        }
        let scale = self.data.train.unscaled_features();
        let scale = scale.map(|_| "its features are not scaled, as noted before".to_owned());
        let note = load_data::note_on_r2(&test, scale);
        note.into_iter().filter(|_| !args.quiet).for_each(print_status);
        mark("evaluation");
        let result = RunResult {
            test,
            last_epoch: history.last().cloned(),
            epochs: history.epochs.len(),
            batch,
            seconds,
            restored_epoch: restored_epoch(early_stopping.as_ref(), &history, batch),
            ended_by: match (stopped, interruption.stopped()) {
                (Some(epoch), _) => Some(format!("early stopping in epoch {epoch}")),
                (None, true) => Some("the time of --max-time".to_owned()),
                (None, false) => None,
            },
        };
        let goes_on = interruption.stopped() && stopped.is_none();
        let resume_hint = goes_on.then(|| self.resume_hint());
        if args.plot
            && let Some(table) = confusion_matrix::table(
                &evaluation.confusion,
                self.data.test.classes(),
                console::colors_enabled_stderr(),
            )
        {
            print_status(table);
        }
        let run = self.run.finish(&self.model, &result).inspect_err(|_| warn(&failures))?;
        mark("saving and exporting");
        let verdict = match &self.trial {
            Some(trial) => {
                whole(&failures)?;
                Some(trial.verdict(&run, &self.data.test, &result)? + "\n")
            }
            None => None,
        };
        // An existing report would describe other weights.
        let page = if args.report || report::is_there(run.path()) {
            let written = report::of_trained(&run, &self.model, &self.data);
            mark("report");
            match written {
                Ok(written) => Some(written.page),
                Err(error) => {
                    failures.push(format!("{error:#}"));
                    None
                }
            }
        } else {
            None
        };
        match lines {
            Some(mut lines) => {
                let run = verdict.is_none().then(|| run.path());
                lines.write(&Finished { run, result: &result })?;
                lines.finish()?;
            }
            None if args.quiet => {}
            None => {
                let page = page.as_deref();
                let next = (verdict.is_none() && !goes_on).then_some(&run);
                output::print(&verdict.unwrap_or_else(|| {
                    conclusion(
                        run.path(),
                        &result,
                        samples_word(&self.data.test),
                        page,
                        resume_hint.as_deref(),
                    )
                }))?;
                if let Some(run) = next {
                    match page {
                        None => output::next(format_args!("seqfit report {}", quoted(run.path()))),
                        Some(_) => report::next(&quoted(run.path())),
                    }
                }
            }
        }
        whole(&failures)?;
        // The work is complete, but a process that was sent a signal should not report success.
        let late = interruption.signal().map(|(number, _)| ExitCode::from(128 + number as u8));
        Ok(late.unwrap_or(ExitCode::SUCCESS))
    }

    fn test(&self, ranks: &Ranks) -> anyhow::Result<Evaluation> {
        let fit = &self.run.config().fit;
        let metrics = fit.test_metrics(self.data.test.target_kind());
        let measures = Measures { loss: Some(&fit.loss), metrics: &metrics };
        let evaluation =
            self.model.evaluate_distributed(ranks.group(), &self.data.test, measures)?;
        let cause = || match self.data.train.unscaled_features() {
            Some(unscaled) => format!("{}, or use", unscaled.advice()),
            None => "use".to_owned(),
        };
        anyhow::ensure!(
            evaluation.loss.is_finite(),
            "training diverged: the loss on the test set must be finite, found {}: {} a lower learning rate",
            evaluation.loss,
            cause()
        );
        Ok(evaluation)
    }

    fn resume_hint(&self) -> String {
        match self.run.config().checkpoints.keep {
            0 => "it cannot be resumed, since --keep 0 wrote no checkpoints".to_owned(),
            _ => format!("resume with: seqfit train --resume {}", quoted(self.run.path())),
        }
    }

    /// Adds the last checkpoint to an error in training, which leaves earlier checkpoints in place.
    fn with_resume_hint(&self, error: TrainError) -> anyhow::Error {
        if matches!(error, TrainError::Snapshot(_)) {
            return error.into();
        }
        let kept = run::checkpoints::list(&self.run.checkpoints_path());
        match kept.ok().and_then(|kept| kept.into_iter().next_back()) {
            Some((_, path)) => {
                let kept = path.display();
                let message = format!("{error}; the last good checkpoint is {kept}");
                anyhow::Error::from(error).context(message)
            }
            None => error.into(),
        }
    }
}

/// Prints the failures that occurred before the error that ends the command.
fn warn(failures: &[String]) {
    failures.iter().for_each(|failure| print_status(format_args!("warning: {failure}")));
}

/// Returns an error if files could not be written, for when everything else has succeeded.
fn whole(failures: &[String]) -> anyhow::Result<()> {
    match failures {
        [] => Ok(()),
        [first, rest @ ..] => {
            let more = match rest.len() {
                0 => String::new(),
                n => format!(" (and {n} more)"),
            };
            anyhow::bail!("not everything could be kept: {first}{more}")
        }
    }
}

/// Returns the epoch whose weights early stopping has restored, if it is not the last.
fn restored_epoch(
    early_stopping: Option<&EarlyStopping>,
    history: &History,
    batch: usize,
) -> Option<usize> {
    let early_stopping = early_stopping.filter(|callback| callback.config().restore_best)?;
    let (_, epoch) = early_stopping.best()?;
    (epoch != history.epochs.len() || batch > 0).then_some(epoch)
}

/// The last line of `--json`.
#[derive(Serialize)]
struct Finished<'a> {
    /// `None` for a trial, which keeps nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a Path>,
    result: &'a RunResult,
}

fn conclusion(
    path: &Path,
    result: &RunResult,
    samples: &str,
    page: Option<&Path>,
    resume_hint: Option<&str>,
) -> String {
    let path = path.display();
    let mut lines = Vec::new();
    lines.extend(result.ended_by.as_ref().map(|why| format!("end:  {why}")));
    let weights = |epoch| format!("best: the weights of epoch {epoch}");
    lines.extend(result.restored_epoch.map(weights));
    lines.push(format!("test: {}", result.test.describe(samples)));
    lines.push(format!("run:  {path}"));
    lines.extend(page.map(|page| format!("page: {}", page.display())));
    lines.extend(resume_hint.map(ToOwned::to_owned));
    lines.join("\n") + "\n"
}
