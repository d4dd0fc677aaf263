//! Every instruction set that this processor has, against sums written out.

use super::gemm::After;
use super::norm::{Affine, Batch};
use super::rounded::{round, with_rounded_factors};
use super::simd::{HIGHEST, Level};
use super::{dense, depthwise, depthwise_gradients, norm, pool};
use crate::cpu::shape::{PoolShape, Shape};
use crate::geometry::{Activation, ConvGeometry};

fn numbers(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761);
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Calls `visit(input, weight, output)` with the places of every product of a convolution.
fn products(shape: &Shape, mut visit: impl FnMut(usize, usize, usize)) {
    let (channels, outs) = (shape.group_channels(), shape.group_out());
    let sizes = [shape.images, shape.out_channels, shape.out_pixels(), channels, shape.taps()];
    for index in 0..sizes.iter().product() {
        let (rest, tap) = (index / sizes[4], index % sizes[4]);
        let (rest, channel) = (rest / channels, rest % channels);
        let (rest, pixel) = (rest / sizes[2], rest % sizes[2]);
        let (image, out) = (rest / sizes[1], rest % sizes[1]);
        let row = pixel / shape.out_width * shape.stride[0] + tap / shape.kernel[1] * shape.dilation[0];
        let column = pixel % shape.out_width * shape.stride[1] + tap % shape.kernel[1] * shape.dilation[1];
        let (y, x) = (row.wrapping_sub(shape.top), column.wrapping_sub(shape.left));
        if y < shape.height && x < shape.width {
            let plane = image * shape.channels + out / outs * channels + channel;
            let input = plane * shape.in_pixels() + y * shape.width + x;
            let weight = (out * channels + channel) * sizes[4] + tap;
            visit(input, weight, (image * sizes[1] + out) * sizes[2] + pixel);
        }
    }
}

fn assert_close(what: &str, ours: &[f32], exact: &[f64]) {
    assert_eq!(ours.len(), exact.len(), "{what}");
    let scale = exact.iter().fold(1.0f64, |largest, value| largest.max(value.abs()));
    for (index, (a, b)) in ours.iter().zip(exact).enumerate() {
        assert!((f64::from(*a) - b).abs() < 1e-5 * scale, "{what}: value {index} is {a}, not {b}");
    }
}

/// What `write` writes; it may write nothing behind that.
fn filled(len: usize, write: impl FnOnce(*mut f32)) -> Vec<f32> {
    let mut values = vec![f32::NAN; len + 64];
    write(values.as_mut_ptr());
    let behind = values.split_off(len);
    assert!(behind.iter().all(|value| value.is_nan()));
    values
}

/// The way forward and both gradients, of factors as they are and of rounded ones.
fn check(level: Level, shape: &Shape) {
    check_factors(level, shape, false);
    if !shape.is_depthwise() {
        with_rounded_factors(true, || check_factors(level, shape, true));
    }
}

fn check_factors(level: Level, shape: &Shape, rounded: bool) {
    let factor = |value: f32| f64::from(if rounded { round(value) } else { value });
    let x = numbers(shape.images * shape.channels * shape.in_pixels(), 1);
    let weight = numbers(shape.out_channels * shape.group_channels() * shape.taps(), 2);
    let gradient = numbers(shape.images * shape.out_channels * shape.out_pixels(), 3);
    let mut exact = [vec![0.0f64; gradient.len()], vec![0.0f64; x.len()], vec![0.0f64; weight.len()]];
    products(shape, |input, tap, output| {
        let (x, w, g) = (factor(x[input]), factor(weight[tap]), factor(gradient[output]));
        exact[0][output] += x * w;
        exact[1][input] += g * w;
        exact[2][tap] += g * x;
    });
    // SAFETY: the buffers are as long as the results.
    let (output, of_x, of_weight) = unsafe {
        if shape.is_depthwise() {
            (
                filled(gradient.len(), |out| depthwise::forward(&x, &weight, After::default(), shape, out)),
                filled(x.len(), |out| depthwise_gradients::input_gradient(&weight, &gradient, shape, out)),
                depthwise_gradients::weight_gradient(&x, &gradient, shape),
            )
        } else {
            (
                filled(gradient.len(), |out| dense::forward(&x, &weight, After::default(), shape, out)),
                filled(x.len(), |out| dense::input_gradient(&gradient, &weight, shape, out)),
                dense::weight_gradient(&x, &gradient, shape),
            )
        }
    };
    assert_close(&format!("{level:?} {rounded} output {shape:?}"), &output, &exact[0]);
    assert_close(&format!("{level:?} {rounded} input gradient {shape:?}"), &of_x, &exact[1]);
    assert_close(&format!("{level:?} {rounded} weight gradient {shape:?}"), &of_weight, &exact[2]);
}

