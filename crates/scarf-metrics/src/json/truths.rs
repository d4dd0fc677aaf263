use super::cursor::{Cursor, Fault, Parse};
use super::ids::Ids;
use super::shape::{Field, Shape, Values};
use super::{Category, Id, JsonProblem};
use crate::store::Truth;
use crate::threads::share_out;

/// What a ground truth file says.
pub(super) struct Truths {
    pub(super) images: Ids,
    pub(super) categories: Ids,
    pub(super) names: Vec<Category>,
    pub(super) truths: Vec<Truth>,
    /// Whether some annotation has the id 0.
    pub(super) id_zero: bool,
}

/// An annotation as it stands in the file.
struct Annotation {
    at: usize,
    id: Id,
    image: Id,
    category: Id,
    xywh: [f64; 4],
    area: f64,
    crowd: bool,
}

/// Reads a COCO ground truth file.
pub(super) fn read(text: &[u8], threads: usize) -> Parse<Truths> {
    let (mut images, mut annotations, mut categories) = (None, None, None);
    let mut cursor = Cursor::new(text, if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 });
    cursor.object(|c, key| {
        match key {
            b"images" => images = Some(list(c, &IMAGE, 1)?),
            b"annotations" => annotations = Some(list(c, &ANNOTATION, threads)?),
            b"categories" => categories = Some(categories_of(c)?),
            _ => c.skip()?,
        }
        Ok(())
    })?;
    if cursor.peek().is_some() {
        return cursor.fault(cursor.at, JsonProblem::Trailing);
    }
    let missing = |key| Fault { at: 0, problem: Box::new(JsonProblem::NoList(key)) };
    let images: Vec<Id> = images.ok_or_else(|| missing("images"))?;
    let annotations = annotations.ok_or_else(|| missing("annotations"))?;
    resolve(images, annotations, categories.ok_or_else(|| missing("categories"))?)
}

fn resolve(images: Vec<Id>, annotations: Vec<Annotation>, categories: Vec<Category>) -> Parse<Truths> {
    let mixed = |what| Fault { at: 0, problem: Box::new(JsonProblem::MixedIds { what }) };
    let images = Ids::new(images).ok_or_else(|| mixed("image"))?;
    let ids = Ids::new(categories.iter().map(|c| c.id.clone()).collect()).ok_or_else(|| mixed("category"))?;
    let mut names: Vec<Option<Category>> = vec![None; ids.len()];
    for category in categories {
        let place = ids.place(&category.id).map_or(0, |place| place as usize);
        names[place] = Some(category);
    }
    if u32::try_from(annotations.len()).is_err() || u32::try_from(images.len()).is_err() {
        return Err(Fault { at: 0, problem: Box::new(JsonProblem::TooMany) });
    }
    check_unique(&annotations)?;
    let id_zero = annotations.iter().any(|a| a.id == Id::Number(0));
    let truths = annotations.into_iter().map(|a| a.resolve(&images, &ids)).collect::<Parse<_>>()?;
    Ok(Truths { images, categories: ids, names: names.into_iter().flatten().collect(), truths, id_zero })
}

/// Fails where two annotations have one id.
fn check_unique(annotations: &[Annotation]) -> Parse<()> {
    if annotations.windows(2).all(|w| w[0].id < w[1].id) {
        return Ok(());
    }
    let mut ids: Vec<(&Id, usize)> = annotations.iter().map(|a| (&a.id, a.at)).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|w| w[0].0 == w[1].0) {
        Some(twice) => {
            Err(Fault { at: twice[1].1, problem: Box::new(JsonProblem::Duplicate(twice[1].0.clone())) })
        }
        None => Ok(()),
    }
}

impl Annotation {
    fn usual(at: usize, values: &Values) -> Self {
        let [id, image, category] = values.ids.map(Id::Number);
        let [x, y, w, h, area, crowd] = values.numbers;
        Self { at, id, image, category, xywh: [x, y, w, h], area, crowd: crowd != 0.0 }
    }

    fn resolve(self, images: &Ids, categories: &Ids) -> Parse<Truth> {
        let Self { at, id, image, category, xywh, area, crowd } = self;
        let record = || format!("annotation {id}");
        let fault = |problem| Fault { at, problem: Box::new(problem) };
        let Some(image) = images.place(&image) else {
            return Err(fault(JsonProblem::UnknownImage { record: record(), id: image }));
        };
        let Some(class) = categories.place(&category) else {
            return Err(fault(JsonProblem::UnknownCategory { record: record(), id: category }));
        };
        let id_zero = id == Id::Number(0);
        Ok(Truth { xywh, area, image, class, crowd, ignore: crowd, difficult: false, id_zero })
    }
}

