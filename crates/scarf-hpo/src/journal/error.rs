//! What can go wrong with a journal.

use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read, written or locked.
    #[error("{path}: {source}")]
    Io {
        /// The journal.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line of it is not a record.
    #[error("{path}, line {line}: {reason}")]
    Record {
        /// The journal.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The search in the file optimises the other way.
    #[error("{path}: the search {name} is there already, with another direction")]
    Direction {
        /// The journal.
        path: PathBuf,
        /// The search.
        name: String,
    },
    /// There is no such search in the file.
    #[error("{path}: there is no search {name} in it")]
    Absent {
        /// The journal.
        path: PathBuf,
        /// The search.
        name: String,
    },
    /// The search was there when the journal was opened.
    #[error("{path}: the search {name} was deleted while it went on")]
    Deleted {
        /// The journal.
        path: PathBuf,
        /// The search.
        name: String,
    },
    /// Another worker took the trial up after this one's lease had run out: its result does not count.
    #[error("trial {number} is no longer this worker's: its lease ran out")]
    LeaseLost {
        /// The trial.
        number: u64,
    },
}

impl JournalError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| JournalError::Io { path, source }
    }
}