fn shape(x: [usize; 4], out: usize, kernel: usize, stride: usize, padding: usize, groups: usize) -> Shape {
    let geometry = ConvGeometry { stride: [stride; 2], padding: [[padding; 2]; 2], dilation: [1; 2], groups };
    Shape::new(x, [out, x[1] / groups, kernel, kernel], &geometry).expect("a shape")
}

fn convolutions(level: Level) {
    for side in [1, 4, 7, 16, 17, 33, 50] {
        check(level, &shape([2, 5, side, side], 9, 3, 1, 1, 1));
        check(level, &shape([2, 19, side, side], 13, 1, 1, 0, 1));
        check(level, &shape([2, 6, side, side], 8, 3, 2, 1, 2));
        check(level, &shape([2, 3, side, side], 3, 3, 1, 1, 3));
        check(level, &shape([2, 3, side, side], 3, 3, 2, 1, 3));
        check(level, &shape([1, 3, side, side], 3, 5, 3, 2, 3));
        check(level, &shape([1, 3, side, side], 3, 5, 1, 2, 3));
        check(level, &shape([2, 3, side, side], 3, 5, 2, 2, 3));
    }
    check(level, &shape([1, 60, 9, 9], 21, 3, 1, 1, 1));
    check(level, &shape([2, 8, 17, 17], 12, 3, 1, 1, 2));
    check(level, &shape([2, 70, 9, 9], 33, 2, 1, 0, 1));
    // The input's gradient in several parts, of channels that are no multiple of every tile's height.
    check(level, &shape([1, 40, 160, 160], 2, 1, 2, 0, 1));
    check(level, &shape([1, 70, 60, 60], 3, 5, 2, 2, 1));
    // Few channels and long rows: more padding than there is image, columns and rows that a stride skips, several bands.
    check(level, &shape([2, 3, 90, 90], 20, 7, 2, 3, 1));
    for [height, width] in [[1, 40], [5, 37], [70, 130]] {
        for (stride, dilation) in [([1, 1], [2, 1]), ([2, 2], [1, 3]), ([5, 6], [1, 1]), ([1, 3], [3, 2])] {
            for padding in [[[0, 1], [0, 1]], [[2, 0], [1, 3]], [[9, 9], [70, 60]]] {
                let geometry = ConvGeometry { stride, padding, dilation, groups: 1 };
                if let Some(shape) = Shape::new([1, 2, height, width], [7, 2, 3, 5], &geometry) {
                    check(level, &shape);
                }
            }
        }
    }
    // One tap, and columns of which every other one is wanted.
    let geometry = ConvGeometry { stride: [1, 2], padding: [[0, 0], [0, 31]], dilation: [1; 2], groups: 1 };
    check(level, &Shape::new([1, 3, 1, 32], [5, 3, 1, 1], &geometry).expect("a shape"));
    // Sums in several blocks: across two images, and with a few columns beyond whole vectors.
    check(level, &shape([2, 40, 3, 3], 21, 3, 1, 1, 1));
    check(level, &shape([1, 300, 10, 10], 21, 1, 1, 0, 1));
    for [height, width] in [[1, 40], [3, 2], [9, 34], [40, 5]] {
        for padding in [[[0, 1], [0, 1]], [[2, 0], [1, 3]], [[3, 3], [18, 20]], [[0, 2], [5, 0]]] {
            for stride in [[1, 1], [2, 2], [1, 2]] {
                let geometry = ConvGeometry { stride, padding, dilation: [1; 2], groups: 2 };
                if let Some(shape) = Shape::new([1, 2, height, width], [2, 1, 3, 3], &geometry) {
                    check(level, &shape);
                }
            }
        }
    }
}

