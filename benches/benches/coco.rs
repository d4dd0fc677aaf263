//! How long do twelve numbers take? Labels in memory (S and M), and JSON to numbers (S).

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use scarf_benches::{Scale, Workload};
use scarf_metrics::json::CocoSet;
use scarf_metrics::{AreaRange, CocoParams};

fn coco(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("coco");
    group.sample_size(10);
    for (name, scale) in [("S", Scale::S), ("M", Scale::M)] {
        let workload = Workload::new(scale, 0);
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

criterion_group!(benches, coco);
criterion_main!(benches);
