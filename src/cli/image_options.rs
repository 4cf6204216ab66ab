//! The options that select how pictures become images, and the notes about it.

use clap::Args;
use clap::builder::TypedValueParser;
use seqfit::data::images::ImageProblem;
use seqfit::data::{PictureShape, Preparation};
use seqfit::run::{DataConfig, Run, RunConfig};

use super::output::Usage;
use super::parse_values::one_of;

/// Parses the name of a [`Preparation`].
pub fn preparation() -> impl TypedValueParser<Value = Preparation> {
    one_of(Preparation::ALL.map(Preparation::as_str))
}

/// Selects how the pictures to classify become images.
#[derive(Debug, Args)]
pub struct PrepareOptions {
    /// How pictures become images: raw (of the network's size, taken unchanged), digit (one sign, found,
    /// cropped and centered, bright on black), resize (the whole picture, scaled), crop (its middle, scaled) or
    /// letterbox (scaled in its proportions, on black) [default: as the run's data were prepared]
    #[arg(long, value_name = "KIND", value_parser = preparation(), hide_possible_values = true)]
    prepare: Option<Preparation>,
    /// The same as --prepare raw
    #[arg(long, conflicts_with = "prepare")]
    raw: bool,
}

impl PrepareOptions {
    /// Returns the chosen preparation, by default that of the run's data, and the note about it, if there is one.
    pub fn of(&self, run: &Run) -> Result<(Preparation, Option<String>), Usage> {
        let RunConfig { data, network, .. } = run.config();
        let pictures = PictureShape::of(&network.input_shape).filter(|_| data.features.is_pixels());
        if let Some(PictureShape { color, .. }) = pictures {
            let preparation = self.chosen().unwrap_or_else(|| data.preparation());
            if color && preparation == Preparation::Digit {
                return Err(Usage(ImageProblem::DigitInColor.to_string()));
            }
            return Ok((preparation, self.note(data, color)));
        }
        match self.chosen() {
            None => Ok((Preparation::Raw, None)),
            Some(_) => Err(Usage(format!(
                "--prepare and --raw are for networks that take pictures, and that of {} takes {} of shape {:?}: leave \
                 them out",
                run.path().display(),
                data.features,
                network.input_shape
            ))),
        }
    }

    /// Returns the note about the preparation that follows from the run's data; `None` if it was chosen.
    fn note(&self, data: &DataConfig, color: bool) -> Option<String> {
        if self.chosen().is_some() {
            return None;
        }
        let (done, others) = described(data.preparation(), color);
        let why = match data.is_preparation_known() {
            true => "as the run's data were",
            false => "because the run does not record how its data were prepared",
        };
        Some(format!("note: pictures are {done}, {why} (--prepare {others} changes that)"))
    }

    /// Returns the option's value, `--raw` included.
    fn chosen(&self) -> Option<Preparation> {
        self.prepare.or(self.raw.then_some(Preparation::Raw))
    }
}

/// Returns the note about what `data pack` does where nothing was chosen.
pub fn pack_note(preparation: Preparation) -> String {
    let (done, others) = described(preparation, false);
    let why = match preparation {
        Preparation::Raw => ", because they have the size of the images already",
        Preparation::Digit => "",
        _ => ", which suits pictures of all kinds",
    };
    format!("note: pictures are {done}{why} (--prepare {others} changes that)")
}

/// Returns what is done to pictures, and the other values of `--prepare` that there are for such images.
fn described(preparation: Preparation, color: bool) -> (&'static str, String) {
    let suits = |other: &Preparation| match other {
        Preparation::Digit => !color,
        Preparation::Crop | Preparation::Letterbox => color,
        _ => true,
    };
    let others = Preparation::ALL.into_iter().filter(|other| *other != preparation && suits(other));
    (preparation.in_words(), others.map(Preparation::as_str).collect::<Vec<_>>().join("|"))
}
