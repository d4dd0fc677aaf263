//! A density over several parameters: a mixture of products of truncated normals and categorical distributions,
//! one kernel per trial and one for the prior.

use crate::Trial;
use crate::axis::{Axis, Kind};
use crate::math::{LN_SQRT_2PI, ln_normal_mass, truncated_normal};
use rand::{Rng, RngExt};

/// The mixture. Kernels are in the trials' order, the prior's last.
pub(super) struct Parzen {
    /// ln of each kernel's weight; they sum to one.
    ln_weights: Vec<f64>,
    /// The weights summed up.
    cumulative: Vec<f64>,
    /// One per axis.
    factors: Vec<Factor>,
}

/// One axis of every kernel.
enum Factor {
    /// A normal truncated to [0, 1]: its mean, deviation, and ln of what its density is divided by.
    Normal { mean: Vec<f64>, sigma: Vec<f64>, ln_divisor: Vec<f64> },
    /// The same over whole numbers: many kernels are equal, so each has the place of its own among the distinct ones,
    /// to which the divisors belong.
    Whole { distinct: Vec<(f64, f64)>, place: Vec<usize>, ln_divisor: Vec<f64> },
    /// The probability of each choice: `kernels` rows of `choices`.
    Choice { choices: usize, probability: Vec<f64>, ln_probability: Vec<f64> },
}

