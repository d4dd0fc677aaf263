use image::RgbImage;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{happens, range, uniform, within};

/// torchvision's `RandomPhotometricDistort`: brightness, contrast, saturation, hue and the order of
/// the channels, each with probability `p`; contrast comes before or after the colors, as likely.
///
/// Where all of an image is gray (R = G = B), colors are left alone, as they would change nothing.
/// torchvision's weights for gray add up to 0.9999, which darkens gray images by up to a level;
/// here they add up to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Photometric {
    /// Factors of all levels, from and to.
    pub brightness: [f64; 2],
    /// Factors of the distance to the mean gray, from and to.
    pub contrast: [f64; 2],
    /// Factors of the distance to the pixel's own gray, from and to.
    pub saturation: [f64; 2],
    /// Turns of the color circle to add, from and to; within -0.5 to 0.5.
    pub hue: [f64; 2],
    /// With which probability, each.
    pub p: f64,
}

impl Default for Photometric {
    fn default() -> Self {
        Self {
            brightness: [0.875, 1.125],
            contrast: [0.5, 1.5],
            saturation: [0.5, 1.5],
            hue: [-0.05, 0.05],
            p: 0.5,
        }
    }
}

impl Photometric {
    pub(super) fn check(&self) -> Result<(), String> {
        within("p", self.p, 0.0, 1.0)?;
        range("brightness", self.brightness, 0.0, 10.0)?;
        range("contrast", self.contrast, 0.0, 10.0)?;
        range("saturation", self.saturation, 0.0, 10.0)?;
        range("hue", self.hue, -0.5, 0.5)
    }

    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Colors {
        // Every number is drawn whatever the image is, so that gray and color stay in step.
        let mut factor = |range| happens(self.p, rng).then(|| uniform(range, rng) as f32);
        let [brightness, contrast, saturation, hue] =
            [self.brightness, self.contrast, self.saturation, self.hue].map(&mut factor);
        let contrast_first = happens(0.5, rng);
        let mut channels = [0, 1, 2];
        if happens(self.p, rng) {
            channels.shuffle(rng);
        }
        Colors { brightness, contrast, contrast_first, saturation, hue, channels }
    }
}

/// What is done to the colors of an image, in this order but for the contrast; levels are cut to 0..=255 and rounded
/// down after each. By default nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Colors {
    /// Factor of all levels.
    pub brightness: Option<f32>,
    /// Factor of the distance to the image's mean gray.
    pub contrast: Option<f32>,
    /// Whether contrast comes before saturation and hue rather than after them.
    pub contrast_first: bool,
    /// Factor of the distance to the pixel's own gray.
    pub saturation: Option<f32>,
    /// Turns of the color circle to add.
    pub hue: Option<f32>,
    /// Of each channel, which one it is made of.
    pub channels: [usize; 3],
}

impl Default for Colors {
    fn default() -> Self {
        Self {
            brightness: None,
            contrast: None,
            contrast_first: false,
            saturation: None,
            hue: None,
            channels: [0, 1, 2],
        }
    }
}

impl Colors {
    pub(super) fn paint(&self, image: &mut RgbImage) {
        let Self { brightness, contrast, contrast_first, saturation, hue, channels } = *self;
        let gray = image.pixels().all(|p| p.0[0] == p.0[1] && p.0[1] == p.0[2]);
        brightness.into_iter().for_each(|by| remap(image, |level| level * by));
        contrast.filter(|_| contrast_first).into_iter().for_each(|by| adjust_contrast(image, by));
        if !gray {
            saturation.into_iter().for_each(|by| adjust_saturation(image, by));
            hue.into_iter().for_each(|by| adjust_hue(image, by));
        }
        contrast.filter(|_| !contrast_first).into_iter().for_each(|by| adjust_contrast(image, by));
        if !gray && channels != [0, 1, 2] {
            image.pixels_mut().for_each(|p| p.0 = channels.map(|channel| p.0[channel]));
        }
    }
}

