//! A run ends the same to the last bit: killed and called again or not, and with any number of threads.

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
                      "schedule": {"cosine": {"warmup": 5}}, "clip_norm": 10.0, "ema": 0.9,
                      "augment": [{"iou_crop": {}}, {"horizontal_flip": {}}]},
        },
    });
    let path = folder.join("settings.json");
    fs::write(&path, settings.to_string()).unwrap();
    path
}

fn start(settings: &Path, out: &Path) -> Child {
    start_with(settings, out, 2)
}

fn start_with(settings: &Path, out: &Path, threads: usize) -> Child {
    Command::new(env!("CARGO_BIN_EXE_scarf"))
        .env("RAYON_NUM_THREADS", threads.to_string())
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
    // The device is told with its number of threads.
    for field in ["seconds", "inference", "device"] {
        fields.remove(field);
    }
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
    is_the_same(&killed, &whole);
    for (epoch, line) in (1..).zip(curve(&whole)) {
        let of = |name: &str| line[format!("val/{name}")].as_f64();
        // Where it was scored, the losses on the validation images stand beside AP.
        let sum = of("classification").zip(of("localization")).map(|(a, b)| a + b);
        assert_eq!(of("ap").is_some(), epoch % 2 == 0 || epoch == 5);
        assert!(
            of("loss").zip(sum).map(|(loss, sum)| (loss - sum).abs() < 1e-4 * sum) == of("ap").map(|_| true)
        );
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let out = |threads: usize| folder.path().join(threads.to_string());
    for threads in [1, 3] {
        assert!(start_with(&settings, &out(threads), threads).wait().unwrap().success());
    }
    is_the_same(&out(1), &out(3));
}

fn is_the_same(one: &Path, other: &Path) {
    assert_eq!(curve(one), curve(other));
    assert_eq!(result(one), result(other));
    let weights = |out: &Path| fs::read(out.join("best.safetensors")).unwrap();
    assert!(weights(one) == weights(other), "the weights differ");
}
