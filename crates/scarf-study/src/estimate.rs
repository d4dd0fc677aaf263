//! How long the rest takes.

use crate::plan::{Plan, Run, State};
use crate::record::{Record, Records};
use crate::study::Study;

/// How long the rest of a study takes, judged by the runs there were.
#[derive(Debug, Clone, Copy)]
pub struct Estimate<'a> {
    study: &'a Study,
    records: &'a Records,
    runs: usize,
}

impl<'a> Estimate<'a> {
    /// For this plan of `study`.
    pub fn new(study: &'a Study, plan: &Plan, records: &'a Records) -> Self {
        Self { study, records, runs: plan.runs.len() }
    }

    /// Seconds that `run` takes by itself: as long as the runs of its approach and kind did, or else those of its approach,
    /// or else all; or else its share of what the study's file expects. `None` where nothing is known.
    pub fn run(&self, run: &Run) -> Option<f64> {
        let ok = || self.records.iter().filter(|record| record.is_ok());
        let alike = |record: &&Record| record.approach == run.approach;
        // What was stopped says how long trials take, and nothing of other runs.
        let whole = || ok().filter(|record| !record.pruned);
        self.mean(ok().filter(alike).filter(|record| record.kind == run.kind))
            .or_else(|| self.mean(whole().filter(alike)))
            .or_else(|| self.mean(whole()))
            .or_else(|| Some(self.study.minutes? * 60.0 / self.runs as f64))
    }

    /// Seconds that all runs which are yet to be done take, one after another.
    pub fn left(&self, plan: &Plan) -> Option<f64> {
        let to_do = |run: &&Run| matches!(run.state, State::Ready | State::Waiting(_));
        plan.runs.iter().filter(to_do).map(|run| self.run(run)).sum()
    }

    fn mean<'r>(&self, records: impl Iterator<Item = &'r Record>) -> Option<f64> {
        let price = self.study.price.dollars_per_hour;
        // Of runs that shared the machine, their share of the time is what they were charged.
        let alone = |record: &Record| match price > 0.0 {
            true => record.seconds.min(record.dollars / price * 3600.0),
            false => record.seconds,
        };
        let seconds: Vec<f64> = records.map(alone).collect();
        (!seconds.is_empty()).then(|| seconds.iter().sum::<f64>() / seconds.len() as f64)
    }
}
