//! From flex's tensors to the kernels and back.

use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::TensorData;
use burn::tensor::ops::MaxPoolOptions;

use crate::cpu::norm::{Affine, Batch, Normalized};
use crate::cpu::shape::{PoolShape, Shape};
use crate::cpu::{dense, depthwise, norm, pool, roi};
use crate::geometry::{Activation, ConvGeometry};
use crate::region::{Region, RoiAlign};

/// The tensor with its values in order, copied only if they are not.
fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.as_slice::<f32>().is_some() { tensor } else { tensor.to_contiguous() }
}

fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("an f32 tensor made contiguous")
}

fn tensor<const D: usize>(values: Vec<f32>, dims: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, dims))
}

/// A vector that `write` fills: zeroing it first would cost as much as a pass over it.
///
/// # Safety
///
/// `write` must write all `len` values.
unsafe fn filled(len: usize, write: impl FnOnce(*mut f32)) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    write(values.as_mut_ptr());
    // SAFETY: the caller's promise.
    unsafe { values.set_len(len) };
    values
}

fn dims4(tensor: &FlexTensor) -> [usize; 4] {
    tensor.shape().dims()
}

/// The sizes of a convolution that was checked before.
pub(super) fn conv_shape(x: &FlexTensor, weight: &FlexTensor, geometry: &ConvGeometry) -> Shape {
    Shape::new(dims4(x), dims4(weight), geometry).expect("sizes that fit, as checked before")
}

pub(super) fn conv2d(
    x: FlexTensor,
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    shape: &Shape,
    activation: Activation,
) -> FlexTensor {
    let (x, weight, bias) = (contiguous(x), contiguous(weight), bias.map(contiguous));
    let (x, weight, bias) = (values(&x), values(&weight), bias.as_ref().map(values));
    let dims = [shape.images, shape.out_channels, shape.out_height, shape.out_width];
    // SAFETY: both write all outputs.
    let output = unsafe {
        filled(dims.iter().product(), |out| {
            if shape.is_depthwise() {
                depthwise::forward(x, weight, bias, shape, activation.clamp(), out);
            } else {
                dense::forward(x, weight, bias, shape, activation.clamp(), out);
            }
        })
    };
    tensor(output, dims)
}

/// The gradient before the activation; `output` is what came after it.
pub(super) fn before_activation(
    gradient: FlexTensor,
    output: Option<FlexTensor>,
    activation: Activation,
) -> FlexTensor {
    let gradient = contiguous(gradient);
    let (Some(bounds), Some(output)) = (activation.clamp(), output) else { return gradient };
    let (from, output) = (values(&gradient), values(&output));
    // SAFETY: all values are written.
    let masked = unsafe { filled(from.len(), |out| norm::mask(from, output, bounds, out)) };
    tensor(masked, dims4(&gradient))
}

/// The gradients of the input and of the weights, where they are asked for: of the input by giving
/// the weights, of the weights by giving the input.
pub(super) fn conv2d_backward(
    x: Option<FlexTensor>,
    weight: Option<FlexTensor>,
    gradient: &FlexTensor,
    shape: &Shape,
) -> (Option<FlexTensor>, Option<FlexTensor>) {
    let (x, weight, gradient) = (x.map(contiguous), weight.map(contiguous), values(gradient));
    let (x, weight) = (x.as_ref().map(values), weight.as_ref().map(values));
    let (of_x, of_weight) = if shape.is_depthwise() {
        depthwise_backward(x, weight, gradient, shape)
    } else {
        let size = shape.images * shape.channels * shape.in_pixels();
        // SAFETY: all values are written.
        let of_x = weight
            .map(|weight| unsafe { filled(size, |out| dense::input_gradient(gradient, weight, shape, out)) });
        (of_x, x.map(|x| dense::weight_gradient(x, gradient, shape)))
    };
    let x_dims = [shape.images, shape.channels, shape.height, shape.width];
    let weight_dims = [shape.out_channels, shape.group_channels(), shape.kernel[0], shape.kernel[1]];
    (of_x.map(|values| tensor(values, x_dims)), of_weight.map(|values| tensor(values, weight_dims)))
}

fn depthwise_backward(
    x: Option<&[f32]>,
    weight: Option<&[f32]>,
    gradient: &[f32],
    shape: &Shape,
) -> (Option<Vec<f32>>, Option<Vec<f32>>) {
    let size = shape.images * shape.channels * shape.in_pixels();
    // SAFETY: all values are written.
    let of_x = weight
        .map(|weight| unsafe { filled(size, |out| depthwise::input_gradient(weight, gradient, shape, out)) });
    (of_x, x.map(|x| depthwise::weight_gradient(x, gradient, shape)))
}

/// The gradient of the bias.
pub(super) fn bias_gradient(gradient: &FlexTensor) -> FlexTensor {
    let batch = batch(gradient);
    tensor(norm::channel_sums(values(gradient), &batch), [batch.channels])
}

fn batch(x: &FlexTensor) -> Batch {
    let [images, channels, height, width] = dims4(x);
    Batch { images, channels, pixels: height * width }
}

