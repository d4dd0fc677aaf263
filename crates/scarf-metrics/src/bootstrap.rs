use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use crate::matched::Scratch;
use crate::{Matched, normal};

/// A number and the interval in which resampled test sets put it.
#[derive(Clone, Debug, PartialEq)]
pub struct Interval {
    /// The number on the images as they are.
    pub value: f64,
    /// Its lower end: the 2.5th percentile of the resamples, moved by their bias.
    pub low: f64,
    /// Its upper end: the 97.5th, likewise.
    pub high: f64,
    /// Resamples that had any object to score.
    pub resamples: usize,
}

/// Two models on the same images.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// AP of the second less AP of the first, with its 95 % interval.
    pub difference: Interval,
    /// Two-sided: under .05 where the 95 % interval leaves 0 out, and so on for every other share: the share for which an
    /// end of the interval is 0 (Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, section 15.4). Where no
    /// resample lies beyond 0, the most that it may be; never below `1 / (resamples + 1)`.
    pub p_value: f64,
}

/// AP of one model on its images, and on as many drawn from them with replacement, again and again: what intervals and
/// comparisons are made of, in a few kilobytes, when its detections are long gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Resampled {
    /// On the images as they are.
    pub value: f64,
    /// How many there are.
    pub images: usize,
    /// Which draws: the same seed draws the same images of as many.
    pub seed: u64,
    /// On each draw; `None` where it has no object to score.
    pub resamples: Vec<Option<f64>>,
}

/// Two models that were not scored on the same draws of the same images.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a paired comparison needs the same draws of the same images in both; one has {first}, the other {second}"
)]
pub struct NotPaired {
    first: String,
    second: String,
}

impl Matched {
    /// AP over the IoU thresholds of this range of indices on `resamples` draws of as many images as there are, with
    /// replacement. `None` where there is nothing to score.
    pub fn resampled(&self, thresholds: Range<usize>, resamples: usize, seed: u64) -> Option<Resampled> {
        let scratch = &mut Scratch::default();
        let value = self.ap_at(thresholds.clone(), &[], scratch)?;
        let mut draw = Draw::new(self.images, seed);
        let resamples =
            (0..resamples).map(|_| self.ap_at(thresholds.clone(), draw.next(), scratch)).collect();
        Some(Resampled { value, images: self.images, seed, resamples })
    }

    /// AP with its 95 % interval: [`Resampled::interval`] over all IoU thresholds.
    pub fn bootstrap(&self, resamples: usize, seed: u64) -> Option<Interval> {
        Some(self.resampled(0..self.iou_thresholds.len(), resamples, seed)?.interval())
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
        let of = |model: &Matched| model.resampled(0..model.iou_thresholds.len(), resamples, seed);
        match (of(self), of(other)) {
            (Some(ours), Some(theirs)) => compare_means(&[ours], &[theirs]),
            _ => Ok(None),
        }
    }
}

impl Resampled {
    /// AP with its 95 % interval by the bias-corrected bootstrap.
    pub fn interval(&self) -> Interval {
        interval(self.value, self.resamples.iter().copied().flatten().collect())
    }

    /// Whether as many images would have been drawn alike.
    fn drawn_as(&self, other: &Self) -> bool {
        (self.resamples.len(), self.seed) == (other.resamples.len(), other.seed)
    }

    fn draws(&self) -> String {
        format!("{} draws of {} images by seed {}", self.resamples.len(), self.images, self.seed)
    }
}

/// The mean AP of the `second` models less that of the `first`: two ways of training, each tried with some seeds.
///
/// Paired bootstrap of a number that is no mean over images (Koehn, "Statistical significance tests for machine
/// translation evaluation", 2004): images are drawn with replacement, the same ones for every model; AP is computed
/// anew for each model and averaged over the models of a side. The interval is bias-corrected (Efron, 1981). It is of
/// these trained models on other images: how far other seeds would differ is not in it.
///
/// The models of a side may be of several sets of images, as those of a cross-validation are of its folds. Then each
/// set is drawn from by itself, by both sides alike: the difference is the mean over the sets of what the sides differ
/// there, draw by draw. Sets of as many images are drawn from at the same places; that makes the interval neither wider
/// nor narrower where an image tells nothing of the one at its place in another set. That both sides are of the same
/// sets, each with the same share of the models, is for the caller to see to: here only the sizes are known.
///
/// # Errors
/// Draws of another seed or in another number, or models of which on one side another share is of so many images.
/// `Ok(None)` where a side has no model, or no draw has an object on both.
pub fn compare_means(first: &[Resampled], second: &[Resampled]) -> Result<Option<Comparison>, NotPaired> {
    let (Some(ours), Some(theirs)) = (Mean::of(first)?, Mean::of(second)?) else { return Ok(None) };
    paired(first, second)?;
    Ok(Comparison::of(theirs.less(&ours)))
}

