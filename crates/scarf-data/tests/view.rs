//! A view of an image is what the steps of augmentation make of it, pixel for pixel and box for box.

use image::{Rgb, RgbImage};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use scarf_core::{Annotation, BBox, Size};
use scarf_data::augment::{Chance, Edit, IouCrop, Labeled, Photometric, Transform, View, ZoomOut, apply};

fn step() -> impl Strategy<Value = Transform> {
    let often = Chance { p: 0.7 };
    prop_oneof![
        Just(Transform::HorizontalFlip(often)),
        Just(Transform::VerticalFlip(often)),
        Just(Transform::Rotate90(often)),
        Just(Transform::Photometric(Photometric::default())),
        Just(Transform::ZoomOut(ZoomOut { p: 0.7, ..ZoomOut::default() })),
        Just(Transform::IouCrop(IouCrop::default())),
    ]
}

fn labeled() -> impl Strategy<Value = Labeled> {
    let objects = proptest::collection::vec((0.0..0.8f64, 0.0..0.8f64, 0.1..0.9f64, 0usize..6), 0..4);
    (2u32..30, 2u32..30, any::<u32>(), objects).prop_map(|(width, height, salt, objects)| {
        let level = |x: u32, y: u32, c: u32| {
            (x.wrapping_mul(73) ^ y.wrapping_mul(151) ^ c.wrapping_mul(salt) ^ salt) as u8
        };
        let image = RgbImage::from_fn(width, height, |x, y| Rgb([0, 1, 2].map(|c| level(x, y, c))));
        let (w, h) = (f64::from(width), f64::from(height));
        let annotation = |(x, y, side, class): (f64, f64, f64, usize)| {
            let bbox = BBox::new(x * w, y * h, (x + side).min(1.0) * w, (y + side).min(1.0) * h);
            Annotation::new(bbox, class)
        };
        Labeled { image, annotations: objects.into_iter().map(annotation).collect() }
    })
}

/// A view by its definition.
fn shown(view: &View, image: &RgbImage) -> RgbImage {
    let colors = Edit::Colors(view.colors.clone());
    let painted = colors.apply(Labeled { image: image.clone(), annotations: Vec::new() }).image;
    let Size { width, height } = view.size();
    RgbImage::from_fn(width, height, |x, y| {
        let x = if view.mirrored[0] { width - 1 - x } else { x };
        let y = if view.mirrored[1] { height - 1 - y } else { y };
        let (column, row) = if view.transposed { (y, x) } else { (x, y) };
        let (column, row) = (view.window.x1 + f64::from(column), view.window.y1 + f64::from(row));
        let seen = &view.visible;
        if column >= seen.x1 && column < seen.x2 && row >= seen.y1 && row < seen.y2 {
            *painted.get_pixel(column as u32, row as u32)
        } else {
            Rgb(view.fill)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn is_what_the_steps_make(
        labeled in labeled(),
        steps in proptest::collection::vec(step(), 0..6).prop_filter("one view", |steps| View::holds(steps)),
        seed in any::<u64>(),
    ) {
        let rng = || ChaCha8Rng::seed_from_u64(seed);
        let (view, annotations) = View::draw(&steps, labeled.size(), labeled.annotations.clone(), &mut rng());
        let expected = apply(&steps, labeled.clone(), &mut rng());
        prop_assert_eq!(view.size(), expected.size());
        prop_assert_eq!(annotations, expected.annotations);
        prop_assert_eq!(shown(&view, &labeled.image), expected.image);
    }
}

#[test]
fn what_no_view_holds() {
    let colors = || Transform::Photometric(Photometric::default());
    let (zoom, crop) = (|| Transform::ZoomOut(ZoomOut::default()), || Transform::IouCrop(IouCrop::default()));
    assert!(View::holds(&[]) && View::holds(&scarf_data::augment::ssd()));
    assert!(View::holds(&[crop(), zoom(), crop()]));
    assert!(!View::holds(&[zoom(), colors()]) && !View::holds(&[crop(), colors()]));
    assert!(!View::holds(&[colors(), colors()]) && !View::holds(&[zoom(), crop(), zoom()]));
}
