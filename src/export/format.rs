//! The export formats, and the options of an export.

/// An export format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// TorchScript, for `torch.jit.load` in Python and `torch::jit::load` in C++.
    TorchScript,
    /// PyTorch's exported programs, for `torch.export.load`.
    Pt2,
    /// A PyTorch `state_dict`, for `torch.load` and `nn.Sequential(...).load_state_dict`.
    StateDict,
    /// The weights as safetensors, for `safetensors.torch.load_file`.
    Safetensors,
    /// ONNX, for onnxruntime and others. Needs the cargo feature `onnx`.
    Onnx,
    /// Keras 3 weights, for `model.load_weights`. Needs the cargo feature `keras`.
    Keras,
}

impl Format {
    /// All formats of this build: those that need a cargo feature are there if it is enabled.
    pub const ALL: &[Self] = &[
        Self::TorchScript,
        Self::Pt2,
        Self::StateDict,
        Self::Safetensors,
        #[cfg(feature = "onnx")]
        Self::Onnx,
        #[cfg(feature = "keras")]
        Self::Keras,
    ];

    /// Returns the cargo feature that the format needs.
    pub fn feature(self) -> Option<&'static str> {
        match self {
            Self::Onnx => Some("onnx"),
            Self::Keras => Some("keras"),
            Self::TorchScript | Self::Pt2 | Self::StateDict | Self::Safetensors => None,
        }
    }

    /// Returns the name on the command line, such as "state-dict".
    pub fn name(self) -> &'static str {
        match self {
            Self::TorchScript => "torchscript",
            Self::Pt2 => "pt2",
            Self::StateDict => "state-dict",
            Self::Safetensors => "safetensors",
            Self::Onnx => "onnx",
            Self::Keras => "keras",
        }
    }

    /// Returns the extension of such files, with the dot.
    pub fn ending(self) -> &'static str {
        match self {
            Self::TorchScript => ".pt",
            Self::Pt2 => ".pt2",
            Self::StateDict => ".state_dict.pt",
            Self::Safetensors => ".safetensors",
            Self::Onnx => ".onnx",
            Self::Keras => ".weights.h5",
        }
    }
}

/// Options of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options {
    /// Whether the scaling before the network and the softmax or sigmoid after it become part of the model, which then
    /// takes raw pixels (u8, 0 to 255) and returns predictions: probabilities, or the numbers of a regression. A network
    /// of numbers takes them as they are. For [`Format::TorchScript`], [`Format::Pt2`] and [`Format::Onnx`].
    pub preprocessing: bool,
    /// Whether the weights are stored as f16: half the size, with about three decimal digits. They are used
    /// in the precision of the input.
    pub half: bool,
}
