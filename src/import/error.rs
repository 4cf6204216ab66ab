//! What can be wrong with a file of weights.

use std::io;
use std::path::PathBuf;

use super::numbers::Dtype;
use crate::data::DatasetProblem;
use crate::model::SpecError;

/// A file that cannot be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}: give a file of weights")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Something is wrong with what it holds.
    #[error("{path}: {problem}")]
    Problem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: Problem,
    },
}

/// What is wrong with the contents of a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Nothing that is known.
    #[error(
        "this is no file of weights that seqfit reads: give safetensors, a state_dict saved with \
         torch.save, TorchScript, .npz, .weights.h5 or .keras"
    )]
    Unknown,
    /// PyTorch's format of before 1.6, or any other bare pickle.
    #[error(
        "this is a bare pickle, as torch.save wrote it before PyTorch 1.6, and seqfit reads none: save it \
         anew in Python with torch.save(torch.load(OLD, weights_only=True), NEW)"
    )]
    BarePickle,
    /// A single array.
    #[error("this is a single array: put the arrays of all layers into one file with numpy.savez")]
    SingleArray,
    /// A file that is cut, damaged or made up.
    #[error("this is not a whole {format} file: {message}: fetch or save it again")]
    Damaged {
        /// The kind of file.
        format: &'static str,
        /// Which rule it breaks.
        message: String,
    },
    /// A pickle that would run something.
    #[error(
        "its pickle asks for {0:?}, which is no part of a state_dict; seqfit runs nothing that is in a \
         file: save model.state_dict() instead"
    )]
    Global(String),
    /// A file that claims more than it can hold.
    #[error(
        "it asks for more than {most} bytes of memory, which a file of its length may not: if it is what \
         it should be, save it uncompressed"
    )]
    TooMuch {
        /// How many it may ask for.
        most: usize,
    },
    /// Too little memory.
    #[error("{bytes} bytes of memory are needed: free some, or use another machine")]
    Memory {
        /// How many bytes.
        bytes: usize,
    },
    /// A file that has no tensors, or several sets of them.
    #[error("a state_dict is expected, and {0}: save model.state_dict() alone")]
    NoStateDict(String),
    /// A kind of file of which only the tensors can be listed.
    #[error(
        "seqfit inspect lists what is in an ONNX file, but its network cannot be imported: save the \
         weights as safetensors or as a state_dict"
    )]
    OnlyInspected,
    /// Numbers that are no weights.
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
        /// Where, counted row by row from 0.
        position: usize,
        /// NaN or an infinity.
        found: f32,
    },
    /// Tensors that belong to no Dense layer.
    #[error(
        "seqfit's networks have Flatten, Dense and Dropout layers, each Dense with a matrix of weights \
         and a vector of biases; these tensors are of others:{}",
        lines(.0)
    )]
    NotDense(Vec<String>),
    /// Layers whose order nobody can tell.
    #[error(
        "a safetensors file has no order, and the names {0:?} do not tell which layer is first: number \
         them (\"0.weight\", \"1.weight\")"
    )]
    Order(Vec<String>),
    /// The tensors are not those of the network.
    #[error("its tensors are not those of the network:{}", lines(.0))]
    Mismatch(Vec<String>),
    /// The network has a layer that is not known.
    #[error(
        "its network has a layer that seqfit does not know, {0}: known are InputLayer, Flatten, Dense and \
         Dropout in a Sequential"
    )]
    Layer(String),
    /// A network breaks a rule.
    #[error("its network cannot be built: {0}")]
    Spec(#[from] SpecError),
    /// Samples of another size.
    #[error(
        "the first layer takes {found} values, found input shape {shape:?}: its product must be that"
    )]
    InputShape {
        /// What was asked for.
        shape: Vec<usize>,
        /// Values that the first layer takes.
        found: usize,
    },
    /// A number of names other than the classes.
    #[error("the network has {outputs} classes, found {names} class names: give one for each")]
    ClassNames {
        /// The network's classes.
        outputs: usize,
        /// The names given.
        names: usize,
    },
    /// Class names that break a rule.
    #[error("class names: {0}")]
    Classes(DatasetProblem),
}

/// A list below a sentence, a line each; the first forty.
fn lines(list: &[String]) -> String {
    let shown = list.iter().take(40).map(|line| format!("\n  {line}")).collect::<String>();
    match list.len().saturating_sub(40) {
        0 => shown,
        more => format!("{shown}\n  and {more} more"),
    }
}
