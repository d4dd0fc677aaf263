//! Simple regret of the samplers on functions with known minima, as JSON lines; on the four of functions.rs if none are
//! named.
//!
//! `cargo run -p scarf-hpo --example regret -- [--seeds N] [--samplers 'tpe;gp;{"tpe":{"startup":5}}'] [--functions branin,mixed]`
//!
//! `compare.py` beside this file runs it along with Optuna on the same functions and prints the table.

mod functions;
mod others;

use functions::{FUNCTIONS, Function};
use others::OTHERS;
use scarf_hpo::{AnySampler, Direction, History, Sampler, Tpe, Trial};
use std::time::Instant;

const TRIALS: u64 = 100;
const SAMPLERS: &str = "tpe;tpe_univariate;gp;cma_es;random;sobol";

fn main() -> Result<(), String> {
    let (mut seeds, mut first, mut samplers, mut functions) = (20, 0, SAMPLERS.to_string(), String::new());
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().ok_or(format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--seeds" => seeds = value.parse().map_err(|error| format!("--seeds {value}: {error}"))?,
            "--first" => first = value.parse().map_err(|error| format!("--first {value}: {error}"))?,
            "--samplers" => samplers = value,
            "--functions" => functions = value,
            _ => return Err(format!("{flag} is none of --seeds, --first, --samplers, --functions")),
        }
    }
    for name in samplers.split(';') {
        let sampler = match name {
            _ if name.starts_with('{') => {
                serde_json::from_str(name).map_err(|error| format!("{name}: {error}"))?
            }
            "tpe_univariate" => AnySampler::Tpe(Tpe::univariate()),
            _ => AnySampler::from_name(name).ok_or(format!("{name} is no sampler"))?,
        };
        for function in chosen(&functions)? {
            for seed in first..first + seeds {
                println!("{}", run(name, &sampler, function, seed));
            }
        }
    }
    Ok(())
}

/// The functions of these names, the four that are compared where there are none.
fn chosen(names: &str) -> Result<Vec<&'static Function>, String> {
    if names.is_empty() {
        return Ok(FUNCTIONS.iter().collect());
    }
    let named = |name: &str| {
        let found = FUNCTIONS.iter().chain(OTHERS).find(|each| each.name == name);
        found.ok_or(format!("{name} is no function"))
    };
    names.split(',').map(named).collect()
}

/// One search, as a line of JSON: the regret after each trial and the mean time of a suggestion.
fn run(name: &str, sampler: &AnySampler, function: &Function, seed: u64) -> String {
    let space = (function.space)();
    let mut trials: Vec<Trial> = Vec::new();
    let mut best = f64::INFINITY;
    let mut regret = Vec::new();
    let mut asked = 0.0;
    for number in 0..TRIALS {
        let begin = Instant::now();
        let params = sampler.suggest(&space, History::new(Direction::Minimize, &trials), seed, number);
        asked += begin.elapsed().as_secs_f64();
        assert!(space.contains(&params), "{name} left the space: {params:?}");
        let value = (function.value)(&params);
        best = best.min(value - function.minimum);
        regret.push(best);
        trials.push(Trial::new(number, params).complete(value));
    }
    serde_json::json!({
        "library": "scarf", "sampler": name, "function": function.name, "seed": seed,
        "regret": regret, "ask_ms": asked * 1e3 / TRIALS as f64,
    })
    .to_string()
}
