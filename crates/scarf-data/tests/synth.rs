//! Synthetic steel: the same everywhere, boxes where something was drawn, folders whole.

use std::path::Path;

use scarf_core::Size;
use scarf_data::synth::{Domain, SyntheticSteel};
use scarf_data::{DataSet, OnBad, catalog};

const DOMAINS: [Domain; 2] = [Domain::HotStrip, Domain::Plate];

fn small(domain: Domain) -> SyntheticSteel {
    SyntheticSteel { seed: 7, images_per_class: 3, size: Size::new(96, 64), domain }
}

/// FNV-1a of all levels and boxes of the first images of each class.
fn fingerprint(synthetic: &SyntheticSteel) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for class in 0..synthetic.domain.classes().len() {
        for number in 0..3 {
            let (image, annotations) = synthetic.draw(class, number);
            image.as_raw().iter().for_each(|&level| eat(level));
            annotations.iter().flat_map(|a| a.bbox.to_array()).for_each(|side| eat(side as u8));
        }
    }
    hash
}

/// These change only together with `synth::GENERATOR`, and are the same on every machine.
#[test]
fn the_seed_gives_these_pixels() {
    let of = |domain| format!("{:016x}", fingerprint(&small(domain)));
    assert_eq!(DOMAINS.map(of), ["cb57a801ec05fad9", "6c0bbbeca602ce66"]);
    let other = SyntheticSteel { seed: 8, ..small(Domain::HotStrip) };
    assert_ne!(fingerprint(&other), fingerprint(&small(Domain::HotStrip)));
}

#[test]
fn images_hold_one_to_five_boxes_of_their_class_with_room_between() {
    for domain in DOMAINS {
        for size in [Size::new(200, 200), Size::new(96, 64), Size::new(32, 300)] {
            let synthetic = SyntheticSteel { size, domain, ..Default::default() };
            for (class, number) in (0..6).flat_map(|class| (0..8).map(move |n| (class, n))) {
                let (image, annotations) = synthetic.draw(class, number);
                assert_eq!(image.dimensions(), (size.width, size.height));
                assert!((1..=5).contains(&annotations.len()), "{domain:?} {size:?} {class} {number}");
                for (i, a) in annotations.iter().enumerate() {
                    assert!(a.class == class && a.bbox.is_valid() && a.bbox.x1 >= 0.0 && a.bbox.y1 >= 0.0);
                    assert!(a.bbox.x2 <= size.width.into() && a.bbox.y2 <= size.height.into());
                    assert!(annotations[..i].iter().all(|other| other.bbox.iou(&a.bbox) <= 0.2));
                }
            }
        }
    }
}

/// The names, and what is marked, of a set, without where it lies.
fn content(data: &DataSet) -> Vec<String> {
    data.samples.iter().map(|s| format!("{} {:?}", s.name, s.annotations)).collect()
}

fn modified(path: &Path) -> std::time::SystemTime {
    std::fs::metadata(path).unwrap().modified().unwrap()
}

#[test]
fn a_set_is_made_once_and_again_when_its_parameters_change() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("inner/set");
    let synthetic = small(Domain::HotStrip);
    let data = synthetic.load(&root).unwrap();
    assert_eq!(data.samples.len(), 18);
    let drawn: Vec<_> = (0..3).map(|n| synthetic.draw(0, n).1).collect();
    assert_eq!(data.samples[..3].iter().map(|s| s.annotations.clone()).collect::<Vec<_>>(), drawn);
    let (image, _) = synthetic.draw(0, 0);
    assert_eq!(image::open(&data.samples[0].image).unwrap().into_luma8(), image);

    let before = modified(&data.samples[0].image);
    assert_eq!(content(&synthetic.load(&root).unwrap()), content(&data));
    assert_eq!(modified(&data.samples[0].image), before, "nothing was written");

    let more = SyntheticSteel { images_per_class: 4, ..synthetic };
    assert_eq!(more.load(&root).unwrap().samples.len(), 24);
    let inner = folder.path().join("inner").read_dir().unwrap().count();
    assert_eq!(inner, 1, "no temporary folder is left");
}

#[test]
fn a_half_written_manifest_is_made_anew_and_other_folders_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    small(Domain::Plate).ensure(&root).unwrap();
    std::fs::write(root.join("synthetic.json"), "{").unwrap();
    std::fs::remove_file(root.join("IMAGES/crack_1.png")).unwrap();
    assert_eq!(small(Domain::Plate).load(&root).unwrap().samples.len(), 18);

    let own = folder.path().join("photographs");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("mine.jpg"), "x").unwrap();
    let error = small(Domain::Plate).ensure(&own).unwrap_err().to_string();
    assert!(error.contains("holds no synthetic set"), "{error}");
    assert!(own.join("mine.jpg").is_file());
}

#[test]
fn parameters_out_of_range_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let error =
        |synthetic: SyntheticSteel| synthetic.ensure(&folder.path().join("x")).unwrap_err().to_string();
    let none = SyntheticSteel { images_per_class: 0, ..small(Domain::Plate) };
    assert!(error(none).contains("`images_per_class` is 0, expected 1 to 100000"));
    let thin = SyntheticSteel { size: Size::new(200, 8), ..small(Domain::Plate) };
    assert!(error(thin).contains("`size` is 200x8"));
}

#[test]
fn the_catalog_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut entry = catalog::get("synthetic-steel").unwrap();
    entry.synthetic.as_mut().unwrap().images_per_class = 1;
    let (data, _) = entry.load(folder.path(), OnBad::Fail).unwrap();
    assert_eq!((data.samples.len(), data.classes), (6, entry.classes.clone()));
    let (again, _) = entry.load(&folder.path().join("synthetic-steel"), OnBad::Fail).unwrap();
    assert_eq!(content(&again).len(), 6);
    assert!(!folder.path().join("synthetic-steel/synthetic-steel").exists());
}
