//! Minimisation of a smooth function in a box.

use crate::linalg::dot;
use std::collections::VecDeque;

const MEMORY: usize = 8;

/// Minimises `function` (value and gradient) over the box by L-BFGS with steps projected onto it, from `start`:
/// the best point met and its value. Variables at a bound that the gradient pushes outwards are held.
pub(crate) fn minimize(
    start: &[f64],
    bounds: &[(f64, f64)],
    iterations: usize,
    tolerance: f64,
    mut function: impl FnMut(&[f64]) -> (f64, Vec<f64>),
) -> (Vec<f64>, f64) {
    let mut x: Vec<f64> = start.iter().zip(bounds).map(|(x, (low, high))| x.clamp(*low, *high)).collect();
    let (mut value, mut gradient) = function(&x);
    let mut memory: VecDeque<(Vec<f64>, Vec<f64>)> = VecDeque::new();
    for _ in 0..iterations {
        let pushed_out = |i: usize| {
            let (low, high) = bounds[i];
            x[i] <= low && gradient[i] > 0.0 || x[i] >= high && gradient[i] < 0.0
        };
        let free: Vec<bool> = (0..x.len()).map(|i| !pushed_out(i)).collect();
        let held: Vec<f64> =
            gradient.iter().zip(&free).map(|(g, free)| if *free { *g } else { 0.0 }).collect();
        if !value.is_finite() || held.iter().all(|g| g.abs() <= tolerance) {
            break;
        }
        let mut direction = two_loop(&held, &memory);
        direction.iter_mut().zip(&free).filter(|(_, free)| !**free).for_each(|(d, _)| *d = 0.0);
        if dot(&direction, &held) >= 0.0 {
            memory.clear();
            direction = held.iter().map(|g| -g).collect();
        }
        let longest = direction.iter().fold(0.0, |top: f64, d| top.max(d.abs()));
        let mut step = if memory.is_empty() { (0.1 / longest).min(1.0) } else { 1.0 };
        let mut next = None;
        for _ in 0..20 {
            let trial: Vec<f64> =
                (0..x.len()).map(|i| (x[i] + step * direction[i]).clamp(bounds[i].0, bounds[i].1)).collect();
            let moved: Vec<f64> = trial.iter().zip(&x).map(|(a, b)| a - b).collect();
            let (trial_value, trial_gradient) = function(&trial);
            if trial_value.is_finite() && trial_value <= value + 1e-4 * dot(&moved, &gradient) {
                next = Some((trial, moved, trial_value, trial_gradient));
                break;
            }
            step *= 0.3;
        }
        let Some((trial, moved, trial_value, trial_gradient)) = next else { break };
        let change: Vec<f64> = trial_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        if dot(&moved, &change) > 1e-10 * dot(&change, &change) {
            memory.push_back((moved, change));
            if memory.len() > MEMORY {
                memory.pop_front();
            }
        }
        let gain = value - trial_value;
        (x, value, gradient) = (trial, trial_value, trial_gradient);
        if gain <= 1e-9 * (1.0 + value.abs()) {
            break;
        }
    }
    (x, value)
}

/// The quasi-Newton direction (Nocedal 1980).
fn two_loop(gradient: &[f64], memory: &VecDeque<(Vec<f64>, Vec<f64>)>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut factors = Vec::with_capacity(memory.len());
    for (moved, change) in memory.iter().rev() {
        let factor = dot(moved, &direction) / dot(moved, change);
        direction.iter_mut().zip(change).for_each(|(d, c)| *d -= factor * c);
        factors.push(factor);
    }
    if let Some((moved, change)) = memory.back() {
        let scale = dot(moved, change) / dot(change, change);
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for ((moved, change), factor) in memory.iter().zip(factors.iter().rev()) {
        let correction = factor - dot(change, &direction) / dot(moved, change);
        direction.iter_mut().zip(moved).for_each(|(d, m)| *d += correction * m);
    }
    direction
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rosenbrock(x: &[f64]) -> (f64, Vec<f64>) {
        let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
        (a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b])
    }

    #[test]
    fn the_valley_of_rosenbrock_is_walked_to_its_end() {
        let (x, value) = minimize(&[-1.2, 1.0], &[(-2.0, 2.0); 2], 200, 1e-8, rosenbrock);
        assert!(value < 1e-8, "{value} at {x:?}");
    }

    #[test]
    fn a_minimum_outside_is_met_at_the_bound() {
        let (x, _) = minimize(&[-1.2, 1.0], &[(-2.0, 0.5), (-2.0, 2.0)], 200, 1e-8, rosenbrock);
        approx::assert_abs_diff_eq!(x[0], 0.5, epsilon = 1e-9);
        approx::assert_abs_diff_eq!(x[1], 0.25, epsilon = 1e-5);
    }
}
