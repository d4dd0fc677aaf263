//! A program that keeps the contract of runs and learns nothing: its scores are a plain function of the settings.
//! The engine's tests run it, and whoever writes a program of their own may read the contract from it.
//!
//! In the recipe: `train.epochs`, `train.optimizer.sgd.lr` (best at 0.01), and, to try what goes wrong,
//! `fake.fail_seed` (the run with this seed fails), `fake.millis` (an epoch takes so long). Its data are a file `labels`.

use serde_json::{Value, json};
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

const NUMBERS: [&str; 12] = [
    "ap",
    "ap50",
    "ap75",
    "ap_small",
    "ap_medium",
    "ap_large",
    "ar1",
    "ar10",
    "ar100",
    "ar_small",
    "ar_medium",
    "ar_large",
];
const CLASSES: [&str; 3] = ["crazing", "inclusion", "scratches"];
/// A gray picture of 8 by 8 pixels.
const JPEG: &str = include_str!("gray.jpeg.base64");

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(3);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(PathBuf::from)
    };
    let settings = after("--settings").ok_or("--settings FILE is missing")?;
    let settings: Value = serde_json::from_str(&std::fs::read_to_string(settings)?)?;
    check(&settings)?;
    match arguments.get(1).map(String::as_str) {
        Some("check") => {
            if arguments.iter().any(|argument| argument == "--data") {
                println!("{}", json!({ "fingerprint": fingerprint(&settings) }));
            }
            Ok(())
        }
        Some("run") => train(&settings, &after("--out").ok_or("--out DIR is missing")?),
        _ => Err("check or run?".into()),
    }
}

fn check(settings: &Value) -> Result<(), String> {
    let recipe = settings["recipe"].as_object().ok_or("recipe: missing")?;
    for key in recipe.keys() {
        if !["train", "fake"].contains(&key.as_str()) {
            return Err(format!("recipe.{key}: no such key; there are train and fake"));
        }
    }
    if !settings["recipe"]["train"]["epochs"].is_u64() {
        return Err("recipe.train.epochs: a whole number is right".into());
    }
    Ok(())
}

fn fingerprint(settings: &Value) -> Option<String> {
    std::fs::read_to_string(Path::new(settings["data_dir"].as_str()?).join("labels")).ok()
}

fn train(settings: &Value, out: &Path) -> Result<(), Box<dyn Error>> {
    let recipe = &settings["recipe"];
    let epochs = recipe["train"]["epochs"].as_u64().unwrap_or(1);
    if let Some(folder) = settings["init"]["checkpoint"].as_str()
        && !Path::new(folder).join("checkpoint").is_dir()
    {
        return Err(format!("{folder}: no checkpoint to begin from").into());
    }
    let metrics = out.join("metrics.jsonl");
    let done = std::fs::read_to_string(&metrics).map_or(0, |text| text.lines().count() as u64);
    let mut file = File::options().create(true).append(true).open(&metrics)?;
    for epoch in done + 1..=epochs {
        std::thread::sleep(Duration::from_millis(recipe["fake"]["millis"].as_u64().unwrap_or(0)));
        if recipe["fake"]["fail_seed"] == settings["seed"] && recipe["fake"]["fail_seed"].is_u64() {
            eprintln!("the loss is not a number");
            return Err("training cannot go on".into());
        }
        let progress = epoch as f64 / epochs as f64;
        let ap = reached(settings, "val") * progress.sqrt();
        let line = json!({
            "epoch": epoch, "epochs": epochs, "seconds": 2.0 * epoch as f64, "lr": 0.01 * (1.0 - progress),
            "train/loss": 4.0 * (-2.0 * progress).exp() + 1.0 - ap, "val/ap": ap, "val/ap50": 2.0 * ap,
            "val/loss": 1.25 - ap,
        });
        // At once: whoever kills this leaves a line or none.
        file.write_all(format!("{line}\n").as_bytes())?;
        eprintln!("epoch {epoch}/{epochs} ap {ap:.3}");
    }
    std::fs::create_dir_all(out.join("checkpoint"))?;
    predict(settings, out)?;
    let mut result = json!({
        "status": "ok", "fingerprint": fingerprint(settings), "device": "none", "version": "fake 1", "epochs": epochs, "best_epoch": epochs,
        "inference": { "images_per_second": 20.0, "batch": 8, "peak_memory_bytes": 5.0e8 },
        "seconds": { "train": 2.0 * epochs as f64, "score": 0.5, "total": 2.0 * epochs as f64 + 0.5 },
    });
    for part in settings["score"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        result[part] = score(reached(settings, part));
        detect(settings, out, part)?;
    }
    std::fs::write(out.join("result.json"), result.to_string())?;
    Ok(())
}

