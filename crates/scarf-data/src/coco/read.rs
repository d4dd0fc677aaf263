use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use scarf_core::{Annotation, BBox, Classes, Size};

use super::locate::Places;
use super::{Boxes, Document, Image, Object};
use crate::dataset::Gather;
use crate::files;
use crate::voc::{at, check_box};
use crate::{DataError, DataSet, OnBad, Place, Problem, Sample, Skipped};

/// Reads a data set from COCO's JSON; the images are looked for in their folder.
///
/// A box that reaches beyond its image by less than a pixel is cut there: where x and width were rounded, each by itself, that
/// is no mistake.
///
/// The classes are the categories in order of their ids. Images without annotations are samples
/// too. Errors name the line, and the id of the image or annotation. With [`OnBad::Skip`] an image
/// that is wrong, or has a wrong annotation, is left out and listed; a file that is not of COCO's form
/// as a whole is an error still.
pub fn read(
    path: &Path,
    images: &Path,
    boxes: Boxes,
    on_bad: OnBad,
) -> Result<(DataSet, Vec<Skipped>), DataError> {
    let bytes = files::read(path)?;
    let text = files::text(path, &bytes)?;
    let document: Document = serde_json::from_str(text).map_err(|error| {
        let place = Place { line: error.line() as u32, column: error.column() as u32 };
        let what = format!("not COCO's form (images, annotations, categories): {error}");
        at(path, place)(Problem::Malformed(what))
    })?;
    let reader = Reader { path, places: Places::new(text), folder: images, boxes, document: &document };
    let (classes, class_of) = reader.classes()?;
    let mut gather = Gather::new(on_bad);
    let mut unclear = HashSet::new();
    let images = reader.images(&mut gather, &mut unclear)?;
    let mut objects = reader.objects_by_image(&mut gather, &mut unclear)?;
    let jobs: Vec<_> = images
        .into_iter()
        .filter(|(_, image)| !unclear.contains(&image.id))
        .map(|(index, image)| (index, image, objects.remove(&image.id).unwrap_or_default()))
        .collect();
    let samples: Vec<_> = jobs
        .into_par_iter()
        .map(|(index, image, objects)| reader.sample(index, image, &objects, &class_of))
        .collect();
    for sample in samples {
        gather.take(sample)?;
    }
    Ok(gather.finish(classes))
}

type ByImage<'a> = HashMap<u64, Vec<(usize, &'a Object)>>;

struct Reader<'a> {
    path: &'a Path,
    places: Places<'a>,
    folder: &'a Path,
    boxes: Boxes,
    document: &'a Document,
}

impl<'a> Reader<'a> {
    fn error(&self, key: &str, index: usize, what: String) -> DataError {
        at(self.path, self.places.of(key, index))(Problem::Malformed(what))
    }

    /// The classes by order of the category ids, and the class of each id.
    fn classes(&self) -> Result<(Classes, HashMap<u64, usize>), DataError> {
        let mut categories: Vec<_> = self.document.categories.iter().enumerate().collect();
        categories.sort_by_key(|(_, category)| category.id);
        let mut class_of = HashMap::new();
        for (class, (index, category)) in categories.iter().enumerate() {
            if class_of.insert(category.id, class).is_some() {
                let what = format!("category id {} is there twice; expected each id once", category.id);
                return Err(self.error("categories", *index, what));
            }
        }
        let classes = Classes::new(categories.iter().map(|(_, category)| category.name.as_str()))
            .map_err(|error| self.error("categories", 0, format!("categories: {error}")))?;
        Ok((classes, class_of))
    }

    /// The images with an id and a stem of their own; ids that several have are `unclear`.
    fn images(
        &self,
        gather: &mut Gather,
        unclear: &mut HashSet<u64>,
    ) -> Result<Vec<(usize, &'a Image)>, DataError> {
        let (mut ids, mut stems) = (HashMap::new(), HashMap::new());
        let mut images = Vec::new();
        for (index, image) in self.document.images.iter().enumerate() {
            let stem = files::stem(&path_of(image));
            let what = if ids.insert(image.id, index).is_some() {
                unclear.insert(image.id);
                format!("image id {} is there twice; expected each id once", image.id)
            } else if let Some(other) = stems.insert(stem.clone(), image.id) {
                format!(
                    "image id {}: image id {other} has the stem `{stem}` too; a stem names one image",
                    image.id
                )
            } else {
                images.push((index, image));
                continue;
            };
            gather.take(Err(self.error("images", index, what)))?;
        }
        Ok(images)
    }

