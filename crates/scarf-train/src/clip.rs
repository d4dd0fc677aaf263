use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Scales the gradients of `module` down so that the root of the sum of their squares is at most
/// `limit` (PyTorch's `clip_grad_norm_`; burn's own clipping goes tensor by tensor).
pub(crate) fn clip_norm<M: Module>(gradients: &mut GradientsParams, module: &M, limit: f32) {
    let mut square = Square { gradients, sum: 0.0 };
    module.visit(&mut square);
    let norm = square.sum.sqrt();
    if norm > f64::from(limit) {
        module.visit(&mut Scale { gradients, factor: f64::from(limit) / (norm + 1e-6) });
    }
}

struct Square<'a> {
    gradients: &'a GradientsParams,
    sum: f64,
}

impl ModuleVisitor for Square<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let sum = (gradient.clone() * gradient).sum();
            self.sum += f64::from(sum.into_scalar::<f32>());
        }
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient * self.factor);
        }
    }
}
