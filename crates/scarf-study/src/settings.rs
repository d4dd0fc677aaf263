//! What a run is, to the last setting: what the program is given, and what the run's id is the hash of.

use crate::tree::canonical;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The settings of a run, without where things lie on this machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The first 12 hexadecimal digits of the SHA-256 of all the rest, as JSON with sorted keys.
    pub id: String,
    /// The approach.
    pub approach: String,
    /// The seed of the training.
    pub seed: u64,
    /// Describes the data set.
    pub data: Json,
    /// The recipe.
    pub recipe: Json,
    /// What training begins from.
    pub init: InitSetting,
    /// The parts of the data set that the trained model is scored on: `val`, or `val` and `test`.
    pub score: Vec<String>,
}

/// What the training of a run begins from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitSetting {
    /// Nothing.
    Random,
    /// The checkpoint of the run with this id.
    Run(String),
    /// Published weights of these names: what the first lacks, the next may have.
    Weights(Vec<String>),
}

/// Where things lie on this machine; absolute paths. No part of a run's id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The study's folder: `runs/ID` in it is the folder of a run.
    pub out: PathBuf,
    /// The folder with data, where one is given.
    pub data: Option<PathBuf>,
    /// The files of the published weights, where the run begins from some.
    pub weights_files: Vec<PathBuf>,
    /// The folder with published weights, where one is given.
    pub weights: Option<PathBuf>,
}

impl Places {
    /// The folder of the run with this id.
    pub fn run(&self, id: &str) -> PathBuf {
        run_folder(&self.out, id)
    }
}

/// The folder of a run in a study's folder.
pub(crate) fn run_folder(out: &Path, id: &str) -> PathBuf {
    out.join("runs").join(id)
}

/// The first 12 hexadecimal digits of a text's SHA-256.
pub(crate) fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

impl Settings {
    /// Settings with their id.
    pub fn new(
        approach: &str,
        seed: u64,
        data: Json,
        recipe: Json,
        init: InitSetting,
        score: &[&str],
    ) -> Self {
        let score: Vec<String> = score.iter().map(|part| (*part).to_string()).collect();
        let begun = match &init {
            InitSetting::Random => Json::Null,
            InitSetting::Run(id) => json!({ "run": id }),
            InitSetting::Weights(names) => json!({ "weights": names }),
        };
        let whole = json!({
            "approach": approach, "seed": seed, "data": data, "recipe": recipe, "init": begun, "score": score,
        });
        let id = hash(&canonical(&whole));
        Self { id, approach: approach.into(), seed, data, recipe, init, score }
    }

    /// What the program reads.
    pub fn to_json(&self, places: &Places) -> Json {
        let init = match &self.init {
            InitSetting::Random => Json::Null,
            InitSetting::Run(id) => json!({ "checkpoint": places.run(id) }),
            InitSetting::Weights(_) => match places.weights_files.as_slice() {
                [file] => json!({ "weights": file }),
                files => json!({ "weights": files }),
            },
        };
        json!({
            "id": self.id,
            "approach": self.approach,
            "seed": self.seed,
            "data": self.data,
            "recipe": self.recipe,
            "init": init,
            "score": self.score,
            "data_dir": places.data,
            "weights_dir": places.weights,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(recipe: Json, init: InitSetting) -> Settings {
        Settings::new("scratch", 1, json!({ "set": "steel" }), recipe, init, &["val", "test"])
    }

    #[test]
    fn an_id_is_the_same_in_five_years() {
        // Records name runs by their ids: if this changes, every record there is becomes void.
        let one = settings(json!({ "train": { "epochs": 3, "lr": 0.01 } }), InitSetting::Random);
        assert_eq!(one.id, "b6802a83a0fe");
    }

    #[test]
    fn an_id_hangs_on_the_settings_and_not_on_their_order_or_place() {
        let one =
            settings(serde_json::from_str(r#"{"a":1,"b":{"c":2,"d":3}}"#).unwrap(), InitSetting::Random);
        let same =
            settings(serde_json::from_str(r#"{"b":{"d":3,"c":2},"a":1}"#).unwrap(), InitSetting::Random);
        assert_eq!(one.id, same.id);
        let ids = [
            settings(json!({ "a": 1 }), InitSetting::Random).id,
            settings(json!({ "a": 1.5 }), InitSetting::Random).id,
            settings(json!({ "a": 1 }), InitSetting::Run("x".into())).id,
            settings(json!({ "a": 1 }), InitSetting::Weights(vec!["x".into()])).id,
        ];
        assert!(ids.iter().enumerate().all(|(index, id)| !ids[..index].contains(id)), "{ids:?}");
    }

    #[test]
    fn the_program_reads_paths_where_the_hash_reads_names() {
        let places = Places { out: "/out".into(), ..Places::default() };
        let json = settings(json!({}), InitSetting::Run("abc".into())).to_json(&places);
        assert_eq!(json["init"], json!({ "checkpoint": "/out/runs/abc" }));
        assert_eq!(json["data_dir"], Json::Null);
        let places = Places { weights_files: vec!["/w/a.safetensors".into()], ..places };
        let weights = settings(json!({}), InitSetting::Weights(vec!["a".into()])).to_json(&places);
        assert_eq!(weights["init"], json!({ "weights": "/w/a.safetensors" }));
    }
}
