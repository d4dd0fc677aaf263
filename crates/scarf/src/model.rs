//! The models that a run begins from and ends with.

use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_backbones::{Allow, ModuleWeights, Weights};
use scarf_core::Classes;
use scarf_heads::{Detector, DetectorConfig};

pub(crate) use scarf_train::model::{Card, open, parts, save};

use crate::settings::{Init, Settings};

/// The best model of a run, in its folder.
pub(crate) const BEST: &str = "best.safetensors";
/// A detector with the weights of this file.
fn filled(
    weights: &Weights,
    allow: &Allow,
    path: &Path,
    config: &DetectorConfig,
    classes: usize,
    device: &Device,
) -> Result<Detector> {
    let detector = config.init(classes, device, &mut ChaCha8Rng::seed_from_u64(0))?;
    let (detector, _) = weights.load_into(detector, allow).with_context(|| path.display().to_string())?;
    Ok(detector)
}

/// The model of another run as the model of this one, which trains nothing: the same weights and classes, this run's
/// recipe.
pub(crate) fn take_over(settings: &Settings, classes: &Classes, path: &Path, device: &Device) -> Result<()> {
    let Some(Init::Checkpoint(run)) = &settings.init else { bail!("no run to take a model from") };
    let from = run.join(BEST);
    let (weights, card) = parts(&from)?;
    if card.classes != *classes {
        bail!("{}: tells other classes apart than the data set has", from.display());
    }
    let recipe = &settings.recipe;
    let detector = filled(&weights, &Allow::default(), &from, &recipe.model, classes.len(), device)?;
    Ok(save(path, &detector, &Card { model: recipe.model.clone(), detect: recipe.detect.clone(), ..card })?)
}

/// Opens a published file of a whole detector for inference; the file may hold more.
pub(crate) fn open_published(
    path: &Path,
    config: &DetectorConfig,
    classes: &Classes,
    device: &Device,
) -> Result<Detector> {
    let weights = config.adapt(Weights::open(path)?).with_context(|| path.display().to_string())?;
    filled(&weights, &Allow::default().unexpected("")?, path, config, classes.len(), device)
}

/// The model that a run begins with, on a device with autodiff, and a line on where its weights come from.
pub(crate) fn begin(settings: &Settings, classes: &Classes, device: &Device) -> Result<(Detector, String)> {
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let config = &settings.recipe.model;
    let detector = config.init(classes.len(), &device.clone().autodiff(), &mut rng)?;
    match &settings.init {
        None => Ok((detector, "weights drawn from the seed".into())),
        Some(Init::Checkpoint(run)) => {
            let path = run.join(BEST);
            let weights = Weights::open(&path)?;
            // Another number of classes, or of anchors: the predictors begin anew. Of as many classes, whatever they are called,
            // they go on from what they were.
            let allow = Allow::default().misshapen(r"^head\.")?;
            take(detector, &weights, &allow).with_context(|| path.display().to_string())
        }
        Some(Init::Weights(files)) => {
            let mut all = Weights::default();
            for path in files.paths() {
                let adapted =
                    config.adapt(Weights::open(path)?).with_context(|| path.display().to_string())?;
                all = all.or(adapted);
            }
            // Files of VGG's convolutions end before the layers that SSD made of its classifier.
            let own = r"^(neck|head|backbone\.atrous)\.";
            let allow = Allow::default().misshapen(r"^(neck|head)\.")?.missing(own)?.unexpected("")?;
            take(detector, &all, &allow)
        }
    }
}

fn take(detector: Detector, weights: &Weights, allow: &Allow) -> Result<(Detector, String)> {
    let (detector, report) = weights.load_into(detector, allow)?;
    let anew = report.missing.len() + report.misshapen.len();
    Ok((detector, format!("{} tensors loaded, {anew} drawn from the seed", report.loaded.len())))
}
