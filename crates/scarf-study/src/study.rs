//! A checked study: nothing is left to be resolved but what its own runs decide.

use crate::result::NUMBERS;
use crate::{Error, Given, Price, Role, StudyFile, Tree};
use scarf_hpo::{AnyPruner, AnySampler, Direction, Space};
use std::path::Path;

/// A checked study.
#[derive(Debug, Clone)]
pub struct Study {
    /// Its file's name without the ending.
    pub name: String,
    /// What it is to show.
    pub claim: String,
    /// The same as claims that can be judged one by one.
    pub claims: Vec<Claim>,
    /// AP on the validation images that approaches are timed to; half of the best that is reached, where `None`.
    pub reach: Option<f64>,
    /// What to expect of it.
    pub expected: String,
    /// About how many minutes it takes in all.
    pub minutes: Option<f64>,
    /// What an hour costs.
    pub price: Price,
    /// Whether the photographs may not be handed on.
    pub private_images: bool,
    /// The approaches, in the order of the table; those that are only begun from among them.
    pub approaches: Vec<Approach>,
    /// The text of its file.
    pub text: String,
}

/// A checked claim: each of some approaches is better than each of others.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// In words.
    pub text: String,
    /// The approaches that are to be better; one at least, each with a row.
    pub better: Vec<String>,
    /// What they are to be better than.
    pub than: Than,
    /// What is compared, on the test images.
    pub metric: Metric,
}

/// What a claim compares with.
#[derive(Debug, Clone, PartialEq)]
pub enum Than {
    /// These approaches; one at least, each with a row.
    Approaches(Vec<String>),
    /// A published number, taken as exact.
    Number(f64),
}

/// One of COCO's average precisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric(usize);

impl Metric {
    /// From its name, as `ap50`.
    ///
    /// # Errors
    /// The names there are.
    pub fn parse(name: &str) -> Result<Self, String> {
        let all = &NUMBERS[..6];
        let place = all.iter().position(|each| *each == name).map(Metric);
        place.ok_or_else(|| format!("claims are of {}, not {name}", all.join(", ")))
    }

    /// Its place among [`NUMBERS`]: 0 to 5.
    pub fn index(self) -> usize {
        self.0
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        NUMBERS[self.0]
    }
}

/// One approach, with all that it takes over from others.
#[derive(Debug, Clone)]
pub struct Approach {
    /// Its name: the key in the file.
    pub name: String,
    /// What the table calls it.
    pub title: String,
    /// What is worth saying of it.
    pub note: String,
    /// Whether it is compared.
    pub role: Role,
    /// The approach that it is a variation of.
    pub of: Option<String>,
    /// It is trained once with each; one at least.
    pub seeds: Vec<u64>,
    /// Its data.
    pub data: Tree,
    /// Its recipe.
    pub recipe: Tree,
    /// What training begins from.
    pub init: Init,
    /// The search that comes first.
    pub tune: Option<Tune>,
}

/// What training begins from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Init {
    /// Nothing.
    Random,
    /// The checkpoint of another approach.
    Approach(String),
    /// Published weights: what the first lacks, the next may have.
    Weights(Vec<String>),
}

/// A checked search.
#[derive(Debug, Clone)]
pub struct Tune {
    /// How many trials, one at least; a grid ends with its last combination, if that comes first.
    pub trials: u64,
    /// How many are chosen at a time; one at least.
    pub parallel: u64,
    /// How they are chosen.
    pub sampler: AnySampler,
    /// The sampler's seed.
    pub seed: u64,
    /// What is optimised.
    pub objective: Objective,
    /// Whether more of it is better.
    pub direction: Direction,
    /// Dotted keys of the recipe and their domains.
    pub space: Space,
    /// What stops trials that do not promise.
    pub pruner: Option<AnyPruner>,
}

/// A number that a run measures on the validation images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objective {
    /// One of COCO's, of the model that is kept: its place among [`NUMBERS`].
    Number(usize),
    /// Another one of `metrics.jsonl`, as `val/loss`, at its best epoch.
    Curve(String),
}

impl Objective {
    /// From its name, as `val/ap50` or `val/loss`.
    ///
    /// # Errors
    /// What is wrong with the name, and what would be right.
    pub fn parse(name: &str) -> Result<Self, String> {
        let numbers = NUMBERS.join(", ");
        let Some(number) = name.strip_prefix("val/") else {
            let why = if name.starts_with("test/") { "test images are for the end; " } else { "" };
            return Err(format!("{why}an objective is val/ and a loss, or one of {numbers}, not {name}"));
        };
        // Which losses there are is for the program to know; what looks like one of COCO's numbers must be one.
        match NUMBERS.iter().position(|each| *each == number) {
            Some(index) => Ok(Self::Number(index)),
            None if ["ap", "ar", "map"].iter().any(|start| number.starts_with(start)) => {
                Err(format!("there is no {number}; COCO's numbers are {numbers}"))
            }
            None => Ok(Self::Curve(name.into())),
        }
    }

    /// Its name.
    pub fn name(&self) -> String {
        match self {
            Self::Number(index) => format!("val/{}", NUMBERS[*index]),
            Self::Curve(name) => name.clone(),
        }
    }
}

impl Study {
    /// Reads and checks a study file.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(path: &Path, given: &Given) -> Result<Self, Error> {
        let (file, text) = StudyFile::read(path, given)?;
        file.check(path, &text, given)
    }

    /// The approach called `name`; `None` where there is none.
    pub fn approach(&self, name: &str) -> Option<&Approach> {
        self.approaches.iter().find(|each| each.name == name)
    }

    /// The approaches that are compared, in the order of the table.
    pub fn rows(&self) -> impl Iterator<Item = &Approach> {
        self.approaches.iter().filter(|each| each.role == Role::Row)
    }

    /// The variations that are compared on the validation images alone, in the order of the file.
    pub fn ablations(&self) -> impl Iterator<Item = &Approach> {
        self.approaches.iter().filter(|each| each.role == Role::Ablation)
    }

    /// The published weights that approaches begin from, each once.
    pub fn weights(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .approaches
            .iter()
            .filter_map(|approach| match &approach.init {
                Init::Weights(names) => Some(names.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// The approaches that `approach` begins from, itself not among them, nearest first.
    pub fn lineage<'a>(&'a self, approach: &'a Approach) -> Vec<&'a Approach> {
        let mut lineage = Vec::new();
        let mut at = approach;
        while let Init::Approach(name) = &at.init {
            let Some(next) = self.approach(name) else { break };
            lineage.push(next);
            at = next;
        }
        lineage
    }
}
