//! What a trial is: something that is begun with hyperparameters, and that says how it is doing.

use crate::error::Error;
use crate::program::Running;
use scarf_hpo::{Outcome, Params};
use serde_json::Value as Json;
use std::fs::File;
use std::path::{Path, PathBuf};

/// How the trials of a search are begun.
pub(super) trait Job: Sync {
    /// What must be the same for a search to go on, as an object.
    fn identity(&self) -> Json;
    /// The folder of a trial.
    fn folder(&self, number: u64, params: &Params) -> PathBuf;
    /// Begins a trial in its folder; no process where it had ended already, and only its end was not told.
    fn begin(&self, number: u64, params: &Params, lock: File) -> Result<Begun<'_>, Error>;
    /// How people do a trial again: a command, or what to write into a file.
    fn again(&self, number: u64, params: &Params) -> String;
    /// Removes what only the best trial keeps.
    fn discard(&self, folder: &Path);
}

/// A trial that is going on, and what it says.
pub(super) type Begun<'a> = (Option<Running>, Box<dyn Reading + 'a>);

/// Reads what a trial says of itself.
pub(super) trait Reading {
    /// It printed a line.
    fn line(&mut self, line: &str);
    /// Its objective on the way, as (step, value), as far as that was not given before.
    fn reports(&mut self) -> Vec<(u64, f64)>;
    /// What came of it, now that it has ended well; or why nothing did.
    fn outcome(&mut self) -> Result<Outcome, String>;
}
