//! Problems of files of weights.

use std::io;
use std::path::PathBuf;

use super::dtype::Dtype;
use crate::data::{DatasetProblem, TargetKind};
use crate::formats::FormatProblem;
use crate::model::SpecError;

/// A file that cannot be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}: {}", if .source.kind() == io::ErrorKind::NotFound {
        "check the path"
    } else {
        "give a file of weights"
    })]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The contents are invalid.
    #[error("{path}: {problem}")]
    Problem {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: Problem,
    },
}

impl From<FormatProblem> for Problem {
    fn from(problem: FormatProblem) -> Self {
        match problem {
            FormatProblem::Cut { format, message } => Self::Cut { format, message },
            FormatProblem::Damaged { format, message } => Self::Damaged { format, message },
            FormatProblem::Unsupported { format, message } => Self::Unsupported { format, message },
            FormatProblem::TooMuch { most } => Self::TooMuch { most },
            FormatProblem::Memory { bytes } => Self::Memory { bytes },
        }
    }
}

/// A problem with the contents of a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// An unknown kind of file.
    #[error(
        "this is not a file of weights that seqfit reads: give safetensors, a state_dict saved with \
         torch.save, .pt2, TorchScript, .npz, .weights.h5, .keras or ONNX"
    )]
    Unknown,
    /// A kind of file that is not part of this build.
    #[error(
        "this program was built without seqfit's cargo feature {feature:?}, which reads {format} files: enable it"
    )]
    Disabled {
        /// The kind of file.
        format: &'static str,
        /// The cargo feature.
        feature: &'static str,
    },
    /// A file of text.
    #[error(
        "this is not a file of weights, but a text file: give safetensors, a state_dict saved with torch.save, \
         TorchScript, .pt2, .npz, .weights.h5, .keras or ONNX"
    )]
    Text,
    /// A web page.
    #[error(
        "this is not a file of weights, but a web page (HTML or XML), as a failed download leaves it: download \
         the file again"
    )]
    WebPage,
    /// The stand-in for a file in Git LFS.
    #[error(
        "this is not a file of weights, but a Git LFS pointer: fetch the file with git lfs pull"
    )]
    LfsPointer,
    /// A file of 0 bytes.
    #[error("this file is empty, it has 0 bytes: save the weights again, or fetch them again")]
    Empty,
    /// PyTorch's format before 1.6, or any other bare pickle.
    #[error(
        "this is a bare pickle, as torch.save wrote it before PyTorch 1.6, and seqfit reads none: save it \
         again in Python with torch.save(torch.load(OLD, weights_only=True), NEW)"
    )]
    BarePickle,
    /// A single array.
    #[error("this is a single array: put the arrays of all layers into one file with numpy.savez")]
    SingleArray,
    /// A file that ends before what it announces.
    #[error("this is not a whole {format} file: {message}: fetch it again")]
    Cut {
        /// The kind of file.
        format: &'static str,
        /// The part that is missing.
        message: String,
    },
    /// A file that is damaged or forged: it contradicts its own checksum or structure.
    #[error("this {format} file is damaged: {message}: save it again, or fetch it again")]
    Damaged {
        /// The kind of file.
        format: &'static str,
        /// Which rule it breaks.
        message: String,
    },
    /// A complete file with contents that are not supported here.
    #[error("this {format} file has something that seqfit does not read: {message}")]
    Unsupported {
        /// The kind of file.
        format: &'static str,
        /// The unsupported part, and the cure.
        message: String,
    },
    /// A file compressed as a whole.
    #[error("this file is packed by {0}, and seqfit does not unpack files: unpack it first")]
    Packed(&'static str),
    /// A pickle that would run code.
    #[error(
        "its pickle asks for {0:?}, which is not part of a state_dict; seqfit runs nothing that is in a \
         file: save model.state_dict() instead"
    )]
    Global(String),
    /// A file that claims more than it can hold.
    #[error(
        "it asks for more than {most} bytes of memory, too many for a file of its length: if it is not damaged, \
         save it uncompressed"
    )]
    TooMuch {
        /// The number of bytes it may ask for.
        most: usize,
    },
    /// Too little memory.
    #[error("{bytes} bytes of memory are needed: free some, or use another machine")]
    Memory {
        /// The number of bytes.
        bytes: usize,
    },
    /// A file that has no tensors, or several sets of them.
    #[error("a state_dict is expected, and {0}: save model.state_dict() alone")]
    NoStateDict(String),
    /// A graph that is not a chain of layers of seqfit.
    #[error(
        "its graph is not a network that seqfit has: {0}: give the whole network with --network, or save the weights \
         as safetensors or as a state_dict"
    )]
    Graph(String),
    /// Numbers of a type that weights cannot have.
    #[error("tensor {name:?} must be of {}, found {found}: convert it", Dtype::WEIGHTS)]
    Dtype {
        /// The tensor.
        name: String,
        /// Its type.
        found: Dtype,
    },
    /// A weight that is NaN or infinite.
    #[error(
        "tensor {name:?} must hold finite numbers, found {found} at position {position}: export the \
         network from before it diverged"
    )]
    NotFinite {
        /// The tensor.
        name: String,
        /// Its index, counted row by row from 0.
        position: usize,
        /// NaN or an infinity.
        found: f32,
    },
    /// Tensors that belong to no Dense layer, in a file that does not describe its network.
    #[error(
        "tensors without a description of their network must be those of Dense layers, each with a matrix of weights \
         and a vector of biases: describe it with --network FILE (a TOML file with input_shape and layers, or a run), \
         since these belong to others:{}",
        lines(.0)
    )]
    NotDense(Vec<String>),
    /// Arrays without names.
    #[error(
        "its arrays have no names, and a vector may be a bias, a norm's scale or the slopes of a PReLU: \
         say that they are weights and biases with --activation NAME or --network, or save them with \
         names (\"0.weight\", \"0.bias\", \"2.weight\"):{}",
        lines(.0)
    )]
    Unnamed(Vec<String>),
    /// Matrices that fit in both orientations.
    #[error(
        "the matrices {0:?} do not show which way round they are, [outputs, inputs] as in PyTorch or \
         [inputs, outputs] as in Keras: save them with names that end in \"weight\" or in \"kernel\""
    )]
    Sides(Vec<String>),
    /// Layers whose order is determined by neither names nor shapes.
    #[error(
        "the names {names:?} do not determine which layer is first, and by their shapes several orders fit: \
         number them in their order (\"fc1.weight\", \"fc2.weight\"){}",
        order_cure(.sorted)
    )]
    Order {
        /// The names of the matrices.
        names: Vec<String>,
        /// Whether the format sorts by name.
        sorted: bool,
    },
    /// Numbers of modules that an activation between the layers does not explain.
    #[error("{0}, and the file does not say what they do: give the whole network with --network")]
    Numbering(String),
    /// Two layers with nothing between them.
    #[error(
        "nothing lies between the layers {0} of the file, so that relu cannot be taken for what is between \
         them: where one activation is after every layer give --activation (linear, where there is none), \
         else --network"
    )]
    Neighbors(String),
    /// A first matrix that may be that of an embedding.
    #[error(
        "the first layer's {0} has no bias: it may be the table of an embedding, and the file does not say: give \
         the whole network with --network"
    )]
    Embedding(String),
    /// The tensors do not match the network.
    #[error("its tensors are not those of the network:{}", lines(.0))]
    Mismatch(Vec<String>),
    /// The network has an unsupported layer.
    #[error(
        "its network has a layer that seqfit does not know, {layer}: known are Dense layers, convolutions, \
         pooling, batch normalization, Flatten, Dropout and activations, one after the other{}",
        lines(.tensors)
    )]
    Layer {
        /// The layer, with its unsupported setting.
        layer: String,
        /// The tensors that belong to no Dense layer.
        tensors: Vec<String>,
    },
    /// A network breaks a rule.
    #[error("its network cannot be built: {0}")]
    Spec(#[from] SpecError),
    /// A network for pictures of any size, for which the user gives one.
    #[error(
        "the file does not say the shape of its samples: give it with --input-shape, 3x32x32 for pictures in color or \
         28x28 for gray ones"
    )]
    NoInputShape,
    /// An input shape that does not match the first layer.
    #[error(
        "the first layer takes {found} values, found input shape {shape:?}: its product must be that"
    )]
    InputShape {
        /// The shape given.
        shape: Vec<usize>,
        /// Values that the first layer takes.
        found: usize,
    },
    /// A number of names that differs from the number of classes.
    #[error(
        "the network has {outputs} classes, found {names} class names: give one for each{}",
        if (*outputs, *names) == (1, 2) {
            ", or add --task class if its output decides between the two"
        } else {
            ""
        }
    )]
    ClassNames {
        /// The network's classes.
        outputs: usize,
        /// The names given.
        names: usize,
    },
    /// A task that the network's last activation does not fit.
    #[error(
        "the network cannot predict {task}: it has {found}: name another --task, or none, which takes what the file shows"
    )]
    Task {
        /// The task.
        task: TargetKind,
        /// The end of the network, in words.
        found: String,
    },
    /// Class names that break a rule.
    #[error("class names: {0}")]
    Classes(DatasetProblem),
}

/// Returns a further cure for formats that keep an order of tensors.
fn order_cure(sorted: &bool) -> &'static str {
    if *sorted { "" } else { ", or say with --network that they lie in their order" }
}

/// Lists items below a sentence, one per line; the first forty.
fn lines(list: &[String]) -> String {
    let shown = list.iter().take(40).map(|line| format!("\n  {line}")).collect::<String>();
    match list.len().saturating_sub(40) {
        0 => shown,
        more => format!("{shown}\n  and {more} more"),
    }
}
