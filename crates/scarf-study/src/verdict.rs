//! What the test images say of a study's claims, and the validation images of its ablations.

use crate::Error;
use crate::analysis::Part;
use crate::files::{read_if_there, write_atomic};
use crate::plan::{Kind, Plan, Run, State};
use crate::resamples::{Drawn, drawn};
use crate::result::NUMBERS;
use crate::settings::run_folder;
use crate::study::{Approach, Claim, Study, Than};
use scarf_metrics::{Comparison, Resampled, compare_means, compare_to};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One approach compared with another, or with a number: `comparisons.json` in a study's folder holds those there are.
///
/// Made by [`scarf_metrics::compare_means`]: images are drawn with replacement, AP is averaged over the seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// The final runs of the approach that is to be better, one a seed.
    better: Vec<String>,
    /// What it is compared with.
    than: Other,
    /// One of COCO's average precisions, as `ap50`.
    metric: String,
    /// The images that it is measured on.
    #[serde(default, skip_serializing_if = "Part::is_test")]
    part: Part,
    /// By how much it is better, in 0 to 1, mean over the seeds.
    pub difference: f64,
    /// The 95 % interval of that over the images, low and high.
    pub interval: (f64, f64),
    /// Two-sided.
    pub p_value: f64,
    /// Seeds that both were trained with (all, where compared with a number), and the difference of each.
    pub by_seed: Vec<(u64, f64)>,
    /// Images that a run was scored on; the most, where they are folds that differ by one.
    pub images: usize,
    /// How often they were drawn anew.
    pub resamples: usize,
}

/// What an approach is compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Other {
    /// Another approach's final runs.
    Runs(Vec<String>),
    /// A published number.
    Number(f64),
}

impl Other {
    fn runs(&self) -> &[String] {
        match self {
            Other::Runs(ids) => ids,
            Other::Number(_) => &[],
        }
    }
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The interval lies above 0, and no seed says otherwise.
    Supported,
    /// It lies below, and no seed says otherwise.
    Contradicted,
    /// These images and seeds do not tell.
    NotSettled,
}

impl Outcome {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Outcome::Supported => "supported",
            Outcome::Contradicted => "contradicted",
            Outcome::NotSettled => "not settled",
        }
    }
}

impl Compared {
    /// What it says of "is better".
    pub fn outcome(&self) -> Outcome {
        let seeds =
            |better: bool| self.by_seed.iter().all(|(_, by)| if better { *by > 0.0 } else { *by < 0.0 });
        match self.interval {
            (low, _) if low > 0.0 && seeds(true) => Outcome::Supported,
            (_, high) if high < 0.0 && seeds(false) => Outcome::Contradicted,
            _ => Outcome::NotSettled,
        }
    }
}

/// A claim and what the test images say of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The claim in words.
    pub text: String,
    /// Supported if every comparison supports it, contradicted if any contradicts it; `None` where a comparison is
    /// missing, because runs have not been done or left nothing to compare.
    pub outcome: Option<Outcome>,
    /// What was compared, as "Fine-tuned against From scratch", and how it came out, in words.
    pub reasons: Vec<String>,
}

/// The comparisons that a study's claims ask for, as far as they have been made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparisons(Vec<Compared>);

impl Comparisons {
    /// Those that lie in a study's folder.
    ///
    /// # Errors
    /// Where the file cannot be read, or is something else.
    pub fn read(out: &Path) -> Result<Self, Error> {
        let path = out.join(FILE);
        let Some(text) = read_if_there(&path)? else { return Ok(Self::default()) };
        serde_json::from_str(&text)
            .map(Self)
            .map_err(|error| Error::Parse { path, message: error.to_string() })
    }

