//! From scores and boxes of anchors to detections, as `Postprocess::run` does it.

use scarf_core::Size;
use scarf_heads::Postprocess;

use crate::graph::{Attribute, Dim, Element};
use crate::ssd::Predicted;
use crate::{Graph, Value};

/// The detections of every image, as outputs of the graph: `boxes` `[batch, detections, 4]` xyxy in
/// pixels, `scores` and `labels` `[batch, detections]`, best first, and in `count` `[batch]` how many of
/// the rows are detections. The rows behind those have score 0, label -1 and an empty box.
pub(crate) fn detections(
    graph: &mut Graph,
    predicted: &Predicted,
    settings: &Postprocess,
    classes: usize,
    image: Size,
) {
    let anchors = predicted.anchors;
    let boxes = clip(graph, &predicted.boxes, image);
    let by_class = graph.set("Transpose", &[&predicted.scores], &[("perm", Attribute::Ints(vec![0, 2, 1]))]);
    let candidates = candidates(graph, &by_class, &boxes, anchors.min(settings.candidates));
    let dense = keep(graph, &candidates, &boxes, settings);

    // Class after class, so that a place is class * anchors + anchor, and equal scores keep our order.
    let flat = graph.reshape(&dense, &[0, -1]);
    let rows = settings.detections.min(classes * anchors);
    let count = graph.ints(&[rows as i64]);
    let [best, place] = graph.top(&flat, &count, 1);
    let zero = graph.number(0.0);
    let real = graph.op("GreaterOrEqual", &[&best, &zero]);
    let width = graph.ints(&[anchors as i64]);
    let (label, anchor) = (graph.op("Div", &[&place, &width]), graph.op("Mod", &[&place, &width]));
    let last = graph.ints(&[2]);
    let anchor = graph.op("Unsqueeze", &[&anchor, &last]);
    let boxes = graph.set("GatherND", &[&boxes, &anchor], &[("batch_dims", Attribute::Int(1))]);

    let scores = graph.op("Where", &[&real, &best, &zero]);
    let none = graph.ints(&[-1]);
    let labels = graph.op("Where", &[&real, &label, &none]);
    let wide = graph.op("Unsqueeze", &[&real, &last]);
    let boxes = graph.op("Where", &[&wide, &boxes, &zero]);
    let ones = graph.set("Cast", &[&real], &[("to", Attribute::Int(Element::I64 as i64))]);
    let axis = graph.ints(&[1]);
    let count = graph.set("ReduceSum", &[&ones, &axis], &[("keepdims", Attribute::Int(0))]);

    let batch = Dim::Any("batch");
    graph.output("boxes", &boxes, Element::F32, &[batch, Dim::Is(rows), Dim::Is(4)]);
    graph.output("scores", &scores, Element::F32, &[batch, Dim::Is(rows)]);
    graph.output("labels", &labels, Element::I64, &[batch, Dim::Is(rows)]);
    graph.output("count", &count, Element::I64, &[batch]);
}

/// `[.., 4]` xyxy within the image.
pub(crate) fn clip(graph: &mut Graph, boxes: &Value, image: Size) -> Value {
    let (width, height) = (image.width as f32, image.height as f32);
    let zero = graph.number(0.0);
    let most = graph.constant("image.corners", |_| (vec![4], vec![width, height, width, height]));
    let boxes = graph.op("Max", &[boxes, &zero]);
    graph.op("Min", &[&boxes, &most])
}

/// `[batch, classes, anchors]`: each class's `count` best scores, if their boxes are any, and -1.
fn candidates(graph: &mut Graph, scores: &Value, boxes: &Value, count: usize) -> Value {
    let nothing = graph.filled_like(scores, -1.0);
    let count = graph.ints(&[count as i64]);
    let [best, place] = graph.top(scores, &count, 2);
    let best = graph.set("ScatterElements", &[&nothing, &place, &best], &[("axis", Attribute::Int(2))]);
    let (low, high) = (graph.slice(boxes, 2, 0, 2), graph.slice(boxes, 2, 2, 4));
    let sides = graph.op("Sub", &[&high, &low]);
    let least = [("axes", Attribute::Ints(vec![2])), ("keepdims", Attribute::Int(0))];
    let least = graph.set("ReduceMin", &[&sides], &least);
    let zero = graph.number(0.0);
    let is_box = graph.op("Greater", &[&least, &zero]);
    let axis = graph.ints(&[1]);
    let is_box = graph.op("Unsqueeze", &[&is_box, &axis]);
    graph.op("Where", &[&is_box, &best, &nothing])
}

/// `[batch, classes, anchors]`: the scores that suppression within each class leaves, and -1.
fn keep(graph: &mut Graph, scores: &Value, boxes: &Value, settings: &Postprocess) -> Value {
    // No more than `detections` of one class can be among the best of all.
    let most = graph.ints(&[settings.detections as i64]);
    let (iou, score) = (graph.number(settings.iou), graph.number(settings.score));
    let kept = graph.op("NonMaxSuppression", &[boxes, scores, &most, &iou, &score]);
    let own = graph.op("GatherND", &[scores, &kept]);
    let nothing = graph.filled_like(scores, -1.0);
    graph.op("ScatterND", &[&nothing, &kept, &own])
}
