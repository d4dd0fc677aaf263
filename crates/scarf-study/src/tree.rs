//! Opaque trees: what a recipe is to a study.

use serde_json::Value as Json;
use std::collections::BTreeMap;
use toml::Value;

/// A recipe or the description of a data set, as written; only the program knows what it means.
pub type Tree = toml::Table;

/// Lays `over` on `base`: tables are merged key by key, anything else (arrays too) is replaced.
///
/// Merging a tree twice changes no more than once, and keys of `base` that `over` does not name stay.
pub fn merge(base: &mut Tree, over: &Tree) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// The value at a dotted key, as `train.optimizer.sgd.lr`.
pub(crate) fn get<'a>(tree: &'a Tree, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => tree.get(key),
        Some((first, rest)) => get(tree.get(first)?.as_table()?, rest),
    }
}

/// Sets the value at a dotted key, whose table must be there.
///
/// # Errors
/// The part of the key that is no table.
pub(crate) fn set(tree: &mut Tree, key: &str, value: Value) -> Result<(), String> {
    let (path, last) = key.rsplit_once('.').map_or((None, key), |(path, last)| (Some(path), last));
    let mut table = tree;
    let mut walked = Vec::new();
    for part in path.into_iter().flat_map(|path| path.split('.')) {
        walked.push(part);
        table = match table.get_mut(part) {
            Some(Value::Table(next)) => next,
            _ => return Err(walked.join(".")),
        };
    }
    table.insert(last.into(), value);
    Ok(())
}

/// Takes the value at a dotted key out; whether there was one.
pub(crate) fn remove(tree: &mut Tree, key: &str) -> bool {
    match key.split_once('.') {
        None => tree.remove(key).is_some(),
        Some((first, rest)) => {
            tree.get_mut(first).and_then(Value::as_table_mut).is_some_and(|table| remove(table, rest))
        }
    }
}

/// The tree as JSON, dates as text.
///
/// # Errors
/// The dotted key of a number that JSON cannot hold (an infinity, or no number).
pub(crate) fn to_json(tree: &Tree) -> Result<Json, String> {
    let entry = |(key, value): (&String, &Value)| {
        let value = value_to_json(value).map_err(|below| join(key, &below))?;
        Ok((key.clone(), value))
    };
    tree.iter().map(entry).collect::<Result<serde_json::Map<_, _>, _>>().map(Json::Object)
}

fn value_to_json(value: &Value) -> Result<Json, String> {
    Ok(match value {
        Value::String(text) => Json::from(text.as_str()),
        Value::Integer(number) => Json::from(*number),
        Value::Float(number) if number.is_finite() => Json::from(*number),
        Value::Float(_) => return Err(String::new()),
        Value::Boolean(yes) => Json::from(*yes),
        Value::Datetime(date) => Json::from(date.to_string()),
        Value::Array(items) => Json::Array(items.iter().map(value_to_json).collect::<Result<_, _>>()?),
        Value::Table(table) => to_json(table)?,
    })
}

fn join(key: &str, below: &str) -> String {
    if below.is_empty() { key.into() } else { format!("{key}.{below}") }
}

/// JSON with the keys of every object in order: equal trees give equal text, whatever order they were written in.
pub(crate) fn canonical(json: &Json) -> String {
    match json {
        Json::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let entries: Vec<String> = sorted
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Json::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        Json::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree(text: &str) -> Tree {
        text.parse().unwrap()
    }

    #[test]
    fn tables_merge_and_everything_else_is_replaced() {
        let mut base = tree("a = 1\nb.c = [1, 2]\nb.d = 3\ne.f = 1");
        merge(&mut base, &tree("b.c = [9]\ne = 2\ng.h = 4"));
        assert_eq!(base, tree("a = 1\nb.c = [9]\nb.d = 3\ne = 2\ng.h = 4"));
    }

    #[test]
    fn dotted_keys_reach_what_is_there_and_no_further() {
        let mut recipe = tree("train.optimizer.sgd.lr = 0.1");
        set(&mut recipe, "train.optimizer.sgd.lr", Value::Float(0.2)).unwrap();
        set(&mut recipe, "train.optimizer.sgd.momentum", Value::Float(0.9)).unwrap();
        assert_eq!(get(&recipe, "train.optimizer.sgd.lr"), Some(&Value::Float(0.2)));
        assert_eq!(
            set(&mut recipe, "train.optimiser.sgd.lr", Value::Float(0.3)),
            Err("train.optimiser".into())
        );
        assert!(remove(&mut recipe, "train.optimizer.sgd"));
        assert!(!remove(&mut recipe, "train.optimizer.sgd"));
    }

    #[test]
    fn the_key_of_a_number_that_json_cannot_hold_is_named() {
        assert_eq!(to_json(&tree("a.b = [1.0, inf]")), Err("a.b".into()));
    }

    #[test]
    fn canonical_text_sorts_keys() {
        let json = to_json(&tree("b = 1\na.d = 0.5\na.c = \"x\\\"y\"")).unwrap();
        assert_eq!(canonical(&json), r#"{"a":{"c":"x\"y","d":0.5},"b":1}"#);
    }

    fn any_tree() -> impl Strategy<Value = Tree> {
        let leaf = prop_oneof![any::<i64>().prop_map(Value::Integer), "[a-z]{0,4}".prop_map(Value::String)];
        let value = leaf.prop_recursive(3, 16, 4, |inner| {
            prop::collection::vec(("[a-d]", inner), 0..4)
                .prop_map(|entries| Value::Table(entries.into_iter().collect()))
        });
        prop::collection::vec(("[a-d]", value), 0..4).prop_map(|entries| entries.into_iter().collect())
    }

    proptest! {
        #[test]
        fn merging_is_idempotent_and_what_is_laid_over_wins(base in any_tree(), over in any_tree()) {
            let mut once = base.clone();
            merge(&mut once, &over);
            let mut twice = once.clone();
            merge(&mut twice, &over);
            prop_assert_eq!(&once, &twice);
            let mut alone = Tree::new();
            merge(&mut alone, &over);
            prop_assert_eq!(alone, over);
        }
    }
}
