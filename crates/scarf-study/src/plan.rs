//! Which runs a study takes, and how they hang together.

use crate::record::{Record, Records};
use crate::settings::{InitSetting, Settings};
use crate::study::{Approach, Init, Objective, Study, Tune};
use crate::tree::{set, to_json};
use crate::{Role, Tree};
use scarf_hpo::{AnySampler, History, Params, Sampler, Trial, TrialState, Value};
use std::fmt;

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Others begin from it.
    Pretraining,
    /// One trial of a search, scored on the validation images alone.
    Trial,
    /// A variation that tells what a part is worth, scored on the validation images alone.
    Ablation,
    /// An approach as it is compared, scored on the test images.
    Final,
}

impl Kind {
    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Pretraining => "pretraining",
            Kind::Trial => "trial",
            Kind::Ablation => "ablation",
            Kind::Final => "final",
        }
    }

    /// From its name in records.
    ///
    /// # Errors
    /// The names there are.
    pub fn parse(name: &str) -> Result<Self, String> {
        let all = [Kind::Pretraining, Kind::Trial, Kind::Ablation, Kind::Final];
        all.into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| format!("kind: {name:?} is none of pretraining, trial, ablation, final"))
    }
}

/// One run of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The approach.
    pub approach: String,
    /// What it is for.
    pub kind: Kind,
    /// Its place in the search, from 0.
    pub trial: Option<u64>,
    /// The seed of its training.
    pub seed: u64,
    /// What the search chose.
    pub params: Params,
    /// Its settings; `None` while they hang on runs that have not ended.
    pub settings: Option<Settings>,
    /// Where it stands.
    pub state: State,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// There is a record, and it ended well.
    Done,
    /// There is a record, and it did not.
    Failed,
    /// It can begin.
    Ready,
    /// It needs this first.
    Waiting(String),
    /// What it needs has failed.
    Blocked(String),
}

impl Run {
    /// The hash of its settings, once they are known.
    pub fn id(&self) -> Option<&str> {
        self.settings.as_ref().map(|settings| settings.id.as_str())
    }

    /// Whether it is to be done, now or after others.
    pub(crate) fn is_to_do(&self) -> bool {
        matches!(self.state, State::Ready | State::Waiting(_))
    }
}

/// As `tuned trial 4`, `scratch seed 0`; trials are counted from 1 for people.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.trial {
            Some(trial) => write!(f, "{} trial {}", self.approach, trial + 1),
            None => write!(f, "{} seed {}", self.approach, self.seed),
        }
    }
}

/// The runs of a study, each after those that it needs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The runs.
    pub runs: Vec<Run>,
}

impl Plan {
    /// The run that is next; `None` when all has been done that can be.
    pub fn next(&self) -> Option<&Run> {
        self.runs.iter().find(|run| run.state == State::Ready)
    }

    /// The run with this id.
    pub fn get(&self, id: &str) -> Option<&Run> {
        self.runs.iter().find(|run| run.id() == Some(id))
    }

    /// The runs of an ablation, each with the run of the same seed that it differs from in one thing.
    pub fn pairs<'a>(&'a self, ablation: &'a Approach) -> impl Iterator<Item = (&'a Run, &'a Run)> {
        let base = |seed| {
            let mut runs = self.of(ablation.of.as_deref()?);
            runs.find(|run| run.kind != Kind::Trial && run.seed == seed)
        };
        self.of(&ablation.name).filter_map(move |run| Some((run, base(run.seed)?)))
    }

    /// The runs of an approach.
    pub fn of<'a>(&'a self, approach: &'a str) -> impl Iterator<Item = &'a Run> {
        self.runs.iter().filter(move |run| run.approach == approach)
    }
}

impl Study {
    /// The runs that this study takes, given the records there are. Pretrainings that no row begins from are left
    /// out. A search whose sampler learns from earlier trials has trials without settings until those have ended; one
    /// that stops some has them wait.
    pub fn plan(&self, records: &Records) -> Plan {
        #[cfg(test)]
        PLANS.set(PLANS.get() + 1);
        let mut planner = Planner { study: self, records, planned: Vec::new(), plan: Plan::default() };
        for approach in self.rows().chain(self.ablations()) {
            planner.approach(approach);
        }
        planner.plan
    }

    /// The run of one trial of an approach's search, with these hyperparameters; given the records there are.
    pub fn trial(&self, approach: &Approach, records: &Records, number: u64, params: Params) -> Run {
        let mut planner = Planner { study: self, records, planned: Vec::new(), plan: Plan::default() };
        if let Init::Approach(from) = &approach.init
            && let Some(from) = self.approach(from)
        {
            planner.approach(from);
        }
        planner.run(approach, Kind::Trial, Some(number), approach.seeds[0], params)
    }
}

