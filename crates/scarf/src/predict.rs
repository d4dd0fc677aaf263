//! `scarf predict`: a model file and pictures in, detections out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use clap::Args;
use scarf_heads::Precision;
use scarf_train::Predictor;
use serde_json::json;

use crate::device::in_precision;
use crate::draw;
use crate::model;

/// What `scarf predict` is told.
#[derive(Debug, Args)]
pub(crate) struct Predict {
    /// A model that scarf trained (the best.safetensors of a run).
    #[arg(long)]
    model: PathBuf,
    /// Pictures (JPEG, PNG, BMP or TIFF), or folders of them.
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Leave out detections below this score.
    #[arg(long, default_value_t = 0.25)]
    score: f32,
    /// Write each picture with its boxes into this folder.
    #[arg(long)]
    draw: Option<PathBuf>,
    /// Compute features in float32, bfloat16 or float16.
    #[arg(long, default_value_t)]
    precision: Precision,
}

impl Predict {
    /// One JSON line a picture on standard output.
    pub(crate) fn run(&self, device: &Device) -> Result<()> {
        let (detector, card) = model::open(&self.model, device)?;
        let detector = in_precision(detector, self.precision, device)?;
        let predictor = Predictor::new(detector, card.model.image(), card.detect, device.clone());
        let pictures = pictures(&self.images)?;
        let drawn = self.draw.as_deref().map(|folder| targets(folder, &pictures)).transpose()?;
        let stdout = std::io::stdout();
        let mut failed = 0;
        for (index, path) in pictures.iter().enumerate() {
            let image = match scarf_data::images::decode(path) {
                Ok(image) => image,
                // The others are none the worse for it.
                Err(error) => {
                    eprintln!("{error}");
                    failed += 1;
                    continue;
                }
            };
            let mut found = predictor.predict(&[&image]).remove(0);
            found.retain(|detection| detection.score >= self.score);
            let line = json!({
                "image": path.to_string_lossy(),
                "width": image.width(),
                "height": image.height(),
                "detections": found.iter().map(|d| json!({
                    "class": card.classes.name(d.class),
                    "class_id": d.class,
                    "score": d.score,
                    "box": d.bbox.to_array(),
                })).collect::<Vec<_>>(),
            });
            writeln!(stdout.lock(), "{line}")?;
            if let Some(path) = drawn.as_ref().map(|drawn| &drawn[index]) {
                draw::boxes(&image, &found, &card.classes)
                    .save(path)
                    .with_context(|| path.display().to_string())?;
            }
        }
        if failed > 0 {
            bail!("{failed} of {} pictures could not be read", pictures.len());
        }
        Ok(())
    }
}

/// Where each picture goes with its boxes: none over another, and none over a picture itself.
fn targets(folder: &Path, pictures: &[PathBuf]) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let own = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let originals: BTreeSet<PathBuf> = pictures.iter().map(|path| own(path)).collect();
    let mut taken = BTreeMap::new();
    let target = |path: &PathBuf| {
        let target = folder.join(path.file_stem().unwrap_or_default()).with_added_extension("png");
        if originals.contains(&own(&target)) {
            bail!("{} is a picture itself: draw into another folder than theirs", target.display());
        }
        if let Some(other) = taken.insert(target.clone(), path.clone()) {
            let (other, path) = (other.display(), path.display());
            bail!("{other} and {path} would both be drawn as {}: draw one after the other", target.display());
        }
        Ok(target)
    };
    pictures.iter().map(target).collect()
}

/// The pictures named, those of folders in order of name.
fn pictures(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            found.extend(scarf_data::images::list(path)?);
        } else {
            found.push(path.clone());
        }
    }
    if found.is_empty() {
        bail!(
            "there is no picture in {paths:?}: name JPEG, PNG, BMP or TIFF files, or folders that hold some"
        );
    }
    Ok(found)
}
