//! How well anchors meet the objects of a data set, and anchors that meet them better.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use scarf_core::BBox;

use crate::AnchorConfig;

/// How well anchors meet objects: the IoU of each object with its best anchor, and how many answer for it.
///
/// What no anchor reaches is learnt badly or not at all: a matcher gives it its best anchor by force,
/// and the box coder has a long way to go from there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Coverage {
    /// Objects.
    pub objects: usize,
    /// Mean of the best IoUs, `0..=1`.
    pub mean_iou: f64,
    /// The share of objects whose best IoU is at least .5.
    pub half: f64,
    /// The share of objects whose best IoU is at least .7.
    pub most: f64,
    /// Anchors of an IoU of .5 or more, an object on average.
    pub positives: f64,
}

/// The coverage of each of `classes` classes, and behind them that of all objects together.
///
/// `objects` are classes (from 0) and boxes, in pixels of the images that the anchors lie on.
pub fn coverage(anchors: &[BBox<f32>], objects: &[(usize, BBox<f32>)], classes: usize) -> Vec<Coverage> {
    let mut sums = vec![Coverage::default(); classes + 1];
    for (class, object) in objects {
        let ious = anchors.iter().map(|anchor| f64::from(anchor.iou(object)));
        let (best, positives) = ious.fold((0.0f64, 0usize), |(best, positives), iou| {
            (best.max(iou), positives + usize::from(iou >= 0.5))
        });
        for at in [*class, classes] {
            let sum = &mut sums[at];
            sum.objects += 1;
            sum.mean_iou += best;
            sum.half += f64::from(u8::from(best >= 0.5));
            sum.most += f64::from(u8::from(best >= 0.7));
            sum.positives += positives as f64;
        }
    }
    for sum in &mut sums {
        let count = sum.objects.max(1) as f64;
        for value in [&mut sum.mean_iou, &mut sum.half, &mut sum.most, &mut sum.positives] {
            *value /= count;
        }
    }
    sums
}

/// Anchors fitted to objects: `each` shapes for each of `levels` levels, the smallest on the first.
///
/// Shapes are the centres of k-means with `1 - IoU` of centred boxes as the distance (Redmon and
/// Farhadi, 2017, section 2), begun as k-means++ does. `sizes` are `[width, height]` as fractions of
/// the image's sides. With fewer objects than shapes some shapes are the same.
///
/// # Panics
/// Without an object.
pub fn fit_anchors(sizes: &[[f32; 2]], levels: usize, each: usize, rng: &mut ChaCha8Rng) -> AnchorConfig {
    assert!(!sizes.is_empty(), "anchors are fitted to objects; there is none");
    /// Beginnings; the best end of them is taken, for one alone may end in a poor place.
    const TRIES: usize = 8;
    let tries = (0..TRIES).map(|_| k_means(sizes, levels * each, rng));
    let far =
        |centres: &[[f32; 2]]| sizes.iter().map(|size| f64::from(nearest(centres, size).1)).sum::<f64>();
    let best = tries.map(|centres| (far(&centres), centres)).min_by(|a, b| a.0.total_cmp(&b.0));
    let mut shapes = best.map(|(_, centres)| centres).unwrap_or_default();
    shapes.sort_by(|a, b| (a[0] * a[1]).total_cmp(&(b[0] * b[1])));
    AnchorConfig::Shapes(shapes.chunks(each.max(1)).map(<[_]>::to_vec).collect())
}

fn k_means(sizes: &[[f32; 2]], count: usize, rng: &mut ChaCha8Rng) -> Vec<[f32; 2]> {
    /// Passes at most; it settles long before.
    const PASSES: usize = 100;
    let mut centres = beginnings(sizes, count, rng);
    let mut of = vec![usize::MAX; sizes.len()];
    for _ in 0..PASSES {
        let nearest: Vec<usize> = sizes.iter().map(|size| nearest(&centres, size).0).collect();
        if nearest == of {
            break;
        }
        of = nearest;
        for (number, centre) in centres.iter_mut().enumerate() {
            let members: Vec<&[f32; 2]> =
                sizes.iter().zip(&of).filter(|&(_, &of)| of == number).map(|(size, _)| size).collect();
            if !members.is_empty() {
                *centre = [0, 1].map(|side| {
                    members.iter().map(|member| member[side]).sum::<f32>() / members.len() as f32
                });
            }
        }
    }
    centres
}

