//! What the tests of this crate share: numbers, burn's stock operations, comparison.
#![allow(dead_code, unreachable_pub)] // each test takes what it needs

use burn::tensor::module::conv2d as burn_conv2d;
use burn::tensor::ops::{ConvOptions, PadMode};
use burn::tensor::{Device, Tensor, TensorData};
use scarf_kernels::{Activation, ConvGeometry, activate, conv2d};

/// The same numbers for the same seed, evenly between -1 and 1.
pub(crate) fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// A tensor of [`numbers`] on the CPU with autodiff.
pub(crate) fn tensor<const D: usize>(dims: [usize; D], seed: u64) -> Tensor<D> {
    let values = numbers(dims.iter().product(), seed);
    Tensor::from_data(TensorData::new(values, dims), &Device::flex().autodiff())
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("f32 values")
}

/// Fails unless `ours` is `theirs` to `tolerance` of the largest value, or of what a sum of so many `terms` comes to, which
/// may by chance be next to nothing while its terms and their rounding are not.
pub(crate) fn assert_close(what: &str, ours: &[f32], theirs: &[f32], tolerance: f32, terms: usize) {
    assert_eq!(ours.len(), theirs.len(), "{what}: as many values");
    // The product of two of `numbers` is a third, in root mean square.
    let scale = theirs.iter().fold((terms as f32).sqrt() / 3.0, |largest, value| largest.max(value.abs()));
    for (index, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * scale,
            "{what}: value {index} is {a}, burn's {b} (scale {scale})"
        );
    }
}

/// Values to be compared, each a sum of so many terms.
#[derive(Debug, PartialEq)]
pub(crate) struct Sums {
    pub what: &'static str,
    pub values: Vec<f32>,
    pub terms: usize,
}

/// [`numbers`] to weigh outputs with: none where the value that was activated, `plain`, lies so close to a kink that rounding
/// decides which of its two slopes is taken.
pub(crate) fn weights<const D: usize>(plain: Tensor<D>, activation: Activation) -> Tensor<D> {
    let kinks: &[f32] = match activation {
        Activation::None => &[],
        Activation::Relu => &[0.0],
        Activation::Relu6 => &[0.0, 6.0],
        Activation::HardSigmoid | Activation::HardSwish => &[-3.0, 3.0],
    };
    let (dims, device) = (plain.dims(), plain.device());
    let mut weights = numbers(dims.iter().product(), 4);
    for (weight, value) in weights.iter_mut().zip(values(plain)) {
        if kinks.iter().any(|kink| (value - kink).abs() < 1e-4) {
            *weight = 0.0;
        }
    }
    Tensor::from_data(TensorData::new(weights, dims), &device)
}

/// A convolution to be tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub x: [usize; 4],
    pub out: usize,
    pub kernel: [usize; 2],
    pub geometry: ConvGeometry,
    pub bias: bool,
    pub activation: Activation,
}

impl Case {
    /// A square kernel with the same stride, padding and dilation both ways.
    pub fn square(x: [usize; 4], out: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        Self {
            x,
            out,
            kernel: [kernel; 2],
            geometry: ConvGeometry {
                stride: [stride; 2],
                padding: [[padding; 2]; 2],
                dilation: [1; 2],
                groups: 1,
            },
            bias: false,
            activation: Activation::None,
        }
    }

    pub fn dilation(mut self, dilation: usize) -> Self {
        self.geometry.dilation = [dilation; 2];
        self
    }

    pub fn groups(mut self, groups: usize) -> Self {
        self.geometry.groups = groups;
        self
    }

    pub fn biased(mut self, activation: Activation) -> Self {
        (self.bias, self.activation) = (true, activation);
        self
    }

    pub fn inputs(&self) -> (Tensor<4>, Tensor<4>, Option<Tensor<1>>) {
        let [kernel_height, kernel_width] = self.kernel;
        let weight = [self.out, self.x[1] / self.geometry.groups, kernel_height, kernel_width];
        let bias = self.bias.then(|| tensor([self.out], 3));
        (tensor(self.x, 1), tensor(weight, 2), bias)
    }
}

/// Burn's stock convolution.
pub(crate) fn stock_conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    geometry: ConvGeometry,
    activation: Activation,
) -> Tensor<4> {
    let [[top, bottom], [left, right]] = geometry.padding;
    let x = x.pad((left, right, top, bottom), PadMode::Constant(0.0));
    let options = ConvOptions::new(geometry.stride, [0, 0], geometry.dilation, geometry.groups);
    activate(burn_conv2d(x, weight, bias, options), activation)
}

type Conv2d = fn(Tensor<4>, Tensor<4>, Option<Tensor<1>>, ConvGeometry, Activation) -> Tensor<4>;

/// The output and the gradients of input, weights and bias (if any), of a weighted sum of outputs.
pub(crate) fn with_gradients(conv: Conv2d, case: &Case) -> Vec<Sums> {
    let (x, weight, bias) = case.inputs();
    let plain = stock_conv2d(x.clone(), weight.clone(), bias.clone(), case.geometry, Activation::None);
    let (x, weight) = (x.require_grad(), weight.require_grad());
    let bias = bias.map(Tensor::require_grad);
    let output = conv(x.clone(), weight.clone(), bias.clone(), case.geometry, case.activation);
    let gradients = (output.clone() * weights(plain, case.activation)).sum().backward();
    let [out, channels, kernel_height, kernel_width] = weight.dims();
    let taps = kernel_height * kernel_width;
    let [images, _, height, width] = output.dims();
    let pixels = images * height * width;
    let mut all = vec![
        Sums { what: "output", values: values(output), terms: channels * taps },
        Sums {
            what: "input gradient",
            values: values(x.grad(&gradients).expect("a gradient")),
            terms: out / case.geometry.groups * taps,
        },
        Sums {
            what: "weight gradient",
            values: values(weight.grad(&gradients).expect("a gradient")),
            terms: pixels,
        },
    ];
    if let Some(bias) = bias {
        let values = values(bias.grad(&gradients).expect("a gradient"));
        all.push(Sums { what: "bias gradient", values, terms: pixels });
    }
    all
}

/// Fails unless output and gradients are burn's, and the output is the same without autodiff.
pub(crate) fn check(case: &Case) {
    let (ours, theirs) = (with_gradients(conv2d, case), with_gradients(stock_conv2d, case));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let what = format!("{} of {case:?}", ours.what);
        assert_close(&what, &ours.values, &theirs.values, 2e-5, ours.terms);
    }
    let (x, weight, bias) = case.inputs();
    let bias = bias.map(Tensor::inner);
    let plain = conv2d(x.inner(), weight.inner(), bias, case.geometry, case.activation);
    // A pass of its own may round otherwise than one together with the convolution.
    let apart = matches!(case.activation, Activation::HardSigmoid | Activation::HardSwish);
    let tolerance = if apart { 1e-6 } else { 0.0 };
    let what = format!("without autodiff, {case:?}");
    assert_close(&what, &values(plain), &ours[0].values, tolerance, ours[0].terms);
}
