//! How long do twelve numbers take? Arrays in memory (S), labels that were added before (S and M), JSON (S).

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use scarf_benches::{Scale, Workload};
use scarf_core::BBox;
use scarf_metrics::json::CocoSet;
use scarf_metrics::{AreaRange, CocoParams, Evaluator, GroundTruth, Prediction};

/// AP of workload S as pycocotools 2.0.11 computes it.
const AP_OF_S: f64 = 0.423_204_447_554_756_8;

fn coco(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("coco");
    group.sample_size(10);
    for (name, scale) in [("S", Scale::S), ("M", Scale::M)] {
        let workload = Workload::new(scale, 0);
        if name == "S" {
            let images = arrays(&workload);
            let mut evaluator = Evaluator::new(scale.classes, CocoParams::default());
            group.bench_function(BenchmarkId::new("arrays to numbers, 1 thread", name), |bench| {
                bench.iter(|| {
                    evaluator.clear();
                    for (truths, found) in black_box(&images) {
                        evaluator.add_image(truths, found).expect("the workload is lawful");
                    }
                    let ap = evaluator.evaluate().ap.expect("there are objects");
                    assert!((ap - AP_OF_S).abs() < 1e-6, "{ap}"); // corners are rounded, sides are not
                });
            });
        }
        let (gt, dt) = (workload.gt_json(), workload.dt_json());
        drop(workload);
        let load = |threads| CocoSet::parse(gt.as_bytes(), dt.as_bytes(), CocoParams::default(), threads);
        let set = load(1).expect("the workload is lawful");
        let report = set.evaluator.evaluate();
        for threads in [1, 2] {
            group.bench_function(
                BenchmarkId::new("evaluate", format!("{name}, {threads} threads")),
                |bench| {
                    bench.iter(|| assert_eq!(black_box(set.evaluator.evaluate_on(threads)), report));
                },
            );
        }
        if name == "S" {
            group.bench_function(BenchmarkId::new("json to numbers", name), |bench| {
                bench.iter(|| assert_eq!(load(1).expect("lawful").evaluator.evaluate(), report));
            });
            let matched = set.evaluator.matched(&AreaRange::new("all", 0.0, 1e10));
            let interval = matched.bootstrap(1000, 0);
            group.bench_function(BenchmarkId::new("bootstrap of 1,000", name), |bench| {
                bench.iter(|| assert_eq!(black_box(matched.bootstrap(1000, 0)), interval));
            });
        }
    }
    group.finish();
}

/// Ground truths and detections of each image, as a program has them.
fn arrays(workload: &Workload) -> Vec<(Vec<GroundTruth>, Vec<Prediction>)> {
    let bbox = |[x, y, w, h]: [f64; 4]| BBox::from_xywh(x, y, w, h);
    let images = workload.images.iter().map(|image| {
        let truths = image.truths.iter().map(|t| GroundTruth {
            area: t.area,
            crowd: t.crowd,
            ..GroundTruth::new(bbox(t.xywh), t.class)
        });
        let found = image.found.iter();
        let found = found.map(|f| Prediction { bbox: bbox(f.xywh), class: f.class, score: f.score });
        (truths.collect(), found.collect())
    });
    images.collect()
}

criterion_group!(benches, coco);
criterion_main!(benches);
