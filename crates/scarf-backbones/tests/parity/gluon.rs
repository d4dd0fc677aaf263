//! ResNet v2 with weights and running statistics drawn from a seed, against the maps that Gluon makes
//! (`tests/data/gluon_resnet_v2.py`, run by the Python 3.8 of SCARF_MXNET, with mxnet 1.9.1).

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{assert_parity, fresh, tensor};
use scarf_backbones::{Backbone, BackboneConfig, Weights};

#[test]
fn resnet_v2_is_gluons() {
    let Some(python) = std::env::var_os("SCARF_MXNET").map(PathBuf::from) else {
        println!("not run: SCARF_MXNET names no Python with mxnet");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resnet_v2.safetensors");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/gluon_resnet_v2.py");
    let output = Command::new(python).arg(script).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = Weights::open(path).unwrap();
    for depth in ["50", "18"] {
        let recipe = format!(
            "resnet_v2 = {{ depth = {depth}, outputs = [1, 2, 3, 4], norm = {{ frozen = {{ epsilon = 1e-5 }} }} }}"
        );
        let config: BackboneConfig = toml::from_str(&recipe).unwrap();
        let mut own = Weights::default();
        for name in file.names().filter_map(|name| name.strip_prefix(&format!("{depth}."))) {
            own.insert(name, file.get(&format!("{depth}.{name}")).unwrap().clone());
        }
        let (backbone, report) = config.load(fresh(&config), [own]).unwrap();
        assert!(report.missing.is_empty(), "{report}");
        for (level, map) in backbone.forward(tensor(&file, "image")).0.into_iter().enumerate() {
            assert_parity(
                &format!("ResNet-{depth} v2 map {level}"),
                map,
                tensor(&file, &format!("{depth}.map{level}")),
            );
        }
    }
}
