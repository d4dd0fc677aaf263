use crate::store::{Found, Store, Truth};

/// One image's labels, for analyses that look across classes.
pub(crate) struct ImageLabels<'a> {
    pub(crate) truths: Vec<&'a Truth>,
    /// Best score first, equal ones as they came.
    pub(crate) found: Vec<&'a Found>,
}

impl<'a> ImageLabels<'a> {
    /// Every image of a store, in order.
    pub(crate) fn all(store: &'a Store) -> Vec<Self> {
        let mut images: Vec<Self> =
            (0..store.images).map(|_| Self { truths: Vec::new(), found: Vec::new() }).collect();
        store.truths.iter().for_each(|t| images[t.image as usize].truths.push(t));
        store.found.iter().for_each(|f| images[f.image as usize].found.push(f));
        images.iter_mut().for_each(|image| image.found.sort_by(|a, b| b.score.total_cmp(&a.score)));
        images
    }
}

/// IoU of a detection and a ground truth; with a crowd, the share of the detection inside it.
pub(crate) fn iou(found: &Found, truth: &Truth) -> f64 {
    let ([x, y, w, h], [tx, ty, tw, th]) = (found.xywh, truth.xywh);
    let wide = (x + w).min(tx + tw) - x.max(tx);
    let high = (y + h).min(ty + th) - y.max(ty);
    if wide <= 0.0 || high <= 0.0 {
        return 0.0;
    }
    let shared = wide * high;
    shared / if truth.crowd { w * h } else { w * h + tw * th - shared }
}
