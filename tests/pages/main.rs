//! Tests of what people look at: reports, the server and its page, TensorBoard.

#[path = "../common/mod.rs"]
mod common;

mod report;
mod report_browser;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "serve")]
mod serve_arrays;
#[cfg(feature = "serve")]
mod serve_browser;
mod tensorboard;
