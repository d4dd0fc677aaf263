//! Every backbone of torchvision's, with weights and running statistics drawn from a seed, against the
//! maps that torchvision makes (`tests/data/torchvision_backbones.py`, run by the Python of SCARF_TORCH).

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{assert_parity, fresh, tensor};
use scarf_backbones::layers::NormConfig;
use scarf_backbones::{Backbone, BackboneConfig, Weights};

/// Name of the script's file, and our recipe.
const CASES: [(&str, &str); 8] = [
    ("mobilenet_v3", "mobilenet_v3 = { outputs = [{ block = 6 }, { expansion = 13 }, { block = 16 }] }"),
    (
        "mobilenet_v3_reduced",
        "mobilenet_v3 = { reduced_tail = true, outputs = [{ expansion = 13 }, { block = 15 }, { block = 16 }] }",
    ),
    ("mobilenet_v2", "[mobilenet_v2]"),
    ("resnet18", "resnet = { depth = 18, outputs = [1, 2, 3, 4] }"),
    ("resnet34", "resnet = { depth = 34, outputs = [1, 2, 3, 4] }"),
    ("resnet50_v1.5", "resnet = { depth = 50, variant = 'v1.5', outputs = [1, 2, 3, 4] }"),
    ("resnet101_v1.5", "resnet = { depth = 101, variant = 'v1.5', outputs = [1, 2, 3, 4] }"),
    (
        "vgg16_bn",
        "vgg = { form = { plain = [2, 4, 5] }, norm = { batch = { epsilon = 1e-5, momentum = 0.1 } } }",
    ),
];

#[test]
fn maps_are_torchvisions() {
    let Some(python) = std::env::var_os("SCARF_TORCH").map(PathBuf::from) else {
        println!("not run: SCARF_TORCH names no Python with torchvision");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/torchvision_backbones.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (name, recipe) in CASES {
        let file = Weights::open(folder.path().join(format!("{name}.safetensors"))).unwrap();
        let config: BackboneConfig = toml::from_str(recipe).unwrap();
        let (backbone, report) = config.load(fresh(&config), [file.clone()]).unwrap();
        assert!(report.missing.is_empty(), "{report}");
        // Nothing of the features is left over.
        let ours =
            |name: &&String| !["map", "image", "classifier", "fc."].iter().any(|p| name.starts_with(p));
        let unread: Vec<_> = report.unexpected.iter().filter(ours).collect();
        assert!(unread.is_empty(), "{name}: {unread:?}");
        for (level, map) in backbone.forward(tensor(&file, "image")).0.into_iter().enumerate() {
            assert_parity(&format!("{name} map {level}"), map, tensor(&file, &format!("map{level}")));
        }
    }
    folds(folder.path());
}

/// The same maps with batch normalisation folded into the convolutions.
fn folds(folder: &Path) {
    let file = Weights::open(folder.join("mobilenet_v3.safetensors")).unwrap();
    let mut config: BackboneConfig = toml::from_str(CASES[0].1).unwrap();
    let BackboneConfig::MobilenetV3(own) = &mut config else { unreachable!("the first case") };
    own.norm = NormConfig::None;
    let (backbone, _) = config.load(fresh(&config), [file.clone()]).unwrap();
    let map = backbone.forward(tensor(&file, "image")).0.remove(2);
    assert_parity("mobilenet_v3 folded", map, tensor(&file, "map2"));
}
