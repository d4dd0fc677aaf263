//! Detections drawn on a picture.

use ab_glyph::FontRef;
use image::imageops::{FilterType, resize};
use image::{Rgb, RgbImage};
use imageproc::drawing::{draw_filled_rect_mut, draw_hollow_rect_mut, draw_text_mut, text_size};
use imageproc::rect::Rect;
use scarf_core::{Classes, Detection};

const FONT: &[u8] = include_bytes!("../assets/DejaVuSans-Bold.ttf");
const TEXT: f32 = 15.0;
/// Shorter sides are enlarged to at least this, so that labels can be read.
const SIDE: u32 = 600;

/// Colours that can be told apart, also by most who see red and green alike (Okabe and Ito, 2008).
const COLOURS: [Rgb<u8>; 7] = [
    Rgb([230, 159, 0]),
    Rgb([86, 180, 233]),
    Rgb([0, 158, 115]),
    Rgb([240, 228, 66]),
    Rgb([0, 114, 178]),
    Rgb([213, 94, 0]),
    Rgb([204, 121, 167]),
];

/// The picture, enlarged if it is small, with each box, its class and its score in percent.
pub(crate) fn boxes(image: &RgbImage, detections: &[Detection], classes: &Classes) -> RgbImage {
    let times = (SIDE.div_ceil(image.width().min(image.height()).max(1))).clamp(1, 8);
    let mut canvas = resize(image, image.width() * times, image.height() * times, FilterType::CatmullRom);
    let Ok(font) = FontRef::try_from_slice(FONT) else { return canvas };
    // The best is drawn last, on top.
    for detection in detections.iter().rev() {
        let colour = COLOURS[detection.class % COLOURS.len()];
        let bbox = detection.bbox.scale(times as f32, times as f32);
        let (x, y) = (bbox.x1.round() as i32, bbox.y1.round() as i32);
        let (w, h) = (bbox.width().round().max(1.0) as u32, bbox.height().round().max(1.0) as u32);
        for inset in 0..3.min(w / 2).min(h / 2).max(1) {
            let rect = Rect::at(x + inset as i32, y + inset as i32)
                .of_size((w - 2 * inset).max(1), (h - 2 * inset).max(1));
            draw_hollow_rect_mut(&mut canvas, rect, colour);
        }
        let name = classes.name(detection.class).unwrap_or("?");
        let label = format!("{name} {:.0} %", detection.score * 100.0);
        let (wide, high) = text_size(TEXT, &font, &label);
        let left = x.clamp(0, (canvas.width() as i32 - wide as i32 - 6).max(0));
        let top = (y - high as i32 - 6).max(0);
        draw_filled_rect_mut(&mut canvas, Rect::at(left, top).of_size(wide + 6, high + 6), colour);
        draw_text_mut(&mut canvas, Rgb([0, 0, 0]), left + 3, top + 2, TEXT, &font, &label);
    }
    canvas
}