fn normalisation(level: Level) {
    let batch = Batch { images: 3, channels: 2, pixels: 71 };
    let (x, gradient) = (numbers(426, 1), numbers(426, 2));
    let map = |_: usize| Affine { scale: 2.0, shift: 0.5, activation: Activation::Relu6 };
    let (mut mean, mut variance) = (Vec::new(), Vec::new());
    // SAFETY: the buffer is as long as the result.
    let normalized = unsafe {
        filled(426, |out| (mean, variance) = norm::normalize(&x, &batch, &|channel, _, _| map(channel), out))
    };
    let of_channel = |channel: usize| {
        (0..426).filter(move |index| index / 71 % 2 == channel).map(|index| f64::from(numbers(426, 1)[index]))
    };
    for channel in 0..2 {
        let exact = of_channel(channel).sum::<f64>() / 213.0;
        let squares = of_channel(channel).map(|value| (value - exact).powi(2)).sum::<f64>() / 213.0;
        assert_close(&format!("{level:?} mean"), &mean[channel..=channel], &[exact]);
        assert_close(&format!("{level:?} variance"), &variance[channel..=channel], &[squares]);
    }
    // SAFETY: the buffers are as long as the results.
    let (output, of_x) = unsafe {
        (
            filled(426, |out| norm::affine(&x, &batch, &map, out)),
            filled(426, |out| drop(norm::affine_backward(&x, &gradient, &batch, &map, out))),
        )
    };
    let plain: Vec<f64> = x.iter().map(|x| f64::from(x.mul_add(2.0, 0.5))).collect();
    let clamped: Vec<f64> = plain.iter().map(|y| y.clamp(0.0, 6.0)).collect();
    let inside = |y: f64| if y > 0.0 && y < 6.0 { 2.0 } else { 0.0 };
    let back: Vec<f64> = plain.iter().zip(&gradient).map(|(y, g)| inside(*y) * f64::from(*g)).collect();
    assert_close(&format!("{level:?} map"), &output, &clamped);
    assert_eq!(output, normalized, "{level:?}");
    assert_close(&format!("{level:?} map's gradient"), &of_x, &back);
}

fn pooling(level: Level) {
    for (kernel, stride) in [(2, 2), (3, 2), (3, 1), (2, 3)] {
        let shape = PoolShape {
            planes: 2,
            height: 37,
            width: 41,
            out_height: (37 - kernel) / stride + 1,
            out_width: (41 - kernel) / stride + 1,
            kernel: [kernel; 2],
            stride: [stride; 2],
            top: 0,
            left: 0,
        };
        let x = numbers(2 * 37 * 41, 1);
        let mut exact = Vec::new();
        for plane in 0..2 {
            for window in 0..shape.out_height * shape.out_width {
                let (y, column) = (window / shape.out_width * stride, window % shape.out_width * stride);
                let values = (0..kernel * kernel)
                    .map(|tap| x[(plane * 37 + y + tap / kernel) * 41 + column + tap % kernel]);
                exact.push(f64::from(values.fold(f32::NEG_INFINITY, f32::max)));
            }
        }
        // SAFETY: the buffer is as long as the result.
        let output = filled(exact.len(), |out| unsafe { pool::max_pool(&x, &shape, out) });
        assert_close(&format!("{level:?} pool {kernel}/{stride}"), &output, &exact);
    }
}

