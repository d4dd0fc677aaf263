//! Data sets as settings name them, and `scarf data`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use scarf_core::{Classes, Detection};
use scarf_data::synth::SyntheticSteel;
use scarf_data::voc::{self, VocLayout};
use scarf_data::{DataSet, ImageCache, OnBad, Skipped, Split, Stats, catalog, coco, split};
use scarf_study::memory;
use scarf_train::Samples;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::faults::Faults;
use crate::folder::Folder;
use crate::result::write_json;

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

/// How a set is split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum SplitSettings {
    /// The published study's own.
    Study,
    /// By class, at random from a seed.
    Stratified {
        /// Share to learn from.
        train: f64,
        /// Share to choose by.
        val: f64,
        /// Share to report on.
        test: f64,
        /// Another seed, another split.
        #[serde(default)]
        seed: u64,
    },
    /// One fold of a cross-validation: it is reported on, all others are learnt from. There are no images to
    /// choose an epoch by, so the last one counts.
    Fold {
        /// How many folds there are, from 2.
        of: usize,
        /// Which of them, from 0. Where left out, that of the run's seed (seed 7 of 5 folds is fold 2): an approach with
        /// the seeds 0 to 4 is a whole cross-validation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<usize>,
        /// Another seed, other folds.
        #[serde(default)]
        seed: u64,
    },
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
}

