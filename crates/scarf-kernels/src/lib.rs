//! Convolution and normalisation for detectors, on burn's backends.
//!
//! Each function here computes what burn's own operations would, in `f32` on the CPU (burn's flex
//! backend, with and without autodiff) by kernels of this crate, everywhere else by burn's own.
//! The kernels are plugged in through burn's extension API, in the module `flex` alone: the day burn
//! is as fast, each function here becomes the call of burn's that it now falls back to.
//!
//! What flows through a network may be of half precision (`f16`, `bf16`), and then stays so: parameters are cast to it,
//! normalisation and its statistics are computed in `f32`, and parameters' gradients come in the parameters' own precision.
//!
//! Results are the same to the last bit with any number of threads; they may differ in the last
//! bits between processors with and without AVX2 or AVX-512.

#[cfg(feature = "flex")]
mod cpu;
#[cfg(feature = "flex")]
mod flex;
mod geometry;
mod half;
mod largest;
mod memory;
mod meter;
mod region;
mod threads;

use burn::tensor::module::{
    batch_norm_train as burn_batch_norm_train, conv2d as burn_conv2d, max_pool2d as burn_max_pool2d,
};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions, PadMode};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

pub use geometry::{Activation, ConvGeometry};
pub use half::{like, single, with_rounded_factors};
pub use largest::largest;
pub use memory::keep_freed_memory;
pub use meter::{Operation, meter, metered};
pub use region::{Region, RoiAlign};
pub use threads::{by_image, on_workers, worker_count};

/// `activation(conv(x, weight) + bias)`.
///
/// `x` is `[batch, in, height, width]`, `weight` `[out, in / groups, kernel height, kernel width]`,
/// `bias` `[out]`; the result `[batch, out, height', width']` with PyTorch's floor rule.
///
/// Differentiable in all three.
///
/// # Panics
///
/// As burn's own convolution, where the shapes don't fit each other.
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    geometry: ConvGeometry,
    activation: Activation,
) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::takes_convolution(&x, &weight, bias.as_ref(), &geometry) {
        let autodiff = x.device().is_autodiff()
            || weight.device().is_autodiff()
            || bias.as_ref().is_some_and(|bias| bias.device().is_autodiff());
        let (fused, left) = if autodiff { activation.fused() } else { (activation, Activation::None) };
        return activate(flex::conv2d(x, weight, bias, geometry, fused), left);
    }
    if geometry.groups > 1 && half::is_half(x.dtype()) {
        // Elsewhere than on the CPU the weights' gradient of a channel of its own is summed in the maps' precision, thousands
        // of terms; and there is little to multiply.
        let dtype = x.dtype();
        return conv2d(single(x), weight, bias, geometry, activation).cast(dtype);
    }
    let (weight, bias) = (like(weight, &x), bias.map(|bias| like(bias, &x)));
    let [[top, bottom], [left, right]] = geometry.padding;
    let (x, padding) = if top == bottom && left == right {
        (x, [top, left])
    } else {
        (x.pad((left, right, top, bottom), PadMode::Constant(0.0)), [0, 0])
    };
    let options = ConvOptions::new(geometry.stride, padding, geometry.dilation, geometry.groups);
    // burn's depthwise kernel takes no bias.
    let (fused, left) = if geometry.groups > 1 { (None, bias) } else { (bias, None) };
    let map = burn_conv2d(x, weight, fused, options);
    let map = match left {
        Some(bias) => {
            let [channels] = bias.dims();
            map + bias.reshape([1, channels, 1, 1])
        }
        None => map,
    };
    activate(map, activation)
}

/// A convolution and the batch normalisation with fixed statistics that follows it:
/// `activation(conv(x, weight) * scale + shift)`, a scale and a shift per channel of the result.
#[derive(Clone, Debug)]
pub struct ScaledConv {
    /// As for [`conv2d`].
    pub weight: Tensor<4>,
    /// `[out]`.
    pub scale: Tensor<1>,
    /// `[out]`.
    pub shift: Tensor<1>,
    /// As for [`conv2d`].
    pub geometry: ConvGeometry,
    /// What follows.
    pub activation: Activation,
}

#[cfg(feature = "flex")]
impl ScaledConv {
    /// Whether any of it may have a gradient.
    pub(crate) fn is_autodiff(&self) -> bool {
        self.weight.device().is_autodiff()
            || [&self.scale, &self.shift].iter().any(|vector| vector.device().is_autodiff())
    }
}

