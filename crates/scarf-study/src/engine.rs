//! Has the runs of a study done, one process each.

use crate::contest::{Contest, Stopped, curve};
use crate::estimate::Estimate;
use crate::files::{read_if_there, write_atomic};
use crate::going::{Ended, Going, Start};
use crate::plan::{Kind, Plan, Run, State};
use crate::program::Program;
use crate::record::{Record, Records};
use crate::result::{Epoch, RunResult};
use crate::settings::{InitSetting, Places, Settings, run_folder};
use crate::study::{Objective, Tune};
use crate::when::rfc3339;
use crate::{Approach, Error, Given, How, Study, Weights};
use scarf_hpo::Trial;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Is told what goes on.
pub trait Watch {
    /// A run begins: it is number `position` of `runs`; all that is yet to be done takes `left` seconds.
    fn begins(&mut self, run: &Run, position: usize, runs: usize, left: Option<f64>);
    /// The program printed a line.
    fn line(&mut self, run: &Run, line: &str);
    /// An epoch was done; a run that is resumed tells those from before, too.
    fn epoch(&mut self, run: &Run, epoch: &Epoch);
    /// So much time has passed since a run began, or was waited for.
    fn tick(&mut self, run: &Run, elapsed: Duration);
    /// A run has ended.
    fn ends(&mut self, run: &Run, record: &Record);
    /// Something else worth a line.
    fn note(&mut self, note: &str);
}

/// Has the runs of a study done, in a folder that holds all that comes of them: `records.csv`, and `runs/ID`
/// with what the program wrote.
#[derive(Debug, Clone)]
pub struct Engine<'a> {
    pub(crate) study: &'a Study,
    pub(crate) program: Program,
    pub(crate) out: PathBuf,
    given: Given,
    jobs: usize,
    how: Option<How>,
}

/// How long one waits for a line before one looks at anything else.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);
/// Of what a failed program printed last, this many lines tell why.
const LAST_LINES: usize = 4;
/// The file in a run's folder that tells when it began.
const STARTED: &str = "started";

impl<'a> Engine<'a> {
    /// An engine for `study` in the folder `out`.
    ///
    /// # Errors
    /// Where a path cannot be made absolute.
    pub fn new(study: &'a Study, program: Program, out: &Path, given: &Given) -> Result<Self, Error> {
        let absolute = |path: &Path| std::path::absolute(path).map_err(Error::io(path, "is no path"));
        let given = Given {
            shrink: given.shrink,
            data: given.data.as_deref().map(absolute).transpose()?,
            weights: match &given.weights {
                Some(Weights::Folder(folder)) => Some(Weights::Folder(absolute(folder)?)),
                other => other.clone(),
            },
        };
        Ok(Self { study, program, out: absolute(out)?, given, jobs: 1, how: None })
    }

