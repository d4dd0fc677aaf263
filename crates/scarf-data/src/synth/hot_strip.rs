//! The looks of NEU-DET's six classes, drawn after its photographs.

use rand_chacha::ChaCha8Rng;
use scarf_core::Size;

use super::chance::Chance;
use super::field::Field;
use super::looks::{Defect, Look, Tone, light, scale};
use super::shape::{Mask, Path, Region};

pub(super) const LOOKS: [Look; 6] = [
    Look { name: "crazing", surface: rough, defect: crazing, count: [1, 4], margin: 0.0 },
    Look { name: "inclusion", surface: smooth, defect: inclusion, count: [1, 5], margin: 6.0 },
    Look { name: "pitted_surface", surface: bright, defect: pits, count: [1, 2], margin: 3.0 },
    Look { name: "patches", surface: bleached, defect: patch, count: [1, 4], margin: 4.0 },
    Look { name: "rolled-in_scale", surface: rolled, defect: scale_marks, count: [1, 4], margin: 5.0 },
    Look { name: "scratches", surface: dark, defect: scratch, count: [1, 4], margin: 6.0 },
];

/// Columns of the strip that are brighter or darker than others: rolls leave them.
fn bands(size: Size, levels: f32, rng: &mut ChaCha8Rng) -> Field {
    let s = scale(size);
    let mut field = Field::clouds(size, [24.0 * s, 900.0 * s], rng);
    field.data.iter_mut().for_each(|v| *v *= levels);
    field
}

fn rough(size: Size, rng: &mut ChaCha8Rng) -> Field {
    let level = rng.between(100.0, 182.0);
    let s = scale(size);
    let mut field = bands(size, 20.0, rng);
    field.data.iter_mut().for_each(|v| *v += level);
    field.add(&Field::grain(size, [1, 0], rng), rng.between(7.0, 11.0));
    field.add(&Field::grain(size, [0, 1], rng), rng.between(6.0, 9.0));
    field.add(&Field::noise(size, rng), rng.between(5.0, 9.0));
    field.add(&Field::ragged(size, [8.0 * s, 4.0 * s], rng), rng.between(9.0, 15.0));
    light(&mut field, rng.between(-60.0, 60.0), rng.between(-15.0, 15.0));
    field
}

fn crazing(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let region = Region::draw(size, [0.3, 0.22], [0.85, 0.6], 0.15, rng);
    let mut mask = Mask::flat(size, 0.0);
    let lines = (region.width * region.height / (s * s) / rng.between(150.0, 330.0)) as usize + 4;
    let slant = rng.between(-0.5, 0.5);
    for _ in 0..lines {
        let path = Path {
            steps: rng.whole(4, 9),
            step: 2.6 * s,
            turn: 1.0,
            flat: 0.75,
            radius: rng.rather_small(0.3, 1.1) * s,
            taper: 0.6,
            part: rng.between(0.3, 0.95),
        };
        let way = if rng.happens(0.5) { 1.0 } else { -1.0 };
        let points = mask.wander(region.point(rng), [way, way * slant], path, rng);
        if rng.happens(0.5) {
            let from = points[points.len() / 2];
            let branch = Path { steps: 4, radius: path.radius * 0.7, ..path };
            mask.wander(from, [rng.between(-0.5, 0.5), -way], branch, rng);
        }
        if rng.happens(0.06) {
            // A speck that broke out.
            let speck = Path { steps: 4, step: 1.5 * s, turn: 2.0, radius: 1.8 * s, part: 0.9, ..path };
            mask.wander(points[0], [way, 0.0], speck, rng);
        }
    }
    Defect { mask, tone: Tone::Shift(-rng.between(48.0, 90.0)) }
}

fn smooth(size: Size, rng: &mut ChaCha8Rng) -> Field {
    let level = rng.between(72.0, 165.0);
    let s = scale(size);
    let mut field = bands(size, rng.between(2.0, 8.0), rng);
    field.data.iter_mut().for_each(|v| *v += level);
    field.add(&Field::clouds(size, [40.0 * s, 70.0 * s], rng), 4.0);
    field.add(&Field::clouds(size, [5.0 * s, 60.0 * s], rng), rng.between(0.5, 3.0));
    field.add(&Field::grain(size, [0, 4], rng), 0.9);
    field.add(&Field::noise(size, rng), rng.between(0.8, 1.6));
    light(&mut field, rng.between(-38.0, 38.0), rng.between(-16.0, 16.0));
    field
}

