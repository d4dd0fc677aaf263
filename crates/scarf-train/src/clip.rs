use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Scales the gradients of `module` down so that the root of the sum of their squares is at most
/// `limit` (PyTorch's `clip_grad_norm_`; burn's own clipping goes tensor by tensor).
pub(crate) fn clip_norm<M: Module>(gradients: &mut GradientsParams, module: &M, limit: f32) {
    let mut squares = Squares { gradients, sums: Vec::new() };
    module.visit(&mut squares);
    let norm = squares.norm();
    if norm > f64::from(limit) {
        module.visit(&mut Scale { gradients, factor: f64::from(limit) / (norm + 1e-6) });
    }
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    sums: Vec<Tensor<1>>,
}

impl Squares<'_> {
    /// The root of their sum, of as many tensors as there are, read from the device at once.
    fn norm(self) -> f64 {
        if self.sums.is_empty() {
            return 0.0;
        }
        let sums = Tensor::cat(self.sums, 0).into_data().convert::<f32>();
        let sums: Vec<f32> = sums.try_into_vec().expect("the data was converted to f32");
        sums.into_iter().map(f64::from).sum::<f64>().sqrt()
    }
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.sums.push((gradient.clone() * gradient).sum());
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