/// A level above the processor's best is the best again: what is tested is what there is.
#[test]
fn every_instruction_set() {
    let levels = [
        Level::Plain,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512,
        #[cfg(target_arch = "x86_64")]
        Level::Amx,
    ];
    for level in levels {
        HIGHEST.set(Some(level));
        convolutions(level);
        normalisation(level);
        pooling(level);
    }
}

/// How a result is cut into tasks hangs on the threads, and which register tiles are whole hangs on that; results don't.
#[test]
fn threads_don_t_show() {
    let products = |shape: &Shape| {
        let x = numbers(shape.images * shape.channels * shape.in_pixels(), 1);
        let weight = numbers(shape.out_channels * shape.group_channels() * shape.taps(), 2);
        let gradient = numbers(shape.images * shape.out_channels * shape.out_pixels(), 3);
        // SAFETY: the buffers are as long as the results.
        unsafe {
            [
                filled(gradient.len(), |out| dense::forward(&x, &weight, After::default(), shape, out)),
                filled(x.len(), |out| dense::input_gradient(&gradient, &weight, shape, out)),
                dense::weight_gradient(&x, &gradient, shape),
            ]
        }
    };
    let shapes = [
        shape([1, 512, 1, 216], 32, 1, 1, 0, 1),
        shape([1, 8, 100, 100], 32, 3, 1, 1, 1),
        shape([2, 512, 10, 10], 32, 1, 1, 0, 1),
        shape([3, 40, 37, 37], 50, 3, 2, 1, 1),
        shape([2, 300, 9, 11], 70, 1, 1, 0, 1),
    ];
    for (shape, rounded) in shapes.iter().flat_map(|shape| [(shape, false), (shape, true)]) {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| with_rounded_factors(rounded, || products(shape)))
        };
        let alone = with(1);
        for threads in [2, 3, 5, 16] {
            assert!(alone == with(threads), "{threads} threads, {rounded}, {shape:?}");
        }
        // Nor does it show which other images are in the batch.
        let one = Shape { images: 1, ..*shape };
        let [first, ..] = with_rounded_factors(rounded, || products(&one));
        assert!(first == alone[0][..first.len()], "an image alone, {rounded}, {shape:?}");
    }
}

/// Products of many tasks and long sums: of rounded factors what factors that were rounded before give.
#[test]
fn large_products_of_rounded_factors() {
    for shape in [
        shape([2, 3, 90, 90], 32, 3, 2, 1, 1),
        shape([4, 96, 20, 20], 96, 3, 1, 1, 1),
        shape([3, 96, 5, 5], 20, 1, 1, 0, 1),
        shape([2, 515, 10, 10], 300, 1, 1, 0, 1),
        shape([1, 256, 1, 1100], 333, 1, 1, 0, 1),
        // More images than are made into pairs of channels at once.
        shape([3, 64, 260, 260], 3, 3, 1, 1, 1),
    ] {
        let x = numbers(shape.images * shape.channels * shape.in_pixels(), 1);
        let weight = numbers(shape.out_channels * shape.group_channels() * shape.taps(), 2);
        let gradient = numbers(shape.images * shape.out_channels * shape.out_pixels(), 3);
        // SAFETY: the buffers are as long as the results.
        let products = |x: &[f32], weight: &[f32], gradient: &[f32]| unsafe {
            [
                filled(gradient.len(), |out| dense::forward(x, weight, After::default(), &shape, out)),
                filled(x.len(), |out| dense::input_gradient(gradient, weight, &shape, out)),
                dense::weight_gradient(x, gradient, &shape),
            ]
        };
        let [rx, rw, rg] =
            [&x, &weight, &gradient].map(|values| values.iter().map(|v| round(*v)).collect::<Vec<_>>());
        let before = products(&rx, &rw, &rg);
        let ours = with_rounded_factors(true, || products(&x, &weight, &gradient));
        for (ours, before) in ours.iter().zip(&before) {
            let exact: Vec<f64> = before.iter().map(|value| f64::from(*value)).collect();
            assert_close(&format!("{shape:?}"), ours, &exact);
        }
    }
}
