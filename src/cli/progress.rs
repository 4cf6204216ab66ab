//! Progress output on stderr: bars on a terminal, plain lines elsewhere. No other module draws bars.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use seqfit::callback::{
    BatchInfo, Callback, CallbackError, Ending, Flow, Plan, Rollback, Training,
};
use seqfit::text::four_decimals;
use seqfit::{EpochRecord, OnNan, data};
use serde::Serialize;

use super::braille_chart::{self, Curve};
use super::output::{self, StdoutError, print_status};
use super::progress_bar;

/// Prints one line per epoch, and shows a bar during the epoch if stderr is a terminal.
///
/// With `plot` it draws the curves so far above the bar, if they fit, and at the end.
#[derive(Default)]
pub struct Progress {
    plot: bool,
    plan: Option<Plan>,
    bar: Option<ProgressBar>,
    records: Vec<EpochRecord>,
    epochs_done: usize,
    started: Option<Instant>,
}

impl Progress {
    /// Creates the callback, with curves if `plot` is set.
    pub fn new(plot: bool) -> Self {
        Self { plot, ..Self::default() }
    }

    /// Draws the curves of the finished epochs, side by side if there is room for both. Returns `None` if there
    /// is no room even for one.
    fn curves(&self, columns: usize) -> Option<String> {
        let epoch = |record: &EpochRecord| record.epoch as f64;
        let curve = |name, color, of: fn(&EpochRecord) -> Option<f64>| Curve {
            name,
            color,
            points: self.records.iter().filter_map(|r| Some((epoch(r), of(r)?))).collect(),
        };
        // Distinguishable with red-green color blindness, too (Okabe and Ito).
        let (training, validation) = ((0, 114, 178), (230, 159, 0));
        let colored = console::colors_enabled_stderr();
        let chart =
            |curves: &[Curve]| braille_chart::chart(curves, |epoch| format!("{epoch:.0}"), colored);
        let loss = chart(&[
            curve("loss", training, |record| Some(record.loss)),
            curve("val_loss", validation, |record| record.val_loss),
        ])?;
        let accuracy = chart(&[
            curve("accuracy", training, |record| record.accuracy),
            curve("val_accuracy", validation, |record| record.val_accuracy),
        ]);
        match accuracy {
            Some(accuracy) if columns > 2 * braille_chart::WIDTH => Some(beside(&loss, &accuracy)),
            _ => (columns > braille_chart::WIDTH).then_some(loss),
        }
    }
}

/// Puts two texts side by side.
fn beside(left: &str, right: &str) -> String {
    let lines: Vec<String> = left
        .lines()
        .zip(right.lines())
        .map(|(left, right)| {
            let gap = braille_chart::WIDTH.saturating_sub(console::measure_text_width(left));
            format!("{left}{} {right}", " ".repeat(gap))
        })
        .collect();
    lines.join("\n")
}

impl Callback for Progress {
    fn on_train_begin(
        &mut self,
        training: &mut Training,
        plan: &Plan,
    ) -> Result<(), CallbackError> {
        self.plan = Some(plan.clone());
        self.records = training.history().epochs.clone();
        self.started = Some(Instant::now());
        Ok(())
    }

    fn on_epoch_begin(&mut self, epoch: usize) -> Result<(), CallbackError> {
        let Some(plan) = self.plan.as_ref().filter(|_| std::io::stderr().is_terminal()) else {
            return Ok(());
        };
        let columns = console::Term::stderr().size().1.into();
        let curves = if self.plot { self.curves(columns) } else { None };
        let template = "{prefix} {bar:30} {percent:>3} %  {per_sec}  {eta} left";
        let style = ProgressStyle::with_template(&match curves {
            Some(_) => format!("{{msg}}\n{template}"),
            None => template.to_owned(),
        })?;
        let style = style.with_key(
            "per_sec",
            |state: &indicatif::ProgressState, w: &mut dyn std::fmt::Write| {
                let _ = write!(w, "{:.0} samples/s", state.per_sec());
            },
        );
        let bar = ProgressBar::with_draw_target(
            Some(plan.samples as u64),
            ProgressDrawTarget::stderr_with_hz(10),
        );
        bar.set_style(style);
        bar.set_prefix(format!("epoch {epoch:>2}/{}", plan.epochs));
        bar.set_message(curves.unwrap_or_default());
        progress_bar::show(&bar);
        self.bar = Some(bar);
        Ok(())
    }

