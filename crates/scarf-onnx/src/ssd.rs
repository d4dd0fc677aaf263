//! SSD's head: from maps to scores and boxes of every anchor.

use scarf_core::{BBox, Size};
use scarf_heads::{BoxCoder, Head, Scores, SsdHead, SsdHeadConfig};

use crate::graph::Attribute;
use crate::{ExportError, Graph, Trace, Traced, Value};

/// What is said of every anchor, before suppression.
pub(crate) struct Predicted {
    /// `[batch, anchors, classes]` in 0..=1, background left out.
    pub scores: Value,
    /// `[batch, anchors, 4]` xyxy in pixels, not clipped.
    pub boxes: Value,
    /// Anchors of an image.
    pub anchors: usize,
}

/// What `head` says of these maps of an image.
pub(crate) fn predict(
    trace: &Trace,
    head: &SsdHead,
    config: &SsdHeadConfig,
    maps: Vec<Traced>,
    classes: usize,
    image: Size,
) -> Result<Predicted, ExportError> {
    use scarf_backbones::FeatureMap;
    let cells: Vec<[usize; 2]> = maps.iter().map(|map| [map.dims()[2], map.dims()[3]]).collect();
    let anchors = head.anchors(&cells, image);
    let (mut logits, mut deltas) = (Vec::new(), Vec::new());
    for (map, level) in maps.into_iter().zip(&head.heads) {
        let boxes = level.boxes.forward(map.clone());
        let shapes = boxes.dims()[1] / 4;
        let cls = level.cls.forward(map);
        if cls.dims()[1] != shapes * (classes + 1) {
            let made = (cls.dims()[1] / shapes.max(1)).saturating_sub(1);
            return Err(ExportError::Classes { given: classes, made });
        }
        let mut graph = trace.graph();
        logits.push(flatten(&mut graph, cls.value(), classes + 1));
        deltas.push(flatten(&mut graph, boxes.value(), 4));
    }
    let graph = &mut trace.graph();
    let [logits, deltas] = [logits, deltas].map(|parts| {
        let parts: Vec<&Value> = parts.iter().collect();
        graph.set("Concat", &parts, &[("axis", Attribute::Int(1))])
    });
    let scores = scores(graph, config.scores, &logits, classes);
    let boxes = decode(graph, &BoxCoder::SSD, &deltas, &anchors, "anchors");
    Ok(Predicted { scores, boxes, anchors: anchors.len() })
}

/// `[batch, anchors * width, rows, columns]` to `[batch, rows * columns * anchors, width]`.
fn flatten(graph: &mut Graph, map: &Value, width: usize) -> Value {
    let map = graph.set("Transpose", &[map], &[("perm", Attribute::Ints(vec![0, 2, 3, 1]))]);
    graph.reshape(&map, &[0, -1, width as i64])
}

/// `[batch, anchors, classes + 1]` logits, background first, to `[batch, anchors, classes]`.
fn scores(graph: &mut Graph, scores: Scores, logits: &Value, classes: usize) -> Value {
    let end = classes as i64 + 1;
    match scores {
        Scores::Softmax => {
            let all = graph.set("Softmax", &[logits], &[("axis", Attribute::Int(2))]);
            graph.slice(&all, 2, 1, end)
        }
        Scores::Sigmoid => {
            let own = graph.slice(logits, 2, 1, end);
            graph.op("Sigmoid", &[&own])
        }
    }
}

/// [`BoxCoder::decode`] of `deltas` `[batch, anchors, 4]`.
pub(crate) fn decode(
    graph: &mut Graph,
    coder: &BoxCoder,
    deltas: &Value,
    anchors: &[BBox<f32>],
    name: &str,
) -> Value {
    let mut rows = |what: &str, row: &dyn Fn(&BBox<f32>) -> [f32; 2]| {
        let values = anchors.iter().flat_map(row).collect();
        graph.constant(&format!("{name}.{what}"), |_| (vec![1, anchors.len(), 2], values))
    };
    let centers = rows("centers", &|anchor| anchor.center().into());
    let sizes = rows("sizes", &|anchor| [anchor.width(), anchor.height()]);
    decode_from(graph, coder, deltas, &centers, &sizes)
}

/// [`decode`] from anchors whose centers and sizes are computed, `[batch or 1, anchors, 2]`.
pub(crate) fn decode_from(
    graph: &mut Graph,
    coder: &BoxCoder,
    deltas: &Value,
    centers: &Value,
    sizes: &Value,
) -> Value {
    let [wx, wy, ww, wh] = coder.weights;
    let (moved, grown) = (graph.slice(deltas, 2, 0, 2), graph.slice(deltas, 2, 2, 4));
    let weights = graph.constant(&format!("coder.{wx:?}.{wy:?}"), |_| (vec![2], vec![wx, wy]));
    let moved = graph.op("Div", &[&moved, &weights]);
    let moved = graph.op("Mul", &[&moved, sizes]);
    let center = graph.op("Add", &[&moved, centers]);
    let weights = graph.constant(&format!("coder.{ww:?}.{wh:?}"), |_| (vec![2], vec![ww, wh]));
    let grown = graph.op("Div", &[&grown, &weights]);
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