/// The mean AP of these models less a number that is taken as exact, such as somebody's published AP on the same
/// images, or the mean of it over the same folds; otherwise as [`compare_means`].
///
/// # Errors
/// Draws of another seed, or in another number.
pub fn compare_to(number: f64, models: &[Resampled]) -> Result<Option<Comparison>, NotPaired> {
    Ok(Mean::of(models)?.and_then(|mean| {
        let number = Mean { value: number, resamples: vec![Some(number); mean.resamples.len()] };
        Comparison::of(mean.less(&number))
    }))
}

/// Both sides have the same draws, and each number of images its share of the models.
fn paired(first: &[Resampled], second: &[Resampled]) -> Result<(), NotPaired> {
    let count = |side: &[Resampled], images| side.iter().filter(|model| model.images == images).count();
    let balanced = |model: &Resampled| {
        count(first, model.images) * second.len() == count(second, model.images) * first.len()
    };
    if first[0].drawn_as(&second[0]) && first.iter().chain(second).all(balanced) {
        return Ok(());
    }
    let [first, second] = [first, second].map(described);
    Err(NotPaired { first, second })
}

/// What the models of a side were scored on, in words.
fn described(side: &[Resampled]) -> String {
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    side.iter().for_each(|model| *all.entry(model.draws()).or_default() += 1);
    let several = all.len() > 1;
    let each = |(draws, models)| if several { format!("{models} times {draws}") } else { draws };
    all.into_iter().map(each).collect::<Vec<_>>().join(" and ")
}

/// A number on the images as they are, and on each draw of them.
struct Mean {
    value: f64,
    resamples: Vec<Option<f64>>,
}

impl Mean {
    /// The mean over models of their AP, each on its own images; `None` where there is no model.
    fn of(models: &[Resampled]) -> Result<Option<Self>, NotPaired> {
        let Some(first) = models.first() else { return Ok(None) };
        if let Some(other) = models.iter().find(|model| !model.drawn_as(first)) {
            return Err(NotPaired { first: first.draws(), second: other.draws() });
        }
        let mean = |ap: &dyn Fn(&Resampled) -> Option<f64>| {
            let sum = models.iter().try_fold(0.0, |sum, model| Some(sum + ap(model)?))?;
            Some(sum / models.len() as f64)
        };
        let resamples = (0..first.resamples.len()).map(|draw| mean(&|model| model.resamples[draw])).collect();
        Ok(mean(&|model| Some(model.value)).map(|value| Self { value, resamples }))
    }

    fn less(self, other: &Self) -> Self {
        let pairs = self.resamples.iter().zip(&other.resamples);
        Self {
            value: self.value - other.value,
            resamples: pairs.map(|(ours, other)| Some((*ours)? - (*other)?)).collect(),
        }
    }
}

impl Comparison {
    /// `None` where no draw has a difference.
    fn of(difference: Mean) -> Option<Self> {
        let values: Vec<f64> = difference.resamples.into_iter().flatten().collect();
        if values.is_empty() {
            return None;
        }
        let p_value = p_value(difference.value, &values);
        Some(Self { difference: interval(difference.value, values), p_value })
    }

    /// Whether the interval of the difference leaves 0 out.
    pub fn significant(&self) -> bool {
        self.difference.low > 0.0 || self.difference.high < 0.0
    }
}

