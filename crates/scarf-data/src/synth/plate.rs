//! The looks of another mill: heavy plate, ground in slanted strokes, lit by a lamp; six classes
//! of its own, for pretraining.

use rand_chacha::ChaCha8Rng;
use scarf_core::Size;

use super::chance::Chance;
use super::field::Field;
use super::looks::{Defect, Look, Tone, scale};
use super::shape::{Mask, Path, Region, unit};

pub(super) const LOOKS: [Look; 6] = [
    Look { name: "crack", surface: cast, defect: crack, count: [1, 3], margin: 5.0 },
    Look { name: "pore", surface: cast, defect: pores, count: [1, 4], margin: 4.0 },
    Look { name: "stain", surface: ground, defect: stain, count: [1, 4], margin: 3.0 },
    Look { name: "gouge", surface: ground, defect: gouge, count: [1, 5], margin: 6.0 },
    Look { name: "flake", surface: cast, defect: flake, count: [1, 4], margin: 4.0 },
    Look { name: "dent", surface: ground, defect: dent, count: [1, 4], margin: 3.0 },
];

/// A lamp over some point: brighter near it.
fn lamp(field: &mut Field, size: Size, rng: &mut ChaCha8Rng) {
    let (w, h) = (size.width as f32, size.height as f32);
    let (cx, cy) = (rng.between(-0.2, 1.2) * w, rng.between(-0.2, 1.2) * h);
    let (levels, reach) = (rng.between(25.0, 80.0), rng.between(0.25, 0.9) * (w * w + h * h));
    let width = field.width;
    for (y, row) in field.data.chunks_exact_mut(width).enumerate() {
        for (x, value) in row.iter_mut().enumerate() {
            let (dx, dy) = (x as f32 - cx, y as f32 - cy);
            *value += levels / (1.0 + (dx * dx + dy * dy) / reach * 4.0);
        }
    }
}

/// Sand-cast: mottled in all directions.
fn cast(size: Size, rng: &mut ChaCha8Rng) -> Field {
    let s = scale(size);
    let mut field = Field::flat(size, rng.between(55.0, 140.0));
    field.add(&Field::ragged(size, [12.0 * s, 12.0 * s], rng), rng.between(7.0, 17.0));
    field.add(&Field::ragged(size, [60.0 * s, 60.0 * s], rng), rng.between(6.0, 15.0));
    field.add(&Field::noise(size, rng), rng.between(2.0, 8.0));
    lamp(&mut field, size, rng);
    field
}

/// Ground: slanted strokes of one direction.
fn ground(size: Size, rng: &mut ChaCha8Rng) -> Field {
    let s = scale(size);
    let (w, h) = (size.width as f32, size.height as f32);
    let mut field = Field::flat(size, rng.between(80.0, 165.0));
    let way = unit([rng.between(-1.0, 1.0), rng.between(-1.0, 1.0)]);
    for levels in [rng.between(6.0, 14.0), -rng.between(6.0, 14.0)] {
        let mut mask = Mask::flat(size, 0.0);
        for _ in 0..110 {
            let from = [rng.between(-0.2, 1.2) * w, rng.between(-0.2, 1.2) * h];
            let length = rng.between(15.0, 70.0) * s;
            let to = [from[0] + way[0] * length, from[1] + way[1] * length];
            mask.stroke(from, to, [0.5 * s, 0.3 * s], rng.between(0.3, 1.0));
        }
        Defect { mask, tone: Tone::Shift(levels) }.lay(&mut field);
    }
    field.add(&Field::clouds(size, [50.0 * s, 50.0 * s], rng), rng.between(3.0, 10.0));
    field.add(&Field::noise(size, rng), rng.between(1.5, 5.0));
    lamp(&mut field, size, rng);
    field
}

fn somewhere(size: Size, rng: &mut ChaCha8Rng) -> [f32; 2] {
    [rng.between(0.05, 0.95) * size.width as f32, rng.between(0.05, 0.95) * size.height as f32]
}

