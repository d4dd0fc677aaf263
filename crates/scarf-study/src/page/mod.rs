//! The page that tells of a study: one HTML file with all that it needs inside. Nothing in it reaches for a
//! network, and its content security policy forbids it to.

mod chart;
mod curves;
mod panels;
mod parallel;
mod search;
mod table;
mod tune;

pub use tune::tune_page;

use crate::how::How;
use crate::plan::Plan;
use crate::record::Records;
use crate::study::Study;
use crate::summary::Summary;
use crate::text::{duration, money};
use crate::{Error, Role, text};
use minijinja::{AutoEscape, Environment};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;

/// Whether a page shows the photographs that boxes were found on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Photographs {
    /// Yes.
    Shown,
    /// No: they may not be handed on. The boxes are drawn on gray.
    LeftOut,
}

/// The HTML text of a study's page. Curves, classes and pictures come from the runs' folders under `out`; where
/// those are not there any more, the page goes without.
///
/// # Errors
/// [`Error::Page`] where the template and what it is given disagree; where comparisons cannot be read.
pub fn page(
    study: &Study,
    plan: &Plan,
    records: &Records,
    how: &How,
    out: &Path,
    photographs: Photographs,
) -> Result<String, Error> {
    let mut planned = records.clone();
    planned.retain(|record| plan.get(&record.id).is_some());
    let summary = Summary::new(study, plan, &planned, out)?;
    let sources = Sources { study, plan, records: &planned, summary: &summary, out };
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template("search", include_str!("search.html"))?;
    environment.add_template("page", include_str!("page.html"))?;
    let contents = Contents {
        style: include_str!("page.css"),
        script: include_str!("page.js"),
        name: &study.name,
        claim: &study.claim,
        expected: &study.expected,
        answer: table::answer(&summary),
        verdicts: table::verdicts(&summary),
        method: text::METHOD,
        intervals: text::intervals(&summary),
        cards: table::cards(&sources),
        table: table::table(&sources),
        cost: table::cost_chart(&sources),
        costs: table::plain(&sources, text::costs(&summary)),
        costs_footing: text::costs_footing(&summary),
        ablations: table::ablations(&summary),
        ablations_footing: text::ABLATIONS,
        details: table::plain(&sources, text::details(&summary)),
        details_footing: text::DETAILS,
        curves: curves::curves(&sources),
        searches: search::searches(&sources),
        panels: panels::panels(&sources, photographs),
        classes: table::classes(&sources),
        failures: failures(&sources),
        facts: facts(&sources, how),
        how,
        study_file: &study.text,
    };
    Ok(environment.get_template("page")?.render(minijinja::value::Serde(contents))?)
}

/// What the template is given.
#[derive(Serialize)]
struct Contents<'a> {
    style: &'static str,
    script: &'static str,
    name: &'a str,
    claim: &'a str,
    expected: &'a str,
    answer: Vec<String>,
    verdicts: Vec<table::Judged>,
    method: &'static str,
    intervals: String,
    cards: Vec<table::Card>,
    table: table::Table,
    cost: String,
    costs: Option<table::Plain>,
    costs_footing: String,
    ablations: Option<table::Ablations>,
    ablations_footing: &'static str,
    details: Option<table::Plain>,
    details_footing: &'static str,
    curves: Option<curves::Curves>,
    searches: Vec<search::Search>,
    panels: Option<panels::Panels>,
    classes: Option<table::Classes>,
    failures: Vec<Failure>,
    facts: Vec<(&'static str, String)>,
    how: &'a How,
    study_file: &'a str,
}

/// What the page is made of.
struct Sources<'a> {
    study: &'a Study,
    plan: &'a Plan,
    /// Of planned runs alone.
    records: &'a Records,
    summary: &'a Summary,
    out: &'a Path,
}

impl Sources<'_> {
    /// The colour of an approach: its place among all of the study.
    fn colour(&self, approach: &str) -> usize {
        let rows = self.study.rows().position(|each| each.name == approach);
        rows.unwrap_or_else(|| self.study.rows().count() + self.place_among_pretrainings(approach)) % 8
    }

    fn place_among_pretrainings(&self, approach: &str) -> usize {
        let mut all = self.study.approaches.iter().filter(|each| each.role == Role::Pretraining);
        all.position(|each| each.name == approach).unwrap_or(0)
    }
}

#[derive(Serialize)]
struct Failure {
    run: String,
    id: String,
    err: String,
}

fn failures(sources: &Sources<'_>) -> Vec<Failure> {
    let failed = sources.records.iter().filter(|record| !record.is_ok());
    failed
        .map(|record| Failure {
            run: sources.plan.get(&record.id).map_or_else(|| record.approach.clone(), ToString::to_string),
            id: record.id.clone(),
            err: record.err.replace(" | ", "\n"),
        })
        .collect()
}

/// What is to be known of how the study was run, as (name, text).
fn facts(sources: &Sources<'_>, how: &How) -> Vec<(&'static str, String)> {
    let price = &sources.study.price;
    let each = |text: fn(&crate::Record) -> &str| -> String {
        let all: BTreeSet<&str> = sources.records.iter().map(text).filter(|text| !text.is_empty()).collect();
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    let started: Vec<&str> = sources.records.iter().map(|record| record.started.as_str()).collect();
    let mut facts = vec![
        ("runs", format!("{} of {} planned", sources.records.iter().count(), sources.plan.runs.len())),
        ("time", format!("{}, the times of all runs added up", duration(sources.summary.seconds))),
        ("cost", format!("{}, all runs together", money(sources.summary.dollars))),
        (
            "price",
            format!(
                "${} an hour for {}; {}, {}",
                price.dollars_per_hour, price.machine, price.source, price.date
            ),
        ),
        ("device", each(|record| &record.device)),
        ("version", each(|record| &record.version)),
        ("begun", started.iter().min().map_or_else(String::new, |text| (*text).into())),
        (if how.is_version() { "program" } else { "commit" }, how.revision.clone()),
    ];
    facts.retain(|(_, text)| !text.is_empty());
    facts
}
