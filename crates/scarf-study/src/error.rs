//! What can go wrong.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a study cannot be read, planned, run or told of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{}: {doing}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A study file is not what a study file is; the text names line and column.
    #[error("{}: {message}", path.display())]
    Parse {
        /// The study file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// A study file reads well, but makes no study.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
    /// Records cannot be read.
    #[error("{}:{line}: {reason}", path.display())]
    Records {
        /// The CSV file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong in it.
        reason: String,
    },
    /// The program refuses the settings of a run.
    #[error("the settings of {run} are refused:\n{reason}")]
    Refused {
        /// The approach, and what of it.
        run: String,
        /// What the program said.
        reason: String,
    },
    /// The program cannot be started.
    #[error("{}: cannot be started: {source}", path.display())]
    Program {
        /// The program.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Published weights that a run begins from are not there.
    #[error("approach {approach} begins from the weights {name}, {}", no_weights(.looked))]
    NoWeights {
        /// The approach.
        approach: String,
        /// The weights' name.
        name: String,
        /// The file that was looked for, where a folder was given.
        looked: Option<PathBuf>,
    },
    /// What a run begins from was published without its network.
    #[error(
        "{run} begins from {base}, of which there are scores but no network here: delete the line that begins with {id} in {},          and it is trained again",
        records.display()
    )]
    NoNetwork {
        /// The run.
        run: String,
        /// What it begins from.
        base: String,
        /// The id of that.
        id: String,
        /// Where the study's records are.
        records: PathBuf,
    },
    /// A run of the study was made with data that are not there any more.
    #[error(
        "{run} was made with other images, labels or lists than are there now, and its scores are not to be compared with what \
         would be made of these: choose another --out, or delete {} to begin anew",
        out.display()
    )]
    OtherData {
        /// The run.
        run: String,
        /// The study's folder.
        out: PathBuf,
    },
    /// Somebody else runs a study in the same folder.
    #[error("{}: another study is running in this folder; wait for it, or choose another with --out", .0.display())]
    Busy(PathBuf),
    /// A folder that was given is not there.
    #[error("{option} {}: there is no such folder", path.display())]
    NoFolder {
        /// The option that gave it.
        option: &'static str,
        /// The folder.
        path: PathBuf,
    },
    /// A study has no records to tell of.
    #[error("{}: no records; `{command}` makes them, or --out says where they are", out.display())]
    NoRecords {
        /// The study's folder.
        out: PathBuf,
        /// What makes them.
        command: String,
    },
    /// A study has come to its end without all of its runs.
    #[error("{failed} of {all} runs failed, or could not begin, {first} first; --retry does them again")]
    RunsFailed {
        /// How many.
        failed: usize,
        /// How many there were to be.
        all: usize,
        /// The first of them.
        first: String,
    },
    /// The run was interrupted from outside; nothing is recorded, the next call goes on with it.
    #[error("interrupted; the same command goes on from here")]
    Interrupted,
    /// What runs detected cannot be scored.
    #[error("{0}")]
    Detections(String),
    /// The journal of a search cannot be used.
    #[error(transparent)]
    Journal(#[from] scarf_hpo::JournalError),
    /// The folder holds another search under the same name.
    #[error(
        "{}: another search is in this folder already: its {what} is not the same; choose another folder with --out",
        path.display()
    )]
    OtherSearch {
        /// The file that tells of that search.
        path: PathBuf,
        /// What is not the same.
        what: String,
    },
    /// The first trials of a search all failed.
    #[error("the first {trials} trials all failed, the last one so: {why}")]
    AllFailed {
        /// How many.
        trials: u64,
        /// What became of the last one.
        why: String,
    },
    /// A command or a metric of a search cannot be used.
    #[error("{key}: {reason}")]
    Search {
        /// The key of the file, or the option.
        key: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The page cannot be drawn.
    #[error("the page cannot be drawn: {0}")]
    Page(#[from] minijinja::Error),
    /// A document lacks the markers between which something is to be put.
    #[error("{}: no lines {begin} and {end} to put the results between", path.display())]
    NoMarkers {
        /// The document.
        path: PathBuf,
        /// The line above.
        begin: String,
        /// The line below.
        end: String,
    },
}

impl Error {
    /// For `map_err`: an [`Error::Io`] at `path`.
    pub(crate) fn io(path: &Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::Io { path, doing, source }
    }
}

/// One thing that is wrong with a study file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The study file.
    pub path: PathBuf,
    /// The line of the key, or of the nearest table around it, from 1; where it can be told.
    pub line: Option<usize>,
    /// The dotted key.
    pub key: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}: {}", self.key, self.reason)
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

fn no_weights(looked: &Option<PathBuf>) -> String {
    match looked {
        Some(file) => format!(
            "but there is no {}: `scarf weights list` has what can be fetched, and `scarf weights fetch` puts it there under \
             such a name by --as",
            file.display()
        ),
        None => "which come from outside: give the folder that holds them by --weights DIR".into(),
    }
}
