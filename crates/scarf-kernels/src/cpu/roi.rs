//! Regions of interest read at one size, and the gradient.

use rayon::prelude::*;

use super::alone::share_out;
use super::vector::Place;
use crate::region::{Axis, Region, RoiAlign};

/// The bins of each region, `[regions, channels, rows, columns]`, of `x` `[images, channels, height, width]`.
pub(crate) fn forward(x: &[f32], dims: [usize; 4], regions: &[Region], options: &RoiAlign) -> Vec<f32> {
    let [_, channels, height, width] = dims;
    let (pixels, bins) = (height * width, options.size[0] * options.size[1]);
    let mut result = vec![0.0; regions.len() * channels * bins];
    let each = channels * bins;
    let out = Place::new(result.as_mut_ptr());
    share_out(regions.len(), |index| {
        let region = &regions[index];
        // SAFETY: each region has its own part of the result.
        let result = unsafe { std::slice::from_raw_parts_mut(out.get().add(index * each), each) };
        let [rows, columns] = options.axes(region, [height, width]);
        let image = &x[region.image * channels * pixels..][..channels * pixels];
        let mut line = vec![0.0; width];
        for (plane, result) in image.chunks_exact(pixels).zip(result.chunks_exact_mut(bins)) {
            read(plane, width, [&rows, &columns], &mut line, result);
        }
    });
    result
}

/// The bins of one region on one plane; `line` is room for a row.
fn read(plane: &[f32], width: usize, [rows, columns]: [&Axis; 2], line: &mut [f32], result: &mut [f32]) {
    let span = columns.span();
    let per_row = columns.bins();
    for (bin, result) in result.chunks_exact_mut(per_row).enumerate() {
        let line = &mut line[span.clone()];
        line.fill(0.0);
        for &(row, weight) in rows.bin(bin).iter().filter(|tap| tap.1 != 0.0) {
            let from = &plane[row as usize * width..][span.clone()];
            line.iter_mut().zip(from).for_each(|(sum, value)| *sum += weight * value);
        }
        for (bin, result) in result.iter_mut().enumerate() {
            *result =
                columns.bin(bin).iter().map(|&(at, weight)| weight * line[at as usize - span.start]).sum();
        }
    }
}

/// The gradient of `x`. Each plane sums over the regions in their order: the same bits with any number
/// of threads.
pub(crate) fn backward(
    gradient: &[f32],
    dims: [usize; 4],
    regions: &[Region],
    options: &RoiAlign,
) -> Vec<f32> {
    let [images, channels, height, width] = dims;
    let (pixels, bins) = (height * width, options.size[0] * options.size[1]);
    let mut of_image = vec![Vec::new(); images];
    for (index, region) in regions.iter().enumerate() {
        of_image[region.image].push((index, options.axes(region, [height, width])));
    }
    let mut result = vec![0.0; images * channels * pixels];
    result.par_chunks_mut(pixels).enumerate().for_each(|(plane, result)| {
        let (image, channel) = (plane / channels, plane % channels);
        let mut line = vec![0.0; width];
        for (index, [rows, columns]) in &of_image[image] {
            let gradient = &gradient[(index * channels + channel) * bins..][..bins];
            hand_back(gradient, width, [rows, columns], &mut line, result);
        }
    });
    result
}

/// Adds what one region's bins hand back to one plane; `line` is room for a row.
fn hand_back(
    gradient: &[f32],
    width: usize,
    [rows, columns]: [&Axis; 2],
    line: &mut [f32],
    result: &mut [f32],
) {
    let span = columns.span();
    for (bin, gradient) in gradient.chunks_exact(columns.bins()).enumerate() {
        let line = &mut line[span.clone()];
        line.fill(0.0);
        for (bin, gradient) in gradient.iter().enumerate() {
            columns
                .bin(bin)
                .iter()
                .for_each(|&(at, weight)| line[at as usize - span.start] += weight * gradient);
        }
        for &(row, weight) in rows.bin(bin).iter().filter(|tap| tap.1 != 0.0) {
            let to = &mut result[row as usize * width..][span.clone()];
            to.iter_mut().zip(line.iter()).for_each(|(sum, value)| *sum += weight * value);
        }
    }
}
