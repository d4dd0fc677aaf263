//! What every backbone must keep: one line each.

use burn::tensor::{Device, Distribution, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{AnyBackbone, Backbone, BackboneConfig, Weights, freeze, freeze_stages};

macro_rules! conforms {
    ($($name:ident: $recipe:literal, $levels:expr;)*) => {
        $(#[test] fn $name() { conform($recipe, &$levels); })*
    };
}

// The recipe as a study file has it, and the channels and strides that its reference has.
conforms! {
    mobilenet_v1: "[mobilenet_v1]", [(512, 16), (1024, 32)];
    mobilenet_v1_narrow: "mobilenet_v1 = { width = 0.25, outputs = [3, 5, 11], norm = 'none' }",
        [(32, 4), (64, 8), (128, 16)];
    mobilenet_v2: "[mobilenet_v2]", [(576, 16), (1280, 32)];
    mobilenet_v2_tensorflow: "mobilenet_v2 = { width = 0.35, flavor = 'tensorflow', \
        outputs = [{ block = 3 }, { block = 6 }, { expansion = 14 }], norm = { frozen = { epsilon = 1e-3 } } }",
        [(8, 4), (16, 8), (192, 16)];
    resnet_18: "resnet = { depth = 18, outputs = [1, 2, 3, 4] }", [(64, 4), (128, 8), (256, 16), (512, 32)];
    resnet_34: "resnet = { depth = 34, outputs = [2] }", [(128, 8)];
    resnet_50: "[resnet]", [(1024, 16), (2048, 32)];
    resnet_101: "resnet = { depth = 101, variant = 'v1.5', outputs = [1, 3] }", [(256, 4), (1024, 16)];
    vgg_16: "vgg = { form = { plain = [1, 3, 5] } }", [(64, 1), (256, 4), (512, 16)];
    vgg_16_bn: "vgg = { form = { plain = [4] }, norm = { batch = { epsilon = 1e-5, momentum = 0.1 } } }",
        [(512, 8)];
    vgg_16_atrous: "[vgg]", [(512, 8), (1024, 16)];
}

fn build(config: &BackboneConfig, seed: u64, device: &Device) -> AnyBackbone {
    config.init(device, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap()
}

fn conform(recipe: &str, levels: &[(usize, usize)]) {
    let config: BackboneConfig = toml::from_str(recipe).unwrap();
    let written = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<BackboneConfig>(&written).unwrap(), config);

    let device = Device::default();
    let backbone = build(&config, 1, &device);
    let announced: Vec<_> = backbone.levels().iter().map(|level| (level.channels, level.stride)).collect();
    assert_eq!(announced, levels);
    levels_are_true(&backbone, &device);
    assert!(Weights::of(&backbone) == Weights::of(&build(&config, 1, &device)), "one seed, two networks");
    assert!(Weights::of(&backbone) != Weights::of(&build(&config, 2, &device)), "two seeds, one network");
    stages_are_apart(&backbone);
    trains(&build(&config, 1, &device.clone().autodiff()));
    frozen_stays(build(&config, 1, &device.autodiff()));
}

fn levels_are_true(backbone: &AnyBackbone, device: &Device) {
    for [batch, height, width] in [[1usize, 1, 1], [2, 33, 50], [3, 64, 31]] {
        let images = Tensor::random([batch, 3, height, width], Distribution::Normal(0.0, 1.0), device);
        let maps = backbone.forward(images).0;
        assert_eq!(maps.len(), backbone.levels().len());
        for (map, level) in maps.iter().zip(backbone.levels()) {
            let rows = height.div_ceil(level.stride);
            let columns = width.div_ceil(level.stride);
            assert_eq!(map.dims(), [batch, level.channels, rows, columns], "{height}x{width}");
            let values: Vec<f32> = map.clone().into_data().try_into_vec().unwrap();
            assert!(values.iter().all(|value| value.is_finite()), "{height}x{width}");
        }
        let spread = maps.last().unwrap().clone().var(1).mean().into_scalar::<f32>();
        assert!(height < 2 || spread > 1e-6, "the signal is lost: variance {spread}");
    }
}

/// Each parameter is in one stage.
fn stages_are_apart(backbone: &AnyBackbone) {
    let stages = backbone.stages();
    let patterns: Vec<_> = stages.iter().map(|stage| regex::Regex::new(stage).unwrap()).collect();
    for name in Weights::of(backbone).names() {
        assert_eq!(patterns.iter().filter(|stage| stage.is_match(name)).count(), 1, "{name}");
    }
    assert!(freeze_stages(backbone.clone(), stages.len() + 1).is_err());
    assert!(freeze(backbone.clone(), "no such layer").is_err());
}

fn loss(backbone: &AnyBackbone) -> Tensor<1> {
    let device = Device::default().autodiff();
    let pixels = Tensor::<1, burn::tensor::Int>::arange(0..2 * 3 * 32 * 32, &device).float();
    let images = pixels.sin().reshape([2, 3, 32, 32]);
    let sums = backbone.forward(images).0.into_iter().map(|map| map.square().mean());
    sums.reduce(|a, b| a + b).unwrap()
}

/// A gradient reaches the stages' parameters, all finite; those that need none get none.
fn trains(backbone: &AnyBackbone) {
    let grads = loss(backbone).backward();
    let mut counted = Counter { grads, with: 0, without: 0 };
    burn::module::Module::visit(backbone, &mut counted);
    assert!(counted.with > 0);
}

struct Counter {
    grads: burn::tensor::Gradients,
    with: usize,
    without: usize,
}

impl burn::module::ModuleVisitor for Counter {
    fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
        match param.grad(&self.grads) {
            Some(grad) => {
                let values: Vec<f32> = grad.into_data().try_into_vec().unwrap();
                assert!(values.iter().all(|value| value.is_finite()));
                self.with += 1;
            }
            None => self.without += 1,
        }
    }
}

/// Frozen stages get no gradients, and their running statistics stay.
fn frozen_stays(backbone: AnyBackbone) {
    let stages = backbone.stages();
    let count = stages.len().div_ceil(2);
    let backbone = freeze_stages(backbone, count).unwrap();
    let before = Weights::of(&backbone);
    let grads = loss(&backbone).backward();
    let mut counted = Counter { grads, with: 0, without: 0 };
    burn::module::Module::visit(&backbone, &mut counted);
    assert!(counted.without > 0);
    let after = Weights::of(&backbone);
    for stage in &stages[..count] {
        let frozen = |weights: &Weights| weights.clone().matching(stage).unwrap();
        assert!(frozen(&before) == frozen(&after), "{stage} has moved");
    }
    let all = freeze_stages(backbone, stages.len()).unwrap();
    assert!(!loss(&all).is_require_grad());
}
