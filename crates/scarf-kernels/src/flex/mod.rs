//! The kernels as operations of burn's flex backend, through burn's extension API.

mod autodiff;
mod run;

use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, DispatchDevice, Flex, backend_extension};
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{DType, Device, Tensor};

use crate::ScaledConv;
use crate::cpu::pair;
use crate::cpu::shape::{PoolShape, Shape};
use crate::geometry::{Activation, ConvGeometry};
use crate::region::{Region, RoiAlign};

/// The operations that this crate adds to flex, and to autodiff over it.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait Kernels: Backend {
    /// `activation(conv(x, weight))`.
    fn scarf_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        geometry: ConvGeometry,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// `activation(conv(x, weight) + bias)`.
    fn scarf_conv2d_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        geometry: ConvGeometry,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// `activation(conv(x, weight) * scale + shift)`.
    fn scarf_conv2d_scaled(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        geometry: ConvGeometry,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// `x weight'`.
    fn scarf_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The normalised input, the mean and the biased variance.
    fn scarf_batch_norm_train(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// `activation(x * scale + shift)` per channel.
    fn scarf_scale_shift(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// `activation(x + y)`.
    fn scarf_add(x: FloatTensor<Self>, y: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;

    /// The largest value of each window.
    fn scarf_max_pool2d(x: FloatTensor<Self>, options: MaxPoolOptions<2>) -> FloatTensor<Self>;

    /// The bins of each region.
    fn scarf_roi_align(x: FloatTensor<Self>, regions: Arc<[Region]>, options: RoiAlign) -> FloatTensor<Self>;
}

/// The operations that only flex has: what never needs a gradient.
#[backend_extension(Flex)]
pub(crate) trait Inference: Backend {
    /// `activation(conv(x, weight) * scale + shift)`, then the same of the result with the second weight, scale and shift.
    // An extension takes each tensor by itself.
    #[allow(clippy::too_many_arguments)]
    fn scarf_conv2d_scaled_pair(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        second_weight: FloatTensor<Self>,
        second_scale: FloatTensor<Self>,
        second_shift: FloatTensor<Self>,
        passes: [(ConvGeometry, Activation); 2],
    ) -> FloatTensor<Self>;
}

impl Inference for Flex {
    fn scarf_conv2d_scaled_pair(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        second_weight: FloatTensor<Self>,
        second_scale: FloatTensor<Self>,
        second_shift: FloatTensor<Self>,
        passes: [(ConvGeometry, Activation); 2],
    ) -> FloatTensor<Self> {
        let second = [second_weight, second_scale, second_shift];
        run::conv2d_scaled_pair(x, [[weight, scale, shift], second], passes)
    }
}

impl Kernels for Flex {
    fn scarf_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        geometry: ConvGeometry,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let shape = run::conv_shape(&x, &weight, &geometry);
        run::conv2d(x, weight, [None, None], &shape, activation)
    }

    fn scarf_conv2d_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        geometry: ConvGeometry,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let shape = run::conv_shape(&x, &weight, &geometry);
        run::conv2d(x, weight, [None, Some(bias)], &shape, activation)
    }

    fn scarf_conv2d_scaled(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        geometry: ConvGeometry,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let shape = run::conv_shape(&x, &weight, &geometry);
        run::conv2d(x, weight, [Some(scale), Some(shift)], &shape, activation)
    }

    fn scarf_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let layer = run::layer(&x, &weight);
        run::linear(x, weight, layer)
    }

    fn scarf_batch_norm_train(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        run::batch_norm_train(x, gamma, beta, epsilon, activation)
    }

    fn scarf_scale_shift(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        run::scale_shift(x, scale, shift, activation)
    }

    fn scarf_add(x: FloatTensor<Self>, y: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        run::add(x, y, activation)
    }

    fn scarf_max_pool2d(x: FloatTensor<Self>, options: MaxPoolOptions<2>) -> FloatTensor<Self> {
        let shape = run::pool_shape(&x, &options);
        run::max_pool2d(x, &shape)
    }

    fn scarf_roi_align(x: FloatTensor<Self>, regions: Arc<[Region]>, options: RoiAlign) -> FloatTensor<Self> {
        run::roi_align(x, &regions, &options)
    }
}

/// Whether a tensor is one of flex's (or of autodiff over it), in `f32`, with values.
pub(crate) fn takes<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && tensor.dims().iter().all(|len| *len > 0) && is_flex(&tensor.device())
}

