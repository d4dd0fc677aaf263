use std::str::FromStr;

use scarf_data::augment::Transform;
use scarf_heads::Precision;
use serde::{Deserialize, Serialize};

use crate::{FreezeConfig, OptimizerConfig, ScheduleConfig};

/// How a detector is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training images; with 0 the model stays what it began as.
    pub epochs: usize,
    /// Images a step; fewer in the last of an epoch, but never one alone.
    #[serde(default = "batch")]
    pub batch: usize,
    /// What moves the weights.
    pub optimizer: OptimizerConfig,
    /// How far it moves them over time.
    #[serde(default)]
    pub schedule: ScheduleConfig,
    /// What is done to an image each time it is shown, in order.
    #[serde(default)]
    pub augment: Vec<Transform>,
    /// Epochs from one scoring on the validation images to the next; the last is always scored.
    #[serde(default = "every")]
    pub validate_every: usize,
    /// What is left as it was.
    #[serde(default)]
    pub freeze: FreezeConfig,
    /// Global norm that gradients are scaled down to, if they exceed it.
    #[serde(default)]
    pub clip_norm: Option<f32>,
    /// The model that is scored and kept is a moving average of the weights, of which so much stays at each step, over
    /// 0 and under 1 (.999 is usual; less in the first steps: `(1 + step) / (10 + step)`). Training itself does not
    /// hang on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// In what numbers features are computed; the rest is `float32` with each.
    #[serde(default, skip_serializing_if = "is_default")]
    pub precision: Precision,
}

fn is_default(precision: &Precision) -> bool {
    *precision == Precision::default()
}

fn batch() -> usize {
    8
}

fn every() -> usize {
    1
}

/// From TOML.
impl FromStr for TrainConfig {
    type Err = toml::de::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        toml::from_str(text)
    }
}

impl TrainConfig {
    /// What is wrong with the numbers, if anything: the key, and what would be right.
    pub fn check(&self) -> Result<(), String> {
        let lr = self.optimizer.lr();
        if self.batch == 0 {
            return Err("`train.batch` is 0; at least one image a step is needed".into());
        }
        if self.validate_every == 0 {
            return Err("`train.validate_every` is 0; 1 scores every epoch".into());
        }
        if !(lr.is_finite() && lr > 0.0) {
            return Err(format!("`train.optimizer`: lr is {lr}; a positive number is needed"));
        }
        self.optimizer.check().map_err(|problem| format!("`train.optimizer`: {problem}"))?;
        self.schedule.check().map_err(|problem| format!("`train.schedule`: {problem}"))?;
        for (step, transform) in self.augment.iter().enumerate() {
            transform.check().map_err(|problem| format!("`train.augment[{step}]`: {problem}"))?;
        }
        if let Some(norm) = self.clip_norm.filter(|norm| !(norm.is_finite() && *norm > 0.0)) {
            return Err(format!("`train.clip_norm` is {norm}; a positive number is needed"));
        }
        if let Some(ema) = self.ema.filter(|&ema| !(ema > 0.0 && ema < 1.0)) {
            return Err(format!("`train.ema` is {ema}; a number over 0 and under 1 is needed, as 0.999"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What is wrong with a sound recipe of which this one key is otherwise.
    fn said(key: &str, value: Value) -> String {
        let mut config = json!({ "epochs": 1, "optimizer": { "sgd": { "lr": 0.1 } } });
        config[key] = value;
        serde_json::from_value::<TrainConfig>(config).unwrap().check().err().unwrap_or_default()
    }

    #[test]
    fn numbers_without_sense_are_refused_by_their_key() {
        assert_eq!(said("batch", json!(4)), "");
        for (key, value, problem) in [
            ("clip_norm", json!(-1.0), "`train.clip_norm` is -1; a positive number is needed"),
            ("clip_norm", json!(0.0), "`train.clip_norm` is 0; a positive number is needed"),
            (
                "augment",
                json!([{ "vertical_flip": {} }, { "horizontal_flip": { "p": 50.0 } }]),
                "`train.augment[1]`: `p` is 50, expected 0 to 1",
            ),
            (
                "augment",
                json!([{ "iou_crop": { "trials": 0 } }]),
                "`train.augment[0]`: `trials` is 0, expected 1 to 1000",
            ),
            (
                "schedule",
                json!({ "cosine": { "end": 10.0 } }),
                "`train.schedule`: cosine.end is 10; a number from 0 to 1 is needed",
            ),
            (
                "schedule",
                json!({ "step": { "epochs": [1], "factor": -0.1 } }),
                "`train.schedule`: step.factor is -0.1; a positive number is needed",
            ),
            (
                "optimizer",
                json!({ "adam_w": { "lr": 1e-3, "momentum": 1.0 } }),
                "`train.optimizer`: momentum is 1; a number from 0 up to, not with, 1 is needed",
            ),
            (
                "optimizer",
                json!({ "sgd": { "lr": 1e-3, "weight_decay": -1e-4 } }),
                "`train.optimizer`: weight_decay is -0.0001; 0 or more is needed",
            ),
            (
                "optimizer",
                json!({ "sgd": { "lr": 1e-3, "momentum": 0.0, "nesterov": true } }),
                "`train.optimizer`: nesterov is nothing without momentum",
            ),
        ] {
            assert_eq!(said(key, value), problem);
        }
    }
}
