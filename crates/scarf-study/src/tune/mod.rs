//! Searches whose trials are processes, shared by any number of workers through one journal.
//!
//! A [`Search`] says what is searched and how; a job knows how one trial is begun and what it says of itself: a run of
//! a study, or any program that prints its metric; a [`Tuner`] has the trials done, in as many threads as asked for,
//! and in as many processes as are started on the same folder.

mod command;
mod file;
mod job;
mod runs;
mod warm;
mod worker;

pub use command::{Command, Take};
pub use file::SearchFile;
pub use warm::WarmFrom;

use crate::engine::Engine;
use crate::error::Error;
use crate::files::{read_if_there, write_atomic};
use crate::record::Records;
use crate::study::{Approach, Tune};
use job::Job;
use scarf_hpo::{
    AnyPruner, AnySampler, Completion, Direction, History, Journal, Params, Reason, Sampler, Space, Trial,
    WarmStart, Warmed,
};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What is searched, and how.
#[derive(Debug, Clone)]
pub struct Search {
    /// Its name: in the journal, and of its files.
    pub name: String,
    /// What may be chosen.
    pub space: Space,
    /// How trials are chosen.
    pub sampler: AnySampler,
    /// The sampler's seed.
    pub seed: u64,
    /// The earlier searches it builds upon, and what they know.
    pub warm_start: Option<(WarmFrom, WarmStart)>,
    /// The objective's name.
    pub objective: String,
    /// Whether less of it is better.
    pub direction: Direction,
    /// What stops trials that do not promise.
    pub pruner: Option<AnyPruner>,
    /// When the search is over. Its trials are no more than [`Search::most`].
    pub stop: Completion,
    /// What an hour of one trial costs, in US dollars; 0 where that is of no interest.
    pub dollars_per_hour: f64,
}

impl Search {
    /// The search of an approach of a study, at its price of an hour.
    pub fn of(approach: &Approach, tune: &Tune, dollars_per_hour: f64) -> Self {
        Self {
            name: approach.name.clone(),
            space: tune.space.clone(),
            sampler: tune.sampler.clone(),
            seed: tune.seed,
            warm_start: None,
            objective: tune.objective.name(),
            direction: tune.direction,
            pruner: tune.pruner.clone(),
            stop: Completion { trials: Some(tune.trials), ..Completion::default() },
            dollars_per_hour,
        }
    }

    /// Builds upon earlier searches.
    ///
    /// # Errors
    /// As [`WarmFrom::read`].
    pub fn build_upon(&mut self, from: WarmFrom) -> Result<(), Error> {
        let known = from.read(&self.space, self.direction, &self.objective)?;
        self.warm_start = Some((from, known));
        Ok(())
    }

    /// How many trials there are at most: as many as it is to have, and of a grid one for each combination.
    pub fn most(&self) -> Option<u64> {
        self.stop.trials.into_iter().chain(self.sampler.combinations(&self.space)).min()
    }

    /// What ends it once there are as many.
    fn full(&self) -> Reason {
        if self.most() == self.stop.trials { Reason::Trials } else { Reason::Combinations }
    }

    /// The sampler, with what it is to know beforehand.
    fn sampler(&self) -> Box<dyn Sampler + '_> {
        match &self.warm_start {
            Some((_, start)) => Box::new(Warmed { start, sampler: &self.sampler }),
            None => Box::new(self.sampler.clone()),
        }
    }

    /// The trials there are, with the direction.
    pub fn history<'t>(&self, trials: &'t [Trial]) -> History<'t> {
        History::new(self.direction, trials)
    }
}

/// Is told what goes on, by all workers of a process in turn. Workers count from 0.
pub trait TuneWatch: Send {
    /// A worker begins a trial, or takes up one whose worker is gone.
    fn begins(&mut self, worker: usize, trial: u64, params: &Params, resumed: bool);
    /// A trial has measured its objective on the way.
    fn reports(&mut self, worker: usize, trial: u64, step: u64, value: f64);
    /// A trial has ended; `history` holds it, and `err` says why it failed.
    fn ends(&mut self, worker: usize, trial: &Trial, history: History<'_>, err: Option<&str>);
    /// Something else worth a line.
    fn note(&mut self, note: &str);
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// A criterion of it was met.
    Reason(Reason),
    /// Somebody stopped it; the next call goes on.
    Interrupted,
}

/// What became of the files of trials that are not the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Their models are removed.
    Best,
    /// They stay.
    All,
}

/// Has the trials of a search done. Its folder holds `NAME.journal`, `NAME.json` (what the search is), and the
/// trials' folders.
pub struct Tuner<'a> {
    search: &'a Search,
    job: Box<dyn Job + 'a>,
    out: PathBuf,
    keep: Keep,
    lease: Duration,
    /// Trials that failed in this process.
    failed: AtomicU64,
}

/// So many failures, with nothing else, end a search: something is wrong with all of it.
const ALL_FAILED: u64 = 3;