impl Parzen {
    /// The density of those of `trials` that have a value for every axis; `weights` gives those of so many trials, in
    /// their order.
    pub(super) fn new(axes: &[Axis<'_>], trials: &[&Trial], weights: fn(usize) -> Vec<f64>) -> Self {
        let mut columns = vec![Vec::with_capacity(trials.len() + 1); axes.len()];
        let mut row = vec![0.0; axes.len()];
        // As a trial's parameters are ordered, so that one walk over them finds all.
        let mut by_name: Vec<usize> = (0..axes.len()).collect();
        by_name.sort_unstable_by_key(|&at| axes[at].name);
        for trial in trials {
            let mut params = trial.params.iter();
            let encoded = by_name.iter().all(|&at| {
                let axis = &axes[at];
                let found = params.find(|(name, _)| name.as_str() >= axis.name);
                let x =
                    found.filter(|(name, _)| *name == axis.name).and_then(|(_, value)| axis.encode(value));
                row[at] = x.unwrap_or(f64::NAN);
                x.is_some()
            });
            if encoded {
                columns.iter_mut().zip(&row).for_each(|(column, &x)| column.push(x));
            }
        }
        let weights = with_prior(weights(columns.first().map_or(0, Vec::len)));
        let mut sum = 0.0;
        let cumulative = weights.iter().map(|weight| (sum += weight, sum).1).collect();
        let factors = axes.iter().zip(columns).map(|(axis, column)| Factor::new(axis, column)).collect();
        Self { ln_weights: weights.iter().map(|weight| weight.ln()).collect(), cumulative, factors }
    }

    /// Of `candidates` draws from this density the one where its ratio to `other` is greatest.
    pub(super) fn best_of(
        &self,
        candidates: u64,
        other: &Self,
        axes: &[Axis<'_>],
        rng: &mut impl Rng,
    ) -> Vec<f64> {
        let mut best = (f64::NEG_INFINITY, Vec::new());
        let mut scratch = Vec::new();
        for _ in 0..candidates {
            let point = self.draw(axes, rng);
            let score =
                self.ln_density(axes, &point, &mut scratch) - other.ln_density(axes, &point, &mut scratch);
            if best.1.is_empty() || score > best.0 {
                best = (score, point);
            }
        }
        best.1
    }

    fn draw(&self, axes: &[Axis<'_>], rng: &mut impl Rng) -> Vec<f64> {
        let total = self.cumulative.last().copied().unwrap_or(1.0);
        let u = total * rng.random::<f64>();
        let kernel = self.cumulative.partition_point(|&sum| sum <= u).min(self.cumulative.len() - 1);
        let draw = |(axis, factor): (&Axis<'_>, &Factor)| match factor {
            Factor::Normal { mean, sigma, .. } => truncated_normal(rng, mean[kernel], sigma[kernel]),
            Factor::Whole { distinct, place, .. } => {
                let (mean, sigma) = distinct[place[kernel]];
                axis.piece(truncated_normal(rng, mean, sigma)).2
            }
            Factor::Choice { choices, probability, .. } => {
                let mut left = rng.random::<f64>();
                let row = &probability[kernel * choices..(kernel + 1) * choices];
                let picked = row.iter().position(|p| (left -= p, left < 0.0).1);
                picked.unwrap_or(choices - 1) as f64
            }
        };
        axes.iter().zip(&self.factors).map(draw).collect()
    }

    /// ln of the density at `point` (for whole numbers and choices the probability).
    fn ln_density(&self, axes: &[Axis<'_>], point: &[f64], sums: &mut Vec<f64>) -> f64 {
        sums.clear();
        sums.extend_from_slice(&self.ln_weights);
        for ((axis, factor), &x) in axes.iter().zip(&self.factors).zip(point) {
            factor.add_ln_density(axis, x, sums);
        }
        ln_sum_exp(sums)
    }
}

impl Factor {
    fn new(axis: &Axis<'_>, column: Vec<f64>) -> Self {
        if let Kind::Choice(choices) = axis.kind {
            return Self::choice(choices, &column);
        }
        let (mut sigma, order) = bandwidths(&column);
        let mut mean = column;
        mean.push(0.5);
        sigma.push(1.0);
        let ln_kept = |mean: f64, sigma: f64| {
            // Beyond nine deviations nothing is cut off that a double would show.
            let inside = mean > 9.0 * sigma && 1.0 - mean > 9.0 * sigma;
            if inside { 0.0 } else { ln_normal_mass(-mean / sigma, (1.0 - mean) / sigma) }
        };
        if axis.kind != Kind::Whole {
            // Most kernels are as narrow as can be.
            let (mut known, mut ln_known) = (1.0, 0.0);
            let divisor = |(&mean, &sigma): (&f64, &f64)| {
                if sigma != known {
                    (known, ln_known) = (sigma, sigma.ln());
                }
                ln_kept(mean, sigma) + ln_known + LN_SQRT_2PI
            };
            let ln_divisor = mean.iter().zip(&sigma).map(divisor).collect();
            return Factor::Normal { mean, sigma, ln_divisor };
        }
        // In the order of their means equal kernels follow one another.
        let mut distinct: Vec<(f64, f64)> = Vec::new();
        let mut place = vec![0; mean.len()];
        for kernel in order.into_iter().chain([mean.len() - 1]) {
            let own = (mean[kernel], sigma[kernel]);
            if distinct.last() != Some(&own) {
                distinct.push(own);
            }
            place[kernel] = distinct.len() - 1;
        }
        let ln_divisor = distinct.iter().map(|&(mean, sigma)| ln_kept(mean, sigma)).collect();
        Factor::Whole { distinct, place, ln_divisor }
    }

    /// Kernels that favour what was observed; the more kernels there are, the less is left to the other choices.
    fn choice(choices: usize, column: &[f64]) -> Self {
        let kernels = column.len() + 1;
        let floor = 1.0 / kernels as f64;
        let mut probability = Vec::with_capacity(kernels * choices);
        let mut ln_probability = Vec::with_capacity(kernels * choices);
        // Where the row of each choice begins, the first time that it was observed: all of one choice are equal.
        let mut known = vec![None; choices];
        for kernel in 0..kernels {
            let observed = column.get(kernel).map(|&observed| observed as usize);
            let begin = probability.len();
            if let Some(at) = observed.and_then(|observed| known[observed].replace(begin)) {
                probability.extend_from_within(at..at + choices);
                ln_probability.extend_from_within(at..at + choices);
                continue;
            }
            let mut row = vec![floor; choices];
            observed.into_iter().for_each(|observed| row[observed] += 1.0);
            let sum: f64 = row.iter().sum();
            probability.extend(row.iter().map(|p| p / sum));
            ln_probability.extend(probability[begin..].iter().map(|p| p.ln()));
        }
        Factor::Choice { choices, probability, ln_probability }
    }

    fn add_ln_density(&self, axis: &Axis<'_>, x: f64, sums: &mut [f64]) {
        match self {
            Factor::Choice { choices, ln_probability, .. } => {
                for (sum, row) in sums.iter_mut().zip(ln_probability.chunks(*choices)) {
                    *sum += row[x as usize];
                }
            }
            Factor::Whole { distinct, place, ln_divisor } => {
                let (low, high, _) = axis.piece(x);
                let mass = |(&(mean, sigma), divisor): (&(f64, f64), &f64)| {
                    let (a, b) = ((low - mean) / sigma, (high - mean) / sigma);
                    let off = a.max(-b);
                    // So far off it is nothing beside the prior's kernel; its size will do.
                    if off > FAR { -0.5 * off * off } else { ln_normal_mass(a, b) - divisor }
                };
                let masses: Vec<f64> = distinct.iter().zip(ln_divisor).map(mass).collect();
                sums.iter_mut().zip(place).for_each(|(sum, &place)| *sum += masses[place]);
            }
            Factor::Normal { mean, sigma, ln_divisor } => {
                for (((sum, mean), sigma), divisor) in sums.iter_mut().zip(mean).zip(sigma).zip(ln_divisor) {
                    let z = (x - mean) / sigma;
                    *sum -= 0.5 * z * z + divisor;
                }
            }
        }
    }
}

/// The weights of `n` trials, the latest last: the last 25 count fully, those before ramp up from 1 / n.
pub(super) fn by_age(n: usize) -> Vec<f64> {
    const FULL: usize = 25;
    let ramp = n.saturating_sub(FULL);
    let rise = |index: usize| {
        let part = if ramp > 1 { index as f64 / (ramp - 1) as f64 } else { 0.0 };
        1.0 / n as f64 + (1.0 - 1.0 / n as f64) * part
    };
    (0..n).map(|index| if index < ramp { rise(index) } else { 1.0 }).collect()
}

/// The weights of `n` trials, the best first: they fall to a fiftieth, and are 1 on average. (Optuna's are equal.)
pub(super) fn by_merit(n: usize) -> Vec<f64> {
    let falling = (0..n).map(|index| (-4.0 * index as f64 / n as f64).exp());
    let mean = falling.clone().sum::<f64>() / n as f64;
    falling.map(|weight| weight / mean).collect()
}

/// The weights with the prior's, which counts as one trial; they sum to one.
fn with_prior(mut weights: Vec<f64>) -> Vec<f64> {
    weights.push(1.0);
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    weights
}

/// In deviations: e^-60 of a kernel's height.
const FAR: f64 = 11.0;

/// The least deviation of a kernel is this over min(100, n + 2); Optuna's is 1.
const NARROWEST: f64 = 0.5;

/// The share of the distance to the farther neighbour that a kernel is wide; Optuna's is 1.
const WIDTH: f64 = 0.8;

/// The kernels' deviations: a share of the distance to the farther neighbour, within bounds. And the kernels in the
/// order of their means.
fn bandwidths(column: &[f64]) -> (Vec<f64>, Vec<usize>) {
    let n = column.len();
    // Numbers from 0 on are in the order of their bits; with the index below them, whole numbers are sorted.
    let mut keys: Vec<u128> =
        (0..).zip(column).map(|(index, x)| u128::from((x.max(0.0) + 0.0).to_bits()) << 64 | index).collect();
    keys.sort_unstable();
    let order: Vec<usize> = keys.into_iter().map(|key| key as u64 as usize).collect();
    let least = NARROWEST / (n as f64 + 2.0).min(100.0);
    let mut sigma = vec![0.0; n];
    for (place, &index) in order.iter().enumerate() {
        let below = place.checked_sub(1).map(|below| column[index] - column[order[below]]);
        let above = order.get(place + 1).map(|&above| column[above] - column[index]);
        let gap = match (below, above) {
            (Some(below), Some(above)) => below.max(above),
            // At the ends the interval's bound is no neighbour.
            (Some(gap), None) | (None, Some(gap)) => gap,
            (None, None) => column[index].max(1.0 - column[index]),
        };
        sigma[index] = (WIDTH * gap).clamp(least, 1.0);
    }
    (sigma, order)
}

fn ln_sum_exp(values: &[f64]) -> f64 {
    let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !top.is_finite() {
        return top;
    }
    // What is e^-40 of the greatest does not show in a double.
    let sum: f64 = values.iter().map(|value| value - top).filter(|&gap| gap > -40.0).map(f64::exp).sum();
    top + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Domain, Parameter};

    fn density_of(axis: &Axis<'_>, column: Vec<f64>, x: f64) -> f64 {
        let ln_weights: Vec<f64> =
            with_prior(by_age(column.len())).iter().map(|weight| weight.ln()).collect();
        let factors = vec![Factor::new(axis, column)];
        let parzen = Parzen { cumulative: Vec::new(), ln_weights, factors };
        parzen.ln_density(std::slice::from_ref(axis), &[x], &mut Vec::new()).exp()
    }

    #[test]
    fn a_density_integrates_to_one() {
        let param = Parameter::new("x", Domain::linear(0.0, 1.0));
        let axis = Axis::new(&param);
        let steps = 20_000;
        let column = vec![0.0, 0.1, 0.11, 0.9, 1.0, 0.42];
        let sum: f64 = (0..steps)
            .map(|i| density_of(&axis, column.clone(), (f64::from(i) + 0.5) / f64::from(steps)))
            .sum();
        approx::assert_abs_diff_eq!(sum / f64::from(steps), 1.0, epsilon = 1e-6);
    }

    #[test]
    fn probabilities_of_whole_numbers_sum_to_one() {
        let param = Parameter::new("batch", Domain::int_log(8, 64));
        let axis = Axis::new(&param);
        let column: Vec<f64> =
            [8, 8, 16, 64, 33].map(|n| axis.encode(&crate::Value::Int(n)).unwrap()).to_vec();
        let sum: f64 = (8..=64)
            .map(|n| density_of(&axis, column.clone(), axis.encode(&crate::Value::Int(n)).unwrap()))
            .sum();
        approx::assert_abs_diff_eq!(sum, 1.0, epsilon = 1e-9);
    }

    #[test]
    fn weights_ramp_up_to_the_last_twenty_five() {
        let w = with_prior(by_age(27));
        // 1/27, 1, then 25 ones and the prior's one, over their sum.
        approx::assert_relative_eq!(w[0] / w[1], 1.0 / 27.0, epsilon = 1e-12);
        approx::assert_relative_eq!(w[27] / w[1], 1.0, epsilon = 1e-12);
        approx::assert_relative_eq!(w.iter().sum::<f64>(), 1.0, epsilon = 1e-12);
    }

    #[test]
    fn the_better_weigh_more_and_all_as_much_as_they_are_many() {
        let w = by_merit(12);
        assert!(w.windows(2).all(|pair| pair[0] > pair[1]));
        approx::assert_relative_eq!(w.iter().sum::<f64>(), 12.0, epsilon = 1e-12);
        approx::assert_relative_eq!(w[6] / w[0], (-2.0_f64).exp(), epsilon = 1e-12);
        assert_eq!(by_merit(1), [1.0]);
        assert!(by_merit(0).is_empty());
    }
}
