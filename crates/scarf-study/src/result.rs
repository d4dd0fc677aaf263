//! What the program writes of a run.

use scarf_hpo::Direction;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// COCO's 12 numbers, in pycocotools' order: average precision over IoU .50:.95, at .50, at .75, over areas,
/// average recall with 1, 10 and 100 detections, over areas.
pub const NUMBERS: [&str; 12] = [
    "ap",
    "ap50",
    "ap75",
    "ap_small",
    "ap_medium",
    "ap_large",
    "ar1",
    "ar10",
    "ar100",
    "ar_small",
    "ar_medium",
    "ar_large",
];

/// The values of [`NUMBERS`], each from 0 to 1, or -1 where there is nothing to measure (no such
/// objects; files may say null).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Numbers(pub [f64; 12]);

impl Numbers {
    /// Average precision over IoU .50:.95.
    pub fn ap(&self) -> f64 {
        self.0[0]
    }

    /// Average precision at IoU .50.
    pub fn ap50(&self) -> f64 {
        self.0[1]
    }
}

/// `result.json`: what came of a run. Fields that are not named here are passed over.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RunResult {
    /// `ok`.
    pub status: String,
    /// What it ran on, as `flex (2 threads)`.
    pub device: String,
    /// How long it took, time before an interruption included.
    pub seconds: Seconds,
    /// Epochs trained.
    pub epochs: u64,
    /// The epoch whose model was kept and scored, from 1.
    #[serde(default)]
    pub best_epoch: Option<u64>,
    /// What tells the data that were found from others under the same settings.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// Training images.
    #[serde(default)]
    pub images: Option<u64>,
    /// Numbers that were learned.
    #[serde(default)]
    pub parameters: Option<u64>,
    /// The program and its version.
    #[serde(default)]
    pub version: Option<String>,
    /// The scores on the validation images.
    #[serde(default)]
    pub val: Option<Score>,
    /// The scores on the test images.
    #[serde(default)]
    pub test: Option<Score>,
    /// How fast the trained model goes through the test images.
    #[serde(default)]
    pub inference: Option<Inference>,
}

/// How fast a trained model is, and what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Inference {
    /// Images a second, read and resized ones in, boxes out.
    pub images_per_second: f64,
    /// Images at a time.
    #[serde(default)]
    pub batch: Option<u64>,
    /// The most memory that the process has had, training included.
    #[serde(default)]
    pub peak_memory_bytes: Option<f64>,
}

impl RunResult {
    /// What a search for `objective` makes of a run in `folder`: COCO's numbers are those of the model that was kept,
    /// anything else counts at its best epoch.
    ///
    /// # Errors
    /// Where there is nothing to measure, or no epoch has it.
    pub(crate) fn objective(
        &self,
        folder: &Path,
        objective: &str,
        direction: Direction,
    ) -> Result<f64, String> {
        let scored =
            objective.strip_prefix("val/").and_then(|name| NUMBERS.iter().position(|each| *each == name));
        if let (Some(index), Some(val)) = (scored, &self.val) {
            let value = val.numbers.0[index];
            let nothing = || format!("{objective}: there is nothing to measure");
            return (value >= 0.0).then_some(value).ok_or_else(nothing);
        }
        let epochs = Epoch::read_all(folder);
        let measured = epochs.iter().filter_map(|epoch| epoch.values.get(objective));
        let best = measured
            .copied()
            .filter(|value| value.is_finite())
            .min_by(|a, b| direction.loss(*a).total_cmp(&direction.loss(*b)));
        best.ok_or_else(|| {
            let names =
                epochs.last().map(|epoch| epoch.values.keys().map(String::as_str).collect::<Vec<_>>());
            format!(
                "metrics.jsonl: no epoch has {objective}; there are {}",
                names.unwrap_or_default().join(", ")
            )
        })
    }
}

/// Wall-clock seconds.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Seconds {
    /// Training, validation between epochs included.
    #[serde(default)]
    pub train: f64,
    /// Scoring the trained model.
    #[serde(default)]
    pub score: f64,
    /// All of it.
    pub total: f64,
}

/// Scores on one part of the data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// COCO's 12 numbers.
    pub numbers: Numbers,
    /// The classes, in the data set's order.
    pub per_class: Vec<ClassScore>,
}

/// The scores of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// The class.
    pub class: String,
    /// Average precision over IoU .50:.95; -1 where there is none of the class.
    #[serde(deserialize_with = "measured")]
    pub ap: f64,
    /// Average precision at IoU .50; likewise.
    #[serde(deserialize_with = "measured")]
    pub ap50: f64,
}

/// A score; null, too, says that there is nothing to measure.
fn measured<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(-1.0))
}

