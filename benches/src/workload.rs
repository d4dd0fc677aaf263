use std::fmt::Write;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How large a workload is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Images.
    pub images: usize,
    /// Classes.
    pub classes: usize,
    /// Ground truths, about.
    pub truths: usize,
    /// Detections, about.
    pub found: usize,
}

impl Scale {
    /// A steel mill's test set: 360 images, 6 classes, 36,000 detections.
    pub const S: Scale = Scale { images: 360, classes: 6, truths: 900, found: 36_000 };
    /// COCO val2017: 5,000 images, 80 classes, 500,000 detections.
    pub const M: Scale = Scale { images: 5_000, classes: 80, truths: 36_781, found: 500_000 };
    /// Objects365's kind: 20,000 images, 365 classes, 4 million detections.
    pub const L: Scale = Scale { images: 20_000, classes: 365, truths: 300_000, found: 4_000_000 };

    /// The scale of this letter, S, M or L.
    pub fn named(name: &str) -> Option<Scale> {
        match name {
            "S" => Some(Self::S),
            "M" => Some(Self::M),
            "L" => Some(Self::L),
            _ => None,
        }
    }
}

/// A ground truth: left, top, width, height in pixels.
#[derive(Clone, Copy, Debug)]
pub struct Truth {
    /// Left, top, width, height.
    pub xywh: [f64; 4],
    /// Square pixels, less than the box's as of a mask.
    pub area: f64,
    /// From 0.
    pub class: usize,
    /// COCO's `iscrowd`.
    pub crowd: bool,
}

/// A detection: left, top, width, height in pixels.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Left, top, width, height.
    pub xywh: [f64; 4],
    /// From 0.
    pub class: usize,
    /// In `0..=1`.
    pub score: f64,
}

/// What is on an image, and what was found there.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// The ground truths.
    pub truths: Vec<Truth>,
    /// The detections, best first as detectors give them.
    pub found: Vec<Found>,
}

/// A made-up evaluation: ground truths and what a middling detector would say.
#[derive(Clone, Debug)]
pub struct Workload {
    /// How many classes.
    pub classes: usize,
    /// The images.
    pub images: Vec<Image>,
}

impl Workload {
    /// The workload of a seed. Numbers are `f32` widened, as detectors and their files have them.
    ///
    /// Of the detections a share comes from a ground truth, moved and resized a little, seldom with
    /// another class; the rest lie anywhere. One in 50 truths is a crowd; some images are empty, some
    /// scores are equal.
    pub fn new(scale: Scale, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let per_image = |total: usize| total as f64 / scale.images as f64;
        let images = (0..scale.images)
            .map(|_| {
                let truths: Vec<Truth> = (0..around(&mut rng, per_image(scale.truths)))
                    .map(|_| truth(&mut rng, scale.classes))
                    .collect();
                let count = around(&mut rng, per_image(scale.found));
                let mut found: Vec<Found> =
                    (0..count).map(|_| guess(&mut rng, scale.classes, &truths)).collect();
                found.sort_by(|a, b| b.score.total_cmp(&a.score));
                Image { truths, found }
            })
            .collect();
        Self { classes: scale.classes, images }
    }

    /// The ground truth as a COCO file; image ids start at 1 and leave gaps, category ids too.
    pub fn gt_json(&self) -> String {
        let mut out = String::from("{\"info\": {\"description\": \"made up\"}, \"images\": [");
        for index in 0..self.images.len() {
            let comma = if index > 0 { ", " } else { "" };
            let id = image_id(index);
            let name = format!("{id:012}.jpg");
            write!(
                out,
                "{comma}{{\"id\": {id}, \"width\": 640, \"height\": 480, \"file_name\": \"{name}\"}}"
            )
            .unwrap();
        }
        out += "], \"annotations\": [";
        let mut id = 0;
        for (index, image) in self.images.iter().enumerate() {
            for t in &image.truths {
                let comma = if id > 0 { ", " } else { "" };
                id += 1;
                let ([x, y, w, h], crowd) = (t.xywh, u8::from(t.crowd));
                let (image, category, area) = (image_id(index), category_id(t.class), t.area);
                write!(out, "{comma}{{\"segmentation\": [[{x:?}, {y:?}, {w:?}, {h:?}]], \"area\": {area:?}, \"iscrowd\": {crowd}, \"image_id\": {image}, \"bbox\": [{x:?}, {y:?}, {w:?}, {h:?}], \"category_id\": {category}, \"id\": {id}}}").unwrap();
            }
        }
        out += "], \"categories\": [";
        for class in 0..self.classes {
            let comma = if class > 0 { ", " } else { "" };
            write!(out, "{comma}{{\"id\": {}, \"name\": \"class {class}\"}}", category_id(class)).unwrap();
        }
        out + "]}"
    }