    fn on_batch_end(&mut self, _: &mut Training, batch: &BatchInfo) -> Result<Flow, CallbackError> {
        if let (Some(bar), Some(plan)) = (&self.bar, &self.plan) {
            // Counted in batches: a resumed epoch may start in its middle.
            bar.set_position((plan.samples * batch.batch / plan.batches) as u64);
        }
        Ok(Flow::Continue)
    }

    fn on_rollback(&mut self, rollback: &Rollback) -> Result<(), CallbackError> {
        self.records.truncate(rollback.epoch - 1);
        progress_bar::clear();
        let Rollback { epoch, batch, learning_rate, rollbacks } = rollback;
        let batch = batch.map(|batch| format!(" in batch {batch}")).unwrap_or_default();
        print_status(format_args!(
            "epoch {epoch} diverged{batch} and begins again with learning rate {learning_rate:?}, \
             rollback {rollbacks} of {}",
            OnNan::ROLLBACKS
        ));
        Ok(())
    }

    fn on_notice(&mut self, notice: &str) -> Result<(), CallbackError> {
        print_status(notice);
        Ok(())
    }

    fn on_train_end(&mut self, _: &mut Training, _: Ending) -> Result<(), CallbackError> {
        progress_bar::clear();
        // Without a terminal there is no limit on the width.
        let columns = match std::io::stderr().is_terminal() {
            true => console::Term::stderr().size().1.into(),
            false => usize::MAX,
        };
        if let Some(curves) = self.curves(columns).filter(|_| self.plot) {
            print_status(curves);
        }
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        _: &mut Training,
        record: &EpochRecord,
    ) -> Result<Flow, CallbackError> {
        progress_bar::clear();
        self.records.push(record.clone());
        self.epochs_done += 1;
        if let (Some(plan), Some(started)) = (&self.plan, self.started) {
            let each = started.elapsed().as_secs_f64() / self.epochs_done as f64;
            print_status(line(plan, record, each * (plan.epochs - record.epoch) as f64));
        }
        Ok(Flow::Continue)
    }
}

/// Formats the line for an epoch; `left` is in seconds.
fn line(plan: &Plan, record: &EpochRecord, left: f64) -> String {
    let width = plan.epochs.to_string().len();
    let mut line = format!("epoch {:>width$}/{}", record.epoch, plan.epochs);
    for (name, value) in record.values() {
        line += &format!("  {name} {}", four_decimals(value));
    }
    line += &format!("  {:.0} samples/s", record.samples_per_second);
    if record.epoch < plan.epochs {
        // The conversion saturates if the number of seconds is too large.
        let left = Duration::from_secs(left.round() as u64);
        line += &format!("  {:#} left", HumanDuration(left));
    }
    line
}

/// Prints one JSON object per epoch on stdout. If stdout can no longer be written, the training continues, and
/// the error is reported at its end.
#[derive(Default)]
pub struct JsonLines {
    failed: Option<StdoutError>,
}

impl JsonLines {
    /// Returns the error that occurred, unless the reader has just closed the pipe.
    pub fn finish(self) -> Result<(), StdoutError> {
        match self.failed {
            Some(error) if !error.is_closed_pipe() => Err(error),
            _ => Ok(()),
        }
    }

    /// Prints a line of JSON, unless an earlier one failed.
    pub fn write(&mut self, value: &impl Serialize) -> serde_json::Result<()> {
        if self.failed.is_none() {
            let line = serde_json::to_string(value)?;
            self.failed = output::print(&format!("{line}\n")).err();
        }
        Ok(())
    }
}

