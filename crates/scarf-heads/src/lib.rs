//! Necks, anchors, box coder, matcher, losses and heads on burn, and the [`Detector`] that joins
//! a backbone, a neck and a head.
//!
//! Architecture invariant: no files, no training loop, no data sets; boxes and classes come from
//! `scarf-core`, features from `scarf-backbones`.

mod anchors;
mod coder;
mod coverage;
mod detector;
mod error;
mod head;
mod matcher;
pub mod models;
mod neck;
mod precision;
mod sampling;
mod targets;
mod weights;

pub use anchors::{AnchorConfig, anchors};
pub use coder::BoxCoder;
pub use coverage::{Coverage, coverage, fit_anchors};
pub use detector::{Detector, DetectorConfig, DetectorOf, InitBackbone, maps};
pub use error::ConfigError;
pub use head::{
    AnyHead, BoxLoss, FasterRcnn, FasterRcnnConfig, Head, HeadConfig, InitHead, LevelHead, MultiboxLoss,
    Normalizer, Objectness, Postprocess, Predictions, Predictor, Proposals, RoiConfig, RoiHead, Rpn,
    RpnConfig, Scores, SsdHead, SsdHeadConfig, Verdicts,
};
pub use matcher::{Match, Matcher, Matching, match_anchors};
pub use neck::{
    AnyNeck, Extra, Fpn, FpnConfig, InitNeck, Mfn, MfnConfig, Neck, NeckConfig, Rectifier, Rise, SsdExtras,
    SsdExtrasConfig, Step,
};
pub use precision::Precision;
pub use targets::{Losses, Targets};
