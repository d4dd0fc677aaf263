//! The looks of NEU-DET's six classes, drawn after its photographs.

use rand_chacha::ChaCha8Rng;
use scarf_core::Size;

use super::chance::Chance;
use super::field::Field;
use super::looks::{Defect, Look, Tone, light, scale};
use super::shape::{Mask, Path, Region};

pub(super) const LOOKS: [Look; 6] = [
    Look { name: "crazing", surface: rough, defect: crazing, count: [1, 4] },
    Look { name: "inclusion", surface: smooth, defect: inclusion, count: [1, 5] },
    Look { name: "pitted_surface", surface: bright, defect: pits, count: [1, 2] },
    Look { name: "patches", surface: bleached, defect: patch, count: [1, 4] },
    Look { name: "rolled-in_scale", surface: rolled, defect: scale_marks, count: [1, 4] },
    Look { name: "scratches", surface: dark, defect: scratch, count: [1, 4] },
];

/// Columns of the strip that are brighter or darker than others: rolls leave them.
fn bands(size: Size, levels: f32, rng: &mut ChaCha8Rng) -> Field {
    let s = scale(size);
    let mut field = Field::clouds(size, [24.0 * s, 900.0 * s], rng);
    field.data.iter_mut().for_each(|v| *v *= levels);
    field
}

fn rough(size: Size, rng: &mut ChaCha8Rng) -> Field {
    let level = rng.from_to(95.0, 175.0);
    let mut field = bands(size, 14.0, rng);
    field.data.iter_mut().for_each(|v| *v += level);
    field.add(&Field::grain(size, [1, 0], rng), rng.from_to(9.0, 13.0));
    field.add(&Field::noise(size, rng), rng.from_to(12.0, 19.0));
    field.add(&Field::ragged(size, [9.0 * scale(size), 4.0 * scale(size)], rng), rng.from_to(6.0, 11.0));
    light(&mut field, rng.from_to(-45.0, 45.0), rng.from_to(-12.0, 12.0));
    field
}

fn crazing(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let region = Region::draw(size, [0.3, 0.22], [0.8, 0.6], 0.15, rng);
    let mut mask = Mask::flat(size, 0.0);
    let lines = (region.width * region.height / (s * s) / rng.from_to(210.0, 420.0)) as usize + 4;
    let slant = rng.from_to(-0.5, 0.5);
    for _ in 0..lines {
        let path = Path {
            steps: rng.whole(3, 7),
            step: 3.6 * s,
            turn: 0.9,
            flat: 0.7,
            radius: rng.rather_small(0.35, 1.0) * s,
            taper: 0.5,
            part: rng.from_to(0.45, 1.0),
        };
        let way = if rng.happens(0.5) { 1.0 } else { -1.0 };
        let points = mask.wander(region.point(rng), [way, way * slant], path, rng);
        if rng.happens(0.35) {
            let from = points[points.len() / 2];
            let branch = Path { steps: 3, radius: path.radius * 0.7, ..path };
            mask.wander(from, [rng.from_to(-0.5, 0.5), -way], branch, rng);
        }
    }
    Defect { mask, tone: Tone::Shift(-rng.from_to(48.0, 85.0)) }
}

fn smooth(size: Size, rng: &mut ChaCha8Rng) -> Field {
    let level = rng.from_to(72.0, 160.0);
    let s = scale(size);
    let mut field = bands(size, 4.0, rng);
    field.data.iter_mut().for_each(|v| *v += level);
    field.add(&Field::clouds(size, [40.0 * s, 70.0 * s], rng), 3.0);
    field.add(&Field::grain(size, [0, 4], rng), 0.9);
    field.add(&Field::noise(size, rng), rng.from_to(1.0, 1.8));
    light(&mut field, rng.from_to(-22.0, 22.0), rng.from_to(-10.0, 10.0));
    field
}

