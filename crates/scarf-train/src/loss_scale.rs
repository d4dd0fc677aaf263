use burn::module::Module;
use burn::optim::GradientsParams;
use serde::{Deserialize, Serialize};

use crate::clip::{norm, scale, squares};

/// What a loss is multiplied by so that small gradients of half precision do not become 0 (Micikevicius et al. 2018):
/// doubled after many good steps, halved where a gradient was no number, as PyTorch's `GradScaler`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossScale {
    /// By what.
    pub factor: f32,
    /// Good steps since it last changed.
    pub good: u32,
}

impl LossScale {
    const PATIENCE: u32 = 2000;

    /// The gradients of a loss that was multiplied, as if it had not been. False where they are no numbers, and the step
    /// is to be left out. Waits for the device.
    pub(crate) fn unscale<M: Module>(&mut self, gradients: &mut GradientsParams, module: &M) -> bool {
        let squares = squares(gradients, module);
        let finite = squares.is_empty() || norm(squares).is_finite();
        if finite {
            scale(gradients, module, 1.0 / f64::from(self.factor));
            self.good += 1;
            if self.good == Self::PATIENCE {
                *self = Self { factor: self.factor * 2.0, good: 0 };
            }
        } else {
            *self = Self { factor: self.factor / 2.0, good: 0 };
        }
        finite
    }
}

impl Default for LossScale {
    /// Less than PyTorch's 65,536: devices that also sum up in half precision would leave out the first steps for long.
    fn default() -> Self {
        Self { factor: 512.0, good: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small;
    use burn::tensor::{Device, Tensor};

    #[test]
    fn it_halves_where_gradients_are_no_numbers_and_doubles_after_many_good_steps() {
        let device = Device::flex().autodiff();
        let model = small::detector(3, &device);
        let gradients = |factor: f32| {
            let images = Tensor::ones([1, 3, 64, 64], &device);
            let loss = model.features(images).0.remove(0).sum().mul_scalar(factor);
            GradientsParams::from_grads(loss.backward(), &model)
        };
        let mut scale = LossScale { factor: 8.0, good: 7 };
        assert!(!scale.unscale(&mut gradients(f32::INFINITY), &model));
        assert_eq!(scale, LossScale { factor: 4.0, good: 0 });
        let mut scaled = gradients(4.0);
        assert!(scale.unscale(&mut scaled, &model));
        let [scaled, plain] = [scaled, gradients(1.0)].map(|gradients| norm(squares(&gradients, &model)));
        assert!((scaled / plain - 1.0).abs() < 1e-5, "{scaled} for {plain}");
        let mut last = LossScale { factor: 4.0, good: LossScale::PATIENCE - 1 };
        assert!(last.unscale(&mut gradients(4.0), &model));
        assert_eq!(last, LossScale { factor: 8.0, good: 0 });
    }
}
