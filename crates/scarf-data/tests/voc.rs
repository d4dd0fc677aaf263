//! Pascal VOC: what is read back, and what each kind of bad file says.

use std::path::Path;

use proptest::prelude::*;
use scarf_core::{Annotation, BBox, Classes, Size};
use scarf_data::voc::{self, VocLayout};
use scarf_data::{DataError, DataSet, OnBad, Skipped, images};

fn classes() -> Classes {
    Classes::new(["crazing", "patches"]).unwrap()
}

/// The file of one crazing, with a text replaced by another.
fn xml(from: &str, to: &str) -> String {
    let good = voc::annotation_xml(
        "a.png",
        Size::new(20, 10),
        &[Annotation::new(BBox::new(1.0, 2.0, 20.0, 9.0), 0)],
        &classes(),
    );
    assert!(good.contains(from), "{good} has no {from}");
    good.replacen(from, to, 1)
}

fn message(from: &str, to: &str) -> String {
    voc::parse(Path::new("a.xml"), xml(from, to).as_bytes(), &classes()).unwrap_err().to_string()
}

#[test]
fn each_error_names_file_line_column_and_what_would_be_right() {
    let cases = [
        ("</name>", "</nome>", "a.xml:10:", "not well-formed XML"),
        ("<name>crazing</name>", "", "a.xml:9:2: ", "<object> has no <name>"),
        ("<xmax>20</xmax>", "", "a.xml:13:3: ", "<bndbox> has no <xmax>"),
        ("<width>20</width>", "", "a.xml:3:2: ", "<size> has no <width>"),
        (
            "<width>20<",
            "<width>-3<",
            "a.xml:4:3: ",
            "<width> is `-3`, expected a whole number of pixels above 0",
        ),
        (
            ">crazing<",
            ">crazng<",
            "a.xml:10:3: ",
            "unknown class `crazng`; did you mean `crazing`? the classes are crazing, patches",
        ),
        ("<xmin>1<", "<xmin>one<", "a.xml:14:4: ", "<xmin> is `one`, expected a number of pixels"),
        ("<xmin>1<", "<xmin>NaN<", "a.xml:14:4: ", "expected a number of pixels"),
        ("<xmin>1<", "<xmin>20<", "a.xml:13:3: ", "the box (20, 2, 20, 9) has no area; expected xmin < xmax"),
        ("<ymax>9<", "<ymax>11<", "a.xml:13:3: ", "outside the image of 20x10"),
        ("<xmin>1<", "<xmin>-1<", "a.xml:13:3: ", "outside the image of 20x10"),
        ("<difficult>0<", "<difficult>no<", "a.xml:12:3: ", "<difficult> is `no`, expected 0 or 1"),
    ];
    for (from, to, place, what) in cases {
        let text = message(from, to);
        assert!(text.starts_with(place) && text.contains(what), "{from} -> {to}: {text}");
    }
    let other = xml("<annotation>", "<html>").replace("</annotation>", "</html>");
    let text = voc::parse(Path::new("a.xml"), other.as_bytes(), &classes()).unwrap_err().to_string();
    assert_eq!(text, "a.xml:1:1: the root is <html>, expected Pascal VOC's <annotation>");
    let text = voc::parse(Path::new("a.xml"), b"<annotation>\n \xff", &classes()).unwrap_err().to_string();
    assert_eq!(text, "a.xml:2:2: not UTF-8 text; save the file as UTF-8");
}

#[test]
fn flags_may_be_missing_and_parts_are_not_objects() {
    let text = xml("<truncated>0</truncated>", "<part><bndbox><xmin>x</xmin></bndbox></part>");
    let file = voc::parse(Path::new("a.xml"), text.as_bytes(), &classes()).unwrap();
    assert_eq!(file.annotations, [Annotation::new(BBox::new(1.0, 2.0, 20.0, 9.0), 0)]);
    assert_eq!((file.filename.as_deref(), file.depth), (Some("a.png"), Some(3)));
}

/// A set of good and bad pairs: `good`, `empty`, and one of each fault.
fn faulty(root: &Path) -> VocLayout {
    let layout = VocLayout::neu(root);
    std::fs::create_dir_all(&layout.images).unwrap();
    std::fs::create_dir_all(&layout.annotations).unwrap();
    let image = |name: &str| image::GrayImage::new(20, 10).save(layout.images.join(name)).unwrap();
    let annotation = |name: &str, text: &str| std::fs::write(layout.annotations.join(name), text).unwrap();
    for stem in ["good", "empty", "size", "class", "alone"] {
        image(&format!("{stem}.png"));
    }
    image("good.jpg");
    std::fs::write(layout.images.join("noise.jpg"), "not an image").unwrap();
    std::fs::write(layout.images.join("Thumbs.db"), "other files are left alone").unwrap();
    annotation("good.xml", &xml("a.png", "whatever"));
    annotation("empty.xml", &voc::annotation_xml("empty.png", Size::new(20, 10), &[], &classes()));
    annotation("size.xml", &xml("<width>20<", "<width>21<"));
    annotation("class.xml", &xml(">crazing<", ">rust<"));
    annotation("noise.xml", &xml("a.png", "noise.jpg"));
    annotation("lost.xml", &xml("a.png", "good.png"));
    layout
}

