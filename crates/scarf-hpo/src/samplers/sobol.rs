//! A low-discrepancy sequence.

use crate::rng::keyed;
use crate::{History, Params, Sampler, Space};
use rand::RngExt;
use serde::{Deserialize, Serialize};

/// Fills the space evenly: trial `number` is point `number` of an Owen-scrambled Sobol sequence (Burley 2020),
/// scrambled by the seed, whatever came before.
///
/// The sequence has 2^16 points of 256 dimensions; later trials begin it anew with another scrambling, and
/// parameters past the 256th are drawn independently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sobol {}

const POINTS: u64 = 1 << 16;

impl Sampler for Sobol {
    fn suggest(&self, space: &Space, _: History<'_>, seed: u64, number: u64) -> Params {
        let scrambling = keyed(seed, number / POINTS, "sobol").random::<u32>();
        space.build(|param| {
            let dimension =
                space.params().iter().position(|each| each.name == param.name).unwrap_or(0) as u32;
            param.domain.at(if dimension < sobol_burley::NUM_DIMENSIONS {
                f64::from(sobol_burley::sample((number % POINTS) as u32, dimension, scrambling))
            } else {
                keyed(seed, number, &param.name).random()
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Domain, Parameter};

    #[test]
    fn each_of_sixteen_cells_holds_one_of_sixteen_points() {
        let space = Space::new(vec![
            Parameter::new("x", Domain::linear(0.0, 4.0)),
            Parameter::new("y", Domain::linear(0.0, 4.0)),
        ])
        .unwrap();
        let mut cells: Vec<(u64, u64)> = (0..16)
            .map(|number| {
                let params = Sobol {}.suggest(&space, History::empty(Direction::Minimize), 7, number);
                let cell = |name: &str| params[name].as_f64().unwrap() as u64;
                (cell("x"), cell("y"))
            })
            .collect();
        cells.sort_unstable();
        cells.dedup();
        assert_eq!(cells.len(), 16);
    }
}
