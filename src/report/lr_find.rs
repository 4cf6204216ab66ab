//! The plot of a learning rate test as a file.

use std::path::Path;

use super::ReportError;
use super::plot::{self, Rates};
use crate::train::LrCurve;

/// The kind of a plot's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlotFormat {
    /// Lines and letters, on light paper.
    Svg,
    /// Pixels, two a point each way.
    Png,
}

impl PlotFormat {
    /// The kind that a file's ending names: `.svg` or `.png`.
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "svg" => Some(Self::Svg),
            "png" => Some(Self::Png),
            _ => None,
        }
    }
}

/// The file of a plot of the losses by learning rate, with the rate that they suggest.
///
/// # Errors
/// Something that cannot be drawn.
pub fn lr_plot(curve: &LrCurve, format: PlotFormat) -> Result<Vec<u8>, ReportError> {
    match format {
        PlotFormat::Svg => Ok(plot::svg(&Rates(curve))?.into_bytes()),
        PlotFormat::Png => plot::png(&Rates(curve)),
    }
}
