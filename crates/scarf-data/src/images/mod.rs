//! Decoded images, all at once and kept; resizing.

mod resize;

use std::io::{BufRead, Cursor, Seek};
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use rayon::prelude::*;
use scarf_core::Size;

pub use resize::resize;

use crate::{DataError, DataSet, Sample, Skipped, files};

/// The images of a folder (.jpg, .jpeg, .png, .bmp, .tif, .tiff), in order of their names; hidden files are left out.
///
/// # Errors
/// Where the folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    files::list(folder, files::is_image)
}

/// The size of an image, from the header of its file.
///
/// # Errors
/// Also of an image that is to be turned when it is shown, as its EXIF says: some tools draw boxes on what is shown, others on
/// the pixels as they lie.
pub fn size(path: &Path) -> Result<Size, DataError> {
    // By the content, for names lie.
    let io = |source| DataError::Io { path: path.into(), action: "read", source };
    upright(path, ImageReader::open(path).map_err(io)?.with_guessed_format().map_err(io)?)
}

/// Decodes an image (JPEG, PNG, BMP, TIFF; of a TIFF the first page) to RGB; gray becomes R = G = B, transparency is dropped.
///
/// Samples of 16 bits are taken as parts of 65,535. Where none of them is above 4,095, as where a camera of 10 or 12 bits
/// leaves the upper ones empty, at most 16 of 256 levels would be left, and the image is refused: what its white is does not
/// stand in the file, and the brightest pixel of each would make every image another's brightness.
///
/// # Errors
/// Also of a JPEG that was cut short, of an image of floating-point samples, and of one that is to be turned ([`size`]).
pub fn decode(path: &Path) -> Result<RgbImage, DataError> {
    let bytes = files::read(path)?;
    let format = image::guess_format(&bytes).map_err(bad(path))?;
    upright(path, ImageReader::with_format(Cursor::new(&bytes), format))?;
    let image = image::load_from_memory_with_format(&bytes, format).map_err(bad(path))?;
    let refused = |reason: String| Err(DataError::Image { path: path.into(), reason });
    if format == ImageFormat::Jpeg && !has_end(&bytes) {
        return refused("it is cut short: its end is missing".into());
    }
    match brightest(&image) {
        Ok(Some(white @ 1..=DARK)) => refused(format!(
            "of its 16 bits a sample the upper ones are empty (the brightest is {white} of 65535), as of a camera of 10 or 12 \
             bits: it would be nearly black; save it with 8 bits, or with values that fill 16 (of 12 bits, times 16)"
        )),
        Ok(_) => Ok(image.into_rgb8()),
        Err(()) => refused("its samples are floating-point numbers; save it with 8 or 16 bits".into()),
    }
}

/// A sample of 16 bits at which 16 of 256 levels would be left.
const DARK: u16 = 0x0fff;

/// The brightest sample of an image of 16 bits, transparency aside; none of one of 8 bits, and an error where samples are no
/// whole numbers.
fn brightest(image: &DynamicImage) -> Result<Option<u16>, ()> {
    fn most<'a>(pixels: impl Iterator<Item = &'a [u16]>) -> Result<Option<u16>, ()> {
        Ok(pixels.flatten().max().copied())
    }
    match image {
        DynamicImage::ImageLuma16(image) => most(image.pixels().map(|pixel| &pixel.0[..])),
        DynamicImage::ImageLumaA16(image) => most(image.pixels().map(|pixel| &pixel.0[..1])),
        DynamicImage::ImageRgb16(image) => most(image.pixels().map(|pixel| &pixel.0[..])),
        DynamicImage::ImageRgba16(image) => most(image.pixels().map(|pixel| &pixel.0[..3])),
        DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_) => Err(()),
        _ => Ok(None),
    }
}

/// Whether a JPEG's picture ends: decoders fill what is missing with gray. What is behind it, such as a phone's film, is not
/// looked at.
fn has_end(jpeg: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[mark, kind]) = jpeg.get(at..at + 2) {
        at += match (mark, kind) {
            (0xff, 0xd9) => return true,
            (0xff, 0x01 | 0xd0..=0xd8) => 2,
            // A segment, which says how long it is.
            (0xff, 0x02..=0xfe) => match jpeg.get(at + 2..at + 4) {
                Some(&[high, low]) => 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
            // Within a scan 0xff is followed by 0.
            _ => 1,
        };
    }
    false
}

/// The size of an image that is not to be turned.
fn upright<R: BufRead + Seek>(path: &Path, reader: ImageReader<R>) -> Result<Size, DataError> {
    let mut decoder = reader.into_decoder().map_err(bad(path))?;
    let orientation = decoder.orientation().map_err(bad(path))?;
    if orientation != Orientation::NoTransforms {
        let reason = format!(
            "its EXIF says that it is to be turned when it is shown (orientation {}), which not all tools do that boxes are drawn \
             with: turn the pixels where the boxes are of what is shown (`mogrify -auto-orient`), or take the tag away where \
             they are of the pixels as they lie (`exiftool -Orientation=`)",
            orientation.to_exif()
        );
        return Err(DataError::Image { path: path.into(), reason });
    }
    let (width, height) = decoder.dimensions();
    Ok(Size::new(width, height))
}

fn bad(path: &Path) -> impl FnOnce(image::ImageError) -> DataError {
    let path = path.to_path_buf();
    move |error| DataError::Image { path, reason: error.to_string() }
}

/// The images of samples, decoded once: 3 bytes a pixel of memory, index by index the samples'.
#[derive(Clone, Debug)]
pub struct ImageCache {
    images: Vec<RgbImage>,
}

/// Images that are decoded already, in the order of the samples.
impl From<Vec<RgbImage>> for ImageCache {
    fn from(images: Vec<RgbImage>) -> Self {
        Self { images }
    }
}

impl ImageCache {
    /// Decodes all images, on every core. An image that cannot be decoded, or has another size than
    /// its sample says, is an error.
    pub fn load(samples: &[Sample]) -> Result<Self, DataError> {
        let images = samples.par_iter().map(decode_sample).collect::<Result<_, _>>()?;
        Ok(Self { images })
    }

    /// As [`ImageCache::load`], but samples whose image is bad are taken out of the set and listed.
    pub fn load_skipping(data: DataSet) -> (DataSet, Self, Vec<Skipped>) {
        let decoded: Vec<_> = data.samples.par_iter().map(decode_sample).collect();
        let (mut samples, mut images, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
        for (sample, image) in data.samples.into_iter().zip(decoded) {
            match image {
                Ok(image) => {
                    samples.push(sample);
                    images.push(image);
                }
                Err(error) => skipped.push(Skipped { path: sample.image, reason: error.to_string() }),
            }
        }
        (DataSet { classes: data.classes, samples }, Self { images }, skipped)
    }

    /// The image of the sample at that index.
    ///
    /// # Panics
    /// Where there is no such sample.
    pub fn get(&self, index: usize) -> &RgbImage {
        &self.images[index]
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }
}

fn decode_sample(sample: &Sample) -> Result<RgbImage, DataError> {
    let image = decode(&sample.image)?;
    let found = Size::new(image.width(), image.height());
    if found != sample.size {
        let (path, expected) = (sample.image.clone(), sample.size);
        return Err(DataError::DecodedSize { path, found, expected });
    }
    Ok(image)
}
