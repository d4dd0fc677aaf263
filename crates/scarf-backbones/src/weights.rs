//! Weights into a module, and out of one.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};
use scarf_weights::{Allow, Array, LoadReport, Weights, WeightsError};

use crate::layers::NormConfig;
use crate::path::ParameterPath;

/// [`Weights`] out of modules and into them, under their parameters' paths.
pub trait ModuleWeights: Sized {
    /// The floating-point parameters and running statistics of `module`.
    fn of<M: Module>(module: &M) -> Self;

    /// `module` with these weights, and what became of each of its parameters.
    /// What requires gradients, and on which device, stays as it was.
    ///
    /// # Errors
    /// If a name or shape differs that `allow` does not excuse; the error lists every one.
    fn load_into<M: Module>(&self, module: M, allow: &Allow) -> Result<(M, LoadReport), WeightsError>;

    /// These weights for a backbone with `norm`: its convolutions folded for none, unfolded for one. What is not the
    /// backbone's own, such as a head, stays as it is. `epsilon` is that of the norms that are here.
    ///
    /// # Errors
    /// As [`Weights::fold_norms`].
    fn with_norm(self, norm: &NormConfig, epsilon: f64) -> Result<Self, WeightsError>;
}

impl ModuleWeights for Weights {
    fn of<M: Module>(module: &M) -> Self {
        let mut collector = Collector::default();
        // The valid form has taken in the statistics of the last batch.
        module.valid().visit(&mut collector);
        collector.weights
    }

    fn load_into<M: Module>(&self, module: M, allow: &Allow) -> Result<(M, LoadReport), WeightsError> {
        let report = self.compare(&Self::of(&module));
        report.check(allow)?;
        // Takes in the statistics of the last batch, which would otherwise replace the loaded ones.
        let _ = module.valid();
        let mut loader = Loader { path: ParameterPath::default(), weights: self };
        Ok((module.map(&mut loader), report))
    }

    fn with_norm(self, norm: &NormConfig, epsilon: f64) -> Result<Self, WeightsError> {
        let (backbone, others) = self.split(r"^(backbone\.)?(features|stem|stages)\.")?;
        let backbone = match norm.epsilon() {
            None => backbone.fold_norms(epsilon)?,
            Some(own) => backbone.unfold_norms(own),
        };
        Ok(backbone.or(others))
    }
}

/// Reads a module's state.
#[derive(Default)]
struct Collector {
    path: ParameterPath,
    weights: Weights,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = param.val().into_data().convert_dtype(DType::F32);
        let shape = data.shape().to_vec();
        let values = data.try_into_vec().expect("the data was converted to f32 above");
        self.weights.insert(self.path.name(), Array { shape, values });
    }
}

/// Replaces every parameter whose name and shape the weights have.
struct Loader<'a> {
    path: ParameterPath,
    weights: &'a Weights,
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(array) = self.weights.get(&self.path.name()) else { return param };
        param.map(|old| {
            if old.dims().as_slice() != array.shape {
                return old;
            }
            let data = TensorData::new(array.values.clone(), array.shape.clone());
            let new = Tensor::from_data(data, &old.device());
            if old.is_require_grad() { new.require_grad() } else { new }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Activation, Conv2dConfig, ConvBlock, ConvBlockConfig};
    use burn::tensor::Device;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn block(seed: u64, channels: usize, device: &Device) -> ConvBlock {
        let config =
            ConvBlockConfig::new(Conv2dConfig::new(3, channels, 3), NormConfig::BATCH, Activation::Relu);
        config.init(device, &mut ChaCha8Rng::seed_from_u64(seed))
    }

    #[test]
    fn a_module_becomes_the_one_that_was_saved() {
        let device = Device::default().autodiff();
        let saved = block(1, 4, &device);
        saved.forward(Tensor::ones([2, 3, 4, 4], &device));
        let weights = Weights::of(&saved);
        let names: Vec<&str> = weights.names().collect();
        let expected = ["conv.weight", "norm.bias", "norm.running_mean", "norm.running_var", "norm.weight"];
        assert_eq!(names, expected);
        // The target has seen a batch that it must forget.
        let other = block(2, 4, &device);
        other.forward(Tensor::ones([2, 3, 4, 4], &device) * 9.0);
        let (loaded, report) = weights.load_into(other, &Allow::default()).unwrap();
        assert!(report.is_exact() && report.loaded == expected);
        assert_eq!(Weights::of(&loaded), weights);
        assert!(loaded.conv.weight.is_require_grad());
    }

    #[test]
    fn every_difference_is_listed_by_name() {
        let device = Device::default();
        let mut weights = Weights::of(&block(1, 5, &device));
        weights.remove("norm.bias");
        weights.insert("classifier", Array { shape: vec![1], values: vec![0.0] });
        let error = weights.load_into(block(1, 4, &device), &Allow::default()).unwrap_err().to_string();
        for part in [
            "1 missing: norm.bias",
            "1 unexpected: classifier",
            "4 misshapen: conv.weight [5, 3, 3, 3], not [4, 3, 3, 3]",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_is_allowed_keeps_its_values() {
        let device = Device::default();
        let mut weights = Weights::of(&block(1, 5, &device));
        weights.remove("norm.bias");
        let allow = Allow::default().missing("^norm.bias$").unwrap().misshapen("conv|norm").unwrap();
        let before = Weights::of(&block(2, 4, &device));
        let (after, report) = weights.load_into(block(2, 4, &device), &allow).unwrap();
        assert_eq!(Weights::of(&after), before);
        assert_eq!((report.loaded.len(), report.misshapen.len()), (0, 4));
    }
}