/// The first centre is any size; each further one is a size, the likelier the farther it is from those there are.
fn beginnings(sizes: &[[f32; 2]], count: usize, rng: &mut ChaCha8Rng) -> Vec<[f32; 2]> {
    let mut centres = Vec::with_capacity(count);
    while centres.len() < count {
        let distances: Vec<f64> = sizes
            .iter()
            .map(|size| if centres.is_empty() { 1.0 } else { f64::from(nearest(&centres, size).1).powi(2) })
            .collect();
        let mut left = rng.random::<f64>() * distances.iter().sum::<f64>();
        let drawn = distances.iter().position(|distance| {
            left -= distance;
            left < 0.0
        });
        centres.push(sizes[drawn.unwrap_or(sizes.len() - 1)]);
    }
    centres
}

/// The nearest centre by number, and its distance.
fn nearest(centres: &[[f32; 2]], size: &[f32; 2]) -> (usize, f32) {
    let distances = centres.iter().map(|centre| {
        let shared = centre[0].min(size[0]) * centre[1].min(size[1]);
        1.0 - shared / (centre[0] * centre[1] + size[0] * size[1] - shared)
    });
    distances
        .enumerate()
        .fold((0, f32::INFINITY), |best, (number, d)| if d < best.1 { (number, d) } else { best })
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;
    use scarf_core::Size;

    use super::*;
    use crate::anchors;

    #[test]
    fn an_object_on_its_anchor_is_covered_and_one_far_off_is_not() {
        let anchors = [BBox::new(0.0, 0.0, 10.0, 10.0), BBox::new(0.0, 0.0, 10.0, 8.0)];
        let objects = [(0, BBox::new(0.0, 0.0, 10.0, 10.0)), (1, BBox::new(50.0, 50.0, 60.0, 60.0))];
        let all = coverage(&anchors, &objects, 3);
        assert_eq!(all[0], Coverage { objects: 1, mean_iou: 1.0, half: 1.0, most: 1.0, positives: 2.0 });
        assert_eq!(all[1], Coverage { objects: 1, ..Coverage::default() });
        assert_eq!(all[2], Coverage::default());
        assert_eq!(all[3], Coverage { objects: 2, mean_iou: 0.5, half: 0.5, most: 0.5, positives: 1.0 });
    }

    #[test]
    fn fitted_shapes_find_the_kinds_of_objects() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let kinds = [[0.1, 0.1], [0.05, 0.6], [0.8, 0.7], [0.5, 0.04]];
        let sizes: Vec<[f32; 2]> = (0..200)
            .map(|at| kinds[at % 4].map(|side: f32| side * (1.0 + 0.1 * (rng.random::<f32>() - 0.5))))
            .collect();
        let fitted = fit_anchors(&sizes, 2, 2, &mut rng);
        let shapes = fitted.shapes(2).unwrap();
        for kind in kinds {
            let close = |shape: &[f32; 2]| (0..2).all(|side| (shape[side] / kind[side] - 1.0).abs() < 0.05);
            assert!(shapes.iter().flatten().any(close), "{kind:?} in {shapes:?}");
        }
        let areas: Vec<f32> = shapes.iter().flatten().map(|[w, h]| w * h).collect();
        assert!(areas.is_sorted());
        // one image of the objects in the middle of cells: nearly all are met
        let boxes = anchors(&fitted, &[[1, 1], [1, 1]], Size::new(100, 100)).unwrap();
        let objects: Vec<_> = sizes
            .iter()
            .map(|[w, h]| (0, BBox::new(50.0 - 50.0 * w, 50.0 - 50.0 * h, 50.0 + 50.0 * w, 50.0 + 50.0 * h)))
            .collect();
        assert!(coverage(&boxes, &objects, 1)[0].most > 0.99);
    }

    #[test]
    fn fewer_objects_than_shapes_is_no_panic() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let shapes = fit_anchors(&[[0.2, 0.3]], 3, 2, &mut rng).shapes(3).unwrap();
        assert_eq!(shapes, vec![vec![[0.2, 0.3]; 2]; 3]);
    }
}
