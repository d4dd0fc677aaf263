//! One worker: it asks the journal for a trial, has it done, and tells how it ended, until the search is over.

use super::job::Reading;
use super::{ALL_FAILED, Keep, Over, TuneWatch, Tuner};
use crate::engine::{PATIENCE, lock, remember};
use crate::error::Error;
use crate::files::write_atomic;
use crate::program::{Running, Step, told};
use scarf_hpo::{
    AnyPruner, Ask, Completion, Journal, JournalError, Outcome, Pruner, Reason, Spent, Task, Trial,
    TrialState,
};
use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The file in a trial's folder that says why it failed.
pub(super) const WHY: &str = "error.txt";

/// All workers of a process tell one watcher.
pub(super) type Shared<'w> = Mutex<&'w mut (dyn TuneWatch + 'w)>;

struct Worker<'a, 'w> {
    tuner: &'a Tuner<'a>,
    index: usize,
    journal: Journal,
    stop: &'a AtomicBool,
    watch: &'a Shared<'w>,
    /// Trials whose models have been removed.
    discarded: BTreeSet<u64>,
}

/// How a process ended.
enum End {
    /// By itself.
    Exit(ExitStatus),
    /// It was stopped, for it did not promise.
    Pruned,
    /// Somebody stopped the search.
    Stopped,
}

/// Works until the search is over.
pub(super) fn work(
    tuner: &Tuner<'_>,
    index: usize,
    stop: &AtomicBool,
    watch: &Shared<'_>,
) -> Result<Over, Error> {
    let journal = tuner.journal()?;
    let mut worker = Worker { tuner, index, journal, stop, watch, discarded: BTreeSet::new() };
    let (search, begun) = (tuner.search, Instant::now());
    let sampler = search.sampler();
    let most = search.most();
    let end = Completion { trials: most, ..search.stop };
    while !stop.load(Ordering::Relaxed) {
        worker.journal.sync()?;
        let seconds = begun.elapsed().as_secs_f64();
        let spent = Spent { seconds, dollars_per_hour: search.dollars_per_hour };
        if let Some(reason) = end.reached(&search.space, worker.journal.history(), spent) {
            return Ok(Over::Reason(if reason == Reason::Trials { search.full() } else { reason }));
        }
        match worker.journal.ask(sampler.as_ref(), search.seed, most)? {
            Ask::Done => return Ok(Over::Reason(search.full())),
            Ask::Wait => std::thread::sleep(PATIENCE),
            Ask::Run(task) => match worker.trial(&task) {
                Err(Error::Journal(JournalError::LeaseLost { number })) => {
                    worker.note(&format!("trial {} was taken up by another worker", number + 1));
                }
                Err(error) => {
                    // What went wrong is not the trial's fault.
                    let _ = worker.journal.release(task.number);
                    return Err(error);
                }
                Ok(()) => {}
            },
        }
    }
    Ok(Over::Interrupted)
}

impl Worker<'_, '_> {
    /// Has one trial done, and tells how it ended.
    fn trial(&mut self, task: &Task) -> Result<(), Error> {
        let (tuner, index, number) = (self.tuner, self.index, task.number);
        self.tell_watch(|watch| watch.begins(index, number, &task.params, task.resumed));
        let folder = tuner.job.folder(number, &task.params);
        let alive = self.journal.keep_alive(number)?;
        let begun = Instant::now();
        let outcome = match self.lock(&folder, number)? {
            None => None,
            Some(lock) => {
                let (running, mut reading) = tuner.job.begin(number, &task.params, lock)?;
                self.outcome(number, running, reading.as_mut())?
            }
        };
        drop(alive);
        let Some(outcome) = outcome else { return Ok(self.journal.release(number)?) };
        let why = outcome.as_ref().err().cloned();
        if let Some(why) = &why {
            write_atomic(&folder.join(WHY), why.as_bytes())?;
        }
        let mut outcome = outcome.unwrap_or_default();
        outcome.seconds.get_or_insert(begun.elapsed().as_secs_f64());
        self.journal.tell(number, &outcome)?;
        self.ended(number, why)
    }

    /// What came of a trial, or why it failed; `None` where the search was stopped before.
    fn outcome(
        &mut self,
        number: u64,
        running: Option<Running>,
        reading: &mut dyn Reading,
    ) -> Result<Option<Result<Outcome, String>>, Error> {
        let Some(mut running) = running else {
            self.report(number, reading)?;
            return Ok(Some(reading.outcome()));
        };
        let mut last = VecDeque::new();
        let end = self.follow(number, &mut running, reading, &mut last);
        if !matches!(end, Ok(End::Exit(_))) {
            running.kill();
        }
        Ok(match end? {
            End::Stopped => None,
            End::Pruned => Some(Ok(Outcome { pruned: true, ..Outcome::default() })),
            End::Exit(status) if status.success() => Some(reading.outcome()),
            End::Exit(status) => match told(status) {
                Some(told) => Some(Err(std::iter::once(told).chain(last).collect::<Vec<_>>().join(" | "))),
                // Somebody at the keyboard ended it: the search is to end, too.
                None => {
                    self.stop.store(true, Ordering::Relaxed);
                    None
                }
            },
        })
    }

    /// Follows a process to its end, or to where it is to be ended.
    fn follow(
        &mut self,
        number: u64,
        running: &mut Running,
        reading: &mut dyn Reading,
        last: &mut VecDeque<String>,
    ) -> Result<End, Error> {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(End::Stopped);
            }
            let step =
                running.step(PATIENCE).map_err(Error::io(Path::new("a trial"), "cannot be waited for"))?;
            if let Step::Line(line) = &step {
                reading.line(line);
                remember(last, line);
            }
            let promises = self.report(number, reading)?;
            match step {
                Step::Ended(status) => return Ok(End::Exit(status)),
                _ if !promises => return Ok(End::Pruned),
                _ => {}
            }
        }
    }

    /// Puts what a trial has measured into the journal. Whether it promises still.
    fn report(&mut self, number: u64, reading: &mut dyn Reading) -> Result<bool, Error> {
        let mut promises = true;
        for (step, value) in reading.reports() {
            self.journal.report(number, step, value)?;
            let index = self.index;
            self.tell_watch(|watch| watch.reports(index, number, step, value));
            promises &= self.promises(number);
        }
        Ok(promises)
    }

    fn promises(&self, number: u64) -> bool {
        let history = self.journal.history();
        let Some(trial) = history.trials.get(number as usize) else { return true };
        !self.tuner.search.pruner.as_ref().is_some_and(|pruner: &AnyPruner| pruner.prune(trial, history))
    }

    /// After the end of a trial: tells of it, and keeps the best model alone.
    fn ended(&mut self, number: u64, why: Option<String>) -> Result<(), Error> {
        self.journal.sync()?;
        let (history, index) = (self.journal.history(), self.index);
        if let Some(trial) = history.trials.get(number as usize) {
            self.tell_watch(|watch| watch.ends(index, trial, history, why.as_deref()));
        }
        if self.tuner.keep == Keep::Best {
            // Trials of the same hyperparameters have one folder: the best one's stays, and that of one that goes on.
            let (finished, going): (Vec<&Trial>, Vec<&Trial>) =
                history.trials.iter().partition(|trial| trial.state.is_finished());
            let kept = history.best().into_iter().chain(going);
            let kept: BTreeSet<PathBuf> = kept.map(|trial| self.tuner.folder(trial)).collect();
            for trial in finished {
                let folder = self.tuner.folder(trial);
                if !self.discarded.contains(&trial.number) && !kept.contains(&folder) {
                    self.tuner.job.discard(&folder);
                    self.discarded.insert(trial.number);
                }
            }
        }
        let any = |trial: &Trial| matches!(trial.state, TrialState::Complete | TrialState::Pruned);
        let Some(why) = why else { return Ok(()) };
        let failed = self.tuner.failed.fetch_add(1, Ordering::Relaxed) + 1;
        if failed >= ALL_FAILED && !self.journal.trials().iter().any(any) {
            return Err(Error::AllFailed { trials: failed, why });
        }
        Ok(())
    }

    /// The lock of a trial's folder. A process that was left there by a worker that was killed has it until it ends;
    /// `None` where the search was stopped meanwhile.
    fn lock(&self, folder: &Path, number: u64) -> Result<Option<File>, Error> {
        let path = folder.join(".lock");
        let mut told = false;
        while !self.stop.load(Ordering::Relaxed) {
            if let Some(file) = lock(&path)? {
                return Ok(Some(file));
            }
            if !std::mem::replace(&mut told, true) {
                let who = "is still going on, left by a worker that was killed; waiting for its end";
                self.note(&format!("trial {} {who}", number + 1));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(None)
    }

    fn note(&self, note: &str) {
        self.tell_watch(|watch| watch.note(note));
    }

    fn tell_watch(&self, tell: impl FnOnce(&mut dyn TuneWatch)) {
        // A watcher that panicked has left nothing that others could trip over.
        tell(&mut **self.watch.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
