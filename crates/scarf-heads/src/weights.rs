use scarf_backbones::{Array, BackboneConfig, Rename, Weights, WeightsError};

use crate::DetectorConfig;

impl<N, H> DetectorConfig<BackboneConfig, N, H> {
    /// `weights` of a published file, a backbone's or a whole detector's, under the names of a
    /// detector of this recipe.
    ///
    /// Whole detectors are those of TensorFlow's model zoo, with names `extras.K.` and
    /// `heads.M.{box,cls}.`, whose boxes, written `ty, tx, th, tw`, are put into our order; and
    /// torchvision's Faster R-CNN with FPN.
    ///
    /// # Errors
    /// If parts of a block are missing.
    pub fn adapt(&self, mut weights: Weights) -> Result<Weights, WeightsError> {
        let boxes =
            |name: &&str| name.starts_with("heads.") && name.contains(".box.") && !name.contains(".dw.");
        let names: Vec<String> = weights.names().filter(boxes).map(str::to_owned).collect();
        for name in names {
            if let Some(array) = weights.remove(&name) {
                weights.insert(name, x_first(array));
            }
        }
        let weights = weights.rename(&torchvision_faster_rcnn()?)?;
        self.backbone.adapt(weights)?.rename(&[
            Rename::new(r"^extras\.(\d+)\.(squeeze|dw|expand)\.(weight|bias)$", "neck.extras.$1.$2.conv.$3")?,
            Rename::new(r"^heads\.(\d+)\.box\.", "heads.$1.boxes.")?,
            Rename::new(r"^heads\.(\d+\.(?:boxes|cls))\.dw\.(weight|bias)$", "head.heads.$1.dw.conv.$2")?,
            Rename::new(r"^heads\.(\d+\.(?:boxes|cls))\.(?:pw\.)?(weight|bias)$", "head.heads.$1.conv.$2")?,
            Rename::new(r"^(features|stem|stages|atrous)\.", "backbone.$1.")?,
            Rename::new(r"^head\.roi\.bbox\.", "head.roi.boxes.")?,
        ])
    }
}

/// From torchvision's names; its FPN's had one number less until 0.15.
fn torchvision_faster_rcnn() -> Result<[Rename; 8], WeightsError> {
    Ok([
        Rename::new(r"^backbone\.body\.", "")?,
        Rename::new(r"^backbone\.fpn\.(inner|layer)_blocks\.(\d+)\.(?:0\.)?", "neck.$1.$2.")?,
        Rename::new(r"^rpn\.head\.conv\.(?:(\d+)\.0\.)", "head.rpn.convs.$1.")?,
        Rename::new(r"^rpn\.head\.conv\.", "head.rpn.convs.0.")?,
        Rename::new(r"^rpn\.head\.cls_logits\.", "head.rpn.cls.")?,
        Rename::new(r"^rpn\.head\.bbox_pred\.", "head.rpn.boxes.")?,
        Rename::new(r"^roi_heads\.box_head\.", "head.roi.")?,
        Rename::new(r"^roi_heads\.box_predictor\.(cls|bbox)_(?:score|pred)\.", "head.roi.$1.")?,
    ])
}

/// Swaps the rows 0 and 1, and 2 and 3, of each four: an anchor's `y, x, h, w` to `x, y, w, h`.
fn x_first(mut array: Array) -> Array {
    let width = array.values.len() / array.shape.first().copied().unwrap_or(1).max(1);
    for anchor in array.values.chunks_exact_mut(4 * width) {
        for pair in anchor.chunks_exact_mut(2 * width) {
            let (y, x) = pair.split_at_mut(width);
            y.swap_with_slice(x);
        }
    }
    array
}