    /// The detections as a COCO results file.
    pub fn dt_json(&self) -> String {
        let mut out = String::from("[");
        for (index, image) in self.images.iter().enumerate() {
            for f in &image.found {
                let comma = if out.len() > 1 { ", " } else { "" };
                let ([x, y, w, h], score) = (f.xywh, f.score);
                let (image, category) = (image_id(index), category_id(f.class));
                write!(out, "{comma}{{\"image_id\": {image}, \"category_id\": {category}, \"bbox\": [{x:?}, {y:?}, {w:?}, {h:?}], \"score\": {score:?}}}").unwrap();
            }
        }
        out + "]"
    }
}

/// COCO's ids have gaps.
fn image_id(index: usize) -> usize {
    139 + index * 7
}

fn category_id(class: usize) -> usize {
    1 + class + class / 11
}

/// A count around a mean, at times none.
fn around(rng: &mut impl Rng, mean: f64) -> usize {
    if rng.random_bool(0.01) { 0 } else { (rng.random_range(0.2..1.8) * mean + 0.5) as usize }
}

fn narrow(v: f64) -> f64 {
    f64::from(v as f32)
}

/// Sides from 4 to 400 pixels, evenly by their logarithm.
fn side(rng: &mut impl Rng) -> f64 {
    (rng.random_range(4f64.ln()..400f64.ln())).exp()
}

fn truth(rng: &mut impl Rng, classes: usize) -> Truth {
    let (w, h) = (side(rng), side(rng));
    let xywh = [rng.random_range(0.0..(640.0 - w)), rng.random_range(0.0..(480.0 - h)), w, h];
    let xywh = xywh.map(|v| (v * 100.0).round() / 100.0);
    let area = narrow(xywh[2] * xywh[3] * rng.random_range(0.4..1.0));
    Truth { xywh, area, class: rng.random_range(0..classes), crowd: rng.random_bool(0.02) }
}

fn guess(rng: &mut impl Rng, classes: usize, truths: &[Truth]) -> Found {
    if truths.is_empty() || rng.random_bool(0.75) {
        let t = truth(rng, classes);
        let score = narrow(rng.random_range(0f64..1.0).powi(3) * 0.6);
        return Found { xywh: t.xywh.map(narrow), class: t.class, score };
    }
    let t = truths[rng.random_range(0..truths.len())];
    let looseness = rng.random_range(0.0..0.35);
    let [x, y, w, h] = t.xywh;
    let mut off = |size: f64| rng.random_range(-1.0..1.0) * looseness * size;
    let xywh = [x + off(w), y + off(h), w + off(w), h + off(h)].map(narrow);
    let class = if rng.random_bool(0.1) { rng.random_range(0..classes) } else { t.class };
    let score = narrow((1.0 - looseness * 2.0) * rng.random_range(0.2..1.0));
    let score = if rng.random_bool(0.05) { 0.5 } else { score };
    Found { xywh, class, score }
}

/// Boxes of one class as a dense head gives them before NMS, xyxy, with their scores: clusters
/// of `per_object` around objects that lie anywhere in a square whose density does not depend on `count`.
pub fn boxes(count: usize, per_object: usize, seed: u64) -> (Vec<[f32; 4]>, Vec<f32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let objects = count.div_ceil(per_object);
    let extent = (objects as f64).sqrt() * 40.0;
    let mut boxes = Vec::with_capacity(count);
    for _ in 0..objects {
        let (x, y) = (rng.random_range(0.0..extent), rng.random_range(0.0..extent));
        let (w, h) = (rng.random_range(8.0..64.0), rng.random_range(8.0..64.0));
        for _ in 0..per_object.min(count - boxes.len()) {
            let mut off = |size: f64| rng.random_range(-0.3..0.3) * size;
            let (x, y, w, h) = (x + off(w), y + off(h), w + off(w), h + off(h));
            boxes.push([x as f32, y as f32, (x + w) as f32, (y + h) as f32]);
        }
    }
    let scores = (0..count).map(|_| rng.random_range(0.0..1.0f32)).collect();
    (boxes, scores)
}
