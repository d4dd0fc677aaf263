//! Fully connected layers: the three products of a convolution by 1x1, each in another's place.
//!
//! The weights `[out, in]` are taken for an image of `out` channels and `in` pixels, the rows of the
//! input and of the gradient for kernels. What is the gradient of such a kernel there is the output here.

use super::dense;
use super::gemm::After;
use super::shape::Shape;

/// The sizes of a layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer {
    pub(crate) rows: usize,
    pub(crate) input: usize,
    pub(crate) output: usize,
}

impl Layer {
    fn shape(&self) -> Shape {
        Shape {
            images: 1,
            channels: self.output,
            height: 1,
            width: self.input,
            out_channels: self.rows,
            out_height: 1,
            out_width: self.input,
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            top: 0,
            left: 0,
            groups: 1,
        }
    }
}

/// `x weight'`: `[rows, out]`.
pub(crate) fn forward(x: &[f32], weight: &[f32], layer: Layer) -> Vec<f32> {
    dense::weight_gradient(weight, x, &layer.shape())
}

/// The gradient of the input, written to `out`: `[rows, in]`.
///
/// # Safety
///
/// `out` must be valid for that many values.
pub(crate) unsafe fn input_gradient(gradient: &[f32], weight: &[f32], layer: Layer, out: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe { dense::forward(weight, gradient, After::default(), &layer.shape(), out) }
}

/// The gradient of the weights, written to `out`: `[out, in]`.
///
/// # Safety
///
/// `out` must be valid for that many values.
pub(crate) unsafe fn weight_gradient(x: &[f32], gradient: &[f32], layer: Layer, out: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe { dense::input_gradient(x, gradient, &layer.shape(), out) }
}
