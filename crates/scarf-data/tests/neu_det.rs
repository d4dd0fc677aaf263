//! NEU-DET as published, every figure of it, and the study's split. The folder comes from the
//! environment: SCARF_DATA holds NEU-DET/ (or is it), SCARF_STUDY holds split.json and
//! test_ground_truth.coco.json.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use scarf_core::{Classes, Size};
use scarf_data::coco::{self, Boxes, Document};
use scarf_data::split::{Split, k_fold, stratified, study_split};
use scarf_data::voc::{self, VocLayout};
use scarf_data::{DataSet, ImageCache, OnBad, catalog};

/// The folder that an environment variable names; said and none where it is not set.
fn folder(variable: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os(variable).map(PathBuf::from) else {
        eprintln!("not tested: {variable} is not set");
        return None;
    };
    assert!(folder.is_dir(), "{variable} is {}, which is no folder", folder.display());
    Some(folder)
}

fn neu_det() -> Option<DataSet> {
    let (data, skipped) = catalog::get("neu-det").unwrap().load(&folder("SCARF_DATA")?, OnBad::Fail).unwrap();
    assert!(skipped.is_empty());
    Some(data)
}

#[test]
fn every_figure_of_its_description() {
    let Some(data) = neu_det() else { return };
    let stats = data.stats().unwrap();
    assert_eq!((stats.images, stats.boxes, stats.empty_images), (1800, 4189, 0));
    let boxes: Vec<_> = stats.classes.iter().map(|c| (c.name.as_str(), c.boxes)).collect();
    let expected = [
        ("crazing", 689),
        ("inclusion", 1011),
        ("pitted_surface", 432),
        ("patches", 881),
        ("rolled-in_scale", 628),
        ("scratches", 548),
    ];
    assert_eq!(boxes, expected);
    assert_eq!(stats.classes.iter().map(|c| c.difficult).collect::<Vec<_>>(), [0, 30, 2, 6, 20, 23]);
    assert_eq!((stats.difficult, stats.truncated), (81, 1507));
    assert_eq!((stats.mixed_images, stats.boxes_unlike_name, stats.most_boxes), (123, 188, 9));
    let twice: Vec<_> = stats.listed_twice.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(twice, ["crazing_120", "inclusion_62", "patches_198"]);
    assert_eq!(stats.duplicate_images, [["patches_101", "patches_105"]]);
    // Small, medium and large by COCO's areas; the aspects that the study's notes give.
    let by_size: Vec<usize> = (0..3).map(|i| stats.classes.iter().map(|c| c.by_size[i]).sum()).collect();
    assert_eq!(by_size, [447, 2774, 968]);
    let scratches = stats.classes[5].aspect;
    assert!(
        (scratches.p5 - 0.07).abs() < 0.005
            && (scratches.p50 - 0.18).abs() < 0.005
            && (scratches.p95 - 9.6).abs() < 0.05
    );
    assert!(data.samples.iter().all(|s| s.size == Size::new(200, 200)));
    let sides: Vec<f64> =
        data.samples.iter().flat_map(|s| s.annotations.iter().flat_map(|a| a.bbox.to_array())).collect();
    assert!(sides.iter().all(|v| v.fract() == 0.0));
    assert_eq!(sides.iter().copied().fold(f64::MAX, f64::min), 1.0);
    assert_eq!(sides.iter().copied().fold(0.0, f64::max), 200.0);
    let own = |name: &str, class: usize| name.starts_with(data.classes.name(class).unwrap());
    assert!(data.samples.iter().all(|s| s.annotations.iter().any(|a| own(&s.name, a.class))));
}

#[test]
fn file_names_in_the_annotations_lack_their_ending_in_174() {
    let Some(given) = folder("SCARF_DATA") else { return };
    let entry = catalog::get("neu-det").unwrap();
    let layout = VocLayout::neu(&entry.root(&given).unwrap());
    let mut lacking: Vec<String> = Vec::new();
    for file in std::fs::read_dir(layout.annotations).unwrap() {
        let path = file.unwrap().path();
        let file = voc::parse(&path, &std::fs::read(&path).unwrap(), &entry.classes).unwrap();
        assert_eq!(file.depth, Some(1));
        if Path::new(&file.filename.unwrap()).extension().is_none() {
            lacking.push(path.file_stem().unwrap().to_string_lossy().into_owned());
        }
    }
    let of = |class: &str| lacking.iter().filter(|stem| stem.starts_with(class)).count();
    assert_eq!((lacking.len(), of("pitted_surface"), of("patches")), (174, 128, 46));
}

#[test]
fn the_files_are_those_of_the_catalog() {
    let Some(given) = folder("SCARF_DATA") else { return };
    catalog::get("neu-det").unwrap().verify(&given).unwrap();
}

#[test]
fn images_decode_to_gray_in_three_channels() {
    let Some(data) = neu_det() else { return };
    let samples = data.samples.iter().step_by(60).cloned().collect::<Vec<_>>();
    let cache = ImageCache::load(&samples).unwrap();
    assert_eq!(cache.len(), 30);
    assert!((0..30).all(|i| cache.get(i).pixels().all(|p| p.0[0] == p.0[1] && p.0[1] == p.0[2])));
}

#[test]
fn the_split_is_the_studys() {
    let (Some(data), Some(study)) = (neu_det(), folder("SCARF_STUDY")) else { return };
    let text = std::fs::read_to_string(study.join("split.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let names = |key: &str| -> BTreeSet<String> {
        expected[key].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    let split = study_split(&data);
    for (part, key) in [(&split.train, "type1_train"), (&split.val, "type1_val"), (&split.test, "test")] {
        let ours: BTreeSet<String> = part.iter().map(|&i| format!("{}.jpg", data.samples[i].name)).collect();
        assert_eq!((part.len(), ours), (names(key).len(), names(key)), "{key}");
    }
    let text = std::fs::read_to_string(study.join("test_ground_truth.coco.json")).unwrap();
    let expected: Document = serde_json::from_str(&text).unwrap();
    assert_eq!(coco::document(&data, Some(&split.test), Boxes::Xywh), expected);
}

#[test]
fn our_splits_keep_the_two_same_images_on_one_side() {
    let Some(data) = neu_det() else { return };
    let at = |name: &str| data.samples.iter().position(|s| s.name == name).unwrap();
    let (a, b) = (at("patches_101"), at("patches_105"));
    let together = |s: &Split| [&s.train, &s.val, &s.test].iter().all(|p| p.contains(&a) == p.contains(&b));
    for seed in 0..3 {
        let split = stratified(&data, [0.64, 0.16, 0.2], seed).unwrap();
        assert!(together(&split));
        let sizes = [split.train.len(), split.val.len(), split.test.len()];
        assert!(
            sizes.iter().zip([1152, 288, 360]).all(|(&a, b): (&usize, usize)| a.abs_diff(b) <= 6),
            "{sizes:?}"
        );
    }
    let folds = k_fold(&data, 5, 0).unwrap();
    assert!(folds.iter().all(|split| together(split) && split.test.len() == 360));
}

#[test]
fn classes_are_in_the_studys_order() {
    let order = ["crazing", "inclusion", "pitted_surface", "patches", "rolled-in_scale", "scratches"];
    assert_eq!(catalog::get("neu-det").unwrap().classes, Classes::new(order).unwrap());
}
