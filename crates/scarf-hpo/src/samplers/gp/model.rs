//! A Gaussian process over encoded trials: Matern 5/2 with a length per axis, a scale and noise, fitted to the
//! posterior mode.

use crate::axis::{Axis, Kind};
use crate::linalg::{Lower, dot};
use crate::optimize::minimize;

/// Below this share of the objective's variance noise is not believed: the matrix would lose its digits. It is also
/// how close a search comes in the end.
const LEAST_NOISE: f64 = 1e-10;

/// No variance is believed to be less.
const LEAST_VARIANCE: f64 = 1e-14;

/// How many rows the kernel is fitted to at first.
const COARSE: usize = 50;

/// What is fitted.
#[derive(Debug, Clone)]
pub(super) struct Hyper {
    /// One over the squared length of each axis.
    pub(super) inverse_squared: Vec<f64>,
    pub(super) scale: f64,
    pub(super) noise: f64,
}

/// The process given observations; objectives are standardized.
pub(super) struct Model {
    categorical: Vec<bool>,
    rows: Vec<Vec<f64>>,
    y: Vec<f64>,
    pub(super) hyper: Hyper,
    lower: Lower,
    /// K^-1 y.
    alpha: Vec<f64>,
}

impl Model {
    /// Fits the kernel to `rows` (encoded, one number per axis) and `y` (standardized, one per row). `None` where
    /// the numbers do not allow it.
    pub(super) fn fit(axes: &[Axis<'_>], rows: Vec<Vec<f64>>, y: Vec<f64>) -> Option<Self> {
        let categorical: Vec<bool> = axes.iter().map(|axis| matches!(axis.kind, Kind::Choice(_))).collect();
        let dims = axes.len();
        let bounds: Vec<(f64, f64)> =
            std::iter::repeat_n((-9.0, 9.0), dims).chain([(-6.0, 6.0), (LEAST_NOISE.ln(), 1.0)]).collect();
        let improve = |start: &[f64], stride: usize, iterations: usize| {
            let rows: Vec<Vec<f64>> = rows.iter().step_by(stride).cloned().collect();
            let y: Vec<f64> = y.iter().step_by(stride).copied().collect();
            let distances = Distances::new(&rows, &categorical);
            minimize(start, &bounds, iterations, 1e-2, |theta| posterior(theta, &distances, &y))
        };
        // Two starts on some of the rows, for the time grows with the cube; the better one then on all.
        let wide = -2.0 * typical_ln_length(dims);
        let stride = rows.len().div_ceil(COARSE);
        let starts = [(wide, -6.0), (wide + 3.0, -3.0)].map(|(inverse_squared, noise)| {
            let mut theta = vec![inverse_squared; dims];
            theta.extend([0.0, noise]);
            improve(&theta, stride, 40)
        });
        let (mut theta, _) = starts.into_iter().min_by(|(_, a), (_, b)| a.total_cmp(b))?;
        if stride > 1 {
            (theta, _) = improve(&theta, 1, 15);
        }
        Self::given(categorical, rows, y, Hyper::from_ln(&theta))
    }

    /// With these hyperparameters; with more noise where rows are so close that the matrix is not positive definite.
    fn given(categorical: Vec<bool>, rows: Vec<Vec<f64>>, y: Vec<f64>, mut hyper: Hyper) -> Option<Self> {
        let n = rows.len();
        let mut matrix = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                matrix[i * n + j] = hyper.scale * matern(hyper.squared(&categorical, &rows[i], &rows[j])).0;
            }
        }
        let lower = loop {
            let mut noisy = matrix.clone();
            (0..n).for_each(|i| noisy[i * n + i] += hyper.noise);
            match Lower::cholesky(noisy, n) {
                Some(lower) => break lower,
                None if hyper.noise < 1.0 => hyper.noise *= 10.0,
                None => return None,
            }
        };
        let mut alpha = y.clone();
        lower.solve(&mut alpha);
        lower.solve_transposed(&mut alpha);
        Some(Self { categorical, rows, y, hyper, lower, alpha })
    }

    /// The process as it would be, if `rows` had been observed to be what it expects: how trials still running
    /// keep others away (the kriging believer of Ginsbourger et al. 2010).
    pub(super) fn believing(self, rows: Vec<Vec<f64>>) -> Option<Self> {
        if rows.is_empty() {
            return Some(self);
        }
        let believed: Vec<f64> = rows.iter().map(|row| self.predict(row).0).collect();
        let Self { categorical, rows: mut all, mut y, hyper, .. } = self;
        all.extend(rows);
        y.extend(believed);
        Self::given(categorical, all, y, hyper)
    }

    /// Mean and variance of the function (without noise) at `x`.
    pub(super) fn predict(&self, x: &[f64]) -> (f64, f64) {
        let mut k = self.covariances(x);
        let mean = dot(&k, &self.alpha);
        self.lower.solve(&mut k);
        (mean, (self.hyper.scale - dot(&k, &k)).max(LEAST_VARIANCE))
    }

    /// Mean and variance at `x` with their gradients (zero along choices).
    pub(super) fn predict_with_gradient(&self, x: &[f64]) -> (f64, f64, Vec<f64>, Vec<f64>) {
        let k = self.covariances(x);
        let mean = dot(&k, &self.alpha);
        let mut v = k.clone();
        self.lower.solve(&mut v);
        let variance = (self.hyper.scale - dot(&v, &v)).max(LEAST_VARIANCE);
        self.lower.solve_transposed(&mut v);
        let (mut d_mean, mut d_variance) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        for ((row, alpha), v) in self.rows.iter().zip(&self.alpha).zip(&v) {
            let slope = self.hyper.scale * matern(self.hyper.squared(&self.categorical, x, row)).1;
            for axis in 0..x.len() {
                if !self.categorical[axis] {
                    let d = slope * 2.0 * self.hyper.inverse_squared[axis] * (x[axis] - row[axis]);
                    d_mean[axis] += d * alpha;
                    d_variance[axis] -= 2.0 * d * v;
                }
            }
        }
        (mean, variance, d_mean, d_variance)
    }

    /// The lowest of the objectives observed or believed.
    pub(super) fn lowest_observed(&self) -> f64 {
        self.y.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// Whether `x` was observed, or is believed to be.
    pub(super) fn holds(&self, x: &[f64]) -> bool {
        self.rows.iter().any(|row| row == x)
    }

    fn covariances(&self, x: &[f64]) -> Vec<f64> {
        let covariance =
            |row: &Vec<f64>| self.hyper.scale * matern(self.hyper.squared(&self.categorical, x, row)).0;
        self.rows.iter().map(covariance).collect()
    }
}

