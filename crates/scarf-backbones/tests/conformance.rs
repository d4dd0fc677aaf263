//! What every backbone must keep: one line each.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Distribution, Int, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{
    AnyBackbone, Backbone, BackboneConfig, Extent, ModuleWeights, Weights, freeze, freeze_stages,
};

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
    mobilenet_v1_gluoncv: "mobilenet_v1 = { flavor = 'gluoncv', norm = { batch = { epsilon = 1e-5, momentum = 0.1 } } }",
        [(512, 16), (1024, 32)];
    mobilenet_v2: "[mobilenet_v2]", [(576, 16), (1280, 32)];
    mobilenet_v2_tensorflow: "mobilenet_v2 = { width = 0.35, flavor = 'tensorflow', \
        outputs = [{ block = 3 }, { block = 6 }, { expansion = 14 }], norm = { frozen = { epsilon = 1e-3 } } }",
        [(8, 4), (16, 8), (192, 16)];
    mobilenet_v3: "[mobilenet_v3]", [(672, 16), (960, 32)];
    mobilenet_v3_reduced: "mobilenet_v3 = { reduced_tail = true, outputs = [{ block = 6 }, { block = 12 }, { block = 15 }, \
        { block = 16 }] }", [(40, 8), (112, 16), (80, 32), (480, 32)];
    resnet_18: "resnet = { depth = 18, outputs = [1, 2, 3, 4] }", [(64, 4), (128, 8), (256, 16), (512, 32)];
    resnet_34: "resnet = { depth = 34, outputs = [2] }", [(128, 8)];
    resnet_50: "[resnet]", [(1024, 16), (2048, 32)];
    resnet_101: "resnet = { depth = 101, variant = 'v1.5', outputs = [1, 3] }", [(256, 4), (1024, 16)];
    resnet_50_v2: "[resnet_v2]", [(1024, 16), (2048, 32)];
    resnet_18_v2: "resnet_v2 = { depth = 18, outputs = [1, 2, 4] }", [(64, 4), (128, 8), (512, 32)];
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
    // On software that stands in for a GPU each kernel takes a second to be made.
    if device == Device::flex() || backbone.num_params() < 1_500_000 {
        halves_are_near(&backbone, &device);
    }
    stages_are_apart(&backbone);
    let trained = build(&config, 1, &device.clone().autodiff());
    let weights = Weights::of(&backbone);
    assert!(weights == Weights::of(&trained), "one seed, two networks");
    assert!(weights != Weights::of(&build(&config, 2, &device)), "two seeds, one network");
    let wanted = trains(&trained);
    frozen_stays(trained, wanted);
}

