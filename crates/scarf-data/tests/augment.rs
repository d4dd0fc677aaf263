//! Laws of augmentation, on random images and boxes.

use image::RgbImage;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use scarf_core::{Annotation, BBox, Size};
use scarf_data::augment::{self, Chance, IouCrop, Labeled, Photometric, Transform, ZoomOut, apply};

/// Boxes at quarters of a pixel, so that mirroring them loses nothing.
fn boxes(width: u32, height: u32, least: usize) -> impl Strategy<Value = Vec<Annotation>> {
    let side = |pixels: u32| {
        (0..4 * pixels, 0..4 * pixels).prop_map(|(a, b)| {
            let (low, high) = if a == b { (a, b + 1) } else { (a.min(b), a.max(b)) };
            (f64::from(low) / 4.0, f64::from(high) / 4.0)
        })
    };
    let one = (side(width), side(height), 0usize..6)
        .prop_map(|((x1, x2), (y1, y2), class)| Annotation::new(BBox::new(x1, y1, x2, y2), class));
    proptest::collection::vec(one, least..6)
}

fn labeled(least: usize, gray: bool) -> impl Strategy<Value = Labeled> {
    (2u32..40, 2u32..40, any::<u32>()).prop_flat_map(move |(width, height, salt)| {
        boxes(width, height, least).prop_map(move |annotations| {
            let level = |x: u32, y: u32, c: u32| {
                let c = if gray { 0 } else { c };
                (x.wrapping_mul(73) ^ y.wrapping_mul(151) ^ c.wrapping_mul(salt) ^ salt) as u8
            };
            let pixel = |x, y| image::Rgb([level(x, y, 0), level(x, y, 1), level(x, y, 2)]);
            Labeled { image: RgbImage::from_fn(width, height, pixel), annotations }
        })
    })
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn always(step: fn(Chance) -> Transform) -> Transform {
    step(Chance { p: 1.0 })
}

fn every_step() -> Vec<Transform> {
    let mut steps = augment::ssd();
    steps.extend([Transform::VerticalFlip(Chance::default()), Transform::Rotate90(Chance::default())]);
    steps
}

fn whole(labeled: &Labeled) -> BBox<f64> {
    let Size { width, height } = labeled.size();
    BBox::new(0.0, 0.0, width.into(), height.into())
}

proptest! {
    #[test]
    fn a_flip_undoes_itself(labeled in labeled(0, false)) {
        for step in [always(Transform::HorizontalFlip), always(Transform::VerticalFlip)] {
            let once = step.apply(labeled.clone(), &mut rng(0));
            prop_assert_eq!(step.apply(once, &mut rng(0)), labeled.clone());
        }
    }

    #[test]
    fn a_box_holds_the_same_pixels_after_a_flip_or_a_turn(labeled in labeled(1, false), seed in any::<u64>()) {
        // The corner pixels of a box in whole pixels are the same set of pixels afterwards.
        let mut labeled = labeled;
        for a in &mut labeled.annotations {
            let b = a.bbox;
            *a = Annotation::new(BBox::new(b.x1.floor(), b.y1.floor(), b.x2.ceil(), b.y2.ceil()), a.class);
        }
        let corners = |l: &Labeled, a: &Annotation| {
            let [x1, y1, x2, y2] = a.bbox.to_array().map(|v| v as u32);
            let mut pixels: Vec<_> =
                [(x1, y1), (x2 - 1, y1), (x1, y2 - 1), (x2 - 1, y2 - 1)].map(|(x, y)| l.image.get_pixel(x, y).0).into();
            pixels.sort_unstable();
            pixels
        };
        for step in [Transform::HorizontalFlip, Transform::VerticalFlip, Transform::Rotate90].map(always) {
            let moved = step.apply(labeled.clone(), &mut rng(seed));
            for (before, after) in labeled.annotations.iter().zip(&moved.annotations) {
                prop_assert_eq!(corners(&labeled, before), corners(&moved, after));
                prop_assert_eq!(before.bbox.area(), after.bbox.area());
            }
        }
    }

    #[test]
    fn turns_come_round(labeled in labeled(0, false), seed in any::<u64>()) {
        // The same number of turns, one to three, four times over.
        let step = always(Transform::Rotate90);
        let turned = (0..4).fold(labeled.clone(), |l, _| step.apply(l, &mut rng(seed)));
        prop_assert_eq!(turned, labeled);
    }

    #[test]
    fn boxes_stay_valid_and_inside(labeled in labeled(0, false), seed in any::<u64>()) {
        let moved = apply(&every_step(), labeled.clone(), &mut rng(seed));
        prop_assert!(moved.annotations.len() <= labeled.annotations.len());
        for a in &moved.annotations {
            prop_assert!(a.bbox.is_valid(), "{:?}", a.bbox);
            prop_assert_eq!(a.bbox.clip(&whole(&moved)), a.bbox);
            prop_assert!((a.area - a.bbox.area()).abs() < 1e-9);
        }
        prop_assert_eq!(labeled.annotations.is_empty(), moved.annotations.is_empty());
    }

    #[test]
    fn the_seed_alone_decides(labeled in labeled(0, false), seed in any::<u64>()) {
        let run = || apply(&every_step(), labeled.clone(), &mut rng(seed));
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn a_crop_is_a_window_that_keeps_the_boxes_with_their_center_inside(labeled in labeled(1, false), seed in any::<u64>()) {
        let crop = Transform::IouCrop(IouCrop { options: vec![0.0], ..Default::default() });
        let mut marked = labeled.clone();
        // Each pixel says where it came from.
        marked.image.enumerate_pixels_mut().for_each(|(x, y, p)| p.0 = [x as u8, y as u8, 7]);
        let cut = crop.apply(marked.clone(), &mut rng(seed));
        let [left, top, _] = cut.image.get_pixel(0, 0).0;
        let (left, top) = (f64::from(left), f64::from(top));
        let window = whole(&cut).translate(left, top);
        let inside = |b: &BBox<f64>| {
            let (x, y) = b.center();
            window.x1 < x && x < window.x2 && window.y1 < y && y < window.y2
        };
        let expected: Vec<_> = marked.annotations.iter().filter(|a| cut.image == marked.image || inside(&a.bbox))
            .map(|a| a.bbox.clip(&window).translate(-left, -top)).collect();
        prop_assert_eq!(cut.annotations.iter().map(|a| a.bbox).collect::<Vec<_>>(), expected);
        prop_assert!(!cut.annotations.is_empty());
    }

    #[test]
    fn an_image_without_boxes_is_not_cropped(labeled in labeled(0, false), seed in any::<u64>()) {
        let empty = Labeled { annotations: vec![], ..labeled };
        prop_assert_eq!(Transform::IouCrop(IouCrop::default()).apply(empty.clone(), &mut rng(seed)), empty);
    }

    #[test]
    fn zooming_out_keeps_every_pixel_and_box(labeled in labeled(1, false), seed in any::<u64>()) {
        let zoom = Transform::ZoomOut(ZoomOut { p: 1.0, ..Default::default() });
        let out = zoom.apply(labeled.clone(), &mut rng(seed));
        let (before, after) = (labeled.annotations[0].bbox, out.annotations[0].bbox);
        let (dx, dy) = (after.x1 - before.x1, after.y1 - before.y1);
        prop_assert_eq!(before.translate(dx, dy), after);
        for (x, y, pixel) in labeled.image.enumerate_pixels() {
            prop_assert_eq!(out.image.get_pixel(x + dx as u32, y + dy as u32), pixel);
        }
        prop_assert!(out.image.width() >= labeled.image.width() && out.image.width() <= 4 * labeled.image.width());
    }

    #[test]
    fn gray_stays_gray_and_boxes_are_not_touched_by_light(labeled in labeled(0, true), seed in any::<u64>()) {
        let photometric = Transform::Photometric(Photometric { p: 1.0, ..Default::default() });
        let lit = photometric.apply(labeled.clone(), &mut rng(seed));
        prop_assert!(lit.image.pixels().all(|p| p.0[0] == p.0[1] && p.0[1] == p.0[2]));
        prop_assert_eq!(lit.annotations, labeled.annotations);
    }

    #[test]
    fn resizing_there_and_back_brings_boxes_back(labeled in labeled(0, false), w in 1u32..60, h in 1u32..60) {
        let back = labeled.resize(Size::new(w, h)).resize(labeled.size());
        for (a, b) in labeled.annotations.iter().zip(&back.annotations) {
            prop_assert!(a.bbox.to_array().iter().zip(b.bbox.to_array()).all(|(a, b)| (a - b).abs() < 1e-9));
            prop_assert!((a.area - b.area).abs() < 1e-6);
        }
    }
}

#[test]
fn steps_are_written_as_in_a_study_file() {
    #[derive(serde::Deserialize)]
    struct File {
        augment: Vec<Transform>,
    }
    let read = |text: &str| toml::from_str::<File>(text).map(|file| file.augment);
    let text =
        "augment = [{ photometric = {} }, { zoom_out = {} }, { iou_crop = {} }, { horizontal_flip = {} }]";
    assert_eq!(read(text).unwrap(), augment::ssd());
    let error = read("augment = [{ zoom_out = { sides = [1, 2] } }]").unwrap_err().to_string();
    assert!(error.contains("unknown field `sides`"), "{error}");
    assert_eq!(read("augment = [{ rotate90 = {} }]").unwrap(), [Transform::Rotate90(Chance { p: 0.5 })]);
}

#[test]
fn figures_without_sense_are_named() {
    let bad = |step: Transform, what: &str| {
        let error = step.check().unwrap_err();
        assert!(error.contains(what), "{error}");
        // And are survived.
        let image = Labeled {
            image: RgbImage::new(9, 9),
            annotations: vec![Annotation::new(BBox::new(1.0, 1.0, 3.0, 3.0), 0)],
        };
        step.apply(image, &mut rng(1));
    };
    bad(Transform::HorizontalFlip(Chance { p: 1.5 }), "`p` is 1.5, expected 0 to 1");
    bad(Transform::ZoomOut(ZoomOut { side: [4.0, 2.0], p: 1.0, ..Default::default() }), "the smaller first");
    bad(
        Transform::ZoomOut(ZoomOut { side: [f64::NAN, f64::INFINITY], p: 1.0, ..Default::default() }),
        "`side` is NaN",
    );
    bad(
        Transform::IouCrop(IouCrop { scale: [0.0, 0.0], options: vec![0.5], ..Default::default() }),
        "`scale` is 0",
    );
    bad(Transform::IouCrop(IouCrop { options: vec![], ..Default::default() }), "at least one number");
    bad(
        Transform::Photometric(Photometric { hue: [-1.0, 1.0], p: 1.0, ..Default::default() }),
        "`hue` is -1",
    );
    augment::ssd().iter().for_each(|step| step.check().unwrap());
}
