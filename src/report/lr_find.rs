//! The plot of a learning rate finder as a file.

use std::path::Path;

use super::ReportError;
use super::plot::{self, Rates};
use crate::train::LrCurve;

/// The file format of a plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlotFormat {
    /// Vector graphics, on a light background.
    Svg,
    /// A bitmap, with two pixels per point in each direction.
    Png,
}

impl PlotFormat {
    /// Returns the format for a file extension, `.svg` or `.png`.
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "svg" => Some(Self::Svg),
            "png" => Some(Self::Png),
            _ => None,
        }
    }
}

/// Returns the contents of a plot file: the loss by learning rate, with the suggested learning rate.
///
/// # Errors
/// A plot that cannot be drawn.
pub fn lr_plot(curve: &LrCurve, format: PlotFormat) -> Result<Vec<u8>, ReportError> {
    match format {
        PlotFormat::Svg => Ok(plot::svg(&Rates(curve))?.into_bytes()),
        PlotFormat::Png => plot::png(&Rates(curve)),
    }
}
