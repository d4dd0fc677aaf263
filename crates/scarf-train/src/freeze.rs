use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use scarf_backbones::{Backbone, freeze, freeze_stages};
use scarf_heads::{Detector, Head, Neck};
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// What training leaves as it was: no gradient reaches it, and batch normalisation there goes by its
/// running statistics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FreezeConfig {
    /// How many stages of the backbone, from the image on.
    pub stages: usize,
    /// Patterns of the `regex` crate; a parameter whose path one matches is frozen, as in
    /// `^head\.rpn\.`.
    pub matching: Vec<String>,
}

impl FreezeConfig {
    /// `detector` with those parts frozen.
    ///
    /// # Errors
    /// If there are fewer stages, a pattern is none or matches nothing, or nothing is left to train.
    pub fn apply<B: Backbone, N: Neck, H: Head>(
        &self,
        mut detector: Detector<B, N, H>,
    ) -> Result<Detector<B, N, H>, TrainError> {
        detector.backbone = freeze_stages(detector.backbone, self.stages)?;
        for pattern in &self.matching {
            detector = freeze(detector, pattern)?;
        }
        if trained(&detector) == 0 {
            return Err(TrainError::Config(
                "`train.freeze`: nothing is left to train; freeze less, or train for 0 epochs".into(),
            ));
        }
        Ok(detector)
    }
}

/// The numbers of a module that training moves, which running statistics, frozen norms and what is frozen are not.
pub fn trained<M: Module>(module: &M) -> usize {
    let mut trained = Trained(0);
    module.visit(&mut trained);
    trained.0
}

struct Trained(usize);

impl ModuleVisitor for Trained {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0 += if param.is_require_grad() { param.shape().num_elements() } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::small;

    #[test]
    fn stages_and_patterns_want_no_gradient() {
        let device = Device::flex().autodiff();
        let detector = small::detector(0, &device);
        let [all, neck, head] = [trained(&detector), trained(&detector.neck), trained(&detector.head)];
        let freeze = FreezeConfig { stages: 5, matching: vec![r"^neck\.".into()] };
        let frozen = freeze.apply(detector.clone()).unwrap();
        assert!(all > neck + head && neck > 0);
        assert_eq!(trained(&frozen), head);
        let error = |freeze: FreezeConfig| freeze.apply(detector.clone()).unwrap_err().to_string();
        let stages = error(FreezeConfig { stages: 6, matching: vec![] });
        assert_eq!(stages, "train.freeze: 6 stages cannot be frozen: the backbone has 5");
        let nothing = error(FreezeConfig { stages: 0, matching: vec!["^rpn".into()] });
        assert!(nothing.starts_with("train.freeze: no parameter matches `^rpn`"), "{nothing}");
        let all = error(FreezeConfig { stages: 0, matching: vec![".".into()] });
        assert!(all.contains("`train.freeze`: nothing is left to train"), "{all}");
    }
}
