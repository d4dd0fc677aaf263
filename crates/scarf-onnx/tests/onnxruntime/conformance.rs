//! Every backbone with random weights, and every operation: onnxruntime's maps are ours.

use crate::common::{Jobs, difference, lived_in, numbers, pixels, python};
use burn::module::Module;
use burn::tensor::Device;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::layers::{BatchNorm, Conv2d, Conv2dConfig, ConvTranspose2d, MaxPool2d, NormConfig};
use scarf_backbones::{Backbone, BackboneConfig, FeatureMap};
use scarf_onnx::Trace;

/// The recipes of `crates/scarf-backbones/tests/conformance.rs`.
const BACKBONES: [&str; 16] = [
    "[mobilenet_v1]",
    "mobilenet_v1 = { width = 0.25, outputs = [3, 5, 11], norm = 'none' }",
    "mobilenet_v1 = { flavor = 'gluoncv', norm = { batch = { epsilon = 1e-5, momentum = 0.1 } } }",
    "[mobilenet_v2]",
    "mobilenet_v2 = { width = 0.35, flavor = 'tensorflow', \
     outputs = [{ block = 3 }, { block = 6 }, { expansion = 14 }], norm = { frozen = { epsilon = 1e-3 } } }",
    "[mobilenet_v3]",
    "mobilenet_v3 = { reduced_tail = true, outputs = [{ block = 6 }, { block = 12 }, { block = 15 }, \
     { block = 16 }] }",
    "resnet = { depth = 18, outputs = [1, 2, 3, 4] }",
    "resnet = { depth = 34, outputs = [2] }",
    "[resnet]",
    "resnet = { depth = 101, variant = 'v1.5', outputs = [1, 3] }",
    "[resnet_v2]",
    "resnet_v2 = { depth = 18, outputs = [1, 2, 4] }",
    "vgg = { form = { plain = [1, 3, 5] } }",
    "vgg = { form = { plain = [4] }, norm = { batch = { epsilon = 1e-5, momentum = 0.1 } } }",
    "[vgg]",
];
/// Batch, rows and columns.
const SIZES: [[usize; 3]; 3] = [[1, 1, 1], [2, 33, 50], [3, 64, 31]];

#[test]
fn backbones() {
    let Some(python) = python() else { return };
    let device = Device::default();
    let (mut jobs, mut expected) = (Jobs::new(), Vec::new());
    for (seed, recipe) in (0..).zip(BACKBONES) {
        let config: BackboneConfig = toml::from_str(recipe).unwrap();
        let backbone = config.init(&device, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
        let backbone = lived_in(backbone, seed);
        for [batch, rows, columns] in SIZES {
            let images = pixels([batch, 3, rows, columns], seed) / 64.0 - 2.0;
            let trace = Trace::new(&backbone);
            let maps = backbone.forward(trace.input("images", [3, rows, columns])).0;
            for (level, map) in maps.iter().enumerate() {
                trace.output(&format!("level{level}"), map);
            }
            jobs.add(&trace.finish(), &images);
            expected.push((recipe, [batch, rows, columns], backbone.forward(images).0));
        }
    }
    for (answer, (recipe, size, maps)) in jobs.run(&python).iter().zip(expected) {
        for (level, map) in maps.into_iter().enumerate() {
            let name = format!("level{level}");
            assert_eq!(answer.shape(&name), map.dims(), "{recipe} {size:?}");
            let difference = difference(&answer.floats(&name), &numbers(map));
            println!("{difference:.1e} {recipe} {size:?} {name}");
            assert!(difference < 1e-4, "{recipe} {size:?} {name}: {difference:e}");
        }
    }
}

#[derive(Module, Debug)]
struct Odd {
    conv: Conv2d,
    up: ConvTranspose2d,
    norm: BatchNorm,
}

/// What no backbone above does: the rest of [`FeatureMap`].
fn odd<M: FeatureMap>(x: M, Odd { conv, up, norm }: &Odd) -> Vec<M> {
    use scarf_backbones::layers::Activation::{HardSigmoid, HardSwish, None};
    let [_, _, rows, columns] = x.dims();
    let y = conv.forward(x.clone(), HardSwish);
    let twice = up.forward(y.clone());
    let gate = y.clone().mean_pixel().activate(HardSigmoid);
    let pool = |kernel, stride, padding, ceil| MaxPool2d { kernel, stride, padding, ceil };
    vec![
        y.clone().times(gate),
        M::cat_channels(vec![x.clone(), y.clone(), conv.forward(x.clone(), None)]),
        y.clone().resize_nearest([2 * rows, 2 * columns - 1]),
        y.clone().resize_nearest([3 * rows + 1, columns]),
        y.clone().max_pool(pool(3, 2, 1, true)),
        y.clone().max_pool(pool(2, 2, 1, true)),
        y.max_pool(pool(1, 2, 0, false)),
        twice.clone().crop([2 * rows - 1, 3]),
        twice.norm(norm, HardSwish),
    ]
}

#[test]
fn other_operations() {
    let Some(python) = python() else { return };
    let (mut jobs, mut expected) = (Jobs::new(), Vec::new());
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let device = Device::default();
    let conv = Conv2dConfig::new(3, 3, 3).with_bias(true).init(&device, &mut rng);
    let up = ConvTranspose2d::new(3, 5, &device, &mut rng);
    let layers = lived_in(Odd { conv, up, norm: NormConfig::BATCH.init(5, &device).unwrap() }, 1);
    for [batch, rows, columns] in [[1, 7, 10], [2, 12, 9], [1, 2, 3]] {
        let images = pixels([batch, 3, rows, columns], 9) / 64.0 - 2.0;
        let trace = Trace::new(&layers);
        for (level, map) in odd(trace.input("images", [3, rows, columns]), &layers).iter().enumerate() {
            trace.output(&format!("level{level}"), map);
        }
        let graph = trace.finish();
        let parameters = (3 * 9 + 1) * 3 + 3 * 9 * 5 + 5 + 2 * 5;
        assert_eq!(graph.cost().parameters, parameters, "a layer used twice has its parameters once");
        jobs.add(&graph, &images);
        expected.push(odd(images, &layers));
    }
    for (answer, maps) in jobs.run(&python).iter().zip(expected) {
        for (level, map) in maps.into_iter().enumerate() {
            let name = format!("level{level}");
            assert_eq!(answer.shape(&name), map.dims(), "{name}");
            let difference = difference(&answer.floats(&name), &numbers(map));
            assert!(difference < 1e-5, "{name}: {difference:e}");
        }
    }
}
