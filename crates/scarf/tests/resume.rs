//! A run that is killed and called again ends as one that was not, to the last bit.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

fn settings(folder: &Path) -> std::path::PathBuf {
    let settings = json!({
        "id": "resume", "approach": "resume", "seed": 3,
        "data": {"set": "synthetic-plate", "synthetic": {"seed": 1, "images_per_class": 10},
                 "split": {"stratified": {"train": 0.6, "val": 0.2, "test": 0.2}}},
        "recipe": {
            "model": {"size": 96, "backbone": {"mobilenet_v1": {"width": 0.25}},
                      "neck": {"ssd_extras": {"channels": [64, 64]}}, "head": {"ssd": {}}},
            "train": {"epochs": 5, "batch": 4, "validate_every": 2,
                      "optimizer": {"sgd": {"lr": 0.01, "weight_decay": 5e-4}},
                      "schedule": {"cosine": {"warmup": 5}}, "clip_norm": 10.0,
                      "augment": [{"iou_crop": {}}, {"horizontal_flip": {}}]},
        },
    });
    let path = folder.join("settings.json");
    fs::write(&path, settings.to_string()).unwrap();
    path
}

fn start(settings: &Path, out: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_scarf"))
        .args(["--device", "cpu", "run", "--settings"])
        .arg(settings)
        .arg("--out")
        .arg(out)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn result(out: &Path) -> Value {
    let mut result: Value =
        serde_json::from_str(&fs::read_to_string(out.join("result.json")).unwrap()).unwrap();
    let fields = result.as_object_mut().unwrap();
    fields.remove("seconds");
    fields.remove("inference");
    result
}

fn curve(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &mut lines {
        line.as_object_mut().unwrap().remove("seconds");
    }
    lines
}

#[test]
fn a_killed_run_ends_as_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let (whole, killed) = (folder.path().join("whole/run"), folder.path().join("killed/run"));
    assert!(start(&settings, &whole).wait().unwrap().success());

    // Killed twice: once in the first epoch, once after the second.
    for epochs in [0, 2] {
        let mut child = start(&settings, &killed);
        let begun = Instant::now();
        let reached = |epochs: usize| {
            let lines = fs::read_to_string(killed.join("metrics.jsonl")).unwrap_or_default();
            lines.lines().count() >= epochs
        };
        while !(killed.is_dir() && reached(epochs)) && begun.elapsed() < Duration::from_secs(120) {
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!killed.join("result.json").exists(), "it was to be killed before its end");
    }
    assert!(start(&settings, &killed).wait().unwrap().success());

    assert_eq!(curve(&killed), curve(&whole));
    assert_eq!(result(&killed), result(&whole));
    let weights = |out: &Path| fs::read(out.join("best.safetensors")).unwrap();
    assert!(weights(&killed) == weights(&whole), "the weights differ");
}
