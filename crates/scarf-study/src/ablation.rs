//! What came of the variations that are compared on the validation images alone.

use crate::analysis::mean;
use crate::plan::{Kind, Plan};
use crate::record::{Record, Records};
use crate::stat::Stat;
use crate::study::{Approach, Study};
use crate::summary::{stats, trouble};
use crate::verdict::{Compared, Comparisons, Outcome};

/// One variation beside what it is a variation of.
#[derive(Debug, Clone)]
pub struct Ablation {
    /// What the table calls it.
    pub title: String,
    /// What is worth saying of it.
    pub note: String,
    /// What the table calls the approach that it differs from.
    pub of: String,
    /// Each of COCO's 12 numbers on the validation images over its seeds.
    pub val: Option<[Stat; 12]>,
    /// The same of the approach that it differs from, over the same seeds.
    pub base: Option<[Stat; 12]>,
    /// AP of the two compared, over the validation images.
    pub compared: Option<Compared>,
    /// Mean seconds of one training, scoring included.
    pub seconds: Option<f64>,
    /// What one training costs: US dollars.
    pub cost: Option<f64>,
    /// Why there is nothing, or not all.
    pub err: Option<String>,
}

impl Ablation {
    /// What these records say of an ablation of `study`.
    pub(crate) fn new(
        study: &Study,
        approach: &Approach,
        plan: &Plan,
        records: &Records,
        comparisons: &Comparisons,
    ) -> Self {
        let record = |id: Option<&str>| records.get(id?).filter(|record| record.is_ok());
        let pairs: Vec<(&Record, &Record)> = plan
            .pairs(approach)
            .filter_map(|(run, base)| Some((record(run.id())?, record(base.id())?)))
            .collect();
        let of = approach.of.as_deref().unwrap_or_default();
        Self {
            title: approach.title.clone(),
            note: approach.note.clone(),
            of: study.approach(of).map_or_else(|| of.into(), |base| base.title.clone()),
            val: stats(pairs.iter().filter_map(|pair| pair.0.val)),
            base: stats(pairs.iter().filter_map(|pair| pair.1.val)),
            compared: comparisons.ablation(approach, plan).cloned(),
            seconds: mean(pairs.iter().map(|pair| pair.0.seconds)),
            cost: mean(pairs.iter().map(|pair| pair.0.dollars)),
            err: trouble(approach, Kind::Ablation, plan, records),
        }
    }

    /// What the comparison says, in a word, and whether one seed alone says it: images are drawn anew for the interval,
    /// trainings are not.
    pub fn verdict(&self) -> String {
        let Some(compared) = &self.compared else { return "not judged".into() };
        let word = match compared.outcome() {
            Outcome::Supported => "better",
            Outcome::Contradicted => "worse",
            Outcome::NotSettled => return "not settled".into(),
        };
        if compared.by_seed.len() == 1 { format!("{word} (one seed)") } else { word.into() }
    }
}
