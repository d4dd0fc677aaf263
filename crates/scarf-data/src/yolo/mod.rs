//! YOLO's labels: for each image a text file of its stem, an object a line.
//!
//! A line is a class (from 0) and the box's centre, width and height as shares of the image's, or a class and
//! the corners of a polygon, three or more, around which the box is drawn. An image without objects has an empty file or
//! none.

mod names;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use scarf_core::{Annotation, BBox, Classes, Size};

pub use names::classes;

use crate::dataset::Gather;
use crate::files;
use crate::voc::{at, check_box};
use crate::{DataError, DataSet, OnBad, Place, Problem, Sample, Skipped};

/// The folders of a set, or of one of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YoloLayout {
    /// The folder of the images.
    pub images: PathBuf,
    /// The folder of the labels (.txt); the same, where they lie beside the images.
    pub labels: PathBuf,
}

/// What the folders of parts are called: train, val, test.
const PARTS: [&[&str]; 3] = [&["train"], &["val", "valid"], &["test"]];

/// Looks for a set's folders: of its parts (0 to learn from, 1 to choose by, 2 to report on) as `images/train` and
/// `labels/train`, or `train/images` and `train/labels`, with `val` or `valid` and `test` likewise; otherwise `images` and
/// `labels`, or the folder itself where images and labels lie side by side.
pub fn find(root: &Path) -> Vec<(Option<usize>, YoloLayout)> {
    let layout = |images: PathBuf, labels: PathBuf| images.is_dir().then_some(YoloLayout { images, labels });
    let part = |name: &str| {
        layout(root.join("images").join(name), root.join("labels").join(name))
            .or_else(|| layout(root.join(name).join("images"), root.join(name).join("labels")))
    };
    let named =
        PARTS.iter().enumerate().flat_map(|(index, names)| names.iter().map(move |name| (index, name)));
    let parts: Vec<_> = named.filter_map(|(index, name)| Some((Some(index), part(name)?))).collect();
    if !parts.is_empty() {
        return parts;
    }
    let beside = || YoloLayout { images: root.into(), labels: root.into() };
    vec![(None, layout(root.join("images"), root.join("labels")).unwrap_or_else(beside))]
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub struct YoloSet {
    /// Images and their boxes.
    pub set: DataSet,
    /// How many of the boxes were drawn around polygons.
    pub polygons: usize,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

/// Reads a set, or one of its parts. A box that reaches beyond its image by less than a pixel is cut there, which is how
/// rounded shares come out.
///
/// # Errors
/// With file, line and what would be right; labels without an image, and a folder without any. With [`OnBad::Skip`] an image
/// with a wrong line is left out and listed.
pub fn read(layout: &YoloLayout, classes: &Classes, on_bad: OnBad) -> Result<YoloSet, DataError> {
    let mut gather = Gather::new(on_bad);
    let mut images: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in files::list(&layout.images, files::is_image)? {
        let stem = files::stem(&path);
        match images.get(&stem) {
            Some(other) => gather.take(Err(DataError::TwoImages { path, stem, other: other.clone() }))?,
            None => _ = images.insert(stem, path),
        }
    }
    let mut labels = BTreeMap::new();
    let is_text = |path: &Path| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt"));
    for path in files::list(&layout.labels, is_text)? {
        let stem = files::stem(&path);
        if images.contains_key(&stem) {
            labels.insert(stem, path);
        } else if are_labels(&files::read(&path)?) {
            gather.take(Err(DataError::NoImage { path, stem, images: layout.images.clone() }))?;
        }
    }
    if labels.is_empty() {
        let expected =
            format!("labels of YOLO (.txt) of the stems of the images in {}", layout.images.display());
        return Err(DataError::Empty { path: layout.labels.clone(), expected });
    }
    let jobs: Vec<_> = images.into_iter().collect();
    let samples: Vec<_> =
        jobs.into_par_iter().map(|(stem, image)| sample(labels.get(&stem), stem, image, classes)).collect();
    let mut polygons = 0;
    for sample in samples {
        gather.take(sample.map(|(sample, drawn)| {
            polygons += drawn;
            sample
        }))?;
    }
    let (set, skipped) = gather.finish(classes.clone());
    Ok(YoloSet { set, polygons, skipped })
}

/// Whether a text may be an image's labels, not a list of classes or of files.
fn are_labels(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let mut lines =
        text.lines().map(|line| line.split_whitespace()).filter(|words| words.clone().next().is_some());
    lines.all(|words| words.clone().count() > 4 && words.clone().all(|word| word.parse::<f64>().is_ok()))
}

/// An image with its boxes, and how many of them were polygons.
fn sample(
    label: Option<&PathBuf>,
    name: String,
    image: PathBuf,
    classes: &Classes,
) -> Result<(Sample, usize), DataError> {
    let size = crate::images::size(&image)?;
    let mut annotations = Vec::new();
    let mut polygons = 0;
    if let Some(path) = label {
        let bytes = files::read(path)?;
        for (line, number) in files::lines(files::text(path, &bytes)?) {
            let place = Place { line: number, column: 1 };
            let (annotation, polygon) = object(line, size, classes).map_err(at(path, place))?;
            annotations.push(annotation);
            polygons += usize::from(polygon);
        }
    }
    Ok((Sample { name, image, size, annotations }, polygons))
}

/// The object of a line, and whether it was a polygon.
fn object(line: &str, size: Size, classes: &Classes) -> Result<(Annotation, bool), Problem> {
    let mut words = line.split_whitespace();
    let named = words.next().unwrap_or_default();
    let class = named.parse().ok().filter(|&class: &usize| class < classes.len()).ok_or_else(|| {
        let (last, names) = (classes.len() - 1, classes.names().join(", "));
        Problem::Malformed(format!("the class is `{named}`, expected 0 to {last} ({names})"))
    })?;
    let number = |word: &str| {
        word.parse().ok().filter(|share: &f64| (-1.0..=2.0).contains(share)).ok_or_else(|| {
            Problem::Malformed(format!(
                "`{word}` is no share of the image's width or height, expected 0 to 1"
            ))
        })
    };
    let numbers = words.map(number).collect::<Result<Vec<f64>, _>>()?;
    let polygon = numbers.len() != 4;
    let shares = match numbers[..] {
        [x, y, width, height] => [x - width / 2.0, y - height / 2.0, x + width / 2.0, y + height / 2.0],
        _ if numbers.len() >= 6 && numbers.len() % 2 == 0 => around(&numbers),
        _ => {
            return Err(Problem::Malformed(format!(
                "{} numbers after the class; expected 4 (x, y of the centre, width, height), or x and y of 3 corners or more",
                numbers.len()
            )));
        }
    };
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    let [x1, y1, x2, y2] = shares;
    // Shares have six places, of which none is a thousandth of a pixel.
    let pixels = |share: f64, side: f64| (share * side * 1000.0).round() / 1000.0;
    let cut = |at: f64, side: f64| {
        let near = at.clamp(0.0, side);
        if (at - near).abs() < 1.0 { near } else { at }
    };
    let [left, right] = [x1, x2].map(|share| cut(pixels(share, width), width));
    let [top, bottom] = [y1, y2].map(|share| cut(pixels(share, height), height));
    check_box([left, top, right, bottom], size)?;
    Ok((Annotation::new(BBox::new(left, top, right, bottom), class), polygon))
}

/// The least and the greatest of x and y.
fn around(corners: &[f64]) -> [f64; 4] {
    let ends = |from: usize| {
        let along = || corners.iter().skip(from).step_by(2).copied();
        (along().fold(f64::INFINITY, f64::min), along().fold(f64::NEG_INFINITY, f64::max))
    };
    let ((x1, x2), (y1, y2)) = (ends(0), ends(1));
    [x1, y1, x2, y2]
}
