//! YOLO's labels: boxes, polygons, folders, and what bad files say.

use std::path::Path;

use proptest::prelude::*;
use scarf_core::Classes;
use scarf_data::OnBad;
use scarf_data::yolo::{self, YoloLayout, YoloSet};

fn classes() -> Classes {
    Classes::new(["dent", "scratch"]).unwrap()
}

fn image(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::GrayImage::new(200, 100).save(path).unwrap();
}

/// A set of three images: `a` with these labels, `b` with an empty file, `c` without any.
fn set(folder: &Path, labels: &str) -> YoloLayout {
    let layout = YoloLayout { images: folder.join("images"), labels: folder.join("labels") };
    ["a.png", "b.bmp", "c.png"].iter().for_each(|name| image(&layout.images.join(name)));
    std::fs::create_dir_all(&layout.labels).unwrap();
    std::fs::write(layout.labels.join("a.txt"), labels).unwrap();
    std::fs::write(layout.labels.join("b.txt"), "").unwrap();
    layout
}

fn read(labels: &str) -> Result<YoloSet, String> {
    let folder = tempfile::tempdir().unwrap();
    let layout = set(folder.path(), labels);
    let before = format!("{}/", folder.path().display());
    yolo::read(&layout, &classes(), OnBad::Fail).map_err(|error| error.to_string().replace(&before, ""))
}

#[test]
fn boxes_and_polygons_become_pixels() {
    let read = read("1 0.5 0.5 0.25 0.5\r\n\n0 0.1 0.2 0.3 0.2 0.2 0.9\n0 0.9976 0.5 0.01 1\n").unwrap();
    let boxes: Vec<_> =
        read.set.samples[0].annotations.iter().map(|each| (each.class, each.bbox.to_array())).collect();
    assert_eq!(
        boxes,
        [(1, [75.0, 25.0, 125.0, 75.0]), (0, [20.0, 20.0, 60.0, 90.0]), (0, [198.52, 0.0, 200.0, 100.0])]
    );
    assert_eq!((read.polygons, read.set.samples.len(), read.skipped.len()), (1, 3, 0));
    assert!(read.set.samples[1..].iter().all(|sample| sample.annotations.is_empty()));
}

#[test]
fn each_error_names_file_and_line() {
    for (labels, what) in [
        (
            "0 0.5 0.5 0.1 0.1\n2 0.5 0.5 0.1 0.1",
            "labels/a.txt:2:1: the class is `2`, expected 0 to 1 (dent, scratch)",
        ),
        ("dent 0.5 0.5 0.1 0.1", "a.txt:1:1: the class is `dent`"),
        ("0 0.5 0.5 0.1", "a.txt:1:1: 3 numbers after the class; expected 4"),
        ("0 0.5 0.5 0.1 0.1 0.9", "a.txt:1:1: 5 numbers after the class"),
        ("0 100 50 10 10", "a.txt:1:1: `100` is no share of the image's width or height"),
        ("0 0.5 0.5 x 0.1", "a.txt:1:1: `x` is no share"),
        ("0 0.5 0.5 NaN 0.1", "a.txt:1:1: `NaN` is no share"),
        ("0 0.5 0.5 0 0.1", "a.txt:1:1: the box (100, 45, 100, 55) has no area"),
        ("0 0.9 0.5 0.4 0.1", "a.txt:1:1: the box (140, 45, 220, 55) reaches outside the image of 200x100"),
    ] {
        let said = read(labels).unwrap_err();
        assert!(said.contains(what), "{labels}: {said}");
    }
}

#[test]
fn what_is_bad_can_be_left_out_and_labels_without_images_are_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let layout = set(folder.path(), "7 0.5 0.5 0.1 0.1");
    std::fs::write(layout.labels.join("lost.txt"), "").unwrap();
    let read = yolo::read(&layout, &classes(), OnBad::Skip).unwrap();
    let names: Vec<_> = read.set.samples.iter().map(|sample| sample.name.as_str()).collect();
    assert_eq!((names, read.skipped.len()), (vec!["b", "c"], 2));
    let error = yolo::read(&layout, &classes(), OnBad::Fail).unwrap_err().to_string();
    assert!(error.contains("no image `lost.jpg`"), "{error}");
    // LabelImg leaves its list of classes among the labels.
    std::fs::rename(layout.labels.join("lost.txt"), layout.labels.join("classes.txt")).unwrap();
    std::fs::write(layout.labels.join("classes.txt"), "1\n2\n").unwrap();
    assert_eq!(yolo::read(&layout, &classes(), OnBad::Skip).unwrap().skipped.len(), 1);
    for name in ["a.txt", "b.txt"] {
        std::fs::remove_file(layout.labels.join(name)).unwrap();
    }
    let error = yolo::read(&layout, &classes(), OnBad::Skip).unwrap_err().to_string();
    assert!(error.contains("expected labels of YOLO (.txt)"), "{error}");
}

#[test]
fn folders_are_found_however_they_are_laid() {
    let parts = |names: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        names.iter().for_each(|name| image(&folder.path().join(name)));
        let found = yolo::find(folder.path()).into_iter();
        let within = |path: &Path| path.strip_prefix(folder.path()).unwrap().to_string_lossy().into_owned();
        found.map(|(part, layout)| (part, within(&layout.images), within(&layout.labels))).collect::<Vec<_>>()
    };
    let [images, labels, none] = ["images", "labels", ""].map(String::from);
    assert_eq!(parts(&["images/a.png"]), [(None, images, labels)]);
    assert_eq!(parts(&["a.png"]), [(None, none.clone(), none)]);
    let named = |part: usize, images: &str, labels: &str| (Some(part), images.to_owned(), labels.to_owned());
    assert_eq!(
        parts(&["images/val/a.png", "images/train/b.png"]),
        [named(0, "images/train", "labels/train"), named(1, "images/val", "labels/val")]
    );
    assert_eq!(
        parts(&["valid/images/a.png", "test/images/b.png", "train/images/c.png"]),
        [
            named(0, "train/images", "train/labels"),
            named(1, "valid/images", "valid/labels"),
            named(2, "test/images", "test/labels")
        ]
    );
    // Beside images lie other texts, too.
    let folder = tempfile::tempdir().unwrap();
    image(&folder.path().join("a.png"));
    std::fs::write(folder.path().join("classes.txt"), "dent\nscratch\n").unwrap();
    std::fs::write(folder.path().join("a.txt"), "0 0.5 0.5 0.1 0.1").unwrap();
    let (_, layout) = yolo::find(folder.path()).remove(0);
    assert_eq!(yolo::read(&layout, &classes(), OnBad::Fail).unwrap().set.boxes(), 1);
    std::fs::write(folder.path().join("b.txt"), "0 0.5 0.5 0.1 0.1").unwrap();
    let error = yolo::read(&layout, &classes(), OnBad::Fail).unwrap_err().to_string();
    assert!(error.contains("no image `b.jpg`"), "{error}");
    image(&folder.path().join("b.png"));
    std::fs::rename(folder.path().join("b.txt"), folder.path().join("b.TXT")).unwrap();
    assert_eq!(yolo::read(&layout, &classes(), OnBad::Fail).unwrap().set.boxes(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_input_panics(labels in "[0-9 .\\-\nex]{0,60}") {
        let _ = read(&labels);
    }
}