impl Callback for JsonLines {
    fn on_epoch_end(
        &mut self,
        _: &mut Training,
        record: &EpochRecord,
    ) -> Result<Flow, CallbackError> {
        self.write(record)?;
        Ok(Flow::Continue)
    }
}

/// Formats a number of bytes for people: "67.5 GiB".
pub fn bytes(n: u64) -> String {
    HumanBytes(n).to_string()
}

/// Runs work that may download, with a bar for each file, or with lines where there is no terminal.
pub fn with_downloads<T, E>(
    quiet: bool,
    work: impl FnOnce(&mut dyn FnMut(data::Progress)) -> Result<T, E>,
) -> Result<T, E> {
    let terminal = std::io::stderr().is_terminal();
    let mut current: Option<(String, ProgressBar)> = None;
    let result = work(&mut |update: data::Progress| {
        if quiet {
            return;
        }
        if current.as_ref().is_none_or(|(file, _)| *file != update.file) {
            if let Some((_, bar)) = current.take() {
                bar.finish_and_clear();
            }
            let bar = ProgressBar::with_draw_target(
                Some(update.total),
                if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
            );
            if let Ok(style) = ProgressStyle::with_template(
                "{prefix} {bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left",
            ) {
                bar.set_style(style);
            }
            bar.set_prefix(update.file.clone());
            if !terminal {
                print_status(format_args!("fetching {} ({})", update.file, bytes(update.total)));
            }
            current = Some((update.file.clone(), bar));
        }
        if let Some((_, bar)) = &current {
            bar.set_position(update.done);
        }
    });
    if let Some((_, bar)) = current {
        bar.finish_and_clear();
    }
    result
}

/// Runs work that has many parts, with a bar for them; prints nothing where there is no terminal.
pub fn with_bar<T>(what: &'static str, work: impl FnOnce(&mut dyn FnMut(usize, usize)) -> T) -> T {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len}  {eta} left") {
        bar.set_style(style);
    }
    bar.set_prefix(what);
    let result = work(&mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    result
}

/// Prints a warning in a frame, so that it is not overlooked.
pub fn notice(text: &str) {
    const WIDTH: usize = 76;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if lines[last].chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(String::new());
        }
        let last = lines.len() - 1;
        if !lines[last].is_empty() {
            lines[last].push(' ');
        }
        lines[last].push_str(word);
    }
    let bar = "*".repeat(WIDTH + 4);
    print_status(&bar);
    for line in lines {
        let padding = " ".repeat(WIDTH.saturating_sub(line.chars().count()));
        print_status(format_args!("* {line}{padding} *"));
    }
    print_status(&bar);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_one_line() {
        let plan = Plan {
            epochs: 10,
            batches: 2,
            samples: 40,
            validation_samples: 5,
            targets: data::TargetKind::Class,
            metrics: Vec::new(),
        };
        let mut record = EpochRecord {
            epoch: 1,
            loss: 0.25,
            accuracy: Some(0.5),
            val_loss: None,
            val_accuracy: None,
            metrics: Default::default(),
            learning_rate: 1e-3,
            seconds: 1.0,
            samples_per_second: 40.0,
        };
        assert_eq!(
            line(&plan, &record, 9.2),
            "epoch  1/10  loss 0.2500  accuracy 0.5000  40 samples/s  9s left"
        );
        let metrics = [("val_f1_macro".to_owned(), 0.25)].into();
        record = EpochRecord {
            epoch: 10,
            val_loss: Some(1.0),
            val_accuracy: Some(0.1),
            metrics,
            ..record
        };
        assert_eq!(
            line(&plan, &record, 0.0),
            "epoch 10/10  loss 0.2500  accuracy 0.5000  val_loss 1.0000  val_accuracy 0.1000  \
             val_f1_macro 0.2500  40 samples/s"
        );
    }
}
