//! A run that trains nothing shows another run's model again: as it was, or looked at otherwise.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

fn settings(folder: &Path, name: &str, change: impl Fn(&mut Value)) -> PathBuf {
    let mut settings = json!({
        "id": name, "approach": name, "seed": 3,
        "data": {"set": "synthetic-plate", "synthetic": {"seed": 1, "images_per_class": 10},
                 "split": {"stratified": {"train": 0.6, "val": 0.2, "test": 0.2}}},
        "recipe": {
            "model": {"size": 96, "backbone": {"mobilenet_v1": {"width": 0.25}},
                      "neck": {"ssd_extras": {"channels": [64, 64]}}, "head": {"ssd": {}}},
            "train": {"epochs": 2, "batch": 4, "optimizer": {"sgd": {"lr": 0.01}}},
        },
    });
    change(&mut settings);
    let path = folder.join(format!("{name}.json"));
    fs::write(&path, settings.to_string()).unwrap();
    path
}

fn scarf(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scarf")).args(["--device", "cpu"]).args(arguments).output().unwrap()
}

fn run(folder: &Path, settings: &Path) -> PathBuf {
    let out = folder.join(settings.file_stem().unwrap());
    let done = scarf(&["run", "--settings", settings.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    out
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_model_is_shown_again_without_training() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let trained = run(folder, &settings(folder, "trained", |_| ()));
    let again = |name: &str, flips: &str| {
        let settings = settings(folder, name, |settings| {
            settings["init"] = json!({"checkpoint": trained});
            settings["recipe"]["train"]["epochs"] = json!(0);
            settings["recipe"]["detect"] = json!({"flips": flips});
        });
        run(folder, &settings)
    };
    let (same, flipped) = (again("same", "none"), again("flipped", "all"));

    for part in ["val", "test"] {
        let found = |out: &Path| fs::read(out.join(format!("predictions/{part}.coco.json"))).unwrap();
        assert!(found(&same) == found(&trained), "one look, the same model: the same detections");
        assert!(found(&flipped) != found(&trained));
    }
    let (before, after) = (read(&trained.join("result.json")), read(&same.join("result.json")));
    assert_eq!(before["test"], after["test"]);
    assert_eq!((&after["epochs"], &after["seconds"]["train"]), (&json!(0), &json!(0.0)));
    assert_eq!(before["best_epoch"], after["best_epoch"]);

    // The model file remembers how it looks: four looks a picture, with lower scores for what one of them saw.
    let picture = folder.join("picture.png");
    image::RgbImage::from_fn(96, 64, |x, y| image::Rgb([(x * 2) as u8, (y * 3) as u8, 90]))
        .save(&picture)
        .unwrap();
    let predicted = |out: &Path, precision: &str| {
        let model = out.join("best.safetensors");
        let paths = [model.to_str().unwrap(), picture.to_str().unwrap()];
        let how = ["--score", "0", "--precision", precision];
        let done = scarf(&[&["predict", "--model", paths[0], paths[1]], &how[..]].concat());
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    };
    let plain = predicted(&trained, "float32");
    assert!(plain == predicted(&same, "float32"));
    assert!(plain != predicted(&flipped, "float32"));
    assert!(plain != predicted(&trained, "bfloat16"), "other products, the same model");
}

#[test]
fn what_cannot_be_shown_again_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let said = |name: &str, change: &dyn Fn(&mut Value)| {
        let settings = settings(folder.path(), name, change);
        let refused = scarf(&["check", "--settings", settings.to_str().unwrap()]);
        assert!(!refused.status.success());
        String::from_utf8(refused.stderr).unwrap()
    };
    let nothing = said("nothing", &|settings| settings["recipe"]["train"]["epochs"] = json!(0));
    assert!(nothing.contains("`recipe.train.epochs` is 0") && nothing.contains("init"), "{nothing}");
    let iou = said("iou", &|settings| settings["recipe"]["detect"] = json!({"fusion_iou": 1.5}));
    assert!(iou.contains("`detect.fusion_iou` is 1.5; an IoU from 0 to 1"), "{iou}");
    let flips = said("flips", &|settings| settings["recipe"]["detect"] = json!({"flips": "sideways"}));
    assert!(flips.contains("recipe.detect.flips") && flips.contains("horizontal"), "{flips}");
    let ema = said("ema", &|settings| settings["recipe"]["train"]["ema"] = json!(1.0));
    assert!(ema.contains("`train.ema` is 1"), "{ema}");
}
