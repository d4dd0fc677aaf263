use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// How much of a moving average stays in the step that is the `step`th, from 1: `decay`, but less at first, so that
/// what weights began as is soon forgotten (TensorFlow's `ExponentialMovingAverage` with `num_updates`).
pub(crate) fn decay_at(decay: f64, step: usize) -> f64 {
    let step = step as f64;
    decay.min((1.0 + step) / (10.0 + step))
}

/// The moving average one step on: `average + (1 - kept) * (model - average)`, number by number, running statistics
/// among them; what is the same in both stays so to the last bit. Neither module has autodiff; both are of one recipe.
pub(crate) fn step<M: Module>(average: M, model: &M, kept: f64) -> M {
    let mut values = Values::default();
    model.visit(&mut values);
    average.map(&mut Blend { values, at: 0, kept })
}

/// The tensors of a module by their place in it.
#[derive(Default)]
struct Values {
    tensors: GradientsParams,
    count: u64,
}

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.tensors.register(ParamId::from(self.count), param.val());
        self.count += 1;
    }
}

struct Blend {
    values: Values,
    at: u64,
    kept: f64,
}

impl ModuleMapper for Blend {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let now = self.values.tensors.remove::<D>(ParamId::from(self.at));
        let now = now.expect("modules of one recipe are walked through alike");
        self.at += 1;
        param.map(|average| average.clone() + (now - average) * (1.0 - self.kept))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use scarf_heads::Detector;

    use super::*;
    use crate::small;

    /// Every number of a module, in order.
    #[derive(Default)]
    struct Numbers(Vec<f32>);

    impl ModuleVisitor for Numbers {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.extend(param.val().into_data().try_into_vec::<f32>().unwrap());
        }
    }

    fn numbers(module: &Detector) -> Vec<f32> {
        let mut numbers = Numbers::default();
        module.visit(&mut numbers);
        numbers.0
    }

    #[test]
    fn the_formula_number_by_number() {
        let device = Device::flex();
        let of = |seed| small::detector(seed, &device);
        let models = [of(0), of(1), of(2)];
        let mut expected = numbers(&models[0]);
        let mut average = of(0);
        for (at, model) in models.iter().enumerate().skip(1) {
            let kept = decay_at(0.25, at);
            average = step(average, model, kept);
            for (value, now) in expected.iter_mut().zip(numbers(model)) {
                *value = *value * kept as f32 + now * (1.0 - kept) as f32;
            }
        }
        let found = numbers(&average);
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6));
        // The models were only looked at.
        let still = step(of(2), &models[2], 0.9999);
        assert_eq!(numbers(&still), numbers(&models[2]));
        assert_eq!(numbers(&models[2]), numbers(&of(2)));
    }

    #[test]
    fn the_beginning_is_soon_forgotten() {
        assert_eq!(decay_at(0.999, 1), 2.0 / 11.0);
        assert_eq!(decay_at(0.999, 90), 0.91);
        assert_eq!(decay_at(0.999, 100_000), 0.999);
    }
}
