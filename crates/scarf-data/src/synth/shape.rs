use rand_chacha::ChaCha8Rng;
use scarf_core::{BBox, Size};

use super::chance::Chance;
use super::field::Field;

/// The part of each pixel that a defect covers, 0..=1.
pub(super) type Mask = Field;

/// A region that a cluster of marks fills.
#[derive(Clone, Copy, Debug)]
pub(super) struct Region {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) width: f32,
    pub(super) height: f32,
}

impl Region {
    /// A region of sides from `least` to `most` of the image's; it may reach over the edges by `over`.
    pub(super) fn draw(size: Size, least: [f32; 2], most: [f32; 2], over: f32, rng: &mut ChaCha8Rng) -> Self {
        let (w, h) = (size.width as f32, size.height as f32);
        let (width, height) = (w * rng.between(least[0], most[0]), h * rng.between(least[1], most[1]));
        let x = rng.between(-over * width, w - (1.0 - over) * width);
        let y = rng.between(-over * height, h - (1.0 - over) * height);
        Self { x, y, width, height }
    }

    /// A point in it, any as likely.
    pub(super) fn point(&self, rng: &mut ChaCha8Rng) -> [f32; 2] {
        [self.x + self.width * rng.between(0.0, 1.0), self.y + self.height * rng.between(0.0, 1.0)]
    }
}

impl Mask {
    fn cover(&mut self, x: usize, y: usize, part: f32) {
        let value = &mut self.data[y * self.width + x];
        *value = value.max(part);
    }

    /// The pixels of a rectangle that are in the image.
    fn within(&self, x1: f32, y1: f32, x2: f32, y2: f32) -> [std::ops::Range<usize>; 2] {
        let clip = |low: f32, high: f32, end: usize| {
            let low = (low.floor().max(0.0) as usize).min(end);
            low..(high.ceil().max(0.0) as usize).min(end).max(low)
        };
        [clip(x1, x2, self.width), clip(y1, y2, self.height)]
    }

    /// A line with round ends, `radius` thick at `from` and `end` at `to`, its edges one pixel soft.
    pub(super) fn stroke(&mut self, from: [f32; 2], to: [f32; 2], [radius, end]: [f32; 2], part: f32) {
        let reach = radius.max(end) + 1.0;
        let low = [from[0].min(to[0]) - reach, from[1].min(to[1]) - reach];
        let high = [from[0].max(to[0]) + reach, from[1].max(to[1]) + reach];
        let [columns, rows] = self.within(low[0], low[1], high[0], high[1]);
        let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
        let length = (dx * dx + dy * dy).max(1e-6);
        for y in rows {
            for x in columns.clone() {
                let (px, py) = (x as f32 + 0.5 - from[0], y as f32 + 0.5 - from[1]);
                let along = ((px * dx + py * dy) / length).clamp(0.0, 1.0);
                let (ox, oy) = (px - along * dx, py - along * dy);
                let thick = radius + (end - radius) * along;
                let cover = (thick + 0.5 - (ox * ox + oy * oy).sqrt()).clamp(0.0, 1.0).min(2.0 * thick);
                if cover > 0.0 {
                    self.cover(x, y, cover * part);
                }
            }
        }
    }

    /// An ellipse whose edge is moved in and out by `edge` (of about -1..=1), `soft` of its radius soft.
    pub(super) fn blob(&mut self, center: [f32; 2], radii: [f32; 2], edge: &Field, ragged: f32, soft: f32) {
        let reach = radii.map(|r| r * (1.0 + ragged * 1.8));
        let [columns, rows] = self.within(
            center[0] - reach[0],
            center[1] - reach[1],
            center[0] + reach[0],
            center[1] + reach[1],
        );
        for y in rows {
            for x in columns.clone() {
                let dx = (x as f32 + 0.5 - center[0]) / radii[0];
                let dy = (y as f32 + 0.5 - center[1]) / radii[1];
                let depth = 1.0 - (dx * dx + dy * dy).sqrt() + ragged * edge.data[y * self.width + x];
                let part = (depth / soft).clamp(0.0, 1.0);
                if part > 0.0 {
                    self.cover(x, y, part);
                }
            }
        }
    }

