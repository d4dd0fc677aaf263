//! Fully connected layers against burn's own product.

mod common;

use burn::tensor::Tensor;
use common::{assert_close, tensor, values};
use proptest::prelude::*;
use scarf_kernels::linear;

fn stock(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    x.matmul(weight.transpose()) + bias.unsqueeze()
}

/// The output and the gradients of input, weights and bias.
fn run(
    layer: fn(Tensor<2>, Tensor<2>, Tensor<1>) -> Tensor<2>,
    [rows, input, output]: [usize; 3],
) -> [Vec<f32>; 4] {
    let (x, weight) = (tensor([rows, input], 1).require_grad(), tensor([output, input], 2).require_grad());
    let bias = tensor([output], 3).require_grad();
    let y = layer(x.clone(), weight.clone(), bias.clone());
    let gradients = (y.clone() * tensor(y.dims(), 4)).sum().backward();
    let bias = bias.grad(&gradients).expect("a gradient");
    let [x, weight] = [x, weight].map(|leaf| values(leaf.grad(&gradients).expect("a gradient")));
    [values(y), x, weight, values(bias)]
}

fn check(sizes: [usize; 3]) {
    let [rows, input, output] = sizes;
    let sums = ["output", "input gradient", "weight gradient", "bias gradient"]
        .into_iter()
        .zip([input, output, rows, rows]);
    for ((what, terms), (ours, theirs)) in sums.zip(run(linear, sizes).iter().zip(run(stock, sizes))) {
        assert_close(
            &format!("{what}, {sizes:?}"),
            ours,
            &theirs,
            2e-6 * (terms as f32).sqrt().max(2.0),
            terms,
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn is_burns(rows in 1..70usize, input in 1..300usize, output in 1..70usize) {
        check([rows, input, output]);
    }
}

#[test]
fn the_box_head() {
    check([130, 12_544, 64]);
    check([512, 1024, 91]);
}

/// Only what is asked for gets a gradient, and no rows are no fault.
#[test]
fn parts() {
    let (x, weight, bias) = (tensor([3, 5], 1), tensor([2, 5], 2), tensor([2], 3));
    let tracked = weight.clone().require_grad();
    let gradients = linear(x.clone(), tracked.clone(), bias.clone()).sum().backward();
    assert!(tracked.grad(&gradients).is_some() && x.grad(&gradients).is_none());
    let tracked = x.clone().require_grad();
    let gradients = linear(tracked.clone(), weight.clone(), bias.clone()).sum().backward();
    assert!(tracked.grad(&gradients).is_some());
    assert_eq!(linear(x.slice([0..0, 0..5]), weight, bias).dims(), [0, 2]);
}