fn inclusion(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let mut mask = Mask::flat(size, 0.0);
    // Either a smear, wide and faint, or a streak.
    let smear = rng.happens(0.25);
    let length = if smear { rng.between(60.0, 210.0) } else { rng.rather_small(20.0, 150.0) } * s;
    let radius = if smear { rng.between(6.0, 17.0) } else { rng.rather_small(2.2, 8.5) } * s;
    let mut at = [rng.between(0.04, 0.96) * size.width as f32, rng.between(-0.1, 0.85) * size.height as f32];
    let edge = Field::ragged(size, [4.0 * s, 22.0 * s], rng);
    let pieces = if !smear && length > 35.0 * s && rng.happens(0.45) { rng.whole(2, 4) } else { 1 };
    let piece = length / pieces as f32;
    for _ in 0..pieces {
        let half = if pieces > 1 { piece * rng.between(0.3, 0.6) } else { piece * 0.5 };
        let across = radius * rng.between(0.6, 1.2);
        mask.blob([at[0], at[1] + half], [across, half], &edge, 0.5, rng.between(0.3, 0.7));
        if rng.happens(0.4) {
            let end = [at[0] + rng.between(-2.0, 2.0) * s, at[1] + half * rng.between(2.0, 3.0)];
            mask.stroke([at[0], at[1] + half], end, [across * 0.5, 0.4 * s], 0.8);
        }
        at = [at[0] + rng.between(-2.5, 2.5) * s, at[1] + piece];
    }
    let faint = smear || rng.happens(0.25);
    Defect { mask, tone: Tone::Shift(-if faint { rng.between(9.0, 22.0) } else { rng.between(18.0, 48.0) }) }
}

fn bright(size: Size, rng: &mut ChaCha8Rng) -> Field {
    let level = rng.between(115.0, 238.0);
    let s = scale(size);
    let mut field = bands(size, rng.between(4.0, 14.0), rng);
    field.data.iter_mut().for_each(|v| *v += level);
    field.add(&Field::clouds(size, [60.0 * s, 60.0 * s], rng), 5.0);
    field.add(&Field::grain(size, [1, 1], rng), rng.between(1.2, 3.0));
    field.add(&Field::noise(size, rng), 1.8);
    light(&mut field, rng.between(-85.0, 85.0), rng.between(-50.0, 50.0));
    field
}

fn pits(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let region = Region::draw(size, [0.28, 0.5], [1.0, 1.1], 0.06, rng);
    let mut mask = Mask::flat(size, 0.0);
    let apart = rng.rather_small(26.0, 130.0);
    let count = (region.width * region.height / (s * s) / apart) as usize + 6;
    let (radius, long) = (rng.between(0.7, 1.5) * s, rng.between(0.0, 2.4) * s);
    let lean = rng.between(-0.8, 0.8);
    for _ in 0..count {
        let at = region.point(rng);
        let (r, l) = (radius * rng.between(0.6, 1.3), long * rng.between(0.4, 1.2));
        mask.stroke(at, [at[0] + lean * l, at[1] + l], [r, r * 0.8], rng.between(0.5, 1.0));
    }
    Defect { mask, tone: Tone::Shift(-rng.between(24.0, 72.0)) }
}

fn bleached(size: Size, rng: &mut ChaCha8Rng) -> Field {
    let level = rng.between(150.0, 245.0);
    let s = scale(size);
    let mut field = Field::flat(size, level);
    field.add(&Field::ragged(size, [55.0 * s, 90.0 * s], rng), rng.between(30.0, 60.0));
    field.add(&Field::grain(size, [0, 3], rng), rng.between(5.0, 9.0));
    field.add(&Field::grain(size, [1, 1], rng), rng.between(8.0, 13.0));
    field.add(&Field::noise(size, rng), rng.between(6.0, 11.0));
    field
}

fn patch(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let mut mask = Mask::flat(size, 0.0);
    let edge = Field::ragged(size, [24.0 * s, 30.0 * s], rng);
    let mut at = [rng.between(0.0, 1.0) * size.width as f32, rng.between(0.0, 1.0) * size.height as f32];
    let radii = [rng.between(14.0, 33.0) * s, rng.between(17.0, 50.0) * s];
    for piece in 0..rng.whole(1, 3) {
        let shrink = if piece == 0 { 1.0 } else { rng.between(0.5, 0.9) };
        mask.blob(at, radii.map(|r| r * shrink), &edge, 0.4, rng.between(0.25, 0.6));
        let side = if rng.happens(0.5) { 1.0 } else { -1.0 };
        at = [at[0] + side * rng.between(0.1, 0.9) * radii[0], at[1] + rng.between(0.4, 1.1) * radii[1]];
    }
    // Lighter inside, here and there.
    mask.modulate(&Field::ragged(size, [16.0 * s, 20.0 * s], rng), 0.65);
    let level = rng.between(30.0, 85.0);
    Defect { mask, tone: Tone::Toward { level, texture: rng.between(0.15, 0.35) } }
}

fn rolled(size: Size, rng: &mut ChaCha8Rng) -> Field {
    let level = rng.between(85.0, 158.0);
    let s = scale(size);
    let mut field = bands(size, rng.between(4.0, 11.0), rng);
    field.data.iter_mut().for_each(|v| *v += level);
    field.add(&Field::ragged(size, [20.0 * s, 16.0 * s], rng), rng.between(7.0, 14.0));
    field.add(&Field::grain(size, [2, 1], rng), rng.between(4.5, 7.0));
    field.add(&Field::noise(size, rng), rng.between(3.0, 5.0));
    if rng.happens(0.6) {
        handling_marks(&mut field, size, rng);
    }
    light(&mut field, rng.between(-35.0, 35.0), rng.between(-14.0, 14.0));
    field
}

