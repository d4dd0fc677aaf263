use image::RgbImage;
use scarf_core::Size;

/// Bits behind the point of a weight: 255 times a sum of weights of 1 stays within 31 bits.
const BITS: u32 = 22;

/// Resizes bilinearly; where it shrinks, every source pixel counts. Boxes scale with `new / old` of
/// each side.
///
/// Rows, then columns, in whole numbers, as Pillow's `Image.resize(size, BILINEAR)` does it
/// (`libImaging/Resample.c`): bit for bit where neither side shrinks. Pillow takes the columns first
/// for some shapes (13.0 where the height shrinks more), which moves a few pixels by one level.
///
/// # Panics
/// Where a side of either size is 0.
pub fn resize(image: &RgbImage, size: Size) -> RgbImage {
    let (width, height) = image.dimensions();
    assert!(width > 0 && height > 0 && size.width > 0 && size.height > 0, "an image has no side of 0");
    let wide = if width == size.width { image.clone() } else { across(image, size.width) };
    if height == size.height { wide } else { down(&wide, size.height) }
}

/// What one target pixel takes: weights of source pixels from `first` on.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// The taps of each target pixel of a side, by the triangle filter.
fn taps(from: u32, to: u32) -> Vec<Taps> {
    let scale = f64::from(from) / f64::from(to);
    let reach = scale.max(1.0);
    let one = |target: u32| {
        let center = (f64::from(target) + 0.5) * scale;
        let first = (center - reach + 0.5).max(0.0) as usize;
        let end = (center + reach + 0.5).min(f64::from(from)) as usize;
        let weight = |source: usize| (1.0 - ((source as f64 - center + 0.5) / reach).abs()).max(0.0);
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |w: f64| (0.5 + w / sum * f64::from(1u32 << BITS)) as i32;
        Taps { first, weights: weights.into_iter().map(fixed).collect() }
    };
    (0..to).map(one).collect()
}

fn level(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

fn across(image: &RgbImage, width: u32) -> RgbImage {
    let taps = taps(image.width(), width);
    let mut target = RgbImage::new(width, image.height());
    let rows = image.as_raw().chunks_exact(3 * image.width() as usize);
    for (row, into) in rows.zip(target.chunks_exact_mut(3 * width as usize)) {
        for (taps, pixel) in taps.iter().zip(into.chunks_exact_mut(3)) {
            let mut sums = [1 << (BITS - 1); 3];
            for (source, &weight) in row[3 * taps.first..].chunks_exact(3).zip(&taps.weights) {
                sums.iter_mut().zip(source).for_each(|(sum, &v)| *sum += i32::from(v) * weight);
            }
            pixel.copy_from_slice(&sums.map(level));
        }
    }
    target
}

fn down(image: &RgbImage, height: u32) -> RgbImage {
    let stride = 3 * image.width() as usize;
    let mut target = RgbImage::new(image.width(), height);
    let mut sums = vec![0i32; stride];
    for (taps, into) in taps(image.height(), height).iter().zip(target.chunks_exact_mut(stride)) {
        sums.fill(1 << (BITS - 1));
        let rows = image.as_raw()[stride * taps.first..].chunks_exact(stride);
        for (row, &weight) in rows.zip(&taps.weights) {
            sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum += i32::from(v) * weight);
        }
        into.iter_mut().zip(&sums).for_each(|(v, &sum)| *v = level(sum));
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use proptest::prelude::*;

    #[test]
    fn two_pixels_become_four_and_four_become_two() {
        let image = RgbImage::from_vec(2, 1, vec![0, 0, 100, 100, 200, 100]).unwrap();
        let wide = resize(&image, Size::new(4, 1));
        let reds: Vec<u8> = wide.pixels().map(|p| p.0[0]).collect();
        assert_eq!(reds, [0, 25, 75, 100]);
        // Half the size: the triangle reaches over four pixels, cut off at the edges (1:3:3 of 7).
        let narrow = resize(&wide, Size::new(2, 1));
        assert_eq!(narrow.pixels().map(|p| p.0[0]).collect::<Vec<_>>(), [21, 79]);
    }

    proptest! {
        #[test]
        fn a_flat_image_stays_flat(
            from in (1u32..40, 1u32..40), to in (1u32..40, 1u32..40), color in any::<[u8; 3]>()
        ) {
            let image = RgbImage::from_pixel(from.0, from.1, Rgb(color));
            let resized = resize(&image, Size::new(to.0, to.1));
            prop_assert_eq!(resized, RgbImage::from_pixel(to.0, to.1, Rgb(color)));
        }
    }
}
