//! What several tests learn from.

use image::DynamicImage;
use scarf_core::Size;
use scarf_data::synth::SyntheticSteel;
use scarf_data::{DataSet, ImageCache, Sample};

/// Six drawn images of 64 pixels a side, a defect of each class.
pub(crate) fn steel() -> (DataSet, ImageCache) {
    let steel = SyntheticSteel { size: Size::new(64, 64), ..SyntheticSteel::default() };
    let classes = steel.domain.classes();
    let count = classes.len();
    let drawn = (0..6).map(|number| {
        let (image, annotations) = steel.draw(number as usize % count, number);
        let name = format!("steel_{number}");
        let sample = Sample { image: name.clone().into(), name, size: steel.size, annotations };
        (DynamicImage::ImageLuma8(image).to_rgb8(), sample)
    });
    let (images, samples): (Vec<_>, Vec<_>) = drawn.unzip();
    (DataSet::new(classes, samples), ImageCache::from(images))
}
