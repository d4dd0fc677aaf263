//! A detector from pixels to detections.

use scarf_backbones::{Backbone, FeatureMap, Normalization};
use scarf_core::Classes;
use scarf_heads::{AnyHead, Detector, DetectorConfig, HeadConfig, Neck};
use serde_json::json;

use crate::{ExportError, Graph, Trace, Traced, faster_rcnn, ssd, suppress};

/// What an exported graph ends with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// Suppression in the graph: detections come out, not what is said of every anchor.
    pub nms: bool,
    /// Kernels in half precision: half the file, computed in single precision.
    pub half: bool,
}

/// `detector`, made by `config` for these classes, as a graph.
///
/// Its input is `images` `[batch, 3, size, size]`, RGB in `0..=255`. It gives
/// - without suppression `scores` `[batch, anchors, classes]` in `0..=1`, background left out, and `boxes`
///   `[batch, anchors, 4]`, xyxy in pixels of the input, not clipped; of Faster R-CNN `scores`
///   `[batch, proposals, classes]` and `boxes` `[batch, proposals, classes, 4]`, clipped; where there are fewer proposals
///   scores are zero and boxes say nothing;
/// - with it `boxes` `[batch, detections, 4]`, `scores` and `labels` (classes from 0) `[batch, detections]`,
///   best first, and `count` `[batch]`: how many rows are detections of that image. The others are
///   padding: score 0, label -1. The list is that of [`Detector::detect`].
///
/// The file says in its metadata what it was made from: `classes` (a JSON list of names), `size` (pixels),
/// `input` (what the images are), `recipe` (JSON).
///
/// # Errors
/// Where a level has no cell at that size, the head of `config` is of another kind than the detector's, or `classes` are
/// another number. That `config` is otherwise the detector's is the caller's word.
pub fn export(
    detector: &Detector,
    config: &DetectorConfig,
    classes: &Classes,
    options: &ExportOptions,
) -> Result<Graph, ExportError> {
    let trace = Trace::new(detector).with_half(options.half);
    let size = config.size as usize;
    let images = normalize(&trace, trace.input("images", [3, size, size]), &detector.normalization());
    let maps = detector.neck.forward(detector.backbone.forward(images)).0;
    if let Some(level) = maps.iter().position(|map| map.dims().contains(&0)) {
        return Err(ExportError::Small { size: config.size, level });
    }
    let mut graph = match (&detector.head, &config.head) {
        (AnyHead::Ssd(head), HeadConfig::Ssd(settings)) => {
            let predicted = ssd::predict(&trace, head, settings, maps, classes.len(), config.image())?;
            let mut graph = trace.finish();
            if options.nms {
                let settings = &settings.postprocess;
                suppress::detections(&mut graph, &predicted, settings, classes.len(), config.image())
                    .output(&mut graph);
            } else {
                predicted.output(&mut graph, classes.len());
            }
            graph
        }
        (AnyHead::FasterRcnn(head), HeadConfig::FasterRcnn(settings)) => {
            let pyramid = (maps, &detector.neck.levels()[..]);
            let judged = faster_rcnn::judge(&trace, head, settings, pyramid, classes.len(), config.image())?;
            let mut graph = trace.finish();
            if options.nms {
                faster_rcnn::detections(&mut graph, &judged, &settings.roi, classes.len()).output(&mut graph);
            } else {
                judged.output(&mut graph, classes.len());
            }
            graph
        }
        _ => return Err(ExportError::Recipe { part: "head" }),
    };
    graph.set_metadata("classes", json!(classes).to_string());
    graph.set_metadata("size", config.size.to_string());
    graph.set_metadata(
        "input",
        "RGB 0..=255, [batch, 3, rows, columns]; the whole picture resized bilinearly with antialiasing, \
         its aspect not kept",
    );
    graph.set_metadata("recipe", json!(config).to_string());
    Ok(graph)
}

/// [`Normalization::apply`].
fn normalize(trace: &Trace, images: Traced, normalization: &Normalization) -> Traced {
    let mut graph = trace.graph();
    let [mean, std] = [("mean", normalization.mean), ("std", normalization.std)]
        .map(|(name, row)| graph.constant(&format!("images.{name}"), |_| (vec![1, 3, 1, 1], row.to_vec())));
    let centered = graph.op("Sub", &[images.value(), &mean]);
    let normal = graph.op("Div", &[&centered, &std]);
    drop(graph);
    trace.map(normal, images.dims())
}
