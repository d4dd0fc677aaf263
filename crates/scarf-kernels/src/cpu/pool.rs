//! Max pooling. The gradient goes to the first of a window's largest values, as in PyTorch; it is
//! found again in the backward pass, so no indices are kept.

use rayon::prelude::*;

use super::alone::share_out_parts;
use super::scratch::{Scratch, with_scratch};
use super::simd::{Lanes, level, versions};
use super::vector::Place;
use crate::cpu::shape::PoolShape;

/// Values that make a task.
const TASK: usize = 65_536;

/// The largest value of each window, written to `out`: `[planes, out_height, out_width]`.
///
/// # Safety
///
/// `out` must be valid for that many values.
pub(crate) unsafe fn max_pool(x: &[f32], shape: &PoolShape, out: *mut f32) {
    let (level, out) = (level(), Place::new(out));
    let (pixels, outputs) = (shape.height * shape.width, shape.out_height * shape.out_width);
    share_out_parts(shape.planes, TASK / pixels, |planes| {
        with_scratch(|scratch| {
            for plane in planes {
                let x = &x[plane * pixels..][..pixels];
                // SAFETY: each task has its own planes of the output.
                unsafe { plane_max(level, x, shape, out.get().add(plane * outputs), scratch) };
            }
        });
    });
}

versions! {
    /// The outputs of a plane.
    ///
    /// # Safety
    ///
    /// `out` must be valid for them.
    unsafe fn plane_max(x: &[f32], shape: &PoolShape, out: *mut f32, scratch: &mut Scratch) = plane_max_in
}

#[inline(always)]
unsafe fn plane_max_in<V: Lanes>(x: &[f32], shape: &PoolShape, out: *mut f32, scratch: &mut Scratch) {
    // A row of the columns' maxima, with nothing around it; vectors may read beyond the last window.
    let len = shape.left + shape.width + (V::N + 1) * shape.stride[1] + shape.kernel[1] + 2 * V::N;
    let row = &mut scratch.plane.take(len)[..len];
    row.fill(f32::NEG_INFINITY);
    for y in 0..shape.out_height {
        let (first, end) = shape.rows(y);
        // SAFETY: the rows lie inside the plane, the windows inside the row.
        unsafe {
            columns_max::<V>(
                &x[first * shape.width..end * shape.width],
                shape,
                row[shape.left..].as_mut_ptr(),
            );
            windows_max::<V>(row.as_ptr(), shape, out.add(y * shape.out_width));
        }
    }
}

/// The largest value of each column of some rows.
#[inline(always)]
unsafe fn columns_max<V: Lanes>(rows: &[f32], shape: &PoolShape, to: *mut f32) {
    let mut at = 0;
    // SAFETY: reads stay inside their rows.
    unsafe {
        while at < shape.width {
            let len = V::N.min(shape.width - at);
            let load = |row: &[f32]| {
                let from = row.as_ptr().add(at);
                if len == V::N { V::load(from) } else { V::load_part(from, len) }
            };
            let mut lines = rows.chunks_exact(shape.width);
            let mut largest = lines.next().map_or(V::splat(f32::NEG_INFINITY), load);
            for line in lines {
                largest = largest.max(load(line));
            }
            if len == V::N {
                largest.store(to.add(at))
            } else {
                largest.store_part(to.add(at), len)
            }
            at += V::N;
        }
    }
}

/// The largest value of each window of a row.
#[inline(always)]
unsafe fn windows_max<V: Lanes>(row: *const f32, shape: &PoolShape, out: *mut f32) {
    let (stride, wide) = (shape.stride[1], shape.out_width);
    let mut at = 0;
    // SAFETY: the row reaches two vectors beyond its last window.
    unsafe {
        while at < wide && stride <= 2 {
            let load = |from: *const f32| if stride == 1 { V::load(from) } else { V::load_even(from) };
            let from = row.add(at * stride);
            let mut largest = load(from);
            for tap in 1..shape.kernel[1] {
                largest = largest.max(load(from.add(tap)));
            }
            let len = V::N.min(wide - at);
            if len == V::N {
                largest.store(out.add(at))
            } else {
                largest.store_part(out.add(at), len)
            }
            at += len;
        }
        for index in at..wide {
            let window = std::slice::from_raw_parts(row.add(index * stride), shape.kernel[1]);
            *out.add(index) = window.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        }
    }
}

/// The gradient of the input, `[planes, height, width]`.
pub(crate) fn max_pool_backward(x: &[f32], output: &[f32], gradient: &[f32], shape: &PoolShape) -> Vec<f32> {
    let (pixels, outputs) = (shape.height * shape.width, shape.out_height * shape.out_width);
    let mut result = vec![0.0; x.len()];
    result.par_chunks_mut(pixels).with_min_len((TASK / pixels).max(1)).enumerate().for_each(
        |(plane, result)| {
            let x = &x[plane * pixels..][..pixels];
            let output = output[plane * outputs..][..outputs].chunks_exact(shape.out_width);
            let gradient = gradient[plane * outputs..][..outputs].chunks_exact(shape.out_width);
            for (y, (output, gradient)) in output.zip(gradient).enumerate() {
                row_backward(x, output, gradient, shape, y, result);
            }
        },
    );
    result
}

/// Hands a row of the output's gradient to the values that it came from.
fn row_backward(
    x: &[f32],
    output: &[f32],
    gradient: &[f32],
    shape: &PoolShape,
    y: usize,
    result: &mut [f32],
) {
    let (top, bottom) = shape.rows(y);
    for (column, (largest, gradient)) in output.iter().zip(gradient).enumerate() {
        let (left, right) = shape.columns(column);
        for row in top..bottom {
            let line = row * shape.width;
            if let Some(place) = x[line + left..line + right].iter().position(|value| value == largest) {
                result[line + left + place] += gradient;
                break;
            }
        }
    }
}