impl Hyper {
    fn from_ln(theta: &[f64]) -> Self {
        let dims = theta.len() - 2;
        Self {
            inverse_squared: theta[..dims].iter().map(|t| t.exp()).collect(),
            scale: theta[dims].exp(),
            noise: theta[dims + 1].exp(),
        }
    }

    /// The squared distance in lengths; choices are equal or one apart.
    fn squared(&self, categorical: &[bool], a: &[f64], b: &[f64]) -> f64 {
        let mut sum = 0.0;
        for axis in 0..a.len() {
            let gap = a[axis] - b[axis];
            let squared = if categorical[axis] { f64::from(gap != 0.0) } else { gap * gap };
            sum += self.inverse_squared[axis] * squared;
        }
        sum
    }
}

/// The Matern 5/2 correlation at a squared distance, and its slope in the squared distance.
fn matern(squared: f64) -> (f64, f64) {
    let r = (5.0 * squared).sqrt();
    let decay = (-r).exp();
    ((1.0 + r + 5.0 / 3.0 * squared) * decay, -5.0 / 6.0 * (1.0 + r) * decay)
}

/// The squared gaps between rows along each axis: pairs of the lower triangle, row by row.
struct Distances {
    n: usize,
    squared: Vec<Vec<f64>>,
}

impl Distances {
    fn new(rows: &[Vec<f64>], categorical: &[bool]) -> Self {
        let squared = (0..categorical.len()).map(|axis| {
            let gap = |i: usize, j: usize| {
                let gap = rows[i][axis] - rows[j][axis];
                if categorical[axis] { f64::from(gap != 0.0) } else { gap * gap }
            };
            (0..rows.len()).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| gap(i, j)).collect()
        });
        Self { n: rows.len(), squared: squared.collect() }
    }
}

/// The middle of the prior on ln length: lengths grow with the root of the dimensions, as distances do (Hvarfner
/// et al. 2024).
fn typical_ln_length(dims: usize) -> f64 {
    -0.5 + 0.5 * (dims as f64).ln()
}

/// Minus the ln posterior of the ln hyperparameters, and its gradient.
fn posterior(theta: &[f64], distances: &Distances, y: &[f64]) -> (f64, Vec<f64>) {
    let (mut value, mut gradient) = likelihood(theta, distances, y);
    let dims = theta.len() - 2;
    // Normal in ln: what is believed of the lengths, and of the scale.
    let lengths = (-2.0 * typical_ln_length(dims), 2.0);
    let believed = std::iter::repeat_n(lengths, dims).chain([(0.0, 1.5)]);
    for ((slope, theta), (mean, sigma)) in gradient.iter_mut().zip(theta).zip(believed) {
        let z = (theta - mean) / sigma;
        value += 0.5 * z * z;
        *slope += z / sigma;
    }
    // Gamma(1.1, 30): a tenth of the variance at most is readily taken for noise, and a little is free.
    let noise = theta[dims + 1].exp();
    value += 30.0 * noise - 0.1 * theta[dims + 1];
    gradient[dims + 1] += 30.0 * noise - 0.1;
    (value, gradient)
}

