//! MobileNet v1 against PyTorch on the published weights: the reference files were made by CPU
//! PyTorch in f32 from the same f16 files.

use crate::common::{assert_parity, folder, fresh, images, reference, spatial_mean, tensor, weights};
use burn::tensor::{Tensor, activation, module};
use scarf_backbones::layers::NormConfig;
use scarf_backbones::{Backbone, BackboneConfig, MobileNetV1Config, Weights};

/// The published epsilon, as fixed statistics and as folded ones; trained norms load like frozen ones.
const NORMS: [NormConfig; 2] = [NormConfig::Frozen { epsilon: 1e-3 }, NormConfig::None];

#[test]
fn imagenet_features_and_logits() {
    let Some(folder) = folder() else { return };
    let file = weights(&folder, "mobilenet_v1_imagenet");
    let reference = reference(&folder, "mobilenet_v1_imagenet");
    for norm in [MobileNetV1Config::default().norm, NORMS[0], NORMS[1]] {
        let config = MobileNetV1Config { outputs: vec![5, 11, 13], norm, ..Default::default() };
        let config = BackboneConfig::MobilenetV1(config);
        let (backbone, report) = config.load(fresh(&config), [file.clone()]).unwrap();
        assert_eq!(report.unexpected, ["classifier.bias", "classifier.weight"]);
        let input = images(&reference, config.normalization());
        assert_parity("input", input.clone().narrow(0, 0, 1), tensor(&reference, "input_image0"));
        let maps = backbone.forward(input).0;
        let block5 = maps[0].clone().narrow(0, 0, 1).narrow(1, 0, 16);
        assert_parity("block 5", block5, tensor(&reference, "block5_image0_ch0_16"));
        for (map, name) in [(&maps[1], "block11"), (&maps[2], "block13")] {
            let first = map.clone().narrow(0, 0, 1);
            assert_parity(name, first, tensor(&reference, &format!("{name}_image0")));
            let means = spatial_mean(map.clone());
            assert_parity(name, means, tensor(&reference, &format!("{name}_mean")));
        }
        let logits = classify(&file, spatial_mean(maps[2].clone()));
        assert_parity("logits", logits.clone(), tensor(&reference, "logits"));
        let best = activation::softmax(logits, 1).max_dim(1).into_data();
        let best: Vec<f32> = best.try_into_vec().unwrap();
        // A tabby, an espresso, a wok.
        for (best, expected) in best.iter().zip([0.4911, 0.9911, 0.1782]) {
            assert!((best - expected).abs() < 1e-4, "{best} is not {expected}");
        }
    }
}

#[test]
fn a_graph_of_tf_slim_is_the_same_network() {
    let Some(folder) = folder() else { return };
    let file = weights(&folder, "mobilenet_v1_imagenet");
    let config = MobileNetV1Config { outputs: vec![5, 11, 13], ..Default::default() };
    let expected = config.adapt(file.clone()).unwrap().matching("^features").unwrap();
    for scope in ["MobilenetV1", "FeatureExtractor/MobilenetV1"] {
        let adapted = config.adapt(as_slim(&file, scope)).unwrap();
        assert_eq!(adapted.len(), 135);
        assert_eq!(adapted.names().collect::<Vec<_>>(), expected.names().collect::<Vec<_>>());
        assert!(adapted.names().all(|name| adapted.get(name) == expected.get(name)));
    }
}

