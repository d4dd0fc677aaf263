//! What layers cost.

use std::ops::Add;

use crate::Graph;

/// A layer that has parameters, once for each time it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its path in the module, `backbone.features.0`.
    pub name: String,
    /// Kind and kernel, `Conv 3x3 /2`.
    pub kind: String,
    /// The shape of its output for one image.
    pub output: Vec<usize>,
    /// What it costs for one image.
    pub cost: Cost,
}

/// Counts, for one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Weights and biases, those of normalisations among them; running statistics are none. A layer that is
    /// used twice has them once.
    pub parameters: u64,
    /// Numbers that convolutions and matrix products put out, as fvcore counts activations.
    pub activations: u64,
    /// Multiplications, each with its addition, of convolutions and matrix products; all else is
    /// free. This is the count that torchvision publishes as GFLOPS (half of that of PyTorch's `FlopCounterMode`).
    pub multiply_adds: u64,
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            parameters: self.parameters + other.parameters,
            activations: self.activations + other.activations,
            multiply_adds: self.multiply_adds + other.multiply_adds,
        }
    }
}

impl Graph {
    /// The layers with parameters, in the order of the computation.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Adds a layer; one that was here before has its parameters no second time.
    pub(crate) fn layer(&mut self, mut layer: Layer) {
        if self.layers.iter().any(|before| before.name == layer.name) {
            layer.cost.parameters = 0;
        }
        self.layers.push(layer);
    }

    /// All layers together.
    pub fn cost(&self) -> Cost {
        self.layers.iter().fold(Cost::default(), |sum, layer| sum + layer.cost)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use scarf_backbones::{Backbone, BackboneConfig};
    use scarf_core::Classes;
    use scarf_heads::{AnyHead, DetectorConfig, Neck};

    use crate::{Cost, ExportOptions, Trace, export};

    fn cost(recipe: &str, side: usize) -> Cost {
        let config: BackboneConfig = toml::from_str(recipe).unwrap();
        let network = config.init(&Device::default(), &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
        let trace = Trace::new(&network);
        network.forward(trace.input("images", [3, side, side]));
        trace.finish().cost()
    }

    /// `meta["_ops"]` of torchvision 0.29's weights (`ResNet50_Weights.IMAGENET1K_V1`, ..) is GFLOPS at
    /// 224 pixels with three decimals; the classifier, which our networks lack, counts inputs * outputs.
    #[test]
    fn multiply_adds_are_torchvisions() {
        let cases = [
            ("resnet = { depth = 18 }", 1.814, 512 * 1000),
            ("resnet = { depth = 34 }", 3.664, 512 * 1000),
            ("resnet = { depth = 50, variant = 'v1.5' }", 4.089, 2048 * 1000),
            ("resnet = { depth = 101, variant = 'v1.5' }", 7.801, 2048 * 1000),
            ("[mobilenet_v2]", 0.301, 1280 * 1000),
            ("vgg = { form = { plain = [5] } }", 15.47, (512 * 49 + 4096 + 1000) * 4096),
        ];
        for (recipe, published, classifier) in cases {
            let ours = (cost(recipe, 224).multiply_adds + classifier) as f64 / 1e9;
            assert!((ours - published).abs() <= 6e-4, "{recipe}: {ours}, torchvision {published}");
        }
    }

    /// `SSD300_VGG16_Weights.COCO_V1` and `SSDLite320_MobileNet_V3_Large_Weights.COCO_V1` of torchvision 0.29.
    #[test]
    fn ssds_cost_what_torchvisions_do() {
        let cases =
            [("ssd300_vgg16", 35_641_826, 34.858), ("ssdlite320_mobilenet_v3_large", 3_440_060, 0.583)];
        for (name, parameters, published) in cases {
            let config = scarf_heads::models::get(name).unwrap().model;
            let mut rng = ChaCha8Rng::seed_from_u64(0);
            let detector = config.init(90, &Device::default(), &mut rng).unwrap();
            let classes = Classes::new((0..90).map(|class| class.to_string())).unwrap();
            let cost = export(&detector, &config, &classes, &ExportOptions::default()).unwrap().cost();
            assert_eq!(cost.parameters, parameters, "{name}");
            let billions = cost.multiply_adds as f64 / 1e9;
            assert!((billions - published).abs() <= 6e-4, "{name}: {billions}, torchvision {published}");
        }
    }

    /// `FasterRCNN_ResNet50_FPN_Weights.COCO_V1` of torchvision 0.29: 134.38 GFLOPS and 41,755,286 parameters,
    /// those of the frozen normalisations left out. At 800 x 800 pixels, which torchvision does not say.
    #[test]
    fn faster_rcnn_costs_what_torchvisions_does() {
        let recipe = "
            size = 800
            backbone.resnet = { depth = 50, variant = 'v1.5', outputs = [1, 2, 3, 4] }
            neck.fpn = {}
            head.faster_rcnn = {}";
        let config: DetectorConfig = recipe.parse().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let detector = config.init(90, &Device::default(), &mut rng).unwrap();
        let AnyHead::FasterRcnn(head) = &detector.head else { panic!("another head") };
        let trace = Trace::new(&detector);
        let images = trace.input("images", [3, 800, 800]);
        head.rpn.forward(&detector.neck.forward(detector.backbone.forward(images)));
        let bins = trace.input("bins", [1, 1, 1]);
        for layer in [&head.roi.fc6, &head.roi.fc7, &head.roi.cls, &head.roi.boxes] {
            trace.linear(bins.value(), layer, 1000);
        }
        let cost = trace.finish().cost();
        assert_eq!(cost.parameters, 41_755_286 + 2 * 26_560);
        let billions = cost.multiply_adds as f64 / 1e9;
        assert!((billions - 134.38).abs() < 5e-3, "{billions}");
    }
}
