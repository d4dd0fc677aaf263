//! The values that a hyperparameter may take, and how they map to the unit interval.

use crate::Value;
use serde::{Deserialize, Serialize};

/// How a continuous range is spread over the unit interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Evenly.
    Linear,
    /// Evenly in ln x; for 0 < x.
    Log,
    /// Evenly in -ln(1 - x); for 0 <= x < 1, dense towards 1 (a momentum).
    ReverseLog,
}

/// The values that a hyperparameter may take. Bounds are inclusive.
///
/// In files: `{ linear = [0.8, 0.99] }`, `{ log = [1e-4, 1e-2] }`, `{ reverse_log = [0.0, 0.999] }`,
/// `{ int = [1, 8] }`, `{ int_log = [8, 64] }`, `{ choice = ["sgd", "adam"] }`, `{ static = 0.9 }` or, shorter,
/// `0.9`; each but the last may add `when = { parent = value }`.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// Real numbers.
    Float {
        /// The least one.
        low: f64,
        /// The greatest one.
        high: f64,
        /// How they are spread.
        scale: Scale,
    },
    /// Whole numbers.
    Int {
        /// The least one.
        low: i64,
        /// The greatest one.
        high: i64,
        /// Whether they are spread evenly in their logarithm (from 1 then).
        log: bool,
    },
    /// One of these, which have no order.
    Choice(Vec<Value>),
    /// Not searched: always this.
    Static(Value),
}

impl Domain {
    /// Real numbers spread evenly.
    pub fn linear(low: f64, high: f64) -> Self {
        Domain::Float { low, high, scale: Scale::Linear }
    }

    /// Positive real numbers spread evenly in their logarithm.
    pub fn log(low: f64, high: f64) -> Self {
        Domain::Float { low, high, scale: Scale::Log }
    }

    /// Real numbers of [0, 1) spread evenly in -ln(1 - x).
    pub fn reverse_log(low: f64, high: f64) -> Self {
        Domain::Float { low, high, scale: Scale::ReverseLog }
    }

    /// Whole numbers spread evenly.
    pub fn int(low: i64, high: i64) -> Self {
        Domain::Int { low, high, log: false }
    }

    /// Whole numbers from 1 spread evenly in their logarithm.
    pub fn int_log(low: i64, high: i64) -> Self {
        Domain::Int { low, high, log: true }
    }

    /// One of `values`.
    pub fn choice<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> Self {
        Domain::Choice(values.into_iter().map(Into::into).collect())
    }

    /// How many values there are; `None` for a continuous range with more than one.
    pub fn cardinality(&self) -> Option<u64> {
        match self {
            Domain::Float { low, high, .. } => (low == high).then_some(1),
            Domain::Int { low, high, .. } => Some(high.abs_diff(*low).saturating_add(1)),
            Domain::Choice(values) => Some(values.len() as u64),
            Domain::Static(_) => Some(1),
        }
    }

    /// Whether `value` is one of this domain's (a whole number is also a real one).
    pub fn contains(&self, value: &Value) -> bool {
        match self {
            Domain::Float { low, high, .. } => value.as_f64().is_some_and(|x| (*low..=*high).contains(&x)),
            Domain::Int { low, high, .. } => value.as_i64().is_some_and(|x| (*low..=*high).contains(&x)),
            Domain::Choice(values) => values.contains(value),
            Domain::Static(only) => only == value,
        }
    }

    /// The value at `unit`, from 0 to 1: equal lengths of the unit interval are equally likely a priori.
    /// Choices take equal pieces of it in their order.
    pub fn at(&self, unit: f64) -> Value {
        let unit = if unit.is_nan() { 0.5 } else { unit.clamp(0.0, 1.0) };
        match self {
            Domain::Float { low, high, scale } => {
                let (a, b) = (scale.forward(*low), scale.forward(*high));
                Value::Float(scale.backward(a + (b - a) * unit).clamp(*low, *high))
            }
            Domain::Int { low, high, log } => {
                let (a, b) = int_bounds(*low, *high, *log);
                let inner = a + (b - a) * unit;
                let value = if *log { inner.exp() } else { inner }.round();
                Value::Int((value as i64).clamp(*low, *high))
            }
            Domain::Choice(values) => {
                let index = (unit * values.len() as f64) as usize;
                values[index.min(values.len() - 1)].clone()
            }
            Domain::Static(value) => value.clone(),
        }
    }

    /// Where `value` lies in the unit interval: [`Domain::at`] gives it back (up to rounding). Whole numbers
    /// and choices lie in the middle of their piece. `None` where the value is not of this domain.
    pub fn unit(&self, value: &Value) -> Option<f64> {
        if !self.contains(value) {
            return None;
        }
        Some(match self {
            Domain::Float { low, high, scale } => {
                let (a, b) = (scale.forward(*low), scale.forward(*high));
                ratio(scale.forward(value.as_f64()?) - a, b - a)
            }
            Domain::Int { low, high, log } => {
                let (a, b) = int_bounds(*low, *high, *log);
                let x = value.as_f64()?;
                ratio(if *log { x.ln() } else { x } - a, b - a)
            }
            Domain::Choice(values) => {
                (values.iter().position(|each| each == value)? as f64 + 0.5) / values.len() as f64
            }
            Domain::Static(_) => 0.5,
        })
    }
}

impl Scale {
    /// From a value to where the range is even.
    pub(crate) fn forward(self, x: f64) -> f64 {
        match self {
            Scale::Linear => x,
            Scale::Log => x.ln(),
            Scale::ReverseLog => -(-x).ln_1p(),
        }
    }

    /// The inverse of [`Scale::forward`].
    pub(crate) fn backward(self, t: f64) -> f64 {
        match self {
            Scale::Linear => t,
            Scale::Log => t.exp(),
            Scale::ReverseLog => -(-t).exp_m1(),
        }
    }
}

/// The real interval whose rounding gives low..=high, each whole number with its share.
pub(crate) fn int_bounds(low: i64, high: i64, log: bool) -> (f64, f64) {
    let (a, b) = (low as f64 - 0.5, high as f64 + 0.5);
    if log { (a.ln(), b.ln()) } else { (a, b) }
}

/// `part / whole` within the unit interval, its middle where there is but one point.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.5 }
}
