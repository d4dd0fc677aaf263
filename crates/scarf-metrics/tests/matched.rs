//! What follows from the one matching pass, against the report and against sums by hand.

use proptest::prelude::*;
use scarf_benches::{Scale, Workload};
use scarf_core::BBox;
use scarf_metrics::{
    AreaRange, CocoParams, Evaluator, GroundTruth, Matched, Prediction, compare_means, compare_to,
};

fn evaluator(workload: &Workload, pick: impl Fn(usize) -> u32) -> Evaluator {
    let mut evaluator = Evaluator::new(workload.classes, CocoParams::default());
    for (index, image) in workload.images.iter().enumerate() {
        let bbox = |[x, y, w, h]: [f64; 4]| BBox::from_xywh(x, y, w, h);
        let truth = |t: &scarf_benches::Truth| GroundTruth {
            area: t.area,
            crowd: t.crowd,
            ..GroundTruth::new(bbox(t.xywh), t.class)
        };
        let found =
            |f: &scarf_benches::Found| Prediction { bbox: bbox(f.xywh), class: f.class, score: f.score };
        let (truths, found): (Vec<_>, Vec<_>) =
            (image.truths.iter().map(truth).collect(), image.found.iter().map(found).collect());
        for _ in 0..pick(index) {
            evaluator.add_image(&truths, &found).unwrap();
        }
    }
    evaluator
}

/// No two detections of an image with one score: there the copies of an image take turns.
fn small(seed: u64) -> Workload {
    let mut workload = Workload::new(Scale { images: 8, classes: 3, truths: 40, found: 240 }, seed);
    for image in &mut workload.images {
        image.found.iter_mut().zip(1u32..).for_each(|(f, k)| f.score -= f64::from(k) * 1e-12);
    }
    workload
}

