//! The strategy's state, as in Hansen's tutorial (arXiv 1604.00772, whose equations are numbered here).

use crate::linalg::{dot, symmetric_eigen};
use crate::math::normal;
use rand::Rng;

/// Mean, step size, covariance and paths, in the unit cube.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) mean: Vec<f64>,
    pub(super) sigma: f64,
    /// n rows of n.
    pub(super) covariance: Vec<f64>,
    path_sigma: Vec<f64>,
    path_c: Vec<f64>,
    generation: i32,
    weights: Vec<f64>,
    rates: Rates,
    /// Eigenvectors of the covariance as rows, and the roots of their values.
    eigen: (Vec<f64>, Vec<f64>),
}

/// The learning rates (eqs. 49 to 58).
#[derive(Debug, Clone, Copy)]
struct Rates {
    mu: usize,
    mu_eff: f64,
    c_1: f64,
    c_mu: f64,
    c_c: f64,
    c_sigma: f64,
    d_sigma: f64,
    chi_n: f64,
}

/// Trials to a generation: no search has more of them.
const MOST: usize = 1 << 16;

impl State {
    /// The state before the first generation; a population of 0 stands for the default of the dimension: smaller
    /// than Hansen's 4 + floor(3 ln n), for searches are short.
    pub(super) fn new(n: usize, population: usize, sigma: f64) -> Self {
        let dims = n as f64;
        let population =
            if population == 0 { 4 + (2.0 * dims.ln()) as usize } else { population.clamp(4, MOST) };
        let (weights, rates) = weights_and_rates(dims, population);
        let mut covariance = vec![0.0; n * n];
        (0..n).for_each(|i| covariance[i * n + i] = 1.0);
        let eigen = (covariance.clone(), vec![1.0; n]);
        let (path_sigma, path_c) = (vec![0.0; n], vec![0.0; n]);
        Self {
            mean: vec![0.5; n],
            sigma,
            covariance,
            path_sigma,
            path_c,
            generation: 0,
            weights,
            rates,
            eigen,
        }
    }

    pub(super) fn population(&self) -> usize {
        self.weights.len()
    }

    /// The point of the unit cube at `z`, a draw from the standard normal: while it falls outside at another draw,
    /// at last moved to the bound.
    pub(super) fn draw(&self, z: Vec<f64>, rng: &mut impl Rng) -> Vec<f64> {
        let mut x = self.at(z);
        for _ in 1..10 * x.len() {
            if x.iter().all(|x| (0.0..=1.0).contains(x)) {
                return x;
            }
            x = self.at(x.iter().map(|_| normal(rng)).collect());
        }
        x.iter().map(|x| if x.is_nan() { 0.5 } else { x.clamp(0.0, 1.0) }).collect()
    }

    /// The mean and a step of `z` deviations along the axes of the covariance.
    fn at(&self, mut z: Vec<f64>) -> Vec<f64> {
        let n = z.len();
        z.iter_mut().zip(&self.eigen.1).for_each(|(z, root)| *z *= root);
        let step = |i: usize| (0..n).map(|k| self.eigen.0[k * n + i] * z[k]).sum::<f64>();
        (0..n).map(|i| self.mean[i] + self.sigma * step(i)).collect()
    }

    /// Takes in one generation, the best first; `population` points of the unit cube. A generation that the numbers
    /// do not allow is passed over.
    pub(super) fn tell(&mut self, points: &[&[f64]]) {
        let mut next = self.clone();
        next.update(points);
        let n = self.mean.len();
        let Some((vectors, values)) = symmetric_eigen(&next.covariance, n) else { return };
        let sound = next.mean.iter().chain([&next.sigma]).chain(&values).all(|x| x.is_finite());
        if sound && values.iter().all(|value| *value > 1e-300) && (1e-14..1e4).contains(&next.sigma) {
            next.eigen = (vectors, values.iter().map(|value| value.sqrt()).collect());
            *self = next;
        }
    }

