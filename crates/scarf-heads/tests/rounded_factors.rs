//! On the CPU `bfloat16` is what products multiply, on the way forward and back.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Int, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use scarf_core::BBox;
use scarf_heads::{Detector, DetectorConfig, Precision, Targets};

/// All gradients, one after the other.
struct Flat<'a>(&'a Gradients, Vec<f32>);

impl ModuleVisitor for Flat<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.grad(self.0) {
            self.1.extend(gradient.into_data().iter::<f32>());
        }
    }
}

fn flat(detector: &Detector, gradients: &Gradients) -> Vec<f32> {
    let mut flat = Flat(gradients, Vec::new());
    detector.visit(&mut flat);
    flat.1
}

fn loss(detector: &Detector) -> Tensor<1> {
    let device = Device::flex().autodiff();
    let waves = Tensor::<1, Int>::arange(0..2 * 3 * 64 * 64, &device).float().mul_scalar(0.37).sin();
    let images = (waves * 100.0 + 128.0).reshape([2, 3, 64, 64]);
    let boxes = vec![BBox::new(3.0, 4.0, 30.0, 50.0), BBox::new(40.0, 1.0, 45.0, 63.0)];
    let targets = [Targets { boxes, classes: vec![0, 2] }, Targets::default()];
    detector.loss(images, &targets, &mut ChaCha8Rng::seed_from_u64(1)).total()
}

/// `|a - b| / |b|`.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>();
    (squares(&mut a.iter().zip(b).map(|(a, b)| a - b)) / squares(&mut b.iter().copied())).sqrt()
}

#[test]
fn losses_and_gradients_of_bfloat16_are_near_those_of_float32() {
    // Statistics of a small batch would make much of little: rounding the pixels alone moves its gradient by two fifths.
    let text = "size = 64\nbackbone.resnet = { depth = 18, outputs = [3, 4], norm.frozen = { epsilon = 1e-5 } }\n\
                neck.ssd_extras.norm = 'none'\nhead.ssd = {}\n";
    let config: DetectorConfig = text.parse().unwrap();
    let device = Device::flex().autodiff();
    let single = config.init(3, &device, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
    let whole = flat(&single, &single.backward(loss(&single)));
    let rounded = single.clone().with_precision(Precision::Bfloat16);
    let both = flat(&rounded, &rounded.backward(loss(&rounded)));
    let forward_alone = flat(&rounded, &loss(&rounded).backward());
    let [of_single, of_rounded] = [&single, &rounded].map(|detector| loss(detector).into_scalar::<f32>());
    println!(
        "losses {of_single} and {of_rounded}; gradients {:.4}, {:.4} forward alone",
        apart(&both, &whole),
        apart(&forward_alone, &whole)
    );
    assert!((of_rounded - of_single).abs() < 5e-3 * of_single && of_rounded != of_single);
    assert!(apart(&both, &whole) < 0.1, "{}", apart(&both, &whole));
    assert!(apart(&both, &forward_alone) > 1e-4, "nothing was rounded on the way back");
}
