//! COCO's JSON: there and back, and what bad files say.

use std::path::Path;

use proptest::prelude::*;
use scarf_core::{Annotation, BBox, Classes, Size};
use scarf_data::coco::{self, Boxes};
use scarf_data::{DataSet, OnBad, Sample};

/// Three images of 20x10 in a folder: the first with the annotations, the second without, the third with one.
fn set(folder: &Path, annotations: Vec<Annotation>) -> DataSet {
    let sample = |name: &str, annotations| {
        let image = folder.join(format!("{name}.png"));
        image::GrayImage::new(20, 10).save(&image).unwrap();
        Sample { name: name.into(), image, size: Size::new(20, 10), annotations }
    };
    let last = Annotation { area: 3.5, crowd: true, ..Annotation::new(BBox::new(1.0, 2.0, 3.0, 4.0), 1) };
    let samples = vec![sample("a", annotations), sample("b", vec![]), sample("c", vec![last])];
    DataSet::new(Classes::new(["crazing", "patches"]).unwrap(), samples)
}

fn good() -> Vec<Annotation> {
    vec![Annotation::new(BBox::new(0.0, 0.0, 20.0, 10.0), 0)]
}

#[test]
fn ids_are_those_of_the_whole_set_and_boxes_of_either_form() {
    let folder = tempfile::tempdir().unwrap();
    let data = set(folder.path(), good());
    let document = coco::document(&data, Some(&[2]), Boxes::Xywh);
    assert_eq!(
        (document.images.len(), document.images[0].id, document.images[0].file_name.as_str()),
        (1, 3, "c.png")
    );
    let object = &document.annotations[0];
    assert_eq!((object.id, object.image_id, object.category_id, object.iscrowd), (2, 3, 2, 1));
    assert_eq!((object.bbox, object.area), ([1.0, 2.0, 2.0, 2.0], Some(3.5)));
    let document = coco::document(&data, Some(&[2]), Boxes::Xyxy);
    assert_eq!(document.annotations[0].bbox, [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(document.categories.iter().map(|c| c.id).collect::<Vec<_>>(), [1, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn what_is_written_is_read_back(
        boxes in proptest::collection::vec((0u32..10, 0u32..5, 1u32..10, 1u32..5, 0usize..2), 0..4),
        xyxy in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let annotations = boxes.into_iter().map(|(x, y, w, h, class)| {
            Annotation::new(BBox::from_xywh(x.into(), y.into(), w.into(), h.into()), class)
        });
        let data = set(folder.path(), annotations.collect());
        let form = if xyxy { Boxes::Xyxy } else { Boxes::Xywh };
        let json = folder.path().join("out/annotations.json");
        coco::write(&json, &data, None, form).unwrap();
        let (read, skipped) = coco::read(&json, folder.path(), form, OnBad::Fail).unwrap();
        prop_assert_eq!(read, data);
        prop_assert!(skipped.is_empty());
    }
}

/// Reads the good file with one text replaced; what the error says behind the folder's name.
fn message(from: &str, to: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let document = coco::document(&set(folder.path(), good()), None, Boxes::Xywh);
    let text = serde_json::to_string(&document).unwrap().replace("\"annotations\"", "\n\"annotations\"");
    assert!(text.contains(from), "{text} has no {from}");
    let json = folder.path().join("x.json");
    std::fs::write(&json, text.replacen(from, to, 1)).unwrap();
    let error = coco::read(&json, folder.path(), Boxes::Xywh, OnBad::Fail).unwrap_err().to_string();
    error.replace(folder.path().to_str().unwrap(), "")
}

#[test]
fn each_error_names_the_line_and_the_id() {
    let cases = [
        ("{\"images\"", "{images", "x.json:1:2: not COCO's form"),
        ("\"iscrowd\":0", "\"iscrowd\":\"no\"", "x.json:2:"),
        (
            "\"category_id\":1",
            "\"category_id\":7",
            "x.json:2:16: annotation id 1: there is no category id 7; the ids are [1, 2]",
        ),
        ("\"image_id\":3", "\"image_id\":4", "annotation id 2: there is no image id 4"),
        (
            "[0.0,0.0,20.0,10.0]",
            "[1.0,0.0,20.0,10.0]",
            "annotation id 1: the box (1, 0, 21, 10) reaches outside the image of 20x10",
        ),
        ("[0.0,0.0,20.0,10.0]", "[1.0,0.0,0.0,10.0]", "was read as x, y, width, height"),
        ("\"height\":10,\"width\":20,\"id\":2", "\"height\":11,\"width\":20,\"id\":2", "<size> says 20x11"),
        ("\"id\":3}", "\"id\":2}", "image id 2 is there twice"),
        ("{\"id\":2,\"image_id\"", "{\"id\":1,\"image_id\"", "annotation id 1 is there twice"),
        ("a.png", "z.png", "z.png: cannot read"),
        (
            "a.png",
            "a.jfif",
            "image id 1: `a.jfif` is not called as images are, which end with .jpg, .jpeg, .png,",
        ),
        ("a.png", "b.png", "has the stem `b` too"),
        ("\"area\":200.0", "\"area\":-1", "`area` is -1"),
        ("{\"id\":2,\"name\"", "{\"id\":1,\"name\"", "category id 1 is there twice"),
    ];
    for (from, to, what) in cases {
        let text = message(from, to);
        assert!(text.contains(what), "{from} -> {to}: {text}");
    }
}

/// As Windows writes files: with a mark before the text, and names with strokes of its own.
#[test]
fn files_of_windows_are_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("deep")).unwrap();
    let data = set(&folder.path().join("deep"), good());
    let text = serde_json::to_string(&coco::document(&data, None, Boxes::Xywh)).unwrap();
    let text = ["a.png", "b.png", "c.png"]
        .iter()
        .fold(text, |text, name| text.replace(name, &format!("deep\\\\{name}")));
    assert!(text.contains(r#""deep\\a.png""#), "{text}");
    let json = folder.path().join("x.json");
    std::fs::write(&json, format!("\u{feff}{text}")).unwrap();
    assert_eq!(coco::read(&json, folder.path(), Boxes::Xywh, OnBad::Fail).unwrap().0, data);
}

#[test]
fn what_is_bad_can_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut document = coco::document(&set(folder.path(), good()), None, Boxes::Xywh);
    document.annotations[0].category_id = 9;
    document.annotations[1].image_id = 77;
    let json = folder.path().join("x.json");
    std::fs::write(&json, serde_json::to_string(&document).unwrap()).unwrap();
    let (data, skipped) = coco::read(&json, folder.path(), Boxes::Xywh, OnBad::Skip).unwrap();
    assert_eq!(data.samples.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(skipped.len(), 2);
}

/// An image that would be learnt from with some of its objects only is left out.
#[test]
fn images_whose_objects_are_unclear_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let whole = coco::document(&set(folder.path(), good()), None, Boxes::Xywh);
    let left = |change: &dyn Fn(&mut coco::Document)| {
        let mut document = whole.clone();
        change(&mut document);
        let json = folder.path().join("x.json");
        std::fs::write(&json, serde_json::to_string(&document).unwrap()).unwrap();
        assert!(coco::read(&json, folder.path(), Boxes::Xywh, OnBad::Fail).is_err());
        let (data, skipped) = coco::read(&json, folder.path(), Boxes::Xywh, OnBad::Skip).unwrap();
        assert_eq!(skipped.len(), 1);
        data.samples.iter().map(|s| s.name.clone()).collect::<Vec<_>>()
    };
    let names: Vec<String> = whole.images.iter().map(|image| image.file_name.replace(".png", "")).collect();
    let of = |index: usize| {
        let id = whole.annotations[index].image_id;
        names[whole.images.iter().position(|image| image.id == id).unwrap()].clone()
    };
    let last = whole.annotations.len() - 1;
    let others =
        |gone: &[String]| names.iter().filter(|name| !gone.contains(name)).cloned().collect::<Vec<_>>();
    let repeated = left(&|document| document.annotations[last].id = document.annotations[0].id);
    assert_eq!(repeated, others(&[of(last)]));
    let shared = left(&|document| document.images[1].id = document.images[0].id);
    assert!(!shared.contains(&names[0]) && !shared.contains(&names[1]), "{shared:?}");
}
