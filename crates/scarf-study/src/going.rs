//! One run while it goes on: from its folder's lock to its end.

use crate::Error;
use crate::contest::{Contest, Stopped};
use crate::engine::{PATIENCE, Watch, complete, lock, remember};
use crate::judge::forget;
use crate::plan::Run;
use crate::program::{Program, Running, Step, told};
use crate::result::{Epoch, RunResult};
use crate::settings::Settings;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// So many lines of a run are read before others are looked at.
const LINES: usize = 1000;

/// A run that goes on.
pub(crate) struct Going {
    pub(crate) run: Run,
    pub(crate) settings: Settings,
    folder: PathBuf,
    /// When it began for the first time.
    pub(crate) started: String,
    phase: Phase,
    pub(crate) begun: Instant,
    /// When it was looked at last.
    looked: Instant,
    /// The part of the time since it began that was others', who ran beside it.
    others: Duration,
    /// Epochs that were told.
    epochs: usize,
    /// What may stop it.
    contest: Option<Contest>,
    /// That it is to stop.
    stopped: Option<Stopped>,
    /// What it printed last.
    last: VecDeque<String>,
}

/// How a run ended well.
pub(crate) enum Ended {
    /// By itself.
    Whole(Box<RunResult>),
    /// Its search stopped it.
    Stopped(Stopped),
}

/// Where it stands.
enum Phase {
    /// Its folder is to be locked first. A process that was left there by a study that was killed has it until it ends.
    Locked(Start),
    /// Its process is going on.
    Runs(Running),
    /// It has ended.
    Over,
}

/// How it is started.
pub(crate) struct Start {
    program: Program,
    /// Its settings.
    file: PathBuf,
    /// Whether somebody was told that it is waited for.
    told: bool,
}

impl Start {
    pub(crate) fn new(program: Program, file: PathBuf) -> Self {
        Self { program, file, told: false }
    }
}

impl Going {
    /// A run that begins now, in its folder; a trial of a search that stops some has its contest.
    pub(crate) fn new(
        run: Run,
        settings: Settings,
        folder: PathBuf,
        started: String,
        start: Start,
        contest: Option<Contest>,
    ) -> Self {
        let now = Instant::now();
        Self {
            run,
            settings,
            folder,
            started,
            phase: Phase::Locked(start),
            begun: now,
            looked: now,
            others: Duration::ZERO,
            epochs: 0,
            contest,
            stopped: None,
            last: VecDeque::new(),
        }
    }

    /// Looks what it does, for a while; what came of it once it has ended. `among` so many runs the machine is shared.
    pub(crate) fn look(
        &mut self,
        among: usize,
        watch: &mut dyn Watch,
    ) -> Result<Option<Result<Ended, String>>, Error> {
        let patience = PATIENCE / among as u32;
        let outcome = match &mut self.phase {
            Phase::Over => None,
            Phase::Locked(start) => match lock(&self.folder.join(".lock"))? {
                // A study that was killed between the end of a run and its record has the result already.
                Some(lock) => match RunResult::read(&self.folder) {
                    Ok(result) if complete(&result, &self.settings).is_ok() => Some(Ok(result)),
                    _ => {
                        forget(&self.folder)?;
                        self.phase = Phase::Runs(start.program.start(&start.file, &self.folder, lock)?);
                        None
                    }
                },
                None => {
                    if !std::mem::replace(&mut start.told, true) {
                        let who = "is still going on, left by a study that was killed; waiting for its end";
                        watch.note(&format!("{} {who}", self.run));
                    }
                    std::thread::sleep(patience);
                    None
                }
            },
            Phase::Runs(running) => {
                let (mut patience, mut ended) = (patience, None);
                for _ in 0..LINES {
                    let step = running.step(patience);
                    match step.map_err(Error::io(&self.folder, "its run cannot be waited for"))? {
                        Step::Line(line) => {
                            watch.line(&self.run, &line);
                            remember(&mut self.last, &line);
                        }
                        Step::Quiet => break,
                        Step::Ended(status) => {
                            ended = Some(status);
                            break;
                        }
                    }
                    // What it has printed meanwhile, too, and no more.
                    patience = Duration::ZERO;
                }
                ended.map(|status| self.ended(status)).transpose()?
            }
        };
        let mut outcome = outcome.map(|outcome| outcome.map(|result| Ended::Whole(Box::new(result))));
        let all = Epoch::read_all(&self.folder);
        for epoch in all.iter().skip(self.epochs) {
            watch.epoch(&self.run, epoch);
            if self.stopped.is_none() {
                self.stopped = self.contest.as_mut().and_then(|contest| contest.judge(epoch));
            }
        }
        self.epochs = all.len();
        // That it was to stop counts even where it got further before anybody looked: it must not hang on that. Somebody
        // else's process is left alone until it has ended.
        let others = outcome.is_none() && matches!(self.phase, Phase::Locked(_));
        if let Some(stopped) = self.stopped.filter(|_| !others) {
            self.kill();
            discard(&self.folder);
            outcome = Some(Ok(Ended::Stopped(stopped)));
        }
        watch.tick(&self.run, self.begun.elapsed());
        self.others += self.looked.elapsed() * (among as u32 - 1) / among as u32;
        self.looked = Instant::now();
        if outcome.is_some() {
            self.phase = Phase::Over;
        }
        Ok(outcome)
    }

    fn ended(&self, status: ExitStatus) -> Result<Result<RunResult, String>, Error> {
        if status.success() {
            return Ok(RunResult::read(&self.folder));
        }
        let Some(told) = told(status) else { return Err(Error::Interrupted) };
        let why: Vec<String> = std::iter::once(told).chain(self.last.iter().cloned()).collect();
        Ok(Err(why.join(" | ")))
    }

    /// The part of its time that was its own, from 0 to 1: 1 where it ran alone.
    pub(crate) fn own_part(&self) -> f64 {
        let elapsed = self.looked.duration_since(self.begun).as_secs_f64();
        if elapsed > 0.0 { 1.0 - (self.others.as_secs_f64() / elapsed).min(1.0) } else { 1.0 }
    }

    pub(crate) fn kill(&mut self) {
        if let Phase::Runs(running) = &mut self.phase {
            running.kill();
        }
    }
}

/// Removes the model and the checkpoint of a run that nobody will need.
pub(crate) fn discard(folder: &Path) {
    // What is not there, or not to be removed, does no harm.
    let _ = std::fs::remove_dir_all(folder.join("checkpoint"));
    let _ = std::fs::remove_file(folder.join("best.safetensors"));
}
