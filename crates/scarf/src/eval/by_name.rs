//! Labels that know their images by name: Pascal VOC's files, and what was found on their images.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use scarf_core::BBox;
use scarf_data::voc;
use scarf_metrics::{CocoParams, Evaluator, GroundTruth, Prediction};
use serde::Deserialize;

use super::labels::Labels;
use crate::folder::annotations;

/// Opens a folder of VOC files, and detections in any form that names images.
pub(super) fn open(gt: &Path, dt: &Path, params: &CocoParams) -> Result<Labels> {
    let (classes, files) =
        voc::annotations(&annotations(gt).map_or_else(|| gt.to_owned(), |name| gt.join(name)))?;
    let names: BTreeMap<&str, usize> =
        files.iter().enumerate().map(|(at, (name, _))| (name.as_str(), at)).collect();
    let mut found = Found {
        classes: classes.names().to_vec(),
        truths: classes.len(),
        names: &names,
        images: vec![Vec::new(); files.len()],
        looked_at: None,
    };
    match dt.extension().and_then(|extension| extension.to_str()) {
        _ if dt.is_dir() => found.devkit(dt)?,
        Some("jsonl") => found.lines(dt)?,
        _ => found.results(dt)?,
    }
    let Found { classes, truths, images, looked_at, .. } = found;
    let mut evaluator = Evaluator::new(classes.len(), params.clone());
    for ((name, file), found) in files.iter().zip(&images) {
        let truths: Vec<GroundTruth> = file.annotations.iter().map(GroundTruth::from).collect();
        evaluator.add_image(&truths, found).with_context(|| format!("image {name}"))?;
    }
    let of_none = |class: &String| {
        format!("there is no object of the class `{class}`, which was found: it counts for nothing")
    };
    let mut warnings: Vec<String> = classes[truths..].iter().map(of_none).collect();
    let seen = looked_at.as_ref().map_or(files.len(), BTreeSet::len);
    if seen < files.len() {
        let of = files.len();
        warnings
            .push(format!("{seen} of {of} images have a line: the objects of all others count as missed"));
    }
    Ok(Labels { evaluator, classes, warnings })
}

/// A line of `scarf predict`.
#[derive(Deserialize)]
struct Line {
    image: PathBuf,
    detections: Vec<LineDetection>,
}

#[derive(Deserialize)]
struct LineDetection {
    class: String,
    score: f64,
    #[serde(rename = "box")]
    bbox: [f64; 4],
}

/// A record of COCO's results whose ids are names.
#[derive(Deserialize)]
struct Record {
    image_id: String,
    category_id: String,
    /// Left, top, width, height.
    bbox: [f64; 4],
    score: f64,
}

/// Detections, collected image by image.
struct Found<'a> {
    /// Those of the ground truth, and then those that were found alone.
    classes: Vec<String>,
    /// How many the ground truth has.
    truths: usize,
    names: &'a BTreeMap<&'a str, usize>,
    images: Vec<Vec<Prediction>>,
    /// The images of the ground truth that were looked at, where the form tells.
    looked_at: Option<BTreeSet<usize>>,
}

impl Found<'_> {
    fn add(&mut self, image: &str, class: &str, score: f64, [x1, y1, x2, y2]: [f64; 4]) -> Result<()> {
        let at = *self
            .names
            .get(image)
            .with_context(|| format!("the ground truth has no image `{image}` (no {image}.xml)"))?;
        let class = self.classes.iter().position(|known| known == class).unwrap_or_else(|| {
            self.classes.push(class.to_owned());
            self.classes.len() - 1
        });
        let bbox = BBox::new(x1, y1, x2, y2);
        if !(score.is_finite() && [x1, y1, x2, y2].iter().all(|side| side.is_finite())) {
            bail!("a detection on `{image}` has an infinite or NaN number; all must be finite");
        }
        self.images[at].push(Prediction { bbox, class, score });
        Ok(())
    }

    /// `scarf predict`'s lines.
    fn lines(&mut self, path: &Path) -> Result<()> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let mut looked_at = BTreeSet::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let place = || format!("{}, line {}", path.display(), number + 1);
            let line: Line = serde_json::from_str(line).with_context(place)?;
            let name = line.image.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            looked_at.extend(self.names.get(name.as_str()));
            for found in line.detections {
                self.add(&name, &found.class, found.score, found.bbox).with_context(place)?;
            }
        }
        self.looked_at = Some(looked_at);
        Ok(())
    }

    /// COCO's results, with names for ids.
    fn results(&mut self, path: &Path) -> Result<()> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let records: Vec<Record> = serde_json::from_str(&text).map_err(|error| {
            anyhow!(
                "{}: {error}; beside VOC files, `image_id` is the name of an image without its ending, and \
                 `category_id` that of a class",
                path.display()
            )
        })?;
        for (number, record) in records.iter().enumerate() {
            let [x, y, w, h] = record.bbox;
            self.add(&record.image_id, &record.category_id, record.score, [x, y, x + w, y + h])
                .with_context(|| format!("{}, record {number} (from 0)", path.display()))?;
        }
        Ok(())
    }

    /// The devkit's result files, one a class: `comp4_det_test_CLASS.txt` or `CLASS.txt`.
    fn devkit(&mut self, folder: &Path) -> Result<()> {
        let mut files: Vec<PathBuf> = fs::read_dir(folder)
            .with_context(|| folder.display().to_string())?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .with_context(|| folder.display().to_string())?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
        files.sort();
        if files.is_empty() {
            bail!("{}: holds no results (NAME_CLASS.txt, one a class)", folder.display());
        }
        for path in files {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            if text.trim().is_empty() {
                continue;
            }
            let class = self.class_of(&path)?;
            for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let place = || format!("{}, line {}", path.display(), number + 1);
                let (image, numbers) = row(line).with_context(place)?;
                let [score, x1, y1, x2, y2] = numbers;
                self.add(image, &class, score, [x1, y1, x2, y2]).with_context(place)?;
            }
        }
        Ok(())
    }

    /// The class whose name ends the file's: class names may hold underscores too, so the longest wins.
    fn class_of(&self, path: &Path) -> Result<String> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let ends = |name: &&String| {
            stem.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
        };
        let known = &self.classes[..self.truths];
        known.iter().filter(ends).max_by_key(|name| name.len()).cloned().with_context(|| {
            format!(
                "{}: the file's name ends with no class of the ground truth ({})",
                path.display(),
                known.join(", ")
            )
        })
    }
}

/// `image score x1 y1 x2 y2`.
fn row(line: &str) -> Result<(&str, [f64; 5])> {
    let mut parts = line.split_whitespace();
    let image = parts.next().unwrap_or_default();
    let numbers: Vec<f64> = parts.map(str::parse).collect::<Result<_, _>>().context("a number is needed")?;
    let numbers = numbers.as_slice().try_into().map_err(|_| {
        anyhow!("{} numbers follow the image; score, x1, y1, x2 and y2 are needed", numbers.len())
    })?;
    Ok((image, numbers))
}
