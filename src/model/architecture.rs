//! Networks by the name of their architecture: "mlp", "cnn", "resnet" or "mobile", with sizes.

mod build;
mod cnn;
mod mlp;
mod mobile;
mod resnet;

use std::str::FromStr;

use super::spec::Spec;
use crate::layers::{Activation, Dense, Dropout, Layer, Reshape};
use crate::message_text::similar;
use build::{Build, Sizes};

/// All architectures.
const ALL: [Build; 4] = [mlp::BUILD, cnn::BUILD, resnet::BUILD, mobile::BUILD];

/// The largest value of a size.
const MOST: usize = 1 << 12;

/// An architecture with its sizes, from a text such as "cnn" or "resnet width=32 depth=2".
///
/// * **mlp**: Flatten, and `depth` Dense layers of `width` units: 2 of 128.
/// * **cnn**: `depth` times a 3x3 convolution, batch normalization, the activation and 2x2 max pooling. There are `width`
///   filters at first (32), and twice as many after each pooling. By default 3 or more pixels remain, after at most 5.
/// * **resnet**: `depth` residual blocks (2) of two 3x3 convolutions, each after batch normalization and the activation
///   (He and others, *Identity Mappings in Deep Residual Networks*, 2016), in each of `stages`. There are `width`
///   channels at first (16), and a convolution with strides of 2 doubles them before each further stage. By default 7 or more
///   pixels remain, in at most 5 stages. The means over the picture go to the last layer.
/// * **mobile**: the same with inverted residual blocks, which are a 1x1 convolution to 4 times the channels, a 3x3
///   depthwise convolution, and a 1x1 convolution back (Sandler and others, *MobileNetV2*, 2018).
#[derive(Clone, Debug)]
pub struct Architecture {
    build: &'static Build,
    sizes: Sizes,
}

/// Why an architecture has no network for samples, or a text names none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchitectureError {
    /// No architecture has this name.
    #[error(
        "a model is one of {}, found {found:?}{}", Architecture::NAMES.join(", "), did_you_mean(.found)
    )]
    Name {
        /// The name.
        found: String,
    },
    /// A word that is no size of the architecture.
    #[error(
        "the sizes of {name} are {sizes}, each a whole number from 1 to {MOST}, found {found:?}: {name} {example}=2, for example"
    )]
    Size {
        /// The architecture's name.
        name: &'static str,
        /// The names of its sizes.
        sizes: String,
        /// The word.
        found: String,
        /// One of the names.
        example: &'static str,
    },
    /// Samples that are not pictures.
    #[error(
        "{name} needs pictures, [height, width] or [channels, height, width], found samples of shape {shape:?}: use mlp"
    )]
    NoPictures {
        /// The architecture's name.
        name: &'static str,
        /// The shape of a sample.
        shape: Vec<usize>,
    },
    /// Pictures that cannot be halved so often.
    #[error(
        "{name} with {size}={count} needs pictures of at least {least} x {least} pixels, found {height} x {width}: use \
         a smaller {size} or larger pictures"
    )]
    TooSmall {
        /// The architecture's name.
        name: &'static str,
        /// The name of the size that says how often they are halved.
        size: &'static str,
        /// Its value.
        count: usize,
        /// The smallest height and width.
        least: usize,
        /// The height found.
        height: usize,
        /// The width found.
        width: usize,
    },
}

fn did_you_mean(found: &str) -> String {
    let name = similar(found, Architecture::NAMES);
    name.map_or(String::new(), |name| format!(": did you mean {name}?"))
}

impl FromStr for Architecture {
    type Err = ArchitectureError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let Some(build) = ALL.iter().find(|build| build.name == name) else {
            return Err(ArchitectureError::Name { found: name.to_owned() });
        };
        let mut sizes = Sizes::default();
        for word in words {
            let wrong = || ArchitectureError::Size {
                name: build.name,
                sizes: build.sizes.join(", "),
                found: word.to_owned(),
                example: build.sizes[0],
            };
            let (size, count) = word.split_once('=').ok_or_else(wrong)?;
            let count = count.parse().ok().filter(|count| (1..=MOST).contains(count));
            let own = build.sizes.contains(&size).then(|| sizes.get_mut(size)).flatten();
            *own.ok_or_else(wrong)? = Some(count.ok_or_else(wrong)?);
        }
        Ok(Self { build, sizes })
    }
}

impl Architecture {
    /// The names of all architectures.
    pub const NAMES: [&str; 4] = [ALL[0].name, ALL[1].name, ALL[2].name, ALL[3].name];