#[cfg(test)]
thread_local! {
    /// How many plans this thread has made.
    pub(crate) static PLANS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// What a trial waits for whose batch has not begun.
const BEFORE: &str = "the trials before it";

struct Planner<'a> {
    study: &'a Study,
    records: &'a Records,
    planned: Vec<&'a str>,
    plan: Plan,
}

/// What a run begins from, once that is known.
enum Beginning {
    Known(InitSetting, State),
    Unknown(State),
}

impl<'a> Planner<'a> {
    /// The runs of an approach, after those of what it begins from.
    fn approach(&mut self, approach: &'a Approach) {
        if self.planned.contains(&approach.name.as_str()) {
            return;
        }
        self.planned.push(&approach.name);
        if let Init::Approach(from) = &approach.init
            && let Some(from) = self.study.approach(from)
        {
            self.approach(from);
        }
        match &approach.tune {
            None => {
                for &seed in &approach.seeds {
                    self.last(approach, seed, Ok(Params::new()));
                }
            }
            Some(tune) => self.search(approach, tune),
        }
    }

    /// The trials of a search, then its best settings with every seed.
    fn search(&mut self, approach: &'a Approach, tune: &Tune) {
        let mut trials: Vec<Trial> = Vec::new();
        let seed = approach.seeds[0];
        for number in 0..tune.most() {
            // What a suggestion may look at must not hang on who of its batch ends first.
            let (before, batch) = trials.split_at(tune.batch(number) as usize);
            let known = before.iter().all(|trial| trial.state.is_finished());
            let mut run = if known || draws_alone(&tune.sampler) {
                let pending = batch.iter().map(|trial| Trial::new(trial.number, trial.params.clone()));
                let seen: Vec<Trial> = before.iter().cloned().chain(pending).collect();
                let history = History::new(tune.direction, &seen);
                let params = tune.sampler.suggest(&tune.space, history, tune.seed, number);
                self.run(approach, Kind::Trial, Some(number), seed, params)
            } else {
                unsettled(approach, Kind::Trial, Some(number), seed, State::Waiting(BEFORE.into()))
            };
            // What may be stopped is held against those before its batch, whoever suggested it.
            if !known && tune.pruner.is_some() && run.state == State::Ready {
                run.state = State::Waiting(BEFORE.into());
            }
            trials.push(self.trial(tune, number, &run));
            self.plan.runs.push(run);
        }
        let best = match History::new(tune.direction, &trials).best() {
            _ if !trials.iter().all(|trial| trial.state.is_finished()) => {
                Err(State::Waiting("the search".into()))
            }
            Some(best) => Ok(best.params.clone()),
            None => Err(State::Blocked(format!("none of {} trials was trained to its end", tune.most()))),
        };
        for &seed in &approach.seeds {
            self.last(approach, seed, best.clone());
        }
    }

    /// The run of an approach that is compared, or begun from.
    fn last(&mut self, approach: &'a Approach, seed: u64, params: Result<Params, State>) {
        let kind = match approach.role {
            Role::Row => Kind::Final,
            Role::Pretraining => Kind::Pretraining,
            Role::Ablation => Kind::Ablation,
        };
        let run = match params {
            Ok(params) => self.run(approach, kind, None, seed, params),
            Err(state) => unsettled(approach, kind, None, seed, state),
        };
        self.plan.runs.push(run);
    }

    fn run(&self, approach: &Approach, kind: Kind, trial: Option<u64>, seed: u64, params: Params) -> Run {
        let (init, before) = match self.beginning(approach, seed) {
            Beginning::Known(init, before) => (init, before),
            Beginning::Unknown(state) => {
                return Run { params, ..unsettled(approach, kind, trial, seed, state) };
            }
        };
        let mut recipe = approach.recipe.clone();
        for (key, value) in &params {
            // The tables of searched keys were checked to be there.
            let _ = set(&mut recipe, key, toml_value(value));
        }
        let score: &[&str] = if kind == Kind::Final { &["val", "test"] } else { &["val"] };
        let settings = Settings::new(&approach.name, seed, json(&approach.data), json(&recipe), init, score);
        let state = match self.record(&settings.id, approach.tune.as_ref()) {
            Some(record) if record.is_ok() => State::Done,
            Some(_) => State::Failed,
            None => before,
        };
        Run { approach: approach.name.clone(), kind, trial, seed, params, settings: Some(settings), state }
    }

