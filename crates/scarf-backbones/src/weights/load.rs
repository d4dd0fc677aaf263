//! Weights into a module.

use std::collections::BTreeSet;
use std::fmt;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};
use regex::Regex;

use super::{ParameterPath, Weights, WeightsError, compile};

/// A parameter whose shape is not that of the weights under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    /// The parameter.
    pub name: String,
    /// The shape in the weights.
    pub found: Vec<usize>,
    /// The shape in the module.
    pub wanted: Vec<usize>,
}

/// What became of every parameter of a module and every tensor of the weights, in order of name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Parameters that got their values.
    pub loaded: Vec<String>,
    /// Parameters that the weights do not have; they keep their values.
    pub missing: Vec<String>,
    /// Tensors that the module does not have.
    pub unexpected: Vec<String>,
    /// Parameters whose shapes differ; they keep their values.
    pub misshapen: Vec<Misshapen>,
}

impl LoadReport {
    /// Whether module and weights have the same names and shapes.
    pub fn is_exact(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshapen.is_empty()
    }

    /// The part that `allow` does not excuse.
    fn without(&self, allow: &Allow) -> Self {
        let left = |names: &[String], patterns: &[Regex]| {
            names.iter().filter(|name| !matches(patterns, name)).cloned().collect()
        };
        let misshapen = self.misshapen.iter().filter(|one| !matches(&allow.misshapen, &one.name));
        Self {
            loaded: self.loaded.clone(),
            missing: left(&self.missing, &allow.missing),
            unexpected: left(&self.unexpected, &allow.unexpected),
            misshapen: misshapen.cloned().collect(),
        }
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} loaded", self.loaded.len())?;
        let mut list = |what: &str, names: &[String]| match names.len() {
            0 => Ok(()),
            count => write!(f, "; {count} {what}: {}", names.join(", ")),
        };
        list("missing", &self.missing)?;
        list("unexpected", &self.unexpected)?;
        let shapes = |one: &Misshapen| format!("{} {:?}, not {:?}", one.name, one.found, one.wanted);
        list("misshapen", &self.misshapen.iter().map(shapes).collect::<Vec<_>>())
    }
}

/// What may differ between weights and module, by patterns of names; nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Allow {
    missing: Vec<Regex>,
    unexpected: Vec<Regex>,
    misshapen: Vec<Regex>,
}

impl Allow {
    /// Parameters that the weights need not have.
    ///
    /// # Errors
    /// If the pattern is none, as in the other two.
    pub fn missing(mut self, pattern: &str) -> Result<Self, WeightsError> {
        self.missing.push(compile(pattern)?);
        Ok(self)
    }

    /// Tensors that the module need not have.
    pub fn unexpected(mut self, pattern: &str) -> Result<Self, WeightsError> {
        self.unexpected.push(compile(pattern)?);
        Ok(self)
    }

    /// Parameters that may have another shape, such as predictors of another number of classes.
    pub fn misshapen(mut self, pattern: &str) -> Result<Self, WeightsError> {
        self.misshapen.push(compile(pattern)?);
        Ok(self)
    }
}

impl Weights {
    /// `module` with these weights under its parameters' paths, and what became of each.
    /// What requires gradients, and on which device, stays as it was.
    ///
    /// # Errors
    /// If a name or shape differs that `allow` does not excuse; the error lists every one.
    pub fn load_into<M: Module>(&self, module: M, allow: &Allow) -> Result<(M, LoadReport), WeightsError> {
        let report = self.compare(&module);
        let unexcused = report.without(allow);
        if !unexcused.is_exact() {
            return Err(WeightsError::Mismatch(Box::new(unexcused)));
        }
        // Takes in the statistics of the last batch, which would otherwise replace the loaded ones.
        let _ = module.valid();
        let mut loader = Loader { path: ParameterPath::default(), weights: self };
        Ok((module.map(&mut loader), report))
    }

    /// What [`load_into`](Self::load_into) would report of `module`.
    pub fn compare<M: Module>(&self, module: &M) -> LoadReport {
        let own = Self::of(module);
        let mut report = LoadReport::default();
        for name in own.names() {
            let wanted = &own.arrays[name].shape;
            match self.get(name) {
                None => report.missing.push(name.to_owned()),
                Some(found) if found.shape == *wanted => report.loaded.push(name.to_owned()),
                Some(found) => report.misshapen.push(Misshapen {
                    name: name.to_owned(),
                    found: found.shape.clone(),
                    wanted: wanted.clone(),
                }),
            }
        }
        let known: BTreeSet<&str> = own.names().collect();
        report.unexpected = self.names().filter(|name| !known.contains(name)).map(str::to_owned).collect();
        report
    }
}

fn matches(patterns: &[Regex], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.is_match(name))
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
    use crate::layers::{Activation, Conv2dConfig, ConvBlock, ConvBlockConfig, NormConfig};
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
        weights.insert("classifier", super::super::Array { shape: vec![1], values: vec![0.0] });
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
