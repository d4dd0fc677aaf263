use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamWConfig, ModuleOptimizer, SgdConfig};
use serde::{Deserialize, Serialize};

/// Which optimizer, with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Stochastic gradient descent with momentum in PyTorch's form (no dampening); the decay is
    /// added to the gradient of every parameter.
    Sgd {
        /// The learning rate that the schedule's factor multiplies.
        lr: f64,
        /// The share of the last step that is kept.
        #[serde(default = "momentum")]
        momentum: f64,
        /// The share of a parameter that is added to its gradient.
        #[serde(default)]
        weight_decay: f64,
        /// Nesterov's form.
        #[serde(default)]
        nesterov: bool,
    },
    /// Adam with decoupled weight decay (Loshchilov and Hutter, 2019); its beta 2 is .999, its epsilon 1e-5 (burn's; PyTorch's
    /// is 1e-8), and the decay is of every parameter.
    AdamW {
        /// The learning rate that the schedule's factor multiplies.
        lr: f64,
        /// The share of the gradients' mean that a step keeps (its beta 1).
        #[serde(default = "momentum")]
        momentum: f64,
        /// The share of a parameter that a step takes off, times the learning rate.
        #[serde(default)]
        weight_decay: f64,
    },
}

fn momentum() -> f64 {
    0.9
}

impl OptimizerConfig {
    /// The learning rate before the schedule.
    pub fn lr(&self) -> f64 {
        match self {
            Self::Sgd { lr, .. } | Self::AdamW { lr, .. } => *lr,
        }
    }

    /// What is wrong with the numbers besides `lr`, if anything, and what would be right.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (Self::Sgd { momentum, weight_decay, .. } | Self::AdamW { momentum, weight_decay, .. }) = *self;
        if !(0.0..1.0).contains(&momentum) {
            return Err(format!("momentum is {momentum}; a number from 0 up to, not with, 1 is needed"));
        }
        if !(weight_decay.is_finite() && weight_decay >= 0.0) {
            return Err(format!("weight_decay is {weight_decay}; 0 or more is needed"));
        }
        if matches!(self, Self::Sgd { nesterov: true, .. }) && momentum == 0.0 {
            return Err("nesterov is nothing without momentum".into());
        }
        Ok(())
    }

    /// The optimizer, without state.
    pub fn init(&self) -> ModuleOptimizer {
        match *self {
            Self::Sgd { momentum, weight_decay, nesterov, .. } => {
                let mut config = SgdConfig::new();
                if momentum > 0.0 {
                    let form = MomentumConfig::new()
                        .with_momentum(momentum)
                        .with_dampening(0.0)
                        .with_nesterov(nesterov);
                    config = config.with_momentum(Some(form));
                }
                if weight_decay > 0.0 {
                    config = config.with_weight_decay(Some(WeightDecayConfig::new(weight_decay as f32)));
                }
                config.init()
            }
            Self::AdamW { momentum, weight_decay, .. } => {
                AdamWConfig::new().with_beta_1(momentum as f32).with_weight_decay(weight_decay as f32).init()
            }
        }
    }
}