/// What `conv` gives of `x`, `[batch, in, height, width]`.
///
/// Differentiable in all four. On the CPU it is one pass, as cheap as a bias.
///
/// # Panics
///
/// As [`conv2d`].
pub fn conv2d_scaled(x: Tensor<4>, conv: ScaledConv) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::takes_scaled(&x, &conv) {
        let autodiff = x.device().is_autodiff() || conv.is_autodiff();
        let (activation, left) =
            if autodiff { conv.activation.fused() } else { (conv.activation, Activation::None) };
        return activate(flex::conv2d_scaled(x, ScaledConv { activation, ..conv }), left);
    }
    let [channels] = conv.scale.dims();
    let weight = conv.weight * conv.scale.reshape([channels, 1, 1, 1]);
    conv2d(x, weight, Some(conv.shift), conv.geometry, conv.activation)
}

/// What `second` gives of what `first` gives of `x`.
///
/// To the bit [`conv2d_scaled`] twice. Where the first is pointwise, of few channels and with a large result, the second
/// depthwise, and nothing is to be differentiated, what lies between is never stored whole on the CPU.
///
/// # Panics
///
/// As [`conv2d`].
pub fn conv2d_scaled_pair(x: Tensor<4>, first: ScaledConv, second: ScaledConv) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::takes_pair(&x, &first, &second) {
        return flex::conv2d_scaled_pair(x, first, second);
    }
    conv2d_scaled(conv2d_scaled(x, first), second)
}

/// `x weight' + bias`: `x` is `[rows, in]`, `weight` `[out, in]`, `bias` `[out]`; the result `[rows, out]`.
///
/// Differentiable in all three.
///
/// # Panics
///
/// As burn's own product, where the shapes don't fit each other.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if flex::takes_linear(&x, &weight) {
        return flex::linear(x, weight) + bias.unsqueeze();
    }
    let (weight, bias) = (like(weight, &x), like(bias, &x));
    x.matmul(weight.transpose()) + bias.unsqueeze()
}

/// What [`batch_norm_train`] gives.
#[derive(Clone, Debug)]
pub struct BatchNormOutput {
    /// The normalised input, after the activation.
    pub output: Tensor<4>,
    /// The mean of each channel, detached.
    pub mean: Tensor<1>,
    /// The biased variance of each channel, detached.
    pub variance: Tensor<1>,
}

/// `activation((x - mean) / sqrt(variance + epsilon) * gamma + beta)` with the mean and the biased
/// variance of each channel over batch, rows and columns (Ioffe and Szegedy, 2015).
///
/// `x` is `[batch, channels, height, width]`; `gamma` and `beta` are `[channels]`. Differentiable in
/// all three, through the statistics too.
///
/// # Panics
///
/// As burn's own, where the shapes don't fit each other.
pub fn batch_norm_train(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    activation: Activation,
) -> BatchNormOutput {
    #[cfg(feature = "flex")]
    if flex::takes_channels(&x, [&gamma, &beta]) {
        let (output, mean, variance) = flex::batch_norm_train(x, gamma, beta, epsilon, activation);
        return BatchNormOutput { output, mean, variance };
    }
    let dtype = x.dtype();
    let [batch, channels, height, width] = x.dims();
    // Convolutions on a GPU leave a pixel's channels side by side: seen as rows of channels no sum needs a copy.
    let pixels = single(x).permute([0, 2, 3, 1]).reshape([batch * height * width, channels]);
    let result = burn_batch_norm_train(pixels, gamma, beta, epsilon);
    let output = result.output.reshape([batch, height, width, channels]).permute([0, 3, 1, 2]);
    BatchNormOutput {
        output: activate(output, activation).cast(dtype),
        mean: result.mean,
        variance: result.variance,
    }
}

/// `activation(x * scale + shift)`, a scale and a shift per channel: a batch normalisation with
/// fixed statistics.
///
/// `x` is `[batch, channels, height, width]`; `scale` and `shift` are `[channels]`. Differentiable
/// in all three.
///
/// # Panics
///
/// As burn's own broadcasting, where the shapes don't fit each other.
pub fn scale_shift(x: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>, activation: Activation) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::takes_channels(&x, [&scale, &shift]) {
        return flex::scale_shift(x, scale, shift, activation);
    }
    let [channels] = scale.dims();
    let (shape, dtype) = ([1, channels, 1, 1], x.dtype());
    activate(single(x) * scale.reshape(shape) + shift.reshape(shape), activation).cast(dtype)
}

/// `activation(x + y)`, element by element: of two maps of one size, or as burn broadcasts them.
///
/// Differentiable in both.
///
/// # Panics
///
/// As burn's own sum, where the shapes don't fit each other.
pub fn add(x: Tensor<4>, y: Tensor<4>, activation: Activation) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::takes_sum(&x, &y) {
        let autodiff = x.device().is_autodiff() || y.device().is_autodiff();
        let (fused, left) = if autodiff { activation.fused() } else { (activation, Activation::None) };
        return activate(flex::add(x, y, fused), left);
    }
    activate(x + y, activation)
}

