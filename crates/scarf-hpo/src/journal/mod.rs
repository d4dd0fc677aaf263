//! A search in a file that several workers share.
//!
//! The file is Optuna's journal (`JournalFileBackend`): Optuna 5 and optuna-dashboard open it. It is only appended to,
//! a whole record at a time, under a lock that falls with its holder; half a record that a killed process left is cut
//! off by the next. A trial belongs to a worker by a lease, which heartbeats and reports renew; one whose lease ran
//! out is taken up by whoever asks next, under its number and with its hyperparameters.

mod error;
mod file;
mod record;
mod replay;

pub use error::JournalError;

use crate::{Direction, History, Params, Sampler, Space, Trial, TrialState};
use file::{Lines, Lock};
use record::op;
use replay::Replay;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

/// One worker's hold on a search in a journal.
#[derive(Debug)]
pub struct Journal {
    lines: Lines,
    replay: Replay,
    name: String,
    study: u64,
    direction: Direction,
    space: Space,
    worker: String,
    lease: Duration,
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Run this trial.
    Run(Task),
    /// All trials are given out, but not all are finished: ask again later, in case a worker dies.
    Wait,
    /// All trials are finished.
    Done,
}

/// A trial to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The trial's number.
    pub number: u64,
    /// Its hyperparameters.
    pub params: Params,
    /// Whether a worker that is gone began it. What it had reported is still there.
    pub resumed: bool,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// The objective; a trial without a finite one has failed, unless it was pruned.
    pub value: Option<f64>,
    /// Whether it was stopped early. Its objective is then the last one it reported.
    pub pruned: bool,
    /// Seconds that it took.
    pub seconds: Option<f64>,
    /// Other metrics, by name; one that is called [`Outcome::SECONDS`] is passed over.
    pub metrics: Vec<(String, f64)>,
}

impl Outcome {
    /// What the time that a trial took is called in the file, where the metrics are, too.
    pub const SECONDS: &str = record::SECONDS;
}

impl Journal {
    /// Opens the search `name` in the journal at `path`; both are made where they are not there.
    ///
    /// `lease` is how long a trial stays with a worker that gives no sign of life: some times the interval of its
    /// heartbeats, and more than the clocks of the workers' machines differ.
    ///
    /// # Errors
    /// Where the file cannot be used or is no journal, or has the search with the other direction.
    pub fn open(
        path: &Path,
        name: &str,
        space: Space,
        direction: Direction,
        lease: Duration,
    ) -> Result<Self, JournalError> {
        let lines = Lines::open(path)?;
        // Two may be opened within a millisecond by one process.
        static OPENED: AtomicU64 = AtomicU64::new(0);
        let opened = OPENED.fetch_add(1, Ordering::Relaxed);
        let worker = format!("scarf-{}-{:x}-{opened}", std::process::id(), record::now_ms());
        let replay = Replay::default();
        let mut journal =
            Self { lines, replay, name: name.into(), study: 0, direction, space, worker, lease };
        journal.locked(|journal| {
            if journal.replay.study(name).is_none() {
                let fields = json!({"study_name": name, "directions": [record::direction_code(direction)]});
                let mut records = vec![record::line(op::CREATE_STUDY, &journal.worker, fields)];
                let (id, space) = (journal.replay.next_study(), json!(journal.space.clone()).to_string());
                let fields = json!({"study_id": id, "user_attr": {"scarf:space": space}});
                records.push(record::line(op::SET_STUDY_USER_ATTR, &journal.worker, fields));
                return Ok((records, ()));
            }
            Ok((Vec::new(), ()))
        })?;
        let found = journal.replay.study(name).map(|(id, study)| (id, study.directions.clone()));
        match found {
            Some((id, directions)) if directions == [record::direction_code(direction)] => journal.study = id,
            _ => return Err(JournalError::Direction { path: path.into(), name: name.into() }),
        }
        Ok(journal)
    }

    /// The trials of the search `name` in the journal at `path`, by number: a look from outside, which writes nothing.
    ///
    /// # Errors
    /// Where the file cannot be read, is no journal, or has no search of that name.
    pub fn read(path: &Path, name: &str) -> Result<Vec<Trial>, JournalError> {
        let mut replay = Replay::default();
        Lines::to_read(path)?.read(|text| record::parse(text).and_then(|record| replay.apply(&record)))?;
        let study = replay.study(name);
        let absent = || JournalError::Absent { path: path.into(), name: name.into() };
        study.map(|(_, study)| study.trials.clone()).ok_or_else(absent)
    }