/// Minus the ln marginal likelihood, and its gradient.
fn likelihood(theta: &[f64], distances: &Distances, y: &[f64]) -> (f64, Vec<f64>) {
    let hyper = Hyper::from_ln(theta);
    let (n, dims) = (distances.n, theta.len() - 2);
    let mut total = vec![0.0; n * (n - 1) / 2];
    for (squared, inverse) in distances.squared.iter().zip(&hyper.inverse_squared) {
        total.iter_mut().zip(squared).for_each(|(sum, squared)| *sum += inverse * squared);
    }
    let correlations: Vec<(f64, f64)> = total.iter().map(|&squared| matern(squared)).collect();
    let mut matrix = vec![0.0; n * n];
    for i in 0..n {
        let row = &correlations[i * i.saturating_sub(1) / 2..][..i];
        matrix[i * n..i * n + i]
            .iter_mut()
            .zip(row)
            .for_each(|(cell, (value, _))| *cell = hyper.scale * value);
        matrix[i * n + i] = hyper.scale + hyper.noise;
    }
    let Some(lower) = Lower::cholesky(matrix, n) else { return (f64::INFINITY, vec![0.0; theta.len()]) };
    let mut alpha = y.to_vec();
    lower.solve(&mut alpha);
    let value = lower.ln_det() + 0.5 * dot(&alpha, &alpha);
    lower.solve_transposed(&mut alpha);
    let inverse = lower.inverse_of_product();
    // d value / d K = (K^-1 - alpha alpha^T) / 2; off the diagonal each pair counts twice.
    let mut gradient = vec![0.0; theta.len()];
    let mut weights = vec![0.0; total.len()];
    let mut on_scale = 0.0;
    for i in 0..n {
        let pairs = i * i.saturating_sub(1) / 2;
        for j in 0..i {
            let slope = inverse[i * n + j] - alpha[i] * alpha[j];
            let (correlation, decline) = correlations[pairs + j];
            weights[pairs + j] = slope * hyper.scale * decline;
            on_scale += slope * hyper.scale * correlation;
        }
        let slope = 0.5 * (inverse[i * n + i] - alpha[i] * alpha[i]);
        on_scale += slope * hyper.scale;
        gradient[dims + 1] += slope * hyper.noise;
    }
    gradient[dims] = on_scale;
    let inverses = hyper.inverse_squared.iter().zip(&distances.squared);
    for (slope, (inverse, squared)) in gradient.iter_mut().zip(inverses) {
        *slope = inverse * dot(&weights, squared);
    }
    (value, gradient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Domain, Parameter};

    fn rows() -> (Vec<Vec<f64>>, Vec<f64>) {
        let rows: Vec<Vec<f64>> = (0..12)
            .map(|i| {
                (0..2).map(|d| f64::from(sobol_burley::sample(i, d, 5))).chain([f64::from(i % 3)]).collect()
            })
            .collect();
        let y = rows.iter().map(|x| (6.0 * x[0]).sin() + x[1] * x[1] + 0.3 * x[2]).collect();
        (rows, y)
    }

    #[test]
    fn the_gradient_of_the_posterior_is_its_slope() {
        let (rows, y) = rows();
        let distances = Distances::new(&rows, &[false, false, true]);
        let theta = [0.3, -0.5, 0.1, 0.2, -3.0];
        let (_, gradient) = posterior(&theta, &distances, &y);
        for index in 0..theta.len() {
            let at = |step: f64| {
                let mut moved = theta;
                moved[index] += step;
                posterior(&moved, &distances, &y).0
            };
            approx::assert_relative_eq!(gradient[index], (at(1e-5) - at(-1e-5)) / 2e-5, epsilon = 1e-5);
        }
    }

    #[test]
    fn rows_next_to_one_another_are_no_trouble() {
        let rows: Vec<Vec<f64>> = (0..60).map(|i| vec![0.5 + 1e-12 * f64::from(i)]).collect();
        let y: Vec<f64> = (0..60).map(|i| f64::from(i % 2)).collect();
        let hyper = Hyper { inverse_squared: vec![1.0], scale: 400.0, noise: 1e-16 };
        let model = Model::given(vec![false], rows, y, hyper).unwrap();
        assert!(model.hyper.noise > 1e-16 && model.predict(&[0.5]).0.is_finite());
    }

    #[test]
    fn a_fit_passes_through_its_points_and_its_gradients_are_slopes() {
        let (rows, y) = rows();
        let params = [
            Parameter::new("a", Domain::linear(0.0, 1.0)),
            Parameter::new("b", Domain::linear(0.0, 1.0)),
            Parameter::new("c", Domain::choice([0, 1, 2])),
        ];
        let axes: Vec<Axis> = params.iter().map(Axis::new).collect();
        let model = Model::fit(&axes, rows.clone(), y.clone()).unwrap();
        for (row, y) in rows.iter().zip(&y) {
            approx::assert_abs_diff_eq!(model.predict(row).0, *y, epsilon = 0.02);
        }
        let x = [0.33, 0.71, 1.0];
        let (_, _, d_mean, d_variance) = model.predict_with_gradient(&x);
        for axis in 0..2 {
            let at = |step: f64| {
                let mut moved = x;
                moved[axis] += step;
                model.predict(&moved)
            };
            let (up, down) = (at(1e-5), at(-1e-5));
            approx::assert_relative_eq!(d_mean[axis], (up.0 - down.0) / 2e-5, epsilon = 1e-5);
            approx::assert_relative_eq!(d_variance[axis], (up.1 - down.1) / 2e-5, epsilon = 1e-5);
        }
    }
}
