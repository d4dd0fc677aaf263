//! Data sets known by name, from the TOML files in `datasets/`, which are built in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use scarf_core::Classes;
use serde::Deserialize;

use crate::files;
use crate::synth::SyntheticSteel;
use crate::voc::{self, VocLayout};
use crate::{DataError, DataSet, OnBad, Skipped};

/// The descriptions, by the names of their files.
const SETS: [(&str, &str); 3] = [
    ("neu-det.toml", include_str!("../datasets/neu-det.toml")),
    ("synthetic-steel.toml", include_str!("../datasets/synthetic-steel.toml")),
    ("synthetic-plate.toml", include_str!("../datasets/synthetic-plate.toml")),
];

/// The description of one data set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What it is called in study files: `neu-det`.
    pub name: String,
    /// What it is, in a line.
    pub title: String,
    /// Its classes in their order.
    pub classes: Classes,
    /// What it may be used for.
    pub terms: String,
    /// Where to get it.
    pub source: String,
    /// What to cite.
    #[serde(default)]
    pub citations: Vec<String>,
    /// How it lies on disk.
    pub layout: Layout,
    /// How much it holds; not told of sets that are made.
    pub counts: Option<Counts>,
    /// The checksum of its files; not told of sets that are made.
    pub checksum: Option<Checksum>,
    /// How it is made, where the program makes it itself.
    pub synthetic: Option<SyntheticSteel>,
}

/// The folders of a set in Pascal VOC's form.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// The set's own folder: `NEU-DET`.
    pub folder: String,
    /// The folder of the images in it.
    pub images: String,
    /// The folder of the annotations in it.
    pub annotations: String,
}

/// How much a set holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Images.
    pub images: usize,
    /// Boxes of each class, by its name.
    pub boxes: BTreeMap<String, usize>,
}

/// The checksum of a set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checksum {
    /// SHA-256 of the lines `<sha256 of the file>  <path within the set>` of all files in the folders
    /// of the images and the annotations, in byte order of the paths (what `sha256sum` prints).
    pub sha256: String,
}

/// All sets that are known.
pub fn all() -> Vec<Entry> {
    SETS.iter().map(|(file, text)| parse(file, text).expect("the built-in descriptions are tested")).collect()
}

/// The set of that name. The error lists the names there are.
pub fn get(name: &str) -> Result<Entry, DataError> {
    let all = all();
    let known: Vec<String> = all.iter().map(|entry| entry.name.clone()).collect();
    all.into_iter().find(|entry| entry.name == name).ok_or_else(|| {
        let reason = format!("no data set is called that; there are {}", known.join(", "));
        DataError::Catalog { path: name.into(), reason }
    })
}

/// Reads a description; `file` is for the messages only.
pub fn parse(file: &str, text: &str) -> Result<Entry, DataError> {
    let refuse = |reason| DataError::Catalog { path: file.into(), reason };
    let entry: Entry = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
    let named: Vec<_> = entry.counts.iter().flat_map(|counts| counts.boxes.keys()).collect();
    match named.into_iter().find(|name| entry.classes.index(name).is_none()) {
        Some(name) => Err(refuse(format!("counts.boxes names `{name}`, which is not among the classes"))),
        None => Ok(entry),
    }
}

impl Entry {
    /// The folder of the set: the one given, or the one of the set's name in it.
    pub fn root(&self, given: &Path) -> Result<PathBuf, DataError> {
        let Layout { folder, images, annotations } = &self.layout;
        let candidates = [given.to_path_buf(), given.join(folder)];
        candidates.into_iter().find(|root| root.join(images).is_dir() && root.join(annotations).is_dir()).ok_or_else(
            || {
                let reason = format!(
                    "{} is not here: expected {images}/ and {annotations}/ in this folder, or in {folder}/ within it. {}",
                    self.name, self.source
                );
                DataError::Catalog { path: given.into(), reason }
            },
        )
    }

    /// Loads the set from its folder, or from the folder that holds its folder. A set that the program
    /// makes is made there first, in a folder of its name, where it is missing or of other parameters.
    pub fn load(&self, given: &Path, on_bad: OnBad) -> Result<(DataSet, Vec<Skipped>), DataError> {
        let root = match &self.synthetic {
            Some(synthetic) => {
                let own = given.file_name().is_some_and(|name| name == self.layout.folder.as_str());
                let root = if own { given.to_path_buf() } else { given.join(&self.layout.folder) };
                synthetic.ensure(&root)?;
                root
            }
            None => self.root(given)?,
        };
        voc::load(&self.voc(&root), &self.classes, on_bad)
    }