    /// Returns its name.
    pub fn name(&self) -> &'static str {
        self.build.name
    }

    /// Returns whether it is one for pictures, with convolutions.
    pub fn takes_pictures(&self) -> bool {
        self.build.pictures.is_some()
    }

    /// Returns whether the text named a size.
    pub fn has_sizes(&self) -> bool {
        self.sizes != Sizes::default()
    }

    /// Returns the network for samples of this shape. A `dropout` above 0 adds a Dropout after each hidden layer of an
    /// mlp, and before the last layer of the others.
    ///
    /// # Errors
    /// Samples that are not pictures, or pictures that are too small.
    pub fn spec(
        &self,
        shape: &[usize],
        outputs: usize,
        activation: Activation,
        dropout: f64,
    ) -> Result<Spec, ArchitectureError> {
        let (sizes, name) = (&self.sizes, self.build.name);
        let Some(pictures) = &self.build.pictures else {
            return Ok(Spec::classifier(shape, &mlp::hidden(sizes), activation, dropout, outputs));
        };
        let (mut layers, [height, width]): (Vec<Layer>, _) = match *shape {
            [height, width] => (vec![Reshape::new([1, height, width]).into()], [height, width]),
            [_, height, width] => (Vec::new(), [height, width]),
            _ => return Err(ArchitectureError::NoPictures { name, shape: shape.to_vec() }),
        };
        let (side, size) = (height.min(width), pictures.resolutions);
        let count = sizes.get(size).unwrap_or_else(|| pictures.usual(side));
        let least = 1usize.checked_shl(count as u32).unwrap_or(usize::MAX);
        if side < least {
            return Err(ArchitectureError::TooSmall { name, size, count, least, height, width });
        }
        layers.extend((pictures.layers)(sizes, count, activation));
        if dropout != 0.0 {
            layers.push(Dropout::new(dropout).into());
        }
        layers.push(Dense::new(outputs).into());
        Ok(Spec::new(shape, layers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Summary;

    fn spec(text: &str, shape: &[usize]) -> Result<Spec, ArchitectureError> {
        text.parse::<Architecture>()?.spec(shape, 10, Activation::Relu, 0.0)
    }

    fn parameters(text: &str, shape: &[usize]) -> usize {
        Summary::new(&spec(text, shape).unwrap()).unwrap().parameters()
    }

    #[test]
    fn every_architecture_takes_gray_and_color_pictures_of_any_size() {
        for name in Architecture::NAMES {
            for (height, width) in [(2, 2), (8, 8), (28, 28), (9, 70), (224, 160)] {
                for shape in [vec![height, width], vec![1, height, width], vec![3, height, width]] {
                    let spec = spec(name, &shape).unwrap();
                    assert_eq!(spec.check().map(|_| spec.outputs()), Ok(10), "{name} {shape:?}");
                }
            }
        }
    }

    /// Counted by hand: 3x3 filters without biases, 4 values for each channel of a batch normalization, and the last layer.
    #[test]
    fn sizes_are_those_of_the_text() {
        let cnn = 9 * (32 + 32 * 64 + 64 * 128) + 4 * (32 + 64 + 128) + (9 * 128 + 1) * 10;
        assert_eq!(parameters("cnn", &[28, 28]), cnn);
        let narrow = 9 * (3 * 8 + 8 * 16) + 4 * (8 + 16) + (8 * 8 * 16 + 1) * 10;
        assert_eq!(parameters("cnn width=8 depth=2", &[3, 32, 32]), narrow);
        let block = |channels: usize| 2 * (9 * channels * channels + 4 * channels);
        let resnet = 9 * (3 * 4 + 4 * 8) + 3 * (block(4) + block(8)) + 4 * 8 + 9 * 10;
        assert_eq!(parameters("resnet width=4 depth=3 stages=2", &[3, 32, 32]), resnet);
        let inverted = |from: usize, to: usize| {
            4 * from + 4 * from * from + 16 * from + 36 * from + 16 * from + 4 * from * to
        };
        let mobile = 9 * 4 + inverted(4, 4) + inverted(4, 8) + inverted(8, 8) + 4 * 8 + 9 * 10;
        assert_eq!(parameters("mobile width=4 depth=1 stages=2", &[28, 28]), mobile);
        let mlp = Spec::classifier(&[28, 28], &[9, 9, 9], Activation::Relu, 0.0, 10);
        assert_eq!(spec("mlp width=9 depth=3", &[28, 28]), Ok(mlp));
    }

    #[test]
    fn the_dropout_and_the_activation_are_taken() {
        let resnet = "resnet".parse::<Architecture>().unwrap();
        let spec = resnet.spec(&[8, 8], 2, Activation::Silu, 0.25).unwrap();
        let [.., dropout, _] = &spec.layers[..] else { panic!("{spec:?}") };
        assert_eq!(*dropout, Dropout::new(0.25).into());
        assert!(spec.layers.contains(&Activation::Silu.into()));
        assert!(!format!("{spec:?}").contains("Relu"));
    }

    #[test]
    fn wrong_texts_and_pictures_are_named_with_the_rule() {
        let cases: [(&str, &[usize], &str); 7] = [
            ("", &[8, 8], "a model is one of mlp, cnn, resnet, mobile, found \"\""),
            ("resnt", &[8, 8], "found \"resnt\": did you mean resnet?"),
            ("cnn stages=2", &[8, 8], "the sizes of cnn are width, depth, each a whole number"),
            ("cnn width=0", &[8, 8], "from 1 to 4096, found \"width=0\": cnn width=2, for example"),
            ("cnn 32", &[8, 8], "found \"32\""),
            (
                "mobile",
                &[64],
                "mobile needs pictures, [height, width] or [channels, height, width], found samples of \
                shape [64]: use mlp",
            ),
            (
                "cnn depth=4",
                &[3, 8, 20],
                "cnn with depth=4 needs pictures of at least 16 x 16 pixels, found 8 x 20: use a \
                smaller depth or larger pictures",
            ),
        ];
        for (text, shape, message) in cases {
            let error = spec(text, shape).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        assert!(spec("resnet stages=4096", &[28, 28]).is_err());
    }
}
