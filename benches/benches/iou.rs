//! How long does a matrix of IoU take, into a buffer that is reused?

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use scarf_core::{BBox, pairwise_iou};

fn iou(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("iou");
    group.sample_size(10);
    for count in [1_000, 5_000] {
        let (rows, _) = scarf_benches::boxes(count, 20, 0);
        let boxes: Vec<BBox<f32>> = rows.iter().map(|&[x1, y1, x2, y2]| BBox::new(x1, y1, x2, y2)).collect();
        let mut matrix = vec![0.0; count * count];
        group.bench_function(BenchmarkId::from_parameter(format!("{count} x {count}")), |bench| {
            bench.iter(|| {
                pairwise_iou(black_box(&boxes), &boxes, &mut matrix).expect("the buffer fits");
                assert_eq!(matrix[1], boxes[0].iou(&boxes[1]));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, iou);
criterion_main!(benches);
