//! Bayesian optimization with a Gaussian process.

mod acquisition;
mod model;

use crate::math::spread;
use crate::rng::keyed;
use crate::{History, Params, Sampler, Sobol, Space};
use acquisition::{Acquisition, Encoding};
use model::Model;
use rand::RngExt;
use serde::{Deserialize, Serialize};

/// Bayesian optimization: a Gaussian process (Matern 5/2, a length per parameter, fitted to the posterior mode)
/// explains the trials, and the next one is where ln of the expected improvement is greatest (Ament et al. 2023).
///
/// Choices are equal or one apart; whole numbers lie on their scale; conditional parameters that are not active
/// are held at one place. Running trials are believed to turn out as expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gp {
    /// How many trials must be complete before the process is trusted; points of a Sobol sequence until then, 2 at
    /// the least. Default 10.
    pub startup: u64,
    /// How many trials are explained at most, the best and the latest by halves: the time grows with the cube.
    /// Default 300.
    pub window: u64,
}

impl Default for Gp {
    fn default() -> Self {
        Self { startup: 10, window: 300 }
    }
}

/// How many points of the space are looked at before the best are climbed from.
const LOOKED_AT: u32 = 768;
/// How many are climbed from.
const CLIMBED: usize = 6;

impl Sampler for Gp {
    fn suggest(&self, space: &Space, history: History<'_>, seed: u64, number: u64) -> Params {
        let informed = self.explain(space, history, number).and_then(|known| {
            let (x, _) = most_promising(&known, seed, number)?;
            Some(known.encoding.decode(&x))
        });
        informed.unwrap_or_else(|| Sobol {}.suggest(space, history, seed, number))
    }
}

impl Gp {
    /// The improvement that the next trial can be expected to bring, in the objective's units; `None` before the
    /// startup is over.
    pub fn expected_gain(&self, space: &Space, history: History<'_>) -> Option<f64> {
        let number = history.trials.iter().map(|trial| trial.number + 1).max()?;
        let known = self.explain(space, history, number)?;
        let (_, ln_gain) = most_promising(&known, 0, number)?;
        Some(ln_gain.exp() * known.deviation)
    }

    /// The process given the history.
    fn explain<'a>(&self, space: &'a Space, history: History<'_>, number: u64) -> Option<Known<'a>> {
        let encoding = Encoding::new(space);
        let mut observed: Vec<(u64, f64, Vec<f64>)> = history
            .complete()
            .filter_map(|(trial, loss)| Some((trial.number, loss, encoding.encode(&trial.params)?)))
            .collect();
        if encoding.axes.is_empty() || (observed.len() as u64) < self.startup.max(2) {
            return None;
        }
        observed.sort_by(|(a, x, _), (b, y, _)| x.total_cmp(y).then(a.cmp(b)));
        if observed.len() as u64 > self.window.max(2) {
            let half = self.window.max(2) as usize / 2;
            observed[half..].sort_by_key(|(number, ..)| std::cmp::Reverse(*number));
            observed.truncate(2 * half);
        }
        let losses: Vec<f64> = observed.iter().map(|(_, loss, _)| *loss).collect();
        let rows: Vec<Vec<f64>> = observed.into_iter().map(|(.., row)| row).collect();
        let (mean, deviation) = spread(&losses);
        let standardized = losses.iter().map(|loss| ((loss - mean) / deviation).clamp(-1e6, 1e6)).collect();
        let model = Model::fit(&encoding.axes, rows.clone(), standardized)?;
        let others = history.pending().filter(|trial| trial.number != number);
        let mut running: Vec<(u64, Vec<f64>)> =
            others.filter_map(|trial| Some((trial.number, encoding.encode(&trial.params)?))).collect();
        running.sort_by_key(|(number, _)| *number);
        let model = model.believing(running.into_iter().map(|(_, row)| row).collect())?;
        Some(Known { encoding, model, rows, deviation })
    }
}

/// What the process knows.
struct Known<'a> {
    encoding: Encoding<'a>,
    model: Model,
    /// The rows that it explains, the best one first.
    rows: Vec<Vec<f64>>,
    /// The standard deviation of their losses, which are 1 apart for it.
    deviation: f64,
}

/// The point with the greatest ln expected improvement and that.
fn most_promising(known: &Known<'_>, seed: u64, number: u64) -> Option<(Vec<f64>, f64)> {
    let Known { encoding, model, rows, .. } = known;
    let acquisition = Acquisition { model, best: model.lowest_observed() };
    let mut rng = keyed(seed, number, "gp");
    let scrambling = rng.random::<u32>();
    let dims = encoding.axes.len() as u32;
    let mut looked: Vec<(f64, Vec<f64>)> = (0..LOOKED_AT)
        .map(|index| {
            let coordinate = |axis| match axis < sobol_burley::NUM_DIMENSIONS {
                true => f64::from(sobol_burley::sample(index, axis, scrambling)),
                false => rng.random(),
            };
            let x = encoding.at_unit(&(0..dims).map(coordinate).collect::<Vec<_>>());
            (acquisition.at(&x), x)
        })
        .collect();
    looked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let starts: Vec<Vec<f64>> =
        rows.first().cloned().into_iter().chain(looked.into_iter().map(|(_, x)| x)).take(CLIMBED).collect();
    // Where the process sees nothing anywhere, it has nothing to say.
    acquisition.maximize(encoding, &starts)
}
