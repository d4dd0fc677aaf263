//! What one run is told: the settings that a study resolves, typed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use burn::tensor::Device;
use scarf_heads::{Detector, DetectorConfig};
use scarf_train::{DetectConfig, TrainConfig};
use serde::{Deserialize, Serialize};

use crate::data::DataSettings;
use crate::recipe;

/// One run, resolved: the file of `scarf run --settings`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The hash of everything that decides the result.
    pub id: String,
    /// The approach that the run belongs to.
    pub approach: String,
    /// Seed of weights, order and augmentation.
    pub seed: u64,
    /// Images and splits.
    pub data: DataSettings,
    /// Model and training.
    pub recipe: Recipe,
    /// What the weights begin as; drawn from the seed where left out.
    #[serde(default)]
    pub init: Option<Init>,
    /// What to score the best epoch on.
    #[serde(default = "both")]
    pub score: Vec<Part>,
    /// Where data sets lie.
    #[serde(default)]
    pub data_dir: Option<PathBuf>,
    /// Where published weights lie.
    #[serde(default)]
    pub weights_dir: Option<PathBuf>,
}

/// The part of the settings that describes a detector and its training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// The detector: a recipe, or the name of a published one.
    #[serde(deserialize_with = "recipe::or_name")]
    pub model: DetectorConfig,
    /// How it is trained.
    pub train: TrainConfig,
    /// How it looks at images once it is trained: the detections that are scored in the end. Epochs of training are
    /// scored by one look an image.
    #[serde(default, skip_serializing_if = "is_default")]
    pub detect: DetectConfig,
}

/// What weights begin as.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Init {
    /// The best model of another run, by its folder.
    Checkpoint(PathBuf),
    /// Published files, by path; what the first lacks the next may have.
    Weights(Files),
}

/// One file or several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Files {
    /// One.
    One(PathBuf),
    /// Several, the first first.
    Several(Vec<PathBuf>),
}

impl Files {
    /// The paths in order.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Several(paths) => paths,
        }
    }
}

/// A part of the split that can be scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// The validation images.
    Val,
    /// The test images.
    Test,
}

/// Left out where it is written: what was recorded before there was such a setting stays what it is.
pub(crate) fn is_default(detect: &DetectConfig) -> bool {
    *detect == DetectConfig::default()
}

fn both() -> Vec<Part> {
    vec![Part::Val, Part::Test]
}

impl Recipe {
    /// What is wrong with the numbers, if anything: the key, and what would be right.
    fn check(&self, init: Option<&Init>) -> Result<(), String> {
        self.train
            .check()
            .and_then(|()| self.detect.check())
            .map_err(|problem| format!("recipe.{problem}"))?;
        if self.train.epochs == 0 && !matches!(init, Some(Init::Checkpoint(_))) {
            let why = "nothing is trained then, and what is scored must be the model of another run";
            return Err(format!(
                "`recipe.train.epochs` is 0; {why} (init = {{ from = \"APPROACH\" }} in a study)"
            ));
        }
        Ok(())
    }
}

impl Settings {
    /// Reads and checks a settings file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let reader = &mut serde_json::Deserializer::from_str(&text);
        let settings: Self = serde_path_to_error::deserialize(reader)
            .map_err(|error| anyhow!("{}: `{}`: {}", path.display(), error.path(), error.inner()))?;
        settings
            .recipe
            .check(settings.init.as_ref())
            .map_err(|problem| anyhow!("{}: {problem}", path.display()))?;
        settings.data.check(&settings.score).with_context(|| format!("{}: data", path.display()))?;
        Ok(settings)
    }

    /// Whether the device can do what the recipe asks for.
    pub(crate) fn check_device(&self, device: &Device) -> Result<()> {
        self.recipe
            .train
            .precision
            .check(device)
            .map_err(|problem| anyhow!("recipe.train.precision: {problem}"))
    }

    /// Whether the detector can see something in each size in which images will be shown to it.
    pub(crate) fn check_looks(&self, detector: &Detector) -> Result<()> {
        let (model, detect) = (&self.recipe.model, &self.recipe.detect);
        for shown in detect.sizes(model.image()) {
            model.check_size(detector, shown.width).with_context(|| {
                format!("recipe.detect.scales {:?}, of which one shows {} pixels", detect.scales, shown.width)
            })?;
        }
        Ok(())
    }

    /// What a checkpoint must share to be resumed, the images that were found included. No place is in it; what the weights
    /// began as is in the id.
    pub(crate) fn digest(&self, images: &str) -> String {
        serde_json::to_string(&(&self.id, self.seed, &self.recipe, &self.data, images)).unwrap_or_default()
    }
}
