//! `scarf weights convert` and `scarf weights export`.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result};
use clap::Args;
use scarf_study::write_atomic;
use scarf_weights::{Precision, Rename, Weights};

use super::{print, size};
use crate::model;

/// The files of an exported model.
const MODEL: &str = "model.safetensors";
const CONFIG: &str = "config.json";

/// What `scarf weights convert` is told.
#[derive(Debug, Args)]
pub(super) struct Convert {
    /// The file to read: safetensors, PyTorch's .pth, MXNet's .params, TensorFlow's frozen .pb.
    input: PathBuf,
    /// The safetensors file to write.
    output: PathBuf,
    #[command(flatten)]
    how: How,
}

/// What `scarf weights export` is told.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// A model that scarf wrote, such as a run's best.safetensors.
    model: PathBuf,
    /// The folder for model.safetensors and config.json.
    folder: PathBuf,
    #[command(flatten)]
    how: How,
}

/// How weights are written.
#[derive(Debug, Args)]
struct How {
    /// Kernels in half precision; vectors (biases, normalisation) stay in single.
    #[arg(long)]
    f16: bool,
    /// Leave out tensors whose names this pattern does not match.
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Change names: what the pattern matches becomes the text, $1 its first group; may be repeated.
    #[arg(long, value_name = "PATTERN=TEXT")]
    rename: Vec<Renaming>,
}

#[derive(Clone, Debug)]
struct Renaming(Rename);

impl FromStr for Renaming {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (pattern, replacement) = text.rsplit_once('=').context("PATTERN=TEXT is wanted")?;
        Ok(Self(Rename::new(pattern, replacement)?))
    }
}

impl How {
    /// Writes `weights` in this way, and says so.
    fn write(&self, mut weights: Weights, path: &Path) -> Result<()> {
        if let Some(pattern) = &self.only {
            weights = weights.matching(pattern)?;
        }
        let renames: Vec<Rename> = self.rename.iter().map(|rename| rename.0.clone()).collect();
        let weights = weights.rename(&renames)?;
        weights.save_as(path, if self.f16 { Precision::F16 } else { Precision::F32 })?;
        let bytes = fs::metadata(path)?.len();
        print(&format!("{}: {} tensors, {}\n", path.display(), weights.len(), size(bytes)))
    }
}

impl Convert {
    /// Writes the file.
    pub(super) fn run(&self) -> Result<()> {
        self.how.write(Weights::open(&self.input)?, &self.output)
    }
}

impl Export {
    /// Writes both files.
    pub(super) fn run(&self) -> Result<()> {
        let (weights, card) = model::parts(&self.model)?;
        fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        let config = serde_json::to_string_pretty(&card)? + "\n";
        self.how.write(weights, &self.folder.join(MODEL))?;
        Ok(write_atomic(&self.folder.join(CONFIG), config.as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use scarf_core::Classes;
    use scarf_heads::DetectorConfig;
    use serde_json::{Value, json};

    #[test]
    fn an_exported_model_is_its_weights_and_its_recipe() {
        let recipe = "size = 96\nbackbone.mobilenet_v1.width = 0.25\nneck.ssd_extras.channels = [64, 64]\nhead.ssd = {}";
        let config: DetectorConfig = recipe.parse().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let detector = config.init(2, &Device::default(), &mut rng).unwrap();
        let classes: Classes = serde_json::from_value(json!(["pit", "scratch"])).unwrap();
        let card = model::Card { model: config, classes, epoch: 3, val_ap: None, detect: Default::default() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("best.safetensors");
        model::save(&path, &detector, &card).unwrap();

        let renaming = "^backbone\\.=model.".parse().unwrap();
        let how = How { f16: true, only: None, rename: vec![renaming] };
        let export = Export { model: path.clone(), folder: folder.path().join("out"), how };
        export.run().unwrap();
        let config = fs::read(folder.path().join("out/config.json")).unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        assert_eq!(config["classes"], json!(["pit", "scratch"]));
        assert_eq!(config["model"]["backbone"]["mobilenet_v1"]["width"], json!(0.25));
        let (before, after) = (Weights::open(&path).unwrap(), export.folder.join(MODEL));
        let after = Weights::open(after).unwrap();
        assert_eq!(before.len(), after.len());
        assert!(after.names().all(|name| !name.starts_with("backbone.")));
        let kernel = |weights: &Weights, name| weights.get(name).unwrap().values[0];
        let name = "features.0.conv.weight";
        let (exact, half) =
            (kernel(&before, &format!("backbone.{name}")), kernel(&after, &format!("model.{name}")));
        assert!((exact - half).abs() <= exact.abs() * 2f32.powi(-11));
    }
}
