//! A folder of one's own, from its first look to a detector that is used: what `README.md` tells of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use scarf_data::OnBad;
use scarf_data::synth::SyntheticSteel;
use scarf_data::voc::VocLayout;
use scarf_study::{Engine, Epoch, Given, Kind, Program, Record, Run, Study, Watch};

/// Defects of a rolling mill, in folders with Pascal VOC's names.
fn draw(folder: &Path) {
    let drawn = folder.join("drawn");
    SyntheticSteel { seed: 5, images_per_class: 4, ..SyntheticSteel::default() }.ensure(&drawn).unwrap();
    fs::rename(drawn.join("IMAGES"), folder.join("JPEGImages")).unwrap();
    fs::rename(drawn.join("ANNOTATIONS"), folder.join("Annotations")).unwrap();
}

fn scarf(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_scarf")).args(arguments).output().unwrap();
    let [told, wrong] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "scarf {arguments:?}: {wrong}");
    told
}

/// The first picture of what `scarf predict` printed.
fn found_first(found: &str) -> String {
    let line: serde_json::Value = serde_json::from_str(found.lines().next().unwrap()).unwrap();
    line["image"].as_str().unwrap().into()
}

struct Quiet;

impl Watch for Quiet {
    fn begins(&mut self, _: &Run, _: usize, _: usize, _: Option<f64>) {}
    fn line(&mut self, _: &Run, _: &str) {}
    fn epoch(&mut self, _: &Run, _: &Epoch) {}
    fn tick(&mut self, _: &Run, _: std::time::Duration) {}
    fn ends(&mut self, _: &Run, record: &Record) {
        assert!(record.is_ok(), "{record:?}");
    }
    fn note(&mut self, _: &str) {}
}

/// The study that is there to be copied, with the folder's own data.
fn study(folder: &Path, data: &str) -> Study {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join("studies/own.toml")).unwrap();
    let (before, after) = text.split_once("\n[data]\n").unwrap();
    let (_, after) = after.split_once("\n\n").unwrap();
    let file = folder.join("ours.toml");
    fs::write(&file, format!("{before}\n{data}\n{after}")).unwrap();
    Study::read(&file, &Given { shrink: true, data: Some(folder.into()), weights: None }).unwrap()
}

#[test]
fn a_folder_of_ones_own_becomes_a_detector() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    draw(folder.path());
    let told = scarf(&["data", "voc", "--data", &at("")]);
    assert!(told.starts_with("24 images (0 without objects"), "{told}");
    let data = &told[told.find("[data]").unwrap()..];
    assert!(data.contains(
        r#"classes = ["crazing","inclusion","patches","pitted_surface","rolled-in_scale","scratches"]"#
    ));

    let (study, out) = (study(folder.path(), data), PathBuf::from(at("runs")));
    let program =
        Program { path: env!("CARGO_BIN_EXE_scarf").into(), device: Some("cpu".into()), threads: None };
    let given = Given { shrink: true, data: Some(folder.path().into()), weights: None };
    let records = Engine::new(&study, program, &out, &given).unwrap().run(false, &mut Quiet).unwrap();
    let finals: Vec<_> = records.iter().filter(|record| record.kind == Kind::Final).collect();
    assert_eq!(finals.len(), 2, "one look, and four");
    assert!(finals.iter().all(|record| record.test.is_some()));

    let run = out.join("runs").join(&finals[0].id);
    let model = run.join("best.safetensors").to_string_lossy().into_owned();
    assert!(scarf(&["eval", "--dt", &run.to_string_lossy(), "--per-class"]).contains("scratches"));
    let found = scarf(&["predict", "--model", &model, "--score", "0", &at("JPEGImages")]);
    assert_eq!(found.lines().count(), 24);
    fs::write(at("found.jsonl"), &found).unwrap();
    let scored = scarf(&["eval", "--gt", &at("Annotations"), "--dt", &at("found.jsonl")]);
    assert!(scored.contains("Average Precision"), "{scored}");

    // Pictures with boxes go over no picture; a damaged one is told of, and the others are done.
    let wrong = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_scarf")).args(arguments).output().unwrap();
        assert!(!output.status.success(), "scarf {arguments:?}");
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned())
    };
    let pictures = at("JPEGImages");
    let [_, why] = wrong(&["predict", "--model", &model, "--draw", &pictures, &pictures]);
    assert!(why.contains("is a picture itself"), "{why}");
    let first = found_first(&found);
    let [_, why] = wrong(&["predict", "--model", &model, "--draw", &at("drawn"), &first, &first]);
    assert!(why.contains("would both be drawn as"), "{why}");
    fs::write(at("JPEGImages/damaged.png"), "no picture").unwrap();
    let [done, why] = wrong(&["predict", "--model", &model, "--draw", &at("boxes"), &pictures]);
    assert_eq!((done.lines().count(), fs::read_dir(at("boxes")).unwrap().count()), (24, 24));
    assert!(why.contains("damaged.png") && why.contains("1 of 25 pictures"), "{why}");
    fs::remove_file(at("JPEGImages/damaged.png")).unwrap();

    scarf(&["export", &model, &at("ours.onnx"), "--nms"]);
    assert!(Path::new(&at("ours.onnx")).is_file());
}

