//! Training in half precision goes nearly as in single, and a run that is cut off ends as one that was not.
//!
//! On burn's CPU backend unless BURN_DEVICE says otherwise.

mod common;

use std::path::Path;

use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_backbones::{ModuleWeights, Weights};
use scarf_core::Size;
use scarf_data::{DataSet, ImageCache};
use scarf_heads::{Detector, DetectorConfig, Precision};
use scarf_train::{Epoch, Fit, Flow, Observer, Samples, TrainConfig, TrainError, fit};

/// Keeps losses and the newest weights; stops after some epochs.
struct Kept {
    losses: Vec<f64>,
    weights: Option<Weights>,
    stop: usize,
}

impl Observer<Detector> for Kept {
    fn epoch(&mut self, epoch: &Epoch, model: &Detector) -> Result<Flow, TrainError> {
        self.losses.extend([epoch.loss, epoch.val.as_ref().unwrap().loss]);
        self.weights = Some(Weights::of(model));
        Ok(if epoch.epoch == self.stop { Flow::Stop } else { Flow::Continue })
    }
}

fn train((set, images): &(DataSet, ImageCache), precision: Precision, folder: &Path, stop: usize) -> Kept {
    let device = Device::default();
    let config = format!(
        "epochs = 4\nbatch = 3\nprecision = '{precision}'\nclip_norm = 5.0\n\
         optimizer.adam_w = {{ lr = 3e-3 }}\naugment = [{{ horizontal_flip = {{}} }}]"
    );
    let config: TrainConfig = config.parse().unwrap();
    let recipe = "size = 64\n[backbone.mobilenet_v1]\nwidth = 0.25\n[neck.ssd_extras]\n[head.ssd]\n";
    let recipe: DetectorConfig = recipe.parse().unwrap();
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let model = recipe.init(set.classes.len(), &device.clone().autodiff(), rng).unwrap();
    let every = [0, 1, 2, 3, 4, 5];
    let samples = Samples { images, set, indices: &every };
    let task = Fit {
        config: &config,
        train: samples,
        val: samples,
        resident: None,
        size: Size::new(64, 64),
        seed: 1,
        checkpoints: folder,
        settings: "",
        device: &device,
    };
    let mut kept = Kept { losses: Vec::new(), weights: None, stop };
    fit(task, model, &mut kept).unwrap();
    kept
}

fn whole(steel: &(DataSet, ImageCache), precision: Precision) -> Kept {
    train(steel, precision, tempfile::tempdir().unwrap().path(), usize::MAX)
}

#[test]
fn losses_are_nearly_those_of_float32() {
    let steel = common::steel();
    let single = whole(&steel, Precision::Float32).losses;
    assert!(single[6] < 0.9 * single[0], "nothing is learnt: {single:?}");
    // Batch statistics of three small images make much of a little: products of rounded factors alone move the first loss by
    // 1.02 %, half-precision maps by less than 1. In the first epoch, where float16 may leave steps out until the scale of its loss is small enough. Later few images
    // and the choice of hard background part them.
    for (half, first) in [(Precision::Bfloat16, 0.02), (Precision::Float16, 0.25)] {
        if half.check(&Device::default()).is_err() {
            continue;
        }
        let losses = whole(&steel, half).losses;
        for (at, (half, whole)) in losses.iter().zip(&single).enumerate() {
            let most = if at < 2 { first } else { 0.25 };
            assert!((half - whole).abs() < most * whole, "{losses:?}, but {single:?} in float32");
        }
        assert!(losses[6] < 0.95 * losses[0], "nothing is learnt: {losses:?}");
        assert_ne!(losses, single, "{half} is no other than float32");
    }
}

#[test]
fn a_run_that_is_cut_off_ends_as_one_that_was_not() {
    let (steel, folder) = (common::steel(), tempfile::tempdir().unwrap());
    let precision = Precision::Float16;
    // On software that stands in for a GPU this takes minutes, and there is nothing of the device in it.
    if Device::default() != Device::flex() {
        return;
    }
    train(&steel, precision, folder.path(), 2);
    let state = std::fs::read_to_string(folder.path().join("epoch-0002/state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    let factor = state["loss_scale"]["factor"].as_f64().unwrap();
    assert!(factor.log2().fract() == 0.0 && factor > 0.0 && factor <= 512.0, "{state}");
    let resumed = train(&steel, precision, folder.path(), usize::MAX);
    assert!(resumed.weights == whole(&steel, precision).weights);
}