impl DataSettings {
    /// Whether the settings name a set.
    pub(crate) fn check(&self) -> Result<()> {
        match self.split {
            SplitSettings::Fold { of, .. } if of < 2 => {
                bail!("split.fold.of is {of}; a cross-validation has 2 folds or more")
            }
            SplitSettings::Fold { of, number: Some(number), .. } if number >= of => {
                bail!("split.fold.number is {number}; the folds are 0 to {}", of - 1)
            }
            SplitSettings::Stratified { train, val, test, .. } => {
                let all = [train, val, test];
                if !split::are_parts(all) {
                    bail!("split.stratified is {all:?}; three parts of 0 to 1 that add up to 1 are needed");
                }
            }
            _ => {}
        }
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
        let on_bad = if self.skip_bad { OnBad::Skip } else { OnBad::Fail };
        let (set, mut skipped) = if let Some(voc) = self.own() {
            let root = self.folder(data_dir)?;
            let layout =
                VocLayout { images: root.join(&voc.images), annotations: root.join(&voc.annotations) };
            voc::load(&layout, &voc.classes, on_bad)?
        } else {
            let mut entry = catalog::get(&self.set)?;
            match &mut entry.synthetic {
                Some(synthetic) => {
                    self.redraw(synthetic);
                    let name = format!("{}-{}-{}", self.set, synthetic.seed, synthetic.images_per_class);
                    let folder = out.parent().unwrap_or(out).join("drawn").join(name);
                    entry.load(&folder, on_bad)?
                }
                None => entry.load(self.folder(data_dir)?, on_bad)?,
            }
        };
        let (set, images) = if self.skip_bad {
            let (set, images, more) = ImageCache::load_skipping(set);
            skipped.extend(more);
            (set, images)
        } else {
            let images = ImageCache::load(&set.samples)?;
            (set, images)
        };
        let mut split = match self.split {
            SplitSettings::Study => split::study_split(&set),
            SplitSettings::Stratified { train, val, test, seed } => {
                split::stratified(&set, [train, val, test], seed)?
            }
            SplitSettings::Fold { of, number, seed } => {
                let number = number.unwrap_or_else(|| (run_seed % of.max(1) as u64) as usize);
                split::k_fold(&set, of, seed)?.swap_remove(number)
            }
        };
        self.faults.leak(&set, &mut split);
        if self.on == LearnFrom::TrainAndVal {
            split.train.append(&mut split.val);
            split.train.sort_unstable();
        }
        let mislabeled = self.faults.mislabel(&set);
        Ok(Opened { set, mislabeled, images, split, skipped })
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

/// What `scarf data` is told.
#[derive(Debug, Args)]
pub(crate) struct DataCommand {
    /// A set of the catalog, voc for a folder of your own, or coco to make one; all are listed where it is left out.
    set: Option<String>,
    /// The folder of the set, or the one that holds it; of your own, the one that holds images and Pascal VOC files; of
    /// coco, the one that holds the images.
    #[arg(long, env = "SCARF_DATA")]
    data: Option<PathBuf>,
    /// Of coco: the JSON file with images, annotations and categories.
    #[arg(long, value_name = "FILE")]
    gt: Option<PathBuf>,
    /// Of coco: where to write images and Pascal VOC files.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leave out what is wrong, and list it.
    #[arg(long)]
    skip_bad: bool,
    /// Compare every file with the catalog's checksum.
    #[arg(long)]
    verify: bool,
}

impl DataCommand {
    /// Prints what the set holds.
    pub(crate) fn run(&self) -> Result<()> {
        let Some(name) = &self.set else {
            for entry in catalog::all() {
                println!("{:<16} {}", entry.name, entry.title);
            }
            println!("{:<16} A folder of your own, of images and Pascal VOC files", "voc");
            println!("{:<16} COCO's JSON and its images, turned into such a folder", "coco");
            return Ok(());
        };
        let folder =
            self.data.as_deref().context("say where the set lies by --data DIR, or by SCARF_DATA")?;
        let on_bad = if self.skip_bad { OnBad::Skip } else { OnBad::Fail };
        if self.verify && ["voc", "coco"].contains(&name.as_str()) {
            bail!("--verify is for sets of the catalog: of a folder of your own it has no checksums");
        }
        if name != "coco" && (self.gt.is_some() || self.out.is_some()) {
            bail!("--gt and --out are for `scarf data coco`; {name} is only looked at");
        }
        if name == "voc" {
            return own(folder, on_bad);
        }
        if name == "coco" {
            let (Some(gt), Some(out)) = (&self.gt, &self.out) else {
                bail!("say by --gt FILE where COCO's JSON is, and by --out DIR where to write");
            };
            from_coco(gt, folder, out, on_bad)?;
            return own(out, OnBad::Fail);
        }
        let entry = catalog::get(name)?;
        let (set, skipped) = entry.load(folder, on_bad)?;
        tell(&set, &skipped)?;
        if self.verify {
            entry.verify(folder)?;
            println!("every file is the one that the catalog describes");
        }
        Ok(())
    }
}

/// Tells what a folder of one's own holds, and what a study file says of it.
fn own(folder: &Path, on_bad: OnBad) -> Result<()> {
    let own = Folder::find(folder, on_bad)?;
    tell(&own.set, &own.skipped)?;
    println!("\nDecoded, as a run keeps them, the images take {}.", memory(own.decoded() as f64));
    println!("\nIn a study file (studies/own.toml is one to copy):\n\n{}", own.settings());
    Ok(())
}

/// Copies images and writes a Pascal VOC file for each; boxes of crowds, which VOC does not know, are left out.
fn from_coco(gt: &Path, images: &Path, out: &Path, on_bad: OnBad) -> Result<()> {
    let (mut set, skipped) = coco::read(gt, images, coco::Boxes::Xywh, on_bad)?;
    left_out(&skipped);
    let boxes = |set: &DataSet| set.samples.iter().map(|sample| sample.annotations.len()).sum::<usize>();
    let before = boxes(&set);
    set.samples.iter_mut().for_each(|sample| sample.annotations.retain(|annotation| !annotation.crowd));
    let crowds = before - boxes(&set);
    if crowds > 0 {
        println!("left out {crowds} boxes of crowds");
    }
    let layout = VocLayout { images: out.join(self::images()), annotations: out.join(annotations()) };
    Ok(voc::write(&set, &layout)?)
}

fn tell(set: &DataSet, skipped: &[Skipped]) -> Result<()> {
    print!("{}", describe(&set.stats()?));
    left_out(skipped);
    Ok(())
}

fn left_out(skipped: &[Skipped]) {
    for skipped in skipped {
        println!("left out {}: {}", skipped.path.display(), skipped.reason);
    }
}

/// A data set in a screenful.
fn describe(stats: &Stats) -> String {
    let mut text = format!(
        "{} images ({} without objects, {} of more than one class), {} boxes (at most {} on an image)\n",
        stats.images, stats.empty_images, stats.mixed_images, stats.boxes, stats.most_boxes
    );
    text += &format!(
        "{} difficult, {} truncated, {} of another class than their image's name\n\n",
        stats.difficult, stats.truncated, stats.boxes_unlike_name
    );
    text += "class              images  boxes  small  medium  large   side p5/50/95   aspect p5/50/95\n";
    for class in &stats.classes {
        let [small, medium, large] = class.by_size;
        let (side, aspect) = (class.side, class.aspect);
        text += &format!(
            "{:<18} {:>6} {:>6} {small:>6} {medium:>7} {large:>6}   {:>3.0}/{:>3.0}/{:>4.0}    {:.2}/{:.2}/{:.2}\n",
            class.name,
            class.images,
            class.boxes,
            side.p5,
            side.p50,
            side.p95,
            aspect.p5,
            aspect.p50,
            aspect.p95
        );
    }
    for (name, _) in &stats.listed_twice {
        text += &format!("{name}: a box is listed twice\n");
    }
    for group in &stats.duplicate_images {
        text += &format!("{}: the same image\n", group.join(", "));
    }
    text
}
