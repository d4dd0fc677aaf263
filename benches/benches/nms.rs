//! How does suppression grow with the boxes? Dense heads' boxes, 20 an object, IoU .5.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use scarf_core::{BBox, nms_into};

fn nms(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("nms");
    group.sample_size(10);
    for (count, expected) in [(1_000, None), (10_000, Some(2_576)), (100_000, None)] {
        let (rows, scores) = scarf_benches::boxes(count, 20, 0);
        let boxes: Vec<BBox<f32>> = rows.iter().map(|&[x1, y1, x2, y2]| BBox::new(x1, y1, x2, y2)).collect();
        let mut kept = Vec::new();
        nms_into(&boxes, &scores, 0.5, &mut kept);
        let expected = expected.unwrap_or(kept.len());
        group.bench_function(BenchmarkId::from_parameter(count), |bench| {
            bench.iter(|| {
                nms_into(black_box(&boxes), &scores, 0.5, &mut kept);
                assert_eq!(kept.len(), expected);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, nms);
criterion_main!(benches);
