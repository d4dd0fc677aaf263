//! Data sets as settings name them, and `scarf data`.

mod command;
mod fingerprint;
mod import;
mod split;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use scarf_core::{Classes, Detection};
use scarf_data::synth::SyntheticSteel;
use scarf_data::voc::{self, VocLayout};
use scarf_data::{DataSet, ImageCache, OnBad, Skipped, Split, catalog, coco};
use scarf_train::Samples;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub(crate) use command::DataCommand;
use split::SplitSettings;

use crate::faults::Faults;
use crate::result::write_json;
use crate::settings::Part;

/// Which images, and how they are split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataSettings {
    /// A set of the catalog (`scarf data` lists them), or `voc` for a folder of one's own.
    pub set: String,
    /// Of a set that scarf draws: other parameters than the catalog's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<Drawn>,
    /// Of a folder of one's own: how it lies on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voc: Option<VocFolder>,
    /// How it is split.
    pub split: SplitSettings,
    /// What is learnt from.
    #[serde(default, skip_serializing_if = "LearnFrom::is_train")]
    pub on: LearnFrom,
    /// Leave out what is wrong, and list it, instead of stopping.
    #[serde(default)]
    pub skip_bad: bool,
    /// What the published study did wrong, to be done again.
    #[serde(default, skip_serializing_if = "Faults::is_none")]
    pub faults: Faults,
}

/// What of a split is learnt from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LearnFrom {
    /// The training images.
    #[default]
    #[serde(rename = "train")]
    Train,
    /// The validation images, too. There are none left to choose an epoch by, so the last one counts.
    #[serde(rename = "train+val")]
    TrainAndVal,
}

impl LearnFrom {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    fn is_train(&self) -> bool {
        *self == Self::Train
    }
}

/// Parameters of a synthetic set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drawn {
    /// Another seed, other images.
    #[serde(default)]
    pub seed: u64,
    /// Images of each class.
    pub images_per_class: u32,
}

/// A folder of images and Pascal VOC files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VocFolder {
    /// The classes, in the order of the model's outputs.
    pub classes: Classes,
    /// The folder of images within the data folder.
    #[serde(default = "images")]
    pub images: PathBuf,
    /// The folder of XML files within the data folder.
    #[serde(default = "annotations")]
    pub annotations: PathBuf,
}

fn images() -> PathBuf {
    "IMAGES".into()
}

fn annotations() -> PathBuf {
    "ANNOTATIONS".into()
}

/// A data set in memory.
pub(crate) struct Opened {
    /// Samples and classes.
    pub set: DataSet,
    /// The same samples as they are learnt from and chosen by, where the settings ask for faulty labels.
    pub mislabeled: Option<DataSet>,
    /// Decoded images, one a sample.
    pub images: ImageCache,
    /// What is learnt from, chosen by and reported on.
    pub split: Split,
    /// What was left out.
    pub skipped: Vec<Skipped>,
    /// How many images are in no part, for no list has them.
    pub unlisted: usize,
    /// What tells it from other images, objects or lists; the same for all runs with one data setting.
    pub fingerprint: String,
}

impl DataSettings {
    /// Whether the settings name a set, and its parts that are scored.
    pub(crate) fn check(&self, scored: &[Part]) -> Result<()> {
        self.split.check()?;
        self.split.check_parts(self.on, scored)?;
        if self.synthetic.as_ref().is_some_and(|drawn| drawn.images_per_class == 0) {
            bail!("synthetic.images_per_class is 0; at least 1 is needed");
        }
        self.faults.check(&self.set)?;
        if self.set == "voc" {
            self.voc.as_ref().context("set is `voc`: say `voc.classes`")?;
        } else {
            let entry = catalog::get(&self.set)?;
            if self.synthetic.is_some() && entry.synthetic.is_none() {
                bail!("`synthetic` is for sets that scarf draws; {} is not drawn", self.set);
            }
            if let Some(key) = self.split.of_photographs().filter(|_| entry.synthetic.is_some()) {
                bail!(
                    "split.{key} is for photographs of one's own, and {} is drawn: give it another split (in a study \
                     `unset = [\"data.split\"]`, and `data.split`)",
                    self.set
                );
            }
        }
        Ok(())
    }

    /// How a folder of one's own lies on disk, where the set is one: what pretrains on another set may have taken it over
    /// from the study.
    fn own(&self) -> Option<&VocFolder> {
        self.voc.as_ref().filter(|_| self.set == "voc")
    }

    /// The classes, and an early error where the folder of the set is not there.
    pub(crate) fn classes(&self, data_dir: Option<&Path>) -> Result<Classes> {
        if let Some(lists) = self.split.lists() {
            split::check_files(&lists.within(self.folder(data_dir)?))?;
        }
        if let Some(voc) = self.own() {
            let root = self.folder(data_dir)?;
            for folder in [&voc.images, &voc.annotations] {
                if !root.join(folder).is_dir() {
                    bail!(
                        "{}: no such folder; data.voc says what they are called",
                        root.join(folder).display()
                    );
                }
            }
            return Ok(voc.classes.clone());
        }
        let entry = catalog::get(&self.set)?;
        if entry.synthetic.is_none() {
            entry.root(self.folder(data_dir)?)?;
        }
        Ok(entry.classes)
    }

