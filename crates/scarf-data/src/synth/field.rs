use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use scarf_core::Size;

use super::chance::Chance;

/// A number at every pixel: gray levels, or the cover of a shape in 0..=1.
///
/// Only `+ - * /`, square roots and rounding are used on them, in a fixed order: IEEE 754 gives the
/// same bits for these on every machine, which it does not for sines and exponentials.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) data: Vec<f32>,
}

impl Field {
    pub(super) fn flat(size: Size, level: f32) -> Self {
        let (width, height) = (size.width as usize, size.height as usize);
        Self { width, height, data: vec![level; width * height] }
    }

    /// Independent noise of mean 0 and deviation 1, nearly normal (the sum of four bytes).
    pub(super) fn noise(size: Size, rng: &mut ChaCha8Rng) -> Self {
        let mut field = Self::flat(size, 0.0);
        for value in &mut field.data {
            let sum: u32 = rng.next_u32().to_le_bytes().into_iter().map(u32::from).sum();
            *value = (sum as f32 - 510.0) / 147.8;
        }
        field
    }

    /// Noise smeared over boxes of `2 r + 1` pixels each way, twice; of mean 0 and deviation 1 again.
    pub(super) fn grain(size: Size, reach: [usize; 2], rng: &mut ChaCha8Rng) -> Self {
        let mut field = Self::noise(size, rng);
        for _ in 0..2 {
            field.smear(reach);
        }
        field.normalize();
        field
    }

    /// Soft clouds in -1..=1: random numbers at the corners of cells of that many pixels, blended.
    pub(super) fn clouds(size: Size, cell: [f32; 2], rng: &mut ChaCha8Rng) -> Self {
        let columns = (size.width as f32 / cell[0]) as usize + 3;
        let rows = (size.height as f32 / cell[1]) as usize + 3;
        let corners: Vec<f32> = (0..columns * rows).map(|_| rng.between(-1.0, 1.0)).collect();
        let (dx, dy) = (rng.between(0.0, 1.0), rng.between(0.0, 1.0));
        let blend = |position: f32| {
            let part = position - position.floor();
            (position as usize, part * part * (3.0 - 2.0 * part))
        };
        let across: Vec<_> = (0..size.width).map(|x| blend(x as f32 / cell[0] + dx)).collect();
        let mut field = Self::flat(size, 0.0);
        for (y, row) in field.data.chunks_exact_mut(size.width as usize).enumerate() {
            let (top, down) = blend(y as f32 / cell[1] + dy);
            let (upper, lower) = (&corners[top * columns..], &corners[(top + 1) * columns..]);
            for (value, &(left, right)) in row.iter_mut().zip(&across) {
                let a = upper[left] + (upper[left + 1] - upper[left]) * right;
                let b = lower[left] + (lower[left + 1] - lower[left]) * right;
                *value = a + (b - a) * down;
            }
        }
        field
    }

    /// Clouds of three sizes, each half as large and half as strong as the one before.
    pub(super) fn ragged(size: Size, cell: [f32; 2], rng: &mut ChaCha8Rng) -> Self {
        let mut field = Self::clouds(size, cell, rng);
        for halving in [2.0, 4.0] {
            field.add(&Self::clouds(size, cell.map(|side| (side / halving).max(1.5)), rng), 1.0 / halving);
        }
        field
    }

    pub(super) fn add(&mut self, other: &Self, factor: f32) {
        self.data.iter_mut().zip(&other.data).for_each(|(value, other)| *value += other * factor);
    }

    fn normalize(&mut self) {
        let count = self.data.len() as f32;
        let mean = self.data.iter().sum::<f32>() / count;
        let variance = self.data.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / count;
        let scale = 1.0 / variance.sqrt().max(1e-6);
        self.data.iter_mut().for_each(|value| *value = (*value - mean) * scale);
    }

    /// The mean over `2 r + 1` pixels, along rows and then columns; the edge pixels repeat.
    pub(super) fn smear(&mut self, [rx, ry]: [usize; 2]) {
        if rx > 0 {
            let mut old = vec![0.0; self.width];
            for row in self.data.chunks_exact_mut(self.width) {
                old.copy_from_slice(row);
                running_mean(&old, rx, |x, mean| row[x] = mean);
            }
        }
        if ry > 0 {
            self.smear_columns(ry);
        }
    }

    /// All columns at once, row by row.
    fn smear_columns(&mut self, r: usize) {
        let (width, last) = (self.width, self.height - 1);
        let old = self.data.clone();
        let row = |y: usize| &old[y.min(last) * width..][..width];
        let mut sums = vec![0.0f32; width];
        for y in 0..=2 * r {
            sums.iter_mut().zip(row(y.saturating_sub(r))).for_each(|(sum, v)| *sum += v);
        }
        let scale = 1.0 / (2 * r + 1) as f32;
        for y in 0..self.height {
            let target = &mut self.data[y * width..][..width];
            target.iter_mut().zip(&sums).for_each(|(v, sum)| *v = sum * scale);
            let (next, gone) = (row(y + r + 1), row(y.saturating_sub(r)));
            for ((sum, next), gone) in sums.iter_mut().zip(next).zip(gone) {
                *sum += next - gone;
            }
        }
    }
}

fn running_mean(old: &[f32], r: usize, mut put: impl FnMut(usize, f32)) {
    let last = old.len() - 1;
    let mut sum: f32 = (0..=2 * r).map(|x| old[x.saturating_sub(r).min(last)]).sum();
    let scale = 1.0 / (2 * r + 1) as f32;
    for x in 0..old.len() {
        put(x, sum * scale);
        sum += old[(x + r + 1).min(last)] - old[x.saturating_sub(r)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn smearing_is_the_mean_with_the_edges_repeated() {
        let data = vec![0.0, 3.0, 6.0, 0.0, 0.0, 9.0];
        let mut field = Field { width: 6, height: 1, data: data.clone() };
        field.smear([1, 0]);
        assert_eq!(field.data, [1.0, 3.0, 3.0, 2.0, 3.0, 6.0]);
        let mut field = Field { width: 1, height: 6, data };
        field.smear([0, 1]);
        assert_eq!(field.data, [1.0, 3.0, 3.0, 2.0, 3.0, 6.0]);
    }

    #[test]
    fn grain_has_mean_0_and_deviation_1() {
        let field = Field::grain(Size::new(90, 70), [1, 6], &mut ChaCha8Rng::seed_from_u64(1));
        let count = field.data.len() as f32;
        let mean = field.data.iter().sum::<f32>() / count;
        let variance = field.data.iter().map(|v| v * v).sum::<f32>() / count;
        assert!(mean.abs() < 1e-3 && (variance - 1.0).abs() < 1e-3, "{mean} {variance}");
    }
}
