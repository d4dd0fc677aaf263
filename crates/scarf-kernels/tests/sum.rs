//! Sums of two maps against burn's own operations.

mod common;

use burn::tensor::Tensor;
use common::{assert_close, tensor, values, weights};
use proptest::prelude::*;
use scarf_kernels::{Activation, activate, add};

fn stock(x: Tensor<4>, y: Tensor<4>, activation: Activation) -> Tensor<4> {
    activate(x + y, activation)
}

/// The output and the gradients of both.
fn run(
    sum: fn(Tensor<4>, Tensor<4>, Activation) -> Tensor<4>,
    dims: [usize; 4],
    activation: Activation,
) -> [Vec<f32>; 3] {
    let (x, y) = (tensor(dims, 1) * 4.0, tensor(dims, 2) * 4.0);
    let weights = weights(x.clone() + y.clone(), activation);
    let (x, y) = (x.detach().require_grad(), y.detach().require_grad());
    let output = sum(x.clone(), y.clone(), activation);
    let gradients = (output.clone() * weights).sum().backward();
    let [x, y] = [x, y].map(|leaf| values(leaf.grad(&gradients).expect("a gradient")));
    [values(output), x, y]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn is_burns(
        dims in [1..5usize, 1..20usize, 1..40usize, 1..40usize],
        activation in prop_oneof![
            Just(Activation::None), Just(Activation::Relu), Just(Activation::Relu6), Just(Activation::HardSigmoid),
            Just(Activation::HardSwish),
        ],
    ) {
        for (ours, theirs) in run(add, dims, activation).iter().zip(run(stock, dims, activation)) {
            assert_close(&format!("{dims:?} {activation:?}"), ours, &theirs, 1e-6, 1);
        }
        let [x, y] = [1, 2].map(|seed| tensor(dims, seed).inner() * 4.0);
        let theirs = values(stock(x.clone(), y.clone(), activation));
        let what = format!("without autodiff, {dims:?} {activation:?}");
        assert_close(&what, &values(add(x, y, activation)), &theirs, 1e-6, 1);
    }
}

/// Parts of a map, of which nobody holds the whole any more.
#[test]
fn a_part_of_a_map_is_added_to() {
    let parts = || [1, 2].map(|seed| tensor([1, 8, 10, 10], seed).inner().narrow(1, 4, 4));
    let [x, y] = parts();
    let expected = values(stock(x, y, Activation::Relu));
    let [x, y] = parts();
    assert_eq!(values(add(x, y, Activation::Relu)), expected);
}

/// A sum is written over what nobody else holds, and over nothing else.
#[test]
fn what_others_hold_stays() {
    let dims = [2, 3, 200, 201];
    let before = [1, 2].map(|seed| values(tensor(dims, seed)));
    let expected: Vec<f32> = before[0].iter().zip(&before[1]).map(|(x, y)| (x + y).max(0.0)).collect();
    for held in [[false, false], [true, false], [false, true], [true, true]] {
        let [x, y] = [1, 2].map(|seed| tensor(dims, seed).inner());
        let kept = [held[0].then(|| x.clone()), held[1].then(|| y.clone())];
        assert_eq!(values(add(x, y, Activation::Relu)), expected);
        for (kept, before) in kept.into_iter().zip(&before) {
            assert!(kept.is_none_or(|kept| values(kept) == *before), "{held:?}");
        }
    }
    let x = tensor(dims, 1).inner();
    let twice: Vec<f32> = before[0].iter().map(|x| x + x).collect();
    assert_eq!(values(add(x.clone(), x, Activation::None)), twice);
}

/// One number for each channel, as burn has it.
#[test]
fn of_two_sizes() {
    let (x, y) = (tensor([2, 3, 4, 5], 1), tensor([1, 3, 1, 1], 2));
    let theirs = values(stock(x.clone(), y.clone(), Activation::Relu));
    assert_eq!(values(add(x, y, Activation::Relu)), theirs);
}
