//! `scarf eval` on files as people have them.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use scarf_data::synth::SyntheticSteel;
use serde_json::{Value, json};

fn eval(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("scarf").unwrap();
    command.arg("eval").args(arguments);
    command
}

fn answer(arguments: &[&str]) -> Value {
    let output = eval(arguments).arg("--json").assert().success().get_output().stdout.clone();
    serde_json::from_slice(&output).unwrap()
}

fn failure(arguments: &[&str]) -> String {
    String::from_utf8(eval(arguments).assert().failure().get_output().stderr.clone()).unwrap()
}

fn write(path: &Path, value: &Value) -> String {
    fs::write(path, value.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Two images, three objects of two classes; one is found, one is found too far off, one is missed.
fn coco(folder: &Path) -> (String, String) {
    let object = |id: u32, image: u32, category: u32, x: f64| json!({"id": id, "image_id": image, "category_id": category, "bbox": [x, 10.0, 40.0, 40.0], "area": 1600.0, "iscrowd": 0});
    let truth = json!({
        "images": [{"id": 1, "file_name": "a.jpg", "width": 200, "height": 200}, {"id": 2, "file_name": "b.jpg", "width": 200, "height": 200}],
        "annotations": [object(1, 1, 1, 10.0), object(2, 1, 2, 100.0), object(3, 2, 1, 10.0)],
        "categories": [{"id": 1, "name": "pit"}, {"id": 2, "name": "scratch"}],
    });
    let found = json!([
        {"image_id": 1, "category_id": 1, "bbox": [10.0, 10.0, 40.0, 40.0], "score": 0.9},
        {"image_id": 1, "category_id": 2, "bbox": [125.0, 10.0, 40.0, 40.0], "score": 0.8},
    ]);
    (write(&folder.join("gt.json"), &truth), write(&folder.join("dt.json"), &found))
}

#[test]
fn cocos_files_give_the_twelve_numbers_and_those_of_each_class() {
    let folder = tempfile::tempdir().unwrap();
    let (gt, dt) = coco(folder.path());
    let told = answer(&["--gt", &gt, "--dt", &dt, "--per-class", "--more"]);
    // class pit: recall .5 at precision 1, so 51 of 101 points; class scratch: nothing
    let half = 51.0 / 101.0;
    assert!((told["ap"].as_f64().unwrap() - half / 2.0).abs() < 1e-12, "{told}");
    assert_eq!(told["per_class"][1]["ap"], json!(0.0));
    assert_eq!(told["ap_small"], Value::Null);
    assert_eq!(told["errors"]["location"]["count"], json!(1));
    assert_eq!(told["errors"]["missed"]["count"], json!(1));
    let text = eval(&["--gt", &gt, "--dt", &dt]).assert().success().get_output().stdout.clone();
    let text = String::from_utf8(text).unwrap();
    let first = " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.252";
    assert_eq!(text.lines().next(), Some(first));
    assert_eq!(text.lines().count(), 12);
}

#[test]
fn a_range_of_areas_and_max_dets_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (gt, dt) = coco(folder.path());
    let told = answer(&["--gt", &gt, "--dt", &dt, "--area", "all=0..,tiny=0..100,odd=1600..1600,huge=1e6.."]);
    assert_eq!(told["ap_small"], Value::Null);
    assert_eq!(told["ap_medium"], told["ap"]);
    assert!(failure(&["--gt", &gt, "--dt", &dt, "--area", "small"]).contains("NAME=MIN..MAX"));
    assert!(failure(&["--gt", &gt, "--dt", &dt, "--max-dets", "1,10"]).contains("three numbers"));
}

#[test]
fn the_same_detections_are_no_better_than_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let (gt, dt) = coco(folder.path());
    let told = answer(&["--gt", &gt, "--dt", &dt, "--than", &dt, "--resamples", "50"]);
    assert_eq!(told["comparison"]["difference"]["value"], json!(0.0));
    assert_eq!(told["comparison"]["significant"], json!(false));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (gt, dt) = coco(folder.path());
    let broken = folder.path().join("broken.json");
    fs::write(&broken, "[\n{\"image_id\": 1,").unwrap();
    let told = failure(&["--gt", &gt, "--dt", broken.to_str().unwrap()]);
    assert!(told.contains("broken.json, line 2"), "{told}");
    let record = json!([{"image_id": 9, "category_id": 1, "bbox": [0.0, 0.0, 1.0, 1.0], "score": 0.9}]);
    let unknown = write(&folder.path().join("unknown.json"), &record);
    assert!(failure(&["--gt", &gt, "--dt", &unknown]).contains("image 9"));
    assert!(failure(&["--dt", &dt]).contains("--gt"));
    assert!(failure(&["--gt", "nowhere.json", "--dt", &dt]).contains("nowhere.json"));
}

