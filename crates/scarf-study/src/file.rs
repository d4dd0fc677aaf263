//! A study as somebody wrote it.

use crate::files::read;
use crate::{Error, Tree, merge};
use scarf_hpo::{AnyPruner, AnySampler, Direction, Space};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// A study file, as written in TOML.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyFile {
    /// What the study is to show, in a sentence.
    pub claim: String,
    /// The same as claims that the test images can judge, one by one.
    #[serde(default)]
    pub claims: Vec<ClaimFile>,
    /// AP on the validation images: the table tells how long each approach takes to reach it. Half of the best that
    /// any of them reaches, where left out.
    pub reach: Option<f64>,
    /// What to expect of it: scores, and how long it takes on which machine.
    #[serde(default)]
    pub expected: String,
    /// About how many minutes it takes in all; a first estimate, until runs have been timed.
    pub minutes: Option<f64>,
    /// Each approach is trained once with each of these.
    pub seeds: Vec<u64>,
    /// What an hour of the machine costs.
    pub price: Price,
    /// The photographs may not be handed on: a page that is published shows boxes without them.
    #[serde(default)]
    pub private_images: bool,
    /// Describes the data set to the program.
    #[serde(default)]
    pub data: Tree,
    /// What approaches have in common: they are merged over it.
    #[serde(default)]
    pub recipe: Tree,
    /// The approaches, in the order of the table.
    pub approach: Named<ApproachFile>,
    /// Laid over the whole file for a check of about a minute.
    #[serde(default)]
    pub shrink: Tree,
    /// Laid over the whole file where data or weights are given from outside.
    #[serde(default)]
    pub with: WithFile,
}

/// What an hour costs, and who says so.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// US dollars for an hour of the machine.
    pub dollars_per_hour: f64,
    /// The machine.
    pub machine: String,
    /// Where the price is from.
    pub source: String,
    /// When it was looked up.
    pub date: String,
    /// The machine of the study that this one repeats: the same hours are priced there, too.
    pub original: Option<Machine>,
}

/// Another machine and its price.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// US dollars for an hour of it.
    pub dollars_per_hour: f64,
    /// The machine.
    pub machine: String,
    /// Where the price is from.
    pub source: String,
    /// When it was looked up.
    pub date: String,
}

/// A claim, as written: that some approaches do better on the test images than others, or than a published number.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimFile {
    /// The claim in words.
    pub text: String,
    /// The approach that is to be better, or several: the claim holds if each of them is.
    pub better: Names,
    /// The approach that they are to be better than, or several.
    pub than: Option<Names>,
    /// In place of `than`: a number that somebody has published for the same images, taken as exact.
    pub published: Option<f64>,
    /// What is compared: `ap`, `ap50`, `ap75`, `ap_small`, `ap_medium` or `ap_large`.
    #[serde(default = "ap")]
    pub metric: String,
}

fn ap() -> String {
    "ap".into()
}

/// Laid over the file where something is given from outside.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WithFile {
    /// Where a data folder is given.
    pub data: Tree,
    /// Where a weights folder is given.
    pub weights: Tree,
}

/// One approach, as written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApproachFile {
    /// What the table calls it; its name, where left out.
    pub title: Option<String>,
    /// What is worth saying of it.
    pub note: String,
    /// Whether it is compared, on which images, or only begun from.
    pub role: Role,
    /// The approach that it is a variation of: data, recipe and start are taken from there, then edited.
    pub of: Option<String>,
    /// What training begins from.
    pub init: Option<InitFile>,
    /// Its own seeds.
    pub seeds: Option<Vec<u64>>,
    /// Merged over the data.
    pub data: Tree,
    /// Merged over the recipe.
    pub recipe: Tree,
    /// Dotted keys, as `recipe.model.backbone`, that are not taken over from what this is merged over.
    pub unset: Vec<String>,
    /// Searches hyperparameters first, by the score on the validation images.
    pub tune: Option<TuneFile>,
}

/// Whether an approach is compared, and on which images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A row of the table.
    #[default]
    Row,
    /// What others begin from: no row, but its cost is told. Trained with the first seed alone, unless it
    /// has its own.
    Pretraining,
    /// One thing done otherwise than in the approach that it is `of`: compared with that one on the validation images
    /// alone, in a table of its own, so that what is chosen by it was not chosen on test images. Trained with
    /// that one's seeds, unless it has its own.
    Ablation,
}

/// What training begins from. `{ from = "approach" }`, `{ weights = "name" }`, `{ weights = "name", or_from =
/// "approach" }` (the file where a weights folder has it, the approach otherwise) or `{ random = true }`.
///
/// To show a trained model twice, as it is and looked at otherwise (other suppression, test-time augmentation), write an
/// approach that is `of` the first, begins `from` it, and trains for no epochs: a row of its own without a training of
/// its own, whose cost is the training's and its own scoring's. A search of `recipe.detect` or of the head's
/// `postprocess` goes the same way. It has the recipe that the first one has in the file: what a search of the first
/// chose is to be written into its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InitFile {
    /// From nothing; the default, and for variations of approaches that begin from something.
    pub random: bool,
    /// The checkpoint of another approach, trained with the same seed (its first one, where it lacks that).
    pub from: Option<String>,
    /// Published weights: a file `NAME.safetensors` in the weights folder, or several, of which the next may have
    /// what the first lacks.
    pub weights: Option<Names>,
    /// The approach to begin from where the file is not given.
    pub or_from: Option<String>,
}

