use scarf_core::BBox;
use serde::{Deserialize, Serialize};

/// Which anchor an object has for certain, whatever their IoU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matching {
    /// The one that overlaps it most; where two objects want one, the later has it (torchvision's `SSDMatcher`).
    #[default]
    Forced,
    /// Object and anchor of the largest IoU of all, then the next two that are both free, and so on:
    /// every object that overlaps an anchor has one of its own. An anchor that overlaps an object as much as any
    /// answers for it too, whoever has it (GluonCV's `BipartiteMatcher` with `share_max`, as its SSD had it until 2019).
    Bipartite,
    /// The same pairs, and no anchor more for ties (MXNet's `MultiBoxTarget`; GluonCV's SSD, without `share_max`).
    Multibox,
}

impl Matching {
    /// For each anchor the object it answers for, `None` for background.
    ///
    /// Beside the certain ones, an anchor takes the object that it overlaps most if their IoU is at
    /// least `threshold`. Ties go to the earlier anchor or object.
    pub fn run(self, anchors: &[BBox<f32>], objects: &[BBox<f32>], threshold: f32) -> Vec<Option<usize>> {
        match self {
            Self::Forced => match_anchors(anchors, objects, threshold),
            Self::Bipartite => bipartite(anchors, objects, threshold, true),
            Self::Multibox => bipartite(anchors, objects, threshold, false),
        }
    }
}

fn bipartite(anchors: &[BBox<f32>], objects: &[BBox<f32>], threshold: f32, ties: bool) -> Vec<Option<usize>> {
    /// IoUs below it are none.
    const LEAST: f32 = 1e-12;
    let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
    let mut best = vec![(0.0f32, 0); anchors.len()];
    let mut largest = vec![LEAST; objects.len()];
    for (at, anchor) in anchors.iter().enumerate() {
        for (index, object) in objects.iter().enumerate() {
            let iou = anchor.iou(object);
            if iou > best[at].0 {
                best[at] = (iou, index);
            }
            if iou > LEAST {
                largest[index] = largest[index].max(iou);
                pairs.push((iou, at, index));
            }
        }
    }
    let mut matched: Vec<Option<usize>> = best
        .iter()
        .map(|&(iou, index)| {
            (iou > 0.0 && (iou >= threshold || ties && iou >= largest[index])).then_some(index)
        })
        .collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut anchor_free, mut object_free) = (vec![true; anchors.len()], vec![true; objects.len()]);
    for (_, at, index) in pairs {
        if anchor_free[at] && object_free[index] {
            (anchor_free[at], object_free[index]) = (false, false);
            matched[at] = Some(index);
        }
    }
    matched
}

/// SSD's matcher (torchvision's `SSDMatcher`): for each anchor the object it answers for.
///
/// An anchor takes the object that it overlaps most if their IoU is at least `threshold`; and each
/// object takes the anchor that overlaps it most, whatever the IoU. Where two objects want the
/// same anchor the later one has it. `None` is background. Ties go to the earlier anchor or object.
pub fn match_anchors(anchors: &[BBox<f32>], objects: &[BBox<f32>], threshold: f32) -> Vec<Option<usize>> {
    let mut matched = vec![None; anchors.len()];
    let mut best_of_anchor = vec![0.0f32; anchors.len()];
    let mut forced = Vec::with_capacity(objects.len());
    for (index, object) in objects.iter().enumerate() {
        let mut best = (0, f32::NEG_INFINITY);
        for (at, anchor) in anchors.iter().enumerate() {
            let iou = anchor.iou(object);
            if iou > best.1 {
                best = (at, iou);
            }
            if iou >= threshold && iou > best_of_anchor[at] {
                best_of_anchor[at] = iou;
                matched[at] = Some(index);
            }
        }
        forced.push(best.0);
    }
    for (index, at) in forced.into_iter().enumerate() {
        if let Some(slot) = matched.get_mut(at) {
            *slot = Some(index);
        }
    }
    matched
}

/// What an anchor or a proposal answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The object of this index.
    Object(usize),
    /// No object.
    Background,
    /// Neither: it teaches nothing.
    Between,
}

/// Faster R-CNN's matcher (Ren et al. 2015, section 3.1.2; torchvision's `Matcher`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matcher {
    /// IoU from which a box answers for the object that it overlaps most.
    pub foreground: f32,
    /// IoU under which it is background.
    pub background: f32,
    /// Whether the boxes that overlap an object most answer too, however little that is: each for the
    /// object that it overlaps most itself.
    pub low_quality: bool,
}

impl Matcher {
    /// One answer a box. Ties go to the earlier object; without objects all is background.
    pub fn run(&self, boxes: &[BBox<f32>], objects: &[BBox<f32>]) -> Vec<Match> {
        if objects.is_empty() {
            return vec![Match::Background; boxes.len()];
        }
        let mut best = vec![(0, 0.0f32); boxes.len()];
        // Boxes that overlap an object as much as any other.
        let (mut nearest, mut near) = (Vec::new(), Vec::new());
        for (index, object) in objects.iter().enumerate() {
            let mut most = 0.0;
            near.clear();
            for (at, (bbox, best)) in boxes.iter().zip(&mut best).enumerate() {
                let iou = bbox.iou(object);
                if iou > best.1 {
                    *best = (index, iou);
                }
                if iou > most {
                    most = iou;
                    near.clear();
                }
                if iou == most && iou > 0.0 {
                    near.push(at);
                }
            }
            nearest.extend_from_slice(&near);
        }
        let mut matches: Vec<Match> = best.iter().map(|&(index, iou)| self.of(index, iou)).collect();
        if self.low_quality {
            nearest.into_iter().for_each(|at| matches[at] = Match::Object(best[at].0));
        }
        matches
    }