/// The AP that these settings reach.
fn reached(settings: &Value, part: &str) -> f64 {
    let lr = settings["recipe"]["train"]["optimizer"]["sgd"]["lr"].as_f64().unwrap_or(0.01);
    let off = (lr.log10() + 2.0).abs() * 0.08;
    let begun = if settings["init"].is_null() { 0.18 } else { 0.36 };
    let seed = (settings["seed"].as_u64().unwrap_or(0) % 5) as f64 * 0.01;
    let part = if part == "test" { -0.02 } else { 0.0 };
    (begun - off + seed + part).max(0.01)
}

fn score(ap: f64) -> Value {
    let mut score = json!({});
    for (index, name) in NUMBERS.iter().enumerate() {
        score[*name] = json!(if index == 1 { 2.0 * ap } else { ap * (1.0 - index as f64 / 40.0) });
    }
    score["ap_small"] = json!(-1.0);
    score["per_class"] = CLASSES
        .iter()
        .enumerate()
        .map(|(index, class)| json!({ "class": class, "ap": ap * (0.5 + 0.4 * index as f64), "ap50": ap }))
        .collect();
    score
}

fn predict(settings: &Value, out: &Path) -> Result<(), Box<dyn Error>> {
    let score = reached(settings, "test");
    let predictions = json!({
        "classes": CLASSES,
        "images": [{
            "name": "gray", "width": 8, "height": 8, "jpeg": JPEG.trim(),
            "ground_truth": [{ "class": "crazing", "box": [1.0, 1.0, 5.0, 6.0] }],
            "detections": [
                { "class": "crazing", "score": score, "box": [1.5, 1.0, 5.0, 6.5] },
                { "class": "inclusion", "score": score / 2.0, "box": [0.0, 2.0, 7.0, 7.0] },
            ],
        }],
    });
    let mut predictions = predictions;
    let mut failure = predictions["images"][0].clone();
    failure["missed"] = json!(1);
    failure["wrong"] = json!(2);
    predictions["failures"] = json!([failure]);
    std::fs::create_dir_all(out.join("predictions"))?;
    std::fs::write(out.join("predictions/test.json"), predictions.to_string())?;
    Ok(())
}

/// Detections on 40 images with an object each, as COCO's files: the better the score, the more are found.
fn detect(settings: &Value, out: &Path, part: &str) -> Result<(), Box<dyn Error>> {
    let share = reached(settings, part);
    let categories: Vec<Value> =
        CLASSES.iter().enumerate().map(|(at, name)| json!({ "id": at + 1, "name": name })).collect();
    let image = |id: u64| json!({ "id": id, "file_name": format!("{id}.png"), "width": 100, "height": 100 });
    let category = |id: u64| id % CLASSES.len() as u64 + 1;
    let truth = |id: u64| {
        json!({ "id": id, "image_id": id, "category_id": category(id), "bbox": [10, 10, 60, 60], "area": 3600,
                "iscrowd": 0 })
    };
    // 0.618.. by turns spreads over 0 to 1 as evenly as can be; each seed begins elsewhere.
    let seed = settings["seed"].as_u64().unwrap_or(0);
    let luck = |id: u64| ((id + 7 * seed) as f64 * 0.618_034).fract();
    let found = |id: u64| {
        let x = if luck(id) < 2.0 * share { 11 } else { 45 };
        json!({ "image_id": id, "category_id": category(id), "bbox": [x, 10, 60, 60], "score": 1.0 - luck(id) / 2.0 })
    };
    let ids = 1..=40;
    let truths = json!({
        "images": ids.clone().map(image).collect::<Vec<_>>(),
        "annotations": ids.clone().map(truth).collect::<Vec<_>>(),
        "categories": categories,
    });
    let found: Vec<Value> = ids.map(found).collect();
    std::fs::write(out.join(format!("predictions/{part}.truth.json")), truths.to_string())?;
    std::fs::write(out.join(format!("predictions/{part}.coco.json")), json!(found).to_string())?;
    Ok(())
}
