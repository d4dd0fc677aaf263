//! Whether a search's gain is one parameter's doing, or noise.

use crate::axis::{Axis, Kind, is_searched};
use crate::math::spread;
use crate::{History, Space};

/// A numeric parameter and how the objective goes with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Correlation {
    /// The parameter.
    pub name: String,
    /// Pearson's correlation, from -1 to 1, of the objective with the parameter on its own scale (the logarithm, where
    /// it is searched by that); 0 where either does not vary.
    pub r: f64,
    /// Trials that it is taken over.
    pub trials: usize,
}

/// The correlation of the objective with each numeric parameter, the strongest first. Complete trials count.
pub fn correlations(space: &Space, history: History<'_>) -> Vec<Correlation> {
    let numeric = space.params().iter().filter(|param| is_searched(param)).map(Axis::new);
    let mut found: Vec<Correlation> = numeric
        .filter(|axis| !matches!(axis.kind, Kind::Choice(_)))
        .map(|axis| {
            let place = |params: &crate::Params| axis.encode(params.get(axis.name)?);
            let pairs: Vec<(f64, f64)> = history
                .complete()
                .filter_map(|(trial, loss)| Some((place(&trial.params)?, history.direction.loss(loss))))
                .collect();
            Correlation { name: axis.name.into(), r: pearson(&pairs), trials: pairs.len() }
        })
        .collect();
    found.sort_by(|a, b| b.r.abs().total_cmp(&a.r.abs()));
    found
}

/// How the objectives spread where a search has gathered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plateau {
    /// Trials within the range.
    pub trials: usize,
    /// Mean of their objectives.
    pub mean: f64,
    /// Standard deviation of their objectives (of the sample, n - 1).
    pub deviation: f64,
    /// The best of them.
    pub best: f64,
    /// The number of the best one.
    pub best_number: u64,
}

/// The spread of the objective over the complete trials whose parameter `name` lies within `range` (bounds included):
/// where neighbours differ as much as the best does from the mean, the gain is noise. `None` with fewer than two trials.
pub fn plateau(history: History<'_>, name: &str, range: (f64, f64)) -> Option<Plateau> {
    let inside = |params: &crate::Params| {
        params.get(name).and_then(crate::Value::as_f64).is_some_and(|x| (range.0..=range.1).contains(&x))
    };
    let there: Vec<(u64, f64)> = history
        .complete()
        .filter(|(trial, _)| inside(&trial.params))
        .map(|(trial, loss)| (trial.number, loss))
        .collect();
    if there.len() < 2 {
        return None;
    }
    let n = there.len() as f64;
    let losses: Vec<f64> = there.iter().map(|(_, loss)| *loss).collect();
    let mean = losses.iter().sum::<f64>() / n;
    let variance = losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let (best_number, best) = there.into_iter().min_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)))?;
    let turn = |loss| history.direction.loss(loss);
    Some(Plateau {
        trials: losses.len(),
        mean: turn(mean),
        deviation: variance.sqrt(),
        best: turn(best),
        best_number,
    })
}

fn pearson(pairs: &[(f64, f64)]) -> f64 {
    let (xs, ys): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let ((mean_x, sd_x), (mean_y, sd_y)) = (spread(&xs), spread(&ys));
    let n = pairs.len().max(1) as f64;
    let r = pairs.iter().map(|(x, y)| (x - mean_x) / sd_x * ((y - mean_y) / sd_y)).sum::<f64>() / n;
    if r.is_finite() { r.clamp(-1.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Domain, Parameter, Trial};

    #[test]
    fn an_objective_that_goes_with_the_logarithm_is_told() {
        let space = Space::new(vec![
            Parameter::new("decay", Domain::linear(0.0, 1.0)),
            Parameter::new("lr", Domain::log(1e-4, 1.0)),
        ])
        .unwrap();
        let trial = |number: u64| {
            let (lr, decay) =
                (10_f64.powi(-(number as i32 % 5)), if number.is_multiple_of(2) { 0.25 } else { 0.75 });
            let params = [("lr".to_string(), lr.into()), ("decay".to_string(), decay.into())].into();
            Trial::new(number, params).complete(3.0 + lr.log10())
        };
        let trials: Vec<Trial> = (0..10).map(trial).collect();
        let found = correlations(&space, History::new(Direction::Maximize, &trials));
        assert_eq!((found[0].name.as_str(), found[0].trials), ("lr", 10));
        approx::assert_abs_diff_eq!(found[0].r, 1.0, epsilon = 1e-9);
        approx::assert_abs_diff_eq!(found[1].r, 0.0, epsilon = 1e-9);
        let there = plateau(History::new(Direction::Maximize, &trials), "lr", (0.05, 2.0)).unwrap();
        assert_eq!((there.trials, there.mean, there.best, there.best_number), (4, 2.5, 3.0, 0));
        approx::assert_abs_diff_eq!(there.deviation, (1.0_f64 / 3.0).sqrt(), epsilon = 1e-12);
        assert_eq!(plateau(History::new(Direction::Maximize, &trials), "lr", (5.0, 9.0)), None);
    }
}
