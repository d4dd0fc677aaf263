//! From samples to batches, made in the background while the model works.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_core::{Annotation, Size};
use scarf_data::augment::{self, Labeled, Transform};
use scarf_heads::Targets;

/// Batches that lie ready while one is worked on.
const AHEAD: usize = 3;

/// Images and what is marked on them, decoded; the model's view of a part of a data set.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    /// Pixels of every image of the set.
    pub images: &'a scarf_data::ImageCache,
    /// The set.
    pub set: &'a scarf_data::DataSet,
    /// Which images of the set, by index.
    pub indices: &'a [usize],
}

/// Some images of one size, and their targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// RGB in `0..=255`, `[batch, 3, height, width]` row by row.
    pub pixels: Vec<f32>,
    /// One an image, in pixels of it.
    pub targets: Vec<Targets>,
    /// Which image of the set each is.
    pub indices: Vec<usize>,
    /// Of every image.
    pub size: Size,
}

impl Batch {
    /// The images as a tensor, `[batch, 3, height, width]`.
    pub fn images(&self, device: &Device) -> Tensor<4> {
        let shape = [self.targets.len(), 3, self.size.height as usize, self.size.width as usize];
        Tensor::from_data(TensorData::new(self.pixels.clone(), shape), device)
    }
}

/// How images become batches.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// Size that every image is resized to.
    pub size: Size,
    /// Images a batch; the last one of a pass may have fewer.
    pub batch: usize,
    /// What is done to each image.
    pub augment: &'a [Transform],
}

/// The order of the images in one epoch, and the generator of each: functions of seed and epoch
/// alone, so that an epoch can be repeated without those before it.
pub fn shuffled(indices: &[usize], seed: u64, epoch: usize) -> Vec<usize> {
    let mut order = indices.to_vec();
    order.shuffle(&mut generator(seed, epoch, u32::MAX as usize));
    order
}

/// The generator of what a model chooses at random in a step of an epoch, counted from 0.
pub(crate) fn generator_of_step(seed: u64, epoch: usize, step: usize) -> ChaCha8Rng {
    // From the other end of the streams than those of the images.
    generator(seed, epoch, u32::MAX as usize - 1 - step)
}

fn generator(seed: u64, epoch: usize, index: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((epoch as u64) << 32) | index as u64);
    rng
}

/// Calls `each` with the batches of `order`, in order, while the next are made on a thread beside it.
///
/// Stops at the first error of `each`.
pub fn for_each_batch<E>(
    samples: Samples<'_>,
    recipe: Recipe<'_>,
    order: &[usize],
    seed: u64,
    epoch: usize,
    mut each: impl FnMut(Batch) -> Result<(), E>,
) -> Result<(), E> {
    thread::scope(|scope| {
        let (sender, batches) = sync_channel(AHEAD);
        scope.spawn(move || {
            for indices in order.chunks(recipe.batch) {
                // The receiver is gone when `each` failed: nobody waits for more.
                if sender.send(batch(samples, recipe, indices, seed, epoch)).is_err() {
                    return;
                }
            }
        });
        let batches: Receiver<Batch> = batches;
        batches.into_iter().try_for_each(&mut each)
    })
}

fn batch(samples: Samples<'_>, recipe: Recipe<'_>, indices: &[usize], seed: u64, epoch: usize) -> Batch {
    let Size { width, height } = recipe.size;
    let area = width as usize * height as usize;
    let mut pixels = vec![0.0; indices.len() * 3 * area];
    let mut targets = Vec::with_capacity(indices.len());
    for (&index, planes) in indices.iter().zip(pixels.chunks_exact_mut(3 * area)) {
        let labeled = Labeled {
            image: samples.images.get(index).clone(),
            annotations: samples.set.samples[index].annotations.clone(),
        };
        let labeled = augment::apply(recipe.augment, labeled, &mut generator(seed, epoch, index));
        let from = Size::new(labeled.image.width(), labeled.image.height());
        targets.push(targets_of(&labeled.annotations, from, recipe.size));
        planar(&scarf_data::images::resize(&labeled.image, recipe.size), planes);
    }
    Batch { pixels, targets, indices: indices.to_vec(), size: recipe.size }
}

/// The objects in pixels of the resized image. Crowds are no objects; what is no box is left out.
pub fn targets_of(annotations: &[Annotation], from: Size, to: Size) -> Targets {
    let (sx, sy) = (to.width as f32 / from.width as f32, to.height as f32 / from.height as f32);
    let mut targets = Targets::default();
    for annotation in annotations.iter().filter(|annotation| !annotation.crowd) {
        let bbox = annotation.bbox.to_f32().scale(sx, sy);
        if bbox.is_valid() {
            targets.boxes.push(bbox);
            targets.classes.push(annotation.class);
        }
    }
    targets
}

/// Interleaved RGB bytes to a plane of floats a channel, `[3, height, width]`, the input of a detector.
///
/// `planes` holds three times as many numbers as the image has pixels.
pub fn planar(image: &RgbImage, planes: &mut [f32]) {
    let (red, rest) = planes.split_at_mut(planes.len() / 3);
    let (green, blue) = rest.split_at_mut(rest.len() / 2);
    for (at, pixel) in image.as_raw().chunks_exact(3).enumerate() {
        red[at] = f32::from(pixel[0]);
        green[at] = f32::from(pixel[1]);
        blue[at] = f32::from(pixel[2]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scarf_core::BBox;

    #[test]
    fn the_order_is_a_function_of_seed_and_epoch() {
        let indices: Vec<usize> = (0..50).collect();
        assert_eq!(shuffled(&indices, 1, 2), shuffled(&indices, 1, 2));
        assert_ne!(shuffled(&indices, 1, 2), shuffled(&indices, 1, 3));
        assert_ne!(shuffled(&indices, 1, 2), shuffled(&indices, 2, 2));
        let mut sorted = shuffled(&indices, 1, 2);
        sorted.sort_unstable();
        assert_eq!(sorted, indices);
    }

    #[test]
    fn targets_follow_the_resize_and_leave_crowds_out() {
        let object = Annotation::new(BBox::new(10.0, 20.0, 30.0, 40.0), 3);
        let crowd = Annotation { crowd: true, ..object };
        let targets = targets_of(&[object, crowd], Size::new(200, 100), Size::new(100, 100));
        assert_eq!(targets.classes, [3]);
        assert_eq!(targets.boxes, [BBox::new(5.0, 20.0, 15.0, 40.0)]);
    }
}
