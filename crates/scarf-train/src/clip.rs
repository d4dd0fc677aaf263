use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use scarf_kernels::on_host;

/// Scales the gradients of `module` down so that the root of the sum of their squares is at most
/// `limit` (PyTorch's `clip_grad_norm_`; burn's own clipping goes tensor by tensor).
///
/// On a GPU the host does not wait for that sum.
pub(crate) fn clip_norm<M: Module>(gradients: &mut GradientsParams, module: &M, limit: f32) {
    let squares = squares(gradients, module);
    if squares.is_empty() {
        return;
    }
    if squares.iter().all(|sum| on_host(&sum.device())) {
        let norm = norm(squares);
        if norm > f64::from(limit) {
            scale(gradients, module, f64::from(limit) / (norm + 1e-6));
        }
    } else {
        clip_there(gradients, module, squares, limit);
    }
}

/// [`clip_norm`] without reading anything from the device.
fn clip_there<M: Module>(gradients: &mut GradientsParams, module: &M, squares: Vec<Tensor<1>>, limit: f32) {
    let norm = Tensor::cat(squares, 0).sum().sqrt();
    let factor = (norm + 1e-6).recip().mul_scalar(limit).clamp_max(1.0);
    module.visit(&mut Scale { gradients, factor: Factor::There(&factor) });
}

/// Multiplies all gradients of `module`.
pub(crate) fn scale<M: Module>(gradients: &mut GradientsParams, module: &M, factor: f64) {
    module.visit(&mut Scale { gradients, factor: Factor::Here(factor) });
}

/// The sum of the squares of each gradient of `module`.
pub(crate) fn squares<M: Module>(gradients: &GradientsParams, module: &M) -> Vec<Tensor<1>> {
    let mut squares = Squares { gradients, sums: Vec::new() };
    module.visit(&mut squares);
    squares.sums
}

/// The root of the sum of these, of which there is at least one, read from the device at once.
pub(crate) fn norm(squares: Vec<Tensor<1>>) -> f64 {
    let sums = Tensor::cat(squares, 0).into_data().convert::<f32>();
    let sums: Vec<f32> = sums.try_into_vec().expect("the data was converted to f32");
    sums.into_iter().map(f64::from).sum::<f64>().sqrt()
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.sums.push((gradient.clone() * gradient).sum());
        }
    }
}

/// What gradients are multiplied by.
enum Factor<'a> {
    /// A number that the host knows.
    Here(f64),
    /// `[1]`, on the device.
    There(&'a Tensor<1>),
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: Factor<'a>,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            let scaled = match &self.factor {
                Factor::Here(factor) => gradient * *factor,
                Factor::There(factor) => gradient * (*factor).clone().reshape([1; D]),
            };
            self.gradients.register(param.id, scaled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small;
    use burn::tensor::Device;

    #[test]
    fn without_reading_the_norm_gradients_are_clipped_as_with_it() {
        let device = Device::flex().autodiff();
        let model = small::detector(3, &device);
        let gradients = || {
            let images = Tensor::ones([1, 3, 64, 64], &device);
            GradientsParams::from_grads(model.features(images).0.remove(0).sum().backward(), &model)
        };
        let whole = norm(squares(&gradients(), &model));
        for limit in [whole / 3.0, whole * 3.0] {
            let (mut here, mut there) = (gradients(), gradients());
            clip_norm(&mut here, &model, limit as f32);
            let sums = squares(&there, &model);
            clip_there(&mut there, &model, sums, limit as f32);
            let norms = [here, there].map(|gradients| norm(squares(&gradients, &model)));
            for norm in norms {
                assert!((norm / limit.min(whole) - 1.0).abs() < 1e-5, "{norms:?} for {limit} of {whole}");
            }
        }
    }
}