    fn update(&mut self, points: &[&[f64]]) {
        let n = self.mean.len();
        let dims = n as f64;
        let rates = self.rates;
        self.generation += 1;
        let step = |x: &&[f64]| x.iter().zip(&self.mean).map(|(x, m)| (x - m) / self.sigma).collect();
        let mut steps: Vec<Vec<f64>> = points.iter().map(step).collect();
        let whitened: Vec<f64> = steps.iter().map(|y| self.whitened(y)).map(|z| dot(&z, &z).sqrt()).collect();
        // A point from elsewhere is drawn in to a length that its like have (Hansen 2011, on injected solutions).
        let longest = dims.sqrt() + 20.0 + 2.0 * dims / (dims + 2.0);
        let lengths: Vec<f64> = whitened.iter().map(|length| length.min(longest)).collect();
        for ((y, length), kept) in steps.iter_mut().zip(&whitened).zip(&lengths) {
            if kept < length {
                y.iter_mut().for_each(|y| *y *= kept / length);
            }
        }
        // Selection and recombination (41, 42).
        let mut mean_step = vec![0.0; n];
        for (y, weight) in steps.iter().zip(&self.weights).take(rates.mu) {
            mean_step.iter_mut().zip(y).for_each(|(sum, y)| *sum += weight * y);
        }
        self.mean.iter_mut().zip(&mean_step).for_each(|(m, y)| *m += self.sigma * y);
        // Step size (43, 44).
        let keep = (rates.c_sigma * (2.0 - rates.c_sigma) * rates.mu_eff).sqrt();
        let white_step = self.whitened(&mean_step);
        self.path_sigma
            .iter_mut()
            .zip(white_step)
            .for_each(|(p, z)| *p = (1.0 - rates.c_sigma) * *p + keep * z);
        let length = dot(&self.path_sigma, &self.path_sigma).sqrt();
        self.sigma *= (rates.c_sigma / rates.d_sigma * (length / rates.chi_n - 1.0)).exp();
        // Covariance (45 to 47); the paths stall while the step size is far too small.
        let expected = (1.0 - (1.0 - rates.c_sigma).powi(2 * (self.generation + 1))).sqrt();
        let moving = if length / expected < (1.4 + 2.0 / (dims + 1.0)) * rates.chi_n { 1.0 } else { 0.0 };
        let keep = moving * (rates.c_c * (2.0 - rates.c_c) * rates.mu_eff).sqrt();
        self.path_c.iter_mut().zip(&mean_step).for_each(|(p, y)| *p = (1.0 - rates.c_c) * *p + keep * y);
        let stalled = (1.0 - moving) * rates.c_c * (2.0 - rates.c_c);
        let total: f64 = self.weights.iter().sum();
        let old = 1.0 + rates.c_1 * stalled - rates.c_1 - rates.c_mu * total;
        let signed = |weight: f64, length: f64| {
            if weight >= 0.0 { weight } else { weight * dims / (length * length + 1e-8) }
        };
        let signed: Vec<f64> =
            self.weights.iter().zip(&lengths).map(|(&weight, &length)| signed(weight, length)).collect();
        for i in 0..n {
            for j in 0..n {
                let rank_mu: f64 = steps.iter().zip(&signed).map(|(y, weight)| weight * y[i] * y[j]).sum();
                let cell = &mut self.covariance[i * n + j];
                *cell = old * *cell + rates.c_1 * self.path_c[i] * self.path_c[j] + rates.c_mu * rank_mu;
            }
        }
    }

    /// C^(-1/2) y.
    fn whitened(&self, y: &[f64]) -> Vec<f64> {
        let n = y.len();
        let (vectors, roots) = &self.eigen;
        let mut z = vec![0.0; n];
        for (vector, root) in vectors.chunks_exact(n).zip(roots) {
            let along = dot(vector, y) / root;
            z.iter_mut().zip(vector).for_each(|(z, v)| *z += along * v);
        }
        z
    }
}