    /// A line of strokes that turn as they go. Gives the points between them.
    pub(super) fn wander(
        &mut self,
        from: [f32; 2],
        mut heading: [f32; 2],
        path: Path,
        rng: &mut ChaCha8Rng,
    ) -> Vec<[f32; 2]> {
        let mut points = vec![from];
        for step in 0..path.steps {
            let at = points[step];
            heading = unit(heading.map(|v| v + rng.between(-path.turn, path.turn)));
            let length = path.step * rng.between(0.6, 1.4);
            let to = [at[0] + heading[0] * length, at[1] + heading[1] * length * path.flat];
            let thick = |step: usize| {
                let part = step as f32 / path.steps as f32;
                path.radius * (1.0 - path.taper * (2.0 * part - 1.0) * (2.0 * part - 1.0))
            };
            self.stroke(at, to, [thick(step), thick(step + 1)], path.part);
            points.push(to);
        }
        points
    }

    /// Thins the cover out where the clouds (of about -1..=1) are low, down to `least` of it.
    pub(super) fn modulate(&mut self, clouds: &Field, least: f32) {
        for (part, cloud) in self.data.iter_mut().zip(&clouds.data) {
            *part *= least + (1.0 - least) * (0.5 + 0.5 * cloud).clamp(0.0, 1.0);
        }
    }

    /// The box around the pixels covered by more than `least`, in whole pixels.
    pub(super) fn bounds(&self, least: f32) -> Option<BBox<f64>> {
        let rows = self.data.chunks_exact(self.width);
        let (mut x1, mut y1, mut x2, mut y2) = (usize::MAX, usize::MAX, 0, 0);
        for (y, row) in rows.enumerate() {
            let Some(first) = row.iter().position(|&v| v > least) else { continue };
            let last = row.iter().rposition(|&v| v > least).unwrap_or(first);
            (x1, x2) = (x1.min(first), x2.max(last + 1));
            (y1, y2) = (y1.min(y), y + 1);
        }
        (x1 < x2).then(|| BBox::new(x1 as f64, y1 as f64, x2 as f64, y2 as f64))
    }
}

/// How a line wanders, see [`Mask::wander`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    pub(super) steps: usize,
    /// About so many pixels each.
    pub(super) step: f32,
    /// How far a step may turn: what is added to each side of the heading, a unit vector.
    pub(super) turn: f32,
    /// Below 1: rather along the rows than the columns.
    pub(super) flat: f32,
    /// Half the thickness, in pixels.
    pub(super) radius: f32,
    /// How much thinner it is at its ends, 0..=1.
    pub(super) taper: f32,
    /// The cover, 0..=1.
    pub(super) part: f32,
}

pub(super) fn unit([x, y]: [f32; 2]) -> [f32; 2] {
    let length = (x * x + y * y).sqrt().max(1e-6);
    [x / length, y / length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stroke_is_bounded_by_its_box() {
        let mut mask = Mask::flat(Size::new(30, 20), 0.0);
        assert!(mask.bounds(0.5).is_none());
        mask.stroke([5.0, 10.0], [20.0, 10.0], [2.0, 2.0], 1.0);
        assert_eq!(mask.bounds(0.5), Some(BBox::new(3.0, 8.0, 22.0, 12.0)));
        mask.stroke([-9.0, -9.0], [-5.0, -5.0], [2.0, 2.0], 1.0);
        mask.stroke([28.0, 10.0], [60.0, 90.0], [1.0, 1.0], 1.0);
        assert_eq!(mask.bounds(0.5).map(|b| b.x2), Some(30.0));
    }
}