/// A name, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a name, or a list of names")]
pub enum Names {
    /// One.
    One(String),
    /// Several, in order.
    Several(Vec<String>),
}

impl Names {
    /// The names, in order.
    pub fn names(&self) -> &[String] {
        match self {
            Names::One(name) => std::slice::from_ref(name),
            Names::Several(names) => names,
        }
    }
}

/// A search, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TuneFile {
    /// How many trials, one at least; a grid ends with its last combination, if that comes first.
    pub trials: u64,
    /// How they are chosen.
    #[serde(default)]
    pub sampler: AnySampler,
    /// The seed of the sampler. Trials are trained with the first seed of the approach.
    #[serde(default)]
    pub seed: u64,
    /// How many trials are chosen at a time: those of one batch know nothing of each other's ends, as if they ran at
    /// once.
    #[serde(default = "one")]
    pub parallel: u64,
    /// One of COCO's numbers on the validation images, as `val/ap50`, or a loss there, as `val/loss`.
    pub objective: String,
    /// Whether more is better.
    #[serde(default = "maximize")]
    pub direction: Direction,
    /// Dotted keys of the recipe, as `"train.optimizer.sgd.lr"`, and their domains.
    pub space: Space,
    /// What stops trials that do not promise, by the objective after each epoch that measured it. A trial is held
    /// against those of the batches before its own, so what comes of a study's search does not hang on who ends first
    /// (`scarf tune` holds it against all that there are). Without it trials that were stopped are done again; another
    /// one does not judge them again.
    #[serde(default)]
    pub pruner: Option<AnyPruner>,
}

fn one() -> u64 {
    1
}

fn maximize() -> Direction {
    Direction::Maximize
}

/// What is given from outside, and how the study is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// Whether the study is shrunk to a check.
    pub shrink: bool,
    /// A folder with data.
    pub data: Option<PathBuf>,
    /// Published weights.
    pub weights: Option<Weights>,
}

/// Published weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weights {
    /// Those in this folder.
    Folder(PathBuf),
    /// Those of these names, wherever they were when the study was run: enough to plan it again.
    Named(Vec<String>),
}

impl Given {
    /// Whether the published weights `name` are given.
    pub fn has_weights(&self, name: &str) -> bool {
        match &self.weights {
            None => false,
            Some(Weights::Folder(_)) => self.weights_file(name).is_some_and(|file| file.is_file()),
            Some(Weights::Named(names)) => names.iter().any(|each| each == name),
        }
    }

    /// The file of the published weights `name`, where a folder is given; it need not be there.
    pub fn weights_file(&self, name: &str) -> Option<PathBuf> {
        let folder = self.weights_folder()?;
        let whole = Path::new(name).extension().is_some_and(|end| end == "safetensors");
        Some(folder.join(if whole { name.to_string() } else { format!("{name}.safetensors") }))
    }

    /// The folder with published weights, where one is given.
    pub fn weights_folder(&self) -> Option<&Path> {
        match &self.weights {
            Some(Weights::Folder(folder)) => Some(folder),
            _ => None,
        }
    }
}

impl StudyFile {
    /// Reads a study file, with what `given` asks to be laid over it. Gives its text, too.
    ///
    /// # Errors
    /// Where it cannot be read, or is not a study file (the error names line and column).
    pub fn read(path: &Path, given: &Given) -> Result<(Self, String), Error> {
        let text = read(path)?;
        Ok((Self::parse(path, &text, given)?, text))
    }

    /// Parses the text of the study file at `path`, as [`StudyFile::read`] does.
    ///
    /// # Errors
    /// Where it is not a study file.
    pub fn parse(path: &Path, text: &str, given: &Given) -> Result<Self, Error> {
        let parse = |message: String| Error::Parse { path: path.into(), message };
        let plain: Self = toml::from_str(text).map_err(|error| parse(error.to_string()))?;
        let over = [
            ("with.data", given.data.is_some(), &plain.with.data),
            ("with.weights", given.weights.is_some(), &plain.with.weights),
            ("shrink", given.shrink, &plain.shrink),
        ];
        if over.iter().all(|(_, wanted, tree)| !wanted || tree.is_empty()) {
            return Ok(plain);
        }
        let mut whole: Tree = text.parse().map_err(|error: toml::de::Error| parse(error.to_string()))?;
        let mut laid = Vec::new();
        for (name, _, tree) in over.iter().filter(|(_, wanted, tree)| *wanted && !tree.is_empty()) {
            merge(&mut whole, tree);
            laid.push(format!("[{name}]"));
        }
        let with = laid.join(" and ");
        Self::deserialize(whole).map_err(|error| parse(format!("with {with} laid over it: {error}")))
    }
}

/// A table whose order matters.
#[derive(Debug, Clone)]
pub struct Named<T>(pub Vec<(String, T)>);

impl<T> Named<T> {
    /// The entry called `name`.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(each, _)| each == name).map(|(_, value)| value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of tables")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Named(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}
