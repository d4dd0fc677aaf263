//! How a study was run, for those who want to do so again.

use crate::files::{read_if_there, write_atomic};
use crate::{Error, Given, Study, Weights};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How a study was run; `how.json` in its folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct How {
    /// The command, as it can be typed.
    pub command: String,
    /// The commit of scarf.
    pub revision: String,
    /// Whether the study was shrunk to a check.
    pub shrink: bool,
    /// Whether a data folder was given.
    pub data: bool,
    /// The published weights that runs began from, where a weights folder was given.
    pub weights: Option<Vec<String>>,
}

impl How {
    /// How `study` is run now, with what is given.
    pub fn new(command: String, revision: String, study: &Study, given: &Given) -> Self {
        let weights = given.weights.as_ref().map(|_| study.weights());
        Self { command, revision, shrink: given.shrink, data: given.data.is_some(), weights }
    }

    /// What was given then, as far as it takes to plan the study again.
    pub fn given(&self) -> Given {
        Given {
            shrink: self.shrink,
            data: self.data.then(PathBuf::new),
            weights: self.weights.clone().map(Weights::Named),
        }
    }

    /// The same for others: of absolute paths in the command the last part alone is left, behind `DIR`.
    pub fn published(&self) -> Self {
        let part = |word: &str| {
            let path = Path::new(word.trim_matches('\''));
            match path.file_name() {
                Some(name) if path.is_absolute() => format!("DIR/{}", name.to_string_lossy()),
                _ => word.to_owned(),
            }
        };
        let command = self.command.split(' ').map(part).collect::<Vec<_>>().join(" ");
        Self { command, ..self.clone() }
    }

    /// As it lies in a study's folder; what is known of it where there is none.
    ///
    /// # Errors
    /// Where the file cannot be read or is something else.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("how.json");
        let Some(text) = read_if_there(&path)? else { return Ok(Self::default()) };
        serde_json::from_str(&text).map_err(|error| Error::Parse { path, message: error.to_string() })
    }

    /// Writes it into a study's folder.
    ///
    /// # Errors
    /// Where that is not possible.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).expect("text and booleans") + "\n";
        write_atomic(&folder.join("how.json"), text.as_bytes())
    }
}
