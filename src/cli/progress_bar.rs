//! The progress bar on the screen: lines printed while it is shown go above it.

use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;

static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn shown() -> std::sync::MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Registers `bar` as the one on the screen.
pub fn show(bar: &ProgressBar) {
    *shown() = Some(bar.clone());
}

/// Removes the bar from the screen.
pub fn clear() {
    if let Some(bar) = shown().take() {
        bar.finish_and_clear();
    }
}

/// Hides the bar while `work` writes to the screen.
pub fn aside<T>(work: impl FnOnce() -> T) -> T {
    // The lock keeps others from drawing in the meantime.
    match &*shown() {
        Some(bar) => bar.suspend(work),
        None => work(),
    }
}
