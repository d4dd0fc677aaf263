//! Max pooling against burn's own operation.

mod common;

use burn::tensor::module::max_pool2d as burn_max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor};
use common::{tensor, values};
use proptest::prelude::*;
use scarf_kernels::max_pool2d;

fn run(
    pool: fn(Tensor<4>, MaxPoolOptions<2>) -> Tensor<4>,
    dims: [usize; 4],
    options: &MaxPoolOptions<2>,
) -> (Vec<f32>, Vec<f32>) {
    let x = tensor(dims, 1).require_grad();
    let output = pool(x.clone(), options.clone());
    let gradients = (output.clone() * tensor(output.dims(), 2)).sum().backward();
    (values(output), values(x.grad(&gradients).expect("a gradient")))
}

fn check(dims: [usize; 4], options: &MaxPoolOptions<2>) {
    let ((output, gradient), (stock, stock_gradient)) =
        (run(max_pool2d, dims, options), run(burn_max_pool2d, dims, options));
    assert_eq!(output, stock, "{dims:?} {options:?}");
    common::assert_close(&format!("{dims:?} {options:?}"), &gradient, &stock_gradient, 1e-6, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn is_burns(
        dims in [1..4usize, 1..6usize, 1..45usize, 1..45usize],
        kernel in [1..6usize, 1..6usize],
        stride in [1..5usize, 1..5usize],
        begin in [0..3usize, 0..3usize],
        ceil in any::<bool>(),
    ) {
        let padding = [0, 1].map(|axis| begin[axis].min(kernel[axis] / 2));
        prop_assume!((0..2).all(|axis| dims[2 + axis] + 2 * padding[axis] >= kernel[axis]));
        let options =
            MaxPoolOptions::new(kernel).with_stride(stride).with_padding(padding).with_ceil_mode(ceil);
        check(dims, &options);
    }
}

#[test]
fn the_backbones() {
    check([2, 8, 75, 75], &MaxPoolOptions::new([2, 2]).with_ceil_mode(true));
    check([2, 8, 19, 19], &MaxPoolOptions::new([3, 3]).with_stride([1, 1]).with_padding([1, 1]));
    check([2, 8, 128, 128], &MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]));
}

/// The first of equals gets the gradient.
#[test]
fn equals() {
    let device = Device::flex().autodiff();
    let x = Tensor::<4>::from_floats([[[[1.0, 2.0], [2.0, 2.0]]]], &device).require_grad();
    let gradients = max_pool2d(x.clone(), MaxPoolOptions::new([2, 2])).sum().backward();
    assert_eq!(values(x.grad(&gradients).expect("a gradient")), [0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn uneven_padding() {
    let options = MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding_pairs([(0, 1), (1, 0)]);
    check([2, 3, 9, 12], &options);
}
