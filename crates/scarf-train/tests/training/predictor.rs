//! A predictor that works on and on. Alone in its process, whose memory it looks at.

use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_heads::DetectorConfig;
use scarf_train::{DetectConfig, Predictor};

/// Resident pages, on Linux.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    text.split(' ').nth(1)?.parse().ok()
}

#[test]
fn memory_does_not_grow() {
    let recipe = "size = 64\n[backbone.mobilenet_v1]\nwidth = 0.25\n[neck.ssd_extras]\n[head.ssd]\n";
    let config: DetectorConfig = recipe.parse().unwrap();
    let device = Device::flex();
    let detector = config.init(2, &device, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
    let predictor = Predictor::new(detector, config.image(), DetectConfig::default(), device);
    let picture = image::RgbImage::from_fn(640, 480, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8]));
    let call = |times| (0..times).for_each(|_| drop(predictor.predict(&[&picture, &picture])));
    call(50);
    let Some(before) = resident() else { return };
    call(200);
    // The tensor of the pixels alone has 24 pages: lost once a call, that were 4,800.
    let after = resident().unwrap();
    assert!(after <= before + 200, "{before} pages before, {after} after");
}