    fn folder<'a>(&self, data_dir: Option<&'a Path>) -> Result<&'a Path> {
        data_dir.ok_or_else(|| {
            anyhow!("the set {} lies in a folder: say where by --data DIR, or by SCARF_DATA", self.set)
        })
    }

    /// Loads, decodes and splits, for a run with this seed. A set that is drawn is drawn beside the folder of the run.
    pub(crate) fn open(&self, run_seed: u64, data_dir: Option<&Path>, out: &Path) -> Result<Opened> {
        let (mut set, mut skipped) = self.read(data_dir, out.parent().unwrap_or(out))?;
        let make = |set: &DataSet, skipped: &[Skipped]| {
            self.split.make(set, skipped, run_seed, self.folder(data_dir))
        };
        let mut split = make(&set, &skipped)?;
        let fingerprint = self.fingerprint(&set, &split);
        let images = if self.skip_bad {
            let (left, images, more) = ImageCache::load_skipping(set);
            set = left;
            skipped.extend(more);
            split = make(&set, &skipped)?;
            images
        } else {
            ImageCache::load(&set.samples)?
        };
        let listed = split.train.len() + split.val.len() + split.test.len();
        let unlisted = set.samples.len() - listed;
        self.faults.leak(&set, &mut split);
        if self.on == LearnFrom::TrainAndVal {
            split.train.append(&mut split.val);
            split.train.sort_unstable();
        }
        let mislabeled = self.faults.mislabel(&set);
        Ok(Opened { set, mislabeled, images, split, skipped, unlisted, fingerprint })
    }

    /// Reads labels and lists without a look at the pixels: the fingerprint that a run with this seed would find, `None`
    /// of a set that is drawn.
    pub(crate) fn look(&self, run_seed: u64, data_dir: Option<&Path>) -> Result<Option<String>> {
        if self.own().is_none() && catalog::get(&self.set)?.synthetic.is_some() {
            return Ok(None);
        }
        let (set, skipped) = self.read(data_dir, Path::new("."))?;
        let split = self.split.make(&set, &skipped, run_seed, self.folder(data_dir))?;
        Ok(Some(self.fingerprint(&set, &split)))
    }

    fn fingerprint(&self, set: &DataSet, split: &Split) -> String {
        fingerprint::fingerprint(set, self.split.lists().map(|_| split))
    }

    /// Samples as they are on disk, and what was left out. A set that is drawn is drawn in `beside`.
    fn read(&self, data_dir: Option<&Path>, beside: &Path) -> Result<(DataSet, Vec<Skipped>)> {
        let on_bad = if self.skip_bad { OnBad::Skip } else { OnBad::Fail };
        if let Some(voc) = self.own() {
            let root = self.folder(data_dir)?;
            let layout =
                VocLayout { images: root.join(&voc.images), annotations: root.join(&voc.annotations) };
            return Ok(voc::load(&layout, &voc.classes, on_bad)?);
        }
        let mut entry = catalog::get(&self.set)?;
        Ok(match &mut entry.synthetic {
            Some(synthetic) => {
                self.redraw(synthetic);
                let name = format!("{}-{}-{}", self.set, synthetic.seed, synthetic.images_per_class);
                entry.load(&beside.join("drawn").join(name), on_bad)?
            }
            None => entry.load(self.folder(data_dir)?, on_bad)?,
        })
    }

    fn redraw(&self, synthetic: &mut SyntheticSteel) {
        if let Some(drawn) = &self.synthetic {
            synthetic.seed = drawn.seed;
            synthetic.images_per_class = drawn.images_per_class;
        }
    }
}

/// Writes what was found in COCO's result form, and beside it the ground truth of the same images:
/// two files that pycocotools scores.
pub(crate) fn write_detections(path: &Path, samples: Samples<'_>, found: &[Vec<Detection>]) -> Result<()> {
    let rows: Vec<_> = samples
        .indices
        .iter()
        .zip(found)
        .flat_map(|(&index, detections)| {
            detections.iter().map(move |d| {
                let b = d.bbox.to_f64();
                json!({"image_id": index + 1, "category_id": d.class + 1, "score": d.score,
                       "bbox": [b.x1, b.y1, b.width(), b.height()]})
            })
        })
        .collect();
    write_json(path, &rows)?;
    let truth = path.with_file_name(
        path.file_name().unwrap_or_default().to_string_lossy().replace(".coco.json", ".truth.json"),
    );
    Ok(coco::write(&truth, samples.set, Some(samples.indices), coco::Boxes::Xywh)?)
}
