//! A folder of one's own, as `scarf data voc` finds it: where its images and annotations lie, and what a study file says of
//! it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use scarf_core::Classes;
use scarf_data::voc::{self, VocLayout};
use scarf_data::{DataSet, OnBad, Sample, Skipped};
use serde_json::json;

/// What folders of images and of annotations are called: by Pascal VOC, by NEU-DET, by others.
const IMAGES: [&str; 5] = ["JPEGImages", "IMAGES", "images", "Images", "."];
const ANNOTATIONS: [&str; 5] = ["Annotations", "ANNOTATIONS", "annotations", "xml", "labels"];

/// A folder of one's own.
pub(crate) struct Folder {
    images: PathBuf,
    annotations: PathBuf,
    /// The names of objects in the annotations, in alphabetical order.
    classes: Classes,
    pub(crate) set: DataSet,
    pub(crate) skipped: Vec<Skipped>,
    on_bad: OnBad,
}

/// The folder within `root` that holds annotations, where they have one of their own.
pub(crate) fn annotations(root: &Path) -> Option<PathBuf> {
    ANNOTATIONS.iter().map(PathBuf::from).find(|name| voc::are_in(&root.join(name)))
}

impl Folder {
    /// Looks for annotations and images in a folder, and reads them.
    pub(crate) fn find(root: &Path, on_bad: OnBad) -> Result<Self> {
        let annotations = match annotations(root) {
            Some(name) => name,
            None if voc::are_in(root) => ".".into(),
            None => {
                let places = ANNOTATIONS.join(", ");
                bail!("{}: no annotations of Pascal VOC (.xml) in it, nor in {places}", root.display());
            }
        };
        let classes = voc::classes(&root.join(&annotations), on_bad)?;
        let has_images = |name: &PathBuf| {
            scarf_data::images::list(&root.join(name)).is_ok_and(|images| !images.is_empty())
        };
        let Some(images) = IMAGES.iter().map(PathBuf::from).find(has_images) else {
            let places = IMAGES[..IMAGES.len() - 1].join(", ");
            bail!("{}: no images in it, nor in {places}", root.display());
        };
        let layout = VocLayout { images: root.join(&images), annotations: root.join(&annotations) };
        let (set, skipped) = voc::load(&layout, &classes, on_bad)?;
        Ok(Self { images, annotations, classes, set, skipped, on_bad })
    }

    /// What a study file says of it.
    pub(crate) fn settings(&self) -> String {
        // A list of strings is the same in TOML.
        let (names, text) =
            (json!(self.classes.names()), |path: &Path| json!(path.to_string_lossy()).to_string());
        let skip = if self.on_bad == OnBad::Skip { "skip_bad = true\n" } else { "" };
        format!(
            "[data]\nset = \"voc\"\nvoc = {{ classes = {names}, images = {}, annotations = {} }}\n\
             split.stratified = {{ train = 0.7, val = 0.1, test = 0.2 }}\n{skip}",
            text(&self.images),
            text(&self.annotations)
        )
    }

    /// Bytes of memory that the images take when they are decoded, as a run keeps them all.
    pub(crate) fn decoded(&self) -> u64 {
        let size = |sample: &Sample| 3 * u64::from(sample.size.width) * u64::from(sample.size.height);
        self.set.samples.iter().map(size).sum()
    }
}
