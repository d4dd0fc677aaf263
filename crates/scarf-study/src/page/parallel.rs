//! Parallel coordinates: a line for each trial across an axis for each hyperparameter, and the objective's at the end.

use super::chart::{Format, LARGE, escape, tick};
use scarf_hpo::{Domain, Scale, Space, Trial};
use std::fmt::Write;

const HEIGHT: f64 = 330.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 300.0;
const MARGIN: f64 = 70.0;
/// Between two axes, in units of the drawing, at the least.
const APART: f64 = 165.0;

/// The drawing; trials come best first, each with its objective and that one's place from 0 (worst) to 1 (best).
/// Empty where there are not two trials or is nothing searched.
pub(super) fn parallel(space: &Space, objective: &str, trials: &[(&Trial, f64, f64)]) -> String {
    let searched: Vec<_> =
        space.params().iter().filter(|param| param.domain.cardinality() != Some(1)).collect();
    if searched.is_empty() || trials.len() < 2 {
        return String::new();
    }
    // Never narrower than a chart: it is stretched to the page's width, and its letters with it.
    let Format(least, _) = LARGE;
    let apart = APART.max((least - 2.0 * MARGIN) / searched.len() as f64);
    let width = 2.0 * MARGIN + apart * searched.len() as f64;
    let across = |index: usize| MARGIN + apart * index as f64;
    let up = |unit: f64| BOTTOM - unit * (BOTTOM - TOP);
    let mut svg = format!(
        r#"<svg class="chart" viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="parallel coordinates">"#
    );
    // The best are drawn last, over the others.
    for (trial, value, place) in trials.iter().rev() {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for (index, param) in searched.iter().enumerate() {
            let unit = trial.params.get(&param.name).and_then(|value| param.domain.unit(value));
            points.extend(unit.map(|unit| (across(index), up(unit))));
        }
        points.push((across(searched.len()), up(*place)));
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let _ = write!(
            svg,
            r#"<path class="thread" style="--merit:{:.0}%" d="M{}"><title>trial {}: {value:.4}</title></path>"#,
            place.powi(2) * 100.0,
            path.join("L"),
            trial.number + 1,
        );
    }
    for (index, param) in searched.iter().enumerate() {
        axis(&mut svg, across(index), &param.name, &ticks(&param.domain));
    }
    let ends = [(1.0, trials.first()), (0.0, trials.last())];
    let ends = ends.map(|(unit, trial)| {
        (unit, trial.map_or_else(String::new, |(_, value, _)| tick(round(*value), false)))
    });
    axis(&mut svg, across(searched.len()), objective, &ends);
    svg + "</svg>"
}

fn axis(svg: &mut String, x: f64, name: &str, ticks: &[(f64, String)]) {
    let _ = write!(svg, r#"<path class="axis" d="M{x:.1} {TOP}V{BOTTOM}"/>"#);
    // Of a dotted key the end tells most.
    let short = name.rsplit('.').next().unwrap_or(name);
    let _ = write!(
        svg,
        r#"<text class="name" x="{x:.1}" y="16" text-anchor="middle"><title>{}</title>{}</text>"#,
        escape(name),
        escape(short)
    );
    for (unit, text) in ticks {
        let y = BOTTOM - unit * (BOTTOM - TOP) + 4.0;
        let _ = write!(
            svg,
            r#"<text class="tick" x="{:.1}" y="{y:.1}" text-anchor="end">{}</text>"#,
            x - 7.0,
            escape(text)
        );
    }
}

/// What an axis is marked with, and where from 0 to 1.
fn ticks(domain: &Domain) -> Vec<(f64, String)> {
    match domain {
        Domain::Choice(values) => {
            values.iter().filter_map(|value| Some((domain.unit(value)?, value.to_string()))).collect()
        }
        Domain::Float { low, high, scale: Scale::Log } => {
            let decades =
                (low.log10().ceil() as i32..=high.log10().floor() as i32).map(|power| 10f64.powi(power));
            let mut all: Vec<f64> = decades.collect();
            if all.len() < 2 {
                all = vec![*low, *high];
            }
            all.into_iter()
                .filter_map(|value| Some((domain.unit(&value.into())?, tick(round(value), false))))
                .collect()
        }
        _ => [0.0, 0.25, 0.5, 0.75, 1.0]
            .into_iter()
            .filter_map(|unit| {
                let value = domain.at(unit);
                let text =
                    value.as_f64().map_or_else(|| value.to_string(), |number| tick(round(number), false));
                Some((domain.unit(&value)?, text))
            })
            .collect(),
    }
}

/// Three figures that count.
fn round(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}
