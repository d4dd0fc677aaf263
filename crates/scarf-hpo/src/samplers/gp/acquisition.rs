//! Where the next trial promises most: ln of the expected improvement, and its maximum in a mixed space.

use super::model::Model;
use crate::axis::{Axis, Kind};
use crate::math::{LN_SQRT_2PI, normal_cdf, normal_pdf};
use crate::optimize::minimize;
use crate::{Params, Space};
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// The searched parameters of a space, conditional ones too, and its points as numbers.
pub(super) struct Encoding<'a> {
    space: &'a Space,
    pub(super) axes: Vec<Axis<'a>>,
}

impl<'a> Encoding<'a> {
    pub(super) fn new(space: &'a Space) -> Self {
        let searched = space.params().iter().filter(|param| crate::axis::is_searched(param));
        Self { space, axes: searched.map(Axis::new).collect() }
    }

    /// One number per axis, an inactive one's in the middle (a choice's past the last); `None` where `params` are
    /// not of the space.
    pub(super) fn encode(&self, params: &Params) -> Option<Vec<f64>> {
        let number = |axis: &Axis<'_>| Some(axis.number(params)?.unwrap_or_else(|| inactive(axis)));
        self.axes.iter().map(number).collect()
    }

    /// The point nearest to `x` that the space holds.
    pub(super) fn decode(&self, x: &[f64]) -> Params {
        self.space.build(|param| {
            let place = self.axes.iter().position(|axis| axis.name == param.name);
            place.map_or_else(|| param.domain.at(0.5), |place| self.axes[place].decode(x[place]))
        })
    }

    /// `x` moved to the point nearest to it that the space holds.
    fn snap(&self, x: &[f64]) -> Vec<f64> {
        let smooth = self.axes.iter().all(|axis| axis.kind == Kind::Real)
            && self.space.params().iter().all(|param| param.when.is_none());
        if smooth { x.to_vec() } else { self.encode(&self.decode(x)).unwrap_or_else(|| x.to_vec()) }
    }

    /// Point `unit` of the unit cube as one of the space.
    pub(super) fn at_unit(&self, unit: &[f64]) -> Vec<f64> {
        let place = |(axis, &u): (&Axis<'_>, &f64)| match axis.kind {
            Kind::Choice(n) => (u * n as f64).floor().min(n as f64 - 1.0),
            _ => u,
        };
        self.snap(&self.axes.iter().zip(unit).map(place).collect::<Vec<_>>())
    }

    /// The other values of a discrete axis that are worth a try from `x`: all choices, neighbours of a whole number
    /// and some farther off.
    fn alternatives(&self, axis: usize, x: f64) -> Vec<f64> {
        match self.axes[axis].kind {
            Kind::Real => Vec::new(),
            Kind::Choice(n) => (0..n).map(|index| index as f64).filter(|&other| other != x).collect(),
            Kind::Whole => {
                let (low, high, _) = self.axes[axis].piece(x);
                let near = [low - 1e-9, high + 1e-9, low - 2.0 * (high - low), high + 2.0 * (high - low)];
                let far = (0..=8).map(|step| f64::from(step) / 8.0);
                near.into_iter().chain(far).filter(|other| (0.0..=1.0).contains(other)).collect()
            }
        }
    }
}

fn inactive(axis: &Axis<'_>) -> f64 {
    if let Kind::Choice(n) = axis.kind { n as f64 } else { 0.5 }
}

/// ln of the expected improvement below `best` at a normal with this mean and variance, and its slopes in mean and
/// deviation (Ament et al. 2023).
fn ln_improvement(best: f64, mean: f64, variance: f64) -> (f64, f64, f64) {
    let sigma = variance.sqrt();
    let z = (best - mean) / sigma;
    // h(z) = pdf + z cdf, with the ratios cdf / h and pdf / h that the slopes are made of.
    let (ln_h, cdf_ratio, pdf_ratio) = if z > -1.0 {
        let (pdf, cdf) = (normal_pdf(z), normal_cdf(z));
        let h = pdf + z * cdf;
        (h.ln(), cdf / h, pdf / h)
    } else {
        let ln_pdf = -0.5 * z * z - LN_SQRT_2PI;
        let (mills, rest) = if z > -20.0 {
            let x = -z * FRAC_1_SQRT_2;
            let mills = (PI / 2.0).sqrt() * (x * x).exp() * libm::erfc(x);
            (mills, 1.0 + z * mills)
        } else {
            let w = 1.0 / (z * z);
            ((1.0 - w + 3.0 * w * w) / -z, w - 3.0 * w * w + 15.0 * w * w * w)
        };
        (ln_pdf + rest.ln(), mills / rest, 1.0 / rest)
    };
    (ln_h + sigma.ln(), -cdf_ratio / sigma, pdf_ratio / sigma)
}

/// The process and the objective to be beaten.
pub(super) struct Acquisition<'a> {
    pub(super) model: &'a Model,
    pub(super) best: f64,
}

