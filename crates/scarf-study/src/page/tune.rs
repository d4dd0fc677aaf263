//! The page of a search that was run by itself.

use super::search::{Told, figure, search};
use crate::Error;
use crate::tune::{Over, Search, Tuner};
use minijinja::{AutoEscape, Environment};
use scarf_hpo::{Trial, TrialState};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Contents<'a> {
    style: &'static str,
    script: &'static str,
    name: &'a str,
    headline: String,
    over: String,
    best: Vec<(String, String)>,
    search: Option<super::search::Search>,
    failures: Vec<(u64, String)>,
    command: &'a str,
    again: String,
    facts: Vec<(&'static str, String)>,
}

/// So many failures are told at length.
const FAILURES: usize = 8;

/// The HTML text of a search's page: history, importance, parallel coordinates, slices, cost, trials. `command` is
/// what was typed.
///
/// # Errors
/// [`Error::Page`] where the template and what it is given disagree; where the journal cannot be read.
pub fn tune_page(search: &Search, tuner: &Tuner<'_>, over: Over, command: &str) -> Result<String, Error> {
    let trials = tuner.trials()?;
    let failed = trials.iter().filter(|trial| trial.state == TrialState::Failed);
    let errors: BTreeMap<u64, String> =
        failed.filter_map(|trial| Some((trial.number, tuner.why(trial)?.replace(" | ", "\n")))).collect();
    let cost = |trial: &Trial| Some((trial.number, trial.seconds? / 3600.0 * search.dollars_per_hour));
    let priced = trials.iter().filter(|_| search.dollars_per_hour > 0.0);
    let dollars: BTreeMap<u64, f64> = priced.filter_map(cost).collect();
    let best = search.history(&trials).best();
    let told = Told {
        title: &search.name,
        objective: &search.objective,
        space: &search.space,
        direction: search.direction,
        trials: &trials,
        errors: &errors,
        dollars: &dollars,
        colour: 0,
    };
    let contents = Contents {
        style: include_str!("page.css"),
        script: include_str!("page.js"),
        name: &search.name,
        headline: headline(search, best),
        over: match over {
            Over::Reason(reason) => format!("The search ended: {reason}."),
            Over::Interrupted => "The search was interrupted; the same command goes on from here.".into(),
        },
        best: best.map_or_else(Vec::new, |best| {
            best.params.keys().map(|name| (name.clone(), super::search::chosen(&best.params, name))).collect()
        }),
        search: self::search(&told),
        failures: errors.iter().take(FAILURES).map(|(number, err)| (number + 1, err.clone())).collect(),
        command,
        again: best.map_or_else(String::new, |best| from_here(&tuner.again(best))),
        facts: facts(search, tuner),
    };
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template("search", include_str!("search.html"))?;
    environment.add_template("page", include_str!("tune.html"))?;
    Ok(environment.get_template("page")?.render(minijinja::value::Serde(contents))?)
}

fn headline(search: &Search, best: Option<&Trial>) -> String {
    let Some((best, value)) = best.and_then(|best| Some((best, best.value?))) else {
        return format!("No trial has a {} yet", search.objective);
    };
    format!("The best {} is {}, in trial {}", search.objective, figure(value), best.number + 1)
}

/// A text with its paths as seen from the current folder, where they are below it.
fn from_here(text: &str) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    if here.parent().is_some() { text.replace(&format!("{}/", here.display()), "") } else { text.into() }
}

fn facts(search: &Search, tuner: &Tuner<'_>) -> Vec<(&'static str, String)> {
    let json = |value: serde_json::Result<String>| value.unwrap_or_default().replace('"', "");
    let direction = match search.direction {
        scarf_hpo::Direction::Minimize => "less is better",
        scarf_hpo::Direction::Maximize => "more is better",
    };
    let mut facts = vec![
        ("objective", format!("{}, {direction}", search.objective)),
        ("sampler", format!("{}, seed {}", json(serde_json::to_string(&search.sampler)), search.seed)),
        ("ends", json(serde_json::to_string(&search.stop))),
        ("journal", from_here(&tuner.journal_path().display().to_string())),
    ];
    if let Some(pruner) = &search.pruner {
        facts.push(("pruner", json(serde_json::to_string(pruner))));
    }
    if search.dollars_per_hour > 0.0 {
        facts.push(("price", format!("${} an hour of a trial", search.dollars_per_hour)));
    }
    facts
}