fn weights_and_rates(dims: f64, population: usize) -> (Vec<f64>, Rates) {
    let mu = population / 2;
    let raw: Vec<f64> =
        (0..population).map(|i| ((population as f64 + 1.0) / 2.0).ln() - (i as f64 + 1.0).ln()).collect();
    let effective = |part: &[f64]| part.iter().sum::<f64>().powi(2) / part.iter().map(|w| w * w).sum::<f64>();
    let (mu_eff, mu_eff_minus) = (effective(&raw[..mu]), effective(&raw[mu..]));
    let c_1 = 2.0 / ((dims + 1.3).powi(2) + mu_eff);
    let c_mu = (2.0 * (mu_eff - 2.0 + 1.0 / mu_eff) / ((dims + 2.0).powi(2) + mu_eff)).min(1.0 - c_1 - 1e-8);
    let least = (1.0 + c_1 / c_mu)
        .min(1.0 + 2.0 * mu_eff_minus / (mu_eff + 2.0))
        .min((1.0 - c_1 - c_mu) / (dims * c_mu));
    let positive: f64 = raw.iter().filter(|w| **w > 0.0).sum();
    let negative: f64 = raw.iter().filter(|w| **w < 0.0).map(|w| -w).sum();
    let weights = raw.iter().map(|w| if *w >= 0.0 { w / positive } else { least * w / negative }).collect();
    let c_sigma = (mu_eff + 2.0) / (dims + mu_eff + 5.0);
    let d_sigma = 1.0 + 2.0 * (((mu_eff - 1.0) / (dims + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma;
    let c_c = (4.0 + mu_eff / dims) / (dims + 4.0 + 2.0 * mu_eff / dims);
    let chi_n = dims.sqrt() * (1.0 - 1.0 / (4.0 * dims) + 1.0 / (21.0 * dims * dims));
    (weights, Rates { mu, mu_eff, c_1, c_mu, c_c, c_sigma, d_sigma, chi_n })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::keyed;

    /// The state after three generations that `cmaes` 0.13 is told too, from mean .5 and sigma 1 / 6:
    /// `CMA(mean=np.full(3, .5), sigma=1/6, population_size=6)`, points `x[i][j] = frac((7 g + 3 i + 1) * p[j])`
    /// with p = sqrt(2), sqrt(3), sqrt(5), ranked by i.
    #[test]
    fn updates_are_those_of_the_cmaes_package() {
        let mut state = State::new(3, 6, 1.0 / 6.0);
        for g in 0..3 {
            let points: Vec<Vec<f64>> = (0..6)
                .map(|i| {
                    [2.0_f64, 3.0, 5.0]
                        .iter()
                        .map(|p| (f64::from(7 * g + 3 * i + 1) * p.sqrt()).fract())
                        .collect()
                })
                .collect();
            state.tell(&points.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        let expected: Vec<f64> =
            include_str!("cmaes_states.txt").split_whitespace().map(|x| x.parse().unwrap()).collect();
        let ours: Vec<f64> =
            state.mean.iter().chain([&state.sigma]).chain(&state.covariance).copied().collect();
        assert_eq!(ours.len(), expected.len());
        for (ours, expected) in ours.iter().zip(&expected) {
            approx::assert_relative_eq!(ours, expected, max_relative = 1e-6);
        }
    }

    #[test]
    fn a_sphere_is_descended() {
        let mut state = State::new(4, 0, 1.0 / 6.0);
        let draw = |state: &State, number: u64| {
            let mut rng = keyed(3, number, "test");
            let z = (0..4).map(|_| normal(&mut rng)).collect();
            state.draw(z, &mut rng)
        };
        for generation in 0..120_u64 {
            let mut points: Vec<Vec<f64>> =
                (0..state.population() as u64).map(|i| draw(&state, generation * 100 + i)).collect();
            let loss = |x: &[f64]| x.iter().map(|x| (x - 0.2).powi(2)).sum::<f64>();
            points.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
            state.tell(&points.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        state.mean.iter().for_each(|x| approx::assert_abs_diff_eq!(*x, 0.2, epsilon = 1e-4));
    }
}
