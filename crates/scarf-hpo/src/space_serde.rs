//! How files write a space: a map from names to domains.

use crate::{Condition, Domain, Parameter, Scale, Space, Value};
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// One domain as written; exactly one of the first seven is given.
#[derive(Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    linear: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reverse_log: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    int: Option<[i64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    int_log: Option<[i64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    choice: Option<Vec<Value>>,
    #[serde(rename = "static", skip_serializing_if = "Option::is_none")]
    fixed: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<BTreeMap<String, OneOrMany>>,
    #[serde(skip_serializing)]
    constraint: Option<IgnoredAny>,
}

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Value),
    Many(Vec<Value>),
}

const FORMS: &str = "write one of linear, log, reverse_log, int, int_log, choice or static";
const NO_CONSTRAINTS: &str = "constraints between parameters are not searched: choose parameters that are free of \
                              each other (a ratio in place of a bound), or let the trial fail";

impl Written {
    fn into_parameter(self, name: String) -> Result<Parameter, String> {
        if self.constraint.is_some() {
            return Err(NO_CONSTRAINTS.into());
        }
        let float = |scale| move |[low, high]: [f64; 2]| Domain::Float { low, high, scale };
        let int = |log| move |[low, high]: [i64; 2]| Domain::Int { low, high, log };
        let given: Vec<Domain> = [
            self.linear.map(float(Scale::Linear)),
            self.log.map(float(Scale::Log)),
            self.reverse_log.map(float(Scale::ReverseLog)),
            self.int.map(int(false)),
            self.int_log.map(int(true)),
            self.choice.map(Domain::Choice),
            self.fixed.map(Domain::Static),
        ]
        .into_iter()
        .flatten()
        .collect();
        let when = self.when.map(condition).transpose()?;
        match <[Domain; 1]>::try_from(given) {
            Ok([domain]) => Ok(Parameter { name, domain, when }),
            Err(given) if given.is_empty() => Err(format!("no domain; {FORMS}")),
            Err(_) => Err(format!("more than one domain; {FORMS}")),
        }
    }

    fn of(param: &Parameter) -> Self {
        let mut written = Written::default();
        match &param.domain {
            Domain::Float { low, high, scale: Scale::Linear } => written.linear = Some([*low, *high]),
            Domain::Float { low, high, scale: Scale::Log } => written.log = Some([*low, *high]),
            Domain::Float { low, high, scale: Scale::ReverseLog } => {
                written.reverse_log = Some([*low, *high])
            }
            Domain::Int { low, high, log: false } => written.int = Some([*low, *high]),
            Domain::Int { low, high, log: true } => written.int_log = Some([*low, *high]),
            Domain::Choice(values) => written.choice = Some(values.clone()),
            Domain::Static(value) => written.fixed = Some(value.clone()),
        }
        written.when = param.when.as_ref().map(|when| {
            let values = match when.any_of.as_slice() {
                [value] => OneOrMany::One(value.clone()),
                many => OneOrMany::Many(many.to_vec()),
            };
            BTreeMap::from([(when.parent.clone(), values)])
        });
        written
    }
}

fn condition(written: BTreeMap<String, OneOrMany>) -> Result<Condition, String> {
    if written.len() != 1 {
        return Err(format!("when = {{ parent = value }} names one parent, not {}", written.len()));
    }
    let (parent, values) = written.into_iter().next().expect("it has one entry");
    let any_of = match values {
        OneOrMany::One(value) => vec![value],
        OneOrMany::Many(values) => values,
    };
    Ok(Condition { parent, any_of })
}

/// A parameter's entry: a table, or a bare value that is not searched.
struct Entry(Written);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor;
        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a table with a domain ({FORMS}), or a bare value")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Entry, E> {
                Ok(fixed(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Entry, E> {
                Ok(fixed(value))
            }
            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Entry, E> {
                i64::try_from(value).map(fixed).map_err(|_| E::custom(format!("{value} is too large")))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Entry, E> {
                Ok(fixed(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Entry, E> {
                Ok(fixed(value))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
                Written::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Entry)
            }
        }
        deserializer.deserialize_any(EntryVisitor)
    }
}

fn fixed(value: impl Into<Value>) -> Entry {
    Entry(Written { fixed: Some(value.into()), ..Written::default() })
}

impl<'de> Deserialize<'de> for Space {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SpaceVisitor;
        impl<'de> Visitor<'de> for SpaceVisitor {
            type Value = Space;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from hyperparameters to their domains")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Space, A::Error> {
                let mut params = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "constraints" {
                        return Err(A::Error::custom(format!("{name}: {NO_CONSTRAINTS}")));
                    }
                    let Entry(written) =
                        map.next_value().map_err(|error| A::Error::custom(format!("{name}: {error}")))?;
                    let param = written
                        .into_parameter(name.clone())
                        .map_err(|reason| A::Error::custom(format!("{name}: {reason}")))?;
                    params.push(param);
                }
                Space::new(params).map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_map(SpaceVisitor)
    }
}

impl Serialize for Space {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.params().len()))?;
        for param in self.params() {
            match (&param.domain, &param.when) {
                (Domain::Static(value), None) => map.serialize_entry(&param.name, value)?,
                _ => map.serialize_entry(&param.name, &Written::of(param))?,
            }
        }
        map.end()
    }
}
