//! Weights by name: files of them, changes to them, and their way into a module.
//!
//! ```no_run
//! # use scarf_backbones::*;
//! # fn load(detector: AnyBackbone) -> Result<AnyBackbone, WeightsError> {
//! let weights = Weights::open("mobilenet_v1_imagenet.safetensors")?
//!     .rename(&[Rename::new(r"^model\.", "")?])?;
//! let (detector, report) = weights.load_into(detector, &Allow::default().unexpected(r"^classifier\.")?)?;
//! println!("{report}");
//! # Ok(detector)
//! # }
//! ```

mod error;
mod file;
mod fold;
mod load;
mod path;

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor};
use regex::Regex;

pub use error::WeightsError;
pub use load::{Allow, LoadReport, Misshapen};
pub(crate) use path::ParameterPath;

/// One tensor on the host, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Its extents.
    pub shape: Vec<usize>,
    /// Its elements, as many as the product of the extents.
    pub values: Vec<f32>,
}

/// Named tensors: the contents of a safetensors file, or the state of a module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    arrays: BTreeMap<String, Array>,
    metadata: BTreeMap<String, String>,
}

/// A change of names: what a pattern matches becomes the replacement, `$1` its first group.
#[derive(Clone, Debug)]
pub struct Rename {
    pattern: Regex,
    replacement: String,
}

impl Rename {
    /// From a pattern of the `regex` crate.
    ///
    /// # Errors
    /// If the pattern is none.
    pub fn new(pattern: &str, replacement: &str) -> Result<Self, WeightsError> {
        Ok(Self { pattern: compile(pattern)?, replacement: replacement.to_owned() })
    }
}

/// The pattern, or an error that quotes it.
pub(crate) fn compile(pattern: &str) -> Result<Regex, WeightsError> {
    Regex::new(pattern)
        .map_err(|error| WeightsError::Pattern { pattern: pattern.to_owned(), problem: error.to_string() })
}

impl Weights {
    /// The floating-point parameters and running statistics of `module`, under their paths.
    pub fn of<M: Module>(module: &M) -> Self {
        let mut collector = Collector::default();
        // The valid form has taken in the statistics of the last batch.
        module.valid().visit(&mut collector);
        collector.weights
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.arrays.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.arrays.is_empty()
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Array> {
        self.arrays.get(name)
    }

    /// Adds a tensor, or replaces the one of this name.
    ///
    /// # Panics
    /// If the number of values is not the product of the shape.
    pub fn insert(&mut self, name: impl Into<String>, array: Array) {
        assert_eq!(array.shape.iter().product::<usize>(), array.values.len());
        self.arrays.insert(name.into(), array);
    }

    /// Takes a tensor out.
    pub fn remove(&mut self, name: &str) -> Option<Array> {
        self.arrays.remove(name)
    }

    /// The text that the file's header carries beside the tensors.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The same tensors with this line in the file's header.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Every name changed by each of `renames` in turn.
    ///
    /// # Errors
    /// If two tensors would get one name.
    pub fn rename(self, renames: &[Rename]) -> Result<Self, WeightsError> {
        let (mut arrays, mut origins) = (BTreeMap::new(), BTreeMap::new());
        for (old, array) in self.arrays {
            let new = renames.iter().fold(old.clone(), |name, rename| {
                rename.pattern.replace_all(&name, rename.replacement.as_str()).into_owned()
            });
            if let Some(first) = origins.insert(new.clone(), old.clone()) {
                return Err(WeightsError::Collision { first, second: old, name: new });
            }
            arrays.insert(new, array);
        }
        Ok(Self { arrays, metadata: self.metadata })
    }

    /// The tensors whose names `pattern` matches.
    ///
    /// # Errors
    /// If the pattern is none.
    pub fn matching(mut self, pattern: &str) -> Result<Self, WeightsError> {
        let pattern = compile(pattern)?;
        self.arrays.retain(|name, _| pattern.is_match(name));
        Ok(self)
    }

    /// With the tensors of `other` whose names are not here yet.
    ///
    /// A convolution whose kernel is not here is taken whole, with its bias and normalisation: they
    /// mean nothing beside another kernel.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        let kernels = other.names().filter_map(|name| name.strip_suffix("conv.weight"));
        for block in kernels {
            if self.arrays.contains_key(&format!("{block}conv.weight")) {
                continue;
            }
            let parts = ["conv.", "norm."].map(|part| format!("{block}{part}"));
            self.arrays.retain(|name, _| !parts.iter().any(|part| name.starts_with(part)));
        }
        for (name, array) in other.arrays {
            self.arrays.entry(name).or_insert(array);
        }
        self
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

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[(&str, f32)]) -> Weights {
        let mut weights = Weights::default();
        for &(name, value) in names {
            weights.insert(name, Array { shape: vec![1], values: vec![value] });
        }
        weights
    }

    #[test]
    fn names_change_by_each_pattern_in_turn() {
        let renames = [Rename::new("^a", "b").unwrap(), Rename::new(r"^b\.(\d)", "c$1").unwrap()];
        let renamed = named(&[("a.1", 1.0), ("b.2", 2.0), ("d", 3.0)]).rename(&renames).unwrap();
        assert_eq!(renamed, named(&[("c1", 1.0), ("c2", 2.0), ("d", 3.0)]));
        let error = named(&[("a", 1.0), ("b", 2.0)]).rename(&renames).unwrap_err().to_string();
        assert_eq!(error, "a and b would both be named b");
        assert!(Rename::new("(", "").unwrap_err().to_string().starts_with("the pattern `(`: "));
    }

    #[test]
    fn a_layer_without_a_kernel_is_filled_whole() {
        let first = named(&[("a.conv.weight", 1.0), ("b.conv.bias", 1.0), ("b.norm.bias", 1.0), ("c", 1.0)]);
        let second =
            named(&[("a.conv.weight", 2.0), ("b.conv.weight", 2.0), ("b.norm.weight", 2.0), ("d", 2.0)]);
        let filled =
            [("a.conv.weight", 1.0), ("b.conv.weight", 2.0), ("b.norm.weight", 2.0), ("c", 1.0), ("d", 2.0)];
        assert_eq!(first.or(second), named(&filled));
    }
}
