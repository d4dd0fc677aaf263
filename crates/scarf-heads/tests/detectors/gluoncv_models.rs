//! GluonCV's SSD whole, with weights drawn from a seed, out of the files that it saves: anchors, raw outputs, training targets, losses and boxes
//! (`tests/data/gluoncv_models.py`, run by the Python 3.8 of SCARF_MXNET, with mxnet 1.9.1).

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::common::{
    array, assert_close, boxes, build, forward, run_script, scaled, ssd, unused_chance, values,
};
use burn::tensor::Device;
use scarf_backbones::{Allow, ModuleWeights, Weights};
use scarf_core::BBox;
use scarf_heads::{BoxCoder, Head, Targets, models};

fn compare(name: &str) {
    let Some(python) = std::env::var_os("SCARF_MXNET").map(PathBuf::from) else {
        println!("not run: SCARF_MXNET names no Python with mxnet and gluoncv");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let theirs = name.replace('-', "_");
    run_script(&python, "tests/data/gluoncv_models.py", &[folder.path().as_os_str(), OsStr::new(&theirs)]);
    let file = Weights::open(folder.path().join(format!("{theirs}.safetensors"))).unwrap();
    let model = models::get(name).unwrap();
    let device = Device::flex();
    let own = Weights::open(folder.path().join(format!("{theirs}.params"))).unwrap();
    let weights = model.model.adapt(own).unwrap();
    let detector = build(&model.model, model.classes, &device);
    let (detector, report) = weights.load_into(detector, &Allow::default()).unwrap_or_else(|e| panic!("{e}"));
    assert!(report.is_exact());

    let images = scaled(&file, "images", &device);
    let (features, image) = forward(&model.model, &detector, images.clone());
    let head = ssd(&detector);
    let found = head.predict(features.clone(), image);
    let centred = |anchor: &BBox<f32>| {
        let (x, y) = anchor.center();
        [x, y, anchor.width(), anchor.height()]
    };
    let anchors: Vec<f32> = found.anchors.iter().flat_map(centred).collect();
    assert_close("anchors", &anchors, &array(&file, "anchors").values, 1e-6);
    assert_close("logits", &values(found.logits), &array(&file, "logits").values, 1e-4);
    assert_close("deltas", &values(found.deltas), &array(&file, "deltas").values, 1e-4);

    let targets = targets(&file);
    assigned(&file, &found.anchors, &targets);
    let losses = head.loss(features, &targets, image, &mut unused_chance());
    let ours: Vec<f32> = losses.0.into_iter().flat_map(|(_, loss)| values(loss)).collect();
    assert_close("losses", &ours, &array(&file, "losses").values, 1e-4);

    let all = detector.detect(images);
    let ours: Vec<f32> = all.iter().flatten().map(|found| found.class as f32).collect();
    assert_eq!(ours, array(&file, "found_ids").values);
    let ours: Vec<f32> = all.iter().flatten().map(|found| found.score).collect();
    assert_close("scores", &ours, &array(&file, "found_scores").values, 1e-4);
    let ours: Vec<f32> = all.iter().flatten().flat_map(|found| found.bbox.to_array()).collect();
    assert_close("boxes", &ours, &array(&file, "found_boxes").values, 1e-4);
}

fn targets(file: &Weights) -> Vec<Targets> {
    let classes: Vec<usize> = array(file, "ids").values.iter().map(|id| *id as usize).collect();
    let images = boxes(file, "boxes");
    let images = images.chunks_exact(3).zip(classes.chunks_exact(3));
    images.map(|(boxes, classes)| Targets { boxes: boxes.to_vec(), classes: classes.to_vec() }).collect()
}

/// The class of every anchor, and where it should move to.
fn assigned(file: &Weights, anchors: &[BBox<f32>], targets: &[Targets]) {
    let (mut labels, mut moves) = (Vec::new(), Vec::new());
    for image in targets {
        for (anchor, object) in
            anchors.iter().zip(scarf_heads::Matching::Multibox.run(anchors, &image.boxes, 0.5))
        {
            labels.push(object.map_or(0.0, |object| image.classes[object] as f32 + 1.0));
            moves
                .extend(object.map_or([0.0; 4], |object| BoxCoder::SSD.encode(&image.boxes[object], anchor)));
        }
    }
    assert_eq!(labels, array(file, "labels").values);
    assert_close("targets", &moves, &array(file, "targets").values, 1e-5);
}

macro_rules! models {
    ($($test:ident: $name:literal;)*) => { $(#[test] fn $test() { compare($name); })* };
}

models! {
    ssd_300_vgg16_atrous_voc: "ssd-300-vgg16-atrous-voc";
    ssd_300_vgg16_atrous_coco: "ssd-300-vgg16-atrous-coco";
    ssd_512_vgg16_atrous_voc: "ssd-512-vgg16-atrous-voc";
    ssd_512_vgg16_atrous_coco: "ssd-512-vgg16-atrous-coco";
    ssd_512_resnet50_v1_voc: "ssd-512-resnet50-v1-voc";
    ssd_512_resnet50_v1_coco: "ssd-512-resnet50-v1-coco";
    ssd_512_mobilenet_voc: "ssd-512-mobilenet1.0-voc";
    ssd_512_mobilenet_coco: "ssd-512-mobilenet1.0-coco";
}
