//! Convolutions of odd shapes against burn's own operations, finite differences and threads.

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::{
    Case, Sums, assert_close, check, numbers, stock_conv2d, tensor, values, weights, with_gradients,
};
use proptest::prelude::*;
use scarf_kernels::{Activation, ConvGeometry, ScaledConv, conv2d, conv2d_scaled, conv2d_scaled_pair};

fn activations() -> impl Strategy<Value = Activation> {
    prop_oneof![
        Just(Activation::None),
        Just(Activation::Relu),
        Just(Activation::Relu6),
        Just(Activation::HardSigmoid),
        Just(Activation::HardSwish),
    ]
}

prop_compose! {
    fn geometries(groups: usize)(
        stride in [1..4usize, 1..4usize],
        padding in [[0..4usize, 0..4usize], [0..4usize, 0..4usize]],
        dilation in prop_oneof![3 => [1..3usize, 1..3usize], 1 => [Just(6usize), Just(6usize)]],
    ) -> ConvGeometry {
        ConvGeometry { stride, padding, dilation, groups }
    }
}

fn cases() -> impl Strategy<Value = Case> {
    // Channels of a group, groups, output channels of a group; depthwise is 1, many, 1.
    let channels = prop_oneof![
        4 => (1..40usize, Just(1usize), 1..40usize),
        2 => (Just(1usize), 2..20usize, Just(1usize)),
        1 => (1..5usize, 2..5usize, 1..5usize),
    ];
    (channels, 1..6usize, [1..24usize, 1..24usize], [1..6usize, 1..6usize], any::<bool>(), activations())
        .prop_flat_map(|((channels, groups, out), images, [height, width], kernel, bias, activation)| {
            geometries(groups).prop_map(move |geometry| Case {
                x: [images, channels * groups, height, width],
                out: out * groups,
                kernel,
                geometry,
                bias,
                activation,
            })
        })
        .prop_filter("the kernel fits the padded input", fits)
}

