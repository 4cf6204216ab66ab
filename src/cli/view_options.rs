//! Test-time augmentation: the options of evaluate and predict.

use clap::{Args, ValueEnum};
use seqfit::{Sequential, Views};

use super::output::Usage;

/// Selects the views of each picture that are averaged.
#[derive(Clone, Debug, Args)]
pub struct ViewOptions {
    /// Test-time augmentation: average the outputs for each picture and its mirror image (flip), for shifts by one
    /// pixel (shift), or flip,shift for all of these. Mirrored digits are other signs
    #[arg(long, value_name = "KIND,…", value_delimiter = ',', value_enum)]
    tta: Vec<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Kind {
    Flip,
    Shift,
}

impl ViewOptions {
    /// Sets the views of a network.
    ///
    /// # Errors
    /// A network that does not take pictures.
    pub fn set(&self, model: &mut Sequential) -> Result<(), Usage> {
        let has = |kind| self.tta.contains(&kind);
        let views = Views { flip: has(Kind::Flip), shift: has(Kind::Shift) };
        model.set_views(views).map_err(|error| Usage(format!("--tta: {error}")))
    }
}