    /// The same, with so many runs at once. What comes of them is the same; they share the machine's threads, and its
    /// price for as long as they share it.
    pub fn with_jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs.max(1);
        if self.jobs > 1 {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            self.program.threads.get_or_insert((cores / self.jobs).max(1));
        }
        self
    }

    /// The same, leaving a note of how it is run in the folder, beside the text of the study, as soon as it may run there.
    pub fn with_note(mut self, how: How) -> Self {
        self.how = Some(how);
        self
    }

    /// Does all runs that have no record, after a look at their settings. A run that fails leaves a record that
    /// says why, and the others go on. `retry` forgets the records of runs that failed.
    ///
    /// # Errors
    /// Before the first run: where the settings of one are refused, weights are missing, or another study runs in
    /// the folder. Later only where the machine does not do as it should, or somebody interrupts.
    pub fn run(&self, retry: bool, watch: &mut dyn Watch) -> Result<Records, Error> {
        self.run_those(|_| true, retry, watch)
    }

    /// Does what the search of an approach begins from, where that has no record yet.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn prepare(&self, approach: &Approach, watch: &mut dyn Watch) -> Result<Records, Error> {
        let lineage = self.study.lineage(approach);
        let before = |run: &Run| lineage.iter().any(|each| each.name == run.approach);
        let records = Records::read(&records_path(&self.out))?;
        if self.study.plan(&records).runs.iter().any(|run| before(run) && run.state == State::Ready) {
            return self.run_those(before, false, watch);
        }
        Ok(records)
    }

    fn run_those(
        &self,
        wanted: impl Fn(&Run) -> bool,
        retry: bool,
        watch: &mut dyn Watch,
    ) -> Result<Records, Error> {
        let _lock = lock(&self.out.join(".lock"))?.ok_or_else(|| Error::Busy(self.out.clone()))?;
        let path = records_path(&self.out);
        let mut records = Records::read(&path)?;
        if retry {
            records.retain(Record::is_ok);
        }
        let plan = self.study.plan(&records);
        self.door(&plan, &wanted)?;
        if let Some(how) = &self.how {
            let before = How::read(&self.out)?;
            match (records.is_empty(), plan.runs.iter().any(|run| run.is_to_do() && wanted(run))) {
                (true, _) => how.write(&self.out)?,
                (false, true) => how.added_to(&before).write(&self.out)?,
                // What is there stays as it was made.
                (false, false) => How { revision: before.revision, ..how.clone() }.write(&self.out)?,
            }
            write_atomic(&self.out.join("study.toml"), self.study.text.as_bytes())?;
        }
        let mut going: Vec<Going> = Vec::new();
        let done = self.do_all(&mut going, plan, &mut records, &wanted, watch);
        // Whatever went wrong: nobody would hear of what goes on.
        going.iter_mut().for_each(Going::kill);
        done.map(|()| records)
    }

    /// Does what can be done until nothing is left; what goes on when that fails is in `going`. `plan` is that of
    /// `records`.
    fn do_all(
        &self,
        going: &mut Vec<Going>,
        mut plan: Plan,
        records: &mut Records,
        wanted: &impl Fn(&Run) -> bool,
        watch: &mut dyn Watch,
    ) -> Result<(), Error> {
        loop {
            while going.len() < self.jobs {
                let mut ready = plan.runs.iter().filter(|run| run.state == State::Ready && wanted(run));
                let Some(run) = ready.find(|run| going.iter().all(|each| each.run.id() != run.id())) else {
                    break;
                };
                let done =
                    plan.runs.iter().filter(|run| matches!(run.state, State::Done | State::Failed)).count();
                let left = Estimate::new(self.study, &plan, records).left(&plan);
                watch.begins(run, done + going.len() + 1, plan.runs.len(), left);
                going.push(self.begin(run, &plan, records)?);
            }
            if going.is_empty() {
                return Ok(());
            }
            let (among, mut index) = (going.len(), 0);
            while index < going.len() {
                let Some(outcome) = going[index].look(among, watch)? else {
                    index += 1;
                    continue;
                };
                let ended = going.remove(index);
                let record = self.record(&ended, outcome);
                watch.ends(&ended.run, &record);
                records.put(record);
                records.write(&records_path(&self.out))?;
            }
            // Only records change a plan, and samplers that learn take their time over one.
            if going.len() < among {
                plan = self.study.plan(records);
            }
        }
    }

    /// Every planned run whose settings are known has settings that the program takes, and what it begins from is there
    /// if it was trained. What has a result was made with the data that are there.
    fn door(&self, plan: &Plan, wanted: impl Fn(&Run) -> bool) -> Result<(), Error> {
        let mut data = BTreeMap::new();
        for run in plan.runs.iter().filter(|run| run.is_to_do() && wanted(run)) {
            if let Some(InitSetting::Run(id)) = run.settings.as_ref().map(|settings| &settings.init)
                && let Some(base) = plan.get(id).filter(|base| base.state == State::Done)
                && !was_here(&run_folder(&self.out, id))
            {
                let (run, base) = (run.to_string(), base.to_string());
                return Err(Error::NoNetwork { run, base, id: id.clone(), records: records_path(&self.out) });
            }
            let setting = run.settings.as_ref().map(|settings| settings.data.to_string());
            // All runs with one setting have the same data, which may take a while to read.
            let fresh = setting.filter(|setting| !data.contains_key(setting));
            let fingerprint = self.check(run, fresh.is_some())?;
            data.extend(fresh.map(|setting| (setting, fingerprint)));
        }
        // Who only looks at what was made need not have the data.
        for run in plan.runs.iter().filter(|_| self.given.data.is_some()) {
            let Some(settings) = &run.settings else { continue };
            let result = RunResult::read(&run_folder(&self.out, &settings.id)).ok();
            let Some(was) = result.and_then(|result| result.fingerprint) else { continue };
            let now =
                data.entry(settings.data.to_string()).or_insert_with(|| self.check(run, true).ok().flatten());
            if now.as_ref().is_some_and(|now| *now != was) {
                return Err(Error::OtherData { run: run.to_string(), out: self.out.clone() });
            }
        }
        Ok(())
    }

    /// Asks the program whether it takes the settings of a run, where they are known; of its `data`, too, and for their
    /// fingerprint.
    pub(crate) fn check(&self, run: &Run, data: bool) -> Result<Option<String>, Error> {
        let Some(settings) = &run.settings else { return Ok(None) };
        let file = self.write_settings(settings)?;
        let refused = |reason| Error::Refused { run: run.to_string(), reason };
        self.program.check(&file, data)?.map_err(refused)
    }

    pub(crate) fn write_settings(&self, settings: &Settings) -> Result<PathBuf, Error> {
        let mut places = Places {
            out: self.out.clone(),
            data: self.given.data.clone(),
            weights: self.given.weights_folder().map(Path::to_path_buf),
            weights_files: Vec::new(),
        };
        if let InitSetting::Weights(names) = &settings.init {
            for name in names {
                let looked = self.given.weights_file(name);
                match looked.clone().filter(|file| file.is_file()) {
                    Some(file) => places.weights_files.push(file),
                    None => {
                        let (approach, name) = (settings.approach.clone(), name.clone());
                        return Err(Error::NoWeights { approach, name, looked });
                    }
                }
            }
        }
        let file = places.run(&settings.id).join("settings.json");
        let text = format!("{:#}\n", settings.to_json(&places));
        if read_if_there(&file)?.as_deref() != Some(text.as_str()) {
            write_atomic(&file, text.as_bytes())?;
        }
        Ok(file)
    }

    /// Begins a run, or waits for one that goes on already.
    fn begin(&self, run: &Run, plan: &Plan, records: &Records) -> Result<Going, Error> {
        let settings = run.settings.clone().expect("a run that is ready has settings");
        let folder = run_folder(&self.out, &settings.id);
        let file = self.write_settings(&settings)?;
        let started = enter(&folder)?;
        let start = Start::new(self.program.clone(), file);
        Ok(Going::new(run.clone(), settings, folder, started, start, self.contest(run, plan, records)))
    }

    /// The search of an approach, if it has one.
    fn search_of(&self, approach: &str) -> Option<&Tune> {
        self.study.approach(approach)?.tune.as_ref()
    }

    /// What may stop a run: where it is a trial, and its search stops some.
    fn contest(&self, run: &Run, plan: &Plan, records: &Records) -> Option<Contest> {
        let tune = self.search_of(&run.approach)?;
        let (pruner, number, objective) = (tune.pruner.clone()?, run.trial?, tune.objective.name());
        let rival = |other: &Run| {
            let record = records.get(other.id()?).filter(|record| record.is_ok())?;
            let before = other.trial.filter(|other| *other < tune.batch(number))?;
            let mut trial = tune.ended(before, other.params.clone(), record);
            let epochs = Epoch::read_all(&run_folder(&self.out, &record.id));
            let curve = curve(&epochs, &objective, record.epochs);
            if !curve.is_empty() {
                trial.intermediate = curve;
            }
            Some(trial)
        };
        let rivals = plan.of(&run.approach).filter_map(rival).collect();
        let own = Trial::new(number, run.params.clone());
        Some(Contest { pruner, direction: tune.direction, objective, rivals, own })
    }

    fn record(&self, ended: &Going, outcome: Result<Ended, String>) -> Record {
        let (run, elapsed) = (&ended.run, ended.begun.elapsed().as_secs_f64());
        let record = Record {
            id: ended.settings.id.clone(),
            study: self.study.name.clone(),
            approach: run.approach.clone(),
            kind: run.kind,
            trial: run.trial,
            seed: run.seed,
            params: run.params.iter().map(|(key, value)| (key.clone(), value.to_string())).collect(),
            objective: None,
            metric: String::new(),
            pruned: false,
            val: None,
            test: None,
            epochs: None,
            seconds: elapsed,
            dollars: 0.0,
            device: String::new(),
            version: String::new(),
            started: ended.started.clone(),
            err: String::new(),
        };
        let metric = self.search_of(&record.approach).map(|tune| tune.objective.name()).unwrap_or_default();
        let mut record = match outcome {
            Ok(Ended::Whole(result)) => self.whole(record, &ended.settings, *result),
            Ok(Ended::Stopped(Stopped { epochs, value, seconds: known })) => {
                let seconds = elapsed.max(known.unwrap_or(0.0));
                Record { objective: Some(value), pruned: true, epochs: Some(epochs), seconds, ..record }
            }
            Err(err) => Record { err, ..record },
        };
        // As fine as the records are written, so that they read back the same.
        record.seconds = rounded(record.seconds, 1e3);
        record.metric = record.objective.map_or_else(String::new, |_| metric);
        let dollars = record.seconds / 3600.0 * self.study.price.dollars_per_hour * ended.own_part();
        Record { dollars: rounded(dollars, 1e6), ..record }
    }

    /// The record of a run that ended by itself: with its result, if that is what was asked for.
    fn whole(&self, record: Record, settings: &Settings, result: RunResult) -> Record {
        let record = Record { seconds: result.seconds.total, ..record };
        if let Err(err) = complete(&result, settings) {
            return Record { err, ..record };
        }
        let searched = self.search_of(&record.approach);
        let objective = match (record.kind, searched) {
            (Kind::Trial, Some(Tune { objective: Objective::Curve(name), direction, .. })) => {
                Some(result.objective(&run_folder(&self.out, &settings.id), name, *direction))
            }
            _ => None,
        };
        // A run whose loss was not measured is no use to the search; its record says why.
        let (objective, err) = match objective.transpose() {
            Ok(objective) => (objective, String::new()),
            Err(reason) => (None, reason),
        };
        let numbers = |score: Option<&crate::Score>| score.map(|score| score.numbers);
        Record {
            objective,
            val: numbers(result.val.as_ref()),
            test: numbers(result.test.as_ref()),
            epochs: Some(result.epochs),
            device: result.device,
            version: result.version.unwrap_or_default(),
            err,
            ..record
        }
    }
}

