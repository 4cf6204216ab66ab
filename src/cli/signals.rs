//! The signals that ask a process to stop cleanly; a second one ends it at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

const SIGNALS: [(i32, &str); 3] = [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM"), (SIGHUP, "SIGHUP")];

/// The signal that was received, if any; the code that does the work polls it.
#[derive(Clone)]
pub struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// Starts watching for signals.
    pub fn watch() -> io::Result<Self> {
        let (signal, again) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let ignored = ignored_signals();
        for (number, _) in SIGNALS {
            // nohup and background shells set signals to be ignored.
            if ignored & 1 << (number - 1) != 0 {
                continue;
            }
            // In this order: the first signal finds `again` unset, and sets it.
            flag::register_conditional_default(number, Arc::clone(&again))?;
            flag::register(number, Arc::clone(&again))?;
            flag::register_usize(number, Arc::clone(&signal), number as usize)?;
        }
        Ok(Self(signal))
    }

    /// Returns the number and name of the received signal, if any.
    pub fn first(&self) -> Option<(i32, &'static str)> {
        let found = self.0.load(Ordering::Relaxed);
        SIGNALS.into_iter().find(|&(number, _)| number as usize == found)
    }
}

/// Returns the signals that this process was started to ignore, one bit each starting with signal 1; 0 if the
/// system does not report them.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
