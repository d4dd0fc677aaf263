use std::path::PathBuf;

use super::Id;

/// What is wrong with a COCO file, and where.
#[derive(Debug, thiserror::Error)]
#[error("{}, line {line}, column {column} (byte {byte}): {problem}", path.display())]
pub struct JsonError {
    /// The file.
    pub path: PathBuf,
    /// From 1.
    pub line: u64,
    /// Bytes from the start of the line, from 1.
    pub column: u64,
    /// Bytes from the start of the file, from 0.
    pub byte: u64,
    /// What is wrong.
    #[source]
    pub problem: JsonProblem,
}

/// What can be wrong with a COCO file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonProblem {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// The text ends inside a value.
    #[error("the text ends too early")]
    Ends,
    /// Something else was expected here.
    #[error("expected {what}, found `{}`", found.escape_default())]
    Expected {
        /// What would have been right.
        what: &'static str,
        /// The character found.
        found: char,
    },
    /// Text goes on behind the last value.
    #[error("text goes on behind the end of the value")]
    Trailing,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    Utf8,
    /// A malformed escape in a string.
    #[error("a string holds a malformed escape")]
    Escape,
    /// A number that no finite double comes near.
    #[error("a number is too large for a double")]
    TooLarge,
    /// Arrays or objects within each other more than 128 deep.
    #[error("values are nested more than 128 deep")]
    Deep,
    /// An id that is neither an integer nor a string.
    #[error("an id must be an integer or a string")]
    IdKind,
    /// Ids of one kind of thing, some numbers and some strings.
    #[error("{what} ids are numbers and strings; they must all be of one kind")]
    MixedIds {
        /// "image" or "category".
        what: &'static str,
    },
    /// A part of the ground truth is missing.
    #[error("the ground truth has no `{0}`; it needs `images`, `annotations` and `categories`")]
    NoList(&'static str),
    /// A record lacks a key.
    #[error("{record} has no `{key}`")]
    Missing {
        /// Which record, such as "annotation 7".
        record: String,
        /// The key it needs.
        key: &'static str,
    },
    /// A record names an image that the ground truth does not list.
    #[error("{record} is of image {id}, which the ground truth does not list under `images`")]
    UnknownImage {
        /// Which record.
        record: String,
        /// The image it names.
        id: Id,
    },
    /// A record names a category that the ground truth does not list.
    #[error("{record} is of category {id}, which the ground truth does not list under `categories`")]
    UnknownCategory {
        /// Which record.
        record: String,
        /// The category it names.
        id: Id,
    },
    /// Two annotations of the same id.
    #[error("annotation id {0} is given twice; pycocotools would count one of the two twice")]
    Duplicate(Id),
    /// More records than 32 bits number.
    #[error("more than {} records", u32::MAX)]
    TooMany,
}
