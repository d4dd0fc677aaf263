//! What came of a study: one row an approach.

use crate::ablation::Ablation;
use crate::analysis::{Analysis, mean};
use crate::plan::{Kind, Plan, State};
use crate::record::{Record, Records};
use crate::result::{Epoch, Inference, Numbers, RunResult};
use crate::settings::run_folder;
use crate::stat::Stat;
use crate::study::{Approach, Study};
use crate::verdict::{Comparisons, Verdict};
use crate::{Error, Machine};
use std::path::Path;

/// What came of a study.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The approaches that are compared, in the order of the file.
    pub rows: Vec<Row>,
    /// The variations that are compared on the validation images alone, in the order of the file.
    pub ablations: Vec<Ablation>,
    /// What all runs took together, failed ones too: seconds.
    pub seconds: f64,
    /// The same in US dollars.
    pub dollars: f64,
    /// What became of each claim.
    pub verdicts: Vec<Verdict>,
    /// AP on the validation images that approaches are timed to; `None` where there are no curves.
    pub reach: Option<f64>,
    /// The machine of the study that this one repeats.
    pub original: Option<Machine>,
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
    /// Each of COCO's 12 numbers on the test images over the seeds, in the order of [`crate::NUMBERS`].
    pub test: Option<[Stat; 12]>,
    /// 95 % intervals of the test numbers, low and high: of several seeds by Student's t over the seeds; of one seed by
    /// the bootstrap over test images, of AP, AP50 and AP75, where its detections were looked at.
    pub intervals: [Option<(f64, f64)>; 12],
    /// A closer look at each of its final runs, as far as there is one.
    pub analyses: Vec<Analysis>,
    /// How fast its models are, likewise.
    pub inference: Vec<Inference>,
    /// How long it took to reach [`Summary::reach`].
    pub reached: Option<Reached>,
    /// Whether none other reaches as much for its cost or less.
    pub front: bool,
    /// Mean seconds of one training, scoring included.
    pub seconds: Option<f64>,
    /// What one training costs: US dollars.
    pub cost: Option<f64>,
    /// What the search cost, all trials together; `None` where there is none.
    pub search: Option<f64>,
    /// What one detector of what this begins from costs; `None` where it begins from nothing of the study.
    pub pretraining: Option<f64>,
    /// Seconds to get one detector this way: a training, its search and what it begins from.
    pub total_seconds: Option<f64>,
    /// The same in US dollars.
    pub total: Option<f64>,
    /// The same hours at the price of [`Summary::original`].
    pub total_original: Option<f64>,
    /// Why there is nothing, or not all.
    pub err: Option<String>,
}

/// When the runs of an approach reached a given AP on the validation images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reached {
    /// Mean seconds until the first epoch that was scored so, search and pretraining before it included; of those that
    /// reached it.
    pub seconds: f64,
    /// The same in US dollars.
    pub dollars: f64,
    /// How many runs reached it.
    pub runs: usize,
    /// Of how many.
    pub of: usize,
}

