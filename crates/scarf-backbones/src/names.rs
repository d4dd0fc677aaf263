//! Which parameter is where.

use std::collections::HashMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

use crate::path::ParameterPath;

/// The path of every floating-point parameter of `module`, as [`Weights`](crate::Weights) have it:
/// `features.0.conv.weight`.
pub fn parameter_names<M: Module>(module: &M) -> HashMap<ParamId, String> {
    let mut names = Names::default();
    module.visit(&mut names);
    names.found
}

#[derive(Default)]
struct Names {
    path: ParameterPath,
    found: HashMap<ParamId, String>,
}

impl ModuleVisitor for Names {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.insert(param.id, self.path.name());
    }
}
