//! Images as cameras write them: BMP and TIFF beside JPEG and PNG, and samples of 16 bits.

use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba};
use scarf_core::{Classes, Size};
use scarf_data::voc::{self, VocLayout};
use scarf_data::{ImageCache, OnBad, images};

fn picture() -> RgbImage {
    RgbImage::from_fn(20, 10, |x, y| Rgb([x as u8 * 12, y as u8 * 25, 90]))
}

fn saved(folder: &Path, name: &str, image: &DynamicImage) -> PathBuf {
    let path = folder.join(name);
    image.save(&path).unwrap();
    path
}

#[test]
fn bmp_and_tiff_are_images_like_others() {
    let folder = tempfile::tempdir().unwrap();
    let layout = VocLayout::neu(folder.path());
    for inner in [&layout.images, &layout.annotations] {
        std::fs::create_dir(inner).unwrap();
    }
    let classes = Classes::new(["dent"]).unwrap();
    for name in ["a.bmp", "b.tif", "c.TIFF", "d.png"] {
        saved(&layout.images, name, &picture().into());
        let xml = voc::annotation_xml(name, Size::new(20, 10), &[], &classes);
        std::fs::write(layout.annotations.join(name).with_extension("xml"), xml).unwrap();
    }
    assert_eq!(images::list(&layout.images).unwrap().len(), 4);
    let (data, _) = voc::load(&layout, &classes, OnBad::Fail).unwrap();
    let cache = ImageCache::load(&data.samples).unwrap();
    assert_eq!(cache.len(), 4);
    assert!((0..4).all(|index| *cache.get(index) == picture()));

    std::fs::remove_file(layout.images.join("a.bmp")).unwrap();
    let error = voc::load(&layout, &classes, OnBad::Fail).unwrap_err().to_string();
    assert!(error.contains("no image `a.jpg` (nor .jpeg, .png, .bmp, .tif, .tiff)"), "{error}");
}

#[test]
fn what_was_cut_short_is_no_image() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.bmp", "a.tif"] {
        let path = saved(folder.path(), name, &picture().into());
        let whole = std::fs::read(&path).unwrap();
        for part in [0, 1, 8, 60, whole.len() / 2] {
            std::fs::write(&path, &whole[..part]).unwrap();
            let error = images::decode(&path).unwrap_err().to_string();
            assert!(error.contains(name), "{part} bytes of {name}: {error}");
        }
    }
}

/// A JPEG with an EXIF of one entry: how it is to be turned.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let exif = b"Exif\0\0II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".iter().copied();
    let exif: Vec<u8> = exif.chain([orientation, 0, 0, 0, 0, 0, 0, 0]).collect();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

/// A box that was drawn on the turned image would lie elsewhere on its pixels.
#[test]
fn what_is_to_be_turned_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(folder.path(), "phone.jpg", &picture().into());
    let plain = std::fs::read(&path).unwrap();
    std::fs::write(&path, with_orientation(&plain, 1)).unwrap();
    assert_eq!(images::size(&path).unwrap(), Size::new(20, 10));
    assert!(images::decode(&path).is_ok());
    for orientation in [3, 6] {
        std::fs::write(&path, with_orientation(&plain, orientation)).unwrap();
        let told = format!(
            "phone.jpg: cannot be taken as an image: its EXIF says that it is to be turned when it is shown (orientation {orientation})"
        );
        for error in [images::size(&path).map(|_| ()), images::decode(&path).map(|_| ())] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains(&told), "{error}");
        }
    }
}

/// What becomes of an image of 16 bits whose brightest sample is that: its brightest, of 8 bits, or what is said.
fn brightest(name: &str, image: impl Into<DynamicImage>) -> Result<u8, String> {
    let folder = tempfile::tempdir().unwrap();
    let decoded = images::decode(&saved(folder.path(), name, &image.into()));
    decoded.map(|image| image.into_raw().into_iter().max().unwrap()).map_err(|error| error.to_string())
}

#[test]
fn sixteen_bits_are_parts_of_65535_and_refused_where_they_are_not() {
    let gray = |white: u16| ImageBuffer::from_fn(8, 8, |x, _| Luma([if x == 3 { white } else { white / 2 }]));
    for name in ["a.png", "a.tif"] {
        for (white, found) in [(65535, 255), (4096, 16), (32768, 128), (0, 0)] {
            assert_eq!(brightest(name, gray(white)), Ok(found), "{white} in {name}");
        }
        for white in [1, 1023, 4095] {
            let said = brightest(name, gray(white)).unwrap_err();
            assert!(
                said.contains(&format!("the brightest is {white} of 65535")) && said.contains(name),
                "{said}"
            );
        }
        let coloured = ImageBuffer::from_pixel(2, 2, Rgb([4095u16, 9, 0]));
        assert!(brightest(name, coloured).is_err());
    }
    // White is no part of what lies over nothing.
    assert!(brightest("a.png", ImageBuffer::from_pixel(2, 2, Rgba([4095u16, 9, 0, 65535]))).is_err());
    assert!(brightest("a.png", ImageBuffer::from_pixel(2, 2, LumaA([4095u16, 65535]))).is_err());
    let floats = ImageBuffer::from_pixel(2, 2, Rgb([0.5f32, 0.5, 0.5]));
    assert!(brightest("a.tif", floats).unwrap_err().contains("floating-point"));
}
