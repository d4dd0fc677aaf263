//! What a search may choose from.

use crate::{Domain, Params, Scale, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A condition: active only where the parent is, and has one of these values.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The name of the parameter that decides.
    pub parent: String,
    /// The values of it for which the child is active; one at least.
    pub any_of: Vec<Value>,
}

/// One hyperparameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its values.
    pub domain: Domain,
    /// When it takes part; always where absent.
    pub when: Option<Condition>,
}

impl Parameter {
    /// A parameter that always takes part.
    pub fn new(name: impl Into<String>, domain: Domain) -> Self {
        Self { name: name.into(), domain, when: None }
    }

    /// This parameter, active only where `parent` has the value `value`.
    pub fn when(mut self, parent: impl Into<String>, value: impl Into<Value>) -> Self {
        self.when = Some(Condition { parent: parent.into(), any_of: vec![value.into()] });
        self
    }
}

/// What is wrong with one parameter of a space.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct SpaceError {
    /// The parameter's name.
    pub key: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// All that is wrong with a space, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceErrors(pub Vec<SpaceError>);

impl std::error::Error for SpaceErrors {}

impl fmt::Display for SpaceErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// What a search may choose from: hyperparameters in the order given, checked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Space {
    params: Vec<Parameter>,
    /// Indices into `params`, parents before children.
    order: Vec<usize>,
}

impl Space {
    /// A space of these parameters.
    ///
    /// # Errors
    /// All that [`Space::check`] finds.
    pub fn new(params: Vec<Parameter>) -> Result<Self, SpaceErrors> {
        let errors = Self::check(&params);
        if !errors.is_empty() {
            return Err(SpaceErrors(errors));
        }
        let order = parents_first(&params);
        Ok(Self { params, order })
    }

    /// All that is wrong with these parameters as a space; nothing, if it is empty.
    pub fn check(params: &[Parameter]) -> Vec<SpaceError> {
        let by_name: BTreeMap<&str, &Parameter> =
            params.iter().map(|each| (each.name.as_str(), each)).collect();
        let mut errors = Vec::new();
        let mut seen = BTreeSet::new();
        for param in params {
            let mut refuse = |reason: String| errors.push(SpaceError { key: param.name.clone(), reason });
            if param.name.trim().is_empty() {
                refuse("a parameter needs a name".into());
            }
            if !seen.insert(param.name.as_str()) {
                refuse("given twice; names are unique".into());
            }
            check_domain(&param.domain).into_iter().for_each(&mut refuse);
            check_condition(param, &by_name).into_iter().for_each(&mut refuse);
        }
        errors
    }

    /// The parameters, in the order given.
    pub fn params(&self) -> &[Parameter] {
        &self.params
    }

    /// The parameter called `name`.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.params.iter().find(|param| param.name == name)
    }

    /// Whether there is nothing to choose.
    pub fn is_empty(&self) -> bool {
        self.params.is_empty()
    }

    /// A value for each active parameter: `choose` is asked for parents before their children, and only for
    /// what is searched and active.
    pub fn build(&self, mut choose: impl FnMut(&Parameter) -> Value) -> Params {
        let mut chosen = Params::new();
        for param in self.order.iter().map(|&index| &self.params[index]) {
            if !param.is_active(&chosen) {
                continue;
            }
            let value = match &param.domain {
                Domain::Static(value) => value.clone(),
                _ => choose(param),
            };
            chosen.insert(param.name.clone(), value);
        }
        chosen
    }

    /// What is wrong with `params` as a choice from this space: missing, left over, or out of range.
    pub fn mismatches(&self, params: &Params) -> Vec<SpaceError> {
        let mut errors = Vec::new();
        let mut refuse = |key: &str, reason: String| errors.push(SpaceError { key: key.into(), reason });
        for param in &self.params {
            match (param.is_active(params), params.get(&param.name)) {
                (true, None) => refuse(&param.name, "has no value".into()),
                (true, Some(value)) if !param.domain.contains(value) => {
                    refuse(&param.name, format!("{value} is not in its domain"));
                }
                (false, Some(_)) => {
                    refuse(&param.name, "has a value, but its condition does not hold".into())
                }
                _ => {}
            }
        }
        for name in params.keys().filter(|name| self.get(name).is_none()) {
            refuse(name, "is not a parameter of the space".into());
        }
        errors
    }

    /// Whether `params` is a choice from this space.
    pub fn contains(&self, params: &Params) -> bool {
        self.mismatches(params).is_empty()
    }
}

