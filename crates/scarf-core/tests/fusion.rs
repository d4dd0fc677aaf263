//! Weighted boxes fusion against its authors' package; `tests/data/weighted_boxes_fusion.py` made the numbers.

use scarf_core::{BBox, Detection, weighted_boxes_fusion};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    iou: f64,
    looks: Vec<Vec<Row>>,
    fused: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    class: usize,
    score: f32,
    bbox: [f32; 4],
}

impl From<&Row> for Detection {
    fn from(row: &Row) -> Self {
        let [x1, y1, x2, y2] = row.bbox;
        Self { bbox: BBox::new(x1, y1, x2, y2), class: row.class, score: row.score }
    }
}

#[test]
fn fuses_as_the_authors_do() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("data/weighted_boxes_fusion.json")).expect("a fixture");
    assert_eq!(cases.len(), 12);
    for case in &cases {
        let looks: Vec<Vec<Detection>> =
            case.looks.iter().map(|look| look.iter().map(Detection::from).collect()).collect();
        let fused = weighted_boxes_fusion(&looks, case.iou);
        assert_eq!(fused.len(), case.fused.len());
        for (ours, theirs) in fused.iter().zip(&case.fused) {
            assert_eq!(ours.class, theirs.class);
            assert!((ours.score - theirs.score).abs() < 1e-5, "{} {}", ours.score, theirs.score);
            let corners = ours.bbox.to_array().into_iter().zip(theirs.bbox);
            assert!(corners.into_iter().all(|(a, b)| (a - b).abs() < 2e-3), "{ours:?} {:?}", theirs.bbox);
        }
    }
}

#[test]
fn what_one_look_of_four_saw_counts_a_quarter() {
    let seen = Detection { bbox: BBox::new(0.0, 0.0, 10.0, 10.0), class: 1, score: 0.8 };
    let empty = Detection { bbox: BBox::new(5.0, 5.0, 5.0, 9.0), ..seen };
    let fused = weighted_boxes_fusion(&[vec![seen, empty], vec![], vec![], vec![]], 0.55);
    assert_eq!(fused, [Detection { score: 0.2, ..seen }]);
    assert_eq!(weighted_boxes_fusion(&[], 0.55), []);
}