impl Summary {
    /// What these records say of `study`, and what lies beside them in its folder `out`. Records of runs that are not
    /// in `plan` (of earlier settings) do not count.
    ///
    /// # Errors
    /// Where the comparisons in the folder cannot be read.
    pub fn new(study: &Study, plan: &Plan, records: &Records, out: &Path) -> Result<Self, Error> {
        let mut planned = records.clone();
        planned.retain(|record| plan.get(&record.id).is_some());
        let finals = |approach: &Approach| -> Vec<Curve> {
            let runs = planned
                .iter()
                .filter(|each| each.approach == approach.name && each.kind == Kind::Final && each.is_ok());
            runs.map(|record| Curve::of(record, out)).filter(|curve| !curve.points.is_empty()).collect()
        };
        let curves: Vec<Vec<Curve>> = study.rows().map(finals).collect();
        let points = curves.iter().flatten().flat_map(|curve| &curve.points);
        let best = points.map(|point| point.1).fold(0.0, f64::max);
        let reach = study.reach.or_else(|| (best > 0.0).then(|| (best * 50.0).round() / 100.0));
        let rows = study.rows().zip(&curves);
        let mut rows: Vec<Row> = rows
            .map(|(approach, curves)| {
                row(study, approach, plan, &planned, out, reach.map(|reach| (reach, curves.as_slice())))
            })
            .collect();
        front(&mut rows);
        let comparisons = Comparisons::read(out)?;
        let ablation = |approach| Ablation::new(study, approach, plan, &planned, &comparisons);
        Ok(Self {
            rows,
            ablations: study.ablations().map(ablation).collect(),
            seconds: planned.iter().map(|record| record.seconds).sum(),
            dollars: planned.iter().map(|record| record.dollars).sum(),
            verdicts: comparisons.verdicts(study, plan),
            reach: reach.filter(|_| best > 0.0),
            original: study.price.original.clone(),
        })
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

/// Marks the rows that none other beats at their cost or less.
fn front(rows: &mut [Row]) {
    let points: Vec<Option<(f64, f64)>> =
        rows.iter().map(|row| Some((row.total?, row.ap().filter(|ap| ap.mean >= 0.0)?.mean))).collect();
    let beats = |a: (f64, f64), b: (f64, f64)| a.0 <= b.0 && a.1 >= b.1 && a != b;
    for (row, point) in rows.iter_mut().zip(&points) {
        row.front = point.is_some_and(|point| !points.iter().flatten().any(|other| beats(*other, point)));
    }
}

/// How one run went.
struct Curve {
    /// Seconds of training and AP on the validation images, epoch after epoch, where that was measured.
    points: Vec<(f64, f64)>,
    /// US dollars a second: less than the machine's where that was shared.
    price: f64,
}

impl Curve {
    fn of(record: &Record, out: &Path) -> Self {
        let point = |epoch: Epoch| Some((*epoch.values.get("seconds")?, *epoch.values.get("val/ap")?));
        let points = Epoch::read_all(&run_folder(out, &record.id)).into_iter().filter_map(point);
        Self {
            points: points.filter(|point| point.1 >= 0.0).collect(),
            price: if record.seconds > 0.0 { record.dollars / record.seconds } else { 0.0 },
        }
    }

    /// Seconds and US dollars until AP was so much.
    fn until(&self, reach: f64) -> Option<(f64, f64)> {
        let (seconds, _) = self.points.iter().find(|point| point.1 >= reach)?;
        Some((*seconds, seconds * self.price))
    }
}

fn row(
    study: &Study,
    approach: &Approach,
    plan: &Plan,
    records: &Records,
    out: &Path,
    reach: Option<(f64, &[Curve])>,
) -> Row {
    let of = |kind: Kind| {
        records.iter().filter(move |record| record.approach == approach.name && record.kind == kind)
    };
    let finals: Vec<&Record> = of(Kind::Final).filter(|record| record.is_ok()).collect();
    let folders = || finals.iter().map(|record| run_folder(out, &record.id));
    let seconds = mean(finals.iter().map(|record| record.seconds));
    let cost = mean(finals.iter().map(|record| record.dollars));
    let search = approach.tune.as_ref().map(|_| spent(of(Kind::Trial)));
    let lineage = study.lineage(approach);
    let before = (!lineage.is_empty()).then(|| {
        let each = lineage.iter().map(|begun| one(begun, records));
        each.fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1))
    });
    let extra = [search, before].into_iter().flatten().fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    let total_seconds = seconds.map(|seconds| seconds + extra.0);
    let test = stats(finals.iter().filter_map(|record| record.test));
    let analyses: Vec<Analysis> = folders().filter_map(|folder| Analysis::read(&folder)).collect();
    let total = cost.map(|cost| cost + extra.1);
    Row {
        approach: approach.name.clone(),
        title: approach.title.clone(),
        planned: plan.of(&approach.name).filter(|run| run.kind == Kind::Final).count(),
        intervals: std::array::from_fn(|index| interval(&test?[index], &analyses, index)),
        test,
        inference: folders().filter_map(|folder| RunResult::read(&folder).ok()?.inference).collect(),
        reached: reach.and_then(|(reach, curves)| {
            let spent: Vec<(f64, f64)> = curves.iter().filter_map(|curve| curve.until(reach)).collect();
            let seconds = mean(spent.iter().map(|each| each.0))? + extra.0;
            let dollars = mean(spent.iter().map(|each| each.1))? + extra.1;
            Some(Reached { seconds, dollars, runs: spent.len(), of: curves.len() })
        }),
        front: false,
        analyses,
        seconds,
        cost,
        search: search.map(|spent| spent.1),
        pretraining: before.map(|spent| spent.1),
        total_seconds,
        total,
        total_original: study.price.original.as_ref().and_then(|machine| {
            // By dollars, for of an hour that two runs shared each had half.
            let hours = match study.price.dollars_per_hour {
                price if price > 0.0 => total? / price,
                _ => total_seconds? / 3600.0,
            };
            Some(hours * machine.dollars_per_hour)
        }),
        err: trouble(approach, Kind::Final, plan, records),
    }
}

/// The interval of a number: over several seeds, or of the one seed's analysis.
fn interval(stat: &Stat, analyses: &[Analysis], index: usize) -> Option<(f64, f64)> {
    match (stat.half, analyses) {
        (Some(half), _) => Some(((stat.mean - half).max(0.0), (stat.mean + half).min(1.0))),
        (None, [one]) if stat.n == 1 => one.intervals.get(index).copied().flatten(),
        _ => None,
    }
}

/// Seconds and dollars of one detector of an approach that others begin from: its search, and the mean training.
fn one(approach: &Approach, records: &Records) -> (f64, f64) {
    let (trials, trainings): (Vec<&Record>, Vec<&Record>) = records
        .iter()
        .filter(|record| record.approach == approach.name)
        .partition(|record| record.kind == Kind::Trial);
    let whole: Vec<&Record> = trainings.into_iter().filter(|record| record.is_ok()).collect();
    let (search, training) = (spent(trials.into_iter()), spent(whole.iter().copied()));
    let seeds = whole.len().max(1) as f64;
    (search.0 + training.0 / seeds, search.1 + training.1 / seeds)
}

/// Seconds and dollars of all these.
fn spent<'r>(records: impl Iterator<Item = &'r Record>) -> (f64, f64) {
    records.fold((0.0, 0.0), |sum, record| (sum.0 + record.seconds, sum.1 + record.dollars))
}

/// Why an approach has not all its runs of a kind.
pub(crate) fn trouble(approach: &Approach, kind: Kind, plan: &Plan, records: &Records) -> Option<String> {
    let mut runs = plan.of(&approach.name).filter(|run| run.kind == kind);
    runs.find_map(|run| match &run.state {
        State::Failed => run.id().and_then(|id| records.get(id)).map(|record| record.err.clone()),
        State::Blocked(reason) => Some(reason.clone()),
        _ => None,
    })
}

/// Each of the 12 numbers over several runs; `None` where there are none.
pub(crate) fn stats(numbers: impl Iterator<Item = Numbers>) -> Option<[Stat; 12]> {
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
