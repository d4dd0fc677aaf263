//! Batch normalisation and the fixed scale and shift against burn's own operations.

mod common;

use burn::tensor::Tensor;
use burn::tensor::module::batch_norm_train as burn_batch_norm_train;
use common::{Sums, assert_close, tensor, values, weights};
use proptest::prelude::*;
use scarf_kernels::{Activation, activate, batch_norm_train, scale_shift};

fn inputs(dims: [usize; 4]) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let x = tensor(dims, 1) * 2.0 + 0.5;
    let gamma = tensor([dims[1]], 2) + 1.5;
    (x.detach().require_grad(), gamma.detach().require_grad(), tensor([dims[1]], 3).require_grad())
}

/// Output and gradients of a function of three inputs that activates what `plain` gives.
fn gradients(
    dims: [usize; 4],
    activation: Activation,
    plain: impl Fn(Tensor<4>, Tensor<1>, Tensor<1>) -> Tensor<4>,
    f: impl Fn(Tensor<4>, Tensor<1>, Tensor<1>) -> Tensor<4>,
) -> [Sums; 4] {
    let (x, gamma, beta) = inputs(dims);
    let weights = weights(plain(x.clone(), gamma.clone(), beta.clone()).detach(), activation);
    let output = f(x.clone(), gamma.clone(), beta.clone());
    let gradients = (output.clone() * weights).sum().backward();
    let of_channel = dims[0] * dims[2] * dims[3];
    [
        Sums { what: "output", values: values(output), terms: 1 },
        Sums { what: "x", values: values(x.grad(&gradients).expect("a gradient")), terms: 1 },
        Sums {
            what: "gamma",
            values: values(gamma.grad(&gradients).expect("a gradient")),
            terms: of_channel,
        },
        Sums { what: "beta", values: values(beta.grad(&gradients).expect("a gradient")), terms: of_channel },
    ]
}

fn check(dims: [usize; 4], activation: Activation) {
    let close = |what: &str, ours: [Sums; 4], theirs: [Sums; 4], tolerance: f32| {
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let what = format!("{what} {dims:?} {activation:?}: {}", ours.what);
            assert_close(&what, &ours.values, &theirs.values, tolerance, ours.terms);
        }
    };
    let plain = |x, g, b| burn_batch_norm_train(x, g, b, 1e-3).output;
    let ours = |x, g, b| batch_norm_train(x, g, b, 1e-3, activation).output;
    let theirs = |x, g, b| activate(plain(x, g, b), activation);
    let [ours, theirs] =
        [gradients(dims, activation, plain, ours), gradients(dims, activation, plain, theirs)];
    close("batch norm", ours, theirs, 2e-4);
    let (x, gamma, beta) = inputs(dims);
    let statistics = batch_norm_train(x.clone(), gamma.clone(), beta.clone(), 1e-3, activation);
    let stock = burn_batch_norm_train(x, gamma, beta, 1e-3);
    assert_close("mean", &values(statistics.mean), &values(stock.mean), 1e-5, 1);
    assert_close("variance", &values(statistics.variance), &values(stock.variance), 1e-5, 1);

    let shape = [1, dims[1], 1, 1];
    let plain = |x: Tensor<4>, g: Tensor<1>, b: Tensor<1>| x * g.reshape(shape) + b.reshape(shape);
    let ours = |x, g, b| scale_shift(x, g, b, activation);
    let theirs = |x, g, b| activate(plain(x, g, b), activation);
    let [ours, theirs] =
        [gradients(dims, activation, plain, ours), gradients(dims, activation, plain, theirs)];
    close("scale and shift", ours, theirs, 2e-5);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn is_burns(
        images in 1..5usize, channels in 1..20usize, height in 1..30usize, width in 1..30usize,
        activation in prop_oneof![
            Just(Activation::None), Just(Activation::Relu), Just(Activation::Relu6), Just(Activation::HardSigmoid),
            Just(Activation::HardSwish),
        ],
    ) {
        // With next to nothing to normalise, rounding is all there is.
        prop_assume!(images * height * width > 3);
        check([images, channels, height, width], activation);
    }
}

/// Two values per channel, by hand: mean 3, variance 4, so (x - 3) / 2 with epsilon 0.
#[test]
fn by_hand() {
    let x = Tensor::<4>::from_floats([[[[1.0, 5.0]]]], &burn::tensor::Device::flex());
    let one = Tensor::<1>::from_floats([2.0], &burn::tensor::Device::flex());
    let result = batch_norm_train(x, one.clone(), one, 0.0, Activation::Relu);
    assert_eq!(values(result.output), [0.0, 4.0]);
    assert_eq!((values(result.mean), values(result.variance)), (vec![3.0], vec![4.0]));
}

/// The variance of values far from zero does not drown in their mean.
#[test]
fn far_from_zero() {
    let x = tensor([2, 3, 21, 17], 5).inner() + 1000.0;
    let one = Tensor::<1>::ones([3], &x.device());
    let result = batch_norm_train(x.clone(), one.clone(), one, 0.0, Activation::None);
    let x = values(x);
    for (channel, variance) in values(result.variance).into_iter().enumerate() {
        let of_channel: Vec<f64> = (0..2)
            .flat_map(|image| &x[(image * 3 + channel) * 357..][..357])
            .map(|value| f64::from(*value))
            .collect();
        let mean = of_channel.iter().sum::<f64>() / 714.0;
        let exact = of_channel.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 714.0;
        assert!((f64::from(variance) - exact).abs() < 1e-4 * exact, "{variance} for {exact}");
    }
}

#[test]
fn threads_change_nothing() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let layer = |activation| move |x, g, b| batch_norm_train(x, g, b, 1e-5, activation).output;
            gradients([4, 33, 50, 50], Activation::Relu, layer(Activation::None), layer(Activation::Relu))
        })
    };
    let one = run(1);
    for threads in [2, 5] {
        assert_eq!(one, run(threads), "{threads} threads");
    }
}