    /// Reads what other workers have added.
    ///
    /// # Errors
    /// Where the file cannot be read, or a line of it is no record.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        let replay = &mut self.replay;
        self.lines.read(|text| record::parse(text).and_then(|record| replay.apply(&record)))
    }

    /// The trials as of the last [`Journal::sync`] or other call, by number.
    pub fn trials(&self) -> &[Trial] {
        self.replay.by_id(self.study).map_or(&[], |study| &study.trials)
    }

    /// The trials and the direction, for samplers and pruners.
    pub fn history(&self) -> History<'_> {
        History::new(self.direction, self.trials())
    }

    /// This worker's name in the file.
    pub fn worker(&self) -> &str {
        &self.worker
    }

    /// The next trial to run: one whose worker is gone, or a new one of `sampler` with the search's `seed`, while there
    /// are fewer than `most`.
    ///
    /// # Errors
    /// As [`Journal::sync`], or where the file cannot be written, or the search was deleted from it.
    pub fn ask(&mut self, sampler: &dyn Sampler, seed: u64, most: Option<u64>) -> Result<Ask, JournalError> {
        self.locked(|journal| {
            if journal.replay.by_id(journal.study).is_none() {
                let (path, name) = (journal.lines.path.clone(), journal.name.clone());
                return Err(JournalError::Deleted { path, name });
            }
            let now = record::now_ms();
            let lost = journal.leased().find(|(trial, lease)| {
                trial.state == TrialState::Running && lease.is_some_and(|lease| lease.until <= now)
            });
            if let Some((trial, _)) = lost {
                let task = Task { number: trial.number, params: trial.params.clone(), resumed: true };
                return Ok((vec![journal.renewal(task.number, journal.lease)?], Ask::Run(task)));
            }
            let number = journal.trials().len() as u64;
            if most.is_some_and(|most| number >= most) {
                // A trial that no worker of ours has is Optuna's affair, and may never end.
                let all = journal.leased().all(|(trial, lease)| trial.state.is_finished() || lease.is_none());
                return Ok((Vec::new(), if all { Ask::Done } else { Ask::Wait }));
            }
            let params = sampler.suggest(&journal.space, journal.history(), seed, number);
            let trial = Trial::new(number, params);
            let fields =
                record::creation(journal.study, &journal.space, &trial, &journal.lease_of(journal.lease));
            let record = record::line(op::CREATE_TRIAL, &journal.worker, fields);
            Ok((vec![record], Ask::Run(Task { number, params: trial.params, resumed: false })))
        })
    }

    /// Records the objective at a step of a trial, and renews its lease.
    ///
    /// # Errors
    /// As [`Journal::ask`]; [`JournalError::LeaseLost`] where the trial is no longer this worker's.
    pub fn report(&mut self, number: u64, step: u64, value: f64) -> Result<(), JournalError> {
        self.locked(|journal| {
            let id = journal.owned(number)?;
            let fields = json!({"trial_id": id, "step": step, "intermediate_value": record::number(value)});
            let report = record::line(op::SET_TRIAL_INTERMEDIATE_VALUE, &journal.worker, fields);
            Ok((vec![report, journal.renewal(number, journal.lease)?], ()))
        })
    }

    /// Renews the lease of a trial.
    ///
    /// # Errors
    /// As [`Journal::report`].
    pub fn heartbeat(&mut self, number: u64) -> Result<(), JournalError> {
        self.locked(|journal| {
            journal.owned(number)?;
            Ok((vec![journal.renewal(number, journal.lease)?], ()))
        })
    }

    /// Gives a trial back: whoever asks next takes it up at once, as if its worker had died.
    ///
    /// # Errors
    /// As [`Journal::report`].
    pub fn release(&mut self, number: u64) -> Result<(), JournalError> {
        self.locked(|journal| {
            journal.owned(number)?;
            Ok((vec![journal.renewal(number, Duration::ZERO)?], ()))
        })
    }

    /// Renews the lease of a trial from a thread of its own, three times a lease, until the value is dropped.
    ///
    /// # Errors
    /// Where the file cannot be opened once more.
    pub fn keep_alive(&self, number: u64) -> Result<KeepAlive, JournalError> {
        let mut twin = Self {
            lines: Lines::open(&self.lines.path)?,
            replay: Replay::default(),
            name: self.name.clone(),
            study: self.study,
            direction: self.direction,
            space: self.space.clone(),
            worker: self.worker.clone(),
            lease: self.lease,
        };
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            // A trial that is lost, or a file that fails, shows when its end is told.
            while stopped.recv_timeout(twin.lease / 3) == Err(mpsc::RecvTimeoutError::Timeout) {
                if twin.heartbeat(number).is_err() {
                    return;
                }
            }
        });
        Ok(KeepAlive { stop: Some(stop), thread: Some(thread) })
    }

    /// Records how a trial ended.
    ///
    /// # Errors
    /// As [`Journal::report`].
    pub fn tell(&mut self, number: u64, outcome: &Outcome) -> Result<(), JournalError> {
        self.locked(|journal| {
            let id = journal.owned(number)?;
            let attributes = outcome.seconds.map(|seconds| (Outcome::SECONDS.to_string(), seconds));
            let metrics = outcome.metrics.iter().filter(|(name, _)| name != Outcome::SECONDS);
            let mut records: Vec<String> = attributes
                .into_iter()
                .chain(metrics.cloned())
                .map(|(name, value)| {
                    let fields = json!({"trial_id": id, "user_attr": {name: record::number(value)}});
                    record::line(op::SET_TRIAL_USER_ATTR, &journal.worker, fields)
                })
                .collect();
            let last = journal.trials().get(number as usize).and_then(Trial::last).map(|(_, value)| value);
            let value = if outcome.pruned { outcome.value.or(last) } else { outcome.value };
            let value = value.filter(|value| value.is_finite());
            let state = match (outcome.pruned, value) {
                (true, _) => TrialState::Pruned,
                (false, Some(_)) => TrialState::Complete,
                (false, None) => TrialState::Failed,
            };
            let fields = json!({
                "trial_id": id, "state": record::state_code(state), "values": value.map(|value| [value]),
                "datetime_complete": record::now(),
            });
            records.push(record::line(op::SET_TRIAL_STATE_VALUES, &journal.worker, fields));
            Ok((records, ()))
        })
    }

    /// Under the lock: reads what is new, appends the records that `decide` gives, and takes them in.
    fn locked<T>(
        &mut self,
        decide: impl FnOnce(&Self) -> Result<(Vec<String>, T), JournalError>,
    ) -> Result<T, JournalError> {
        // The lock borrows a handle of its own, for the reading changes this one's place.
        let holder = Lines::open(&self.lines.path)?;
        let lock: Lock<'_> = holder.lock()?;
        self.sync()?;
        let (records, answer) = decide(self)?;
        if !records.is_empty() {
            holder.append(&lock, &records)?;
            self.sync()?;
        }
        Ok(answer)
    }

    /// The id in the file of a trial that is running and this worker's.
    fn owned(&self, number: u64) -> Result<usize, JournalError> {
        let held = |(trial, lease): &(&Trial, Option<&replay::Lease>)| {
            trial.number == number
                && trial.state == TrialState::Running
                && lease.is_some_and(|lease| lease.worker == self.worker)
        };
        self.leased().find(held).ok_or(JournalError::LeaseLost { number })?;
        self.replay.id(self.study, number).ok_or(JournalError::LeaseLost { number })
    }

    fn renewal(&self, number: u64, lease: Duration) -> Result<String, JournalError> {
        let id = self.replay.id(self.study, number).ok_or(JournalError::LeaseLost { number })?;
        let fields = json!({"trial_id": id, "system_attr": {record::LEASE: self.lease_of(lease)}});
        Ok(record::line(op::SET_TRIAL_SYSTEM_ATTR, &self.worker, fields))
    }

    fn lease_of(&self, lease: Duration) -> Json {
        let lease = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        json!({"worker": self.worker, "until": record::now_ms().saturating_add(lease)})
    }

    /// The trials and who has them, by number.
    fn leased(&self) -> impl Iterator<Item = (&Trial, Option<&replay::Lease>)> {
        let study = self.replay.by_id(self.study);
        study.into_iter().flat_map(|study| study.trials.iter().zip(study.leases.iter().map(Option::as_ref)))
    }
}

/// Heartbeats until it is dropped.
#[derive(Debug)]
pub struct KeepAlive {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
