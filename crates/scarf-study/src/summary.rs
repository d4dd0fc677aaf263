//! What came of a study: one row an approach.

use crate::plan::{Kind, Plan, State};
use crate::record::{Record, Records};
use crate::result::Numbers;
use crate::stat::Stat;
use crate::study::{Approach, Study};

/// What came of a study.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The approaches that are compared, in the order of the file.
    pub rows: Vec<Row>,
    /// What all runs took together, failed ones too: seconds.
    pub seconds: f64,
    /// The same in US dollars.
    pub dollars: f64,
    /// How many seeds an approach is trained with, at most.
    pub seeds: usize,
}

/// What came of one approach.
#[derive(Debug, Clone)]
pub struct Row {
    /// The approach.
    pub approach: String,
    /// What the table calls it.
    pub title: String,
    /// How many of its final runs were planned.
    pub planned: usize,
    /// Each of COCO's 12 numbers on the validation images over the seeds, in the order of [`crate::NUMBERS`].
    pub val: Option<[Stat; 12]>,
    /// The same on the test images.
    pub test: Option<[Stat; 12]>,
    /// Mean seconds of one training, scoring included.
    pub seconds: Option<f64>,
    /// What one training costs: US dollars.
    pub cost: Option<f64>,
    /// What the search cost, all trials together; `None` where there is none.
    pub search: Option<f64>,
    /// What was spent in the study on what this begins from; `None` where it begins from nothing of the study.
    pub pretraining: Option<f64>,
    /// Seconds to get one detector this way: a training, its search and what it begins from.
    pub total_seconds: Option<f64>,
    /// The same in US dollars.
    pub total: Option<f64>,
    /// Why there is nothing, or not all.
    pub err: Option<String>,
}

impl Summary {
    /// What these records say of `study`. Records of runs that are not in `plan` (of earlier settings) do not count.
    pub fn new(study: &Study, plan: &Plan, records: &Records) -> Self {
        let mut planned = records.clone();
        planned.retain(|record| plan.get(&record.id).is_some());
        let rows: Vec<Row> = study.rows().map(|approach| row(study, approach, plan, &planned)).collect();
        Self {
            rows,
            seconds: planned.iter().map(|record| record.seconds).sum(),
            dollars: planned.iter().map(|record| record.dollars).sum(),
            seeds: study.rows().map(|approach| approach.seeds.len()).max().unwrap_or(0),
        }
    }

    /// The row with the best mean AP on the test images.
    pub fn best(&self) -> Option<&Row> {
        let measured = self.rows.iter().filter(|row| row.ap().is_some());
        measured.max_by(|a, b| {
            a.ap()
                .map(|ap| ap.mean)
                .partial_cmp(&b.ap().map(|ap| ap.mean))
                .unwrap_or(std::cmp::Ordering::Equal)
        })
    }
}

impl Row {
    /// AP over IoU .50:.95 on the test images.
    pub fn ap(&self) -> Option<Stat> {
        self.test.map(|numbers| numbers[0])
    }
}

fn row(study: &Study, approach: &Approach, plan: &Plan, records: &Records) -> Row {
    let of = |kind: Kind| {
        records.iter().filter(move |record| record.approach == approach.name && record.kind == kind)
    };
    let finals: Vec<&Record> = of(Kind::Final).filter(|record| record.is_ok()).collect();
    let n = finals.len() as f64;
    let seconds = (n > 0.0).then(|| finals.iter().map(|record| record.seconds).sum::<f64>() / n);
    let cost = (n > 0.0).then(|| finals.iter().map(|record| record.dollars).sum::<f64>() / n);
    let search = approach.tune.as_ref().map(|_| spent(of(Kind::Trial)));
    let lineage = study.lineage(approach);
    let begun = |record: &&Record| lineage.iter().any(|each| each.name == record.approach);
    let before = (!lineage.is_empty()).then(|| spent(records.iter().filter(begun)));
    let extra = [search, before].into_iter().flatten().fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    Row {
        approach: approach.name.clone(),
        title: approach.title.clone(),
        planned: plan.of(&approach.name).filter(|run| run.kind == Kind::Final).count(),
        val: stats(finals.iter().filter_map(|record| record.val)),
        test: stats(finals.iter().filter_map(|record| record.test)),
        seconds,
        cost,
        search: search.map(|spent| spent.1),
        pretraining: before.map(|spent| spent.1),
        total_seconds: seconds.map(|seconds| seconds + extra.0),
        total: cost.map(|cost| cost + extra.1),
        err: trouble(approach, plan, records),
    }
}

/// Seconds and dollars of all these.
fn spent<'r>(records: impl Iterator<Item = &'r Record>) -> (f64, f64) {
    records.fold((0.0, 0.0), |sum, record| (sum.0 + record.seconds, sum.1 + record.dollars))
}

/// Why an approach has not all its final runs.
fn trouble(approach: &Approach, plan: &Plan, records: &Records) -> Option<String> {
    let mut finals = plan.of(&approach.name).filter(|run| run.kind == Kind::Final);
    finals.find_map(|run| match &run.state {
        State::Failed => run.id().and_then(|id| records.get(id)).map(|record| record.err.clone()),
        State::Blocked(reason) => Some(reason.clone()),
        _ => None,
    })
}

fn stats(numbers: impl Iterator<Item = Numbers>) -> Option<[Stat; 12]> {
    let all: Vec<Numbers> = numbers.collect();
    let empty = Stat { n: 0, mean: -1.0, sd: None, half: None };
    (!all.is_empty()).then(|| {
        std::array::from_fn(|index| {
            // -1 says that there is nothing to measure: no number to take a mean of.
            let values: Vec<f64> =
                all.iter().map(|numbers| numbers.0[index]).filter(|value| *value >= 0.0).collect();
            Stat::of(&values).unwrap_or(empty)
        })
    })
}