/// The records of a study in its folder.
pub(crate) fn records_path(out: &Path) -> PathBuf {
    out.join("records.csv")
}

/// `value` to a whole number of `parts` of one.
fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// A result has the scores that were asked for.
pub(crate) fn complete(result: &RunResult, settings: &Settings) -> Result<(), String> {
    for part in &settings.score {
        let there = if part == "val" { result.val.is_some() } else { result.test.is_some() };
        if !there {
            return Err(format!("result.json: no scores on {part}"));
        }
    }
    Ok(())
}

/// Keeps `line` as one of the last.
pub(crate) fn remember(last: &mut VecDeque<String>, line: &str) {
    if line.trim().is_empty() {
        return;
    }
    if last.len() == LAST_LINES {
        last.pop_front();
    }
    last.push_back(line.trim().chars().take(300).collect());
}

/// Whether a run was done, or begun, in this folder; what is published of one lies in a folder where it was not.
fn was_here(folder: &Path) -> bool {
    folder.join(STARTED).is_file()
}

/// Marks that a run begins in a folder, or goes on: when it began for the first time.
pub(crate) fn enter(folder: &Path) -> Result<String, Error> {
    if !was_here(folder) {
        // A published record of it, of which scores are left and no network.
        let _ = std::fs::remove_file(folder.join("result.json"));
    }
    let path = folder.join(STARTED);
    if let Some(text) = read_if_there(&path)? {
        return Ok(text.trim().into());
    }
    let now = rfc3339(SystemTime::now());
    write_atomic(&path, format!("{now}\n").as_bytes())?;
    Ok(now)
}

