//! The detectors of TensorFlow's model zoo, as their weights are published here and there with PyTorch's layout.

use scarf_backbones::{Array, Rename, Weights, WeightsError};

pub(super) fn renames() -> Result<Vec<Rename>, WeightsError> {
    super::list(&[
        (r"^extras\.(\d+)\.(squeeze|dw|expand)\.(weight|bias)$", "neck.extras.$1.$2.conv.$3"),
        (r"^heads\.(\d+)\.box\.", "heads.$1.boxes."),
        (r"^heads\.(\d+\.(?:boxes|cls))\.dw\.(weight|bias)$", "head.heads.$1.dw.conv.$2"),
        (r"^heads\.(\d+\.(?:boxes|cls))\.(?:pw\.)?(weight|bias)$", "head.heads.$1.conv.$2"),
    ])
}

/// With the predictors of boxes in our order.
pub(super) fn x_first(mut weights: Weights) -> Weights {
    let boxes = |name: &&str| name.starts_with("heads.") && name.contains(".box.") && !name.contains(".dw.");
    let names: Vec<String> = weights.names().filter(boxes).map(str::to_owned).collect();
    for name in names {
        if let Some(array) = weights.remove(&name) {
            weights.insert(name, swapped(array));
        }
    }
    weights
}

/// Swaps the rows 0 and 1, and 2 and 3, of each four: an anchor's `y, x, h, w` to `x, y, w, h`.
fn swapped(mut array: Array) -> Array {
    let width = array.values.len() / array.shape.first().copied().unwrap_or(1).max(1);
    for anchor in array.values.chunks_exact_mut(4 * width) {
        for pair in anchor.chunks_exact_mut(2 * width) {
            let (y, x) = pair.split_at_mut(width);
            y.swap_with_slice(x);
        }
    }
    array
}
