//! The signals that ask a process to end in good order; the second one ends it at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

const SIGNALS: [(i32, &str); 3] = [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM"), (SIGHUP, "SIGHUP")];

/// Whether one came; whoever works asks now and then.
#[derive(Clone)]
pub struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// Watches from here on.
    pub fn watch() -> io::Result<Self> {
        let (signal, again) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let ignored = ignored_signals();
        for (number, _) in SIGNALS {
            // As nohup and shells in the background want it.
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

    /// The signal that came, if one did: its number and name.
    pub fn first(&self) -> Option<(i32, &'static str)> {
        let found = self.0.load(Ordering::Relaxed);
        SIGNALS.into_iter().find(|&(number, _)| number as usize == found)
    }
}

/// The signals that this process was started to ignore, a bit for each from signal 1 on; none where the
/// system does not tell.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
