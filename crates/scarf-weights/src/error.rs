//! What can be wrong with weights.

use std::path::PathBuf;

use crate::LoadReport;

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
    /// The file is no safetensors file.
    #[error("{}: not a safetensors file: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        source: safetensors::SafeTensorError,
    },
    /// A tensor has elements of a type that has no exact f32.
    #[error("{}: {name} has elements of type {dtype}; F32, F16, BF16 and U8 can be read", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
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