/// Whether it is burn's CPU backend, with autodiff or without.
pub(crate) fn is_flex(device: &Device) -> bool {
    matches!(device.clone().without_autodiff().as_dispatch(), DispatchDevice::Flex(_))
}

/// Whether [`conv2d`] can be called; where not, burn's own operation says what is wrong.
pub(crate) fn takes_convolution(
    x: &Tensor<4>,
    weight: &Tensor<4>,
    bias: Option<&Tensor<1>>,
    geometry: &ConvGeometry,
) -> bool {
    takes(x)
        && takes(weight)
        && bias.is_none_or(|bias| takes(bias) && bias.dims()[0] == weight.dims()[0])
        && Shape::new(x.dims(), weight.dims(), geometry).is_some()
}

/// Whether [`linear`] can be called.
pub(crate) fn takes_linear(x: &Tensor<2>, weight: &Tensor<2>) -> bool {
    takes(x) && takes(weight) && x.dims()[1] == weight.dims()[1]
}

/// [`crate::linear`] for what [`takes_linear`], without the bias.
pub(crate) fn linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::scarf_linear(x.into_dispatch(), weight.into_dispatch()))
}

/// Whether [`batch_norm_train`] and [`scale_shift`] can be called.
pub(crate) fn takes_channels(x: &Tensor<4>, vectors: [&Tensor<1>; 2]) -> bool {
    takes(x) && vectors.iter().all(|vector| takes(vector) && vector.dims()[0] == x.dims()[1])
}

/// Whether [`add`] can be called.
pub(crate) fn takes_sum(x: &Tensor<4>, y: &Tensor<4>) -> bool {
    takes(x) && takes(y) && x.dims() == y.dims()
}

/// [`crate::add`] for what [`takes_sum`].
pub(crate) fn add(x: Tensor<4>, y: Tensor<4>, activation: Activation) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::scarf_add(x.into_dispatch(), y.into_dispatch(), activation))
}

/// Whether [`max_pool2d`] can be called.
pub(crate) fn takes_pooling(x: &Tensor<4>, options: &MaxPoolOptions<2>) -> bool {
    takes(x) && PoolShape::new(x.dims(), options).is_some()
}

/// [`crate::max_pool2d`] for what [`takes_pooling`].
pub(crate) fn max_pool2d(x: Tensor<4>, options: MaxPoolOptions<2>) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::scarf_max_pool2d(x.into_dispatch(), options))
}

/// Whether [`roi_align`] can be called.
pub(crate) fn takes_regions(x: &Tensor<4>, regions: &[Region]) -> bool {
    takes(x) && !regions.is_empty()
}

/// [`crate::roi_align`] for what [`takes_regions`].
pub(crate) fn roi_align(x: Tensor<4>, regions: &[Region], options: RoiAlign) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::scarf_roi_align(x.into_dispatch(), regions.into(), options))
}

/// [`crate::conv2d`] for what [`takes_convolution`].
pub(crate) fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    geometry: ConvGeometry,
    activation: Activation,
) -> Tensor<4> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(match bias {
        Some(bias) => Dispatch::scarf_conv2d_biased(x, weight, bias.into_dispatch(), geometry, activation),
        None => Dispatch::scarf_conv2d(x, weight, geometry, activation),
    })
}

/// Whether [`conv2d_scaled`] can be called.
pub(crate) fn takes_scaled(x: &Tensor<4>, conv: &ScaledConv) -> bool {
    let ScaledConv { weight, scale, shift, geometry, .. } = conv;
    takes_convolution(x, weight, None, geometry)
        && [scale, shift].iter().all(|vector| takes(vector) && vector.dims()[0] == weight.dims()[0])
}

/// Whether [`conv2d_scaled_pair`] can be called.
pub(crate) fn takes_pair(x: &Tensor<4>, first: &ScaledConv, second: &ScaledConv) -> bool {
    let channels = |conv: &ScaledConv| {
        [&conv.scale, &conv.shift].iter().all(|vector| vector.dims()[0] == conv.weight.dims()[0])
    };
    let fixed = |conv: &ScaledConv| {
        !conv.is_autodiff() && takes(&conv.weight) && takes(&conv.scale) && takes(&conv.shift)
    };
    !x.device().is_autodiff()
        && takes(x)
        && fixed(first)
        && fixed(second)
        && channels(first)
        && channels(second)
        && pair_shapes(x.dims(), [first, second].map(|conv| (conv.weight.dims(), conv.geometry)))
            .is_some_and(|[first, second]| pair::fit(&first, &second) && pair::pays(&first))
}

