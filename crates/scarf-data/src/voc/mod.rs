//! Pascal VOC: a folder of images and a folder of XML files, one of each per stem.
//!
//! Coordinates are taken as they stand: `xmin`, `ymin`, `xmax`, `ymax` become x1, y1, x2, y2, with
//! no 1 taken off or added, as the study does. VOC counts pixels from 1, so that a box may begin at
//! 0 or 1 and ends at the width at most. Files are paired by their stem; the `filename` tag is not
//! trusted (NEU-DET's lacks its extension in 174 files).

mod parse;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use scarf_core::{Classes, Size};

pub use parse::{VocFile, parse};
pub use write::{annotation_xml, write};

use crate::dataset::Gather;
use crate::files;
use crate::{DataError, DataSet, OnBad, Place, Problem, Sample, Skipped};

/// The folders of a set in Pascal VOC's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VocLayout {
    /// The folder of the images (.jpg, .jpeg, .png, .bmp, .tif, .tiff).
    pub images: PathBuf,
    /// The folder of the annotations (.xml).
    pub annotations: PathBuf,
}

impl VocLayout {
    /// NEU-DET's: `IMAGES/` and `ANNOTATIONS/` within the root.
    pub fn neu(root: &Path) -> Self {
        Self { images: root.join("IMAGES"), annotations: root.join("ANNOTATIONS") }
    }
}

/// Reads a set: every image of the one folder with its annotation in the other.
///
/// Sizes are read from the images' headers and compared with the annotations'; pixels are not
/// decoded here (see [`crate::ImageCache`]). With [`OnBad::Skip`] a sample that is wrong is left
/// out and listed; a folder that cannot be read, or a set without any sample, is an error still.
pub fn load(
    layout: &VocLayout,
    classes: &Classes,
    on_bad: OnBad,
) -> Result<(DataSet, Vec<Skipped>), DataError> {
    let mut gather = Gather::new(on_bad);
    let (pairs, unpaired) = pair(layout)?;
    for error in unpaired {
        gather.take(Err(error))?;
    }
    let samples: Vec<_> =
        pairs.into_par_iter().map(|(image, annotation)| sample(image, &annotation, classes)).collect();
    for sample in samples {
        gather.take(sample)?;
    }
    let (data, skipped) = gather.finish(classes.clone());
    if data.samples.is_empty() {
        let expected = format!("images, and XML files of the same stems in {}", layout.annotations.display());
        return Err(DataError::Empty { path: layout.images.clone(), expected });
    }
    Ok((data, skipped))
}

/// The annotation files of a folder with their stems, in order of those; no image is looked for. The
/// classes are the names of their objects, in alphabetical order.
pub fn annotations(folder: &Path) -> Result<(Classes, Vec<(String, VocFile)>), DataError> {
    let (paths, texts) = xml(folder)?;
    let classes = named(folder, &paths, &texts, OnBad::Fail)?;
    let parsed = paths.par_iter().zip(&texts);
    let parsed = parsed.map(|(path, text)| Ok((files::stem(path), parse(path, text, &classes)?)));
    let parsed = parsed.collect::<Result<_, DataError>>()?;
    Ok((classes, parsed))
}

/// The names of the objects in a folder's annotation files, in alphabetical order. With [`OnBad::Skip`] files that are no
/// XML are passed over.
///
/// # Errors
/// Where the folder cannot be read, or has no annotations or no object in them.
pub fn classes(folder: &Path, on_bad: OnBad) -> Result<Classes, DataError> {
    let (paths, texts) = xml(folder)?;
    named(folder, &paths, &texts, on_bad)
}

/// Whether annotation files lie in a folder.
pub fn are_in(folder: &Path) -> bool {
    files::list(folder, is_xml).is_ok_and(|paths| !paths.is_empty())
}

/// The annotation files of a folder and their texts.
fn xml(folder: &Path) -> Result<(Vec<PathBuf>, Vec<Vec<u8>>), DataError> {
    let paths = files::list(folder, is_xml)?;
    if paths.is_empty() {
        let expected = "annotations of Pascal VOC (.xml)".into();
        return Err(DataError::Empty { path: folder.to_owned(), expected });
    }
    let texts = paths.par_iter().map(|path| files::read(path)).collect::<Result<_, _>>()?;
    Ok((paths, texts))
}

fn named(folder: &Path, paths: &[PathBuf], texts: &[Vec<u8>], on_bad: OnBad) -> Result<Classes, DataError> {
    let mut names = BTreeSet::new();
    for (path, text) in paths.iter().zip(texts) {
        match parse::object_names(path, text) {
            Ok(found) => names.extend(found),
            Err(error) if on_bad == OnBad::Fail => return Err(error),
            Err(_) => {}
        }
    }
    Classes::new(names).map_err(|_| DataError::Empty {
        path: folder.to_owned(),
        expected: "objects with names in its XML files".into(),
    })
}

fn is_xml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml"))
}

type Pairs = Vec<(PathBuf, PathBuf)>;

/// Images with their annotations, in order of the stems, and the files that have no partner.
fn pair(layout: &VocLayout) -> Result<(Pairs, Vec<DataError>), DataError> {
    let mut unpaired = Vec::new();
    let mut images: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in files::list(&layout.images, files::is_image)? {
        let stem = files::stem(&path);
        match images.get(&stem) {
            Some(other) => unpaired.push(DataError::TwoImages { path, stem, other: other.clone() }),
            None => _ = images.insert(stem, path),
        }
    }
    let mut pairs = Vec::new();
    for path in files::list(&layout.annotations, is_xml)? {
        let stem = files::stem(&path);
        match images.remove(&stem) {
            Some(image) => pairs.push((image, path)),
            None => unpaired.push(DataError::NoImage { path, stem, images: layout.images.clone() }),
        }
    }
    unpaired.extend(images.into_iter().map(|(stem, path)| DataError::NoAnnotation {
        path,
        stem,
        annotations: layout.annotations.clone(),
    }));
    Ok((pairs, unpaired))
}

fn sample(image: PathBuf, annotation: &Path, classes: &Classes) -> Result<Sample, DataError> {
    let size = crate::images::size(&image)?;
    let file = parse(annotation, &files::read(annotation)?, classes)?;
    if file.size != size {
        let problem = Problem::Size { says: file.size, has: size };
        return Err(DataError::Annotation { path: annotation.into(), place: file.size_at, problem });
    }
    Ok(Sample { name: files::stem(&image), image, size, annotations: file.annotations })
}

/// Whether `[x1, y1, x2, y2]` is a box within an image of that size, and if not, why.
pub(crate) fn check_box(bbox: [f64; 4], size: Size) -> Result<(), Problem> {
    let [x1, y1, x2, y2] = bbox;
    if !(x1 < x2 && y1 < y2) {
        return Err(Problem::Degenerate { bbox });
    }
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    if !(x1 >= 0.0 && y1 >= 0.0 && x2 <= width && y2 <= height) {
        return Err(Problem::Outside { bbox, size });
    }
    Ok(())
}

pub(crate) fn at(path: &Path, place: Place) -> impl Fn(Problem) -> DataError {
    move |problem| DataError::Annotation { path: path.into(), place, problem }
}
