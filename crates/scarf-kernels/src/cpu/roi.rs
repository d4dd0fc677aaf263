//! Regions of interest read at one size, and the gradient.
//!
//! A task has some channels of an image, [`WIDE`] at a time, and reads its regions one after the other with the channels side by
//! side: what a region's taps weigh is the same for each of them. A bin is read by rows first, then by columns.

use std::ops::Range;

use super::alone::share_out;
use super::simd::{Lanes, Level, level, versions};
use super::vector::Place;
use crate::region::{Axis, Region, RoiAlign};

/// Channels that lie side by side: a cell is two cache lines.
const WIDE: usize = 32;

/// The regions of an image, by their numbers, and the cells that they read.
struct OfImage {
    image: usize,
    regions: Vec<(usize, [Axis; 2])>,
    window: [Range<usize>; 2],
}

impl OfImage {
    /// Those of each image that has any, in their order.
    fn all(images: usize, map: [usize; 2], regions: &[Region], options: &RoiAlign) -> Vec<Self> {
        let mut all: Vec<_> =
            (0..images).map(|image| Self { image, regions: Vec::new(), window: [0..0, 0..0] }).collect();
        for (index, region) in regions.iter().enumerate() {
            let (axes, of) = (options.axes(region, map), &mut all[region.image]);
            for (window, span) in of.window.iter_mut().zip(axes.each_ref().map(Axis::span)) {
                let first = of.regions.is_empty();
                *window = if first { span } else { window.start.min(span.start)..window.end.max(span.end) };
            }
            of.regions.push((index, axes));
        }
        all.retain(|of| !of.regions.is_empty());
        all
    }

    fn cells(&self) -> usize {
        self.window[0].len() * self.window[1].len()
    }
}

/// What the tasks of a call share.
struct Job<'a> {
    level: Level,
    dims: [usize; 4],
    of_images: &'a [OfImage],
    bins: usize,
}

/// A task's buffers, of [`WIDE`] values a cell, a column or a bin.
struct Room {
    cells: Vec<f32>,
    line: Vec<f32>,
    bins: Vec<f32>,
}

impl Job<'_> {
    /// Shares out channels of images.
    fn run(&self, task: impl Fn(&OfImage, Range<usize>, &mut Room) + Sync + Send) {
        let channels = self.dims[1];
        let parts = channels.div_ceil(WIDE);
        share_out(self.of_images.len() * parts, |index| {
            let (of, from) = (&self.of_images[index / parts], index % parts * WIDE);
            let zeros = |len: usize| vec![0.0; len * WIDE];
            let mut room =
                Room { cells: zeros(of.cells()), line: zeros(of.window[1].len()), bins: zeros(self.bins) };
            task(of, from..channels.min(from + WIDE), &mut room);
        });
    }

    /// Where a row of a channel lies in `[images, channels, height, width]`, as far as regions read it.
    fn row(&self, of: &OfImage, channel: usize, row: usize) -> Range<usize> {
        let [_, channels, height, width] = self.dims;
        let start = ((of.image * channels + channel) * height + row) * width;
        start + of.window[1].start..start + of.window[1].end
    }
}

/// The bins of each region, `[regions, channels, rows, columns]`, of `x` `[images, channels, height, width]`.
pub(crate) fn forward(x: &[f32], dims: [usize; 4], regions: &[Region], options: &RoiAlign) -> Vec<f32> {
    let [images, channels, height, width] = dims;
    let bins = options.size[0] * options.size[1];
    let of_images = OfImage::all(images, [height, width], regions, options);
    let job = Job { level: level(), dims, of_images: &of_images, bins };
    let mut result = vec![0.0; regions.len() * channels * bins];
    let out = Place::new(result.as_mut_ptr());
    job.run(|of, channels_here, room| {
        for (lane, channel) in channels_here.clone().enumerate() {
            let mut cells = room.cells[lane..].iter_mut().step_by(WIDE);
            for row in of.window[0].clone() {
                let row = &x[job.row(of, channel, row)];
                row.iter().zip(&mut cells).for_each(|(value, cell)| *cell = *value);
            }
        }
        for (index, axes) in &of.regions {
            // SAFETY: the level is this processor's.
            unsafe { read(job.level, &of.window, axes, room) };
            for (lane, channel) in channels_here.clone().enumerate() {
                let start = (index * channels + channel) * bins;
                // SAFETY: each task has its own channels of the result.
                let to = unsafe { std::slice::from_raw_parts_mut(out.get().add(start), bins) };
                to.iter_mut()
                    .zip(room.bins[lane..].iter().step_by(WIDE))
                    .for_each(|(to, value)| *to = *value);
            }
        }
    });
    result
}

