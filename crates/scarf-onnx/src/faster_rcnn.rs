//! Faster R-CNN's head: proposals, and what is in them.

use scarf_backbones::{FeatureMap, Level, Pyramid};
use scarf_core::{BBox, Size};
use scarf_heads::{BoxCoder, FasterRcnn, FasterRcnnConfig, Head, RoiConfig, RpnConfig};

use crate::boxes::{Found, clip, decode, flatten, gather_rows, large, sides, suppress};
use crate::graph::{Attribute, Dim, Element};
use crate::{ExportError, Graph, Trace, Traced, Value};

/// What is said of every proposal.
pub(crate) struct Judged {
    /// `[batch, proposals, classes]` in 0..=1, background left out; -1 where there is no proposal.
    pub scores: Value,
    /// `[batch, proposals, classes, 4]` xyxy in pixels, clipped to the image.
    pub boxes: Value,
    /// Rows for proposals; an image may have fewer.
    pub proposals: usize,
}

impl Judged {
    /// Makes it the graph's outputs.
    pub(crate) fn output(&self, graph: &mut Graph, classes: usize) {
        let zero = graph.number(0.0);
        let scores = graph.op("Max", &[&self.scores, &zero]);
        let shape = [Dim::Any("batch"), Dim::Is(self.proposals), Dim::Is(classes), Dim::Is(4)];
        graph.output("scores", &scores, Element::F32, &shape[..3]);
        graph.output("boxes", &self.boxes, Element::F32, &shape);
    }
}

/// What the two stages of `head` say of these maps of an image.
pub(crate) fn judge(
    trace: &Trace,
    head: &FasterRcnn,
    config: &FasterRcnnConfig,
    (maps, levels): (Vec<Traced>, &[Level]),
    classes: usize,
    image: Size,
) -> Result<Judged, ExportError> {
    let [outputs, _] = head.roi.cls.weight.dims();
    if outputs != classes + 1 {
        return Err(ExportError::Classes { given: classes, made: outputs.saturating_sub(1) });
    }
    let maps = Pyramid(maps);
    let cells: Vec<[usize; 2]> = maps.0.iter().map(|map| [map.dims()[2], map.dims()[3]]).collect();
    let predicted = head.rpn.forward(&maps);
    let anchors = head.anchors(&cells, image);
    let mut proposed = propose(&mut trace.graph(), &predicted, &config.rpn, &anchors, image);
    let shared = !head.cascade.is_empty();
    let each = if shared { 1 } else { classes };
    let mut said: Option<(Value, Value)> = None;
    for stage in head.stages() {
        if let Some((_, boxes)) = &said {
            proposed.boxes = trace.graph().reshape(boxes, &[0, proposed.count as i64, 4]);
        }
        let (bins, places) = read(trace, &maps, &proposed, &config.roi, levels);
        let hidden = trace.linear(&bins, &stage.fc6, proposed.count);
        let hidden = trace.graph().op("Relu", &[&hidden]);
        let hidden = trace.linear(&hidden, &stage.fc7, proposed.count);
        let hidden = trace.graph().op("Relu", &[&hidden]);
        let logits = trace.linear(&hidden, &stage.cls, proposed.count);
        let deltas = trace.linear(&hidden, &stage.boxes, proposed.count);
        let graph = &mut trace.graph();
        let scores = place_scores(graph, &proposed, (&logits, &places), classes);
        let scores = match said {
            Some((sum, _)) => graph.op("Add", &[&sum, &scores]),
            None => scores,
        };
        // Background comes first where classes have their own.
        let deltas = if shared { deltas } else { graph.slice(&deltas, 1, 4, 4 * (classes as i64 + 1)) };
        let boxes = place_boxes(graph, &proposed, (&deltas, &places), each, &stage.coder(), image);
        said = Some((scores, boxes));
    }
    let (mut scores, mut boxes) = said.expect("there is a second stage");
    if shared {
        let graph = &mut trace.graph();
        let stages = graph.number(head.stages().count() as f32);
        scores = graph.op("Div", &[&scores, &stages]);
        let wide = graph.ints(&[1, 1, classes as i64, 1]);
        boxes = graph.op("Expand", &[&boxes, &wide]);
    }
    Ok(Judged { scores, boxes, proposals: proposed.count })
}

