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
    #[error("`anchors`: each level needs at least one shape, with positive finite width and height")]
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
