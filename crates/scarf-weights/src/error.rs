//! What can be wrong with weights.

use std::path::PathBuf;

use crate::{Format, LoadReport};

/// Why weights could not be read, changed, fitted or written.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is damaged, or holds what cannot be read.
    #[error("{}: {format}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: Format,
        /// What is wrong, and with which tensor.
        problem: String,
    },
    /// The file is of no format that is known.
    #[error("{}: {kind}; safetensors, PyTorch's .pth, MXNet's .params and TensorFlow's frozen .pb can be read", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What it seems to be.
        kind: &'static str,
    },
    /// An archive is damaged, or has not what is wanted.
    #[error("{}: {problem}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A number is too large for the precision of a file.
    #[error("{name} has the value {value}, and half precision ends at 65504")]
    Range {
        /// The tensor.
        name: String,
        /// The number.
        value: f32,
    },
    /// What is no safetensors file.
    #[error("safetensors cannot hold it: {0}")]
    Write(String),
    /// A pattern of names is no regular expression.
    #[error("the pattern `{pattern}`: {problem}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Two tensors would get one name.
    #[error("{first} and {second} would both be named {name}")]
    Collision {
        /// The one in order of name.
        first: String,
        /// The other.
        second: String,
        /// The name after.
        name: String,
    },
    /// A convolution and its batch normalisation do not fit together.
    #[error("{name}: {problem}")]
    Fold {
        /// The block of both.
        name: String,
        /// What does not fit.
        problem: String,
    },
    /// The weights are not the module's.
    #[error("the weights do not fit the model: {0}")]
    Mismatch(Box<LoadReport>),
}
