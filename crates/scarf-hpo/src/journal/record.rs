//! The records of Optuna's journal: one JSON object a line, with an operation's code.

use crate::{Direction, Domain, Scale, Space, Trial, TrialState, Value};
use serde_json::{Map, Value as Json, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Operation codes, as `optuna.storages.journal._storage.JournalOperation` numbers them.
pub(super) mod op {
    pub(crate) const CREATE_STUDY: u64 = 0;
    pub(crate) const DELETE_STUDY: u64 = 1;
    pub(crate) const SET_STUDY_USER_ATTR: u64 = 2;
    pub(crate) const CREATE_TRIAL: u64 = 4;
    pub(crate) const SET_TRIAL_PARAM: u64 = 5;
    pub(crate) const SET_TRIAL_STATE_VALUES: u64 = 6;
    pub(crate) const SET_TRIAL_INTERMEDIATE_VALUE: u64 = 7;
    pub(crate) const SET_TRIAL_USER_ATTR: u64 = 8;
    pub(crate) const SET_TRIAL_SYSTEM_ATTR: u64 = 9;
}

/// The system attribute that says who works on a trial, and until when.
pub(super) const LEASE: &str = "scarf:lease";
/// The user attribute with a trial's seconds.
pub(super) const SECONDS: &str = "seconds";

/// Python's JSON knows numbers that JSON does not; they travel as these texts.
const NOT_JSON: [(&str, &str); 3] =
    [("\"\u{1}NaN\"", "NaN"), ("\"\u{1}Infinity\"", "Infinity"), ("\"\u{1}-Infinity\"", "-Infinity")];

/// A number, whichever it is.
pub(super) fn number(x: f64) -> Json {
    if x.is_finite() {
        json!(x)
    } else if x.is_nan() {
        json!("\u{1}NaN")
    } else {
        json!(if x > 0.0 { "\u{1}Infinity" } else { "\u{1}-Infinity" })
    }
}

/// The number in a record; null and what is no number are NaN.
pub(super) fn as_number(json: &Json) -> f64 {
    match json {
        Json::String(text) if text == "\u{1}Infinity" => f64::INFINITY,
        Json::String(text) if text == "\u{1}-Infinity" => f64::NEG_INFINITY,
        other => other.as_f64().unwrap_or(f64::NAN),
    }
}

/// Whether that is a number, NaN and the infinities among them.
pub(super) fn is_number(json: &Json) -> bool {
    json.is_number() || json.as_str().is_some_and(|text| text.starts_with('\u{1}'))
}

/// A record as a line, without its end.
pub(super) fn line(op: u64, worker: &str, fields: Json) -> String {
    let mut record = Map::from_iter([("op_code".into(), json!(op)), ("worker_id".into(), json!(worker))]);
    if let Json::Object(fields) = fields {
        record.extend(fields);
    }
    let text = Json::Object(record).to_string();
    // serde_json writes the mark as an escape.
    NOT_JSON.iter().fold(text, |text, (inner, outer)| text.replace(&inner.replace('\u{1}', "\\u0001"), outer))
}

/// The record of a line; Python's numbers that are not JSON as [`number`] has them.
pub(super) fn parse(line: &str) -> Result<Map<String, Json>, String> {
    serde_json::from_str(line)
        .or_else(|error| serde_json::from_str(&without_python_numbers(line)).map_err(|_| error.to_string()))
}

/// Puts the texts of [`number`] in the place of NaN and the infinities outside of strings.
fn without_python_numbers(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let (mut quoted, mut rest) = (false, line);
    while let Some(first) = rest.chars().next() {
        let word = NOT_JSON.iter().find(|(_, word)| !quoted && rest.starts_with(word));
        let taken = if let Some((inner, word)) = word {
            out.push_str(&inner.replace('\u{1}', "\\u0001"));
            word.len()
        } else if quoted && first == '\\' {
            let length = first.len_utf8() + rest[1..].chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[..length]);
            length
        } else {
            quoted ^= first == '"';
            out.push(first);
            first.len_utf8()
        };
        rest = &rest[taken..];
    }
    out
}

/// Optuna's number of a direction.
pub(super) fn direction_code(direction: Direction) -> u64 {
    match direction {
        Direction::Minimize => 1,
        Direction::Maximize => 2,
    }
}

/// Optuna's number of a state.
pub(super) fn state_code(state: TrialState) -> u64 {
    match state {
        TrialState::Running => 0,
        TrialState::Complete => 1,
        TrialState::Pruned => 2,
        TrialState::Failed => 3,
        TrialState::Pending => 4,
    }
}