fn levels_are_true(backbone: &AnyBackbone, device: &Device) {
    for [batch, height, width] in [[3usize, 1, 1], [1, 33, 50], [2, 64, 31]] {
        let images = Tensor::random([batch, 3, height, width], Distribution::Normal(0.0, 1.0), device);
        let maps = backbone.forward(images).0;
        let extents = backbone.forward(Extent([batch, 3, height, width])).0;
        assert_eq!(
            maps.iter().map(Tensor::dims).collect::<Vec<_>>(),
            extents.iter().map(|map| map.0).collect::<Vec<_>>()
        );
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

/// Of pixels in half precision, where the device has it, maps in that precision, near those of single.
/// (wgpu sums up in it, too.)
fn halves_are_near(backbone: &AnyBackbone, device: &Device) {
    let pixels = Tensor::<1, Int>::arange(0..3 * 33 * 50, device).float();
    let images = pixels.sin().reshape([1, 3, 33, 50]);
    let single = backbone.forward(images.clone()).0;
    for (half, most) in [(DType::BF16, 0.05), (DType::F16, 0.03)] {
        if !device.supports_dtype(half) {
            continue;
        }
        for (map, single) in backbone.forward(images.clone().cast(half)).0.into_iter().zip(&single) {
            assert_eq!(map.dtype(), half);
            let apart = (map.cast(DType::F32) - single.clone()).square().mean().into_scalar::<f32>();
            let scale = single.clone().square().mean().into_scalar::<f32>();
            let error = (apart / scale).sqrt();
            assert!(error < most, "{error} of {half:?}");
        }
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
    let pixels = Tensor::<1, Int>::arange(0..2 * 3 * 32 * 16, &device).float();
    let images = pixels.sin().reshape([2, 3, 32, 16]);
    let sums = backbone.forward(images).0.into_iter().map(|map| map.square().mean());
    sums.reduce(|a, b| a + b).unwrap()
}

/// Every parameter that wants a gradient gets one, finite. Gives how many there are.
fn trains(backbone: &AnyBackbone) -> usize {
    let gradients = Gradients::of(backbone);
    assert!(gradients.wanted > 0);
    assert_eq!(gradients.got, gradients.wanted);
    gradients.wanted
}

/// Frozen stages get no gradients, and their running statistics stay.
fn frozen_stays(backbone: AnyBackbone, wanted: usize) {
    let stages = backbone.stages();
    let count = stages.len().div_ceil(2);
    let backbone = freeze_stages(backbone, count).unwrap();
    let before = Weights::of(&backbone);
    let gradients = Gradients::of(&backbone);
    assert!(gradients.wanted < wanted);
    assert_eq!(gradients.got, gradients.wanted);
    let after = Weights::of(&backbone);
    for stage in &stages[..count] {
        let frozen = |weights: &Weights| weights.clone().matching(stage).unwrap();
        assert!(frozen(&before) == frozen(&after), "{stage} has moved");
    }
    let all = freeze_stages(backbone, stages.len()).unwrap();
    assert!(!loss(&all).is_require_grad());
}

/// How many parameters want a gradient, and how many get one.
struct Gradients {
    gradients: burn::tensor::Gradients,
    wanted: usize,
    got: usize,
}

impl Gradients {
    fn of(backbone: &AnyBackbone) -> Self {
        let mut counted = Self { gradients: loss(backbone).backward(), wanted: 0, got: 0 };
        backbone.visit(&mut counted);
        counted
    }
}

impl ModuleVisitor for Gradients {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.wanted += usize::from(param.is_require_grad());
        if let Some(gradient) = param.grad(&self.gradients) {
            let values: Vec<f32> = gradient.into_data().try_into_vec().unwrap();
            assert!(values.iter().all(|value| value.is_finite()));
            self.got += 1;
        }
    }
}

/// Trainable numbers of the references without their classifiers: torchvision 0.29's, and Keras's
/// for MobileNet v1.
#[test]
fn parameters_are_as_many_as_the_references() {
    let cases = [
        ("[mobilenet_v1]", 3_206_976),
        ("[mobilenet_v2]", 2_223_872),
        ("[mobilenet_v3]", 2_971_952),
        ("resnet = { depth = 18 }", 11_176_512),
        ("resnet = { depth = 34 }", 21_284_672),
        ("resnet = { depth = 50 }", 23_508_032),
        ("resnet = { depth = 101, variant = 'v1.5' }", 42_500_160),
        ("vgg = { form = { plain = [5] } }", 14_714_688),
        // And conv4_3's scale, fc6 and fc7.
        ("[vgg]", 14_714_688 + 512 + (512 * 9 + 1) * 1024 + (1024 + 1) * 1024),
    ];
    for (recipe, expected) in cases {
        let weights = Weights::of(&build(&toml::from_str(recipe).unwrap(), 0, &Device::default()));
        let trained = weights.names().filter(|name| !name.contains(".running_"));
        let count: usize = trained.map(|name| weights.get(name).unwrap().values.len()).sum();
        assert_eq!(count, expected, "{recipe}");
    }
}

#[test]
fn what_describes_no_network_is_refused_with_its_field() {
    let cases = [
        ("mobilenet_v1 = { width = 0.0 }", "backbone.mobilenet_v1.width: 0 is not in 0 < width <= 16"),
        ("mobilenet_v1 = { width = nan }", "backbone.mobilenet_v1.width"),
        ("mobilenet_v1 = { outputs = [11, 14] }", "[11, 14] is not an increasing, non-empty list of 0..=13"),
        ("mobilenet_v2 = { outputs = [{ block = 3 }, { expansion = 3 }] }", "backbone.mobilenet_v2.outputs"),
        ("mobilenet_v2 = { outputs = [{ expansion = 1 }] }", "expansions 2..=17"),
        ("mobilenet_v3 = { outputs = [{ block = 17 }] }", "blocks 0..=16 and expansions 2..=15"),
        ("resnet = { depth = 152 }", "backbone.resnet.depth: 152 is none of 18, 34, 50 and 101"),
        ("resnet = { outputs = [0, 1] }", "backbone.resnet.outputs"),
        ("resnet = { norm = { frozen = { epsilon = -1.0 } } }", "backbone.resnet.norm: epsilon -1"),
        ("resnet_v2 = { norm = 'none' }", "backbone.resnet_v2.norm: none: a norm before"),
        ("vgg = { form = { plain = [] } }", "backbone.vgg.form.plain"),
        ("vgg = { norm = { batch = { epsilon = 0.0, momentum = 2.0 } } }", "momentum 2 is not in 0..=1"),
    ];
    for (recipe, expected) in cases {
        let config: BackboneConfig = toml::from_str(recipe).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let error = config.init(&Device::default(), &mut rng).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = toml::from_str::<BackboneConfig>("resnet = { deep = 50 }").unwrap_err().to_string();
    assert!(error.contains("unknown field `deep`"), "{error}");
}