    fn voc(&self, root: &Path) -> VocLayout {
        VocLayout { images: root.join(&self.layout.images), annotations: root.join(&self.layout.annotations) }
    }

    /// Whether the files on disk are, byte for byte, those described; the error says what differs.
    pub fn verify(&self, given: &Path) -> Result<(), DataError> {
        let root = self.root(given)?;
        let refuse = |reason| DataError::Catalog { path: root.clone(), reason };
        if let Some(counts) = &self.counts {
            let images = files::list(&self.voc(&root).images, files::is_image)?.len();
            if images != counts.images {
                return Err(refuse(format!("{images} images, expected {}", counts.images)));
            }
        }
        let Some(checksum) = &self.checksum else { return Ok(()) };
        let found = self.fingerprint(&root)?;
        if found != checksum.sha256 {
            let expected = &checksum.sha256;
            return Err(refuse(format!(
                "the files' SHA-256 is {found}, expected {expected}: some file differs"
            )));
        }
        Ok(())
    }

    fn fingerprint(&self, root: &Path) -> Result<String, DataError> {
        let mut paths = Vec::new();
        for folder in [&self.layout.images, &self.layout.annotations] {
            for path in files::list(&root.join(folder), |_| true)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                paths.push((format!("{folder}/{name}"), path));
            }
        }
        paths.sort();
        let line = |(name, path): &(String, PathBuf)| {
            Ok(format!("{}  {name}\n", files::sha256(&files::read(path)?)))
        };
        let lines: Vec<String> = paths.par_iter().map(line).collect::<Result<_, DataError>>()?;
        Ok(files::sha256(lines.concat().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_description_reads_and_is_found_by_its_name() {
        for (file, text) in SETS {
            let entry = parse(file, text).unwrap();
            assert_eq!(format!("{}.toml", entry.name), file);
            assert_eq!(get(&entry.name).unwrap(), entry);
            if let Some(synthetic) = entry.synthetic {
                assert_eq!(entry.classes, synthetic.domain.classes(), "{file}");
            }
        }
        let error = get("neu-dat").unwrap_err().to_string();
        assert_eq!(
            error,
            "neu-dat: no data set is called that; there are neu-det, synthetic-steel, synthetic-plate"
        );
    }

    #[test]
    fn descriptions_with_mistakes_are_refused() {
        let text = SETS[0].1;
        let typo = text.replace("title =", "titel =");
        assert!(parse("x.toml", &typo).unwrap_err().to_string().contains("unknown field `titel`"));
        let class = text.replace("{ crazing =", "{ crazed =");
        assert!(parse("x.toml", &class).unwrap_err().to_string().contains("names `crazed`"));
    }

    #[test]
    fn a_folder_without_the_set_says_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        let error = get("neu-det").unwrap().load(folder.path(), OnBad::Fail).unwrap_err().to_string();
        assert!(
            error.contains("expected IMAGES/ and ANNOTATIONS/ in this folder, or in NEU-DET/"),
            "{error}"
        );
    }

    #[test]
    fn a_changed_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let mut entry = get("neu-det").unwrap();
        for (path, text) in [("IMAGES/a.jpg", "x"), ("ANNOTATIONS/a.xml", "y")] {
            let path = folder.path().join("NEU-DET").join(path);
            files::write(&path, text.as_bytes()).unwrap();
        }
        assert!(entry.verify(folder.path()).unwrap_err().to_string().contains("1 images, expected 1800"));
        entry.counts = None;
        assert!(entry.verify(folder.path()).unwrap_err().to_string().contains("some file differs"));
        // printf x > IMAGES/a.jpg; printf y > ANNOTATIONS/a.xml; and the command of the description.
        let sha256 = "d23c77ebc5c169fc75dcb4bc4389a889cebd973cff5e3acaf5a1d58bdccc6e1c".to_string();
        entry.checksum = Some(Checksum { sha256 });
        entry.verify(folder.path()).unwrap();
    }
}