/// The state of a number.
pub(super) fn state_of(code: u64) -> Option<TrialState> {
    use TrialState::{Complete, Failed, Pending, Pruned, Running};
    [Running, Complete, Pruned, Failed, Pending].into_iter().find(|state| state_code(*state) == code)
}

/// Optuna's distribution of a domain, as the JSON text that its records hold. It has no reverse logarithm; such a
/// range is an even one there.
pub(super) fn distribution(domain: &Domain) -> String {
    let (name, attributes) = match domain {
        Domain::Float { low, high, scale } => (
            "FloatDistribution",
            json!({"step": null, "low": low, "high": high, "log": *scale == Scale::Log}),
        ),
        Domain::Int { low, high, log } => {
            ("IntDistribution", json!({"step": 1, "low": low, "high": high, "log": log}))
        }
        Domain::Choice(values) => ("CategoricalDistribution", json!({"choices": values})),
        Domain::Static(value) => ("CategoricalDistribution", json!({"choices": [value]})),
    };
    json!({"name": name, "attributes": attributes}).to_string()
}

/// What Optuna calls the internal value: a number, or the index of a choice.
fn internal(domain: &Domain, value: &Value) -> Option<f64> {
    match domain {
        Domain::Choice(values) => values.iter().position(|each| each == value).map(|index| index as f64),
        Domain::Static(_) => Some(0.0),
        _ => value.as_f64(),
    }
}

/// The value of an internal one; `None` for what is not one of ours.
pub(super) fn external(distribution: &str, internal: f64) -> Option<Value> {
    let json: Json = serde_json::from_str(distribution).ok()?;
    match json["name"].as_str()? {
        "FloatDistribution" => Some(Value::Float(internal)),
        "IntDistribution" => Some(Value::Int(internal as i64)),
        "CategoricalDistribution" => {
            serde_json::from_value(json["attributes"]["choices"].get(internal as usize)?.clone()).ok()
        }
        _ => None,
    }
}

/// The fields of a record that makes `trial`.
pub(super) fn creation(study: u64, space: &Space, trial: &Trial, lease: &Json) -> Json {
    let known = |name: &String| Some((name.clone(), &space.get(name)?.domain));
    let domains: Vec<(String, &Domain)> = trial.params.keys().filter_map(known).collect();
    let params: Map<String, Json> = domains
        .iter()
        .filter_map(|(name, domain)| Some((name.clone(), json!(internal(domain, &trial.params[name])?))))
        .collect();
    let distributions: Map<String, Json> =
        domains.iter().map(|(name, domain)| (name.clone(), json!(distribution(domain)))).collect();
    json!({
        "study_id": study, "datetime_start": now(), "state": state_code(TrialState::Running),
        "value": null, "values": null, "params": params, "distributions": distributions,
        "user_attrs": {}, "system_attrs": {LEASE: lease}, "intermediate_values": {},
    })
}

/// The time in UTC, as Optuna writes it: Python takes one without a zone for local time.
pub(super) fn now() -> String {
    iso(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

fn iso(since_epoch: Duration) -> String {
    let (seconds, micros) = (since_epoch.as_secs(), since_epoch.subsec_micros());
    // Days to a date in the Gregorian calendar, years from March (Hinnant, chrono-compatible algorithms).
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}+00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_python_reads_them() {
        assert_eq!(iso(Duration::from_micros(0)), "1970-01-01T00:00:00.000000+00:00");
        assert_eq!(iso(Duration::from_micros(1_709_210_096_000_007)), "2024-02-29T12:34:56.000007+00:00");
        assert_eq!(iso(Duration::from_secs(4_102_444_799)), "2099-12-31T23:59:59.000000+00:00");
    }

    #[test]
    fn numbers_that_are_not_json_make_the_journey() {
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1, -3.0] {
            let text = line(7, "w \"NaN\" \\", json!({"intermediate_value": number(x)}));
            let record = parse(&text).unwrap();
            let back = as_number(&record["intermediate_value"]);
            assert!(back == x || (back.is_nan() && x.is_nan()), "{text}");
            assert_eq!(record["worker_id"], "w \"NaN\" \\");
        }
        assert!(line(7, "w", json!({"v": number(f64::NAN)})).contains("\"v\":NaN"));
        assert!(parse("{\"op_code\": nonsense}").is_err());
    }
}
