//! Parts of a network that training leaves alone.

use burn::module::{Flag, Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use regex::Regex;

use crate::backbone::Backbone;
use crate::weights::{ParameterPath, Weights, WeightsError, compile};

/// `module` with every parameter whose path `pattern` matches frozen: it needs no gradient, and a
/// batch normalisation there keeps its running statistics and normalises by them.
///
/// # Errors
/// If the pattern is no regular expression, or matches no parameter.
pub fn freeze<M: Module>(module: M, pattern: &str) -> Result<M, WeightsError> {
    let regex = compile(pattern)?;
    let weights = Weights::of(&module);
    if !weights.names().any(|name| regex.is_match(name)) {
        let known = weights.names().take(8).collect::<Vec<_>>().join(", ");
        return Err(WeightsError::NothingMatches { pattern: pattern.to_owned(), known });
    }
    Ok(module.map(&mut Freezer { path: ParameterPath::default(), pattern: regex }))
}

/// `backbone` with its first `count` stages frozen; 0 freezes nothing.
///
/// # Errors
/// If it has fewer stages.
pub fn freeze_stages<B: Backbone>(backbone: B, count: usize) -> Result<B, WeightsError> {
    let stages = backbone.stages();
    if count > stages.len() {
        return Err(WeightsError::Stages { asked: count, there: stages.len() });
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