    /// Forgets those that a run is part of, for it is made anew.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub(crate) fn forget(out: &Path, id: &str) -> Result<(), Error> {
        let mut known = Self::read(out)?;
        let before = known.0.len();
        known.0.retain(|each| !each.better.iter().chain(each.than.runs()).any(|run| run == id));
        if known.0.len() < before { known.write(out) } else { Ok(()) }
    }

    /// Writes them into a study's folder.
    ///
    /// # Errors
    /// Where that is not possible.
    pub fn write(&self, out: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(&self.0).expect("numbers and text") + "\n";
        write_atomic(&out.join(FILE), text.as_bytes())
    }

    /// Makes the comparisons that are missing from what runs left under `out`, drops those that no claim and no ablation
    /// asks for any more, and leaves the file there. Passed over is what has neither detections nor what stood for them,
    /// and what was scored on other images.
    ///
    /// # Errors
    /// Where detections cannot be read, or the file cannot be written.
    pub fn complete(&mut self, study: &Study, plan: &Plan, out: &Path) -> Result<(), Error> {
        let mut all = Vec::new();
        let claims = study.claims.iter().flat_map(|claim| questions(claim, plan)).flatten();
        for question in claims.chain(study.ablations().filter_map(|each| worth(each, plan))) {
            let answer = match self.get(&question) {
                Some(known) => Some(known.clone()),
                None => question.answer(out)?,
            };
            all.extend(answer.filter(|answer| !all.contains(answer)));
        }
        let (before, now) = (self.0.len(), all.len());
        self.0 = all;
        if before + now == 0 { Ok(()) } else { self.write(out) }
    }

    /// What they say of each claim of `study`, in its order.
    pub fn verdicts(&self, study: &Study, plan: &Plan) -> Vec<Verdict> {
        study.claims.iter().map(|claim| self.verdict(claim, study, plan)).collect()
    }

    /// An ablation against what it is of, on the validation images, over the seeds that both were trained with; `None`
    /// until that has been compared.
    pub fn ablation(&self, approach: &Approach, plan: &Plan) -> Option<&Compared> {
        self.get(&worth(approach, plan)?)
    }

    fn get(&self, question: &Question) -> Option<&Compared> {
        self.0.iter().find(|each| question.asks(each))
    }

    fn verdict(&self, claim: &Claim, study: &Study, plan: &Plan) -> Verdict {
        let title = |name: &str| study.approach(name).map_or_else(|| name.into(), |each| each.title.clone());
        let mut outcomes = Vec::new();
        let mut reasons = Vec::new();
        for (pair, question) in pairs(claim).into_iter().zip(questions(claim, plan)) {
            let (better, than) = (title(pair.0), pair.1.map_or_else(|| number(claim), title));
            let known = question.as_ref().and_then(|question| self.get(question));
            outcomes.push(known.map(Compared::outcome));
            reasons.push(match known {
                Some(known) => reason(known, claim, &better, &than),
                None => format!(
                    "{better} against {than}: not judged, for want of runs, of their detections or of the same images"
                ),
            });
        }
        let outcome = outcomes.iter().copied().collect::<Option<Vec<_>>>().map(|all| {
            if all.contains(&Outcome::Contradicted) {
                Outcome::Contradicted
            } else if all.contains(&Outcome::NotSettled) {
                Outcome::NotSettled
            } else {
                Outcome::Supported
            }
        });
        Verdict { text: claim.text.clone(), outcome, reasons }
    }
}

const FILE: &str = "comparisons.json";

fn number(claim: &Claim) -> String {
    match claim.than {
        Than::Number(number) => format!("the published {number:.3}"),
        Than::Approaches(_) => String::new(),
    }
}

/// How a comparison came out, in words.
fn reason(compared: &Compared, claim: &Claim, better: &str, than: &str) -> String {
    let Compared { difference, interval: (low, high), .. } = compared;
    let most = compared.better.len().max(match &compared.than {
        Other::Runs(runs) => runs.len(),
        Other::Number(_) => 0,
    });
    let metric = claim.metric.name().replace("ap", "AP").replace('_', " ");
    let seeds = match compared.by_seed.as_slice() {
        [] => "no seed in common, so run-to-run spread is not paired".into(),
        [_] if most > 1 => "one seed in common: run-to-run spread is not paired".into(),
        [_] => "one seed: run-to-run spread is unknown".into(),
        all => {
            let by: Vec<String> = all.iter().map(|(_, by)| format!("{by:+.3}")).collect();
            format!("seed by seed {}", by.join(", "))
        }
    };
    format!(
        "{better} against {than}: {metric} {difference:+.3}, 95 % interval {low:+.3} to {high:+.3}; {seeds}"
    )
}

/// The pairs of approaches that a claim compares; the second is missing where it is a number.
fn pairs(claim: &Claim) -> Vec<(&str, Option<&str>)> {
    let each = |better| match &claim.than {
        Than::Approaches(others) => others.iter().map(|other| (better, Some(other.as_str()))).collect(),
        Than::Number(_) => vec![(better, None)],
    };
    claim.better.iter().flat_map(|better| each(better.as_str())).collect()
}

/// A comparison to be made: runs by id and seed.
struct Question {
    better: Vec<(String, u64)>,
    than: Result<Vec<(String, u64)>, f64>,
    metric: usize,
    name: &'static str,
    part: Part,
}

