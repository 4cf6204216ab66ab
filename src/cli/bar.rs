//! The bar that is on the screen: lines that are told meanwhile go above it.

use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;

static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn shown() -> std::sync::MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says that `bar` is on the screen from here on.
pub fn show(bar: &ProgressBar) {
    *shown() = Some(bar.clone());
}

/// Takes it off the screen.
pub fn clear() {
    if let Some(bar) = shown().take() {
        bar.finish_and_clear();
    }
}

/// Does something to the screen that the bar must not be in the way of.
pub fn aside<T>(work: impl FnOnce() -> T) -> T {
    // Nobody else draws meanwhile.
    match &*shown() {
        Some(bar) => bar.suspend(work),
        None => work(),
    }
}