/// Proposals of every image.
struct Proposed {
    /// `[batch, count, 4]`.
    boxes: Value,
    /// `[batch, count]`: best first, -1 behind the last.
    scores: Value,
    count: usize,
}

/// `RpnConfig::proposals`: of each level the best, suppressed level by level.
fn propose(
    graph: &mut Graph,
    predicted: &[(Traced, Traced)],
    config: &RpnConfig,
    anchors: &[BBox<f32>],
    image: Size,
) -> Proposed {
    let (mut boxes, mut scores, mut counts, mut start) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (level, (cls, deltas)) in predicted.iter().enumerate() {
        let [_, each, rows, columns] = cls.dims();
        let own = &anchors[start..start + each * rows * columns];
        start += own.len();
        let kept = own.len().min(config.test.before);
        let logits = flatten(graph, cls.value(), 1);
        let logits = graph.reshape(&logits, &[0, -1]);
        let deltas = flatten(graph, deltas.value(), 4);
        let best = graph.ints(&[kept as i64]);
        let [logits, at] = graph.top(&logits, &best, 1);
        let deltas = gather_rows(graph, &deltas, &at);
        let mut rows = |what: &str, row: &dyn Fn(&BBox<f32>) -> [f32; 2]| {
            let name = format!("anchors{level}.{what}");
            let values = own.iter().flat_map(row).collect();
            let all = graph.constant(&name, |_| (vec![own.len(), 2], values));
            graph.set("Gather", &[&all, &at], &[("axis", Attribute::Int(0))])
        };
        let centers = rows("centers", &|anchor| anchor.center().into());
        let sizes = rows("sizes", &|anchor| [anchor.width(), anchor.height()]);
        let decoded = decode(graph, &BoxCoder::UNIT, &deltas, &centers, &sizes);
        let decoded = clip(graph, &decoded, image);
        let sure = graph.op("Sigmoid", &[&logits]);
        scores.push(of_large(graph, &sure, &decoded, config.min_side));
        boxes.push(decoded);
        counts.push(kept);
    }
    let [boxes, scores] = [boxes, scores].map(|parts| {
        let parts: Vec<&Value> = parts.iter().collect();
        graph.set("Concat", &parts, &[("axis", Attribute::Int(1))])
    });
    let all = counts.iter().sum::<usize>();
    let count = config.test.after.min(all);
    let scores = suppress_levels(graph, &boxes, &scores, &counts, config);
    let most = graph.ints(&[count as i64]);
    let [scores, at] = graph.top(&scores, &most, 1);
    Proposed { boxes: gather_rows(graph, &boxes, &at), scores, count }
}

/// `[batch, all]`: the scores of the boxes that those of their own level leave, and -1.
fn suppress_levels(
    graph: &mut Graph,
    boxes: &Value,
    scores: &Value,
    counts: &[usize],
    config: &RpnConfig,
) -> Value {
    // Each level is a class to which the others' boxes do not belong.
    let all = counts.iter().sum::<usize>();
    let mut levels = vec![-2.0; counts.len() * all];
    let mut start = 0;
    for (level, count) in counts.iter().enumerate() {
        levels[level * all + start..][..*count].fill(2.0);
        start += count;
    }
    let levels = graph.constant("levels", |_| (vec![1, counts.len(), all], levels));
    let axis = graph.ints(&[1]);
    let scores = graph.op("Unsqueeze", &[scores, &axis]);
    let scores = graph.op("Min", &[&scores, &levels]);
    let dense = suppress(graph, boxes, &scores, config.test.after, [config.iou, -0.5]);
    let across = [("axes", Attribute::Ints(vec![1])), ("keepdims", Attribute::Int(0))];
    graph.set("ReduceMax", &[&dense], &across)
}