/// One question for each pair of a claim; `None` where a run of it has not ended well.
fn questions(claim: &Claim, plan: &Plan) -> Vec<Option<Question>> {
    let runs = |approach: &str| {
        let finals = plan.of(approach).filter(|run| run.kind == Kind::Final);
        let ids: Option<Vec<(String, u64)>> = finals
            .map(|run| (run.state == State::Done).then(|| Some((run.id()?.to_string(), run.seed)))?)
            .collect();
        ids.filter(|ids| !ids.is_empty())
    };
    let question = |(better, than): (&str, Option<&str>)| {
        let than = match (&claim.than, than) {
            (Than::Number(number), _) => Err(*number),
            (_, than) => Ok(runs(than?)?),
        };
        Some(Question {
            better: runs(better)?,
            than,
            metric: claim.metric.index(),
            name: claim.metric.name(),
            part: Part::Test,
        })
    };
    pairs(claim).into_iter().map(question).collect()
}

/// What an ablation asks: its AP against that of what it is of; `None` where one of its runs, or its counterpart, has
/// not ended well.
fn worth(approach: &Approach, plan: &Plan) -> Option<Question> {
    let done = |run: &Run| (run.state == State::Done).then(|| Some((run.id()?.to_string(), run.seed)))?;
    let (better, than): (Vec<_>, Vec<_>) = plan
        .pairs(approach)
        .map(|(run, base)| Some((done(run)?, done(base)?)))
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .unzip();
    let ap = Question { better, than: Ok(than), metric: 0, name: NUMBERS[0], part: Part::Val };
    (!ap.better.is_empty()).then_some(ap)
}

impl Question {
    fn than(&self) -> Other {
        match &self.than {
            Ok(runs) => Other::Runs(ids(runs)),
            Err(number) => Other::Number(*number),
        }
    }

    fn asks(&self, known: &Compared) -> bool {
        (known.part, known.metric.as_str()) == (self.part, self.name)
            && known.better == ids(&self.better)
            && known.than == self.than()
    }

    fn answer(&self, out: &Path) -> Result<Option<Compared>, Error> {
        let Some(better) = self.open(&self.better, out)? else { return Ok(None) };
        let than = match &self.than {
            Ok(runs) => match self.open(runs, out)? {
                Some(than) => Ok(than),
                None => return Ok(None),
            },
            Err(number) => Err(*number),
        };
        if than.as_ref().is_ok_and(|than| !on_the_same(than, &better)) {
            return Ok(None);
        }
        let aps = |runs: Vec<Drawn>| runs.into_iter().map(|run| run.ap).collect::<Vec<Resampled>>();
        let (better, than) = (aps(better), than.map(aps));
        let compared = match &than {
            Ok(than) => compare_means(than, &better),
            Err(number) => compare_to(*number, &better),
        };
        let Ok(Some(Comparison { difference, p_value })) = compared else { return Ok(None) };
        let by_seed = self.better.iter().zip(&better).filter_map(|((_, seed), model)| {
            let other = match (&than, &self.than) {
                (Ok(models), Ok(runs)) => models[runs.iter().position(|(_, each)| each == seed)?].value,
                (Err(number), _) | (_, Err(number)) => *number,
            };
            Some((*seed, model.value - other))
        });
        Ok(Some(Compared {
            better: ids(&self.better),
            than: self.than(),
            metric: self.name.into(),
            part: self.part,
            difference: difference.value,
            interval: (difference.low, difference.high),
            p_value,
            by_seed: by_seed.collect(),
            images: better.iter().map(|model| model.images).max().unwrap_or_default(),
            resamples: difference.resamples,
        }))
    }

    /// These runs on draws of the images; `None` where one left nothing to draw from.
    fn open(&self, runs: &[(String, u64)], out: &Path) -> Result<Option<Vec<Drawn>>, Error> {
        runs.iter().map(|(id, _)| drawn(&run_folder(out, id), self.part, self.metric)).collect()
    }
}

/// Whether two sides were tested on the same images: of folds on each, and each as large a part of a side.
fn on_the_same(a: &[Drawn], b: &[Drawn]) -> bool {
    let count = |runs: &[Drawn], truth: &str| runs.iter().filter(|run| run.truth == truth).count();
    a.iter().chain(b).all(|run| count(a, &run.truth) * b.len() == count(b, &run.truth) * a.len())
}

fn ids(runs: &[(String, u64)]) -> Vec<String> {
    runs.iter().map(|(id, _)| id.clone()).collect()
}
