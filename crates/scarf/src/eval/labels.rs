use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use scarf_metrics::json::CocoSet;
use scarf_metrics::{CocoParams, Evaluator};

use super::by_name;

/// What is to be evaluated.
pub(super) struct Labels {
    /// Holds it all.
    pub(super) evaluator: Evaluator,
    /// The names of its classes, in order.
    pub(super) classes: Vec<String>,
    /// What is lawful, and yet not what one wants.
    pub(super) warnings: Vec<String>,
}

/// Opens ground truth and detections, whatever their form.
pub(super) fn open(
    gt: Option<&Path>,
    dt: &Path,
    part: &str,
    params: &CocoParams,
    threads: usize,
) -> Result<Labels> {
    let recorded = dt.join("predictions").join(format!("{part}.coco.json"));
    let of_a_run = dt.join("predictions").is_dir();
    let dt = if of_a_run { recorded.as_path() } else { dt };
    let own = if of_a_run { Some(dt.with_file_name(format!("{part}.truth.json"))) } else { None };
    let gt: PathBuf = gt.map(Path::to_owned).or(own).context(
        "say by --gt what is there; only the folder of a run, with predictions/ in it, holds that itself",
    )?;
    for path in [gt.as_path(), dt] {
        if !path.exists() {
            bail!("{}: there is no such file or folder", path.display());
        }
    }
    if gt.is_dir() {
        return by_name::open(&gt, dt, params);
    }
    if dt.is_dir() || dt.extension().is_some_and(|extension| extension == "jsonl") {
        bail!(
            "{}: ground truth in COCO's JSON has ids for images; detections by ids are needed too, as JSON \
             (a list of image_id, category_id, bbox, score)",
            dt.display()
        );
    }
    let set = CocoSet::load(&gt, dt, params.clone(), threads)?;
    let classes = set
        .categories
        .iter()
        .map(|category| match category.name.as_str() {
            "" => format!("category {}", category.id),
            name => name.to_owned(),
        })
        .collect();
    Ok(Labels { evaluator: set.evaluator, classes, warnings: set.warnings })
}