impl Parameter {
    /// Whether this takes part, given the values chosen so far (an inactive parent has none).
    pub fn is_active(&self, chosen: &Params) -> bool {
        self.when
            .as_ref()
            .is_none_or(|when| chosen.get(&when.parent).is_some_and(|value| when.any_of.contains(value)))
    }
}

/// The indices of `params`, parents before children, otherwise in the order given; free of cycles by now.
fn parents_first(params: &[Parameter]) -> Vec<usize> {
    let parent = |param: &Parameter| {
        let name = &param.when.as_ref()?.parent;
        params.iter().position(|each| each.name == *name)
    };
    let depth =
        |index: usize| std::iter::successors(parent(&params[index]), |&above| parent(&params[above])).count();
    let mut order: Vec<usize> = (0..params.len()).collect();
    order.sort_by_key(|&index| depth(index));
    order
}

fn check_domain(domain: &Domain) -> Vec<String> {
    let mut errors = Vec::new();
    match domain {
        Domain::Float { low, high, scale } => {
            if !low.is_finite() || !high.is_finite() {
                errors.push(format!("the bounds {low} and {high} must be finite"));
            } else if low > high {
                errors.push(format!("the range [{low}, {high}] is empty; write [low, high]"));
            } else if !(high - low).is_finite() {
                errors.push(format!("the range [{low}, {high}] is too wide"));
            } else if *scale == Scale::Log && *low <= 0.0 {
                errors.push(format!(
                    "a log range needs 0 < low, not {low}; use linear, or a small positive low"
                ));
            } else if *scale == Scale::ReverseLog && (*low < 0.0 || *high >= 1.0) {
                errors.push(format!("a reverse_log range lies in 0 <= x < 1, not [{low}, {high}]"));
            }
        }
        Domain::Int { low, high, log } => {
            // Beyond 2^53 neighbours share a float, and the samplers work in floats.
            const LIMIT: i64 = 1 << 53;
            if low > high {
                errors.push(format!("the range [{low}, {high}] is empty; write [low, high]"));
            } else if *low < -LIMIT || *high > LIMIT {
                errors.push(format!("the range [{low}, {high}] goes beyond 2^53"));
            } else if *log && *low < 1 {
                errors.push(format!("an int_log range needs 1 <= low, not {low}; use int"));
            }
        }
        Domain::Choice(values) => {
            if values.is_empty() {
                errors.push("a choice needs at least one value".into());
            }
            for (index, value) in values.iter().enumerate() {
                if values[..index].contains(value) {
                    errors.push(format!("the choice {value} is given twice"));
                }
            }
            errors.extend(values.iter().filter_map(check_value));
        }
        Domain::Static(value) => errors.extend(check_value(value)),
    }
    errors
}

fn check_value(value: &Value) -> Option<String> {
    matches!(value, Value::Float(x) if !x.is_finite()).then(|| format!("{value} is not a finite number"))
}

fn check_condition(param: &Parameter, by_name: &BTreeMap<&str, &Parameter>) -> Vec<String> {
    let Some(when) = &param.when else { return Vec::new() };
    let Some(parent) = by_name.get(when.parent.as_str()) else {
        return vec![format!("its condition names {}, which is not a parameter", when.parent)];
    };
    let mut errors = Vec::new();
    if matches!(parent.domain, Domain::Float { .. }) {
        errors.push(format!(
            "its condition names {}, which is continuous; choices and integers decide",
            when.parent
        ));
    } else {
        let outside = when.any_of.iter().filter(|value| !parent.domain.contains(value));
        errors.extend(
            outside.map(|value| format!("its condition never holds: {} is never {value}", when.parent)),
        );
    }
    if when.any_of.is_empty() {
        errors.push("its condition names no value".into());
    }
    let mut above = *parent;
    for _ in 0..=by_name.len() {
        if above.name == param.name {
            errors.push("its condition depends on itself".into());
            break;
        }
        match above.when.as_ref().and_then(|when| by_name.get(when.parent.as_str())) {
            Some(next) => above = next,
            None => break,
        }
    }
    errors
}
