//! Trials that are runs of a study.

use super::Search;
use super::job::{Begun, Job, Reading};
use crate::contest::curve;
use crate::engine::{Engine, enter};
use crate::error::Error;
use crate::plan::{Run, State, toml_value};
use crate::record::Records;
use crate::result::{Epoch, NUMBERS, RunResult};
use crate::settings::run_folder;
use crate::study::Approach;
use scarf_hpo::{Direction, Outcome, Params};
use serde_json::{Value as Json, json};
use std::fs::File;
use std::path::{Path, PathBuf};

/// The runs of an approach's search. A trial's folder is `runs/ID`, where the study itself would look for it.
pub(super) struct Runs<'a> {
    engine: &'a Engine<'a>,
    approach: &'a Approach,
    /// What the runs begin from is among them.
    records: Records,
    objective: String,
    direction: Direction,
}

impl<'a> Runs<'a> {
    pub(super) fn new(
        search: &Search,
        engine: &'a Engine<'a>,
        approach: &'a Approach,
        records: Records,
    ) -> Self {
        let (objective, direction) = (search.objective.clone(), search.direction);
        Self { engine, approach, records, objective, direction }
    }

    /// Whether the program takes a trial with these hyperparameters, and what it begins from is there.
    pub(super) fn check(&self, params: &Params) -> Result<(), Error> {
        let run = self.run(0, params);
        if let State::Blocked(reason) | State::Waiting(reason) = &run.state {
            return Err(Error::Search { key: run.to_string(), reason: format!("cannot begin: {reason}") });
        }
        self.engine.check(&run, true).map(|_| ())
    }

    fn run(&self, number: u64, params: &Params) -> Run {
        self.engine.study.trial(self.approach, &self.records, number, params.clone())
    }
}

impl Job for Runs<'_> {
    fn identity(&self) -> Json {
        // The id of the run before anything is searched: it stands for data, recipe, start and seed.
        json!({ "approach": self.approach.name, "run": self.run(0, &Params::new()).id() })
    }

    fn folder(&self, number: u64, params: &Params) -> PathBuf {
        run_folder(&self.engine.out, self.run(number, params).id().unwrap_or("unsettled"))
    }

    fn begin(&self, number: u64, params: &Params, lock: File) -> Result<Begun<'_>, Error> {
        let run = self.run(number, params);
        let settings = run.settings.as_ref().ok_or_else(|| Error::Search {
            key: run.to_string(),
            reason: "what it begins from is not there any more".into(),
        })?;
        let file = self.engine.write_settings(settings)?;
        let folder = run_folder(&self.engine.out, &settings.id);
        enter(&folder)?;
        let reading = RunReading { folder: folder.clone(), job: self, told: 0 };
        // One that ended just before its worker was killed has its result already.
        let done = RunResult::read(&folder).is_ok();
        let running = (!done).then(|| self.engine.program.start(&file, &folder, lock)).transpose()?;
        Ok((running, Box::new(reading)))
    }

    fn again(&self, _: u64, params: &Params) -> String {
        let line = |(name, value): (&String, &scarf_hpo::Value)| format!("{name} = {}\n", toml_value(value));
        format!("[approach.{}.recipe]\n{}", self.approach.name, params.iter().map(line).collect::<String>())
    }

    fn discard(&self, folder: &Path) {
        crate::going::discard(folder);
    }
}

struct RunReading<'a> {
    folder: PathBuf,
    job: &'a Runs<'a>,
    /// The last epoch that was told.
    told: u64,
}

impl RunReading<'_> {
    /// The objective after each epoch that measured it.
    fn measured(&self) -> Vec<(u64, f64)> {
        curve(&Epoch::read_all(&self.folder), &self.job.objective, None)
    }
}

impl Reading for RunReading<'_> {
    fn line(&mut self, _: &str) {}

    fn reports(&mut self) -> Vec<(u64, f64)> {
        let fresh: Vec<(u64, f64)> =
            self.measured().into_iter().filter(|(epoch, _)| *epoch > self.told).collect();
        self.told = fresh.last().map_or(self.told, |(epoch, _)| *epoch);
        fresh
    }

    fn outcome(&mut self) -> Result<Outcome, String> {
        let result = RunResult::read(&self.folder)?;
        let value = result.objective(&self.folder, &self.job.objective, self.job.direction)?;
        let scores = result.val.as_ref().map(|val| NUMBERS.iter().zip(val.numbers.0));
        let named = |(name, value): (&&str, f64)| (format!("val/{name}"), value);
        let mut metrics: Vec<(String, f64)> =
            scores.into_iter().flatten().filter(|(_, value)| *value >= 0.0).map(named).collect();
        if let Some(last) = Epoch::read_all(&self.folder).pop() {
            metrics.extend(last.values.into_iter().filter(|(name, _)| name.starts_with("train/")));
        }
        let seconds = Some(result.seconds.total);
        Ok(Outcome { value: Some(value), pruned: false, seconds, metrics })
    }
}
