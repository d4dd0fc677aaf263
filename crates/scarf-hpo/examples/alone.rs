//! A search in a program of one's own: `cargo run -p scarf-hpo --example alone`.
//!
//! Run it in several terminals at once, or stop it half way and run it again: the workers share the journal. Then
//! `optuna-dashboard search.journal` shows it.

use scarf_hpo::{
    Asha, Ask, Direction, Domain, Journal, Outcome, Parameter, Pruner, Space, Tpe, TrialState, importance,
};
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).map_or_else(|| PathBuf::from("search.journal"), PathBuf::from);
    let space = Space::new(vec![
        Parameter::new("lr", Domain::log(1e-4, 1e-1)),
        Parameter::new("optimizer", Domain::choice(["sgd", "adam"])),
        Parameter::new("momentum", Domain::reverse_log(0.0, 0.99)).when("optimizer", "sgd"),
        Parameter::new("batch", Domain::int_log(8, 128)),
    ])?;
    let mut journal =
        Journal::open(&path, "alone", space.clone(), Direction::Maximize, Duration::from_secs(60))?;
    let (sampler, pruner) = (Tpe::default(), Asha::default());
    loop {
        let task = match journal.ask(&sampler, 7, Some(60))? {
            Ask::Run(task) => task,
            Ask::Wait => {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
            Ask::Done => break,
        };
        let begin = Instant::now();
        let alive = journal.keep_alive(task.number)?;
        let mut outcome = Outcome::default();
        for epoch in 1..=9 {
            let accuracy = train_one_epoch(&task.params, epoch);
            outcome.value = Some(accuracy);
            journal.report(task.number, epoch, accuracy)?;
            let trial = &journal.trials()[task.number as usize];
            if epoch < 9 && pruner.prune(trial, journal.history()) {
                outcome.pruned = true;
                break;
            }
        }
        drop(alive);
        outcome.seconds = Some(begin.elapsed().as_secs_f64());
        journal.tell(task.number, &outcome)?;
    }
    let pruned = journal.trials().iter().filter(|trial| trial.state == TrialState::Pruned).count();
    println!("{} trials, {pruned} of them stopped early", journal.trials().len());
    if let Some(best) = journal.history().best() {
        println!("best: {:.4} with {:?}", best.value.unwrap_or(f64::NAN), best.params);
    }
    for each in importance(&space, journal.history(), 0) {
        println!("{:>10} explains {:3.0} %", each.name, 100.0 * each.share);
    }
    Ok(())
}

/// Stands for the training: the accuracy after so many epochs.
fn train_one_epoch(params: &scarf_hpo::Params, epoch: u64) -> f64 {
    let lr = params["lr"].as_f64().map_or(0.0, f64::log10);
    let best = if params["optimizer"].as_str() == Some("adam") { -3.0 } else { -1.5 };
    let momentum = params.get("momentum").and_then(scarf_hpo::Value::as_f64).unwrap_or(0.9);
    let end = 0.9 - 0.1 * (lr - best).powi(2) - 0.1 * (momentum - 0.9).powi(2);
    end * (1.0 - (-0.5 * epoch as f64).exp())
}