    /// The objects of each image; `unclear` are those of which one is lost.
    fn objects_by_image(
        &self,
        gather: &mut Gather,
        unclear: &mut HashSet<u64>,
    ) -> Result<ByImage<'a>, DataError> {
        let mut objects: ByImage = self.document.images.iter().map(|image| (image.id, vec![])).collect();
        let mut ids = HashMap::new();
        for (index, object) in self.document.annotations.iter().enumerate() {
            let what = if ids.insert(object.id, index).is_some() {
                unclear.insert(object.image_id);
                format!("annotation id {} is there twice; expected each id once", object.id)
            } else if let Some(of_image) = objects.get_mut(&object.image_id) {
                of_image.push((index, object));
                continue;
            } else {
                format!("annotation id {}: there is no image id {}", object.id, object.image_id)
            };
            gather.take(Err(self.error("annotations", index, what)))?;
        }
        Ok(objects)
    }

    fn sample(
        &self,
        index: usize,
        image: &Image,
        objects: &[(usize, &Object)],
        class_of: &HashMap<u64, usize>,
    ) -> Result<Sample, DataError> {
        let path = self.folder.join(path_of(image));
        if !files::is_image(&path) {
            let (id, name, endings) = (image.id, &image.file_name, files::ENDINGS.join(", ."));
            let what =
                format!("image id {id}: `{name}` is not called as images are, which end with .{endings}");
            return Err(self.error("images", index, what));
        }
        let size = crate::images::size(&path)?;
        let says = Size::new(image.width, image.height);
        if says != size {
            let (has, place) = (size, self.places.of("images", index));
            return Err(at(self.path, place)(Problem::Size { says, has }));
        }
        let annotations = objects.iter().map(|&(index, object)| {
            self.annotation(object, size, class_of).map_err(|problem| {
                self.error("annotations", index, format!("annotation id {}: {problem}", object.id))
            })
        });
        Ok(Sample {
            name: files::stem(&path),
            size,
            annotations: annotations.collect::<Result<_, _>>()?,
            image: path,
        })
    }

    fn annotation(
        &self,
        object: &Object,
        size: Size,
        class_of: &HashMap<u64, usize>,
    ) -> Result<Annotation, Problem> {
        let class = *class_of.get(&object.category_id).ok_or_else(|| {
            let mut known: Vec<_> = class_of.keys().collect();
            known.sort();
            Problem::Malformed(format!(
                "there is no category id {}; the ids are {known:?}",
                object.category_id
            ))
        })?;
        let [a, b, c, d] = object.bbox;
        let bbox = match self.boxes {
            Boxes::Xywh => BBox::from_xywh(a, b, c, d),
            Boxes::Xyxy => BBox::new(a, b, c, d),
        };
        let bbox = within(bbox, size);
        check_box(bbox.to_array(), size).map_err(|problem| match self.boxes {
            Boxes::Xywh => Problem::Malformed(format!(
                "{problem} (the file's [{a}, {b}, {c}, {d}] was read as x, y, width, height)"
            )),
            Boxes::Xyxy => Problem::Malformed(format!(
                "{problem} (the file's [{a}, {b}, {c}, {d}] was read as x1, y1, x2, y2)"
            )),
        })?;
        let area = object.area.unwrap_or_else(|| bbox.area());
        if !(area.is_finite() && area >= 0.0) {
            return Err(Problem::Malformed(format!("`area` is {area}, expected a number of square pixels")));
        }
        Ok(Annotation { area, crowd: object.iscrowd != 0, ..Annotation::new(bbox, class) })
    }
}

/// Where an image lies in its folder; on Windows names are written with other strokes.
fn path_of(image: &Image) -> PathBuf {
    image.file_name.replace('\\', "/").into()
}

/// The box, cut where it reaches beyond its image by less than a pixel.
fn within(bbox: BBox<f64>, size: Size) -> BBox<f64> {
    let cut = |value: f64, end: u32| {
        let near = value.clamp(0.0, f64::from(end));
        if (value - near).abs() < 1.0 { near } else { value }
    };
    let [x1, y1, x2, y2] = bbox.to_array();
    BBox::new(cut(x1, size.width), cut(y1, size.height), cut(x2, size.width), cut(y2, size.height))
}