/// Each proposal's bins, `[rows, channels * bins * bins]`, level after level, and where it stands:
/// `[rows, 2]` of its image and its place there.
fn read(
    trace: &Trace,
    maps: &Pyramid<Traced>,
    proposed: &Proposed,
    config: &RoiConfig,
    levels: &[Level],
) -> (Value, Value) {
    let graph = &mut trace.graph();
    let strides: Vec<usize> = levels.iter().take(config.levels).map(|level| level.stride).collect();
    let (level, real) = levels_of(graph, proposed, &strides);
    let (mut bins, mut places) = (Vec::new(), Vec::new());
    for (index, (map, &stride)) in maps.0.iter().zip(&strides).enumerate() {
        let own = graph.number(index as f32);
        let own = graph.op("Equal", &[&level, &own]);
        let own = graph.op("And", &[&own, &real]);
        let place = graph.op("NonZero", &[&own]);
        let place = graph.set("Transpose", &[&place], &[("perm", Attribute::Ints(vec![1, 0]))]);
        let regions = graph.op("GatherND", &[&proposed.boxes, &place]);
        let image = graph.slice(&place, 1, 0, 1);
        let image = graph.reshape(&image, &[-1]);
        let how = [
            ("mode", Attribute::Text("avg")),
            ("coordinate_transformation_mode", Attribute::Text("output_half_pixel")),
            ("output_height", Attribute::Int(config.bins as i64)),
            ("output_width", Attribute::Int(config.bins as i64)),
            ("sampling_ratio", Attribute::Int(config.points as i64)),
            ("spatial_scale", Attribute::Float(1.0 / stride as f32)),
        ];
        let read = graph.set("RoiAlign", &[map.value(), &regions, &image], &how);
        let width = map.dims()[1] * config.bins * config.bins;
        bins.push(graph.reshape(&read, &[0, width as i64]));
        places.push(place);
    }
    let [bins, places] = [bins, places].map(|parts| {
        let parts: Vec<&Value> = parts.iter().collect();
        graph.set("Concat", &parts, &[("axis", Attribute::Int(0))])
    });
    (bins, places)
}

/// The level that each proposal is read from, `[batch, count]`, and whether it is one.
fn levels_of(graph: &mut Graph, proposed: &Proposed, strides: &[usize]) -> (Value, Value) {
    let sides = sides(graph, &proposed.boxes);
    let last = [("axes", Attribute::Ints(vec![2])), ("keepdims", Attribute::Int(0))];
    let area = graph.set("ReduceProd", &[&sides], &last);
    let side = graph.op("Sqrt", &[&area]);
    let canonical = graph.number(RoiConfig::CANONICAL);
    let part = graph.op("Div", &[&side, &canonical]);
    let octave = graph.op("Log", &[&part]);
    let two = graph.number(std::f32::consts::LN_2);
    let octave = graph.op("Div", &[&octave, &two]);
    let (four, little) = (graph.number(4.0), graph.number(1e-6));
    let octave = graph.op("Add", &[&octave, &four]);
    let octave = graph.op("Add", &[&octave, &little]);
    let octave = graph.op("Floor", &[&octave]);
    let finest = strides[0].ilog2() as f32;
    let (first, end) = (graph.number(finest), graph.number(finest + strides.len() as f32 - 1.0));
    let octave = graph.op("Clip", &[&octave, &first, &end]);
    let level = graph.op("Sub", &[&octave, &first]);
    let zero = graph.number(0.0);
    (level, graph.op("GreaterOrEqual", &[&proposed.scores, &zero]))
}

/// Rows of numbers, `[rows, width]`, back to the `places` of their proposals: `[batch, proposals, width]`.
fn dense(
    graph: &mut Graph,
    proposed: &Proposed,
    (rows, places): (&Value, &Value),
    width: usize,
    empty: f32,
) -> Value {
    let shape = graph.op("Shape", &[&proposed.scores]);
    let width = graph.ints(&[width as i64]);
    let shape = graph.set("Concat", &[&shape, &width], &[("axis", Attribute::Int(0))]);
    let empty = graph.number(empty);
    let empty = graph.op("Expand", &[&empty, &shape]);
    graph.op("ScatterND", &[&empty, places, rows])
}

