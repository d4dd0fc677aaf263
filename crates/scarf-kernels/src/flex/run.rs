//! From flex's tensors to the kernels and back.

use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::TensorData;
use burn::tensor::ops::MaxPoolOptions;

use crate::cpu::gemm::After;
use crate::cpu::linear::Layer;
use crate::cpu::norm::{Affine, Batch, Normalized};
use crate::cpu::pair::{self, Stage};
use crate::cpu::shape::{PoolShape, Shape};
use crate::cpu::{dense, depthwise, depthwise_gradients, linear, norm, pool, roi, sum};
use crate::geometry::{Activation, ConvGeometry};
use crate::meter::{Timer, timed};
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

/// The values of a tensor that nobody else holds, to be written over; they may be a part of more.
fn values_mut(tensor: &mut FlexTensor, len: usize) -> &mut [f32] {
    let start = tensor.layout().start_offset();
    &mut tensor.storage_mut()[start..start + len]
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

/// Counts a convolution, or a gradient of one, to the end of the scope.
fn timed_conv(what: &str, shape: &Shape) -> Option<Timer> {
    timed(|| {
        let kind = if shape.is_depthwise() { "depthwise " } else { "" };
        let [rows, columns] = shape.kernel;
        let stride = if shape.stride == [1, 1] { String::new() } else { format!(" / {}", shape.stride[0]) };
        let from = [shape.images, shape.channels, shape.height, shape.width];
        let to = [shape.images, shape.out_channels, shape.out_height, shape.out_width];
        (format!("{kind}convolution {rows}x{columns}{stride}{what}"), format!("{from:?} to {to:?}"))
    })
}

/// Counts a pair of convolutions to the end of the scope.
fn timed_pair([first, second]: &[Shape; 2]) -> Option<Timer> {
    timed(|| {
        let what = |shape: &Shape| {
            let [rows, columns] = shape.kernel;
            let stride =
                if shape.stride == [1, 1] { String::new() } else { format!(" / {}", shape.stride[0]) };
            format!("{rows}x{columns}{stride}")
        };
        let from = [first.images, first.channels, first.height, first.width];
        let to = [second.images, second.out_channels, second.out_height, second.out_width];
        let name = format!("convolution {}, depthwise {}", what(first), what(second));
        (name, format!("{from:?} to {to:?}"))
    })
}

/// Counts another operation on `x` to the end of the scope.
fn timed_on(what: &str, x: &FlexTensor) -> Option<Timer> {
    timed(|| (what.to_owned(), format!("{:?}", dims4(x))))
}

/// The sizes of a convolution that was checked before.
pub(super) fn conv_shape(x: &FlexTensor, weight: &FlexTensor, geometry: &ConvGeometry) -> Shape {
    Shape::new(dims4(x), dims4(weight), geometry).expect("sizes that fit, as checked before")
}

pub(super) fn conv2d(
    x: FlexTensor,
    weight: FlexTensor,
    [scale, bias]: [Option<FlexTensor>; 2],
    shape: &Shape,
    activation: Activation,
) -> FlexTensor {
    let _timer = timed_conv("", shape);
    let (x, weight) = (contiguous(x), contiguous(weight));
    let (scale, bias) = (scale.map(contiguous), bias.map(contiguous));
    let (x, weight) = (values(&x), values(&weight));
    let after = After { scale: scale.as_ref().map(values), bias: bias.as_ref().map(values), activation };
    let dims = [shape.images, shape.out_channels, shape.out_height, shape.out_width];
    // SAFETY: both write all outputs.
    let output = unsafe {
        filled(dims.iter().product(), |out| {
            if shape.is_depthwise() {
                depthwise::forward(x, weight, after, shape, out);
            } else {
                dense::forward(x, weight, after, shape, out);
            }
        })
    };
    tensor(output, dims)
}

/// Two convolutions, each of a weight, a scale and a shift; sizes were checked before.
pub(super) fn conv2d_scaled_pair(
    x: FlexTensor,
    tensors: [[FlexTensor; 3]; 2],
    passes: [(ConvGeometry, Activation); 2],
) -> FlexTensor {
    let sizes = [0, 1].map(|at| (dims4(&tensors[at][0]), passes[at].0));
    let shapes = super::pair_shapes(dims4(&x), sizes).expect("sizes that fit, as checked before");
    let _timer = timed_pair(&shapes);
    let (x, tensors) = (contiguous(x), tensors.map(|tensors| tensors.map(contiguous)));
    let stages = [0, 1].map(|at| {
        let [weight, scale, shift] = tensors[at].each_ref().map(values);
        let after = After { scale: Some(scale), bias: Some(shift), activation: passes[at].1 };
        Stage { weight, after, shape: &shapes[at] }
    });
    let [_, last] = &shapes;
    let dims = [last.images, last.out_channels, last.out_height, last.out_width];
    // SAFETY: all outputs are written; the pair was checked before.
    let output = unsafe { filled(dims.iter().product(), |out| pair::forward(values(&x), stages, out)) };
    tensor(output, dims)
}

/// The gradient before the activation; `output` is what came after it. In the memory of the gradient after it where
/// nobody else holds that: of the first layers it is a tenth of all that a step needs.
pub(super) fn before_activation(
    gradient: FlexTensor,
    output: Option<FlexTensor>,
    activation: Activation,
) -> FlexTensor {
    let mut gradient = contiguous(gradient);
    let (Some(bounds), Some(output)) = (activation.clamp(), output) else { return gradient };
    let _timer = timed_on("activation, gradient", &gradient);
    let output = values(&output);
    norm::mask(values_mut(&mut gradient, output.len()), output, bounds);
    gradient
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
    let size = shape.images * shape.channels * shape.in_pixels();
    let of_x = weight.map(|weight| {
        let _timer = timed_conv(", input's gradient", shape);
        // SAFETY: both write all values.
        unsafe {
            filled(size, |out| match shape.is_depthwise() {
                true => depthwise_gradients::input_gradient(weight, gradient, shape, out),
                false => dense::input_gradient(gradient, weight, shape, out),
            })
        }
    });
    let of_weight = x.map(|x| {
        let _timer = timed_conv(", kernel's gradient", shape);
        match shape.is_depthwise() {
            true => depthwise_gradients::weight_gradient(x, gradient, shape),
            false => dense::weight_gradient(x, gradient, shape),
        }
    });
    let x_dims = [shape.images, shape.channels, shape.height, shape.width];
    let weight_dims = [shape.out_channels, shape.group_channels(), shape.kernel[0], shape.kernel[1]];
    (of_x.map(|values| tensor(values, x_dims)), of_weight.map(|values| tensor(values, weight_dims)))
}

/// The gradients of input, weights, scales and shifts of a convolution with a scale per channel, where they are `wanted`.
/// The input is there if the second or the third is.
pub(super) fn conv2d_scaled_backward(
    x: Option<FlexTensor>,
    [weight, scale]: [FlexTensor; 2],
    gradient: &FlexTensor,
    shape: &Shape,
    wanted: [bool; 4],
) -> [Option<FlexTensor>; 4] {
    let (weight, scale) = (contiguous(weight), contiguous(scale));
    let (dims, row) = (dims4(&weight), shape.group_channels() * shape.kernel[0] * shape.kernel[1]);
    let scaled = |weight: &[f32]| -> Vec<f32> {
        let rows = weight.chunks_exact(row).zip(values(&scale));
        rows.flat_map(|(row, scale)| row.iter().map(move |value| value * scale)).collect()
    };
    // The weights as the input met them are made again, rather than kept from the way forward: as large as the network.
    let of_x = wanted[0]
        .then(|| conv2d_backward(None, Some(tensor(scaled(values(&weight)), dims)), gradient, shape).0)
        .flatten();
    let of_scaled = conv2d_backward(x, None, gradient, shape).1;
    let of_scale = of_scaled.as_ref().filter(|_| wanted[2]).map(|of_scaled| {
        let rows = values(&weight).chunks_exact(row).zip(values(of_scaled).chunks_exact(row));
        let product = |(a, b): (&f32, &f32)| f64::from(*a) * f64::from(*b);
        let sums: Vec<f32> = rows.map(|(a, b)| a.iter().zip(b).map(product).sum::<f64>() as f32).collect();
        tensor(sums, [shape.out_channels])
    });
    let of_weight = of_scaled.filter(|_| wanted[1]).map(|mut of_scaled| {
        let rows = of_scaled.storage_mut::<f32>().chunks_exact_mut(row).zip(values(&scale));
        rows.for_each(|(row, scale)| row.iter_mut().for_each(|value| *value *= scale));
        of_scaled
    });
    [of_x, of_weight, of_scale, wanted[3].then(|| bias_gradient(gradient))]
}

/// The gradient of the bias.
pub(super) fn bias_gradient(gradient: &FlexTensor) -> FlexTensor {
    let _timer = timed_on("bias, gradient", gradient);
    let batch = batch(gradient);
    tensor(norm::channel_sums(values(gradient), &batch), [batch.channels])
}

/// The sizes of a fully connected layer that was checked before.
pub(super) fn layer(x: &FlexTensor, weight: &FlexTensor) -> Layer {
    let ([rows, input], [output, _]) = (x.shape().dims(), weight.shape().dims());
    Layer { rows, input, output }
}

/// Counts a fully connected layer, or a gradient of one, to the end of the scope.
fn timed_layer(what: &str, layer: Layer) -> Option<Timer> {
    let Layer { rows, input, output } = layer;
    timed(|| (format!("fully connected{what}"), format!("[{rows}, {input}] to [{rows}, {output}]")))
}

pub(super) fn linear(x: FlexTensor, weight: FlexTensor, layer: Layer) -> FlexTensor {
    let _timer = timed_layer("", layer);
    let (x, weight) = (contiguous(x), contiguous(weight));
    tensor(linear::forward(values(&x), values(&weight), layer), [layer.rows, layer.output])
}

/// The gradients of the input and of the weights, asked for as in [`conv2d_backward`].
pub(super) fn linear_backward(
    x: Option<FlexTensor>,
    weight: Option<FlexTensor>,
    gradient: FlexTensor,
    layer: Layer,
) -> [Option<FlexTensor>; 2] {
    let Layer { rows, input, output } = layer;
    let gradient = contiguous(gradient);
    let gradient = values(&gradient);
    // First the weights', after which nobody needs the input: a detector's first layer reads a hundred megabytes.
    let of_weight = x.map(contiguous).map(|x| {
        let _timer = timed_layer(", weights' gradient", layer);
        let x = values(&x);
        // SAFETY: all values are written.
        let of_weight =
            unsafe { filled(output * input, |out| linear::weight_gradient(x, gradient, layer, out)) };
        tensor(of_weight, [output, input])
    });
    let of_x = weight.map(contiguous).map(|weight| {
        let _timer = timed_layer(", input's gradient", layer);
        let weight = values(&weight);
        // SAFETY: all values are written.
        let of_x =
            unsafe { filled(rows * input, |out| linear::input_gradient(gradient, weight, layer, out)) };
        tensor(of_x, [rows, input])
    });
    [of_x, of_weight]
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
    let _timer = timed_on("batch norm", &x);
    let (x, gamma, beta) = (contiguous(x), contiguous(gamma), contiguous(beta));
    let batch = batch(&x);
    let (gamma, beta) = (values(&gamma), values(&beta));
    let map = |channel: usize, mean: f32, variance: f32| {
        Affine::normalizing(gamma[channel], beta[channel], mean, variance, epsilon, activation)
    };
    let (mut mean, mut variance) = (Vec::new(), Vec::new());
    // SAFETY: all values are written.
    let output = unsafe {
        filled(values(&x).len(), |out| (mean, variance) = norm::normalize(values(&x), &batch, &map, out))
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
    let _timer = timed_on("batch norm, gradient", &x);
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
        activation: kept.activation,
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
    move |channel| Affine { scale: scale[channel], shift: shift[channel], activation }
}

pub(super) fn scale_shift(
    x: FlexTensor,
    scale: FlexTensor,
    shift: FlexTensor,
    activation: Activation,
) -> FlexTensor {
    let _timer = timed_on("scale and shift", &x);
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
    let _timer = timed_on("scale and shift, gradient", &x);
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

/// `activation(x + y)`, in the memory of one of them where nobody else holds that.
pub(super) fn add(x: FlexTensor, y: FlexTensor, activation: Activation) -> FlexTensor {
    let _timer = timed_on("sum", &x);
    let (x, y) = (contiguous(x), contiguous(y));
    let (mut x, y) = if x.is_unique() { (x, y) } else { (y, x) };
    let other = values(&y);
    if x.is_unique() {
        let place = values_mut(&mut x, other.len()).as_mut_ptr();
        // SAFETY: as many values as the other has.
        unsafe { sum::add(place, other, activation, place) };
        return x;
    }
    // SAFETY: all values are written; both have as many, as checked before.
    let output = unsafe { filled(other.len(), |out| sum::add(values(&x).as_ptr(), other, activation, out)) };
    tensor(output, dims4(&x))
}

/// The sizes of a pooling that was checked before.
pub(super) fn pool_shape(x: &FlexTensor, options: &MaxPoolOptions<2>) -> PoolShape {
    PoolShape::new(dims4(x), options).expect("a pooling that fits, as checked before")
}

pub(super) fn max_pool2d(x: FlexTensor, shape: &PoolShape) -> FlexTensor {
    let _timer = timed_on("max pool", &x);
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
    let _timer = timed_on("max pool, gradient", &x);
    let (x, gradient) = (contiguous(x), contiguous(gradient));
    let of_x = pool::max_pool_backward(values(&x), values(output), values(&gradient), shape);
    tensor(of_x, dims4(&x))
}

pub(super) fn roi_align(x: FlexTensor, regions: &[Region], options: &RoiAlign) -> FlexTensor {
    let _timer = timed_on("RoI align", &x);
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
    let _timer = timed_on("RoI align, gradient", &gradient);
    let gradient = contiguous(gradient);
    tensor(roi::backward(values(&gradient), dims, regions, options), dims)
}