/// The file at `path`, locked; `None` where somebody else has locked it.
pub(crate) fn lock(path: &Path) -> Result<Option<File>, Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(Error::io(folder, "cannot be made"))?;
    let file = File::options().create(true).truncate(false).read(true).write(true).open(path);
    let file = file.map_err(Error::io(path, "cannot be opened"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(Error::io(path, "cannot be locked")(error)),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::StudyFile;
    use crate::plan::PLANS;

    struct Silent;

    impl Watch for Silent {
        fn begins(&mut self, _: &Run, _: usize, _: usize, _: Option<f64>) {}
        fn line(&mut self, _: &Run, _: &str) {}
        fn epoch(&mut self, _: &Run, _: &Epoch) {}
        fn tick(&mut self, _: &Run, _: Duration) {}
        fn ends(&mut self, _: &Run, _: &Record) {}
        fn note(&mut self, _: &str) {}
    }

    #[test]
    fn a_plan_is_made_anew_after_records_alone() {
        let text = "claim = 'One'\nseeds = [0, 1]\napproach.only.title = 'Only'\n\
                    price = { dollars_per_hour = 1.0, machine = '', source = '', date = '' }";
        let (path, given) = (Path::new("demo.toml"), Given::default());
        let study = StudyFile::parse(path, text, &given).unwrap().check(path, text, &given).unwrap();
        let out = tempfile::tempdir().unwrap();
        // It takes all settings, and leaves no result.
        let program = Program { path: "true".into(), device: None, threads: None };
        let engine = Engine::new(&study, program, out.path(), &given).unwrap().with_jobs(3);
        PLANS.set(0);
        let records = engine.run(false, &mut Silent).unwrap();
        assert_eq!(records.iter().filter(|record| !record.is_ok()).count(), 2);
        assert!(PLANS.get() <= 1 + 2, "{} plans for two records", PLANS.get());
    }
}
