//! What fits between weights and a network, and what may differ.

use std::fmt;

use regex::Regex;

use crate::weights::compile;
use crate::{Array, Weights, WeightsError};

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

    /// Refuses every difference that `allow` does not excuse.
    ///
    /// # Errors
    /// Lists them.
    pub fn check(&self, allow: &Allow) -> Result<(), WeightsError> {
        let unexcused = self.without(allow);
        if unexcused.is_exact() { Ok(()) } else { Err(WeightsError::Mismatch(Box::new(unexcused))) }
    }

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
    /// What becomes of each tensor of `wanted`, a network's own, when these take their places.
    pub fn compare(&self, wanted: &Self) -> LoadReport {
        let mut report = LoadReport::default();
        for (name, Array { shape: wanted, .. }) in &wanted.arrays {
            match self.get(name) {
                None => report.missing.push(name.clone()),
                Some(found) if found.shape == *wanted => report.loaded.push(name.clone()),
                Some(found) => report.misshapen.push(Misshapen {
                    name: name.clone(),
                    found: found.shape.clone(),
                    wanted: wanted.clone(),
                }),
            }
        }
        let unexpected = self.names().filter(|name| wanted.get(name).is_none());
        report.unexpected = unexpected.map(str::to_owned).collect();
        report
    }
}

fn matches(patterns: &[Regex], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.is_match(name))
}