fn inclusion(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let mut mask = Mask::flat(size, 0.0);
    let length = rng.rather_small(14.0, 150.0) * s;
    let mut at = [rng.from_to(0.04, 0.96) * size.width as f32, rng.from_to(-0.1, 0.92) * size.height as f32];
    let radius = rng.rather_small(1.6, 7.5) * s;
    let edge = Field::ragged(size, [5.0 * s, 16.0 * s], rng);
    let pieces = if length > 30.0 * s && rng.happens(0.45) { rng.whole(2, 4) } else { 1 };
    let piece = length / pieces as f32;
    for _ in 0..pieces {
        // A gap of a third where there are several.
        let half = if pieces > 1 { piece * rng.from_to(0.3, 0.55) } else { piece * 0.5 };
        let across = radius * rng.from_to(0.7, 1.2);
        mask.blob([at[0], at[1] + half], [across, half], &edge, 0.3, 0.35);
        at = [at[0] + rng.from_to(-1.6, 1.6) * s, at[1] + piece];
    }
    let faint = rng.happens(0.3);
    Defect { mask, tone: Tone::Shift(-if faint { rng.from_to(9.0, 16.0) } else { rng.from_to(18.0, 46.0) }) }
}

fn bright(size: Size, rng: &mut ChaCha8Rng) -> Field {
    let level = rng.from_to(120.0, 232.0);
    let s = scale(size);
    let mut field = bands(size, 6.0, rng);
    field.data.iter_mut().for_each(|v| *v += level);
    field.add(&Field::clouds(size, [60.0 * s, 60.0 * s], rng), 5.0);
    field.add(&Field::grain(size, [1, 1], rng), rng.from_to(1.2, 3.0));
    field.add(&Field::noise(size, rng), 1.8);
    light(&mut field, rng.from_to(-55.0, 55.0), rng.from_to(-35.0, 35.0));
    field
}

fn pits(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let region = Region::draw(size, [0.26, 0.4], [0.95, 1.0], 0.08, rng);
    let mut mask = Mask::flat(size, 0.0);
    let apart = rng.rather_small(38.0, 170.0);
    let count = (region.width * region.height / (s * s) / apart) as usize + 6;
    let (radius, long) = (rng.from_to(0.7, 1.5) * s, rng.from_to(0.0, 2.4) * s);
    let lean = rng.from_to(-0.8, 0.8);
    for _ in 0..count {
        let at = region.point(rng);
        let (r, l) = (radius * rng.from_to(0.6, 1.3), long * rng.from_to(0.4, 1.2));
        mask.stroke(at, [at[0] + lean * l, at[1] + l], [r, r * 0.8], rng.from_to(0.5, 1.0));
    }
    Defect { mask, tone: Tone::Shift(-rng.from_to(22.0, 62.0)) }
}

fn bleached(size: Size, rng: &mut ChaCha8Rng) -> Field {
    let level = rng.from_to(150.0, 235.0);
    let s = scale(size);
    let mut field = Field::flat(size, level);
    field.add(&Field::ragged(size, [55.0 * s, 110.0 * s], rng), rng.from_to(18.0, 40.0));
    field.add(&Field::grain(size, [0, 5], rng), rng.from_to(5.0, 9.0));
    field.add(&Field::noise(size, rng), rng.from_to(10.0, 17.0));
    field
}

fn patch(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let mut mask = Mask::flat(size, 0.0);
    let edge = Field::ragged(size, [22.0 * s, 26.0 * s], rng);
    let mut at = [rng.from_to(0.02, 0.98) * size.width as f32, rng.from_to(0.02, 0.98) * size.height as f32];
    let radii = [rng.from_to(13.0, 30.0) * s, rng.from_to(16.0, 44.0) * s];
    for piece in 0..rng.whole(1, 3) {
        let shrink = if piece == 0 { 1.0 } else { rng.from_to(0.5, 0.9) };
        mask.blob(at, radii.map(|r| r * shrink), &edge, 0.28, 0.3);
        let side = if rng.happens(0.5) { 1.0 } else { -1.0 };
        at = [at[0] + side * rng.from_to(0.1, 0.7) * radii[0], at[1] + rng.from_to(0.5, 1.1) * radii[1]];
    }
    let level = rng.from_to(45.0, 100.0);
    Defect { mask, tone: Tone::Toward { level, texture: rng.from_to(0.12, 0.25) } }
}

fn rolled(size: Size, rng: &mut ChaCha8Rng) -> Field {
    let level = rng.from_to(82.0, 152.0);
    let s = scale(size);
    let mut field = bands(size, 5.0, rng);
    field.data.iter_mut().for_each(|v| *v += level);
    field.add(&Field::ragged(size, [26.0 * s, 20.0 * s], rng), rng.from_to(4.0, 9.0));
    field.add(&Field::grain(size, [3, 0], rng), rng.from_to(4.0, 6.5));
    field.add(&Field::noise(size, rng), rng.from_to(4.0, 6.0));
    if rng.happens(0.5) {
        handling_marks(&mut field, size, rng);
    }
    light(&mut field, rng.from_to(-22.0, 22.0), rng.from_to(-10.0, 10.0));
    field
}

