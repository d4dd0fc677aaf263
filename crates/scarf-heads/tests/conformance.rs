//! What every neck and head must keep: one line each.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{ModuleWeights, Weights};
use scarf_core::{BBox, Size};
use scarf_heads::{Detector, DetectorConfig, Head, Neck, Precision, Targets};

const CLASSES: usize = 3;

macro_rules! conforms {
    ($($name:ident: $neck:literal, $head:literal, $levels:expr;)*) => {
        $(#[test] fn $name() { conform($neck, $head, &$levels); })*
    };
}

// Neck and head as a recipe has them, on a small ResNet, and the channels and strides of the neck's levels.
conforms! {
    ssd: "ssd_extras = { channels = [32, 16] }", "ssd = {}", [(256, 16), (512, 32), (32, 64), (16, 128)];
    ssd_lite: "ssd_extras = { channels = [32], lite = true }",
        "ssd = { lite = true, kernel = 1, scores = 'sigmoid' }", [(256, 16), (512, 32), (32, 64)];
    faster_rcnn_fpn: "fpn = { channels = 32 }",
        "faster_rcnn = { roi = { hidden = 16 }, rpn.anchors.rcnn = { sizes = [[8], [16], [32], [64], [128]], \
         ratios = [0.5, 1.0, 2.0] } }",
        [(32, 4), (32, 8), (32, 16), (32, 32), (32, 64)];
    faster_rcnn_fpn_two_convolutions: "fpn = { channels = 16, pool = false }",
        "faster_rcnn = { roi = { hidden = 16, bins = 3, points = 1 }, rpn = { convolutions = 2, anchors.rcnn = \
         { sizes = [[8, 12], [16, 20], [32, 40], [64, 80]], ratios = [1.0] } } }",
        [(16, 4), (16, 8), (16, 16), (16, 32)];
    cascade: "fpn = { channels = 16, pool = false }",
        "faster_rcnn = { roi = { hidden = 16 }, cascade = [0.6, 0.7], rpn.anchors.rcnn = { sizes = [[8], [16], [32], [64]], \
         ratios = [0.5, 1.0, 2.0] } }",
        [(16, 4), (16, 8), (16, 16), (16, 32)];
    ddn: "mfn = {}",
        "faster_rcnn = { roi = { hidden = 16 }, rpn.anchors.rcnn = { sizes = [[16, 32, 64]], ratios = [0.5, 1.0, 2.0] } }",
        [(512, 16)];
}

fn recipe(neck: &str, head: &str) -> DetectorConfig {
    let outputs = if neck.starts_with("ssd") { "[3, 4]" } else { "[1, 2, 3, 4]" };
    let text = format!(
        "size = 64\n[backbone]\nresnet = {{ depth = 18, outputs = {outputs} }}\n[neck]\n{neck}\n[head]\n{head}\n"
    );
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn build(config: &DetectorConfig, seed: u64, device: &Device) -> Detector {
    config.init(CLASSES, device, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap()
}

fn conform(neck: &str, head: &str, levels: &[(usize, usize)]) {
    let config = recipe(neck, head);
    let written = toml::to_string(&config).unwrap();
    assert_eq!(written.parse::<DetectorConfig>().unwrap(), config, "as it was written");

    let device = Device::default();
    let detector = build(&config, 1, &device);
    let announced: Vec<_> = detector.neck.levels().iter().map(|l| (l.channels, l.stride)).collect();
    assert_eq!(announced, levels);
    for [batch, height, width] in [[1, 64, 64], [3, 33, 50], [1, 97, 31]] {
        levels_are_true(&detector, batch, height, width);
        detections_are_sound(&detector, batch, height, width);
    }
    let trained = build(&config, 1, &device.clone().autodiff());
    assert!(Weights::of(&detector) == Weights::of(&trained), "one seed, two networks");
    assert!(Weights::of(&detector) != Weights::of(&build(&config, 2, &device)), "two seeds, one network");
    losses_are_sound(&trained);
    for half in [Precision::Bfloat16, Precision::Float16] {
        // On software that stands in for a GPU this takes minutes; `scarf-train` trains there in half precision.
        if half.check(&device).is_ok() && (device == Device::flex() || head.starts_with("ssd =")) {
            let halved = trained.clone().with_precision(half);
            losses_are_near(&halved, &trained);
            if device == Device::flex() {
                losses_are_sound(&halved);
            }
        }
    }
    if neck.starts_with("ssd") && device != Device::flex() {
        losses_are_the_cpus(&config);
    }
}

fn images(batch: usize, height: usize, width: usize, device: &Device) -> Tensor<4> {
    let count = (batch * 3 * height * width) as i64;
    let waves = Tensor::<1, burn::tensor::Int>::arange(0..count, device).float().mul_scalar(0.37).sin();
    (waves * 100.0 + 128.0).reshape([batch, 3, height, width])
}

fn levels_are_true(detector: &Detector, batch: usize, height: usize, width: usize) {
    let maps = detector.features(images(batch, height, width, &Device::default())).0;
    let levels = detector.neck.levels();
    assert_eq!(maps.len(), levels.len());
    for (map, level) in maps.iter().zip(&levels) {
        let [rows, columns] = [height, width].map(|side: usize| side.div_ceil(level.stride));
        assert_eq!(map.dims(), [batch, level.channels, rows, columns], "{height}x{width}");
    }
    let maps: Vec<[usize; 2]> = maps.iter().map(|map| [map.dims()[2], map.dims()[3]]).collect();
    let size = Size::new(width as u32, height as u32);
    assert!(detector.head.anchors(&maps, size).iter().all(BBox::is_valid));
}

/// Best first, inside the image, of known classes, with scores in 0..=1; on the CPU the same to the bit image by image
/// and all at once.
fn detections_are_sound(detector: &Detector, batch: usize, height: usize, width: usize) {
    let images = images(batch, height, width, &Device::default());
    let found = detector.detect(images.clone());
    assert_eq!(found.len(), batch);
    if images.device() == Device::flex() {
        let size = Size::new(width as u32, height as u32);
        assert_eq!(found, detector.head.detect(detector.features(images), size));
    }
    for found in found {
        assert!(found.is_sorted_by(|a, b| a.score >= b.score));
        for one in found {
            let BBox { x1, y1, x2, y2 } = one.bbox;
            assert!(one.bbox.is_valid() && x1 >= 0.0 && y1 >= 0.0, "{one:?}");
            assert!(x2 <= width as f32 && y2 <= height as f32, "{one:?}");
            assert!(one.class < CLASSES && (0.0..=1.0).contains(&one.score), "{one:?}");
        }
    }
}

/// Finite losses and gradients for what data sets hold: many objects, one, none, a single pixel, all of
/// the image; and the same twice with one generator.
fn losses_are_sound(detector: &Detector) {
    let device = Device::default().autodiff();
    let targets = |boxes: &[[f32; 4]]| Targets {
        boxes: boxes.iter().map(|&[x1, y1, x2, y2]| BBox::new(x1, y1, x2, y2)).collect(),
        classes: (0..boxes.len()).map(|index| index % CLASSES).collect(),
    };
    let batches = [
        vec![targets(&[]), targets(&[])],
        vec![targets(&[[3.0, 4.0, 4.0, 5.0]]), targets(&[[0.0, 0.0, 64.0, 64.0]])],
        vec![
            targets(&[[3.0, 4.0, 30.0, 50.0], [3.0, 4.0, 30.0, 50.0], [40.0, 1.0, 45.0, 63.0]]),
            targets(&[]),
        ],
    ];
    for batch in batches {
        let loss = |seed| {
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            detector.loss(images(2, 64, 64, &device), &batch, rng).total()
        };
        let (first, second) = (loss(1), loss(1));
        let scalar = |loss: &Tensor<1>| loss.clone().into_scalar::<f32>();
        assert!(scalar(&first).is_finite(), "{batch:?}");
        assert_eq!(scalar(&first), scalar(&second), "{batch:?}");
        let mut seen = Finite(first.backward(), 0);
        detector.visit(&mut seen);
        assert!(seen.1 > 0, "no gradient for {batch:?}");
    }
}

/// Of a batch whose proposals, where there are some, all teach.
fn losses_are_near(halved: &Detector, single: &Detector) {
    let device = Device::default().autodiff();
    let boxes = vec![BBox::new(3.0, 4.0, 30.0, 50.0), BBox::new(40.0, 1.0, 45.0, 63.0)];
    let targets = [Targets { boxes, classes: vec![0, 2] }, Targets::default()];
    let [halved, single] = [halved, single].map(|detector| {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        detector.loss(images(2, 64, 64, &device), &targets, rng).numbers()
    });
    for (half, whole) in halved.iter().zip(&single) {
        assert!((half - whole).abs() < 0.05 * whole.abs(), "{halved:?}, but {single:?} in float32");
    }
}

/// What this device says of a batch the CPU says, too: matching, the choice of hard background, and both losses.
fn losses_are_the_cpus(config: &DetectorConfig) {
    let boxes = vec![BBox::new(3.0, 4.0, 30.0, 50.0), BBox::new(40.0, 1.0, 45.0, 63.0)];
    let targets = [Targets { boxes, classes: vec![0, 2] }, Targets::default()];
    let [here, cpu] = [Device::default(), Device::flex()].map(|device| {
        let device = device.autodiff();
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        build(config, 1, &device).loss(images(2, 64, 64, &device), &targets, rng).numbers()
    });
    for (here, cpu) in here.iter().zip(&cpu) {
        assert!((here - cpu).abs() < 1e-3 * cpu.abs(), "{here}, but {cpu} on the CPU");
    }
}

/// Counts gradients, each of which must be finite.
struct Finite(burn::tensor::Gradients, usize);

impl ModuleVisitor for Finite {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.grad(&self.0) {
            let values: Vec<f32> = gradient.into_data().try_into_vec().unwrap();
            assert!(values.iter().all(|value| value.is_finite()));
            self.1 += 1;
        }
    }
}
