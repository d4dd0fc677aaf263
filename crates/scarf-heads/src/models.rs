//! Published detectors by name, as data: one file each in `models/`.

use serde::{Deserialize, Serialize};

use crate::DetectorConfig;

/// A published detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What it is, in words.
    pub title: String,
    /// Trainable parameters as its authors have it, where they say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<usize>,
    /// Classes of the published weights, without background.
    pub classes: usize,
    /// Where its weights come from.
    pub weights: String,
    /// What it comes to.
    pub counts: Counts,
    /// Its recipe.
    pub model: DetectorConfig,
}

/// How large a detector is, counted in the network itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Anchors of an image.
    pub anchors: usize,
    /// Trainable parameters, with the classes of the published weights.
    pub parameters: usize,
    /// And with six classes, as NEU-DET has.
    pub with_six_classes: usize,
    /// Multiply-adds of an image, with six classes.
    pub multiply_adds: u64,
}

macro_rules! files {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("../models/", $name, ".toml"))),)*] };
}

const FILES: &[(&str, &str)] = files! {
    "ssd-300-vgg16-atrous-voc"
    "ssd-300-vgg16-atrous-coco"
    "ssd-512-vgg16-atrous-voc"
    "ssd-512-vgg16-atrous-coco"
    "ssd-512-resnet50-v1-voc"
    "ssd-512-resnet50-v1-coco"
    "ssd-512-mobilenet1.0-voc"
    "ssd-512-mobilenet1.0-coco"
    "mxnet-ssd-300-vgg16"
    "mxnet-ssd-512-vgg16"
    "mxnet-ssd-300-resnet50"
    "mxnet-ssd-512-resnet50"
    "ssd300_vgg16"
    "ssdlite320_mobilenet_v3_large"
    "fasterrcnn_resnet50_fpn"
    "faster-rcnn-resnet50-fpn"
    "ddn-resnet34"
    "ddn-resnet50"
    "ssdlite300_mobilenet_v2_coco"
    "ssd300_mobilenet_v1_coco"
};

/// The names, families together.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// The model of this name.
pub fn get(name: &str) -> Option<Model> {
    Some(toml::from_str(text(name)?).expect("the tests read every model"))
}

/// The recipe of this name as a study file has it, `[recipe.model]` and below, under a comment.
pub fn recipe(name: &str) -> Option<String> {
    let (text, model) = (text(name)?, get(name)?);
    let comment: String =
        text.lines().take_while(|line| line.starts_with('#')).flat_map(|line| [line, "\n"]).collect();
    let tables = text.find("[model]").map_or("", |at| &text[at..]);
    let tables = tables.replace("[model", "[recipe.model");
    Some(format!("# {name}: {}\n{comment}# Weights: {}\n\n{tables}", model.title, model.weights))
}

fn text(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_model_and_prints_as_its_recipe() {
        #[derive(Deserialize)]
        struct Study {
            recipe: Recipe,
        }
        #[derive(Deserialize)]
        struct Recipe {
            model: DetectorConfig,
        }
        for name in names() {
            let model: Model =
                toml::from_str(text(name).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
            let study: Study = toml::from_str(&recipe(name).unwrap()).unwrap();
            assert_eq!(study.recipe.model, model.model, "{name}");
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), names().count(), "a file is not listed");
        assert!(get("ssd300").is_none() && recipe("ssd300").is_none());
    }
}
