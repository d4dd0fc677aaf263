//! `scarf check` refuses what a run would stumble over, by its key; and a run, images that are others than it began with.

use std::fs;
use std::path::Path;
use std::process::Command;

use scarf_data::synth::SyntheticSteel;
use serde_json::{Value, json};

/// `scarf` with these settings: what it prints, or says that is wrong.
fn asked(command: &str, settings: &Value, folder: &Path) -> Result<String, String> {
    let path = folder.join("settings.json");
    fs::write(&path, settings.to_string()).unwrap();
    let mut scarf = Command::new(env!("CARGO_BIN_EXE_scarf"));
    scarf.args(["--device", "cpu"]).args(command.split(' ')).arg("--settings").arg(path);
    if command == "run" {
        scarf.arg("--out").arg(folder.join("out"));
    }
    let output = scarf.output().unwrap();
    let [printed, told] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    if output.status.success() { Ok(printed) } else { Err(told) }
}

/// What `scarf` says that is wrong; nothing where nothing is.
fn said(command: &str, settings: &Value, folder: &Path) -> String {
    asked(command, settings, folder).err().unwrap_or_default()
}

/// What tells the data from others under the same settings.
fn fingerprint(settings: &Value, folder: &Path) -> Value {
    let printed: Value = serde_json::from_str(&asked("check --data", settings, folder).unwrap()).unwrap();
    printed["fingerprint"].clone()
}

fn settings(data: Value) -> Value {
    json!({
        "id": "check", "approach": "check", "seed": 3, "data": data,
        "recipe": {
            "model": {"size": 64, "backbone": {"mobilenet_v1": {"width": 0.25}},
                      "neck": {"ssd_extras": {"channels": [32]}}, "head": {"ssd": {}}},
            "train": {"epochs": 1, "batch": 4, "optimizer": {"sgd": {"lr": 0.01}}},
        },
    })
}

fn plate() -> Value {
    let split = json!({"stratified": {"train": 0.6, "val": 0.2, "test": 0.2}});
    json!({"set": "synthetic-plate", "synthetic": {"images_per_class": 5}, "split": split})
}

#[test]
fn what_a_run_would_stumble_over_is_refused_by_its_key() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(said("check", &settings(plate()), folder.path()), "");
    let gone =
        json!({"set": "voc", "voc": {"classes": ["pit"], "images": "nowhere"}, "split": plate()["split"]});
    for (key, value, problem) in [
        ("/recipe/train/augment", json!([{"horizontal_flip": {"p": 50.0}}]), "`train.augment[0]`: `p` is 50"),
        ("/recipe/train/freeze", json!({"matching": ["."]}), "`train.freeze`: nothing is left to train"),
        ("/recipe/train/clip_norm", json!(-1.0), "`train.clip_norm` is -1"),
        // Seen small, the coarsest map is smaller than the kernel that reads it.
        (
            "/recipe/model",
            json!("ssd300_vgg16"),
            "recipe.detect.scales [1.0, 0.8], of which one shows 240 pixels",
        ),
        ("/data/split", json!({"fold": {"of": 1}}), "split.fold.of is 1"),
        (
            "/data/split",
            json!({"stratified": {"train": 0.5, "val": 0.1, "test": 0.1}}),
            "split.stratified is [0.5, 0.1, 0.1]; three parts of 0 to 1 that add up to 1",
        ),
        (
            "/data/split",
            json!({"stratified": {"train": 0.5, "val": 0.1, "test": 0.4, "group": "("}}),
            "split.stratified.group is `(`, which is no regular expression",
        ),
        (
            "/data/split",
            json!({"fold": {"of": 2, "group": "."}}),
            "split.fold.group is for photographs of one's own, and synthetic-plate is drawn",
        ),
        (
            "/data/split",
            json!({"stratified": {"train": 0.8, "val": 0.2, "test": 0.0}}),
            "split.stratified has no `test`, and the run is scored on the test images",
        ),
        (
            "/data/split",
            json!({"lists": {"train": "/train.txt", "test": "test.txt"}}),
            "split.lists.train is `/train.txt`; a path within the data folder is needed",
        ),
        ("/data/split", json!({"lists": {"train": "train.txt"}}), "split.lists has no `test`"),
        ("/data/synthetic", json!({"images_per_class": 0}), "synthetic.images_per_class is 0"),
        ("/data", gone, "nowhere: no such folder; data.voc says what they are called"),
    ] {
        let mut settings = settings(plate());
        settings["data_dir"] = json!(folder.path());
        if key == "/recipe/model" {
            settings["recipe"]["detect"] = json!({"scales": [1.0, 0.8]});
        }
        let (parent, last) = key.rsplit_once('/').unwrap();
        settings.pointer_mut(parent).unwrap()[last] = value;
        let told = said("check", &settings, folder.path());
        assert!(told.contains(problem), "{key}: {told}");
    }
}

