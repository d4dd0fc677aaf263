use std::io::Cursor;
use std::path::Path;

use image::{ExtendedColorType, ImageEncoder};
use rayon::prelude::*;
use scarf_core::Classes;
use serde::{Deserialize, Serialize};

use super::{GENERATOR, SyntheticSteel};
use crate::files;
use crate::voc::annotation_xml;
use crate::{DataError, DataSet, OnBad};

/// What a written set was made from; the file is written last.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    generator: u32,
    parameters: SyntheticSteel,
}

const MANIFEST: &str = "synthetic.json";

impl SyntheticSteel {
    /// Makes the set in that folder, in Pascal VOC's form as NEU-DET's (`IMAGES/crazing_1.png`,
    /// `ANNOTATIONS/crazing_1.xml`), unless it is there with the same parameters and from the same
    /// generator.
    ///
    /// The folder is there whole or not at all, whenever the process ends. A set of other parameters is
    /// replaced; a folder that is no synthetic set is left as it is, and is an error.
    pub fn ensure(&self, folder: &Path) -> Result<(), DataError> {
        let refuse = |reason| DataError::Catalog { path: folder.into(), reason };
        self.check().map_err(|reason| refuse(format!("no synthetic set can be made: {reason}")))?;
        if self.is_in(folder) {
            return Ok(());
        }
        let replaces = folder.join(MANIFEST).is_file();
        if !replaces && folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(refuse(format!(
                "the folder is not empty and holds no synthetic set (no {MANIFEST}); it is left as it is"
            )));
        }
        let parent = match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(parent).map_err(DataError::io(parent, "make the folder"))?;
        let fresh = tempfile::Builder::new().prefix(".synthetic-").tempdir_in(parent);
        let fresh = fresh.map_err(DataError::io(parent, "make a folder in"))?;
        let made = fresh.path().join("new");
        self.write(&made)?;
        // The old set goes into the same temporary folder, and goes with it.
        if replaces {
            std::fs::rename(folder, fresh.path().join("old")).map_err(DataError::io(folder, "replace"))?;
        }
        match std::fs::rename(&made, folder) {
            // Another process was first, with the same set.
            Err(_) if self.is_in(folder) => Ok(()),
            renamed => renamed.map_err(DataError::io(folder, "write")),
        }
    }

    /// [`SyntheticSteel::ensure`], then reads the set.
    pub fn load(&self, folder: &Path) -> Result<DataSet, DataError> {
        self.ensure(folder)?;
        let layout = crate::voc::VocLayout::neu(folder);
        Ok(crate::voc::load(&layout, &self.domain.classes(), OnBad::Fail)?.0)
    }

    fn is_in(&self, folder: &Path) -> bool {
        let found = std::fs::read(folder.join(MANIFEST)).ok();
        let found = found.and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok());
        found.is_some_and(|found| found == self.manifest())
    }

    fn manifest(&self) -> Manifest {
        Manifest { generator: GENERATOR, parameters: self.clone() }
    }

    fn write(&self, folder: &Path) -> Result<(), DataError> {
        let classes = self.domain.classes();
        for inner in ["IMAGES", "ANNOTATIONS"] {
            let inner = folder.join(inner);
            std::fs::create_dir_all(&inner).map_err(DataError::io(&inner, "make the folder"))?;
        }
        let jobs = (0..classes.len()).flat_map(|class| (0..self.images_per_class).map(move |n| (class, n)));
        let jobs: Vec<(usize, u32)> = jobs.collect();
        jobs.into_par_iter()
            .try_for_each(|(class, number)| self.write_one(folder, &classes, class, number))?;
        let manifest = serde_json::to_string_pretty(&self.manifest()).expect("parameters become JSON");
        files::write(&folder.join(MANIFEST), manifest.as_bytes())
    }

    fn write_one(
        &self,
        folder: &Path,
        classes: &Classes,
        class: usize,
        number: u32,
    ) -> Result<(), DataError> {
        let (image, annotations) = self.draw(class, number);
        let stem = format!("{}_{}", classes.names()[class], number + 1);
        let path = folder.join("IMAGES").join(format!("{stem}.png"));
        let mut png = Cursor::new(Vec::new());
        image::codecs::png::PngEncoder::new(&mut png)
            .write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::L8)
            .map_err(|error| DataError::Image { path: path.clone(), reason: error.to_string() })?;
        // No file by file care: the folder as a whole appears at the end.
        std::fs::write(&path, png.into_inner()).map_err(DataError::io(&path, "write"))?;
        let xml = annotation_xml(&format!("{stem}.png"), self.size, &annotations, classes);
        let path = folder.join("ANNOTATIONS").join(format!("{stem}.xml"));
        std::fs::write(&path, xml).map_err(DataError::io(&path, "write"))
    }
}
