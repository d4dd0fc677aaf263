//! What a detector is fed while it is timed, and how fast a loader would feed it.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};
use image::DynamicImage;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_core::{BBox, Size};
use scarf_data::synth::SyntheticSteel;
use scarf_data::{DataSet, ImageCache, Sample, augment};
use scarf_heads::{DetectorConfig, Targets};
use scarf_train::{Recipe, Samples, for_each_batch, shuffled};

/// Images of each class that the loader is given.
const EACH: u32 = 8;

/// How long the loader is timed, at least.
const LOADING: Duration = Duration::from_secs(1);

/// What the detector is fed: faint noise, with three objects an image. Weights drawn at random under a norm that is frozen
/// make each residual block's output twice as large; strong noise would come out so large that the gradients of its
/// probabilities are no normal numbers any more, with which a processor computes ten times as long.
pub(super) struct Load {
    pub(super) images: Tensor<4>,
    pub(super) targets: Vec<Targets>,
}

impl Load {
    /// Of each image.
    pub(super) fn size(&self) -> Size {
        let [_, _, height, width] = self.images.dims();
        Size::new(width as u32, height as u32)
    }

    pub(super) fn new(batch: usize, config: &DetectorConfig, classes: usize, device: &Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let side = config.size as usize;
        let pixels: Vec<f32> = (0..batch * 3 * side * side).map(|_| rng.random_range(127.0..129.0)).collect();
        let images = Tensor::from_data(TensorData::new(pixels, [batch, 3, side, side]), device);
        let side = side as f32;
        let mut object = || {
            let [x, y] = [0.6, 0.6].map(|most: f32| rng.random_range(0.0..most) * side);
            let [w, h] = [0.4, 0.4].map(|most: f32| rng.random_range(0.1..most) * side);
            BBox::from_xywh(x, y, w, h)
        };
        let targets = (0..batch)
            .map(|image| Targets {
                boxes: (0..3).map(|_| object()).collect(),
                classes: (0..3).map(|index| (image + index) % classes).collect(),
            })
            .collect();
        Self { images, targets }
    }
}

/// Images a second that training would get if it took no time itself: drawn steel of 200 x 200 pixels, decoded
/// already, through torchvision's augmentation of SSD, to squares of `side` pixels in batches.
pub(super) fn loader(side: u32, batch: usize) -> f64 {
    let steel = SyntheticSteel { images_per_class: EACH, ..SyntheticSteel::default() };
    let classes = steel.domain.classes();
    let (mut samples, mut images) = (Vec::new(), Vec::new());
    for class in 0..classes.len() {
        for number in 0..EACH {
            let (image, annotations) = steel.draw(class, number);
            let name = format!("{class}_{number}");
            samples.push(Sample { name, image: PathBuf::new(), size: steel.size, annotations });
            images.push(DynamicImage::from(image).into_rgb8());
        }
    }
    // Drawn in the order of their names.
    let (set, images) = (DataSet::new(classes, samples), ImageCache::from(images));
    let indices: Vec<usize> = (0..images.len()).collect();
    let samples = Samples { images: &images, set: &set, indices: &indices };
    let recipe = Recipe { size: Size::new(side, side), batch, augment: &augment::ssd(), resident: None };
    let pass = |epoch: usize| {
        let mut count = 0;
        let done = for_each_batch(samples, recipe, &shuffled(&indices, 0, epoch), 0, epoch, |batch| {
            count += batch.targets.len();
            Ok::<(), Infallible>(())
        });
        let Ok(()) = done;
        count
    };
    pass(0);
    let (begun, mut count, mut epoch) = (Instant::now(), 0, 1);
    while begun.elapsed() < LOADING {
        count += pass(epoch);
        epoch += 1;
    }
    count as f64 / begun.elapsed().as_secs_f64()
}
