use std::fmt;

use crate::Matched;
use crate::matched::Scratch;

/// A number and the interval in which resampled test sets put it.
#[derive(Clone, Debug, PartialEq)]
pub struct Interval {
    /// The number on the images as they are.
    pub value: f64,
    /// The 2.5th percentile of the resamples.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
    /// Resamples that had any object to score.
    pub resamples: usize,
}

/// Two models on the same images.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// AP of the second less AP of the first, with its 95 % interval.
    pub difference: Interval,
    /// Two-sided: how often chance alone would put the difference this far to one side of 0, from
    /// the share of resamples on the other side of 0. Never below `2 / (resamples + 1)`.
    pub p_value: f64,
}

/// Two evaluations that do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a paired comparison needs the same images in both; one has {first}, the other {second}")]
pub struct NotPaired {
    /// Images of the first.
    pub first: usize,
    /// Images of the second.
    pub second: usize,
}

impl Matched {
    /// AP with its 95 % interval by the percentile bootstrap: images drawn with replacement, as many as
    /// there are. The same seed draws the same images. `None` where there is nothing to score.
    pub fn bootstrap(&self, resamples: usize, seed: u64) -> Option<Interval> {
        let scratch = &mut Scratch::default();
        let all = 0..self.iou_thresholds.len();
        let value = self.ap_at(all.clone(), &[], scratch)?;
        let mut draw = Draw::new(self.images, seed);
        let aps = (0..resamples).filter_map(|_| self.ap_at(all.clone(), draw.next(), scratch)).collect();
        Some(interval(value, aps))
    }

    /// AP of `other` less our own, with an interval from resamples in which both see the same images.
    ///
    /// # Errors
    /// Different numbers of images. `Ok(None)` where either has nothing to score.
    pub fn compare(
        &self,
        other: &Matched,
        resamples: usize,
        seed: u64,
    ) -> Result<Option<Comparison>, NotPaired> {
        if self.images != other.images {
            return Err(NotPaired { first: self.images, second: other.images });
        }
        let scratch = &mut Scratch::default();
        let mut difference = |weights: &[u32]| {
            let ours = self.ap_at(0..self.iou_thresholds.len(), weights, scratch)?;
            Some(other.ap_at(0..other.iou_thresholds.len(), weights, scratch)? - ours)
        };
        let Some(value) = difference(&[]) else {
            return Ok(None);
        };
        let mut draw = Draw::new(self.images, seed);
        let differences: Vec<f64> = (0..resamples).filter_map(|_| difference(draw.next())).collect();
        let beyond = |side: fn(f64) -> bool| differences.iter().filter(|&&d| side(d)).count() + 1;
        let least = beyond(|d| d <= 0.0).min(beyond(|d| d >= 0.0));
        let p_value = (2.0 * least as f64 / (differences.len() + 1) as f64).min(1.0);
        Ok(Some(Comparison { difference: interval(value, differences), p_value }))
    }
}

impl Comparison {
    /// Whether the interval of the difference leaves 0 out.
    pub fn significant(&self) -> bool {
        self.difference.low > 0.0 || self.difference.high < 0.0
    }
}

impl fmt::Display for Comparison {
    /// The second against the first in words, in points of AP (hundredths).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Interval { value, low, high, .. } = self.difference;
        let [points, low, high] = [value, low, high].map(|v| 100.0 * v);
        let verdict = match (self.significant(), value > 0.0) {
            (true, true) => "better, and other images would hardly say otherwise",
            (true, false) => "worse, and other images would hardly say otherwise",
            (false, _) => "these images cannot tell which is better",
        };
        let p = self.p_value;
        write!(f, "{points:+.1} points (95 % interval {low:+.1} to {high:+.1}, p = {p:.3}): {verdict}")
    }
}

fn interval(value: f64, mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    let percentile = |share: f64| {
        let at = share * values.len().saturating_sub(1) as f64;
        let (low, part) = (at.floor() as usize, at.fract());
        match (values.get(low), values.get(low + 1)) {
            (Some(a), Some(b)) => a + (b - a) * part,
            (Some(a), None) => *a,
            (None, _) => value,
        }
    };
    Interval { value, low: percentile(0.025), high: percentile(0.975), resamples: values.len() }
}

/// Draws of images with replacement: how often each comes.
///
/// A counter through SplitMix64's mixer (Steele et al. 2014), so that the crate needs no other one.
struct Draw {
    state: u64,
    weights: Vec<u32>,
}

impl Draw {
    fn new(images: usize, seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0xD134_2543_DE82_EF95), weights: vec![0; images] }
    }

    fn next(&mut self) -> &[u32] {
        self.weights.fill(0);
        for _ in 0..self.weights.len() {
            self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            let image = (u128::from(z) * self.weights.len() as u128) >> 64;
            self.weights[image as usize] += 1;
        }
        &self.weights
    }
}
