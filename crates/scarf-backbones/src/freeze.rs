//! Parts of a network that training leaves alone.

use burn::module::{Flag, Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use regex::Regex;
use scarf_weights::Weights;

use crate::backbone::Backbone;
use crate::path::ParameterPath;
use crate::weights::ModuleWeights;

/// Why nothing was frozen.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// A pattern of names is no regular expression.
    #[error("the pattern `{pattern}`: {problem}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A pattern matches no parameter.
    #[error("no parameter matches `{pattern}`; the model has {known}")]
    NothingMatches {
        /// The pattern.
        pattern: String,
        /// Some of the names that there are.
        known: String,
    },
    /// More stages were to be frozen than there are.
    #[error("{asked} stages cannot be frozen: the backbone has {there}")]
    Stages {
        /// How many were asked for.
        asked: usize,
        /// How many there are.
        there: usize,
    },
}

/// `module` with every parameter whose path `pattern` matches frozen: it needs no gradient, and a
/// batch normalisation there keeps its running statistics and normalises by them.
///
/// # Errors
/// If the pattern is no regular expression, or matches no parameter.
pub fn freeze<M: Module>(module: M, pattern: &str) -> Result<M, FreezeError> {
    let regex = Regex::new(pattern)
        .map_err(|error| FreezeError::Pattern { pattern: pattern.to_owned(), problem: error.to_string() })?;
    let weights = Weights::of(&module);
    if !weights.names().any(|name| regex.is_match(name)) {
        let known = weights.names().take(8).collect::<Vec<_>>().join(", ");
        return Err(FreezeError::NothingMatches { pattern: pattern.to_owned(), known });
    }
    Ok(module.map(&mut Freezer { path: ParameterPath::default(), pattern: regex }))
}

/// `backbone` with its first `count` stages frozen; 0 freezes nothing.
///
/// # Errors
/// If it has fewer stages.
pub fn freeze_stages<B: Backbone>(backbone: B, count: usize) -> Result<B, FreezeError> {
    let stages = backbone.stages();
    if count > stages.len() {
        return Err(FreezeError::Stages { asked: count, there: stages.len() });
    }
    stages[..count].iter().try_fold(backbone, |backbone, stage| freeze(backbone, stage))
}

/// Freezes what its pattern matches.
struct Freezer {
    path: ParameterPath,
    pattern: Regex,
}

impl ModuleMapper for Freezer {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.pattern.is_match(&self.path.name()) { param.set_require_grad(false) } else { param }
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        if self.pattern.is_match(&self.path.name()) { flag.with_value(false) } else { flag }
    }
}
