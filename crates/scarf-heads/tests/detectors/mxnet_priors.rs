//! The SSD of MXNet's examples: maps as its symbols have them (version 1.4.1), and anchors that equal
//! `MultiBoxPrior`'s (`tests/data/mxnet_priors.py`, run by the Python 3.8 of SCARF_MXNET, with mxnet 1.9.1).

use std::path::PathBuf;

use crate::common::{array, assert_close, build, run_script};
use burn::tensor::Device;
use scarf_backbones::Weights;
use scarf_heads::{Head, Neck, models};

/// Channels and cells a side of each level.
const MAPS: [(&str, &[(usize, usize)]); 4] = [
    ("mxnet-ssd-300-vgg16", &[(512, 38), (1024, 19), (512, 10), (256, 5), (256, 3), (256, 1)]),
    ("mxnet-ssd-512-vgg16", &[(512, 64), (1024, 32), (512, 16), (256, 8), (256, 4), (256, 2), (256, 2)]),
    ("mxnet-ssd-300-resnet50", &[(1024, 19), (2048, 10), (512, 5), (256, 3), (256, 2), (128, 1)]),
    ("mxnet-ssd-512-resnet50", &[(1024, 32), (2048, 16), (512, 8), (256, 4), (256, 2), (128, 1)]),
];

#[test]
fn maps_are_those_of_the_symbols_and_anchors_multibox_priors() {
    let python = std::env::var_os("SCARF_MXNET").map(PathBuf::from);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("priors.safetensors");
    let priors = python.map(|python| {
        run_script(&python, "tests/data/mxnet_priors.py", &[path.as_os_str()]);
        Weights::open(&path).unwrap()
    });
    if priors.is_none() {
        println!("anchors not compared: SCARF_MXNET names no Python with mxnet");
    }
    for (name, levels) in MAPS {
        let model = models::get(name).unwrap().model;
        let detector = build(&model, 6, &Device::flex());
        let maps = detector.maps(model.image());
        let channels = detector.neck.levels().into_iter().map(|level| level.channels);
        let ours: Vec<(usize, usize)> = channels.zip(maps.iter().map(|[rows, _]| *rows)).collect();
        assert_eq!(ours, levels, "{name}");
        let Some(priors) = &priors else { continue };
        let side = model.size as f32;
        let anchors = detector.head.anchors(&maps, model.image());
        let ours: Vec<f32> =
            anchors.iter().flat_map(|anchor| anchor.to_array()).map(|at| at / side).collect();
        assert_close(name, &ours, &array(priors, name).values, 1e-6);
    }
}
