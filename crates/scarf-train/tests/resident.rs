//! Batches that are made on the device are those that the host makes, but for rounding.
//!
//! On burn's CPU backend unless BURN_DEVICE says otherwise.

use std::convert::Infallible;

use burn::tensor::Device;
use image::DynamicImage;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_core::Size;
use scarf_data::augment::{self, Chance, IouCrop, Photometric, Transform, ZoomOut};
use scarf_data::synth::SyntheticSteel;
use scarf_data::{DataSet, ImageCache, Sample};
use scarf_heads::{Detector, DetectorConfig, Targets};
use scarf_train::{Epoch, Fit, Flow, Observer, Recipe, Resident, Samples, TrainConfig, fit, for_each_batch};

/// Drawn steel, of a few sizes; in colors, of which each image has others, if told.
fn steel(colored: bool) -> (DataSet, ImageCache) {
    let sizes = [(64, 48), (50, 64), (61, 40), (64, 64), (37, 37), (48, 64)];
    let (mut samples, mut images) = (Vec::new(), Vec::new());
    let mut classes = None;
    for (number, (width, height)) in sizes.into_iter().enumerate() {
        let steel = SyntheticSteel { size: Size::new(width, height), ..SyntheticSteel::default() };
        let (image, annotations) = steel.draw(number, number as u32);
        let mut image = DynamicImage::from(image).into_rgb8();
        if colored {
            for (x, y, pixel) in image.enumerate_pixels_mut() {
                let shift = [x * 3, y * 2, (x ^ y) + 40 * number as u32];
                pixel.0 = std::array::from_fn(|c| pixel.0[c].wrapping_add(shift[c] as u8));
            }
        }
        let name = format!("steel_{number}");
        samples.push(Sample { image: name.clone().into(), name, size: steel.size, annotations });
        images.push(image);
        classes.get_or_insert(steel.domain.classes());
    }
    // Drawn in the order of their names.
    (DataSet::new(classes.unwrap(), samples), ImageCache::from(images))
}

/// All batches of some epochs: pixels, and targets.
fn batches(
    (set, images): &(DataSet, ImageCache),
    recipe: Recipe<'_>,
    device: &Device,
) -> (Vec<f32>, Vec<Targets>) {
    let indices: Vec<usize> = (0..images.len()).collect();
    let samples = Samples { images, set, indices: &indices };
    let (mut pixels, mut targets) = (Vec::new(), Vec::new());
    for epoch in 0..8 {
        let done = for_each_batch(samples, recipe, &indices, 7, epoch, |batch| {
            let images = batch.images(device);
            let Size { width, height } = recipe.size;
            assert_eq!(images.dims(), [batch.targets.len(), 3, height as usize, width as usize]);
            pixels.extend(images.into_data().try_into_vec::<f32>().unwrap());
            targets.extend(batch.targets);
            Ok::<(), Infallible>(())
        });
        let Ok(()) = done;
    }
    (pixels, targets)
}

/// The share of levels that differ, having asserted that none does by more than `most`.
fn differing(steps: &[Transform], colored: bool, size: Size, most: f32) -> f64 {
    let device = Device::default();
    let steel = steel(colored);
    let resident = Resident::new(&steel.1, usize::MAX, &device).unwrap();
    assert!(Resident::can(steps, size));
    let recipe = Recipe { size, batch: 4, augment: steps, resident: None };
    let (host, host_targets) = batches(&steel, recipe, &device);
    let (here, here_targets) = batches(&steel, Recipe { resident: Some(&resident), ..recipe }, &device);
    assert_eq!(here_targets, host_targets, "{steps:?}");
    assert_eq!(here.len(), host.len());
    let apart = |(here, host): (&f32, &f32)| (here - host).abs();
    let worst = here.iter().zip(&host).map(apart).fold(0.0, f32::max);
    assert!(worst <= most, "{worst} levels apart after {steps:?}, colored: {colored}");
    assert!(here.iter().all(|level| level.fract() == 0.0 && (0.0..=255.0).contains(level)));
    here.iter().zip(&host).filter(|&pair| apart(pair) > 0.0).count() as f64 / here.len() as f64
}

const ALWAYS: Chance = Chance { p: 1.0 };