impl<'a> Tuner<'a> {
    /// A search over the runs of an approach. What they begin from must be there ([`Engine::prepare`]).
    ///
    /// `lease` is how long a trial stays with a worker that gives no sign of life; see [`Journal::open`].
    ///
    /// # Errors
    /// Where the program refuses the settings of a trial, or what it begins from has failed.
    pub fn runs(
        search: &'a Search,
        engine: &'a Engine<'a>,
        approach: &'a Approach,
        records: Records,
        keep: Keep,
        lease: Duration,
    ) -> Result<Self, Error> {
        let job = runs::Runs::new(search, engine, approach, records);
        job.check(&search.sampler().suggest(
            &search.space,
            History::empty(search.direction),
            search.seed,
            0,
        ))?;
        let failed = AtomicU64::new(0);
        Ok(Self { search, job: Box::new(job), out: engine.out.clone(), keep, lease, failed })
    }

    /// A search over calls of a command, in the folder `out`.
    ///
    /// # Errors
    /// Where the command does not fit the space, or `out` cannot be made absolute.
    pub fn command(
        search: &'a Search,
        command: &'a Command,
        out: &Path,
        keep: Keep,
        lease: Duration,
    ) -> Result<Self, Error> {
        command.check(&search.space)?;
        let out = std::path::absolute(out).map_err(Error::io(out, "is no path"))?;
        let job = command::Calls { command, name: &search.name, out: out.clone(), seed: search.seed };
        Ok(Self { search, job: Box::new(job), out, keep, lease, failed: AtomicU64::new(0) })
    }

    /// Whether the search has begun already.
    pub fn has_begun(&self) -> bool {
        self.journal_path().is_file()
    }

    /// The file that all workers share.
    pub fn journal_path(&self) -> PathBuf {
        self.out.join(format!("{}.journal", self.search.name))
    }

    /// The folder of a trial.
    pub fn folder(&self, trial: &Trial) -> PathBuf {
        self.job.folder(trial.number, &trial.params)
    }

    /// The trials so far.
    ///
    /// # Errors
    /// Where the journal cannot be read.
    pub fn trials(&self) -> Result<Vec<Trial>, Error> {
        let mut journal = self.journal()?;
        journal.sync()?;
        Ok(journal.trials().to_vec())
    }

    /// How a trial is done again: its command, or its hyperparameters as a study file writes them.
    pub fn again(&self, trial: &Trial) -> String {
        self.job.again(trial.number, &trial.params)
    }

    /// Why a trial failed, as far as that is known.
    pub fn why(&self, trial: &Trial) -> Option<String> {
        std::fs::read_to_string(self.folder(trial).join(worker::WHY)).ok()
    }

    /// Does trials with so many workers until the search is over, or `stop` is set: then the trials that are going on
    /// are given back, for the next call to take up.
    ///
    /// # Errors
    /// Where the folder holds another search, the machine does not do as it should, or the first trials all fail.
    pub fn run<'w>(
        &self,
        workers: usize,
        stop: &AtomicBool,
        watch: &'w mut (dyn TuneWatch + 'w),
    ) -> Result<Over, Error> {
        self.identify()?;
        if let Some((from, known)) = &self.search.warm_start {
            let (trials, searches) = (known.trials().len(), from.from.len());
            watch.note(&format!("builds upon {trials} trials of {searches} earlier searches"));
        }
        let watch = Mutex::new(watch);
        let ends: Vec<Result<Over, Error>> = std::thread::scope(|scope| {
            let work = |index| {
                let watch = &watch;
                scope.spawn(move || {
                    let end = worker::work(self, index, stop, watch);
                    if end.is_err() {
                        stop.store(true, Ordering::Relaxed);
                    }
                    end
                })
            };
            let threads: Vec<_> = (0..workers.max(1)).map(work).collect();
            threads.into_iter().map(|thread| thread.join().expect("a worker does not panic")).collect()
        });
        let mut over = Over::Interrupted;
        for end in ends {
            if let Over::Reason(reason) = end? {
                over = Over::Reason(reason);
            }
        }
        Ok(over)
    }

    fn journal(&self) -> Result<Journal, Error> {
        let search = self.search;
        let path = self.journal_path();
        Ok(Journal::open(&path, &search.name, search.space.clone(), search.direction, self.lease)?)
    }

    /// The same search as before may go on; another one would mix its trials with those that are there.
    fn identify(&self) -> Result<(), Error> {
        let path = self.out.join(format!("{}.json", self.search.name));
        let mut own = json!({
            "space": self.search.space, "objective": self.search.objective, "direction": self.search.direction,
            "warm_start": self.search.warm_start.as_ref().map(|(from, _)| from.identity()),
        });
        if let (Json::Object(own), Json::Object(job)) = (&mut own, self.job.identity()) {
            own.extend(job);
        }
        let Some(text) = read_if_there(&path)? else {
            return write_atomic(&path, format!("{own:#}\n").as_bytes());
        };
        let known: Json = serde_json::from_str(&text)
            .map_err(|error| Error::Parse { path: path.clone(), message: error.to_string() })?;
        let fields = own.as_object().into_iter().flatten();
        match fields.into_iter().find(|(key, value)| known.get(*key).unwrap_or(&Json::Null) != *value) {
            Some((what, _)) => Err(Error::OtherSearch { path, what: what.clone() }),
            None => Ok(()),
        }
    }
}
