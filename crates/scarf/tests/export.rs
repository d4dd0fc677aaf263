//! `scarf export` and `scarf cost` by their command lines.

use std::fs;
use std::path::Path;
use std::process::Command;

use assert_cmd::assert::OutputAssertExt;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_backbones::{ModuleWeights, Weights};
use scarf_heads::DetectorConfig;
use serde_json::json;

const RECIPE: &str = "
size = 300
backbone.mobilenet_v2 = { flavor = 'tensorflow', norm = 'none' }
neck.ssd_extras = { norm = 'none', lite = true }
head.ssd = { kernel = 1, lite = true, norm = 'none', scores = 'sigmoid', postprocess = { iou = 0.6 } }
";

const SMALL: &str = "
size = 64
backbone.mobilenet_v1 = { width = 0.25 }
neck.ssd_extras = { channels = [] }
head.ssd = {}
";

fn scarf(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scarf"));
    command.current_dir(folder).args(["--device", "cpu"]).args(arguments);
    command
}

fn said(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

#[test]
fn a_recipe_has_a_cost() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ssdlite.toml"), RECIPE).unwrap();
    let run = scarf(folder.path(), &["cost", "ssdlite.toml", "--classes", "90"]).assert().success();
    let text = said(&run.get_output().stdout);
    assert!(text.contains("backbone.features.0 "), "{text}");
    assert!(text.ends_with("4.48 M parameters, 0.750 G multiply-adds an image\n"), "{text}");

    let run = scarf(folder.path(), &["cost", "ssdlite320_mobilenet_v3_large"]).assert().success();
    assert!(said(&run.get_output().stdout).contains("2.28 M parameters"));
    let run = scarf(folder.path(), &["cost", "ssd301"]).assert().failure();
    let error = said(&run.get_output().stderr);
    assert!(
        error.contains("`ssd301` is no file, and none of the models ssd-300-vgg16-atrous-voc,"),
        "{error}"
    );
}

#[test]
fn a_model_of_ours_becomes_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let model: DetectorConfig = SMALL.parse().unwrap();
    let detector = model.init(2, &Device::default(), &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
    let card = json!({"model": model, "classes": ["scratch", "dent"], "epoch": 1, "val_ap": null});
    let weights = Weights::of(&detector).with_metadata("scarf", card.to_string());
    weights.save(folder.path().join("best.safetensors")).unwrap();

    let run = scarf(folder.path(), &["export", "best.safetensors", "new/steel.onnx", "--nms"]).assert();
    let text = said(&run.success().get_output().stdout);
    assert!(text.contains("in   images [batch, 3, 64, 64], RGB 0..=255\n"), "{text}");
    assert!(text.ends_with("out  labels [batch, 144] i64\nout  count [batch] i64\n"), "{text}");
    let file = fs::read(folder.path().join("new/steel.onnx")).unwrap();
    let classes = br#"["scratch","dent"]"#;
    assert!(file.windows(classes.len()).any(|bytes| bytes == classes));
    scarf(folder.path(), &["cost", "best.safetensors"]).assert().success();
}

#[test]
fn published_weights_become_a_file() {
    let Some(weights) = std::env::var_os("SCARF_WEIGHTS") else {
        println!("not run: SCARF_WEIGHTS names no folder of published weights");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("ssdlite.toml"), RECIPE).unwrap();
    let names: Vec<String> = (1..=90).map(|label| format!("label {label}")).collect();
    fs::write(at("names.txt"), names.join("\n")).unwrap();
    let model = Path::new(&weights).join("ssdlite_mobilenet_v2_coco.safetensors");
    let model = model.to_str().unwrap();
    let with = ["--recipe", "ssdlite.toml", "--classes", "names.txt"];
    let named = ["--recipe", "ssdlite300_mobilenet_v2_coco", "--classes", "names.txt"];
    for (with, option, megabytes, outputs) in [
        (with, "--nms", 17..19, "out  boxes [batch, 200, 4] f32\nout  scores [batch, 200] f32\n"),
        (named, "--half", 8..10, "out  scores [batch, 1917, 90] f32\nout  boxes [batch, 1917, 4] f32\n"),
    ] {
        let arguments = [&["export", model, "out.onnx", option], &with[..]].concat();
        let run = scarf(folder.path(), &arguments).assert().success();
        let text = said(&run.get_output().stdout);
        assert!(text.contains(outputs), "{text}");
        assert!(megabytes.contains(&(fs::metadata(at("out.onnx")).unwrap().len() / 1_000_000)), "{text}");
    }

    // What cannot be exported leaves no file.
    fs::write(at("names.txt"), "cat\ndog").unwrap();
    let arguments = [&["export", model, "none.onnx"], &with[..]].concat();
    let run = scarf(folder.path(), &arguments).assert().failure();
    let error = said(&run.get_output().stderr);
    assert!(error.contains("head.heads.0.cls.conv.weight") && !at("none.onnx").exists(), "{error}");
    let run = scarf(folder.path(), &["export", model, "none.onnx"]).assert().failure();
    let error = said(&run.get_output().stderr);
    assert!(error.contains("holds weights, but no recipe") && error.contains("--recipe"), "{error}");
}