    fn of(&self, object: usize, iou: f32) -> Match {
        if iou < self.background {
            Match::Background
        } else if iou < self.foreground {
            Match::Between
        } else {
            Match::Object(object)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_objects_all_is_background_whatever_the_thresholds() {
        let boxes = [BBox::new(0.0, 0.0, 4.0, 4.0)];
        for (foreground, background) in [(0.7, 0.3), (0.0, 0.0), (0.5, 0.0)] {
            let matcher = Matcher { foreground, background, low_quality: true };
            assert_eq!(matcher.run(&boxes, &[]), [Match::Background]);
        }
    }

    #[test]
    fn the_threshold_the_forced_and_the_later() {
        let anchors = [
            BBox::new(0.0, 0.0, 10.0, 10.0),
            BBox::new(0.0, 0.0, 10.0, 6.0),
            BBox::new(50.0, 50.0, 60.0, 60.0),
            BBox::new(80.0, 80.0, 90.0, 90.0),
        ];
        let whole = BBox::new(0.0, 0.0, 10.0, 10.0);
        let sliver = BBox::new(58.0, 58.0, 70.0, 70.0); // IoU .017 with the third: forced
        assert_eq!(match_anchors(&anchors, &[whole, sliver], 0.5), [Some(0), Some(0), Some(1), None]);
        let later = BBox::new(0.0, 0.0, 10.0, 9.9);
        assert_eq!(match_anchors(&anchors, &[whole, later], 0.5), [Some(1), Some(1), None, None]);
        assert_eq!(match_anchors(&anchors, &[], 0.5), [None; 4]);
        assert!(match_anchors(&[], &[whole], 0.5).is_empty());
    }

    #[test]
    fn two_thresholds_and_the_best_of_an_object() {
        let boxes = [
            BBox::new(0.0, 0.0, 10.0, 10.0),
            BBox::new(0.0, 0.0, 10.0, 6.0),
            BBox::new(50.0, 50.0, 60.0, 60.0),
            BBox::new(80.0, 80.0, 90.0, 90.0),
        ];
        let objects = [BBox::new(0.0, 0.0, 10.0, 9.0), BBox::new(58.0, 58.0, 70.0, 70.0)];
        let matcher = Matcher { foreground: 0.7, background: 0.3, low_quality: false };
        let (object, rest) = (Match::Object(0), Match::Background);
        assert_eq!(matcher.run(&boxes, &objects), [object, Match::Between, rest, rest]);
        let low = Matcher { low_quality: true, ..matcher };
        assert_eq!(low.run(&boxes, &objects), [object, Match::Between, Match::Object(1), rest]);
        assert_eq!(low.run(&boxes, &[]), [rest; 4]);
        assert!(low.run(&[], &objects).is_empty());
        // Boxes that overlap an object alike, though little, answer for it both; one that overlaps it less does not.
        let alike =
            [BBox::new(0.0, 0.0, 10.0, 10.0), BBox::new(0.0, 0.0, 9.0, 9.0), BBox::new(2.0, 2.0, 12.0, 12.0)];
        let small = [BBox::new(4.0, 4.0, 6.0, 6.0), BBox::new(80.0, 80.0, 90.0, 90.0)];
        let few = Matcher { foreground: 0.7, background: 0.01, low_quality: true };
        assert_eq!(few.run(&[alike[0], alike[2]], &small), [object, object]);
        assert_eq!(few.run(&alike, &small), [Match::Between, object, Match::Between]);
    }

    #[test]
    fn two_objects_of_one_anchor_have_one_each() {
        let anchors = [
            BBox::new(0.0, 0.0, 10.0, 10.0),
            BBox::new(0.0, 5.0, 10.0, 20.0),
            BBox::new(80.0, 80.0, 90.0, 90.0),
        ];
        let (whole, lower) = (BBox::new(0.0, 0.0, 10.0, 10.0), BBox::new(0.0, 1.0, 10.0, 10.0));
        // Both overlap the first most: IoU 1 and .9; `lower` gets the second, at .26.
        let found = Matching::Bipartite.run(&anchors, &[lower, whole], 0.5);
        assert_eq!(found, [Some(1), Some(0), None]);
        assert_eq!(Matching::Forced.run(&anchors, &[lower, whole], 0.5), [Some(1), None, None]);
        let small = BBox::new(4.0, 6.0, 6.0, 8.0); // IoU .04 with the first; the second is made as large
        let tied = [anchors[0], BBox::new(0.0, 5.0, 10.0, 15.0), anchors[2]];
        assert_eq!(Matching::Bipartite.run(&tied, &[small], 0.5), [Some(0), Some(0), None]);
        assert_eq!(Matching::Multibox.run(&tied, &[small], 0.5), [Some(0), None, None]);
        assert_eq!(Matching::Bipartite.run(&anchors, &[], 0.5), [None; 3]);
        assert!(Matching::Bipartite.run(&[], &[whole], 0.5).is_empty());
    }
}
