//! Resizing is Pillow's: bit for bit where Pillow too goes by rows first, within one level else. The interpreter comes from the environment: SCARF_PYTHON, with
//! Pillow installed.

use std::process::Command;

use image::RgbImage;
use scarf_core::Size;
use scarf_data::images::resize;

/// Reads `width height`, then target sizes, from its arguments and the raw image from a file; writes
/// the resized ones behind one another into another.
const SCRIPT: &str = "
import sys
from PIL import Image
source, target, width, height = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
image = Image.frombytes('RGB', (width, height), open(source, 'rb').read())
with open(target, 'wb') as out:
    for size in sys.argv[5:]:
        w, h = map(int, size.split('x'))
        out.write(image.resize((w, h), Image.BILINEAR).tobytes())
";

#[test]
fn resized_as_pillow_does() {
    let Some(python) = std::env::var_os("SCARF_PYTHON") else {
        eprintln!("not tested: SCARF_PYTHON is not set");
        return;
    };
    let level =
        |x: u32, y: u32, c: u32| (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503) ^ (c * 77)) as u8;
    let image =
        RgbImage::from_fn(67, 41, |x, y| image::Rgb([level(x, y, 0), level(x, y, 1), level(x, y, 2)]));
    let sizes = [(67, 41), (134, 82), (300, 300), (30, 17), (1, 1), (67, 20), (100, 41), (320, 7)];
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    std::fs::write(&source, image.as_raw()).unwrap();
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]).arg(&source).arg(&target).args(["67", "41"]);
    let run = command.args(sizes.map(|(w, h)| format!("{w}x{h}"))).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let theirs = std::fs::read(target).unwrap();
    let mut theirs = theirs.as_slice();
    for (w, h) in sizes {
        let ours = resize(&image, Size::new(w, h)).into_raw();
        let (of_this, rest) = theirs.split_at(ours.len());
        theirs = rest;
        let most = ours.iter().zip(of_this).map(|(&a, &b)| a.abs_diff(b)).max().unwrap();
        assert!(most <= u8::from(h < 41 && w != 67), "{w}x{h}: {most} levels apart");
    }
    assert!(theirs.is_empty());
}
