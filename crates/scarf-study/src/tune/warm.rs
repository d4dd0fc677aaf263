//! What a search takes over from earlier ones, found by their journals.

use crate::error::Error;
use crate::files::read;
use scarf_hpo::{Direction, Journal, Parent, Space, Trial, TrialState, WarmStart, WarmStartKind};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};

/// The earlier searches that one builds upon, as files and options write them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmFrom {
    /// How it relates to them.
    #[serde(default)]
    pub kind: WarmStartKind,
    /// Their journals, or folders that hold one each.
    pub from: Vec<PathBuf>,
}

/// What `NAME.json` beside a journal tells of its search.
#[derive(Deserialize)]
struct Identity {
    space: Space,
    objective: String,
    direction: Direction,
    #[serde(default)]
    warm_start: Option<WarmFrom>,
}

impl WarmFrom {
    /// What those searches know, for one of `space` with this objective.
    ///
    /// # Errors
    /// Where one cannot be read, or does not fit (see [`WarmStart::new`]).
    pub fn read(&self, space: &Space, direction: Direction, objective: &str) -> Result<WarmStart, Error> {
        let earlier: Vec<Earlier> =
            self.from.iter().map(|path| Earlier::read(path)).collect::<Result<_, _>>()?;
        let parents: Vec<Parent<'_>> = earlier.iter().map(Earlier::parent).collect();
        let wrong = |error: scarf_hpo::WarmStartError| Error::Search {
            key: "warm_start".into(),
            reason: error.to_string(),
        };
        WarmStart::new(self.kind, space, direction, objective, &parents).map_err(wrong)
    }

    /// What must be the same for a search to go on.
    pub(super) fn identity(&self) -> Json {
        serde_json::json!(self)
    }
}

/// An earlier search, with its trials.
struct Earlier {
    name: String,
    identity: Identity,
    trials: Vec<Trial>,
}

impl Earlier {
    fn read(path: &Path) -> Result<Self, Error> {
        let journal = journal_at(path)?;
        let name = journal.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let beside = journal.with_extension("json");
        let identity: Identity = serde_json::from_str(&read(&beside)?)
            .map_err(|error| Error::Parse { path: beside, message: error.to_string() })?;
        let trials = Journal::read(&journal, &name)?;
        Ok(Self { name, identity, trials })
    }

    fn parent(&self) -> Parent<'_> {
        let running = |trial: &Trial| matches!(trial.state, TrialState::Pending | TrialState::Running);
        Parent {
            name: &self.name,
            space: &self.identity.space,
            direction: self.identity.direction,
            objective: &self.identity.objective,
            trials: &self.trials,
            finished: !self.trials.iter().any(running),
            parents: self.identity.warm_start.as_ref().map_or(0, |warm| warm.from.len()),
        }
    }
}

/// The journal that a path stands for: itself, or the only one in a folder.
fn journal_at(path: &Path) -> Result<PathBuf, Error> {
    let wrong = |reason: String| Error::Search { key: "warm_start".into(), reason };
    if path.is_file() {
        return Ok(path.into());
    }
    let entries = std::fs::read_dir(path).map_err(Error::io(path, "cannot be read"))?;
    let mut journals: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| file.extension().is_some_and(|extension| extension == "journal"))
        .collect();
    journals.sort();
    match journals.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(wrong(format!("{}: no NAME.journal is in this folder", path.display()))),
        [first, ..] => {
            let (folder, count) = (path.display(), journals.len());
            Err(wrong(format!(
                "{folder}: {count} journals are in this folder; name one, as {}",
                first.display()
            )))
        }
    }
}