/// The sizes of a convolution, and of the one of its result.
fn pair_shapes(x: [usize; 4], [first, second]: [([usize; 4], ConvGeometry); 2]) -> Option<[Shape; 2]> {
    let first = Shape::new(x, first.0, &first.1)?;
    let between = [first.images, first.out_channels, first.out_height, first.out_width];
    Some([first, Shape::new(between, second.0, &second.1)?])
}

/// [`crate::conv2d_scaled`] for what [`takes_scaled`].
pub(crate) fn conv2d_scaled(x: Tensor<4>, conv: ScaledConv) -> Tensor<4> {
    let (x, weight) = (x.into_dispatch(), conv.weight.into_dispatch());
    let (scale, shift) = (conv.scale.into_dispatch(), conv.shift.into_dispatch());
    Tensor::from_dispatch(Dispatch::scarf_conv2d_scaled(
        x,
        weight,
        scale,
        shift,
        conv.geometry,
        conv.activation,
    ))
}

/// [`crate::conv2d_scaled_pair`] for what [`takes_pair`].
pub(crate) fn conv2d_scaled_pair(x: Tensor<4>, first: ScaledConv, second: ScaledConv) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::scarf_conv2d_scaled_pair(
        x.into_dispatch(),
        first.weight.into_dispatch(),
        first.scale.into_dispatch(),
        first.shift.into_dispatch(),
        second.weight.into_dispatch(),
        second.scale.into_dispatch(),
        second.shift.into_dispatch(),
        [(first.geometry, first.activation), (second.geometry, second.activation)],
    ))
}

/// [`crate::batch_norm_train`] for what [`takes_channels`].
pub(crate) fn batch_norm_train(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    activation: Activation,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let (x, gamma, beta) = (x.into_dispatch(), gamma.into_dispatch(), beta.into_dispatch());
    let (output, mean, variance) = Dispatch::scarf_batch_norm_train(x, gamma, beta, epsilon, activation);
    (Tensor::from_dispatch(output), Tensor::from_dispatch(mean), Tensor::from_dispatch(variance))
}

/// [`crate::scale_shift`] for what [`takes_channels`].
pub(crate) fn scale_shift(
    x: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    activation: Activation,
) -> Tensor<4> {
    let (x, scale, shift) = (x.into_dispatch(), scale.into_dispatch(), shift.into_dispatch());
    Tensor::from_dispatch(Dispatch::scarf_scale_shift(x, scale, shift, activation))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn flex_is_taken_with_and_without_autodiff() {
        for device in [Device::flex(), Device::flex().autodiff()] {
            let x = Tensor::<4>::zeros([1, 2, 3, 3], &device);
            let vector = Tensor::<1>::zeros([2], &device);
            let geometry =
                ConvGeometry { stride: [1, 1], padding: [[0, 0], [0, 0]], dilation: [1, 1], groups: 1 };
            assert!(takes_convolution(&x, &x.clone(), None, &geometry));
            assert!(takes_channels(&x, [&vector, &vector]));
            assert!(takes_pooling(&x, &MaxPoolOptions::new([2, 2])));
            assert!(!takes_pooling(&x, &MaxPoolOptions::new([4, 4])));
            assert!(!takes(&x.cast(DType::F64)));
        }
    }

    #[test]
    fn a_pair_is_taken_where_nothing_is_differentiated() {
        let conv = |out, groups, device: &Device| ScaledConv {
            weight: Tensor::zeros([out, 4 / groups, 1, 1], device),
            scale: Tensor::zeros([out], device),
            shift: Tensor::zeros([out], device),
            geometry: ConvGeometry { stride: [1; 2], padding: [[0; 2]; 2], dilation: [1; 2], groups },
            activation: Activation::Relu,
        };
        let [plain, autodiff] = [Device::flex(), Device::flex().autodiff()];
        let x = Tensor::<4>::zeros([1, 4, 400, 400], &plain);
        assert!(takes_pair(&x, &conv(4, 1, &plain), &conv(4, 4, &plain)));
        assert!(!takes_pair(&x, &conv(4, 1, &plain), &conv(4, 1, &plain)), "the second is not depthwise");
        assert!(!takes_pair(&x, &conv(8, 1, &plain), &conv(4, 4, &plain)), "the second is of other channels");
        assert!(!takes_pair(&x, &conv(4, 1, &autodiff), &conv(4, 4, &autodiff)));
    }
}