/// Every level through one function, cut to 0..=255 and rounded down as torchvision does.
fn remap(image: &mut RgbImage, map: impl Fn(f32) -> f32) {
    let table: [u8; 256] = std::array::from_fn(|level| map(level as f32).clamp(0.0, 255.0) as u8);
    image.iter_mut().for_each(|level| *level = table[usize::from(*level)]);
}

/// The gray of a color (ITU-R BT.601), rounded down; of R = G = B exactly that level.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b)) / 1000) as u8
}

fn adjust_contrast(image: &mut RgbImage, by: f32) {
    let sum: u64 = image.pixels().map(|p| u64::from(luma(p.0))).sum();
    let mean = (sum as f64 / f64::from(image.width() * image.height()).max(1.0)) as f32;
    remap(image, |level| level * by + mean * (1.0 - by));
}

fn adjust_saturation(image: &mut RgbImage, by: f32) {
    for pixel in image.pixels_mut() {
        let gray = f32::from(luma(pixel.0)) * (1.0 - by);
        pixel.0 = pixel.0.map(|level| (f32::from(level) * by + gray).clamp(0.0, 255.0) as u8);
    }
}

fn adjust_hue(image: &mut RgbImage, by: f32) {
    for pixel in image.pixels_mut() {
        let [hue, low, high] = hue_low_high(pixel.0);
        let sixths = (hue + 6.0 * by).rem_euclid(6.0);
        // The channel at `turn` sixths from red: full within one sixth, none beyond two.
        let channel = |turn: f32| {
            let distance = (sixths - turn).rem_euclid(6.0);
            let distance = distance.min(6.0 - distance);
            (low + (high - low) * (2.0 - distance).clamp(0.0, 1.0) + 0.5) as u8
        };
        pixel.0 = [channel(0.0), channel(2.0), channel(4.0)];
    }
}

/// The hue in sixths of the circle from red, and the lowest and highest level.
fn hue_low_high(rgb: [u8; 3]) -> [f32; 3] {
    let [r, g, b] = rgb.map(f32::from);
    let (high, low) = (r.max(g).max(b), r.min(g).min(b));
    let spread = if high > low { high - low } else { 1.0 };
    let hue = if high == r {
        (g - b) / spread
    } else if high == g {
        2.0 + (b - r) / spread
    } else {
        4.0 + (r - g) / spread
    };
    [hue, low, high]
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn one(color: [u8; 3], change: impl Fn(&mut RgbImage)) -> [u8; 3] {
        let mut image = RgbImage::from_pixel(1, 1, Rgb(color));
        change(&mut image);
        image.get_pixel(0, 0).0
    }

    #[test]
    fn colors_worked_by_hand() {
        assert_eq!(one([255, 0, 0], |i| adjust_hue(i, 1.0 / 3.0)), [0, 255, 0]);
        assert_eq!(one([255, 0, 0], |i| adjust_hue(i, -1.0 / 3.0)), [0, 0, 255]);
        assert_eq!(one([200, 100, 50], |i| adjust_hue(i, 0.0)), [200, 100, 50]);
        assert_eq!(one([90, 90, 90], |i| adjust_hue(i, 0.3)), [90, 90, 90]);
        assert_eq!(one([100, 50, 0], |i| adjust_saturation(i, 0.0)), [59, 59, 59]);
        assert_eq!(one([77, 77, 77], |i| adjust_saturation(i, 1.5)), [77, 77, 77]);
        assert_eq!(one([10, 200, 250], |i| remap(i, |v| v * 1.1)), [11, 220, 255]);
        let mut image = RgbImage::from_vec(2, 1, vec![0, 0, 0, 100, 100, 100]).unwrap();
        adjust_contrast(&mut image, 0.5);
        assert_eq!(image.as_raw(), &[25, 25, 25, 75, 75, 75]);
    }
}
