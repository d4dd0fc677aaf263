//! The kernel against COCO's definition, written down slowly: one threshold, one area range, one
//! class, one image at a time.

use proptest::prelude::*;
use scarf_core::BBox;
use scarf_metrics::{AreaRange, CocoParams, Evaluator, GroundTruth, Prediction};

type Image = (Vec<GroundTruth>, Vec<Prediction>);

fn overlap(found: &BBox<f64>, truth: &GroundTruth) -> f64 {
    let shared = found.intersection(&truth.bbox).area();
    let whole = if truth.crowd { found.area() } else { found.area() + truth.bbox.area() - shared };
    if shared > 0.0 { shared / whole } else { 0.0 }
}

/// `(score, right, skipped)` of an image's best detections, and how many ground truths count.
fn image(
    image: &Image,
    class: usize,
    iou: f64,
    area: &AreaRange,
    max: usize,
) -> (Vec<(f64, bool, bool)>, usize) {
    let ignored = |t: &GroundTruth| t.crowd || t.ignore || !area.contains(t.area);
    let mut truths: Vec<_> = image.0.iter().filter(|t| t.class == class).collect();
    truths.sort_by_key(|t| ignored(t));
    let mut found: Vec<_> = image.1.iter().filter(|f| f.class == class).collect();
    found.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap());
    let mut taken = vec![false; truths.len()];
    let results = found.iter().take(max).map(|f| {
        let (mut best, mut best_iou) = (None, iou.min(1.0 - 1e-10));
        for (index, truth) in truths.iter().enumerate() {
            if taken[index] && !truth.crowd {
                continue;
            }
            if best.is_some_and(|b: usize| !ignored(truths[b])) && ignored(truth) {
                break;
            }
            if overlap(&f.bbox, truth) >= best_iou {
                (best, best_iou) = (Some(index), overlap(&f.bbox, truth));
            }
        }
        match best {
            Some(index) => {
                taken[index] = true;
                (f.score, !ignored(truths[index]), ignored(truths[index]))
            }
            None => (f.score, false, !area.contains(f.bbox.area())),
        }
    });
    (results.collect(), truths.iter().filter(|t| !ignored(t)).count())
}

/// Average precision and recall of one class.
fn score(
    images: &[Image],
    class: usize,
    iou: f64,
    area: &AreaRange,
    max: usize,
    recalls: &[f64],
) -> Option<(f64, f64)> {
    let per_image: Vec<_> = images.iter().map(|i| image(i, class, iou, area, max)).collect();
    let counted: usize = per_image.iter().map(|p| p.1).sum();
    let mut all: Vec<_> = per_image.into_iter().flat_map(|p| p.0).collect();
    all.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap());
    let (mut right, mut wrong) = (0.0, 0.0);
    let mut curve = Vec::new();
    for (_, is_right, skipped) in all {
        right += f64::from(u8::from(is_right && !skipped));
        wrong += f64::from(u8::from(!is_right && !skipped));
        curve.push((right / counted as f64, right / (right + wrong + f64::EPSILON)));
    }
    let at = |recall: f64| {
        let beyond =
            curve.iter().position(|point| point.0 >= recall).map_or(&[][..], |first| &curve[first..]);
        beyond.iter().map(|point| point.1).fold(0.0, f64::max)
    };
    let mean = recalls.iter().map(|&r| at(r)).sum::<f64>() / recalls.len() as f64;
    (counted > 0).then_some((mean, right / counted as f64))
}

/// Coarse coordinates, so that ties, touching boxes and areas on borders are common.
fn any_box() -> impl Strategy<Value = BBox<f64>> {
    (0..12u8, 0..12u8, 1..9u8, 1..9u8).prop_map(|(x, y, w, h)| {
        BBox::from_xywh(f64::from(x) * 8.0, f64::from(y) * 8.0, f64::from(w) * 8.0, f64::from(h) * 8.0)
    })
}