impl Acquisition<'_> {
    pub(super) fn at(&self, x: &[f64]) -> f64 {
        let (mean, variance) = self.model.predict(x);
        ln_improvement(self.best, mean, variance).0
    }

    fn at_with_gradient(&self, x: &[f64]) -> (f64, Vec<f64>) {
        let (mean, variance, d_mean, d_variance) = self.model.predict_with_gradient(x);
        let (value, by_mean, by_sigma) = ln_improvement(self.best, mean, variance);
        let by_variance = by_sigma / (2.0 * variance.sqrt());
        (value, d_mean.iter().zip(&d_variance).map(|(m, v)| by_mean * m + by_variance * v).collect())
    }

    /// The best point found from `starts` by turns of gradient ascent along the real axes and of trying the values
    /// of the discrete ones; with its ln expected improvement. A point that was tried is not tried again while
    /// there is another.
    pub(super) fn maximize(&self, encoding: &Encoding<'_>, starts: &[Vec<f64>]) -> Option<(Vec<f64>, f64)> {
        let mut found: Vec<(Vec<f64>, f64)> =
            starts.iter().map(|start| self.climb(encoding, start)).collect();
        found.extend(starts.iter().map(|start| (start.clone(), self.at(start))));
        found.retain(|(_, value)| value.is_finite());
        found.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let fresh = found.iter().position(|(x, _)| !self.model.holds(x)).unwrap_or(0);
        (!found.is_empty()).then(|| found.swap_remove(fresh))
    }

    fn climb(&self, encoding: &Encoding<'_>, start: &[f64]) -> (Vec<f64>, f64) {
        let (mut x, mut value) = (start.to_vec(), self.at(start));
        for _ in 0..4 {
            let before = value;
            (x, value) = self.ascend(encoding, x, value);
            let mut discrete = false;
            for axis in 0..x.len() {
                for other in encoding.alternatives(axis, x[axis]) {
                    let mut moved = x.clone();
                    moved[axis] = other;
                    let moved = encoding.snap(&moved);
                    let there = self.at(&moved);
                    if there > value {
                        (x, value, discrete) = (moved, there, true);
                    }
                }
            }
            if !discrete || value <= before + 1e-6 {
                break;
            }
        }
        (x, value)
    }

    /// Gradient ascent along the real axes that are active.
    fn ascend(&self, encoding: &Encoding<'_>, x: Vec<f64>, value: f64) -> (Vec<f64>, f64) {
        let active: Params = encoding.decode(&x);
        let free: Vec<usize> = (0..x.len())
            .filter(|&i| encoding.axes[i].kind == Kind::Real && active.contains_key(encoding.axes[i].name))
            .collect();
        if free.is_empty() {
            return (x, value);
        }
        // In lengths, so that every axis is as steep as the others.
        let lengths: Vec<f64> =
            free.iter().map(|&i| self.model.hyper.inverse_squared[i].powf(-0.5)).collect();
        let place = |scaled: &[f64]| {
            let mut full = x.clone();
            free.iter()
                .zip(scaled)
                .zip(&lengths)
                .for_each(|((&i, s), length)| full[i] = (s * length).clamp(0.0, 1.0));
            full
        };
        let start: Vec<f64> = free.iter().zip(&lengths).map(|(&i, length)| x[i] / length).collect();
        let bounds: Vec<(f64, f64)> = lengths.iter().map(|length| (0.0, 1.0 / length)).collect();
        let (scaled, negative) = minimize(&start, &bounds, 30, 1e-3, |scaled| {
            let (value, gradient) = self.at_with_gradient(&place(scaled));
            (-value, free.iter().zip(&lengths).map(|(&i, length)| -gradient[i] * length).collect())
        });
        if -negative > value { (place(&scaled), -negative) } else { (x, value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ln_improvement_has_its_known_values_and_slopes() {
        // h(0) = pdf(0); h(-3) and h(-30) by mpmath: 3.8215e-4 and ln -> -457.7...
        approx::assert_relative_eq!(
            ln_improvement(0.0, 0.0, 1.0).0,
            0.398_942_280_401_432_7_f64.ln(),
            epsilon = 1e-12
        );
        approx::assert_relative_eq!(
            ln_improvement(0.0, 3.0, 1.0).0,
            3.821_543_170_466_4e-4_f64.ln(),
            epsilon = 1e-6
        );
        for mean in [-3.0, 0.3, 0.99, 1.01, 5.0, 19.9, 20.1, 400.0] {
            let slope = |by: &dyn Fn(f64) -> f64| (by(1e-4) - by(-1e-4)) / 2e-4;
            let (_, by_mean, by_sigma) = ln_improvement(0.0, mean, 1.0);
            let numeric = slope(&|step| ln_improvement(0.0, mean + step, 1.0).0);
            approx::assert_relative_eq!(by_mean, numeric, max_relative = 2e-4);
            let numeric = slope(&|step| ln_improvement(0.0, mean, (1.0 + step) * (1.0 + step)).0);
            approx::assert_relative_eq!(by_sigma, numeric, max_relative = 2e-4);
        }
    }
}
