//! What heads share: boxes from offsets, and the outputs of a graph that ends in detections.

use scarf_core::Size;
use scarf_heads::BoxCoder;

use crate::graph::{Attribute, Dim, Element};
use crate::{Graph, Value};

/// Detections of every image, best first.
pub(crate) struct Found {
    /// `[batch, rows, 4]`.
    pub boxes: Value,
    /// `[batch, rows]`, -1 behind the last detection.
    pub scores: Value,
    /// `[batch, rows]`.
    pub labels: Value,
    /// Detections of an image at most.
    pub rows: usize,
}

impl Found {
    /// Makes them the outputs `boxes`, `scores`, `labels` and `count`.
    pub(crate) fn output(&self, graph: &mut Graph) {
        let zero = graph.number(0.0);
        let real = graph.op("GreaterOrEqual", &[&self.scores, &zero]);
        let scores = graph.op("Where", &[&real, &self.scores, &zero]);
        let none = graph.ints(&[-1]);
        let labels = graph.op("Where", &[&real, &self.labels, &none]);
        let axis = graph.ints(&[2]);
        let wide = graph.op("Unsqueeze", &[&real, &axis]);
        let boxes = graph.op("Where", &[&wide, &self.boxes, &zero]);
        let ones = graph.set("Cast", &[&real], &[("to", Attribute::Int(Element::I64 as i64))]);
        let axis = graph.ints(&[1]);
        let count = graph.set("ReduceSum", &[&ones, &axis], &[("keepdims", Attribute::Int(0))]);
        let (batch, rows) = (Dim::Any("batch"), Dim::Is(self.rows));
        graph.output("boxes", &boxes, Element::F32, &[batch, rows, Dim::Is(4)]);
        graph.output("scores", &scores, Element::F32, &[batch, rows]);
        graph.output("labels", &labels, Element::I64, &[batch, rows]);
        graph.output("count", &count, Element::I64, &[batch]);
    }
}

/// `[batch, anchors * width, rows, columns]` to `[batch, rows * columns * anchors, width]`.
pub(crate) fn flatten(graph: &mut Graph, map: &Value, width: usize) -> Value {
    let map = graph.set("Transpose", &[map], &[("perm", Attribute::Ints(vec![0, 2, 3, 1]))]);
    graph.reshape(&map, &[0, -1, width as i64])
}

/// [`BoxCoder::decode`] of `deltas` `[batch, boxes, 4]`, from boxes of these `centers` and `sizes`
/// `[batch or 1, boxes, 2]`.
pub(crate) fn decode(
    graph: &mut Graph,
    coder: &BoxCoder,
    deltas: &Value,
    centers: &Value,
    sizes: &Value,
) -> Value {
    let [wx, wy, ww, wh] = coder.weights;
    let divided = |graph: &mut Graph, from: i64, [a, b]: [f32; 2]| {
        let part = graph.slice(deltas, 2, from, from + 2);
        let weights = graph.constant(&format!("coder.{a:?}.{b:?}"), |_| (vec![2], vec![a, b]));
        graph.op("Div", &[&part, &weights])
    };
    let moved = divided(graph, 0, [wx, wy]);
    let grown = divided(graph, 2, [ww, wh]);
    let moved = graph.op("Mul", &[&moved, sizes]);
    let center = graph.op("Add", &[&moved, centers]);
    let most = graph.number(BoxCoder::LARGEST);
    let grown = graph.op("Min", &[&grown, &most]);
    let grown = graph.op("Exp", &[&grown]);
    let size = graph.op("Mul", &[&grown, sizes]);
    let two = graph.number(2.0);
    let half = graph.op("Div", &[&size, &two]);
    let low = graph.op("Sub", &[&center, &half]);
    let high = graph.op("Add", &[&center, &half]);
    graph.set("Concat", &[&low, &high], &[("axis", Attribute::Int(2))])
}

/// `[.., 4]` xyxy within the image.
pub(crate) fn clip(graph: &mut Graph, boxes: &Value, image: Size) -> Value {
    let (width, height) = (image.width as f32, image.height as f32);
    let zero = graph.number(0.0);
    let most = graph.constant("image.corners", |_| (vec![4], vec![width, height, width, height]));
    let boxes = graph.op("Max", &[boxes, &zero]);
    graph.op("Min", &[&boxes, &most])
}

/// Widths and heights, `[.., 2]`, of boxes `[.., 4]`.
pub(crate) fn sides(graph: &mut Graph, boxes: &Value) -> Value {
    let (low, high) = (graph.slice(boxes, -1, 0, 2), graph.slice(boxes, -1, 2, 4));
    graph.op("Sub", &[&high, &low])
}

/// Whether both sides of boxes `[.., 4]` have so many pixels, `[..]`.
pub(crate) fn large(graph: &mut Graph, boxes: &Value, pixels: f32) -> Value {
    let sides = sides(graph, boxes);
    let last = [("axes", Attribute::Ints(vec![-1])), ("keepdims", Attribute::Int(0))];
    let least = graph.set("ReduceMin", &[&sides], &last);
    let pixels = graph.number(pixels);
    graph.op("GreaterOrEqual", &[&least, &pixels])
}

/// Of `[batch, boxes, width]` the rows `at` `[batch, count]`.
pub(crate) fn gather_rows(graph: &mut Graph, x: &Value, at: &Value) -> Value {
    let axis = graph.ints(&[2]);
    let at = graph.op("Unsqueeze", &[at, &axis]);
    graph.set("GatherND", &[x, &at], &[("batch_dims", Attribute::Int(1))])
}

/// What suppression leaves of `scores` `[batch, classes, boxes]`, no more than `most` of each class, and -1
/// for the rest. `boxes` `[batch, boxes, 4]`; scores up to `least` are dropped.
pub(crate) fn suppress(
    graph: &mut Graph,
    boxes: &Value,
    scores: &Value,
    most: usize,
    [iou, least]: [f32; 2],
) -> Value {
    let most = graph.ints(&[most as i64]);
    let [iou, least] = [iou, least].map(|number| graph.number(number));
    let kept = graph.op("NonMaxSuppression", &[boxes, scores, &most, &iou, &least]);
    let own = graph.op("GatherND", &[scores, &kept]);
    let nothing = graph.filled_like(scores, -1.0);
    graph.op("ScatterND", &[&nothing, &kept, &own])
}