    /// The record of a run. That it was stopped counts no more where its search stops nobody now, nor does what it measured
    /// where the search is for another number.
    fn record(&self, id: &str, tune: Option<&Tune>) -> Option<&'a Record> {
        let stops = tune.is_some_and(|tune| tune.pruner.is_some());
        let says = |record: &&Record| tune.is_none_or(|tune| tune.knows(record));
        self.records.get(id).filter(|record| stops || !record.pruned).filter(says)
    }

    /// What a run begins from, and whether that is there.
    fn beginning(&self, approach: &Approach, seed: u64) -> Beginning {
        let from = match &approach.init {
            Init::Random => return Beginning::Known(InitSetting::Random, State::Ready),
            Init::Weights(names) => {
                return Beginning::Known(InitSetting::Weights(names.clone()), State::Ready);
            }
            Init::Approach(from) => from,
        };
        let candidates: Vec<&Run> = self.plan.of(from).filter(|run| run.kind != Kind::Trial).collect();
        let Some(run) = candidates.iter().find(|run| run.seed == seed).or(candidates.first()) else {
            return Beginning::Unknown(State::Blocked(format!("{from} has no runs")));
        };
        let before = match &run.state {
            State::Done => State::Ready,
            State::Failed => State::Blocked(format!("{run} failed")),
            State::Ready => State::Waiting(run.to_string()),
            other => other.clone(),
        };
        match run.id() {
            Some(id) => Beginning::Known(InitSetting::Run(id.into()), before),
            None => Beginning::Unknown(before),
        }
    }

    /// A run of a search as the sampler sees it.
    fn trial(&self, tune: &Tune, number: u64, run: &Run) -> Trial {
        if let Some(record) = run.id().and_then(|id| self.record(id, Some(tune))) {
            return tune.ended(number, run.params.clone(), record);
        }
        let mut trial = Trial::new(number, run.params.clone());
        if let State::Blocked(_) = run.state {
            trial.state = TrialState::Failed;
        }
        trial
    }
}

impl Tune {
    /// How many trials there are: of a grid no more than it has combinations.
    pub(crate) fn most(&self) -> u64 {
        self.sampler.combinations(&self.space).map_or(self.trials, |all| all.min(self.trials))
    }

    /// The first trial of the batch that trial `number` belongs to: what it may know ended before that.
    pub(crate) fn batch(&self, number: u64) -> u64 {
        number / self.parallel * self.parallel
    }

    /// Whether a record says what the search wants of its run: of a trial the objective. One of before its name was told is
    /// believed.
    pub(crate) fn knows(&self, record: &Record) -> bool {
        if record.kind != Kind::Trial {
            return true;
        }
        let same = record.metric.is_empty() || record.metric == self.objective.name();
        match self.objective {
            Objective::Number(_) => same || !record.pruned,
            Objective::Curve(_) => same && (record.objective.is_some() || !record.is_ok()),
        }
    }

    /// A trial that has ended, by its record.
    pub(crate) fn ended(&self, number: u64, params: Params, record: &Record) -> Trial {
        let mut trial = Trial::new(number, params);
        trial.seconds = Some(record.seconds);
        if record.pruned {
            trial.state = TrialState::Pruned;
            trial.intermediate.extend(record.epochs.zip(record.objective));
            return trial;
        }
        let value = match self.objective {
            Objective::Number(index) => {
                record.val.map(|numbers| numbers.0[index]).filter(|value| *value >= 0.0)
            }
            Objective::Curve(_) => record.objective,
        };
        match value {
            Some(value) => trial.complete(value),
            None => Trial { state: TrialState::Failed, ..trial },
        }
    }
}

/// Whether a suggestion never hangs on earlier trials, so that all are known from the start.
fn draws_alone(sampler: &AnySampler) -> bool {
    matches!(sampler, AnySampler::Random(_) | AnySampler::Sobol(_) | AnySampler::Grid(_))
}

fn unsettled(approach: &Approach, kind: Kind, trial: Option<u64>, seed: u64, state: State) -> Run {
    Run { approach: approach.name.clone(), kind, trial, seed, params: Params::new(), settings: None, state }
}

/// A chosen value as study files write it.
pub(crate) fn toml_value(value: &Value) -> toml::Value {
    match value {
        Value::Bool(yes) => (*yes).into(),
        Value::Int(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
    }
}

/// Trees of a checked study hold nothing that JSON cannot.
fn json(tree: &Tree) -> serde_json::Value {
    to_json(tree).unwrap_or_default()
}
