//! A low-discrepancy sequence.

use crate::rng::keyed;
use crate::{History, Parameter, Params, Sampler, Space, Value};
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
        let point = Point::new(space, seed, number);
        space.build(|param| point.of(param))
    }
}

/// One point of the sequence, in the unit cube of as many dimensions as one asks for.
pub(super) struct Sequence {
    number: u64,
    scrambling: u32,
}

impl Sequence {
    /// Point `number` of the sequence scrambled by `seed` and `purpose`.
    pub(super) fn new(seed: u64, number: u64, purpose: &str) -> Self {
        Self { number, scrambling: keyed(seed, number / POINTS, purpose).random() }
    }

    /// Its coordinate along `dimension`, of [0, 1).
    pub(super) fn at(&self, dimension: usize) -> f64 {
        match u32::try_from(dimension) {
            Ok(dimension) if dimension < sobol_burley::NUM_DIMENSIONS => {
                f64::from(sobol_burley::sample((self.number % POINTS) as u32, dimension, self.scrambling))
            }
            _ => keyed(u64::from(self.scrambling), self.number, &format!("sobol/{dimension}")).random(),
        }
    }
}

/// One point of the sequence in a space.
pub(super) struct Point<'a> {
    space: &'a Space,
    sequence: Sequence,
}

impl<'a> Point<'a> {
    pub(super) fn new(space: &'a Space, seed: u64, number: u64) -> Self {
        Self { space, sequence: Sequence::new(seed, number, "sobol") }
    }

    /// The value of a parameter of the space there.
    pub(super) fn of(&self, param: &Parameter) -> Value {
        let dimension = self.space.params().iter().position(|each| each.name == param.name).unwrap_or(0);
        param.domain.at(self.sequence.at(dimension))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Domain};

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