fn any_image() -> impl Strategy<Value = Image> {
    let truth =
        (any_box(), 0..3usize, any::<bool>(), 0..8u8).prop_map(|(bbox, class, full, flag)| GroundTruth {
            area: if full { bbox.area() } else { bbox.area() / 2.0 },
            crowd: flag == 0,
            ignore: flag == 1,
            ..GroundTruth::new(bbox, class)
        });
    let truths = prop::collection::vec(truth, 0..7);
    let found =
        prop::collection::vec((any::<prop::sample::Index>(), any_box(), -2..3i8, 0..3usize, 0..6u8), 0..14);
    (truths, found).prop_map(|(truths, found)| {
        let found = found
            .into_iter()
            .map(|(near, anywhere, shift, class, score)| {
                let (bbox, class) = match near.index(truths.len() + 1) {
                    n if n < truths.len() => {
                        (truths[n].bbox.translate(f64::from(shift) * 4.0, 0.0), truths[n].class)
                    }
                    _ => (anywhere, class),
                };
                Prediction { bbox, class, score: f64::from(score) / 4.0 }
            })
            .collect();
        (truths, found)
    })
}

fn any_params() -> impl Strategy<Value = CocoParams> {
    let odd = CocoParams {
        iou_thresholds: vec![0.9, 0.3, 1.0, 0.0, 0.3],
        recall_thresholds: vec![0.0, 0.1, 0.33, 1.0],
        max_dets: [2, 1, 3],
        areas: vec![AreaRange::new("some", 100.0, 2048.0), AreaRange::new("none", 5.0, 4.0)],
    };
    let many =
        CocoParams { iou_thresholds: scarf_metrics::linspace(0.05, 0.95, 19), ..CocoParams::default() };
    prop_oneof![Just(CocoParams::default()), Just(odd), Just(many)]
}

proptest! {
    #[test]
    fn the_kernel_follows_the_definition(images in prop::collection::vec(any_image(), 1..5), params in any_params()) {
        let mut evaluator = Evaluator::new(3, params.clone());
        for (truths, found) in &images {
            evaluator.add_image(truths, found).unwrap();
        }
        let report = evaluator.evaluate();
        let params = report.params();
        let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-12,
            (a, b) => a.is_none() && b.is_none(),
        };
        let mean = |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        for (class, of_class) in report.per_class.iter().enumerate() {
            let score = |iou: f64, area: usize, m: usize| {
                params.areas.get(area).and_then(|a| score(&images, class, iou, a, params.max_dets[m], &params.recall_thresholds))
            };
            for (t, &iou) in params.iou_thresholds.iter().enumerate() {
                let slow = score(iou, 0, 2).map(|s| s.0);
                prop_assert!(close(of_class.ap_by_iou[t], slow), "class {class}, IoU {iou}: {:?} {slow:?}", of_class.ap_by_iou[t]);
            }
            let over = |area: usize, m: usize, pick: fn((f64, f64)) -> f64| {
                mean(params.iou_thresholds.iter().filter_map(|&iou| score(iou, area, m)).map(pick).collect())
            };
            for (fast, slow) in [
                (of_class.ap_small, over(1, 2, |s| s.0)),
                (of_class.ap_large, over(3, 2, |s| s.0)),
                (of_class.ar1, over(0, 0, |s| s.1)),
                (of_class.ar10, over(0, 1, |s| s.1)),
                (of_class.ar_medium, over(2, 2, |s| s.1)),
            ] {
                prop_assert!(close(fast, slow), "class {class}: {fast:?} {slow:?}");
            }
        }
    }

    #[test]
    fn parts_merge_to_the_whole(images in prop::collection::vec(any_image(), 1..6), cut in any::<prop::sample::Index>()) {
        let new = || Evaluator::new(3, CocoParams::default());
        let (mut whole, mut first, mut rest) = (new(), new(), new());
        let cut = cut.index(images.len());
        for (index, (truths, found)) in images.iter().enumerate() {
            whole.add_image(truths, found).unwrap();
            (if index < cut { &mut first } else { &mut rest }).add_image(truths, found).unwrap();
        }
        first.merge(rest).unwrap();
        prop_assert_eq!(first.evaluate(), whole.evaluate());
        prop_assert_eq!(whole.evaluate_on(4), whole.evaluate());
    }
}
