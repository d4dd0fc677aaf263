//! Which epoch is kept where the validation images have nothing to choose it by.

use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_core::Size;
use scarf_heads::{Detector, DetectorConfig};
use scarf_train::{Epoch, Fit, Flow, Observer, Samples, Step, TrainConfig, TrainError, fit};

/// The epochs that were the best so far, and the steps of each.
#[derive(Default)]
struct Best(Vec<usize>, usize);

impl Observer<Detector> for Best {
    fn step(&mut self, step: &Step) {
        self.1 = step.steps;
    }

    fn epoch(&mut self, epoch: &Epoch, _model: &Detector) -> Result<Flow, TrainError> {
        self.0.extend(epoch.best.then_some(epoch.epoch));
        Ok(Flow::Continue)
    }
}

#[test]
fn without_an_object_to_find_the_newest_that_was_scored_is_the_best() {
    let (mut set, images) = crate::common::steel();
    set.samples[5].annotations.clear();
    let config: TrainConfig =
        "epochs = 3\nbatch = 2\nvalidate_every = 2\noptimizer.sgd.lr = 1e-3".parse().unwrap();
    let recipe = "size = 64\n[backbone.mobilenet_v1]\nwidth = 0.25\n[neck.ssd_extras]\n[head.ssd]\n";
    let recipe: DetectorConfig = recipe.parse().unwrap();
    let device = Device::flex();
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let model = recipe.init(set.classes.len(), &device.clone().autodiff(), rng).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let train = Samples { images: &images, set: &set, indices: &[0, 1, 2] };
    let task = Fit {
        config: &config,
        train,
        val: Samples { indices: &[5], ..train },
        resident: None,
        size: Size::new(64, 64),
        seed: 1,
        checkpoints: folder.path(),
        settings: "",
        device: &device,
    };
    let mut best = Best::default();
    assert_eq!(fit(task, model, &mut best).unwrap().best, None);
    assert_eq!(best.0, [2, 3]);
    assert_eq!(best.1, 1, "of three images in twos one is left out each time");
}