/// Faint slanted lines that nobody counts as defects.
fn handling_marks(field: &mut Field, size: Size, rng: &mut ChaCha8Rng) {
    let s = scale(size);
    let mut mask = Mask::flat(size, 0.0);
    let slant = rng.from_to(-0.9, 0.9);
    for _ in 0..rng.whole(2, 7) {
        let from = [rng.from_to(0.0, 1.0) * size.width as f32, rng.from_to(0.0, 1.0) * size.height as f32];
        let length = rng.from_to(25.0, 90.0) * s;
        mask.stroke(
            from,
            [from[0] + length, from[1] + slant * length],
            [0.4 * s, 0.4 * s],
            rng.from_to(0.4, 1.0),
        );
    }
    let levels = rng.from_to(-10.0, 14.0);
    Defect { mask, tone: Tone::Shift(levels) }.lay(field);
}

fn scale_marks(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let region = Region::draw(size, [0.14, 0.12], [0.52, 0.45], 0.12, rng);
    let mut mask = Mask::flat(size, 0.0);
    let count = (region.width * region.height / (s * s) / rng.from_to(110.0, 210.0)) as usize + 3;
    for _ in 0..count {
        let [x, y] = region.point(rng);
        let long = rng.rather_small(1.5, 9.0) * s;
        let radius = rng.from_to(0.8, 1.9) * s;
        let drop = rng.from_to(-0.25, 0.25) * long;
        mask.stroke(
            [x - long / 2.0, y],
            [x + long / 2.0, y + drop],
            [radius, radius * 0.6],
            rng.from_to(0.45, 1.0),
        );
    }
    Defect { mask, tone: Tone::Shift(-rng.from_to(24.0, 48.0)) }
}

fn dark(size: Size, rng: &mut ChaCha8Rng) -> Field {
    let level = rng.from_to(48.0, 125.0);
    let s = scale(size);
    let mut field = bands(size, 5.0, rng);
    field.data.iter_mut().for_each(|v| *v += level);
    field.add(&Field::clouds(size, [70.0 * s, 50.0 * s], rng), 4.0);
    field.add(&Field::grain(size, [0, 3], rng), 0.8);
    field.add(&Field::noise(size, rng), rng.from_to(1.0, 2.4));
    light(&mut field, rng.from_to(-25.0, 25.0), rng.from_to(-12.0, 12.0));
    field
}

fn scratch(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let mut mask = Mask::flat(size, 0.0);
    let (w, h) = (size.width as f32, size.height as f32);
    let lying = rng.happens(0.18);
    let (side, other) = if lying { (w, h) } else { (h, w) };
    let length = side * rng.from_to(0.12, 1.1);
    let start = rng.from_to(-0.1, 0.95) * side;
    let across = rng.from_to(0.04, 0.96) * other;
    let drift =
        length * if rng.happens(0.25) { rng.from_to(-0.22, 0.22) } else { rng.from_to(-0.015, 0.015) };
    let radius = rng.rather_small(0.45, 5.0) * s;
    let place = |along: f32, off: f32| if lying { [along, off] } else { [off, along] };
    let lines = if radius > 1.2 * s && rng.happens(0.6) { rng.whole(2, 4) } else { 1 };
    let pieces = rng.whole(5, 12);
    for line in 0..lines {
        let off = (line as f32 - (lines - 1) as f32 / 2.0) * 1.9 * radius / lines as f32;
        let thick = if lines > 1 { 0.72 * radius / lines as f32 } else { radius };
        for piece in 0..pieces {
            // Brightness and thickness change along the way.
            let at = |p: usize| p as f32 / pieces as f32;
            let point = |part: f32| place(start + length * part, across + off + drift * part);
            let ends =
                [0, 1].map(|end| thick * rng.from_to(0.75, 1.1) * if piece + end == 0 { 0.5 } else { 1.0 });
            mask.stroke(point(at(piece)), point(at(piece + 1)), ends, rng.from_to(0.55, 1.0));
        }
    }
    let thin = radius < 0.9 * s;
    Defect { mask, tone: Tone::Shift(if thin { rng.from_to(22.0, 75.0) } else { rng.from_to(35.0, 125.0) }) }
}
