//! A training whose numbers run away ends with an error that says where.

use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_core::Size;
use scarf_heads::{Detector, DetectorConfig};
use scarf_train::{Epoch, Fit, Flow, Observer, Samples, Step, TrainConfig, TrainError, fit};

/// Counts the steps that it is told of, whose losses must be numbers.
#[derive(Default)]
struct Steps(usize);

impl Observer<Detector> for Steps {
    fn step(&mut self, step: &Step) {
        self.0 += 1;
        assert!((step.epoch - 1) * step.steps + step.step == self.0 && step.loss.is_finite(), "{step:?}");
    }

    fn epoch(&mut self, _epoch: &Epoch, _model: &Detector) -> Result<Flow, TrainError> {
        Ok(Flow::Continue)
    }
}

#[test]
fn too_large_a_learning_rate() {
    let (set, images) = crate::common::steel();
    let count = set.classes.len();
    let every: Vec<usize> = (0..6).collect();
    let config: TrainConfig =
        "epochs = 9\nbatch = 2\noptimizer.sgd = { lr = 3e38, momentum = 0.9 }".parse().unwrap();
    for recipe in [
        "[backbone.mobilenet_v1]\nwidth = 0.25\n[neck.ssd_extras]\n[head.ssd]\n",
        "[backbone.resnet]\ndepth = 18\noutputs = [2, 3, 4]\n[neck.fpn]\nchannels = 16\n\
         [head.faster_rcnn]\nroi = { hidden = 16 }\n\
         rpn.anchors.rcnn = { sizes = [[8], [16], [32], [64]], ratios = [1.0] }\n",
    ] {
        let recipe: DetectorConfig = format!("size = 64\n{recipe}").parse().unwrap();
        let device = Device::flex();
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let model = recipe.init(count, &device.clone().autodiff(), rng).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let samples = Samples { images: &images, set: &set, indices: &every };
        let task = Fit {
            config: &config,
            train: samples,
            val: Samples { indices: &[], ..samples },
            resident: None,
            size: Size::new(64, 64),
            seed: 1,
            checkpoints: folder.path(),
            settings: "",
            device: &device,
        };
        let mut steps = Steps::default();
        let error = fit(task, model, &mut steps).map(|_| ()).unwrap_err();
        let TrainError::NotFinite { epoch, step, images, .. } = &error else { panic!("{error}") };
        assert_eq!((epoch - 1) * 3 + step, steps.0 + 1, "{error}");
        assert_eq!(images.matches("steel_").count(), 2, "{error}");
    }
}
