use crate::store::{Found, Store, Truth};

/// One image's labels, for analyses that look across classes.
pub(crate) struct ImageLabels<'a> {
    pub(crate) truths: Vec<&'a Truth>,
    /// Best score first, equal ones as they came.
    pub(crate) found: Vec<Claim<'a>>,
}

/// A detection and the class it was given.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) class: u32,
    pub(crate) found: &'a Found,
}

impl<'a> ImageLabels<'a> {
    /// Every image of a store, in order.
    pub(crate) fn all(store: &'a Store) -> Vec<Self> {
        let mut images: Vec<Self> =
            (0..store.images).map(|_| Self { truths: Vec::new(), found: Vec::new() }).collect();
        store.truths.iter().for_each(|t| images[t.image as usize].truths.push(t));
        for shelves in &store.found {
            let before = images.iter().map(|image| image.found.len()).collect::<Vec<_>>();
            for class in 0..store.classes as u32 {
                for found in shelves.of_class(class as usize).flatten() {
                    images[found.image as usize].found.push(Claim { class, found });
                }
            }
            for (image, before) in images.iter_mut().zip(before) {
                image.found[before..].sort_unstable_by_key(|claim| claim.found.order);
            }
        }
        let best_first = |a: &Claim<'_>, b: &Claim<'_>| b.found.score.total_cmp(&a.found.score);
        images.iter_mut().for_each(|image| image.found.sort_by(best_first));
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