/// The gradient of `x`. Each cell sums over the regions in their order: the same bits with any number
/// of threads.
pub(crate) fn backward(
    gradient: &[f32],
    dims: [usize; 4],
    regions: &[Region],
    options: &RoiAlign,
) -> Vec<f32> {
    let [images, channels, height, width] = dims;
    let bins = options.size[0] * options.size[1];
    let of_images = OfImage::all(images, [height, width], regions, options);
    let job = Job { level: level(), dims, of_images: &of_images, bins };
    let mut result = vec![0.0; images * channels * height * width];
    let out = Place::new(result.as_mut_ptr());
    job.run(|of, channels_here, room| {
        for (index, axes) in &of.regions {
            for (lane, channel) in channels_here.clone().enumerate() {
                let from = &gradient[(index * channels + channel) * bins..][..bins];
                from.iter()
                    .zip(room.bins[lane..].iter_mut().step_by(WIDE))
                    .for_each(|(value, to)| *to = *value);
            }
            // SAFETY: the level is this processor's.
            unsafe { hand_back(job.level, &of.window, axes, room) };
        }
        for (lane, channel) in channels_here.enumerate() {
            let mut cells = room.cells[lane..].iter().step_by(WIDE);
            for row in of.window[0].clone() {
                let row = job.row(of, channel, row);
                // SAFETY: each task has its own channels of the result.
                let to = unsafe { std::slice::from_raw_parts_mut(out.get().add(row.start), row.len()) };
                to.iter_mut().zip(&mut cells).for_each(|(to, cell)| *to = *cell);
            }
        }
    });
    result
}

versions! {
    /// Reads a region's bins of the cells of a window.
    unsafe fn read(window: &[Range<usize>; 2], axes: &[Axis; 2], room: &mut Room) = read_in
}

#[inline(always)]
unsafe fn read_in<V: Lanes>(window: &[Range<usize>; 2], [rows, columns]: &[Axis; 2], room: &mut Room) {
    let span = columns.span();
    for (bin, bins) in room.bins.chunks_exact_mut(columns.bins() * WIDE).enumerate() {
        let line = &mut room.line[..span.len() * WIDE];
        line.fill(0.0);
        for &(row, weight) in rows.bin(bin).iter().filter(|tap| tap.1 != 0.0) {
            // SAFETY: the caller vouches for the level.
            unsafe { add_times::<V>(line, &room.cells[run(window, row, &span)], weight) };
        }
        for (bin, sum) in bins.chunks_exact_mut(WIDE).enumerate() {
            sum.fill(0.0);
            for &(at, weight) in columns.bin(bin) {
                let cell = &line[(at as usize - span.start) * WIDE..][..WIDE];
                // SAFETY: as above.
                unsafe { add_times::<V>(sum, cell, weight) };
            }
        }
    }
}

versions! {
    /// Adds what a region's bins hand back to the cells of a window.
    unsafe fn hand_back(window: &[Range<usize>; 2], axes: &[Axis; 2], room: &mut Room) = hand_back_in
}

#[inline(always)]
unsafe fn hand_back_in<V: Lanes>(window: &[Range<usize>; 2], [rows, columns]: &[Axis; 2], room: &mut Room) {
    let span = columns.span();
    for (bin, bins) in room.bins.chunks_exact(columns.bins() * WIDE).enumerate() {
        let line = &mut room.line[..span.len() * WIDE];
        line.fill(0.0);
        for (bin, gradient) in bins.chunks_exact(WIDE).enumerate() {
            for &(at, weight) in columns.bin(bin) {
                let cell = &mut line[(at as usize - span.start) * WIDE..][..WIDE];
                // SAFETY: the caller vouches for the level.
                unsafe { add_times::<V>(cell, gradient, weight) };
            }
        }
        for &(row, weight) in rows.bin(bin).iter().filter(|tap| tap.1 != 0.0) {
            // SAFETY: as above.
            unsafe { add_times::<V>(&mut room.cells[run(window, row, &span)], line, weight) };
        }
    }
}

/// Where some columns of a row of the map lie among the cells of a window.
#[inline(always)]
fn run([rows, columns]: &[Range<usize>; 2], row: u32, span: &Range<usize>) -> Range<usize> {
    let start = (row as usize - rows.start) * columns.len() + span.start - columns.start;
    start * WIDE..(start + span.len()) * WIDE
}

/// `to += weight * from`, of whole cells.
#[inline(always)]
unsafe fn add_times<V: Lanes>(to: &mut [f32], from: &[f32], weight: f32) {
    debug_assert!(to.len() == from.len() && to.len().is_multiple_of(WIDE));
    // SAFETY: all places lie inside both slices; the caller vouches for the level.
    unsafe {
        let (weight, len) = (V::splat(weight), to.len().min(from.len()));
        let (to, from) = (to.as_mut_ptr(), from.as_ptr());
        for at in (0..len).step_by(V::N) {
            let product = weight.mul(V::load(from.add(at)));
            V::load(to.add(at)).add(product).store(to.add(at));
        }
    }
}