/// A drawn set and its own boxes as results, in each of the forms that name images.
#[test]
fn vocs_files_are_scored_with_results_of_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    let synthetic = SyntheticSteel { images_per_class: 2, ..SyntheticSteel::default() };
    let set = synthetic.load(&root).unwrap();

    let devkit = folder.path().join("results");
    fs::create_dir(&devkit).unwrap();
    let (mut lines, mut records) = (String::new(), Vec::new());
    for sample in &set.samples {
        let mut detections = Vec::new();
        for annotation in &sample.annotations {
            let (class, b) = (set.classes.name(annotation.class).unwrap(), annotation.bbox);
            let path = devkit.join(format!("comp4_det_test_{class}.txt"));
            let known = fs::read_to_string(&path).unwrap_or_default();
            let row = format!("{} 0.5 {} {} {} {}\n", sample.name, b.x1, b.y1, b.x2, b.y2);
            fs::write(&path, known + &row).unwrap();
            detections.push(json!({"class": class, "score": 0.5, "box": b.to_array()}));
            records.push(json!({"image_id": sample.name, "category_id": class, "score": 0.5,
                                "bbox": [b.x1, b.y1, b.width(), b.height()]}));
        }
        lines += &format!("{}\n", json!({"image": sample.image, "detections": detections}));
    }
    let predicted = folder.path().join("found.jsonl");
    fs::write(&predicted, lines).unwrap();
    let results = write(&folder.path().join("results.json"), &json!(records));

    let gt = root.to_str().unwrap();
    for dt in [devkit.to_str().unwrap(), predicted.to_str().unwrap(), &results] {
        for protocol in ["voc07", "voc12"] {
            let told = answer(&["--gt", gt, "--dt", dt, "--protocol", protocol]);
            assert!((told["map"].as_f64().unwrap() - 1.0).abs() < 1e-12, "{dt} {protocol}: {told}");
        }
        let told = answer(&["--gt", gt, "--dt", dt]);
        assert!((told["ap"].as_f64().unwrap() - 1.0).abs() < 1e-12, "{dt}: {told}");
    }

    // A class of which there is no object, found all the same, has no AP.
    fs::write(devkit.join("rust.txt"), "\n").unwrap();
    let name = &set.samples[0].name;
    let more = json!({"image": name, "detections": [{"class": "rust", "score": 0.9, "box": [1, 2, 9, 9]}]});
    let text = fs::read_to_string(&predicted).unwrap();
    fs::write(&predicted, format!("{text}{more}\n")).unwrap();
    for dt in [devkit.to_str().unwrap(), predicted.to_str().unwrap()] {
        let told = answer(&["--gt", gt, "--dt", dt]);
        assert!((told["ap"].as_f64().unwrap() - 1.0).abs() < 1e-12, "{dt}: {told}");
    }
    let output = eval(&["--gt", gt, "--dt", predicted.to_str().unwrap()]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("no object of the class `rust`"), "{output:?}");

    let half: String = text.lines().take(set.samples.len() / 2).flat_map(|line| [line, "\n"]).collect();
    fs::write(&predicted, half).unwrap();
    let output = eval(&["--gt", gt, "--dt", predicted.to_str().unwrap()]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("warning: 6 of 12 images have a line: the objects of all others count as missed"),
        "{told}"
    );

    fs::write(devkit.join("scratches.txt"), "nobody 0.5 1 2 3 4\n").unwrap();
    let told = failure(&["--gt", gt, "--dt", devkit.to_str().unwrap()]);
    assert!(told.contains("scratches.txt, line 1") && told.contains("nobody"), "{told}");
    fs::write(devkit.join("scratches.txt"), "crazing_1 0.5 1 2 3\n").unwrap();
    let told = failure(&["--gt", gt, "--dt", devkit.to_str().unwrap()]);
    assert!(told.contains("line 1") && told.contains("4 numbers"), "{told}");
}
