//! Every shape of convolution of the backbones, on small maps, against burn's own operations.

mod common;

use common::{Case, check};
use scarf_kernels::Activation;

#[test]
fn mobilenet_v1() {
    check(&Case::square([2, 3, 32, 32], 32, 3, 2, 1));
    check(&Case::square([2, 3, 66, 66], 32, 3, 2, 1));
    let blocks = [
        (32, 64, 1, 16),
        (64, 128, 2, 16),
        (128, 128, 1, 8),
        (128, 256, 2, 8),
        (256, 256, 1, 6),
        (256, 512, 2, 6),
        (512, 512, 1, 5),
        (512, 1024, 2, 5),
        (1024, 1024, 1, 3),
    ];
    for (channels, out, stride, side) in blocks {
        check(&Case::square([2, channels, side, side], channels, 3, stride, 1).groups(channels));
        let side = side.div_ceil(stride);
        check(&Case::square([2, channels, side, side], out, 1, 1, 0));
    }
}

#[test]
fn mobilenet_v2() {
    let blocks = [
        (32, 16, 1, 1, 12),
        (16, 24, 6, 2, 12),
        (24, 24, 6, 1, 8),
        (24, 32, 6, 2, 8),
        (32, 64, 6, 2, 7),
        (64, 96, 6, 1, 6),
        (96, 160, 6, 2, 6),
        (160, 320, 6, 1, 3),
    ];
    for (channels, out, expansion, stride, side) in blocks {
        let wide = channels * expansion;
        check(&Case::square([2, channels, side, side], wide, 1, 1, 0));
        check(&Case::square([2, wide, side, side], wide, 3, stride, 1).groups(wide));
        let side = side.div_ceil(stride);
        check(&Case::square([2, wide, side, side], out, 1, 1, 0).biased(Activation::Relu6));
    }
    check(&Case::square([2, 320, 3, 3], 1280, 1, 1, 0));
}

#[test]
fn resnet50() {
    check(&Case::square([1, 3, 40, 40], 64, 7, 2, 3));
    check(&Case::square([1, 3, 70, 70], 64, 7, 2, 3));
    for (channels, width, stride, side) in
        [(64, 64, 1, 9), (256, 128, 2, 9), (512, 256, 2, 6), (1024, 512, 2, 4)]
    {
        let half = usize::div_ceil(side, stride);
        check(&Case::square([2, channels, side, side], width, 1, 1, 0));
        check(&Case::square([2, width, side, side], width, 3, stride, 1));
        check(&Case::square([2, width, half, half], width * 4, 1, 1, 0));
        check(&Case::square([2, channels, side, side], width * 4, 1, stride, 0));
        check(&Case::square([2, width * 4, half, half], width, 1, 1, 0));
        check(&Case::square([2, width, half, half], width, 3, 1, 1));
    }
}

#[test]
fn vgg16_atrous() {
    let layers = [
        (3, 64, 20),
        (3, 64, 36),
        (64, 64, 20),
        (64, 128, 11),
        (128, 256, 9),
        (256, 256, 9),
        (256, 512, 6),
        (512, 512, 5),
    ];
    for (channels, out, side) in layers {
        check(&Case::square([1, channels, side, side], out, 3, 1, 1).biased(Activation::Relu));
    }
    check(&Case::square([1, 512, 7, 7], 1024, 3, 1, 6).dilation(6).biased(Activation::Relu));
    check(&Case::square([1, 1024, 7, 7], 1024, 1, 1, 0).biased(Activation::Relu));
}

#[test]
fn ssd_extras_and_heads() {
    for (channels, out, kernel, stride, padding, side) in [
        (1024, 256, 1, 1, 0, 5),
        (256, 512, 3, 2, 1, 5),
        (512, 128, 1, 1, 0, 3),
        (128, 256, 3, 1, 0, 3),
        (128, 256, 4, 1, 1, 2),
        (256, 24, 3, 1, 1, 1),
        (512, 84, 3, 1, 1, 7),
    ] {
        check(
            &Case::square([3, channels, side, side], out, kernel, stride, padding).biased(Activation::Relu),
        );
    }
}
