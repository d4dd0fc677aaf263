//! Synthetic steel: images with boxes that are made, not photographed, so that everything runs
//! without a download.
//!
//! Two domains: [`Domain::HotStrip`] has NEU-DET's classes and looks, [`Domain::Plate`] other
//! surfaces, light and defects, to pretrain on. An image follows from the seed, its class and its
//! number, bit for bit on every machine; its boxes are the bounds of what was drawn, with the margin that
//! people leave around a defect when they mark it.

mod chance;
mod field;
mod hot_strip;
mod looks;
mod plate;
mod shape;
mod write;

use image::GrayImage;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use scarf_core::{Annotation, BBox, Classes, Size};
use serde::{Deserialize, Serialize};

use chance::Chance;
use field::Field;
use looks::Look;

/// Counts up whenever the same parameters would draw other images than before.
pub const GENERATOR: u32 = 2;

/// What is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// Hot-rolled strip, with the classes of NEU-DET in the study's order.
    #[default]
    HotStrip,
    /// Heavy plate of another mill: crack, pore, stain, gouge, flake, dent.
    Plate,
}

impl Domain {
    fn looks(self) -> &'static [Look] {
        match self {
            Self::HotStrip => &hot_strip::LOOKS,
            Self::Plate => &plate::LOOKS,
        }
    }

    /// The classes, in order.
    pub fn classes(self) -> Classes {
        Classes::new(self.looks().iter().map(|look| look.name)).expect("the classes of a domain are distinct")
    }
}

/// The parameters of a synthetic set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyntheticSteel {
    /// Another seed, other images.
    pub seed: u64,
    /// Images named after each class, 1 to 100,000. They hold one to five boxes.
    pub images_per_class: u32,
    /// Of every image; sides of 32 to 2,048.
    pub size: Size,
    /// What is drawn.
    pub domain: Domain,
}

impl Default for SyntheticSteel {
    fn default() -> Self {
        Self { seed: 0, images_per_class: 60, size: Size::new(200, 200), domain: Domain::HotStrip }
    }
}

/// The least part of a pixel that counts as covered when a box is put around a defect.
const COVERED: f32 = 0.3;
/// How much of a defect's box another may cover, by IoU.
const OVERLAP: f64 = 0.2;
/// How often a place is sought for a defect.
const PLACES: usize = 12;

impl SyntheticSteel {
    /// Whether the parameters are in range; if not, which is not.
    pub fn check(&self) -> Result<(), String> {
        let Size { width, height } = self.size;
        if !(1..=100_000).contains(&self.images_per_class) {
            return Err(format!("`images_per_class` is {}, expected 1 to 100000", self.images_per_class));
        }
        if !(32..=2048).contains(&width) || !(32..=2048).contains(&height) {
            return Err(format!("`size` is {width}x{height}, expected sides of 32 to 2048"));
        }
        Ok(())
    }

    /// Draws the image of that class and number, both from 0, with its objects.
    ///
    /// # Panics
    /// Where there is no such class, or a side is below 32.
    pub fn draw(&self, class: usize, number: u32) -> (GrayImage, Vec<Annotation>) {
        let look = &self.domain.looks()[class];
        assert!(self.size.width.min(self.size.height) >= 32, "sides of 32 pixels at least");
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(((class as u64) << 32) | u64::from(number));
        let mut surface = (look.surface)(self.size, &mut rng);
        let mut annotations: Vec<Annotation> = Vec::new();
        let wanted = rng.whole(look.count[0], look.count[1]);
        for _ in 0..wanted * PLACES {
            if annotations.len() == wanted {
                break;
            }
            let defect = (look.defect)(self.size, &mut rng);
            let marked = defect.mask.bounds(COVERED).map(|bounds| self.around(&bounds, look.margin));
            let Some(bbox) = marked.filter(|bbox| self.has_room(bbox, &annotations)) else {
                continue;
            };
            defect.lay(&mut surface);
            let truncated = self.touches_edge(&bbox);
            annotations.push(Annotation { truncated, ..Annotation::new(bbox, class) });
        }
        (develop(&surface, &mut rng), annotations)
    }

    /// Bounds with a margin around them, within the image, in whole pixels.
    fn around(&self, bounds: &BBox<f64>, margin: f32) -> BBox<f64> {
        let margin = f64::from((margin * looks::scale(self.size)).round());
        let (w, h) = (f64::from(self.size.width), f64::from(self.size.height));
        BBox::new(bounds.x1 - margin, bounds.y1 - margin, bounds.x2 + margin, bounds.y2 + margin)
            .clip(&BBox::new(0.0, 0.0, w, h))
    }

    /// Whether a box is large enough, and apart from those that are there.
    fn has_room(&self, bbox: &BBox<f64>, others: &[Annotation]) -> bool {
        let least = 3.0 * f64::from(looks::scale(self.size)).max(1.0);
        let large =
            bbox.width().max(bbox.height()) >= 2.0 * least && bbox.width().min(bbox.height()) >= least;
        // The first is taken however small, so that no image is without a box.
        (large || others.is_empty()) && others.iter().all(|other| other.bbox.iou(bbox) <= OVERLAP)
    }

    fn touches_edge(&self, bbox: &BBox<f64>) -> bool {
        let (w, h) = (f64::from(self.size.width), f64::from(self.size.height));
        bbox.x1 <= 0.0 || bbox.y1 <= 0.0 || bbox.x2 >= w || bbox.y2 >= h
    }
}

/// The camera: a little noise, then levels of 0..=255.
fn develop(surface: &Field, rng: &mut ChaCha8Rng) -> GrayImage {
    let size = Size::new(surface.width as u32, surface.height as u32);
    let noise = Field::noise(size, rng);
    let level = |(value, noise): (&f32, &f32)| (value + 1.2 * noise + 0.5).clamp(0.0, 255.0) as u8;
    let levels = surface.data.iter().zip(&noise.data).map(level).collect();
    GrayImage::from_raw(size.width, size.height, levels).expect("a level for each pixel")
}