#[test]
fn bad_files_are_an_error_or_left_out_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    let layout = faulty(folder.path());
    assert!(voc::load(&layout, &classes(), OnBad::Fail).is_err());
    let (data, skipped) = voc::load(&layout, &classes(), OnBad::Skip).unwrap();
    let names: Vec<_> = data.samples.iter().map(|s| (s.name.as_str(), s.annotations.len())).collect();
    assert_eq!(names, [("empty", 0), ("good", 1)]);
    let reason = |file: &str| {
        let found: Vec<&Skipped> = skipped.iter().filter(|s| s.path.ends_with(file)).collect();
        assert_eq!(found.len(), 1, "{file}: {skipped:?}");
        found[0].reason.clone()
    };
    assert!(reason("size.xml").contains(":3:2: <size> says 21x10, but the image has 20x10 pixels"));
    assert!(reason("class.xml").contains("unknown class `rust`"));
    assert!(reason("noise.jpg").contains("cannot be taken as an image"));
    assert!(reason("lost.xml").contains("no image `lost.jpg`"));
    assert!(reason("alone.png").contains("no annotation `alone.xml`"));
    assert!(reason("good.png").contains("another image has the stem `good`"));
    assert_eq!(skipped.len(), 6);
}

#[test]
fn a_jpeg_that_was_cut_short_is_no_image() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jpg");
    image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8 * 4, y as u8 * 4, (x * y) as u8]))
        .save(&path)
        .unwrap();
    assert!(images::decode(&path).is_ok());
    let whole = std::fs::read(&path).unwrap();
    for part in [whole.len() / 2, whole.len() - 2] {
        std::fs::write(&path, &whole[..part]).unwrap();
        let error = images::decode(&path).unwrap_err().to_string();
        assert!(error.contains("a.jpg"), "{part} of {} bytes: {error}", whole.len());
    }
    // What follows the end is nobody's business.
    std::fs::write(&path, [whole.as_slice(), b"\0\0"].concat()).unwrap();
    assert!(images::decode(&path).is_ok());
}

#[test]
fn classes_are_the_names_of_a_folders_objects() {
    let folder = tempfile::tempdir().unwrap();
    let layout = faulty(folder.path());
    assert_eq!(voc::classes(&layout.annotations, OnBad::Fail).unwrap().names(), ["crazing", "rust"]);
    std::fs::write(layout.annotations.join("torn.xml"), "<annotation><obj").unwrap();
    let error = voc::classes(&layout.annotations, OnBad::Fail).unwrap_err().to_string();
    assert!(error.contains("torn.xml"), "{error}");
    assert_eq!(voc::classes(&layout.annotations, OnBad::Skip).unwrap().names(), ["crazing", "rust"]);
    assert!(voc::classes(&layout.images, OnBad::Skip).is_err());
    // A name that is empty is no class, and the file says where it stands.
    std::fs::write(layout.annotations.join("torn.xml"), xml(">crazing<", "><")).unwrap();
    let classes = voc::classes(&layout.annotations, OnBad::Fail).unwrap();
    assert_eq!(classes.names(), ["crazing", "rust"]);
    let text = std::fs::read(layout.annotations.join("torn.xml")).unwrap();
    let error = voc::parse(Path::new("torn.xml"), &text, &classes).unwrap_err().to_string();
    assert!(error.starts_with("torn.xml:") && error.contains("unknown class ``"), "{error}");
}

#[test]
fn folders_that_hold_no_set() {
    let folder = tempfile::tempdir().unwrap();
    let layout = VocLayout::neu(folder.path());
    let error = voc::load(&layout, &classes(), OnBad::Skip).unwrap_err();
    assert!(matches!(error, DataError::Io { action: "list", .. }), "{error}");
    std::fs::create_dir_all(&layout.images).unwrap();
    std::fs::create_dir_all(&layout.annotations).unwrap();
    let error = voc::load(&layout, &classes(), OnBad::Skip).unwrap_err();
    assert!(matches!(error, DataError::Empty { .. }), "{error}");
}

fn annotations() -> impl Strategy<Value = Vec<Annotation>> {
    let one = (0u32..90, 0u32..90, 1u32..10, 1u32..10, 0usize..2, any::<[bool; 2]>()).prop_map(
        |(x, y, w, h, class, [difficult, truncated])| {
            let bbox = BBox::from_xywh(f64::from(x), f64::from(y), f64::from(w), f64::from(h) / 4.0);
            Annotation { difficult, truncated, ..Annotation::new(bbox, class) }
        },
    );
    proptest::collection::vec(one, 0..5)
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(annotations in annotations()) {
        let size = Size::new(100, 100);
        let text = voc::annotation_xml("a&b.png", size, &annotations, &classes());
        let file = voc::parse(Path::new("a.xml"), text.as_bytes(), &classes()).unwrap();
        prop_assert_eq!(file.annotations, annotations);
        prop_assert_eq!((file.size, file.filename.as_deref()), (size, Some("a&b.png")));
    }

    #[test]
    fn no_input_panics(cut in 0usize..600, insert in ".{0,8}") {
        let mut text = xml("a.png", "a.png").into_bytes();
        let cut = cut.min(text.len());
        text.splice(cut..cut, insert.bytes());
        let _ = voc::parse(Path::new("a.xml"), &text, &classes());
        text.truncate(cut);
        let _ = voc::parse(Path::new("a.xml"), &text, &classes());
    }
}

#[test]
fn a_set_written_is_the_set_read() {
    let folder = tempfile::tempdir().unwrap();
    let (data, _) = voc::load(&faulty(folder.path()), &classes(), OnBad::Skip).unwrap();
    let copy = VocLayout::neu(&folder.path().join("copy"));
    voc::write(&data, &copy).unwrap();
    let (again, skipped) = voc::load(&copy, &classes(), OnBad::Fail).unwrap();
    let plain = |data: &DataSet| -> Vec<_> {
        data.samples.iter().map(|s| (s.name.clone(), s.size, s.annotations.clone())).collect()
    };
    assert_eq!(plain(&again), plain(&data));
    assert!(skipped.is_empty());
}
