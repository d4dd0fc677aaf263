//! From scores and boxes of anchors to detections, as `Postprocess::run` does it.

use scarf_core::Size;
use scarf_heads::Postprocess;

use crate::boxes::{Found, clip, gather_rows, large, suppress};
use crate::graph::Attribute;
use crate::ssd::Predicted;
use crate::{Graph, Value};

/// The detections of every image.
pub(crate) fn detections(
    graph: &mut Graph,
    predicted: &Predicted,
    settings: &Postprocess,
    classes: usize,
    image: Size,
) -> Found {
    let anchors = predicted.anchors;
    let boxes = match settings.clip {
        true => clip(graph, &predicted.boxes, image),
        false => predicted.boxes.clone(),
    };
    let scores = match settings.best_class {
        true => best_classes(graph, &predicted.scores),
        false => predicted.scores.clone(),
    };
    let by_class = [("perm", Attribute::Ints(vec![0, 2, 1]))];
    let by_class = graph.set("Transpose", &[&scores], &by_class);
    let mut candidates = candidates(graph, &by_class, &boxes, anchors.min(settings.candidates));
    if settings.pooled {
        let all = graph.reshape(&candidates, &[0, 1, -1]);
        let best = best_of_each(graph, &all, settings.candidates.min(classes * anchors));
        candidates = graph.reshape(&best, &[0, classes as i64, -1]);
    }
    // No more than `detections` of one class can be among the best of all.
    let limits = [settings.iou, settings.score];
    let dense = suppress(graph, &boxes, &candidates, settings.detections, limits);

    // Class after class, so that a place is class * anchors + anchor, and equal scores keep our order.
    let flat = graph.reshape(&dense, &[0, -1]);
    let rows = settings.detections.min(classes * anchors);
    let count = graph.ints(&[rows as i64]);
    let [scores, place] = graph.top(&flat, &count, 1);
    let width = graph.ints(&[anchors as i64]);
    let (labels, anchor) = (graph.op("Div", &[&place, &width]), graph.op("Mod", &[&place, &width]));
    Found { boxes: gather_rows(graph, &boxes, &anchor), scores, labels, rows }
}

/// `[batch, anchors, classes]`: the best score of each anchor, of equal ones the first, and -1 for its other classes.
fn best_classes(graph: &mut Graph, scores: &Value) -> Value {
    let nothing = graph.filled_like(scores, -1.0);
    let one = graph.ints(&[1]);
    let [best, place] = graph.top(scores, &one, 2);
    graph.set("ScatterElements", &[&nothing, &place, &best], &[("axis", Attribute::Int(2))])
}

/// `[batch, classes, anchors]`: each class's `count` best scores, if their boxes are any, and -1.
fn candidates(graph: &mut Graph, scores: &Value, boxes: &Value, count: usize) -> Value {
    let best = best_of_each(graph, scores, count);
    let is_box = large(graph, boxes, f32::MIN_POSITIVE);
    let axis = graph.ints(&[1]);
    let is_box = graph.op("Unsqueeze", &[&is_box, &axis]);
    let nothing = graph.number(-1.0);
    graph.op("Where", &[&is_box, &best, &nothing])
}

/// The `count` best of each row of the last of three axes, and -1 in place of the others.
fn best_of_each(graph: &mut Graph, scores: &Value, count: usize) -> Value {
    let nothing = graph.filled_like(scores, -1.0);
    let count = graph.ints(&[count as i64]);
    let [best, place] = graph.top(scores, &count, 2);
    graph.set("ScatterElements", &[&nothing, &place, &best], &[("axis", Attribute::Int(2))])
}