/// The largest value of each window; padding is less than any value.
///
/// `x` is `[batch, channels, height, width]`. Differentiable: the gradient goes to the first of the
/// largest values of a window, row by row, as in PyTorch. What is not a number may be passed over, where PyTorch keeps it.
///
/// # Panics
///
/// As burn's own, where no window fits.
pub fn max_pool2d(x: Tensor<4>, options: MaxPoolOptions<2>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::takes_pooling(&x, &options) {
        return flex::max_pool2d(x, options);
    }
    burn_max_pool2d(x, options)
}

/// Each region of `x` `[batch, channels, height, width]` read in equal bins:
/// `[regions, channels, rows, columns]`, in the order of the regions (He et al. 2017; torchvision's
/// `roi_align` with `aligned=False`).
///
/// A bin's value is the mean of points spread evenly in it, each interpolated between its four cells.
/// Differentiable in `x`. Without regions, an empty tensor.
///
/// # Panics
///
/// If a region's image is none of the batch's, or `size` or `samples` is 0.
pub fn roi_align(x: Tensor<4>, regions: &[Region], options: RoiAlign) -> Tensor<4> {
    let [images, channels, _, _] = x.dims();
    assert!(regions.iter().all(|region| region.image < images), "a region of no image of {images}");
    assert!(options.size.iter().all(|&bins| bins > 0) && options.samples > 0, "{options:?}");
    if regions.is_empty() {
        return Tensor::empty([0, channels, options.size[0], options.size[1]], (&x.device(), x.dtype()));
    }
    #[cfg(feature = "flex")]
    if flex::takes_regions(&x, regions) {
        return flex::roi_align(x, regions, options);
    }
    roi_align_by_products(x, regions, options)
}

/// Numbers that [`roi_align_by_products`] has at once between its two products.
const BETWEEN: usize = 1 << 26;

/// [`roi_align`] by burn's operations: a bin's weights are a row's part times a column's, so that the regions of an image
/// are two matrix products. Backwards these are products again, summed in an order of their own, where the gradient of
/// selected cells would be summed one by one.
fn roi_align_by_products(x: Tensor<4>, regions: &[Region], options: RoiAlign) -> Tensor<4> {
    let device = x.device();
    let [images, channels, height, width] = x.dims();
    let [rows, columns] = options.size;
    // What each cell of an axis counts in each bin, `[bins, len]`: a tent around each point.
    let weights = |points: Vec<f32>, len: usize| {
        let bins = points.len() / options.samples;
        let points = Tensor::<3>::from_data(TensorData::new(points, [bins, options.samples, 1]), &device);
        let cells = Tensor::<1, Int>::arange(0..len as i64, &device).float().cast(DType::F32);
        let away = (points.cast(DType::F32) - cells.reshape([1, 1, len])).abs();
        away.neg().add_scalar(1.0).clamp_min(0.0).mean_dim(1).reshape([bins, len]).cast(x.dtype())
    };
    let at_once = (BETWEEN / (rows * width * channels)).max(1);
    let (mut parts, mut order) = (Vec::new(), Vec::<usize>::with_capacity(regions.len()));
    for image in 0..images {
        let own: Vec<usize> = (0..regions.len()).filter(|&at| regions[at].image == image).collect();
        let map = x.clone().narrow(0, image, 1).permute([0, 2, 3, 1]).reshape([height, width * channels]);
        for own in own.chunks(at_once) {
            let points = own.iter().map(|&at| options.points(&regions[at], [height, width]));
            let (down, across): (Vec<_>, Vec<_>) = points.map(|[down, across]| (down, across)).unzip();
            let down = weights(down.concat(), height).matmul(map.clone());
            let down = down.reshape([own.len(), rows, width, channels]);
            let across = weights(across.concat(), width).reshape([own.len(), 1, columns, width]);
            parts.push(across.matmul(down));
            order.extend(own);
        }
    }
    let read = if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 0) };
    let read = read.permute([0, 3, 1, 2]);
    if order.is_sorted() {
        return read;
    }
    let mut places = vec![0; order.len()];
    order.iter().enumerate().for_each(|(row, &at)| places[at] = row as i64);
    let count = places.len();
    read.select(0, Tensor::from_data(TensorData::new(places, [count]), &device))
}

/// Whether tensors of `device` lie in this program's own memory: reading one waits for nothing.
pub fn on_host(device: &Device) -> bool {
    #[cfg(feature = "flex")]
    return flex::is_flex(device);
    #[cfg(not(feature = "flex"))]
    {
        let _ = device;
        false
    }
}

/// The activation alone, elementwise.
pub fn activate<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::None => x,
        Activation::Relu => burn::tensor::activation::relu(x),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::HardSigmoid => (x + 3.0).clamp(0.0, 6.0) / 6.0,
        Activation::HardSwish => x.clone() * ((x + 3.0).clamp(0.0, 6.0) / 6.0),
    }
}
