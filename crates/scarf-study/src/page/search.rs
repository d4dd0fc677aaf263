//! Searches: their trials, and the objective against each hyperparameter.

use super::Sources;
use super::chart::{Axis, Mark, SMALL, Series, chart};
use crate::plan::{Kind, Run, objective};
use crate::study::{Approach, Tune};
use crate::text::duration;
use scarf_hpo::{Domain, Scale};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Search {
    title: String,
    objective: String,
    sentence: String,
    params: Vec<String>,
    trials: Vec<TrialRow>,
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
    err: String,
    best: bool,
}

/// A trial that ended, and its objective where it has one.
struct Tried<'a> {
    run: &'a Run,
    value: Option<f64>,
    seconds: f64,
    err: &'a str,
}

pub(super) fn searches(sources: &Sources<'_>) -> Vec<Search> {
    let tuned =
        sources.study.approaches.iter().filter_map(|approach| Some((approach, approach.tune.as_ref()?)));
    tuned.filter_map(|(approach, tune)| search(sources, approach, tune)).collect()
}

fn search(sources: &Sources<'_>, approach: &Approach, tune: &Tune) -> Option<Search> {
    let mut tried: Vec<Tried<'_>> = sources
        .plan
        .of(&approach.name)
        .filter(|run| run.kind == Kind::Trial)
        .filter_map(|run| {
            let record = sources.records.get(run.id()?)?;
            Some(Tried { run, value: objective(tune, record), seconds: record.seconds, err: &record.err })
        })
        .collect();
    if tried.is_empty() {
        return None;
    }
    let loss = |each: &Tried<'_>| each.value.map_or(f64::INFINITY, |value| tune.direction.loss(value));
    tried.sort_by(|a, b| loss(a).total_cmp(&loss(b)).then(a.run.trial.cmp(&b.run.trial)));
    let names: Vec<&str> = tune.space.params().iter().map(|param| param.name.as_str()).collect();
    let slices = names.iter().map(|name| ((*name).to_string(), slice(sources, approach, tune, name, &tried)));
    Some(Search {
        title: approach.title.clone(),
        objective: tune.objective.name(),
        sentence: sentence(tune, &tried),
        slices: slices.filter(|(_, svg)| !svg.is_empty()).collect(),
        trials: rows(&names, &tried),
        params: names.into_iter().map(String::from).collect(),
    })
}

fn sentence(tune: &Tune, tried: &[Tried<'_>]) -> String {
    let seconds: f64 = tried.iter().map(|each| each.seconds).sum();
    let failed = tried.iter().filter(|each| each.value.is_none()).count();
    let mut text = format!("{} trials in {}", tried.len(), duration(seconds));
    if failed > 0 {
        text += &format!(", {failed} of them failed");
    }
    let values: Vec<f64> = tried.iter().filter_map(|each| each.value).collect();
    if let (Some(best), Some(worst)) = (values.first(), values.last()) {
        text += &format!("; {} from {worst:.3} to {best:.3}", tune.objective.name());
    }
    text
}

fn rows(names: &[&str], tried: &[Tried<'_>]) -> Vec<TrialRow> {
    let values: Vec<f64> = tried.iter().filter_map(|each| each.value).collect();
    let highest = values.iter().copied().fold(0.0, f64::max);
    let row = |(index, each): (usize, &Tried<'_>)| TrialRow {
        number: each.run.trial.unwrap_or(0) + 1,
        params: names
            .iter()
            .map(|name| each.run.params.get(*name).map_or_else(|| "–".into(), figures))
            .collect(),
        value: each.value.map_or_else(|| "failed".into(), |value| format!("{value:.3}")),
        bar: each
            .value
            .map_or(0, |value| if highest > 0.0 { (value / highest * 100.0).round() as u32 } else { 0 }),
        time: duration(each.seconds),
        err: each.err.to_string(),
        best: index == 0 && each.value.is_some(),
    };
    tried.iter().enumerate().map(row).collect()
}

/// A chosen value with as many figures as matter.
fn figures(value: &scarf_hpo::Value) -> String {
    match value {
        scarf_hpo::Value::Float(number) if *number != 0.0 && number.abs() < 1e-2 => format!("{number:.2e}"),
        scarf_hpo::Value::Float(number) => format!("{number:.4}"),
        other => other.to_string(),
    }
}

fn slice(sources: &Sources<'_>, approach: &Approach, tune: &Tune, name: &str, tried: &[Tried<'_>]) -> String {
    let Some(param) = tune.space.get(name) else { return String::new() };
    let place = |run: &Run| {
        let value = run.params.get(name)?;
        match &param.domain {
            Domain::Choice(all) => all.iter().position(|each| each == value).map(|index| index as f64 + 1.0),
            _ => value.as_f64(),
        }
    };
    let dot = |(index, each): (usize, &Tried<'_>)| {
        let (x, y) = (place(each.run)?, each.value?);
        Some(Series {
            colour: sources.colour(&approach.name),
            label: format!("trial {}: {y:.3}", each.run.trial.unwrap_or(0) + 1),
            points: vec![(x, y)],
            bar: None,
            mark: if index == 0 { Mark::Ringed } else { Mark::Dots },
        })
    };
    let dots: Vec<Series> = tried.iter().enumerate().filter_map(dot).collect();
    let log = matches!(param.domain, Domain::Float { scale: Scale::Log, .. } | Domain::Int { log: true, .. });
    let x = Axis { log, ..Axis::default() };
    let y = Axis { title: tune.objective.name(), from_zero: true, ..Axis::default() };
    chart(&format!("{} against {name}", tune.objective.name()), SMALL, &x, &y, &dots)
}
