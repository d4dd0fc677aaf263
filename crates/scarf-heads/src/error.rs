use scarf_backbones::layers::NormConfig;

/// Settings that make no detector.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ConfigError {
    /// A list has not one entry for each level.
    #[error("`{key}` describes {given} levels, but the neck gives {levels}: write one entry a level")]
    Levels {
        /// The setting.
        key: &'static str,
        /// How many entries it has.
        given: usize,
        /// How many are needed.
        levels: usize,
    },
    /// An anchor without a size, or a level without an anchor.
    #[error(
        "`anchors`: each level needs at least one shape, with positive finite width and height, those of `rcnn` above 1 pixel"
    )]
    AnchorShape,
    /// A backbone that cannot be.
    #[error(transparent)]
    Backbone(#[from] scarf_backbones::ConfigError),
    /// A number out of its range.
    #[error("`{key}` is {given}; {needed}")]
    Range {
        /// The setting.
        key: &'static str,
        /// What it is.
        given: String,
        /// What would be right.
        needed: &'static str,
    },
}

/// Refuses an IoU that is not above 0 and at most 1.
pub(crate) fn iou(key: &'static str, given: f32) -> Result<(), ConfigError> {
    in_range(key, given, given > 0.0 && given <= 1.0, "an IoU above 0 up to 1 is needed")
}

/// Refuses a share that is not above 0 and at most 1.
pub(crate) fn share(key: &'static str, given: f32) -> Result<(), ConfigError> {
    in_range(key, given, given > 0.0 && given <= 1.0, "a part of all, above 0 up to 1, is needed")
}

/// Refuses a score under which detections are dropped that is not from 0 up to, not with, 1.
pub(crate) fn score(key: &'static str, given: f32) -> Result<(), ConfigError> {
    in_range(key, given, (0.0..1.0).contains(&given), "a number from 0 up to, not with, 1 is needed")
}

/// Refuses a length that is not from 0.
pub(crate) fn pixels(key: &'static str, given: f32) -> Result<(), ConfigError> {
    in_range(key, given, given.is_finite() && given >= 0.0, "pixels from 0 are needed")
}

/// Refuses a count of nothing.
pub(crate) fn count(key: &'static str, given: usize) -> Result<(), ConfigError> {
    in_range(key, given, given > 0, "at least 1 is needed")
}

fn in_range(
    key: &'static str,
    given: impl ToString,
    is_in: bool,
    needed: &'static str,
) -> Result<(), ConfigError> {
    if is_in { Ok(()) } else { Err(ConfigError::Range { key, given: given.to_string(), needed }) }
}

/// Refuses numbers that make no normalisation.
pub(crate) fn norm(key: &'static str, given: &NormConfig) -> Result<(), ConfigError> {
    given.check().map_err(|_| ConfigError::Range {
        key,
        given: format!("{given:?}"),
        needed: "an epsilon and a momentum from 0 to 1 are needed",
    })
}
