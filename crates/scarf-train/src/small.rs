//! The small detector that the tests of this crate work with.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_heads::{Detector, DetectorConfig};

/// An SSD at 64 pixels on a MobileNet of a quarter's width, of two classes, with weights drawn from a seed.
pub(crate) fn detector(seed: u64, device: &burn::tensor::Device) -> Detector {
    let recipe = "size = 64\n[backbone.mobilenet_v1]\nwidth = 0.25\n[neck.ssd_extras]\n[head.ssd]\n";
    let config: DetectorConfig = recipe.parse().expect("the recipe is right");
    config.init(2, device, &mut ChaCha8Rng::seed_from_u64(seed)).expect("the recipe describes a network")
}
