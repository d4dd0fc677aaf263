//! What was measured epoch by epoch.

use super::Sources;
use super::chart::{Axis, Mark, SMALL, Series, chart};
use crate::plan::Kind;
use crate::result::Epoch;
use crate::settings::run_folder;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One chart for each metric, and who is drawn in which colour.
#[derive(Serialize)]
pub(super) struct Curves {
    legend: Vec<(usize, String)>,
    /// What everybody looks at.
    charts: Vec<(String, String)>,
    /// The rest, folded away.
    more: Vec<(String, String)>,
}

/// The curves of one approach that is compared on the test images or begun from, one for each seed.
struct Curve {
    colour: usize,
    title: String,
    runs: Vec<(u64, Vec<Epoch>)>,
}

/// What comes first; the other losses and the learning rate come after, and the rest is folded away.
const FIRST: [&str; 4] = ["train/loss", "val/loss", "val/ap", "val/ap50"];

pub(super) fn curves(sources: &Sources<'_>) -> Option<Curves> {
    let all: Vec<Curve> =
        sources.study.approaches.iter().filter_map(|approach| curve(sources, &approach.name)).collect();
    let epochs = || all.iter().flat_map(|curve| &curve.runs).flat_map(|(_, epochs)| epochs);
    let metrics: BTreeSet<&str> = epochs()
        .flat_map(|epoch| epoch.values.keys().map(String::as_str))
        .filter(|name| name.starts_with("train/") || name.starts_with("val/") || *name == "lr")
        .collect();
    let mut metrics: Vec<&str> = metrics.into_iter().collect();
    metrics.sort_by_key(|name| FIRST.iter().position(|each| each == name).unwrap_or(FIRST.len()));
    let (more, charts): (Vec<_>, Vec<_>) = metrics
        .into_iter()
        .map(|name| (name.to_string(), metric(name, &all)))
        .filter(|(_, svg)| !svg.is_empty())
        .partition(|(name, _)| name.starts_with("val/") && !FIRST.contains(&name.as_str()));
    let legend = all.iter().map(|curve| (curve.colour, curve.title.clone())).collect();
    (!charts.is_empty()).then_some(Curves { legend, charts, more })
}

fn curve(sources: &Sources<'_>, approach: &str) -> Option<Curve> {
    let runs: Vec<(u64, Vec<Epoch>)> = sources
        .records
        .iter()
        .filter(|record| {
            record.approach == approach && matches!(record.kind, Kind::Final | Kind::Pretraining)
        })
        .map(|record| (record.seed, Epoch::read_all(&run_folder(sources.out, &record.id))))
        .filter(|(_, epochs)| !epochs.is_empty())
        .collect();
    let title = sources.study.approach(approach)?.title.clone();
    (!runs.is_empty()).then(|| Curve { colour: sources.colour(approach), title, runs })
}

/// Each seed as a pale line, their mean as a strong one.
fn metric(name: &str, all: &[Curve]) -> String {
    let mut series = Vec::new();
    for curve in all {
        let runs: Vec<(u64, Vec<(f64, f64)>)> = curve
            .runs
            .iter()
            .map(|(seed, epochs)| (*seed, points(name, epochs)))
            .filter(|(_, points)| !points.is_empty())
            .collect();
        let line = |label: String, points: Vec<(f64, f64)>, mark| Series {
            colour: curve.colour,
            label,
            points,
            bar: None,
            mark,
        };
        if runs.len() > 1 {
            let seeds = runs.iter().map(|(seed, points)| {
                line(format!("{}, seed {seed}", curve.title), points.clone(), Mark::Faint)
            });
            series.extend(seeds);
        }
        if !runs.is_empty() {
            series.push(line(curve.title.clone(), mean(&runs), Mark::Line));
        }
    }
    let x = Axis { title: "epoch".into(), ..Axis::default() };
    let y = Axis { from_zero: name != "lr", ..Axis::default() };
    chart(&format!("{name} by epoch"), SMALL, &x, &y, &series)
}

fn points(name: &str, epochs: &[Epoch]) -> Vec<(f64, f64)> {
    let point = |epoch: &Epoch| Some((epoch.epoch as f64, *epoch.values.get(name)?));
    epochs.iter().filter_map(point).filter(|(_, value)| value.is_finite() && *value != -1.0).collect()
}

/// The mean at each epoch of the runs that have it.
fn mean(runs: &[(u64, Vec<(f64, f64)>)]) -> Vec<(f64, f64)> {
    let mut sums: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    for (epoch, value) in runs.iter().flat_map(|(_, points)| points) {
        let sum = sums.entry(*epoch as u64).or_default();
        *sum = (sum.0 + value, sum.1 + 1.0);
    }
    sums.into_iter().map(|(epoch, (sum, n))| (epoch as f64, sum / n)).collect()
}
