//! Every combination.

use crate::{Domain, History, Parameter, Params, Sampler, Space};
use serde::{Deserialize, Serialize};

/// Walks every combination, the last parameter fastest; the seed and what came before do not matter. After the
/// last combination ([`Grid::size`]) it begins anew; there a search should end ([`crate::AnySampler::combinations`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grid {
    /// How many values of a continuous range are tried, both bounds included (the middle alone, if one); at least
    /// 1. Integers with more values than this are thinned to as many. Default 5.
    pub levels: u64,
}

impl Default for Grid {
    fn default() -> Self {
        Self { levels: 5 }
    }
}

impl Grid {
    /// How many combinations there are, [`u64::MAX`] where they are more. A conditional parameter counts only
    /// where it is active.
    pub fn size(&self, space: &Space) -> u64 {
        roots(space).map(|param| self.count(space, param)).fold(1, u64::saturating_mul)
    }

    /// The combinations of `param` and of all that hangs on it.
    fn count(&self, space: &Space, param: &Parameter) -> u64 {
        self.values(&param.domain)
            .map(|value| {
                children(space, param, &value)
                    .map(|child| self.count(space, child))
                    .fold(1, u64::saturating_mul)
            })
            .fold(0, u64::saturating_add)
    }

    /// How many values of `domain` are tried.
    fn steps(&self, domain: &Domain) -> u64 {
        let levels = self.levels.max(1);
        match domain {
            Domain::Choice(_) | Domain::Static(_) => domain.cardinality().unwrap_or(1),
            _ => domain.cardinality().unwrap_or(levels).min(levels),
        }
    }

    fn values<'a>(&self, domain: &'a Domain) -> impl Iterator<Item = crate::Value> + use<'a> {
        let steps = self.steps(domain);
        (0..steps).map(move |step| value(domain, step, steps))
    }

    /// Chooses `param` and what hangs on it as combination `index` of them has it.
    fn choose(&self, space: &Space, param: &Parameter, mut index: u64, chosen: &mut Params) {
        for value in self.values(&param.domain) {
            let below: Vec<&Parameter> = children(space, param, &value).collect();
            let count = below.iter().map(|child| self.count(space, child)).fold(1, u64::saturating_mul);
            if index < count {
                chosen.insert(param.name.clone(), value);
                self.choose_all(space, &below, index, chosen);
                return;
            }
            index -= count;
        }
    }

    fn choose_all(&self, space: &Space, params: &[&Parameter], mut index: u64, chosen: &mut Params) {
        for param in params.iter().rev() {
            let count = self.count(space, param);
            self.choose(space, param, index % count, chosen);
            index /= count;
        }
    }
}

impl Sampler for Grid {
    fn suggest(&self, space: &Space, _: History<'_>, _: u64, number: u64) -> Params {
        let mut chosen = Params::new();
        let roots: Vec<&Parameter> = roots(space).collect();
        self.choose_all(space, &roots, number % self.size(space), &mut chosen);
        chosen
    }
}

/// Value `step` of `steps` of `domain`, in order.
fn value(domain: &Domain, step: u64, steps: u64) -> crate::Value {
    let fraction = if steps > 1 { step as f64 / (steps - 1) as f64 } else { 0.5 };
    match domain {
        Domain::Choice(values) => values[step as usize].clone(),
        Domain::Int { low, high, log: false } => {
            crate::Value::Int((*low as f64 + (high - low) as f64 * fraction).round() as i64)
        }
        // Even in the logarithm, but for steps of less than one at the low end.
        Domain::Int { low, high, log: true } => {
            let (a, b) = ((*low as f64).ln(), (*high as f64).ln());
            let even = (a + (b - a) * fraction).exp().round() as i64;
            let after = i64::try_from(steps - 1 - step).unwrap_or(i64::MAX);
            let before = i64::try_from(step).unwrap_or(i64::MAX);
            crate::Value::Int(even.clamp(low.saturating_add(before), high.saturating_sub(after)))
        }
        _ => domain.at(fraction),
    }
}

fn roots(space: &Space) -> impl Iterator<Item = &Parameter> {
    space.params().iter().filter(|param| param.when.is_none())
}

/// The parameters that hang on `parent` where it has `value`.
fn children<'a>(
    space: &'a Space,
    parent: &'a Parameter,
    value: &crate::Value,
) -> impl Iterator<Item = &'a Parameter> + use<'a> {
    let value = value.clone();
    space.params().iter().filter(move |param| {
        param.when.as_ref().is_some_and(|when| when.parent == parent.name && when.any_of.contains(&value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Direction;

    #[test]
    fn whole_numbers_come_once_each_in_order_on_a_logarithm_too() {
        for (low, high, levels) in
            [(1, 3, 5), (1, 4, 5), (1, 5, 5), (1, 6, 5), (1, 8, 5), (1, 32, 5), (3, 1000, 9), (7, 7, 5)]
        {
            let domain = Domain::int_log(low, high);
            let values: Vec<i64> =
                Grid { levels }.values(&domain).map(|value| value.as_i64().unwrap()).collect();
            assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{low} to {high}: {values:?}");
            assert_eq!((values.first(), values.last()), (Some(&low), Some(&high)), "{values:?}");
        }
        let domain = Domain::int_log(1, 32);
        let values: Vec<_> = Grid::default().values(&domain).map(|value| value.as_i64().unwrap()).collect();
        assert_eq!(values, [1, 2, 6, 13, 32]);
    }

    #[test]
    fn a_conditional_parameter_multiplies_only_where_it_is_active() {
        let space = Space::new(vec![
            Parameter::new("optimizer", Domain::choice(["sgd", "adam"])),
            Parameter::new("momentum", Domain::choice([0.0, 0.9, 0.99])).when("optimizer", "sgd"),
            Parameter::new("epochs", Domain::int(1, 2)),
        ])
        .unwrap();
        let grid = Grid::default();
        assert_eq!(grid.size(&space), (3 + 1) * 2);
        let mut all: Vec<String> = (0..8)
            .map(|number| {
                format!("{:?}", grid.suggest(&space, History::empty(Direction::Minimize), 0, number))
            })
            .collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 8);
    }

    #[test]
    fn a_range_is_walked_from_bound_to_bound() {
        let space = Space::new(vec![Parameter::new("x", Domain::log(1e-4, 1.0))]).unwrap();
        let at = |number| {
            Grid::default().suggest(&space, History::empty(Direction::Minimize), 0, number)["x"].clone()
        };
        for (number, expected) in [1e-4, 1e-3, 1e-2, 1e-1, 1.0].into_iter().enumerate() {
            approx::assert_relative_eq!(at(number as u64).as_f64().unwrap(), expected, epsilon = 1e-12);
        }
    }
}