fn fits(case: &Case) -> bool {
    (0..2).all(|axis| {
        case.geometry.output_len(axis, case.x[2 + axis], case.kernel[axis]).is_some_and(|len| len > 0)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn is_burns(case in cases()) {
        check(&case);
    }
}

fn scaled(case: &Case) -> (Tensor<4>, ScaledConv) {
    let (x, weight, _) = case.inputs();
    let (scale, shift) = (tensor([case.out], 5), tensor([case.out], 6));
    (x, ScaledConv { weight, scale, shift, geometry: case.geometry, activation: case.activation })
}

/// The same without autodiff.
fn inner(conv: ScaledConv) -> ScaledConv {
    let ScaledConv { weight, scale, shift, .. } = conv;
    ScaledConv { weight: weight.inner(), scale: scale.inner(), shift: shift.inner(), ..conv }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// A scale in the pass is one in the kernel, for output and gradients.
    #[test]
    fn a_scale_is_multiplied_in(case in cases()) {
        let (ours, theirs) = (with_scale(conv2d_scaled, &case), with_scale(stock_scaled, &case));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let what = format!("{}, scaled, of {case:?}", ours.what);
            assert_close(&what, &ours.values, &theirs.values, 2e-5, ours.terms);
        }
        let (x, conv) = scaled(&case);
        let plain = conv2d_scaled(x.inner(), inner(conv));
        assert_close(&format!("scaled {case:?}"), &values(plain), &theirs[0].values, 2e-5, theirs[0].terms);
    }
}

/// Burn's convolution with a kernel that was scaled before.
fn stock_scaled(x: Tensor<4>, conv: ScaledConv) -> Tensor<4> {
    let weight = conv.weight * conv.scale.unsqueeze::<4>().swap_dims(0, 3);
    stock_conv2d(x, weight, Some(conv.shift), conv.geometry, conv.activation)
}

/// The output and the gradients of input, weights, scales and shifts of a weighted sum of outputs.
fn with_scale(run: fn(Tensor<4>, ScaledConv) -> Tensor<4>, case: &Case) -> Vec<Sums> {
    let (x, conv) = scaled(case);
    let plain = stock_scaled(x.clone(), ScaledConv { activation: Activation::None, ..conv.clone() });
    let (x, weight) = (x.require_grad(), conv.weight.require_grad());
    let (scale, shift) = (conv.scale.require_grad(), conv.shift.require_grad());
    let conv = ScaledConv { weight: weight.clone(), scale: scale.clone(), shift: shift.clone(), ..conv };
    let output = run(x.clone(), conv);
    let gradients = (output.clone() * weights(plain, case.activation)).sum().backward();
    let row = case.x[1] / case.geometry.groups * case.kernel.iter().product::<usize>();
    let [images, out, height, width] = output.dims();
    let pixels = images * height * width;
    let sums = |what, values, terms| Sums { what, values, terms };
    vec![
        sums("output", values(output), row),
        sums("input gradient", values(x.grad(&gradients).expect("a gradient")), out * row / case.x[1]),
        sums("weight gradient", values(weight.grad(&gradients).expect("a gradient")), pixels),
        sums("scale gradient", values(scale.grad(&gradients).expect("a gradient")), pixels * row),
        sums("shift gradient", values(shift.grad(&gradients).expect("a gradient")), pixels),
    ]
}

#[test]
fn one_pixel() {
    check(&Case::square([4, 7, 1, 1], 9, 3, 1, 1).biased(Activation::Relu));
    check(&Case::square([5, 12, 1, 1], 12, 3, 2, 1).groups(12));
    check(&Case::square([5, 300, 1, 1], 70, 1, 1, 0));
}

#[test]
fn kernel_larger_than_the_input() {
    check(&Case::square([2, 5, 3, 2], 4, 7, 1, 3));
    check(&Case::square([2, 6, 2, 3], 6, 5, 2, 2).groups(6));
    check(&Case::square([2, 5, 4, 4], 3, 3, 1, 6).dilation(6));
}

/// As many taps as a square of three by three.
#[test]
fn nine_taps_in_a_row() {
    for kernel in [[1, 9], [9, 1]] {
        check(&Case { kernel, ..Case::square([2, 5, 14, 13], 5, 3, 1, 4).groups(5) });
    }
}

#[test]
fn padding_beyond_the_kernel() {
    check(&Case::square([2, 5, 6, 5], 4, 1, 1, 2));
    check(&Case::square([2, 5, 6, 5], 5, 3, 1, 4).groups(5));
}

#[test]
fn long_sums_and_many_pixels() {
    check(&Case::square([1, 600, 5, 5], 20, 3, 1, 1));
    check(&Case::square([3, 9, 60, 61], 10, 3, 1, 1).biased(Activation::Relu));
    check(&Case::square([3, 9, 60, 61], 9, 3, 1, 1).groups(9).biased(Activation::Relu6));
}

/// (f(v + h) - f(v - h)) / 2h of a weighted sum of outputs, for some values of each input.
#[test]
fn gradients_are_finite_differences() {
    for case in [
        Case::square([2, 3, 5, 6], 4, 3, 1, 1).biased(Activation::None),
        Case::square([2, 4, 7, 5], 4, 3, 2, 1).groups(4),
        Case::square([1, 3, 6, 6], 5, 2, 2, 1).dilation(2),
    ] {
        let (x, weight, bias) = case.inputs();
        let (x, weight) = (values(x), values(weight));
        let weight_dims = [case.out, case.x[1] / case.geometry.groups, case.kernel[0], case.kernel[1]];
        let loss = |x: &[f32], weight: &[f32]| -> f64 {
            let device = Device::flex();
            let x = Tensor::<4>::from_data(TensorData::new(x.to_vec(), case.x), &device);
            let weight = Tensor::<4>::from_data(TensorData::new(weight.to_vec(), weight_dims), &device);
            let bias = bias.clone().map(Tensor::inner);
            let output = values(conv2d(x, weight, bias, case.geometry, Activation::None));
            let weights = numbers(output.len(), 4);
            output.iter().zip(weights).map(|(a, b)| f64::from(*a) * f64::from(b)).sum()
        };
        let gradients = with_gradients(conv2d, &Case { activation: Activation::None, ..case });
        let step = 0.25f32; // the loss is linear in each value: the larger, the less rounding
        let difference = |values: &[f32], index: usize, loss: &dyn Fn(&[f32]) -> f64| {
            let mut moved = values.to_vec();
            moved[index] += step;
            let up = loss(&moved);
            moved[index] -= 2.0 * step;
            ((up - loss(&moved)) / f64::from(2.0 * step)) as f32
        };
        let of_x: Vec<f32> = (0..x.len()).map(|i| difference(&x, i, &|x| loss(x, &weight))).collect();
        let of_weight: Vec<f32> =
            (0..weight.len()).map(|i| difference(&weight, i, &|w| loss(&x, w))).collect();
        for (ours, differences) in gradients[1..].iter().zip([of_x, of_weight]) {
            assert_close(ours.what, &ours.values, &differences, 1e-4, ours.terms);
        }
    }
}

#[test]
fn threads_change_nothing() {
    let cases = [
        Case::square([4, 3, 90, 90], 32, 3, 2, 1).biased(Activation::Relu),
        Case::square([4, 64, 40, 40], 64, 3, 1, 1),
        Case::square([4, 64, 40, 40], 128, 1, 1, 0),
        Case::square([4, 256, 8, 8], 256, 3, 1, 1).biased(Activation::Relu6),
        Case::square([4, 96, 33, 33], 96, 3, 2, 1),
        Case::square([4, 64, 41, 41], 64, 3, 2, 1).groups(64),
        Case::square([4, 64, 41, 41], 64, 3, 1, 1).groups(64),
    ];
    for case in cases {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| with_gradients(conv2d, &case))
        };
        let one = run(1);
        for threads in [2, 3, 7] {
            assert_eq!(one, run(threads), "{threads} threads, {case:?}");
        }
    }
}