/// A set is written into an empty place alone: what was there before would be mixed with it.
fn refused_again(arguments: &[&str], told: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_scarf")).args(arguments).output().unwrap();
    let wrong = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && wrong.contains(told), "scarf {arguments:?}: {wrong}");
}

#[test]
fn cocos_json_becomes_such_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    draw(folder.path());
    let classes = scarf_data::voc::classes(&at("Annotations"), OnBad::Fail).unwrap();
    let layout = VocLayout { images: at("JPEGImages"), annotations: at("Annotations") };
    let (mut set, _) = scarf_data::voc::load(&layout, &classes, OnBad::Fail).unwrap();
    let boxes: usize = set.samples.iter().map(|sample| sample.annotations.len()).sum();
    // One that a box stands for many, which Pascal VOC cannot say.
    set.samples[0].annotations[0].crowd = true;
    scarf_data::coco::write(&at("gt.json"), &set, None, scarf_data::coco::Boxes::Xywh).unwrap();
    let text = |name: &str| at(name).to_string_lossy().into_owned();
    let [gt, images, out] = [text("gt.json"), text("JPEGImages"), text("made")];
    let arguments = ["data", "coco", "--gt", &gt, "--data", &images, "--out", &out];
    let told = scarf(&arguments);
    refused_again(&arguments, "IMAGES: there is something from before");
    assert!(!at("made/.import").exists());
    let nowhere = ["data", "coco", "--gt", &gt, "--data", "nowhere", "--out", &text("none"), "--skip-bad"];
    let output = Command::new(env!("CARGO_BIN_EXE_scarf")).args(nowhere).output().unwrap();
    let told_of = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told_of.contains("gt.json: nothing is left of it to be written") && !at("none").exists(),
        "{told_of}"
    );
    assert!(told.starts_with("left out 1 boxes of crowds\n24 images"), "{told}");
    assert!(told.contains(&format!("{} boxes", boxes - 1)) && told.contains("images = \"IMAGES\""), "{told}");
    let layout = VocLayout { images: at("made/IMAGES"), annotations: at("made/ANNOTATIONS") };
    let (made, _) = scarf_data::voc::load(&layout, &classes, OnBad::Fail).unwrap();
    set.samples[0].annotations.remove(0);
    for (made, drawn) in made.samples.iter().zip(&set.samples) {
        let boxes = |sample: &scarf_data::Sample| -> Vec<_> {
            sample.annotations.iter().map(|each| (each.class, each.bbox.to_array().map(f64::round))).collect()
        };
        assert_eq!((&made.name, boxes(made)), (&drawn.name, boxes(drawn)));
    }
}

#[test]
fn images_that_are_not_where_they_are_looked_for_are_missed_by_name() {
    let folder = tempfile::tempdir().unwrap();
    draw(folder.path());
    fs::rename(folder.path().join("JPEGImages"), folder.path().join("img")).unwrap();
    fs::create_dir(folder.path().join("images")).unwrap();
    let look = || {
        Command::new(env!("CARGO_BIN_EXE_scarf"))
            .args(["data", "voc", "--data"])
            .arg(folder.path())
            .output()
            .unwrap()
    };
    let told = String::from_utf8_lossy(&look().stderr).into_owned();
    assert!(told.contains("no images in it, nor in JPEGImages, IMAGES, images, Images"), "{told}");
    fs::rename(folder.path().join("img"), folder.path().join("Images")).unwrap();
    let output = look();
    assert!(String::from_utf8_lossy(&output.stdout).contains("images = \"Images\""), "{output:?}");
}

