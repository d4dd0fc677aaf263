//! Trained models as files: safetensors whose header holds the recipe and the names of the classes.

use std::path::Path;

use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_backbones::{Allow, ModuleWeights, Weights};
use scarf_core::Classes;
use scarf_heads::{Detector, DetectorConfig};
use serde::{Deserialize, Serialize};

use crate::{DetectConfig, TrainError};

/// Key of the file's header.
const CARD: &str = "scarf";

/// What a model file says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// How the model is built.
    pub model: DetectorConfig,
    /// The names of its outputs, in order.
    pub classes: Classes,
    /// Epoch of training, from 1.
    pub epoch: usize,
    /// AP on the validation images then, if it was scored; by one look an image.
    pub val_ap: Option<f64>,
    /// How it looks at images.
    #[serde(default, skip_serializing_if = "is_default")]
    pub detect: DetectConfig,
}

/// Left out where it is written: what was written before there was such a setting stays what it is.
fn is_default(detect: &DetectConfig) -> bool {
    *detect == DetectConfig::default()
}

/// Writes a model, whole or not at all.
///
/// # Errors
/// Where the file cannot be written.
pub fn save(path: &Path, detector: &Detector, card: &Card) -> Result<(), TrainError> {
    let problem = |error: serde_json::Error| wrong(path, error.to_string());
    let card = serde_json::to_string(card).map_err(problem)?;
    Ok(Weights::of(detector).with_metadata(CARD, card).save(path)?)
}

/// Reads a model file without building the network.
///
/// # Errors
/// Where the file cannot be read, or has no card.
pub fn parts(path: &Path) -> Result<(Weights, Card), TrainError> {
    let weights = Weights::open(path)?;
    let Some(card) = weights.metadata().get(CARD) else {
        return Err(wrong(path, "holds weights, but no recipe: it was not written by scarf".into()));
    };
    let card = serde_json::from_str(card).map_err(|error| wrong(path, format!("its recipe: {error}")))?;
    Ok((weights, card))
}

/// Opens a model file for inference, on a device without autodiff.
///
/// # Errors
/// Where the file cannot be read, has no card, or weights of another network than that says.
pub fn open(path: &Path, device: &Device) -> Result<(Detector, Card), TrainError> {
    let (weights, card) = parts(path)?;
    // Every weight is replaced.
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let detector = card.model.init(card.classes.len(), device, &mut rng);
    let detector = detector.map_err(|error| wrong(path, error.to_string()))?;
    let (detector, _) =
        weights.load_into(detector, &Allow::default()).map_err(|error| wrong(path, error.to_string()))?;
    Ok((detector, card))
}

fn wrong(path: &Path, problem: String) -> TrainError {
    TrainError::Model { path: path.to_owned(), problem }
}
