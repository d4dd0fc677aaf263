use crate::{BBox, Detection};

/// Weighted boxes fusion (Solovyev, Wang and Gabruseva 2021, as in their `ensemble_boxes` with equal weights and
/// `conf_type="avg"`): what several looks at one image found, as one list, best first.
///
/// `looks` are lists of detections that have been through a suppression each, in pixels of the same image. Best first,
/// each joins the cluster of its class whose box has the highest IoU with it, if that exceeds `iou`, or begins one. A
/// cluster's box is the mean of its own, weighted by their scores; its score is the sum of theirs over the number of
/// looks, but no more than their mean: what only one of four looks saw counts a quarter.
///
/// Of equal scores the first given comes first. Boxes without an area, or with a score that is not above 0, are left
/// out.
pub fn weighted_boxes_fusion(looks: &[Vec<Detection>], iou: f64) -> Vec<Detection> {
    let sound = |d: &&Detection| d.bbox.is_valid() && d.score > 0.0;
    let mut all: Vec<Detection> = looks.iter().flatten().filter(sound).copied().collect();
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut clusters: Vec<Cluster> = Vec::new();
    for found in all {
        let near = clusters.iter_mut().filter(|cluster| cluster.class == found.class);
        let near = near.map(|cluster| (f64::from(cluster.bbox().iou(&found.bbox)), cluster));
        let best = near.reduce(|best, next| if next.0 > best.0 { next } else { best });
        match best {
            Some((overlap, cluster)) if overlap > iou => cluster.add(&found),
            _ => clusters.push(Cluster::new(&found)),
        }
    }
    let mut fused: Vec<Detection> = clusters.iter().map(|cluster| cluster.detection(looks.len())).collect();
    fused.sort_by(|a, b| b.score.total_cmp(&a.score));
    fused
}

/// Detections that are taken for one.
struct Cluster {
    class: usize,
    /// The sum of their coordinates, each times its score.
    corners: [f64; 4],
    scores: f64,
    count: usize,
}

impl Cluster {
    fn new(first: &Detection) -> Self {
        let mut cluster = Self { class: first.class, corners: [0.0; 4], scores: 0.0, count: 0 };
        cluster.add(first);
        cluster
    }

    fn add(&mut self, found: &Detection) {
        let score = f64::from(found.score);
        for (sum, corner) in self.corners.iter_mut().zip(found.bbox.to_array()) {
            *sum += score * f64::from(corner);
        }
        self.scores += score;
        self.count += 1;
    }

    fn bbox(&self) -> BBox<f32> {
        let [x1, y1, x2, y2] = self.corners.map(|sum| (sum / self.scores) as f32);
        BBox::new(x1, y1, x2, y2)
    }

    fn detection(&self, looks: usize) -> Detection {
        let score = (self.scores / self.count.max(looks) as f64) as f32;
        Detection { bbox: self.bbox(), class: self.class, score }
    }
}
