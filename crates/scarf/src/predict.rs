//! `scarf predict`: a model file and pictures in, detections out.

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
    /// Pictures (JPEG or PNG), or folders of them.
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
        if let Some(folder) = &self.draw {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let stdout = std::io::stdout();
        for path in pictures(&self.images)? {
            let image = scarf_data::images::decode(&path)?;
            let mut found = predictor.predict(&[&image]).remove(0);
            found.retain(|detection| detection.score >= self.score);
            let line = json!({
                "image": path,
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
            if let Some(folder) = &self.draw {
                let name = path.file_stem().unwrap_or_default();
                let path = folder.join(name).with_extension("png");
                draw::boxes(&image, &found, &card.classes)
                    .save(&path)
                    .with_context(|| path.display().to_string())?;
            }
        }
        Ok(())
    }
}

/// The pictures named, those of folders in order of name.
fn pictures(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let is_picture = |path: &Path| {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
        matches!(extension.as_str(), "jpg" | "jpeg" | "png")
    };
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let entries = fs::read_dir(path).with_context(|| path.display().to_string())?;
            let mut inside: Vec<PathBuf> = entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<_, _>>()
                .with_context(|| path.display().to_string())?;
            inside.retain(|path| is_picture(path));
            inside.sort();
            found.extend(inside);
        } else {
            found.push(path.clone());
        }
    }
    if found.is_empty() {
        bail!("there is no picture in {paths:?}: name JPEG or PNG files, or folders that hold some");
    }
    Ok(found)
}