/// Faint slanted lines that nobody counts as defects.
fn handling_marks(field: &mut Field, size: Size, rng: &mut ChaCha8Rng) {
    let s = scale(size);
    let mut mask = Mask::flat(size, 0.0);
    let slant = rng.between(-0.9, 0.9);
    for _ in 0..rng.whole(2, 7) {
        let from = [rng.between(0.0, 1.0) * size.width as f32, rng.between(0.0, 1.0) * size.height as f32];
        let length = rng.between(25.0, 90.0) * s;
        mask.stroke(
            from,
            [from[0] + length, from[1] + slant * length],
            [0.4 * s, 0.4 * s],
            rng.between(0.4, 1.0),
        );
    }
    let levels = rng.between(-10.0, 14.0);
    Defect { mask, tone: Tone::Shift(levels) }.lay(field);
}

fn scale_marks(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let region = Region::draw(size, [0.14, 0.12], [0.52, 0.45], 0.12, rng);
    let mut mask = Mask::flat(size, 0.0);
    let count = (region.width * region.height / (s * s) / rng.between(80.0, 180.0)) as usize + 3;
    for _ in 0..count {
        let [x, y] = region.point(rng);
        let long = rng.rather_small(1.5, 9.0) * s;
        let radius = rng.between(0.8, 1.9) * s;
        let drop = rng.between(-0.25, 0.25) * long;
        mask.stroke(
            [x - long / 2.0, y],
            [x + long / 2.0, y + drop],
            [radius, radius * 0.6],
            rng.between(0.45, 1.0),
        );
    }
    Defect { mask, tone: Tone::Shift(-rng.between(24.0, 48.0)) }
}

fn dark(size: Size, rng: &mut ChaCha8Rng) -> Field {
    let level = rng.between(42.0, 140.0);
    let s = scale(size);
    let mut field = bands(size, rng.between(2.0, 10.0), rng);
    field.data.iter_mut().for_each(|v| *v += level);
    field.add(&Field::clouds(size, [60.0 * s, 50.0 * s], rng), 6.0);
    field.add(&Field::clouds(size, [4.0 * s, 80.0 * s], rng), rng.between(0.5, 3.5));
    field.add(&Field::grain(size, [0, 3], rng), 0.8);
    field.add(&Field::noise(size, rng), rng.between(0.8, 2.6));
    light(&mut field, rng.between(-35.0, 35.0), rng.between(-16.0, 16.0));
    field
}

fn scratch(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let mut mask = Mask::flat(size, 0.0);
    let (w, h) = (size.width as f32, size.height as f32);
    let lying = rng.happens(0.18);
    let (side, other) = if lying { (w, h) } else { (h, w) };
    let length = side * if rng.happens(0.35) { 1.3 } else { rng.between(0.14, 0.9) };
    let start = if length > side { -0.1 * side } else { rng.between(-0.1, 0.9) * side };
    let across = rng.between(0.04, 0.96) * other;
    let drift = length * if rng.happens(0.15) { rng.between(-0.2, 0.2) } else { rng.between(-0.015, 0.015) };
    let radius = rng.rather_small(0.5, 7.5) * s;
    let place = |along: f32, off: f32| if lying { [along, off] } else { [off, along] };
    let lines = if radius > 1.4 * s && rng.happens(0.5) { rng.whole(2, 5) } else { 1 };
    let bend = rng.between(-1.5, 1.5) * s;
    for line in 0..lines {
        let off = (line as f32 - (lines - 1) as f32 / 2.0) * 2.0 * radius / lines as f32;
        let thick = if lines > 1 { 0.7 * radius / lines as f32 } else { radius };
        let part = rng.between(0.5, 1.0);
        let point = |along: f32, off: f32| place(start + length * along, across + off + drift * along);
        let (first, middle, last) =
            (point(0.0, off), point(rng.between(0.3, 0.7), off + bend), point(1.0, off));
        let ends = [thick * rng.between(0.3, 0.9), thick, thick * rng.between(0.3, 0.9)];
        mask.stroke(first, middle, [ends[0], ends[1]], part);
        mask.stroke(middle, last, [ends[1], ends[2]], part);
    }
    // Its brightness changes along the way, and across where it is wide.
    let cell = if lying { [30.0 * s, 2.5 * s] } else { [2.5 * s, 30.0 * s] };
    mask.modulate(&Field::ragged(size, cell, rng), 0.5);
    let thin = radius < 1.0 * s;
    Defect { mask, tone: Tone::Shift(if thin { rng.between(30.0, 95.0) } else { rng.between(45.0, 190.0) }) }
}