/// The share outside that interval of [`interval`]'s kind which ends at 0.
fn p_value(value: f64, values: &[f64]) -> f64 {
    let end = 2.0 * bias(value, values) - bias(0.0, values);
    (2.0 * normal::share(-end.abs())).max(1.0 / (values.len() + 1) as f64)
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

/// The bias-corrected percentile interval (Efron, "Nonparametric standard errors and confidence intervals", 1981).
///
/// AP of images that come twice is on the whole higher than that of the images as they are, and so, to the same
/// degree, is the latter above AP of all images there could be. Where the number itself stands among the resamples
/// says how much. Of 400 samples of 360 images out of the detections of a real model, 93 % of these intervals held the
/// AP of all; of percentile intervals 90 %. With 60 images it is 87 and 75 %.
fn interval(value: f64, mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    let bias = bias(value, &values);
    let percentile = |share: f64| {
        let at = share * values.len().saturating_sub(1) as f64;
        let (low, part) = (at.floor() as usize, at.fract());
        match (values.get(low), values.get(low + 1)) {
            (Some(a), Some(b)) => a + (b - a) * part,
            (Some(a), None) => *a,
            (None, _) => value,
        }
    };
    let [low, high] =
        [-1.0, 1.0].map(|side| percentile(normal::share(2.0 * bias + side * normal::TWO_SIDED_95)));
    Interval { value, low, high, resamples: values.len() }
}

/// How many standard deviations of a normal distribution `value` is above the resamples' median; ties count half.
fn bias(value: f64, values: &[f64]) -> f64 {
    let below = values.iter().filter(|&&v| v < value).count() as f64;
    let equal = values.iter().filter(|&&v| v == value).count() as f64;
    normal::quantile((below + 0.5 * equal + 0.5) / (values.len() as f64 + 1.0))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_is_a_twentieth_where_the_interval_ends_at_0() {
        for value in [0.45, 0.5, 0.55] {
            let values = |from: f64| (0..=1000).map(|v| f64::from(v) / 1000.0 - from).collect::<Vec<_>>();
            let Interval { low, high, .. } = interval(value, values(0.0));
            for end in [low, high] {
                let p = p_value(value - end, &values(end));
                assert!((p - 0.05).abs() < 0.01, "{p} for {value}, {end}");
                let [inside, outside] = [0.01, -0.01].map(|by| end + if end == low { by } else { -by });
                let [inside, outside] = [inside, outside].map(|at| p_value(value - at, &values(at)));
                assert!(inside > 0.05 && outside < 0.05, "{outside} to {inside} about {end}");
            }
        }
        assert!((p_value(0.0, &[0.0; 9]) - 1.0).abs() < 1e-12);
        assert!((p_value(5.0, &[5.0; 9]) - 0.1).abs() < 1e-9, "of so few no less can be said");
    }

    #[test]
    fn no_draw_is_no_evidence() {
        let model = |value, resamples| Resampled { value, resamples, images: 3, seed: 1 };
        let (one, other) = (model(0.3, vec![None; 4]), model(0.4, vec![None; 4]));
        assert_eq!(compare_means(std::slice::from_ref(&one), &[other]).unwrap(), None);
        assert_eq!(compare_to(0.2, &[one]).unwrap(), None);
        assert_eq!(compare_to(0.2, &[model(0.3, Vec::new())]).unwrap(), None);
    }

    #[test]
    fn folds_need_not_be_of_one_size() {
        let model = |images, value, resamples: [f64; 4]| Resampled {
            value,
            images,
            seed: 1,
            resamples: resamples.map(Some).to_vec(),
        };
        let first = [model(4, 0.25, [0.25, 0.5, 0.25, 0.125]), model(3, 0.5, [0.5, 0.25, 0.5, 0.625])];
        let second = [model(4, 0.5, [0.5, 0.5, 0.75, 0.5]), model(3, 0.75, [0.5, 0.5, 0.75, 1.0])];
        // By hand: the mean of what the second is better by on the 4 images and on the 3, draw by draw.
        let by_fold = Mean {
            value: (0.25 + 0.25) / 2.0,
            resamples: [(0.25, 0.0), (0.0, 0.25), (0.5, 0.25), (0.375, 0.375)]
                .map(|(four, three)| Some((four + three) / 2.0))
                .to_vec(),
        };
        let expected = Comparison::of(by_fold).unwrap();
        assert_eq!(compare_means(&first, &second).unwrap().unwrap(), expected);
        let [four, three] = second.clone();
        let twice = [three.clone(), four.clone(), four.clone(), three];
        assert_eq!(compare_means(&first, &twice).unwrap().unwrap(), expected, "in any order, as often each");
        let to = compare_to(0.5, &second).unwrap().unwrap().difference;
        assert_eq!((to.value, to.resamples), (0.125, 4));

        let refused = |side: &[Resampled]| compare_means(&first, side).unwrap_err().to_string();
        let told = "one has 1 times 4 draws of 3 images by seed 1 and 1 times 4 draws of 4 images by seed 1, \
                    the other 4 draws of 4 images by seed 1";
        assert!(refused(&[four.clone(), four.clone()]).ends_with(told));
        assert!(refused(&twice[..3]).ends_with("and 2 times 4 draws of 4 images by seed 1"));
        let other = Resampled { seed: 2, ..four };
        assert!(compare_to(0.5, &[second[1].clone(), other]).is_err(), "as if it were of other images");
    }

    #[test]
    fn the_interval_moves_with_the_bias_of_the_resamples() {
        // scipy.stats.norm and numpy.quantile.
        let values = || (0..=1000).map(|v| f64::from(v) / 1000.0).collect();
        for (value, low, high) in [
            (0.5, 0.025, 0.975),
            (0.4, 0.006_838_722_635_5, 0.927_068_839_730_1),
            (1.0, 0.999_987_875_983, 1.0),
        ] {
            let interval = interval(value, values());
            assert!((interval.low - low).abs() < 1e-9 && (interval.high - high).abs() < 1e-9, "{interval:?}");
        }
        let alike = interval(0.3, vec![0.3; 5]);
        assert_eq!((alike.low, alike.high), (0.3, 0.3));
        let none = interval(0.3, Vec::new());
        assert_eq!((none.low, none.high, none.resamples), (0.3, 0.3, 0));
    }
}