/// As trials and ablations are: after a training it would come out that there is nothing to score.
#[test]
fn what_is_scored_on_validation_images_has_some() {
    let folder = tempfile::tempdir().unwrap();
    let said = |split: Value, on: &str| {
        let mut settings = settings(
            json!({"set": "synthetic-plate", "synthetic": {"images_per_class": 5}, "split": split, "on": on}),
        );
        settings["score"] = json!(["val"]);
        said("check", &settings, folder.path())
    };
    let alone = "the run is scored on the validation images alone";
    let without = json!({"stratified": {"train": 0.8, "val": 0.0, "test": 0.2}});
    for (key, split) in [("fold", json!({"fold": {"of": 5}})), ("stratified", without)] {
        let told = said(split, "train");
        assert!(told.contains(&format!("split.{key} has no `val`, and {alone}")), "{told}");
    }
    let told = said(plate()["split"].clone(), "train+val");
    assert!(told.contains("which leaves no validation images") && told.contains(alone), "{told}");
    assert_eq!(said(plate()["split"].clone(), "train"), "");
}

#[test]
fn a_run_does_not_go_on_with_other_objects() {
    let folder = tempfile::tempdir().unwrap();
    let drawn = folder.path().join("drawn");
    SyntheticSteel { seed: 5, images_per_class: 2, ..SyntheticSteel::default() }.ensure(&drawn).unwrap();
    let classes =
        json!(["crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"]);
    let split = json!({"stratified": {"train": 0.5, "val": 0.25, "test": 0.25}});
    let mut settings = settings(json!({"set": "voc", "voc": {"classes": classes}, "split": split}));
    settings["data_dir"] = json!(drawn);
    assert_eq!(said("run", &settings, folder.path()), "");
    assert_eq!(said("run", &settings, folder.path()), "", "what is done is scored again");
    let file = drawn.join("ANNOTATIONS/crazing_1.xml");
    let text = fs::read_to_string(&file).unwrap();
    let (before, after) = text.split_once("<object>").unwrap();
    let (_, after) = after.split_once("</object>").unwrap();
    fs::write(&file, format!("{before}{after}")).unwrap();
    let told = said("run", &settings, folder.path());
    assert!(told.contains("was made with other settings or images; remove it to begin anew"), "{told}");

    fs::write(&file, text.replace("<name>crazing", "<name>rust")).unwrap();
    assert_eq!(said("check", &settings, folder.path()), "", "labels are another question");
    let told = said("check --data", &settings, folder.path());
    assert!(told.contains("crazing_1.xml:") && told.contains("unknown class `rust`"), "{told}");
    assert!(
        fingerprint(&self::settings(plate()), folder.path()).is_null(),
        "what is drawn is the same for all"
    );
}

/// Lists say which images are where; of a study's runs each needs its own parts.
#[test]
fn a_run_takes_the_parts_that_lists_say() {
    let folder = tempfile::tempdir().unwrap();
    let drawn = folder.path().join("drawn");
    SyntheticSteel { seed: 5, images_per_class: 2, ..SyntheticSteel::default() }.ensure(&drawn).unwrap();
    let classes =
        json!(["crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"]);
    let lists = json!({"lists": {"train": "lists/train.txt", "test": "lists/test.txt"}});
    let mut settings = settings(json!({"set": "voc", "voc": {"classes": classes}, "split": lists}));
    settings["data_dir"] = json!(drawn);
    let told = said("check", &settings, folder.path());
    assert!(told.contains("lists/train.txt: no such file; data.split.lists says"), "{told}");
    fs::create_dir(drawn.join("lists")).unwrap();
    let list = |name: &str, text: &str| fs::write(drawn.join("lists").join(name), text).unwrap();
    list("train.txt", "crazing_1 1\ninclusion_2 -1\n\npatches_1\nscratches_1.png\n");
    list("test.txt", "crazing_2\nscratches_2\n");
    assert_eq!(said("check", &settings, folder.path()), "");
    for (score, on, told) in
        [("val", "train", "scored on the validation images alone"), ("test", "train+val", "\"train+val\"")]
    {
        let mut other = settings.clone();
        other["score"] = json!([score]);
        other["data"]["on"] = json!(on);
        let refused = said("check", &other, folder.path());
        assert!(refused.contains("split.lists has no `val`") && refused.contains(told), "{refused}");
    }

    assert_eq!(said("run", &settings, folder.path()), "");
    let out = folder.path().join("out");
    let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(out.join(name)).unwrap()).unwrap() };
    let shown = read("predictions/test.json");
    let names: Vec<_> = shown["images"].as_array().unwrap().iter().map(|image| &image["name"]).collect();
    assert_eq!(names, ["crazing_2", "scratches_2"]);
    assert!(!out.join("predictions/val.json").exists(), "nobody looks at it");
    let result = read("result.json");
    assert_eq!(result["images"], json!(4));
    assert_eq!(result["fingerprint"], fingerprint(&settings, folder.path()));

    // Other parts are other data, though the settings are the same.
    list("train.txt", "crazing_1\ninclusion_2\npatches_1\nscratches_1\npatches_2");
    let told = said("run", &settings, folder.path());
    assert!(told.contains("was made with other settings or images"), "{told}");
    fs::remove_dir_all(&out).unwrap();
    assert_eq!(said("run", &settings, folder.path()), "");
    let (before, after) = (&result["fingerprint"], &read("result.json")["fingerprint"]);
    assert!(before.is_string() && before != after, "{before} {after}");
    assert_eq!(*after, fingerprint(&settings, folder.path()));

    list("test.txt", "crazing_2\npatches_1\n");
    fs::remove_dir_all(&out).unwrap();
    let told = said("run", &settings, folder.path());
    assert!(told.contains("test.txt:2:1: `patches_1` is in") && told.contains("train.txt:3 too"), "{told}");
}