fn close(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-12,
        (a, b) => a.is_none() && b.is_none(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn weights_are_images_added_again(seed in 0..1000u64, weights in prop::collection::vec(0..3u32, 8)) {
        let workload = small(seed);
        let areas = CocoParams::default().areas;
        let once = evaluator(&workload, |_| 1).matched(&areas[0]);
        let again = evaluator(&workload, |index| weights[index]).evaluate();
        prop_assert!(close(once.ap(&weights), again.ap), "{:?} {:?}", once.ap(&weights), again.ap);
        let by_class: Vec<_> = again.per_class.iter().map(|c| c.ap).collect();
        prop_assert!(once.class_aps(&weights).into_iter().zip(by_class).all(|(a, b)| close(a, b)));
    }

    #[test]
    fn areas_and_slices_agree_with_the_report(seed in 0..1000u64) {
        let workload = small(seed);
        let whole = evaluator(&workload, |_| 1);
        let (report, areas) = (whole.evaluate(), CocoParams::default().areas);
        for (area, expected) in areas.iter().zip([report.ap, report.ap_small, report.ap_medium, report.ap_large]) {
            prop_assert!(close(whole.matched(area).ap(&[]), expected));
        }
        let odd = evaluator(&workload, |index| (index % 2) as u32).evaluate().ap;
        prop_assert!(close(whole.matched(&areas[0]).slice(|index| index % 2 == 1), odd));
    }

    #[test]
    fn curves_keep_their_laws(seed in 0..1000u64) {
        let matched = evaluator(&small(seed), |_| 1).matched(&AreaRange::new("all", 0.0, 1e10));
        for class in 0..3 {
            let Some(curve) = matched.curve(class, 0) else { continue };
            prop_assert!(curve.scores.windows(2).all(|w| w[0] > w[1]));
            prop_assert!(curve.recall.windows(2).all(|w| w[0] <= w[1]));
            let best = curve.best().unwrap();
            prop_assert!(curve.f1().iter().all(|&f1| f1 <= best.f1));
            let lrp = matched.olrp(class).unwrap();
            prop_assert!((0.0..=1.0).contains(&lrp.olrp));
        }
        let calibration = matched.calibration(0, 10, 0.0).unwrap();
        prop_assert!((0.0..=1.0).contains(&calibration.d_ece));
    }
}

/// One image, two objects 10 wide, four detections: right with IoU .6 (.9), wrong (.8), right with
/// IoU 1 (.8), wrong (.2).
fn by_hand() -> scarf_metrics::Matched {
    let at = |x: f64, w: f64| BBox::from_xywh(x, 0.0, w, 10.0);
    let found = |x, w, score| Prediction { bbox: at(x, w), class: 0, score };
    let mut evaluator = Evaluator::new(1, CocoParams::default());
    let truths = [GroundTruth::new(at(0.0, 10.0), 0), GroundTruth::new(at(50.0, 10.0), 0)];
    let claims =
        [found(0.0, 6.0, 0.9), found(90.0, 10.0, 0.8), found(50.0, 10.0, 0.8), found(100.0, 5.0, 0.2)];
    evaluator.add_image(&truths, &claims).unwrap();
    evaluator.matched(&AreaRange::new("all", 0.0, 1e10))
}

#[test]
fn worked_by_hand() {
    let matched = by_hand();
    let curve = matched.curve(0, 0).unwrap();
    assert_eq!(curve.scores, [0.9, 0.8, 0.2]);
    assert_eq!(curve.precision, [1.0, 2.0 / 3.0, 0.5]);
    assert_eq!(curve.recall, [0.5, 1.0, 1.0]);
    let best = curve.best().unwrap();
    assert_eq!((best.score, best.precision, best.recall), (0.8, 2.0 / 3.0, 1.0));
    assert!((best.f1 - 0.8).abs() < 1e-12);
    // at .8: (.4 / .5 + 1 wrong) / 3 = .6; at .9: (.8 + 1 missed) / 2 = .9
    let lrp = matched.olrp(0).unwrap();
    assert!((lrp.olrp - 0.6).abs() < 1e-12 && lrp.score == Some(0.8) && lrp.false_negative == 0.0);
    assert!((lrp.localisation.unwrap() - 0.2).abs() < 1e-12);
    // scores .9 (1 of 1 right), .8 (1 of 2), .2 (0 of 1): (.1 + 2 * .3 + .2) / 4
    let calibration = matched.calibration(0, 10, 0.0).unwrap();
    assert!((calibration.d_ece - 0.225).abs() < 1e-12);
    assert_eq!(calibration.bins.len(), 3);
    assert_eq!(
        (matched.curve(1, 0), matched.curve(0, 99), matched.calibration(0, 0, 0.0)),
        (None, None, None)
    );
}

#[test]
fn intervals_hold_their_number_and_repeat() {
    let workload = Workload::new(Scale { images: 60, classes: 2, truths: 200, found: 2_000 }, 5);
    let area = AreaRange::new("all", 0.0, 1e10);
    let first = evaluator(&workload, |_| 1).matched(&area);
    let interval = first.bootstrap(200, 1).unwrap();
    assert!(interval.low < interval.value && interval.value < interval.high, "{interval:?}");
    assert_eq!(first.bootstrap(200, 1).unwrap(), interval);
    assert_ne!(first.bootstrap(200, 2).unwrap(), interval);
    let same = first.compare(&first, 100, 0).unwrap().unwrap();
    assert!(!same.significant() && same.p_value > 1.0 - 1e-12, "{same:?}");
    assert!(same.to_string().contains("cannot tell"), "{same}");
    let mut worse = workload.clone();
    worse.images.iter_mut().for_each(|image| image.found.retain(|f| f.score < 0.5));
    let worse = evaluator(&worse, |_| 1).matched(&area);
    let clear = first.compare(&worse, 200, 0).unwrap().unwrap();
    assert!(clear.significant() && clear.difference.high < 0.0 && clear.p_value < 0.02);
    assert!(clear.to_string().contains(": worse, "), "{clear}");
    let other = evaluator(&small(1), |_| 1).matched(&area);
    assert!(first.compare(&other, 10, 0).is_err());

    // What was drawn is enough to compare by, and must have been drawn alike.
    let drawn = |model: &Matched, seed| model.resampled(0..10, 200, seed).unwrap();
    let [ours, theirs] = [&first, &worse].map(|model| drawn(model, 0));
    let pair = [ours.clone(), theirs.clone()];
    assert_eq!(compare_means(&pair[..1], &pair[1..]).unwrap().unwrap(), clear);
    let half = compare_means(&pair[..1], &pair).unwrap().unwrap().difference;
    assert!((half.value - clear.difference.value / 2.0).abs() < 1e-12, "{half:?}");
    assert!((half.low - clear.difference.low / 2.0).abs() < 1e-12, "{half:?}");
    let to = compare_to(theirs.value, &pair[1..]).unwrap().unwrap().difference;
    assert!(to.value == 0.0 && to.low < 0.0 && 0.0 < to.high, "{to:?}");
    let error = compare_means(&[ours], &[drawn(&worse, 1)]).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "one has 200 draws of 60 images by seed 0, the other 200 draws of 60 images by seed 1"
        ),
        "{error}"
    );
    assert_eq!((compare_means(&pair, &[]).unwrap(), compare_to(0.0, &[]).unwrap()), (None, None));
}
