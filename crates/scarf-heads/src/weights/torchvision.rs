//! The `state_dict` of torchvision's `ssd300_vgg16`, `ssdlite320_mobilenet_v3_large` and Faster R-CNN with FPN.

use scarf_backbones::{Rename, Weights, WeightsError};

pub(super) fn wrote(weights: &Weights) -> bool {
    let of_ssd = |name: &str| name.starts_with("head.classification_head.module_list.");
    weights.names().any(|name| of_ssd(name) || name.starts_with("rpn.head."))
}

/// The backbone's layers under the names of torchvision's classifier.
pub(super) fn backbone(mut weights: Weights) -> Result<Weights, WeightsError> {
    let counts: Vec<String> =
        weights.names().filter(|name| name.ends_with(".num_batches_tracked")).map(str::to_owned).collect();
    for name in counts {
        weights.remove(&name);
    }
    if weights.names().any(|name| name.starts_with("backbone.body.")) {
        return weights.rename(&[Rename::new(r"^backbone\.body\.", "")?]);
    }
    if weights.get("backbone.scale_weight").is_some() {
        // Stages 1 to 4 of VGG-16 count on; stage 5 begins anew after its pooling, the classifier's 23rd layer.
        return weights.rename(&super::list(&[
            (r"^backbone\.scale_weight$", "atrous.scale"),
            (r"^backbone\.features\.(\d+)\.", "features.$1."),
            (r"^backbone\.extra\.0\.1\.", "features.24."),
            (r"^backbone\.extra\.0\.3\.", "features.26."),
            (r"^backbone\.extra\.0\.5\.", "features.28."),
            (r"^backbone\.extra\.0\.7\.1\.", "atrous.fc6.conv."),
            (r"^backbone\.extra\.0\.7\.3\.", "atrous.fc7.conv."),
        ])?);
    }
    // MobileNet v3-large in two parts, cut after the expansion of block 13.
    weights.rename(&super::list(&[
        (r"^backbone\.features\.0\.13\.", "features.13.block.0."),
        (r"^backbone\.features\.0\.(\d+)\.", "features.$1."),
        (r"^backbone\.features\.1\.0\.", "features.13.block."),
        (r"^backbone\.features\.1\.1\.", "features.14."),
        (r"^backbone\.features\.1\.2\.", "features.15."),
        (r"^backbone\.features\.1\.3\.", "features.16."),
    ])?)
}

pub(super) fn renames() -> Result<Vec<Rename>, WeightsError> {
    let mut renames = super::list(&[
        // Faster R-CNN; names of its FPN and RPN had one number less until 0.15.
        (r"^backbone\.fpn\.(inner|layer)_blocks\.(\d+)\.(?:0\.)?", "neck.$1.$2."),
        (r"^rpn\.head\.conv\.(\d+)\.0\.", "head.rpn.convs.$1."),
        (r"^rpn\.head\.conv\.", "head.rpn.convs.0."),
        (r"^rpn\.head\.cls_logits\.", "head.rpn.cls."),
        (r"^rpn\.head\.bbox_pred\.", "head.rpn.boxes."),
        (r"^roi_heads\.box_head\.", "head.roi."),
        (r"^roi_heads\.box_predictor\.cls_score\.", "head.roi.cls."),
        (r"^roi_heads\.box_predictor\.bbox_pred\.", "head.roi.boxes."),
        // SSDLite: three layers of convolution and normalisation each.
        (r"^backbone\.extra\.(\d)\.0\.0\.", "neck.extras.$1.squeeze.conv."),
        (r"^backbone\.extra\.(\d)\.0\.1\.", "neck.extras.$1.squeeze.norm."),
        (r"^backbone\.extra\.(\d)\.1\.0\.", "neck.extras.$1.dw.conv."),
        (r"^backbone\.extra\.(\d)\.1\.1\.", "neck.extras.$1.dw.norm."),
        (r"^backbone\.extra\.(\d)\.2\.0\.", "neck.extras.$1.expand.conv."),
        (r"^backbone\.extra\.(\d)\.2\.1\.", "neck.extras.$1.expand.norm."),
        (r"^head\.classification_head\.module_list\.(\d)\.", "head.heads.$1.cls."),
        (r"^head\.regression_head\.module_list\.(\d)\.", "head.heads.$1.boxes."),
        (r"^(head\.heads\.\d\.\w+)\.0\.0\.", "$1.dw.conv."),
        (r"^(head\.heads\.\d\.\w+)\.0\.1\.", "$1.dw.norm."),
        (r"^(head\.heads\.\d\.\w+)\.(?:1\.)?(weight|bias)$", "$1.conv.$2"),
    ])?;
    // SSD: two convolutions each; the first of the extras is the end of VGG.
    for extra in 1..=5 {
        for (layer, part) in [(0, "squeeze"), (2, "expand")] {
            let pattern = format!(r"^backbone\.extra\.{extra}\.{layer}\.(weight|bias)$");
            renames.push(Rename::new(&pattern, &format!("neck.extras.{}.{part}.conv.$1", extra - 1))?);
        }
    }
    Ok(renames)
}
