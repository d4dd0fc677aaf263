//! A search of a command as somebody wrote it, in a file or in options.

use super::command::{Command, Take};
use super::{Search, WarmFrom};
use crate::error::Error;
use crate::files::read;
use crate::tree::{Tree, merge};
use scarf_hpo::{AnyPruner, AnySampler, Completion, Direction, Space};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// A search of a command, as written in TOML.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchFile {
    /// The command, with gaps for hyperparameters; see [`Command::new`].
    pub command: String,
    /// The regular expression that reads the objective from its log.
    pub metric: String,
    /// Others, to be recorded by name.
    #[serde(default)]
    pub also: BTreeMap<String, String>,
    /// Which of the values in the log counts.
    #[serde(default)]
    pub take: Take,
    /// Whether less is better.
    #[serde(default)]
    pub direction: Direction,
    /// How trials are chosen.
    #[serde(default)]
    pub sampler: AnySampler,
    /// The sampler's seed.
    #[serde(default)]
    pub seed: u64,
    /// The earlier searches that it builds upon.
    #[serde(default)]
    pub warm_start: Option<WarmFrom>,
    /// What stops trials that do not promise.
    #[serde(default)]
    pub pruner: Option<AnyPruner>,
    /// When the search is over; after 100 trials, where nothing is said. A grid is over with its last combination, however
    /// many trials are asked for, for to try one again brings nothing; where nothing is said, then alone.
    #[serde(default)]
    pub stop: Completion,
    /// What an hour of one trial costs, in US dollars.
    #[serde(default)]
    pub dollars_per_hour: f64,
    /// The hyperparameters and their domains.
    pub space: Space,
}

impl SearchFile {
    /// Reads a file, where there is one, and lays `over` on it.
    ///
    /// # Errors
    /// Where it cannot be read, or the whole is no search (the error names line and column, or the key).
    pub fn read(path: Option<&Path>, over: &Tree) -> Result<Self, Error> {
        let Some(path) = path else {
            let parse = |error: toml::de::Error| Error::Parse {
                path: "the options".into(),
                message: error.message().to_string(),
            };
            return Self::deserialize(over.clone()).map_err(parse);
        };
        let text = read(path)?;
        let parse = |error: toml::de::Error| Error::Parse { path: path.into(), message: error.to_string() };
        if over.is_empty() {
            return toml::from_str(&text).map_err(parse);
        }
        let mut whole: Tree = text.parse().map_err(parse)?;
        merge(&mut whole, over);
        Self::deserialize(whole).map_err(parse)
    }

    /// The search called `name`, and its command.
    ///
    /// # Errors
    /// Where the command or a metric cannot be used, or an earlier search cannot be built upon.
    pub fn check(self, name: &str) -> Result<(Search, Command), Error> {
        let command = Command::new(&self.command, &self.metric, &self.also, self.take, self.direction)?;
        let mut stop = self.stop;
        if stop == Completion::default() && self.sampler.combinations(&self.space).is_none() {
            stop.trials = Some(100);
        }
        let mut search = Search {
            name: name.into(),
            space: self.space,
            sampler: self.sampler,
            seed: self.seed,
            warm_start: None,
            objective: command.objective(),
            direction: self.direction,
            pruner: self.pruner,
            stop,
            dollars_per_hour: self.dollars_per_hour,
        };
        if let Some(from) = self.warm_start {
            search.build_upon(from)?;
        }
        Ok((search, command))
    }
}