/// The tensors of `file` as TF-slim names them, its axes, and some that are none of the network's.
fn as_slim(file: &Weights, scope: &str) -> Weights {
    let mut slim = Weights::default();
    for name in file.names().filter(|name| name.starts_with("features.")) {
        let array = file.get(name).unwrap().clone();
        let mut parts = name.split('.').skip(1);
        let (block, layer, kind) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let of = match layer {
            "dw" | "dw_bn" => "_depthwise",
            "pw" | "pw_bn" => "_pointwise",
            _ => "",
        };
        let (part, array) = match (layer, kind) {
            ("dw", _) => ("depthwise_weights", array.permute(&[2, 3, 0, 1])),
            ("conv" | "pw", _) => ("weights", array.permute(&[2, 3, 1, 0])),
            (_, "weight") => ("BatchNorm/gamma", array),
            (_, "bias") => ("BatchNorm/beta", array),
            (_, "running_mean") => ("BatchNorm/moving_mean", array),
            _ => ("BatchNorm/moving_variance", array),
        };
        slim.insert(format!("{scope}/Conv2d_{block}{of}/{part}"), array);
    }
    let one = slim.get(&format!("{scope}/Conv2d_0/weights")).unwrap().clone();
    slim.insert(format!("{scope}/Logits/Conv2d_1c_1x1/weights"), one.clone());
    slim.insert(format!("{scope}/Conv2d_13_pointwise_1_Conv2d_2_1x1_256/weights"), one.clone());
    slim.insert(format!("{scope}/{scope}/Conv2d_0/BatchNorm/batchnorm/add/y"), one);
    slim
}

fn classify(file: &Weights, features: Tensor<2>) -> Tensor<2> {
    let weight: Tensor<2> = tensor(file, "classifier.weight");
    module::linear(features, weight.transpose(), Some(tensor(file, "classifier.bias")))
}

#[test]
fn coco_features_of_two_widths() {
    let Some(folder) = folder() else { return };
    let cases =
        [("ssd_mobilenet_v1_coco_partial", 1.0, vec![11]), ("ssd_mobilenet_v1_075_coco", 0.75, vec![11, 13])];
    for (name, width, outputs) in cases {
        let reference = reference(&folder, name);
        for norm in NORMS {
            let config = MobileNetV1Config { width, outputs: outputs.clone(), norm, ..Default::default() };
            let config = BackboneConfig::MobilenetV1(config);
            let (backbone, _) = config.load(fresh(&config), [weights(&folder, name)]).unwrap();
            let maps = backbone.forward(images(&reference, config.normalization())).0;
            for (level, map) in maps.into_iter().enumerate() {
                let means = tensor(&reference, &format!("map{level}_mean"));
                assert_parity(&format!("{name} map {level}"), spatial_mean(map), means);
            }
        }
    }
}

/// The COCO file lacks one kernel of the backbone; ImageNet's layer fills in, whichever form is
/// wanted, and so do both forms agree.
#[test]
fn the_kernel_that_coco_lacks_comes_from_imagenet() {
    let Some(folder) = folder() else { return };
    let coco = weights(&folder, "ssd_mobilenet_v1_coco_partial");
    let imagenet = weights(&folder, "mobilenet_v1_imagenet");
    let pictures = reference(&folder, "ssd_mobilenet_v1_coco_partial");
    let maps = NORMS.map(|norm| {
        let config = BackboneConfig::MobilenetV1(MobileNetV1Config { norm, ..Default::default() });
        let error = config.load(fresh(&config), [coco.clone()]).unwrap_err().to_string();
        assert!(error.contains("1 missing: features.13.pw.conv.weight"), "{error}");
        let (backbone, _) = config.load(fresh(&config), [coco.clone(), imagenet.clone()]).unwrap();
        let maps = backbone.forward(images(&pictures, config.normalization())).0;
        let means = tensor(&pictures, "map0_mean");
        assert_parity("COCO's part", spatial_mean(maps[0].clone()), means);
        maps[1].clone()
    });
    let [frozen, folded] = maps;
    assert_parity("both forms", frozen, folded);
}

#[test]
fn another_width_is_refused_with_every_shape() {
    let Some(folder) = folder() else { return };
    let config = MobileNetV1Config { width: 0.5, norm: NormConfig::None, ..Default::default() };
    let config = BackboneConfig::MobilenetV1(config);
    let file = weights(&folder, "ssd_mobilenet_v1_075_coco");
    let error = config.load(fresh(&config), [file]).unwrap_err().to_string();
    assert!(error.contains("features.13.pw.conv.weight [768, 768, 1, 1], not [512, 512, 1, 1]"), "{error}");
    assert!(error.contains("54 misshapen"), "{error}");
}
