//! What `save_parameters` of GluonCV's SSD writes.

use scarf_backbones::{Rename, Weights, WeightsError};

pub(super) fn wrote(weights: &Weights) -> bool {
    weights.names().any(|name| name.starts_with("class_predictors."))
}

/// The backbone's layers under the names of Gluon's classifiers; VGG's, which is SSD's own, under ours.
pub(super) fn backbone(mut weights: Weights) -> Result<Weights, WeightsError> {
    weights.remove("features.init_scale");
    let names: Vec<String> = weights.names().map(str::to_owned).collect();
    for name in &names {
        if name.starts_with("anchor_generators.") {
            weights.remove(name);
        } else if name.starts_with("features.expand_") && name.ends_with("_gamma") {
            // MXNet's default: the scale of these norms is 1, whatever the file says.
            if let Some(mut scale) = weights.remove(name) {
                scale.values.fill(1.0);
                weights.insert(name, scale);
            }
        }
    }
    if let Some(mut scale) = weights.remove("features.norm4.scale") {
        scale.shape = vec![scale.values.len()];
        weights.insert("atrous.scale", scale);
    }
    weights.rename(&super::list(&[
        (r"^features\.stages\.5\.0\.", "atrous.fc6.conv."),
        (r"^features\.stages\.5\.2\.", "atrous.fc7.conv."),
        // Convolutions and ReLUs count alike.
        (r"^features\.stages\.(\d)\.0\.", "stages.$1.0.conv."),
        (r"^features\.stages\.(\d)\.2\.", "stages.$1.1.conv."),
        (r"^features\.stages\.(\d)\.4\.", "stages.$1.2.conv."),
        (r"^features\.((?:mobilenet|resnetv1)\d+_)", "$1"),
    ])?)
}

pub(super) fn renames() -> Result<Vec<Rename>, WeightsError> {
    super::list(&[
        (r"^features\.extras\.(\d+)\.0\.", "neck.extras.$1.squeeze.conv."),
        (r"^features\.extras\.(\d+)\.2\.", "neck.extras.$1.expand.conv."),
        (r"^features\.expand_trans_conv(\d+)_", "neck.extras.$1.squeeze.conv."),
        (r"^features\.expand_trans_bn(\d+)_", "neck.extras.$1.squeeze.norm."),
        (r"^features\.expand_conv(\d+)_", "neck.extras.$1.expand.conv."),
        (r"^features\.expand_bn(\d+)_", "neck.extras.$1.expand.norm."),
        (r"^(neck\..*\.norm)\.gamma$", "$1.weight"),
        (r"^(neck\..*\.norm)\.beta$", "$1.bias"),
        (r"^(neck\..*\.norm)\.moving_", "$1.running_"),
        (r"^class_predictors\.(\d+)\.predictor\.", "head.heads.$1.cls.conv."),
        (r"^box_predictors\.(\d+)\.predictor\.", "head.heads.$1.boxes.conv."),
    ])
}
