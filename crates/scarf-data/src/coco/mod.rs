//! COCO's JSON of images, annotations and categories, in and out.
//!
//! Category ids count from 1 in the order of the classes, image ids from 1 in the order of the data
//! set (also where only a part of it is written, so that ids of parts agree), annotation ids likewise.
//! COCO's box is `[x, y, width, height]`; SageMaker JumpStart's training input of the same shape has
//! `[x1, y1, x2, y2]` in that place, which [`Boxes::Xyxy`] reads and writes.

mod locate;
mod read;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use read::read;

use crate::files;
use crate::{DataError, DataSet};

/// What the four numbers of a `bbox` are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boxes {
    /// Left, top, width, height: COCO.
    #[default]
    Xywh,
    /// Left, top, right, bottom: SageMaker JumpStart's object detection.
    Xyxy,
}

/// A file of COCO's form. Fields that this crate does not know are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The images.
    pub images: Vec<Image>,
    /// The boxes of all images.
    pub annotations: Vec<Object>,
    /// The classes.
    pub categories: Vec<Category>,
}

/// An image of a [`Document`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Its name within the folder of the images.
    pub file_name: String,
    /// In pixels.
    pub height: u32,
    /// In pixels.
    pub width: u32,
    /// Any number, each once.
    pub id: u64,
}

/// A box of a [`Document`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// Any number, each once.
    pub id: u64,
    /// The image it is on.
    pub image_id: u64,
    /// Its class.
    pub category_id: u64,
    /// Four numbers in pixels, see [`Boxes`].
    pub bbox: [f64; 4],
    /// In square pixels; that of the box where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<f64>,
    /// 1 for a region of many objects.
    #[serde(default)]
    pub iscrowd: u8,
}

/// A class of a [`Document`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Category {
    /// Any number, each once.
    pub id: u64,
    /// Its name.
    pub name: String,
}

/// The document of some samples of a set (`None`: of all), in the order of the indices.
///
/// # Panics
/// Where an index is not below the number of samples.
pub fn document(data: &DataSet, indices: Option<&[usize]>, boxes: Boxes) -> Document {
    let all: Vec<usize> = (0..data.samples.len()).collect();
    // The id before the first of each sample's annotations.
    let ids: Vec<usize> = data
        .samples
        .iter()
        .scan(0, |next, sample| {
            let first = *next;
            *next += sample.annotations.len();
            Some(first)
        })
        .collect();
    let mut document = Document { images: vec![], annotations: vec![], categories: vec![] };
    for &index in indices.unwrap_or(&all) {
        let sample = &data.samples[index];
        let image_id = index as u64 + 1;
        document.images.push(Image {
            file_name: sample.image.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            height: sample.size.height,
            width: sample.size.width,
            id: image_id,
        });
        let objects = sample.annotations.iter().zip(ids[index] as u64 + 1..).map(|(annotation, id)| {
            let b = annotation.bbox;
            let bbox = match boxes {
                Boxes::Xywh => [b.x1, b.y1, b.width(), b.height()],
                Boxes::Xyxy => b.to_array(),
            };
            let (category_id, area) = (annotation.class as u64 + 1, Some(annotation.area));
            Object { id, image_id, category_id, bbox, area, iscrowd: annotation.crowd.into() }
        });
        document.annotations.extend(objects);
    }
    let named = data.classes.names().iter().zip(1..);
    document.categories = named.map(|(name, id)| Category { id, name: name.clone() }).collect();
    document
}

/// Writes the [`document`] of some samples (`None`: of all) as JSON. COCO knows neither `difficult`
/// nor `truncated`: those flags are lost.
///
/// # Panics
/// Where an index is not below the number of samples.
pub fn write(path: &Path, data: &DataSet, indices: Option<&[usize]>, boxes: Boxes) -> Result<(), DataError> {
    let text = serde_json::to_string(&document(data, indices, boxes)).expect("numbers and texts become JSON");
    files::write(path, text.as_bytes())
}