/// The scores of each proposal's classes, `[batch, proposals, classes]`; -1 where there is no proposal.
fn place_scores(
    graph: &mut Graph,
    proposed: &Proposed,
    (logits, places): (&Value, &Value),
    classes: usize,
) -> Value {
    let scores = graph.set("Softmax", &[logits], &[("axis", Attribute::Int(1))]);
    let scores = graph.slice(&scores, 1, 1, classes as i64 + 1);
    dense(graph, proposed, (&scores, places), classes, -1.0)
}

/// Where proposals are by these deltas, clipped: `[batch, proposals, each, 4]`, a box for each class or one for all.
fn place_boxes(
    graph: &mut Graph,
    proposed: &Proposed,
    (deltas, places): (&Value, &Value),
    each: usize,
    coder: &BoxCoder,
    image: Size,
) -> Value {
    let deltas = dense(graph, proposed, (deltas, places), 4 * each, 0.0);

    // Each class moves the proposal in its own way: `[batch, proposals * each, 4]`.
    let deltas = graph.reshape(&deltas, &[0, -1, 4]);
    let (low, high) = (graph.slice(&proposed.boxes, 2, 0, 2), graph.slice(&proposed.boxes, 2, 2, 4));
    let sizes = sides(graph, &proposed.boxes);
    let sum = graph.op("Add", &[&low, &high]);
    let half = graph.number(0.5);
    let centers = graph.op("Mul", &[&sum, &half]);
    let [centers, sizes] = [centers, sizes].map(|rows| {
        let axis = graph.ints(&[2]);
        let rows = graph.op("Unsqueeze", &[&rows, &axis]);
        let wide = graph.ints(&[1, 1, each as i64, 1]);
        let rows = graph.op("Expand", &[&rows, &wide]);
        graph.reshape(&rows, &[0, -1, 2])
    });
    let boxes = decode(graph, coder, &deltas, &centers, &sizes);
    let boxes = clip(graph, &boxes, image);
    graph.reshape(&boxes, &[0, proposed.count as i64, each as i64, 4])
}

/// Class-wise suppression, as `RoiHead::of_image` does it.
pub(crate) fn detections(graph: &mut Graph, judged: &Judged, config: &RoiConfig, classes: usize) -> Found {
    let (proposals, each) = (judged.proposals as i64, classes as i64);
    let scores = of_large(graph, &judged.scores, &judged.boxes, config.min_side);
    // A class of an image is an image to the operator, as each class has its own boxes.
    let scores = graph.set("Transpose", &[&scores], &[("perm", Attribute::Ints(vec![0, 2, 1]))]);
    let scores = graph.reshape(&scores, &[-1, 1, proposals]);
    let boxes = graph.set("Transpose", &[&judged.boxes], &[("perm", Attribute::Ints(vec![0, 2, 1, 3]))]);
    let boxes = graph.reshape(&boxes, &[-1, proposals, 4]);
    let dense = suppress(graph, &boxes, &scores, config.detections, [config.iou, config.score]);
    let dense = graph.reshape(&dense, &[-1, each, proposals]);
    // Proposal after proposal, so that equal scores keep our order.
    let dense = graph.set("Transpose", &[&dense], &[("perm", Attribute::Ints(vec![0, 2, 1]))]);
    let flat = graph.reshape(&dense, &[0, -1]);
    let rows = config.detections.min(judged.proposals * classes);
    let count = graph.ints(&[rows as i64]);
    let [scores, at] = graph.top(&flat, &count, 1);
    let classes = graph.ints(&[each]);
    let labels = graph.op("Mod", &[&at, &classes]);
    let boxes = graph.reshape(&judged.boxes, &[0, -1, 4]);
    Found { boxes: gather_rows(graph, &boxes, &at), scores, labels, rows }
}

/// The scores `[..]` of boxes `[.., 4]` that are large enough, and -1.
fn of_large(graph: &mut Graph, scores: &Value, boxes: &Value, pixels: f32) -> Value {
    let large = large(graph, boxes, pixels);
    let nothing = graph.number(-1.0);
    graph.op("Where", &[&large, scores, &nothing])
}
