//! Recipes of detectors, by name or by file.

use std::path::Path;
use std::{fmt, fs};

use anyhow::{Context, Result, anyhow};
use scarf_core::Classes;
use scarf_heads::{Detector, DetectorConfig, models};
use scarf_onnx::{ExportOptions, Graph};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::model;

/// A recipe of its own file, TOML or JSON.
fn read(path: &Path) -> Result<DetectorConfig> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    if path.extension().is_some_and(|end| end == "json") {
        // As a settings file: both are read by the same readers, which are compiled once.
        let reader = &mut serde_json::Deserializer::from_str(&text);
        return serde_path_to_error::deserialize(reader)
            .map_err(|error| anyhow!("{}: `{}`: {}", path.display(), error.path(), error.inner()));
    }
    text.parse().map_err(|error| anyhow!("{}: {error}", path.display()))
}

/// The recipe that `model` names, and its number of classes: `classes` for a published detector's name or
/// a recipe's file, its own for a model that scarf trained.
pub(crate) fn find(model: &str, classes: usize) -> Result<(DetectorConfig, usize)> {
    if let Some(published) = models::get(model) {
        return Ok((published.model, classes));
    }
    let path = Path::new(model);
    if !path.exists() {
        let names = models::names().collect::<Vec<_>>().join(", ");
        return Err(anyhow!("`{model}` is no file, and none of the models {names}"));
    }
    if path.extension().is_some_and(|end| end == "toml" || end == "json") {
        return Ok((read(path)?, classes));
    }
    let (_, card) = model::parts(path)?;
    Ok((card.model, card.classes.len()))
}

/// For serde: a recipe written out, or the name of a published detector.
pub(crate) fn or_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DetectorConfig, D::Error> {
    struct Either;
    impl<'de> Visitor<'de> for Either {
        type Value = DetectorConfig;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a detector's recipe, or the name of a published one")
        }

        fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<DetectorConfig, E> {
            let names = || models::names().collect::<Vec<_>>().join(", ");
            let model = models::get(name)
                .ok_or_else(|| E::custom(format!("`{name}` is none of the models {}", names())))?;
            Ok(model.model)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DetectorConfig, A::Error> {
            DetectorConfig::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(Either)
}

/// What detection computes, layer by layer, for an image of the recipe's size.
pub(crate) fn graph(detector: &Detector, config: &DetectorConfig, classes: usize) -> Result<Graph> {
    let classes = Classes::new((0..classes).map(|class| class.to_string()))?;
    Ok(scarf_onnx::export(detector, config, &classes, &ExportOptions::default())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Holder {
        #[serde(deserialize_with = "or_name")]
        model: DetectorConfig,
    }

    #[test]
    fn a_recipe_is_written_out_or_named() {
        let published = models::get("ssd300_vgg16").unwrap().model;
        let read = |text: &str| serde_json::from_str::<Holder>(text).map(|holder| holder.model);
        assert_eq!(read(r#"{"model": "ssd300_vgg16"}"#).unwrap(), published);
        let whole = format!("{{\"model\": {}}}", serde_json::to_string(&published).unwrap());
        assert_eq!(read(&whole).unwrap(), published);

        let error = read(r#"{"model": "ssd"}"#).unwrap_err().to_string();
        assert!(error.contains("`ssd` is none of the models ssd-300-vgg16-atrous-voc, "), "{error}");
        let error = read(r#"{"model": 300}"#).unwrap_err().to_string();
        assert!(error.contains("expected a detector's recipe, or the name of a published one"), "{error}");
        let error = read(r#"{"model": {"sizes": 300}}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `sizes`"), "{error}");
    }
}
