//! Searches: their history, what mattered, the trials across all hyperparameters and against each, and what they cost.

use super::Sources;
use super::chart::{Axis, LARGE, Mark, SMALL, Series, chart};
use super::parallel::parallel;
use crate::plan::Kind;
use crate::study::{Approach, Tune};
use crate::text::{duration, money};
use scarf_hpo::{
    Direction, Domain, History, Params, Scale, Space, Trial, TrialState, correlations, importance,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A search as it was run.
pub(super) struct Told<'a> {
    pub(super) title: &'a str,
    pub(super) objective: &'a str,
    pub(super) space: &'a Space,
    pub(super) direction: Direction,
    pub(super) trials: &'a [Trial],
    /// Why trials failed, by their numbers.
    pub(super) errors: &'a BTreeMap<u64, String>,
    /// What each trial cost, by its number; empty where that is of no interest.
    pub(super) dollars: &'a BTreeMap<u64, f64>,
    /// Which of the page's colours.
    pub(super) colour: usize,
}

#[derive(Serialize)]
pub(super) struct Search {
    title: String,
    pub(super) sentence: String,
    objective: String,
    params: Vec<String>,
    trials: Vec<TrialRow>,
    history: String,
    cost: String,
    curves: String,
    importance: Vec<Share>,
    parallel: String,
    slices: Vec<(String, String)>,
}

#[derive(Serialize)]
struct TrialRow {
    number: u64,
    params: Vec<String>,
    value: String,
    /// The objective's place between the worst and the best, in percent.
    bar: u32,
    time: String,
    /// The same in seconds; -1 where it is not known.
    seconds: f64,
    err: String,
    best: bool,
}

/// How much a hyperparameter explains.
#[derive(Serialize)]
struct Share {
    name: String,
    percent: u32,
    /// The correlation of the objective with it, where it is a number.
    r: Option<String>,
}

pub(super) fn searches(sources: &Sources<'_>) -> Vec<Search> {
    let tuned =
        sources.study.approaches.iter().filter_map(|approach| Some((approach, approach.tune.as_ref()?)));
    tuned.filter_map(|(approach, tune)| of_study(sources, approach, tune)).collect()
}

/// The search of an approach, from its runs' records.
fn of_study(sources: &Sources<'_>, approach: &Approach, tune: &Tune) -> Option<Search> {
    let (mut trials, mut errors, mut dollars) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let priced = sources.study.price.dollars_per_hour > 0.0;
    let mut told = BTreeSet::new();
    for run in sources.plan.of(&approach.name).filter(|run| run.kind == Kind::Trial) {
        let record = run.id().and_then(|id| sources.records.get(id)).filter(|record| tune.knows(record));
        let Some(record) = record else { continue };
        let number = run.trial.unwrap_or(0);
        let mut trial = tune.ended(number, run.params.clone(), record);
        errors.extend((!record.is_ok()).then(|| (number, record.err.clone())));
        // A second trial of the same hyperparameters was not run again.
        if told.insert(&record.id) {
            dollars.extend(priced.then_some((number, record.dollars)));
        } else {
            trial.seconds = None;
        }
        trials.push(trial);
    }
    search(&Told {
        title: &approach.title,
        objective: &tune.objective.name(),
        space: &tune.space,
        direction: tune.direction,
        trials: &trials,
        errors: &errors,
        dollars: &dollars,
        colour: sources.colour(&approach.name),
    })
}

/// What a page shows of a search; `None` before a trial has ended.
pub(super) fn search(told: &Told<'_>) -> Option<Search> {
    let ranked = told.ranked();
    if ranked.is_empty() {
        return None;
    }
    let names: Vec<&str> = told.space.params().iter().map(|param| param.name.as_str()).collect();
    let slices = names.iter().map(|name| ((*name).to_string(), told.slice(name)));
    Some(Search {
        title: told.title.into(),
        sentence: told.sentence(),
        objective: told.objective.into(),
        slices: slices.filter(|(_, svg)| !svg.is_empty()).collect(),
        trials: told.rows(&names, &ranked),
        history: told.history(),
        cost: told.cost(),
        curves: told.curves(),
        importance: told.importance(),
        parallel: parallel(told.space, told.objective, &told.merits()),
        params: names.into_iter().map(String::from).collect(),
    })
}

