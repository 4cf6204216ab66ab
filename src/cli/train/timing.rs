//! Measures where the time of a training goes: consecutive phases that add up to the total.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use seqfit::EpochRecord;
use seqfit::callback::{BatchInfo, Callback, CallbackError, Ending, Flow, Plan, Training};

/// Measures phases, starting with the start of the process.
pub struct Timing {
    phases: Vec<(&'static str, Duration)>,
    last: Instant,
    validates: bool,
}

/// Returns how long this process has run, to a hundredth of a second; `None` if the system does not report it.
fn since_start() -> Option<Duration> {
    // Linux counts both in hundredths of a second since the machine was started.
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name before it may contain anything, including spaces and parentheses.
    let fields = stat.rsplit_once(')')?.1;
    let started: f64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let now: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(now - started / 100.0).ok()
}

impl Timing {
    /// Starts with the time that has passed until now as the first phase.
    pub fn begin() -> Self {
        let started = since_start().unwrap_or_default();
        let phases = vec![("start: libtorch loads", started)];
        Self { phases, last: Instant::now(), validates: false }
    }

    /// Adds the time since the last call to this phase.
    pub fn mark(&mut self, phase: &'static str) {
        let now = Instant::now();
        let passed = now - self.last;
        self.last = now;
        match self.phases.iter_mut().find(|(name, _)| *name == phase) {
            Some((_, time)) => *time += passed,
            None => self.phases.push((phase, passed)),
        }
    }

    /// Returns a table with one line per phase: seconds, and percentage of the total.
    pub fn table(&self) -> String {
        let whole: Duration = self.phases.iter().map(|(_, time)| *time).sum();
        let mut table = String::new();
        for (name, time) in self.phases.iter().chain(&[("all", whole)]) {
            let percent = 100.0 * time.as_secs_f64() / whole.as_secs_f64();
            // Writing to a String cannot fail.
            let _ = writeln!(table, "{name:<40} {:>9.3} s  {percent:>5.1} %", time.as_secs_f64());
        }
        table.truncate(table.trim_end().len());
        table
    }
}

impl Callback for Timing {
    fn on_train_begin(&mut self, _: &mut Training, plan: &Plan) -> Result<(), CallbackError> {
        self.validates = plan.validation_samples > 0;
        self.mark("network, run folder and buffers");
        Ok(())
    }

    fn on_epoch_begin(&mut self, _: usize) -> Result<(), CallbackError> {
        self.mark("checkpoints: in the training thread");
        Ok(())
    }

    fn on_batch_end(&mut self, _: &mut Training, _: &BatchInfo) -> Result<Flow, CallbackError> {
        self.mark("training");
        Ok(Flow::Continue)
    }

    fn on_epoch_end(&mut self, _: &mut Training, _: &EpochRecord) -> Result<Flow, CallbackError> {
        self.mark(if self.validates { "validation" } else { "training" });
        Ok(Flow::Continue)
    }

    fn on_train_end(&mut self, _: &mut Training, _: Ending) -> Result<(), CallbackError> {
        self.mark("checkpoints: in the training thread");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_add_up() {
        let mut timing = Timing::begin();
        for phase in ["a", "b", "a"] {
            std::thread::sleep(Duration::from_millis(2));
            timing.mark(phase);
        }
        let names: Vec<&str> = timing.phases.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["start: libtorch loads", "a", "b"]);
        assert!(timing.phases[1].1 >= Duration::from_millis(4));
        let table = timing.table();
        assert_eq!(table.lines().count(), 4);
        assert!(table.ends_with("100.0 %"), "{table}");
        let seconds = |line: &str| line.split_whitespace().rev().nth(3).unwrap().parse::<f64>();
        let all: Vec<f64> = table.lines().map(|line| seconds(line).unwrap()).collect();
        assert!((all[..3].iter().sum::<f64>() - all[3]).abs() < 0.002, "{table}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn process_start_lies_in_the_recent_past() {
        let since = since_start().unwrap();
        assert!(since < Duration::from_secs(3600), "{since:?}");
    }
}