/// COCO's JSON comes in a file a part, which become lists.
#[test]
fn parts_of_a_set_become_lists_that_a_study_takes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let text = |name: &str| at(name).to_string_lossy().into_owned();
    draw(folder.path());
    let classes = scarf_data::voc::classes(&at("Annotations"), OnBad::Fail).unwrap();
    let layout = VocLayout { images: at("JPEGImages"), annotations: at("Annotations") };
    let (set, _) = scarf_data::voc::load(&layout, &classes, OnBad::Fail).unwrap();
    let mut given = Vec::new();
    for (part, places) in [("train", 0..14), ("val", 14..18), ("test", 18..24)] {
        let json = at(part).with_extension("json");
        let part_of = set.subset(&places.collect::<Vec<_>>());
        scarf_data::coco::write(&json, &part_of, None, scarf_data::coco::Boxes::Xywh).unwrap();
        given.extend(["--gt".to_owned(), format!("{part}={}", json.display())]);
    }
    let [images, out] = [text("JPEGImages"), text("made")];
    let arguments = |given: &[String]| {
        let fixed = ["data", "coco", "--data", &images, "--out", &out].map(str::to_owned);
        [fixed.as_slice(), given].concat()
    };
    let said = |given: &[String], told: &str| {
        refused_again(&arguments(given).iter().map(String::as_str).collect::<Vec<_>>(), told);
    };
    let plain = given[1].split_once('=').unwrap().1.to_owned();
    said(&["--gt".into(), plain.clone(), "--gt".into(), plain.clone()], "say each part once");
    said(&[&given[..2], &given[..2]].concat(), "say each part once");
    let twice = ["--gt".into(), given[1].clone(), "--gt".into(), format!("val={plain}")];
    said(&twice, "a stem names one image");
    let told = scarf(&arguments(&given).iter().map(String::as_str).collect::<Vec<_>>());
    assert!(
        told.contains("14 images are learnt from, 4 chosen by and 6 reported on; 0 are in none"),
        "{told}"
    );
    let lists = r#"split.lists = { train = "train.txt", val = "val.txt", test = "test.txt" }"#;
    assert!(told.contains(lists) && !told.contains("split.stratified"), "{told}");

    // The study that is there to be copied takes them, and pretrains on what is drawn all the same.
    let study = study(&at("made"), &told[told.find("[data]").unwrap()..]);
    let plan = study.plan(&scarf_study::Records::default());
    let pretrains = plan.runs.iter().find(|run| run.approach == "pretrain").unwrap();
    let split = &pretrains.settings.as_ref().unwrap().data["split"];
    assert!(split.get("stratified").is_some() && split.get("lists").is_none(), "{split}");

    // What will not do is told, and not taken.
    fs::write(at("made/val.txt"), "nobody\n").unwrap();
    let told = scarf(&["data", "voc", "--data", &out]);
    assert!(told.contains("val.txt:1:1: no image has") && told.contains("split.stratified"), "{told}");
}

#[test]
fn yolos_labels_become_such_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let text = |name: &str| at(name).to_string_lossy().into_owned();
    for (part, name) in [("train", "a"), ("train", "b"), ("valid", "c"), ("test", "d")] {
        let images = at("yolo").join(part).join("images");
        let labels = at("yolo").join(part).join("labels");
        [&images, &labels].into_iter().for_each(|inner| fs::create_dir_all(inner).unwrap());
        image::RgbImage::new(40, 20).save(images.join(format!("{name}.bmp"))).unwrap();
        if name != "b" {
            let lines = "0 0.5 0.5 0.25 0.5\n1 0 0 0.5 0 0.5 0.5\n";
            fs::write(labels.join(format!("{name}.txt")), lines).unwrap();
        }
    }
    fs::write(at("data.yaml"), "nc: 2\nnames:\n  0: dent\n  1: a & b\n").unwrap();
    let [data, classes, out] = [text("yolo"), text("data.yaml"), text("made")];
    let arguments = ["data", "yolo", "--data", &data, "--classes", &classes, "--out", &out];
    let told = scarf(&arguments);
    assert!(told.starts_with("drew 3 boxes around polygons\n4 images (1 without objects"), "{told}");
    assert!(told.contains("2 images are learnt from, 1 chosen by and 1 reported on"), "{told}");
    assert!(told.contains("[\"a & b\",\"dent\"]") && told.contains("split.lists"), "{told}");
    refused_again(&arguments, "IMAGES: there is something from before");
    refused_again(&arguments[..4], "by --out DIR");
    refused_again(
        &["data", "voc", "--data", &out, "--classes", &classes],
        "--classes is for `scarf data yolo`",
    );
}