pub(super) fn batch_norm_train(
    x: FlexTensor,
    gamma: FlexTensor,
    beta: FlexTensor,
    epsilon: f64,
    activation: Activation,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let (x, gamma, beta) = (contiguous(x), contiguous(gamma), contiguous(beta));
    let batch = batch(&x);
    let (mean, variance) = norm::statistics(values(&x), &batch);
    let forward = Normalized {
        x: values(&x),
        gamma: values(&gamma),
        beta: values(&beta),
        mean: &mean,
        variance: &variance,
        epsilon,
        clamp: activation.clamp(),
    };
    // SAFETY: all values are written.
    let output = unsafe {
        filled(forward.x.len(), |out| {
            norm::affine(forward.x, &batch, &|channel| forward.affine(channel), out);
        })
    };
    (tensor(output, dims4(&x)), tensor(mean, [batch.channels]), tensor(variance, [batch.channels]))
}

/// What a batch normalisation keeps for its gradient.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) mean: FlexTensor,
    pub(super) variance: FlexTensor,
    pub(super) epsilon: f64,
    pub(super) activation: Activation,
}

/// The gradients of the input, of gamma and of beta.
pub(super) fn batch_norm_backward(
    x: FlexTensor,
    gamma: FlexTensor,
    beta: FlexTensor,
    kept: &Kept,
    gradient: FlexTensor,
) -> [FlexTensor; 3] {
    let (x, gamma, beta) = (contiguous(x), contiguous(gamma), contiguous(beta));
    let gradient = contiguous(gradient);
    let batch = batch(&x);
    let forward = Normalized {
        x: values(&x),
        gamma: values(&gamma),
        beta: values(&beta),
        mean: values(&kept.mean),
        variance: values(&kept.variance),
        epsilon: kept.epsilon,
        clamp: kept.activation.clamp(),
    };
    let mut vectors = (Vec::new(), Vec::new());
    // SAFETY: all values are written.
    let of_x = unsafe {
        filled(forward.x.len(), |out| {
            vectors = norm::normalized_backward(&forward, values(&gradient), &batch, out);
        })
    };
    let channels = [batch.channels];
    [tensor(of_x, dims4(&x)), tensor(vectors.0, channels), tensor(vectors.1, channels)]
}

fn affine<'a>(
    scale: &'a FlexTensor,
    shift: &'a FlexTensor,
    activation: Activation,
) -> impl Fn(usize) -> Affine + Sync + 'a {
    let (scale, shift) = (values(scale), values(shift));
    move |channel| Affine { scale: scale[channel], shift: shift[channel], clamp: activation.clamp() }
}

pub(super) fn scale_shift(
    x: FlexTensor,
    scale: FlexTensor,
    shift: FlexTensor,
    activation: Activation,
) -> FlexTensor {
    let (x, scale, shift) = (contiguous(x), contiguous(scale), contiguous(shift));
    let maps = affine(&scale, &shift, activation);
    let from = values(&x);
    // SAFETY: all values are written.
    let output = unsafe { filled(from.len(), |out| norm::affine(from, &batch(&x), &maps, out)) };
    tensor(output, dims4(&x))
}

/// The gradients of the input, of the scales and of the shifts.
pub(super) fn scale_shift_backward(
    x: FlexTensor,
    scale: FlexTensor,
    shift: FlexTensor,
    activation: Activation,
    gradient: FlexTensor,
) -> [FlexTensor; 3] {
    let (x, scale, shift) = (contiguous(x), contiguous(scale), contiguous(shift));
    let gradient = contiguous(gradient);
    let maps = affine(&scale, &shift, activation);
    let batch = batch(&x);
    let mut vectors = (Vec::new(), Vec::new());
    // SAFETY: all values are written.
    let of_x = unsafe {
        filled(values(&x).len(), |out| {
            vectors = norm::affine_backward(values(&x), values(&gradient), &batch, &maps, out);
        })
    };
    let channels = [batch.channels];
    [tensor(of_x, dims4(&x)), tensor(vectors.0, channels), tensor(vectors.1, channels)]
}

/// The sizes of a pooling that was checked before.
pub(super) fn pool_shape(x: &FlexTensor, options: &MaxPoolOptions<2>) -> PoolShape {
    PoolShape::new(dims4(x), options).expect("a pooling that fits, as checked before")
}

pub(super) fn max_pool2d(x: FlexTensor, shape: &PoolShape) -> FlexTensor {
    let x = contiguous(x);
    let [images, channels, _, _] = dims4(&x);
    let dims = [images, channels, shape.out_height, shape.out_width];
    // SAFETY: all values are written.
    let output = unsafe { filled(dims.iter().product(), |out| pool::max_pool(values(&x), shape, out)) };
    tensor(output, dims)
}

/// The gradient of the input.
pub(super) fn max_pool2d_backward(
    x: FlexTensor,
    output: &FlexTensor,
    gradient: FlexTensor,
    shape: &PoolShape,
) -> FlexTensor {
    let (x, gradient) = (contiguous(x), contiguous(gradient));
    let of_x = pool::max_pool_backward(values(&x), values(output), values(&gradient), shape);
    tensor(of_x, dims4(&x))
}

pub(super) fn roi_align(x: FlexTensor, regions: &[Region], options: &RoiAlign) -> FlexTensor {
    let x = contiguous(x);
    let dims = dims4(&x);
    let output = roi::forward(values(&x), dims, regions, options);
    tensor(output, [regions.len(), dims[1], options.size[0], options.size[1]])
}

/// The gradient of the input, which has those dimensions.
pub(super) fn roi_align_backward(
    gradient: FlexTensor,
    dims: [usize; 4],
    regions: &[Region],
    options: &RoiAlign,
) -> FlexTensor {
    let gradient = contiguous(gradient);
    tensor(roi::backward(values(&gradient), dims, regions, options), dims)
}
