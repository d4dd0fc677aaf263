//! MobileNet v2, ResNet and VGG against PyTorch on the published weights: the reference files were
//! made by CPU PyTorch in f32 from the same f16 files.

use crate::common::{assert_parity, folder, fresh, images, reference, spatial_mean, tensor, weights};
use burn::tensor::{Tensor, module};
use scarf_backbones::layers::NormConfig;
use scarf_backbones::{
    Backbone, BackboneConfig, Flavor, MobileNetV2Config, ResNetConfig, ResNetVariant, Tap, VggConfig,
    VggForm, Weights,
};

/// The maps of `config` with the published weights `name` for the reference's pictures.
fn maps(config: &BackboneConfig, folder: &std::path::Path, name: &str) -> (Vec<Tensor<4>>, Weights) {
    let reference = reference(folder, name);
    let (backbone, _) = config.load(fresh(config), [weights(folder, name)]).unwrap();
    (backbone.forward(images(&reference, config.normalization())).0, reference)
}

fn first(map: &Tensor<4>) -> Tensor<4> {
    map.clone().narrow(0, 0, 1)
}

#[test]
fn mobilenet_v2_imagenet() {
    let Some(folder) = folder() else { return };
    for norm in [NormConfig::BATCH, NormConfig::None] {
        let outputs = vec![Tap::Block(13), Tap::Expansion(14), Tap::Block(18)];
        let config = MobileNetV2Config { outputs, norm, ..Default::default() };
        let config = BackboneConfig::MobilenetV2(config);
        let (maps, reference) = maps(&config, &folder, "mobilenet_v2_imagenet_features");
        assert_parity("block 13", spatial_mean(maps[0].clone()), tensor(&reference, "features13_mean"));
        assert_parity("expansion 14", first(&maps[1]), tensor(&reference, "features14_expand_image0"));
        assert_parity("block 18", first(&maps[2]), tensor(&reference, "features18_image0"));
        assert_parity("block 18", spatial_mean(maps[2].clone()), tensor(&reference, "features18_mean"));
    }
}

#[test]
fn mobilenet_v2_coco() {
    let Some(folder) = folder() else { return };
    for norm in [NormConfig::None, NormConfig::Frozen { epsilon: 1e-3 }] {
        let config = MobileNetV2Config { flavor: Flavor::Tensorflow, norm, ..Default::default() };
        let config = BackboneConfig::MobilenetV2(config);
        let (maps, reference) = maps(&config, &folder, "ssdlite_mobilenet_v2_coco");
        for (level, map) in maps.into_iter().enumerate() {
            let means = tensor(&reference, &format!("map{level}_mean"));
            assert_parity(&format!("map {level}"), spatial_mean(map), means);
        }
    }
}

#[test]
fn resnet_50_imagenet() {
    let Some(folder) = folder() else { return };
    let config = |variant| {
        let norm = NormConfig::Frozen { epsilon: 1e-5 };
        BackboneConfig::Resnet(ResNetConfig { depth: 50, variant, outputs: vec![1, 2, 3, 4], norm })
    };
    let (levels, reference) = maps(&config(ResNetVariant::V1), &folder, "resnet50_imagenet");
    for (stage, map) in (1..).zip(&levels) {
        let means = tensor(&reference, &format!("layer{stage}_mean"));
        assert_parity(&format!("stage {stage}"), spatial_mean(map.clone()), means);
        if stage < 4 {
            let part = tensor(&reference, &format!("layer{stage}_image0_ch0_8"));
            assert_parity(&format!("stage {stage}"), first(map).narrow(1, 0, 8), part);
        }
    }
    assert_parity("stage 4", first(&levels[3]), tensor(&reference, "layer4_image0"));
    let file = weights(&folder, "resnet50_imagenet");
    let weight: Tensor<2> = tensor(&file, "fc.weight");
    let features = spatial_mean(levels[3].clone());
    let logits = module::linear(features, weight.transpose(), Some(tensor(&file, "fc.bias")));
    assert_parity("logits", logits, tensor(&reference, "logits"));

    // The same kernels with the stride in the 3x3: close, but another network.
    let (other, _) = maps(&config(ResNetVariant::V1_5), &folder, "resnet50_imagenet");
    let difference = (spatial_mean(other[1].clone()) - spatial_mean(levels[1].clone())).abs().mean();
    assert!(difference.into_scalar::<f32>() > 1e-3);
}

#[test]
fn vgg_16_imagenet() {
    let Some(folder) = folder() else { return };
    let form = VggForm::Plain(vec![4, 5]);
    let config = BackboneConfig::Vgg(VggConfig { form, norm: NormConfig::None });
    let (maps, reference) = maps(&config, &folder, "vgg16_imagenet_features");
    let part = tensor(&reference, "relu4_3_image0_ch0_32");
    assert_parity("relu4_3", first(&maps[0]).narrow(1, 0, 32), part);
    assert_parity("relu4_3", spatial_mean(maps[0].clone()), tensor(&reference, "relu4_3_mean"));
    assert_parity("relu5_3", first(&maps[1]), tensor(&reference, "relu5_3_image0"));
    assert_parity("relu5_3", spatial_mean(maps[1].clone()), tensor(&reference, "relu5_3_mean"));
}

/// SSD's first map is relu4_3 with each pixel's channels of length 20; the rest is not in the file.
#[test]
fn vgg_16_atrous_keeps_what_there_is() {
    let Some(folder) = folder() else { return };
    let config = BackboneConfig::Vgg(VggConfig::default());
    let file = weights(&folder, "vgg16_imagenet_features");
    let (backbone, report) = config.load(fresh(&config), [file]).unwrap();
    assert_eq!(report.loaded.len(), 26);
    assert_eq!(report.missing.len(), 5, "{report}");
    let input = images(&reference(&folder, "vgg16_imagenet_features"), config.normalization());
    let maps = backbone.forward(input.narrow(0, 0, 1)).0;
    let lengths = maps[0].clone().square().sum_dim(1).sqrt();
    let off = (lengths - 20.0).abs().max().into_scalar::<f32>();
    assert!(off < 1e-3, "{off}");
}
