//! Named arrays, and changes to their names.

use std::collections::BTreeMap;

use regex::Regex;

use crate::WeightsError;

/// One tensor on the host, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Its extents.
    pub shape: Vec<usize>,
    /// Its elements, as many as the product of the extents.
    pub values: Vec<f32>,
}

impl Array {
    /// The same elements, axis `axes[i]` as the i-th.
    ///
    /// # Panics
    /// If `axes` are not the numbers of this array's axes, each once.
    #[must_use]
    pub fn permute(&self, axes: &[usize]) -> Self {
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..self.shape.len()), "{axes:?} are not the axes of {:?}", self.shape);
        let mut strides = vec![1; axes.len()];
        for axis in (1..axes.len()).rev() {
            strides[axis - 1] = strides[axis] * self.shape[axis];
        }
        let shape: Vec<usize> = axes.iter().map(|&axis| self.shape[axis]).collect();
        let mut places = vec![0];
        for &axis in axes {
            let steps = (0..self.shape[axis]).map(|index| index * strides[axis]);
            places =
                places.into_iter().flat_map(|place| steps.clone().map(move |step| place + step)).collect();
        }
        Self { shape, values: places.into_iter().map(|place| self.values[place]).collect() }
    }
}

/// Named tensors: the contents of a safetensors file, or the state of a module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    pub(crate) arrays: BTreeMap<String, Array>,
    pub(crate) metadata: BTreeMap<String, String>,
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
    pub fn matching(self, pattern: &str) -> Result<Self, WeightsError> {
        Ok(self.split(pattern)?.0)
    }

    /// The tensors whose names `pattern` matches, with the header's text, and the others.
    ///
    /// # Errors
    /// If the pattern is none.
    pub fn split(self, pattern: &str) -> Result<(Self, Self), WeightsError> {
        let pattern = compile(pattern)?;
        let (matching, others) = self.arrays.into_iter().partition(|(name, _)| pattern.is_match(name));
        Ok((
            Self { arrays: matching, metadata: self.metadata },
            Self { arrays: others, metadata: BTreeMap::new() },
        ))
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
    fn axes_change_places() {
        let values: Vec<f32> = (0..6).map(|value| value as f32).collect();
        let array = Array { shape: vec![1, 2, 3], values: values.clone() };
        let turned = array.permute(&[2, 0, 1]);
        assert_eq!(turned, Array { shape: vec![3, 1, 2], values: vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0] });
        assert_eq!(turned.permute(&[1, 2, 0]), array);
        let scalar = Array { shape: vec![], values: vec![7.0] };
        assert_eq!(scalar.permute(&[]), scalar);
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