#[test]
fn each_step_alone_and_all_together() {
    // Sides by which halves of a level are rare: those are rounded by the last bit of a weight.
    let square = Size::new(79, 79);
    let zoom = || Transform::ZoomOut(ZoomOut { p: 0.8, ..ZoomOut::default() });
    let colors =
        || Transform::Photometric(Photometric { p: 0.8, hue: [-0.5, 0.5], ..Photometric::default() });
    let crop = || Transform::IouCrop(IouCrop::default());
    let flips = || [Transform::HorizontalFlip(Chance::default()), Transform::VerticalFlip(Chance::default())];
    let turn = || Transform::Rotate90(Chance { p: 0.8 });
    let mut all = vec![flips()[0].clone(), colors(), turn(), crop(), zoom(), crop()];
    all.extend(flips());
    let cases: [(&[Transform], Size); 9] = [
        (&[], square),
        (&[], Size::new(97, 31)),
        (&flips(), Size::new(31, 97)),
        (&[Transform::HorizontalFlip(ALWAYS), crop()], square),
        (&[zoom()], square),
        (&[turn()], square),
        (&[colors()], square),
        (&augment::ssd(), Size::new(83, 61)),
        (&all, square),
    ];
    for colored in [false, true] {
        for (steps, size) in cases {
            // Pillow, and so the host, resizes what comes out across first: after a turn that is the other side.
            let share = differing(steps, colored, size, 2.0);
            let turned = steps.iter().any(|step| matches!(step, Transform::Rotate90(_)));
            assert!(share < if turned { 0.2 } else { 0.01 }, "{share} of {steps:?}, colored: {colored}");
        }
    }
}

#[test]
fn what_is_too_much_or_cannot_be_turned_stays_on_the_host() {
    let (_, images) = steel(false);
    let device = Device::default();
    assert!(Resident::new(&images, 6 * 64 * 64, &device).is_some());
    assert!(Resident::new(&images, 6 * 64 * 64 - 1, &device).is_none());
    let turn = [Transform::Rotate90(Chance::default())];
    assert!(Resident::can(&turn, Size::new(8, 8)) && !Resident::can(&turn, Size::new(8, 9)));
    assert!(!Resident::can(
        &[
            turn[0].clone(),
            Transform::ZoomOut(ZoomOut::default()),
            Transform::Photometric(Photometric::default())
        ],
        Size::new(8, 8)
    ));
}

#[derive(Default)]
struct Losses(Vec<f64>);

impl Observer<Detector> for Losses {
    fn epoch(&mut self, epoch: &Epoch, _model: &Detector) -> Result<Flow, scarf_train::TrainError> {
        self.0.extend([epoch.loss, epoch.val.as_ref().unwrap().loss]);
        Ok(Flow::Continue)
    }
}

#[test]
fn training_goes_as_from_the_host() {
    let (set, images) = steel(true);
    let (device, every) = (Device::default(), [0, 1, 2, 3, 4, 5]);
    let config = "epochs = 2\nbatch = 3\noptimizer.sgd = { lr = 1e-3, momentum = 0.9 }\n\
         augment = [{ photometric = {} }, { zoom_out = {} }, { iou_crop = {} }, { horizontal_flip = {} }]";
    let config: TrainConfig = config.parse().unwrap();
    let recipe = "size = 64\n[backbone.mobilenet_v1]\nwidth = 0.25\n[neck.ssd_extras]\n[head.ssd]\n";
    let recipe: DetectorConfig = recipe.parse().unwrap();
    let resident = Resident::new(&images, usize::MAX, &device).unwrap();
    let losses = [None, Some(&resident)].map(|resident| {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let model = recipe.init(set.classes.len(), &device.clone().autodiff(), rng).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let samples = Samples { images: &images, set: &set, indices: &every };
        let task = Fit {
            config: &config,
            train: samples,
            val: samples,
            resident,
            size: Size::new(64, 64),
            seed: 1,
            checkpoints: folder.path(),
            settings: "",
            device: &device,
        };
        let mut losses = Losses::default();
        fit(task, model, &mut losses).unwrap();
        losses.0
    });
    assert_eq!(losses[0].len(), 4);
    // Levels that were rounded otherwise make a small difference, which six images and the choice of hard background make a
    // larger one in the second epoch.
    for ((host, here), most) in losses[0].iter().zip(&losses[1]).zip([0.02, 0.02, 0.06, 0.06]) {
        assert!((host - here).abs() < most * host.abs(), "{losses:?}");
    }
}