impl RunResult {
    /// The result that lies in a run's folder.
    ///
    /// # Errors
    /// Why there is none that can be used.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(folder.join("result.json"))
            .map_err(|error| format!("it left no result.json ({error})"))?;
        let result: Self = serde_json::from_str(&text).map_err(|error| format!("result.json: {error}"))?;
        if result.status != "ok" {
            return Err(format!("result.json: status is {:?}, not \"ok\"", result.status));
        }
        if !result.seconds.total.is_finite() || result.seconds.total < 0.0 {
            return Err(format!("result.json: seconds.total is {}", result.seconds.total));
        }
        Ok(result)
    }
}

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScoreVisitor;
        impl<'de> Visitor<'de> for ScoreVisitor {
            type Value = Score;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("COCO's 12 numbers by name, and per_class")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Score, A::Error> {
                let mut numbers = [None; 12];
                let mut per_class = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    match NUMBERS.iter().position(|name| *name == key) {
                        Some(index) => {
                            numbers[index] = Some(map.next_value::<Option<f64>>()?.unwrap_or(-1.0))
                        }
                        None if key == "per_class" => per_class = map.next_value()?,
                        None => drop(map.next_value::<serde::de::IgnoredAny>()?),
                    }
                }
                let mut values = [0.0; 12];
                for (index, name) in NUMBERS.iter().enumerate() {
                    let value =
                        numbers[index].ok_or_else(|| A::Error::custom(format!("{name} is missing")))?;
                    if value != -1.0 && !(0.0..=1.0).contains(&value) {
                        let reason = format!("{name} is {value}; from 0 to 1, or -1, is right");
                        return Err(A::Error::custom(reason));
                    }
                    values[index] = value;
                }
                Ok(Score { numbers: Numbers(values), per_class })
            }
        }
        deserializer.deserialize_map(ScoreVisitor)
    }
}

impl Serialize for Numbers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(NUMBERS.iter().zip(self.0))
    }
}

/// A line of `metrics.jsonl`: what was measured after an epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Epoch {
    /// The epoch, from 1.
    pub epoch: u64,
    /// How many there will be.
    pub epochs: u64,
    /// All numbers of the line by name, these two among them.
    pub values: BTreeMap<String, f64>,
}

impl Epoch {
    /// From one line; `None` where that is not one (the last line of a run that was killed).
    pub fn parse(line: &str) -> Option<Self> {
        let map: serde_json::Map<String, Json> = serde_json::from_str(line).ok()?;
        let values: BTreeMap<String, f64> =
            map.into_iter().filter_map(|(name, value)| Some((name, value.as_f64()?))).collect();
        let whole = |name: &str| values.get(name).filter(|value| **value >= 0.0).map(|value| *value as u64);
        Some(Self { epoch: whole("epoch")?, epochs: whole("epochs").unwrap_or(0), values })
    }

    /// The epochs that lie in a run's folder, in order. Of an epoch that is there twice (a run that was killed and
    /// resumed from before it) the later line counts.
    pub fn read_all(folder: &Path) -> Vec<Self> {
        let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap_or_default();
        let by_epoch: BTreeMap<u64, Self> =
            text.lines().filter_map(Self::parse).map(|epoch| (epoch.epoch, epoch)).collect();
        by_epoch.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_names_the_number_that_is_missing_or_out_of_range() {
        let mut json: serde_json::Map<String, Json> =
            NUMBERS.iter().map(|name| ((*name).into(), Json::from(0.5))).collect();
        json.insert("per_class".into(), serde_json::json!([{ "class": "a", "ap": 0.1, "ap50": null }]));
        json.insert("ap_small".into(), Json::Null);
        let score: Score = serde_json::from_value(json.clone().into()).unwrap();
        assert_eq!((score.numbers.ap(), score.numbers.0[3], score.per_class[0].ap50), (0.5, -1.0, -1.0));
        json.insert("ar_large".into(), 37.1.into());
        let error = serde_json::from_value::<Score>(json.clone().into()).unwrap_err().to_string();
        assert_eq!(error, "ar_large is 37.1; from 0 to 1, or -1, is right");
        json.insert("ar_large".into(), 0.371.into());
        json.remove("ap75");
        let error = serde_json::from_value::<Score>(json.into()).unwrap_err().to_string();
        assert_eq!(error, "ap75 is missing");
    }

    #[test]
    fn a_torn_line_is_no_epoch() {
        assert!(Epoch::parse(r#"{"epoch":1,"epochs":3,"train/loss":1.5,"note":"x"}"#).is_some());
        assert!(Epoch::parse(r#"{"epoch":2,"epochs":3,"train/lo"#).is_none());
        assert!(Epoch::parse("").is_none());
    }
}
