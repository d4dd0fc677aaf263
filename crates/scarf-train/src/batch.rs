//! From samples to batches, made in the background while the model works.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_core::{Annotation, Size};
use scarf_data::augment::{self, Labeled, Transform, View};
use scarf_heads::Targets;

use crate::Resident;

/// Batches that lie ready while one is worked on; where several threads make them, one each at least.
const AHEAD: usize = 3;

/// Cores for each thread that makes batches: the others train, or feed a GPU.
const CORES_A_LOADER: usize = 4;

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

impl Samples<'_> {
    /// Some of the images, by index of the set, in this size and with nothing done to them.
    pub(crate) fn as_they_are(self, indices: &[usize], size: Size) -> Batch<'static> {
        batch(self, Recipe { size, batch: indices.len(), augment: &[], resident: None }, indices, 0, 0)
    }
}

/// Some images of one size, and their targets.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    /// The images.
    pub pixels: Pixels<'a>,
    /// One an image, in pixels of it.
    pub targets: Vec<Targets>,
    /// Which image of the set each is.
    pub indices: Vec<usize>,
    /// Of every image.
    pub size: Size,
}

/// The pixels of a batch.
#[derive(Clone, Debug)]
pub enum Pixels<'a> {
    /// RGB in `0..=255`, `[batch, 3, height, width]` row by row.
    Made(Vec<f32>),
    /// To be made on the device, of images that lie there.
    Seen(&'a Resident, Vec<View>),
}

impl Batch<'_> {
    /// The images as a tensor, `[batch, 3, height, width]`, RGB in `0..=255`.
    pub fn images(&self, device: &Device) -> Tensor<4> {
        let mut copy = self.clone();
        copy.take_images(device)
    }

    /// [`Batch::images`], after which pixels that were made are not here any more.
    pub fn take_images(&mut self, device: &Device) -> Tensor<4> {
        match &mut self.pixels {
            Pixels::Made(pixels) => {
                let shape = [self.targets.len(), 3, self.size.height as usize, self.size.width as usize];
                Tensor::from_data(TensorData::new(std::mem::take(pixels), shape), device)
            }
            Pixels::Seen(resident, views) => {
                let images = resident.show(&self.indices, views, self.size);
                if device.is_autodiff() { images.autodiff() } else { images }
            }
        }
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
    /// The same images on the device, if they are to be made there; see [`Resident::can`].
    pub resident: Option<&'a Resident>,
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

/// Calls `each` with the batches of `order`, in order, while the next are made on threads beside it.
///
/// Stops at the first error of `each`.
pub fn for_each_batch<'a, E>(
    samples: Samples<'_>,
    recipe: Recipe<'a>,
    order: &[usize],
    seed: u64,
    epoch: usize,
    each: impl FnMut(Batch<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    let made = |indices: &[usize]| batch(samples, recipe, indices, seed, epoch);
    in_order((cores / CORES_A_LOADER).max(1), order.chunks(recipe.batch), made, each)
}

/// Calls `each` with what `make` makes of the parts, in their order, while so many threads make the next.
fn in_order<'a, T: Send, E>(
    makers: usize,
    parts: impl Iterator<Item = &'a [usize]> + Clone + Send,
    make: impl Fn(&[usize]) -> T + Sync,
    mut each: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let make = &make;
    thread::scope(|scope| {
        // Each makes every so manieth, and they are taken from one after the other.
        let made: Vec<Receiver<T>> = (0..makers)
            .map(|maker| {
                let (sender, made) = sync_channel(AHEAD.div_ceil(makers));
                let parts = parts.clone().skip(maker).step_by(makers);
                scope.spawn(move || {
                    for part in parts {
                        // The receiver is gone when `each` failed: nobody waits for more.
                        if sender.send(make(part)).is_err() {
                            return;
                        }
                    }
                });
                made
            })
            .collect();
        (0..makers).cycle().map_while(|maker| made[maker].recv().ok()).try_for_each(&mut each)
    })
}

fn batch<'a>(
    samples: Samples<'_>,
    recipe: Recipe<'a>,
    indices: &[usize],
    seed: u64,
    epoch: usize,
) -> Batch<'a> {
    let annotations = |index: usize| samples.set.samples[index].annotations.clone();
    let mut targets = Vec::with_capacity(indices.len());
    let pixels = if let Some(resident) = recipe.resident {
        let mut views = Vec::with_capacity(indices.len());
        for &index in indices {
            let mut rng = generator(seed, epoch, index);
            let (view, annotations) =
                View::draw(recipe.augment, resident.size(index), annotations(index), &mut rng);
            targets.push(targets_of(&annotations, view.size(), recipe.size));
            views.push(view);
        }
        Pixels::Seen(resident, views)
    } else {
        let area = recipe.size.width as usize * recipe.size.height as usize;
        let mut pixels = vec![0.0; indices.len() * 3 * area];
        for (&index, planes) in indices.iter().zip(pixels.chunks_exact_mut(3 * area)) {
            let labeled =
                Labeled { image: samples.images.get(index).clone(), annotations: annotations(index) };
            let labeled = augment::apply(recipe.augment, labeled, &mut generator(seed, epoch, index));
            targets.push(targets_of(&labeled.annotations, labeled.size(), recipe.size));
            planar(&scarf_data::images::resize(&labeled.image, recipe.size), planes);
        }
        Pixels::Made(pixels)
    };
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
    fn batches_come_in_order_from_however_many_threads() {
        let order: Vec<usize> = (0..23).collect();
        for makers in 1..7 {
            let mut seen = Vec::new();
            let made = in_order(makers, order.chunks(3), <[usize]>::to_vec, |part| {
                seen.extend(part);
                if seen.len() > 20 { Err("enough") } else { Ok(()) }
            });
            assert_eq!((made, &seen[..]), (Err("enough"), &order[..21]));
            seen.clear();
            let made = in_order(makers, order.chunks(3), <[usize]>::to_vec, |part| {
                seen.extend(part);
                Ok::<(), ()>(())
            });
            assert_eq!((made, &seen), (Ok(()), &order));
        }
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