/// Views whose values are out of order, and gradients that are.
#[test]
fn views() {
    let case = Case::square([2, 6, 7, 9], 5, 3, 1, 1);
    let (x, weight, _) = case.inputs();
    let turned = x.clone().swap_dims(2, 3).require_grad();
    let output = conv2d(turned.clone(), weight.clone(), None, case.geometry, Activation::Relu);
    let gradients = output.clone().swap_dims(2, 3).sum().backward();
    let copied = values(x.swap_dims(2, 3));
    let copied =
        Tensor::<4>::from_data(TensorData::new(copied, turned.dims()), &turned.device()).require_grad();
    let again = conv2d(copied.clone(), weight, None, case.geometry, Activation::Relu);
    let same = again.clone().sum().backward();
    assert_eq!(values(output), values(again));
    let (ours, theirs) = (turned.grad(&gradients).expect("one"), copied.grad(&same).expect("one"));
    assert_eq!(values(ours), values(theirs));
}

/// A pair in one pass is one convolution after the other, to the bit, with any number of threads.
#[test]
fn a_pair_is_two() {
    let first = Case::square([2, 16, 90, 83], 75, 1, 1, 0).biased(Activation::Relu6);
    let second = Case::square([2, 75, 90, 83], 75, 3, 2, 1).groups(75).biased(Activation::HardSwish);
    let [(x, first), (_, second)] = [scaled(&first), scaled(&second)];
    let (x, first, second) = (x.inner(), inner(first), inner(second));
    let apart = values(conv2d_scaled(conv2d_scaled(x.clone(), first.clone()), second.clone()));
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let pair = pool.install(|| conv2d_scaled_pair(x.clone(), first.clone(), second.clone()));
        assert_eq!(values(pair), apart, "{threads} threads");
    }
}

/// Only what is tracked gets a gradient.
#[test]
fn frozen_weights() {
    let case = Case::square([1, 3, 5, 5], 4, 3, 1, 1);
    let (x, weight, _) = case.inputs();
    let x = x.require_grad();
    let gradients = conv2d(x.clone(), weight.clone(), None, case.geometry, Activation::None).sum().backward();
    assert!(x.grad(&gradients).is_some());
    let tracked = weight.require_grad();
    let gradients =
        conv2d(tensor(case.x, 1), tracked.clone(), None, case.geometry, Activation::None).sum().backward();
    assert!(tracked.grad(&gradients).is_some());

    let (x, conv) = scaled(&case);
    let (x, tracked) = (x.require_grad(), conv.weight.require_grad());
    let gradients = conv2d_scaled(x.clone(), ScaledConv { weight: tracked.clone(), ..conv }).sum().backward();
    assert!(x.grad(&gradients).is_some() && tracked.grad(&gradients).is_some());
}
