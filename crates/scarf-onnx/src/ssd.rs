//! SSD's head: from maps to scores and boxes of every anchor.

use scarf_core::{BBox, Size};
use scarf_heads::{BoxCoder, Head, Scores, SsdHead, SsdHeadConfig};

use crate::boxes::{decode, flatten};
use crate::graph::{Attribute, Dim, Element};
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

impl Predicted {
    /// Makes it the graph's outputs.
    pub(crate) fn output(&self, graph: &mut Graph, classes: usize) {
        let [batch, anchors] = [Dim::Any("batch"), Dim::Is(self.anchors)];
        graph.output("scores", &self.scores, Element::F32, &[batch, anchors, Dim::Is(classes)]);
        graph.output("boxes", &self.boxes, Element::F32, &[batch, anchors, Dim::Is(4)]);
    }
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
    let mut rows = |what: &str, row: &dyn Fn(&BBox<f32>) -> [f32; 2]| {
        let values = anchors.iter().flat_map(row).collect();
        graph.constant(&format!("anchors.{what}"), |_| (vec![1, anchors.len(), 2], values))
    };
    let centers = rows("centers", &|anchor| anchor.center().into());
    let sizes = rows("sizes", &|anchor| [anchor.width(), anchor.height()]);
    let boxes = decode(graph, &BoxCoder::SSD, &deltas, &centers, &sizes);
    Ok(Predicted { scores, boxes, anchors: anchors.len() })
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