fn crack(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let mut mask = Mask::flat(size, 0.0);
    let path = Path {
        steps: rng.whole(6, 22),
        step: 7.0 * s,
        turn: 0.45,
        flat: 1.0,
        radius: rng.between(0.6, 1.9) * s,
        taper: 0.7,
        part: 1.0,
    };
    let heading = [rng.between(-1.0, 1.0), rng.between(-1.0, 1.0)];
    let points = mask.wander(somewhere(size, rng), heading, path, rng);
    for _ in 0..rng.whole(0, 3) {
        let from = points[rng.whole(0, points.len() - 1)];
        let branch = Path { steps: rng.whole(2, 5), radius: path.radius * 0.6, ..path };
        mask.wander(from, [rng.between(-1.0, 1.0), rng.between(-1.0, 1.0)], branch, rng);
    }
    Defect { mask, tone: Tone::Shift(-rng.between(28.0, 70.0)) }
}

fn pores(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let mut mask = Mask::flat(size, 0.0);
    let region = Region::draw(size, [0.08, 0.08], [0.5, 0.5], 0.1, rng);
    for _ in 0..rng.whole(3, 22) {
        let at = region.point(rng);
        let radius = rng.rather_small(1.0, 4.2) * s;
        mask.stroke(at, [at[0] + 0.3 * radius, at[1]], [radius, radius], 1.0);
    }
    Defect { mask, tone: Tone::Shift(-rng.between(30.0, 75.0)) }
}

fn stain(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let mut mask = Mask::flat(size, 0.0);
    let edge = Field::clouds(size, [26.0 * s, 26.0 * s], rng);
    let radii = [rng.between(10.0, 42.0) * s, rng.between(10.0, 42.0) * s];
    mask.blob(somewhere(size, rng), radii, &edge, 0.4, rng.between(0.08, 0.4));
    let levels = rng.between(16.0, 42.0);
    Defect { mask, tone: Tone::Shift(if rng.happens(0.6) { -levels } else { levels }) }
}

fn gouge(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let mut mask = Mask::flat(size, 0.0);
    let from = somewhere(size, rng);
    let way = unit([rng.between(-1.0, 1.0), rng.between(-1.0, 1.0)]);
    let length = rng.between(22.0, 130.0) * s;
    let to = [from[0] + way[0] * length, from[1] + way[1] * length];
    mask.stroke(from, to, [rng.between(1.6, 4.5) * s, rng.between(0.4, 1.4) * s], 1.0);
    let levels = rng.between(32.0, 90.0);
    Defect { mask, tone: Tone::Shift(if rng.happens(0.7) { levels } else { -levels }) }
}

fn flake(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let mut mask = Mask::flat(size, 0.0);
    let edge = Field::ragged(size, [12.0 * s, 12.0 * s], rng);
    let at = somewhere(size, rng);
    let radii = [rng.between(8.0, 32.0) * s, rng.between(8.0, 32.0) * s];
    mask.blob(at, radii, &edge, 0.5, 0.12);
    let level = rng.between(150.0, 215.0);
    Defect { mask, tone: Tone::Toward { level, texture: rng.between(0.3, 0.5) } }
}

/// A hollow: dark on one side and bright on the other, the box around both.
fn dent(size: Size, rng: &mut ChaCha8Rng) -> Defect {
    let s = scale(size);
    let mut mask = Mask::flat(size, 0.0);
    let edge = Field::clouds(size, [20.0 * s, 20.0 * s], rng);
    let at = somewhere(size, rng);
    let radii = [rng.between(7.0, 26.0) * s, rng.between(7.0, 26.0) * s];
    mask.blob(at, radii, &edge, 0.12, 0.5);
    Defect {
        mask,
        tone: Tone::Tilt {
            center: at,
            radii,
            levels: rng.between(35.0, 85.0),
            way: unit([rng.between(-1.0, 1.0), rng.between(-1.0, 1.0)]),
        },
    }
}