/// How the records of a list are read.
struct Kind<T> {
    field: fn(&[u8]) -> Field,
    /// A record written as the one before, and its first byte.
    usual: fn(usize, &Values) -> T,
    /// Any record, and its number.
    any: fn(&mut Cursor<'_>, usize) -> Parse<T>,
}

/// The records of an array, on several threads.
///
/// Parts start at what looks like the border between two records. Where the part before does not
/// come to exactly there, or where anything is wrong, the text is read on in order.
fn list<T: Send>(c: &mut Cursor<'_>, kind: &Kind<T>, threads: usize) -> Parse<Vec<T>> {
    let mut all = Vec::new();
    c.expect(b'[', "an array, `[`")?;
    if c.take(b']') {
        return Ok(all);
    }
    c.peek();
    let starts = c.borders(threads);
    let end = |piece: usize| starts.get(piece + 1).copied().unwrap_or(usize::MAX);
    let text = c.back_at(0);
    let parts = share_out(
        starts.len(),
        threads,
        || (),
        |(), piece| {
            let (mut c, mut part) = (text.back_at(starts[piece]), Vec::new());
            records(&mut c, kind, end(piece), &mut part).map(|ended| (part, c.at, ended))
        },
    );
    let mut ended = false;
    for (piece, part) in parts.into_iter().enumerate() {
        match part {
            _ if ended => break,
            Ok((part, at, last)) if c.at == starts[piece] => {
                if all.is_empty() {
                    all = part; // the first, and mostly the only one, is not copied
                } else {
                    all.extend(part);
                }
                (c.at, ended) = (at, last);
            }
            _ => ended = records(c, kind, end(piece), &mut all)?,
        }
    }
    Ok(all)
}

/// Reads records up to the end of the array, which is told, or to the first that starts at `end` or behind.
fn records<T>(c: &mut Cursor<'_>, kind: &Kind<T>, end: usize, all: &mut Vec<T>) -> Parse<bool> {
    let mut shape = None::<Shape>;
    loop {
        c.peek();
        let mut start = c.at;
        while start < end
            && let Some(values) = shape.as_ref().and_then(|shape| shape.read(c))
        {
            all.push((kind.usual)(start, &values));
            start = c.at;
        }
        c.at = start;
        if start >= end {
            return Ok(false);
        }
        all.push((kind.any)(c, all.len())?);
        shape = Shape::of(c.back_at(start), kind.field);
        if !c.take(b',') {
            c.expect(b']', "`,` or `]`")?;
            return Ok(true);
        }
    }
}

const IMAGE: Kind<Id> = Kind { field: image_field, usual: usual_image, any: image };
const ANNOTATION: Kind<Annotation> =
    Kind { field: annotation_field, usual: Annotation::usual, any: annotation };

fn image_field(key: &[u8]) -> Field {
    if key == b"id" { Field::Id(0) } else { Field::Other }
}

fn usual_image(_: usize, values: &Values) -> Id {
    Id::Number(values.ids[0])
}

fn image(c: &mut Cursor<'_>, index: usize) -> Parse<Id> {
    let (start, mut id) = (c.at, None);
    c.object(|c, key| {
        match key {
            b"id" => id = Some(c.id()?),
            _ => c.skip()?,
        }
        Ok(())
    })?;
    need(c, start, id, "id", || format!("image {index} (from 0)"))
}

fn categories_of(c: &mut Cursor<'_>) -> Parse<Vec<Category>> {
    let mut all = Vec::new();
    c.array(|c| {
        all.push(category(c, all.len())?);
        Ok(())
    })?;
    Ok(all)
}

fn category(c: &mut Cursor<'_>, index: usize) -> Parse<Category> {
    let (start, mut id, mut name) = (c.at, None, String::new());
    c.object(|c, key| {
        match key {
            b"id" => id = Some(c.id()?),
            b"name" => name = c.string()?.into_owned(),
            _ => c.skip()?,
        }
        Ok(())
    })?;
    let id = need(c, start, id, "id", || format!("category {index} (from 0)"))?;
    Ok(Category { id, name })
}

fn annotation_field(key: &[u8]) -> Field {
    match key {
        b"id" => Field::Id(0),
        b"image_id" => Field::Id(1),
        b"category_id" => Field::Id(2),
        b"bbox" => Field::Numbers(0, 4),
        b"area" => Field::Number(4),
        b"iscrowd" => Field::Number(5),
        _ => Field::Other,
    }
}

fn annotation(c: &mut Cursor<'_>, index: usize) -> Parse<Annotation> {
    c.peek();
    let at = c.at;
    let (mut id, mut image, mut category, mut xywh, mut area, mut crowd) =
        (None, None, None, None, None, false);
    c.object(|c, key| {
        match key {
            b"id" => id = Some(c.id()?),
            b"image_id" => image = Some(c.id()?),
            b"category_id" => category = Some(c.id()?),
            b"bbox" => xywh = Some(c.four()?),
            b"area" => area = Some(c.number()?),
            b"iscrowd" => crowd = c.flag()?,
            _ => c.skip()?,
        }
        Ok(())
    })?;
    let id = need(c, at, id, "id", || format!("annotation {index} (from 0)"))?;
    let record = || format!("annotation {id}");
    let image = need(c, at, image, "image_id", record)?;
    let category = need(c, at, category, "category_id", record)?;
    let xywh = need(c, at, xywh, "bbox", record)?;
    let area = need(c, at, area, "area", record)?;
    Ok(Annotation { at, id, image, category, xywh, area, crowd })
}

pub(super) fn need<T>(
    c: &Cursor<'_>,
    at: usize,
    value: Option<T>,
    key: &'static str,
    record: impl FnOnce() -> String,
) -> Parse<T> {
    match value {
        Some(value) => Ok(value),
        None => c.fault(at, JsonProblem::Missing { record: record(), key }),
    }
}