impl<'a> Told<'a> {
    fn view(&self) -> History<'a> {
        History::new(self.direction, self.trials)
    }

    /// Complete trials with their objectives, the best first.
    fn complete(&self) -> Vec<(&'a Trial, f64)> {
        let mut complete: Vec<(&Trial, f64)> = self.view().complete().collect();
        complete.sort_by(|(a, x), (b, y)| x.total_cmp(y).then(a.number.cmp(&b.number)));
        complete.into_iter().map(|(trial, loss)| (trial, self.direction.loss(loss))).collect()
    }

    /// All trials that have ended: complete ones by merit, then the others.
    fn ranked(&self) -> Vec<&'a Trial> {
        let mut ranked: Vec<&Trial> = self.complete().into_iter().map(|(trial, _)| trial).collect();
        let others = self.trials.iter().filter(|trial| trial.state.is_finished());
        let others: Vec<&Trial> =
            others.filter(|trial| ranked.iter().all(|each| each.number != trial.number)).collect();
        ranked.extend(others);
        ranked
    }

    /// Complete trials, the best first, with their objectives and those's places from 0 to 1.
    fn merits(&self) -> Vec<(&'a Trial, f64, f64)> {
        let complete = self.complete();
        let last = complete.len().saturating_sub(1).max(1) as f64;
        let place = |(rank, (trial, value))| (trial, value, 1.0 - rank as f64 / last);
        complete.into_iter().enumerate().map(place).collect()
    }

    fn sentence(&self) -> String {
        let ended = self.trials.iter().filter(|trial| trial.state.is_finished()).count();
        let seconds: f64 = self.trials.iter().filter_map(|trial| trial.seconds).sum();
        let mut text = format!("{ended} trials in {}", duration(seconds));
        if !self.dollars.is_empty() {
            text += &format!(" for {}", money(self.dollars.values().sum()));
        }
        let count = |state| self.trials.iter().filter(|trial| trial.state == state).count();
        let kinds = [(TrialState::Pruned, "stopped early"), (TrialState::Failed, "failed")];
        for (state, what) in kinds {
            if count(state) > 0 {
                text += &format!(", {} of them {what}", count(state));
            }
        }
        let complete = self.complete();
        if let (Some((_, best)), Some((_, worst))) = (complete.first(), complete.last()) {
            text += &format!("; {} from {} to {}", self.objective, figure(*worst), figure(*best));
        }
        text
    }

    fn rows(&self, names: &[&str], ranked: &[&Trial]) -> Vec<TrialRow> {
        let values: Vec<f64> = self.complete().into_iter().map(|(_, value)| value).collect();
        let (best, worst) = (values.first().copied().unwrap_or(0.0), values.last().copied().unwrap_or(0.0));
        let bar = |value: f64| {
            let share = if best == worst { 1.0 } else { (value - worst) / (best - worst) };
            if share.is_finite() { (share * 100.0).round() as u32 } else { 0 }
        };
        let row = |(index, trial): (usize, &&Trial)| {
            let complete = trial.value.filter(|_| trial.state == TrialState::Complete);
            let last = trial.last().map(|(step, value)| format!("{} at step {step}, stopped", figure(value)));
            TrialRow {
                number: trial.number + 1,
                params: names.iter().map(|name| chosen(&trial.params, name)).collect(),
                value: match (complete, trial.state) {
                    (Some(value), _) => figure(value),
                    (None, TrialState::Pruned) => last.unwrap_or_else(|| "stopped".into()),
                    _ => "failed".into(),
                },
                bar: complete.map_or(0, bar),
                time: trial.seconds.map_or_else(|| "–".into(), duration),
                seconds: trial.seconds.unwrap_or(-1.0),
                err: self.errors.get(&trial.number).cloned().unwrap_or_default(),
                best: index == 0 && complete.is_some(),
            }
        };
        ranked.iter().enumerate().map(row).collect()
    }

    /// Whether the objective is told by its logarithm: where it is positive and spans more than two decades.
    fn y(&self) -> Axis {
        let values: Vec<f64> = self.complete().into_iter().map(|(_, value)| value).collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let from_zero =
            low >= 0.0 && high <= 1.0 && low < 0.5 * high && self.direction == Direction::Maximize;
        Axis {
            title: self.objective.into(),
            log: low > 0.0 && high > 100.0 * low,
            from_zero,
            ..Axis::default()
        }
    }

    /// The complete trials as dots, the best one ringed; where each lies across is `x`'s to say.
    fn dots(&self, x: impl Fn(&Trial) -> Option<f64>) -> Vec<Series> {
        let dot = |(index, (trial, value)): (usize, (&Trial, f64))| {
            Some(Series {
                colour: self.colour,
                label: format!("trial {}: {}", trial.number + 1, figure(value)),
                points: vec![(x(trial)?, value)],
                bar: None,
                mark: if index == 0 { Mark::Ringed } else { Mark::Dots },
            })
        };
        self.complete().into_iter().enumerate().filter_map(dot).collect()
    }

    /// The best objective so far, each time it got better, over what `x` says of a trial.
    fn front(&self, x: impl Fn(&Trial) -> f64) -> Series {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for trial in self.trials.iter().filter(|trial| trial.state == TrialState::Complete) {
            let better =
                |value: &f64| points.last().is_none_or(|(_, best)| self.direction.better(*value, *best));
            if let Some(value) = trial.value.filter(|value| value.is_finite()).filter(better) {
                points.push((x(trial), value));
            }
        }
        Series { colour: 7, label: "the best so far".into(), points, bar: None, mark: Mark::Front }
    }

    fn history(&self) -> String {
        let number = |trial: &Trial| trial.number as f64 + 1.0;
        let stopped = self.trials.iter().filter(|trial| trial.state == TrialState::Pruned);
        let gray = |trial: &Trial| {
            let (step, value) = trial.last()?;
            let label = format!("trial {}: {} at step {step}, stopped", trial.number + 1, figure(value));
            let points = vec![(number(trial), value)];
            Some(Series { colour: 7, label, points, bar: None, mark: Mark::Dots })
        };
        let mut series: Vec<Series> = stopped.filter_map(gray).collect();
        series.extend(self.dots(|trial| Some(number(trial))));
        series.push(self.front(number));
        let x = Axis { title: "trial".into(), ..Axis::default() };
        chart("history", LARGE, &x, &self.y(), &series)
    }

    /// The best objective over what all trials until then had cost.
    fn cost(&self) -> String {
        let priced = !self.dollars.is_empty();
        let x = |trial: &Trial| -> f64 {
            if priced {
                return self.dollars.range(..=trial.number).map(|(_, dollars)| dollars).sum();
            }
            let before = self.trials.iter().filter(|each| each.number <= trial.number);
            before.filter_map(|each| each.seconds).sum::<f64>() / 60.0
        };
        let mut series = self.dots(|trial| Some(x(trial)));
        series.push(self.front(x));
        let title = if priced { "dollars spent" } else { "minutes spent, all trials together" };
        let axis = Axis { title: title.into(), dollars: priced, from_zero: true, ..Axis::default() };
        if self.trials.iter().all(|trial| trial.seconds.is_none()) {
            return String::new();
        }
        chart("cost", SMALL, &axis, &self.y(), &series)
    }

    /// The objective on the way: the best trial's a line, the others' faint, those that were stopped gray.
    fn curves(&self) -> String {
        let best = self.complete().first().map(|(trial, _)| trial.number);
        let drawn = self.trials.iter().filter(|trial| trial.intermediate.len() > 1);
        let curve = |trial: &Trial| Series {
            colour: if trial.state == TrialState::Complete { self.colour } else { 7 },
            label: format!("trial {}", trial.number + 1),
            points: trial.intermediate.iter().map(|(step, value)| (*step as f64, *value)).collect(),
            bar: None,
            mark: if Some(trial.number) == best { Mark::Line } else { Mark::Faint },
        };
        let series: Vec<Series> = drawn.map(curve).collect();
        let x = Axis { title: "step".into(), ..Axis::default() };
        chart("the objective on the way", SMALL, &x, &self.y(), &series)
    }

    fn importance(&self) -> Vec<Share> {
        let r = correlations(self.space, self.view());
        let share = |each: scarf_hpo::Importance| Share {
            percent: (each.share * 100.0).round() as u32,
            r: r.iter().find(|known| known.name == each.name).map(|known| format!("{:+.2}", known.r)),
            name: each.name,
        };
        importance(self.space, self.view(), 0).into_iter().map(share).collect()
    }

    fn slice(&self, name: &str) -> String {
        let Some(param) = self.space.get(name).filter(|param| param.domain.cardinality() != Some(1)) else {
            return String::new();
        };
        let place = |trial: &Trial| {
            let value = trial.params.get(name)?;
            match &param.domain {
                Domain::Choice(all) => {
                    all.iter().position(|each| each == value).map(|index| index as f64 + 1.0)
                }
                _ => value.as_f64(),
            }
        };
        let log =
            matches!(param.domain, Domain::Float { scale: Scale::Log, .. } | Domain::Int { log: true, .. });
        let names = match &param.domain {
            Domain::Choice(all) => all.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        let x = Axis { log, names, ..Axis::default() };
        chart(&format!("{} against {name}", self.objective), SMALL, &x, &self.y(), &self.dots(place))
    }
}

/// A chosen value with as many figures as matter.
pub(super) fn chosen(params: &Params, name: &str) -> String {
    match params.get(name) {
        None => "–".into(),
        Some(scarf_hpo::Value::Float(number)) => figure(*number),
        Some(other) => other.to_string(),
    }
}

/// A number with as many figures as matter.
pub(super) fn figure(number: f64) -> String {
    match number.abs() {
        0.0 => "0".into(),
        size if size < 1e-2 => format!("{number:.2e}"),
        size if size < 1e3 => format!("{number:.4}"),
        _ => format!("{number:.1}"),
    }
}
