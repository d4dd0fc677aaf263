//! A parameter as the model-based samplers see it: a number per value.

use crate::{Domain, Parameter, Params, Value};

/// What a parameter's numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A place in the unit interval.
    Real,
    /// The middle of one of so many pieces of the unit interval.
    Whole,
    /// One of so many choices, by its index.
    Choice(usize),
}

/// A searched parameter with its map to numbers laid out.
#[derive(Debug, Clone)]
pub(crate) struct Axis<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: Kind,
    param: &'a Parameter,
    /// Where the even scale begins, and the inverse of its length.
    start: f64,
    inverse_span: f64,
}

impl<'a> Axis<'a> {
    pub(crate) fn new(param: &'a Parameter) -> Self {
        let (kind, (start, end)) = match &param.domain {
            Domain::Float { low, high, scale } => (Kind::Real, (scale.forward(*low), scale.forward(*high))),
            Domain::Int { low, high, log } => (Kind::Whole, crate::domain::int_bounds(*low, *high, *log)),
            Domain::Choice(values) => (Kind::Choice(values.len()), (0.0, 1.0)),
            Domain::Static(_) => (Kind::Choice(1), (0.0, 1.0)),
        };
        Self { name: &param.name, kind, param, start, inverse_span: 1.0 / (end - start) }
    }

    /// The number of `value`; `None` where it is not of the domain.
    pub(crate) fn encode(&self, value: &Value) -> Option<f64> {
        if let Kind::Choice(_) = self.kind {
            let Domain::Choice(values) = &self.param.domain else { return None };
            return values.iter().position(|each| each == value).map(|index| index as f64);
        }
        if !self.param.domain.contains(value) {
            return None;
        }
        Some(self.unit(value.as_f64()?))
    }

    /// The number of a choice's value, `Some(None)` where the parameter takes no part in it; `None` where the choice is not
    /// of the space.
    pub(crate) fn number(&self, params: &Params) -> Option<Option<f64>> {
        match params.get(self.name) {
            Some(value) => self.encode(value).map(Some),
            None => (!self.param.is_active(params)).then_some(None),
        }
    }

    /// The value of a number: the nearest piece's for whole numbers.
    pub(crate) fn decode(&self, x: f64) -> Value {
        match &self.param.domain {
            Domain::Choice(values) => values[(x.max(0.0) as usize).min(values.len() - 1)].clone(),
            domain => domain.at(x),
        }
    }

    /// The piece of the unit interval that rounds to the whole number at `x`, and its middle as
    /// [`Axis::encode`] has it.
    pub(crate) fn piece(&self, x: f64) -> (f64, f64, f64) {
        let Value::Int(whole) = self.param.domain.at(x) else { return (x, x, x) };
        let whole = whole as f64;
        (self.unit(whole - 0.5), self.unit(whole + 0.5), self.unit(whole))
    }

    fn unit(&self, x: f64) -> f64 {
        let inner = match &self.param.domain {
            Domain::Float { scale, .. } => scale.forward(x),
            Domain::Int { log: true, .. } => x.ln(),
            _ => x,
        };
        ((inner - self.start) * self.inverse_span).clamp(0.0, 1.0)
    }
}

/// Whether there is more than one value to choose from.
pub(crate) fn is_searched(param: &Parameter) -> bool {
    param.domain.cardinality() != Some(1)
}
