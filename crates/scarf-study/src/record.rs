//! What is known of the runs there were: a CSV file, one row a run.

use crate::Error;
use crate::files::{read_if_there, write_atomic};
use crate::plan::Kind;
use crate::result::{NUMBERS, Numbers};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One run that ended, well or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The hash of its settings.
    pub id: String,
    /// The study.
    pub study: String,
    /// The approach.
    pub approach: String,
    /// What it was for.
    pub kind: Kind,
    /// Its place in the search, from 0.
    pub trial: Option<u64>,
    /// The seed of the training.
    pub seed: u64,
    /// What the search chose, by dotted key.
    pub params: BTreeMap<String, String>,
    /// What a search made of it, where that is none of COCO's numbers; of a trial that was stopped, what it had
    /// measured last.
    pub objective: Option<f64>,
    /// What that is a value of, as `val/loss`; empty where there is none, and in records of before it was told.
    pub metric: String,
    /// Whether its search stopped it early.
    pub pruned: bool,
    /// COCO's 12 numbers on the validation images.
    pub val: Option<Numbers>,
    /// COCO's 12 numbers on the test images.
    pub test: Option<Numbers>,
    /// Epochs trained.
    pub epochs: Option<u64>,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// US dollars, at the study's price.
    pub dollars: f64,
    /// What it ran on; empty where it failed, or was stopped, before saying so.
    pub device: String,
    /// The program and its version; likewise.
    pub version: String,
    /// When it began, as `2026-11-22T21:29:01Z`.
    pub started: String,
    /// Why it failed; empty where it did not.
    pub err: String,
}

impl Record {
    /// Whether it ended well.
    pub fn is_ok(&self) -> bool {
        self.err.is_empty()
    }
}

/// Records, in the order in which the runs ended; one for each id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Records(Vec<Record>);

const PARAM: &str = "param.";
/// Columns that are there only where a record needs them, as those of hyperparameters.
const OBJECTIVE: &str = "objective";
const METRIC: &str = "metric";
const PRUNED: &str = "pruned";

impl Records {
    /// The records in a CSV file; none where there is no file.
    ///
    /// # Errors
    /// Where it cannot be read, with the line.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let Some(text) = read_if_there(path)? else { return Ok(Self::default()) };
        let bad = |line: u64, reason: String| Error::Records { path: path.into(), line, reason };
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| bad(1, error.to_string()))?.clone();
        let mut records = Self::default();
        for row in reader.records() {
            let row =
                row.map_err(|error| bad(error.position().map_or(0, csv::Position::line), error.to_string()))?;
            let line = row.position().map_or(0, csv::Position::line);
            records.put(parse(&header, &row).map_err(|reason| bad(line, reason))?);
        }
        Ok(records)
    }

    /// Writes the CSV file, whole or not at all.
    ///
    /// # Errors
    /// Where that is not possible.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        write_atomic(path, self.to_csv().as_bytes())
    }

    /// The text of the CSV file.
    pub fn to_csv(&self) -> String {
        let params: BTreeSet<&String> = self.0.iter().flat_map(|record| record.params.keys()).collect();
        let searched = self.0.iter().any(|record| record.objective.is_some());
        let named = self.0.iter().any(|record| !record.metric.is_empty());
        let pruned = self.0.iter().any(|record| record.pruned);
        let mut writer = csv::Writer::from_writer(Vec::new());
        let scores = |part: &'static str| NUMBERS.iter().map(move |name| format!("{part}_{name}"));
        let header = ["id", "study", "approach", "kind", "trial", "seed"].map(String::from).into_iter();
        let header = header.chain(params.iter().map(|name| format!("{PARAM}{name}")));
        let header = header.chain(searched.then(|| OBJECTIVE.to_string()));
        let header = header.chain(named.then(|| METRIC.to_string()));
        let header = header.chain(pruned.then(|| PRUNED.to_string()));
        let header = header.chain(scores("val")).chain(scores("test"));
        let tail = ["epochs", "seconds", "dollars", "device", "version", "started", "err"];
        let written = writer.write_record(header.chain(tail.map(String::from)));
        let rows = self.0.iter().map(|record| row(record, &params, [searched, named, pruned]));
        let written = rows.fold(written, |so_far, row| so_far.and_then(|()| writer.write_record(row)));
        written.expect("rows of equal length, written to memory");
        let bytes = writer.into_inner().expect("written to memory");
        String::from_utf8(bytes).expect("made of text")
    }

    /// Puts a record in, in place of the one with its id.
    pub fn put(&mut self, record: Record) {
        self.0.retain(|each| each.id != record.id);
        self.0.push(record);
    }

    /// The record of the run with this id.
    pub fn get(&self, id: &str) -> Option<&Record> {
        self.0.iter().find(|record| record.id == id)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes out those that `keep` does not want.
    pub fn retain(&mut self, keep: impl Fn(&Record) -> bool) {
        self.0.retain(keep);
    }
}

fn row(record: &Record, params: &BTreeSet<&String>, [searched, named, pruned]: [bool; 3]) -> Vec<String> {
    let optional = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let scores = |numbers: Option<Numbers>| {
        (0..12).map(move |index| numbers.map_or_else(String::new, |numbers| numbers.0[index].to_string()))
    };
    let mut row = vec![
        record.id.clone(),
        record.study.clone(),
        record.approach.clone(),
        record.kind.name().into(),
        optional(record.trial),
        record.seed.to_string(),
    ];
    row.extend(params.iter().map(|name| record.params.get(*name).cloned().unwrap_or_default()));
    if searched {
        row.push(record.objective.map_or_else(String::new, |value| value.to_string()));
    }
    if named {
        row.push(record.metric.clone());
    }
    if pruned {
        row.push(if record.pruned { "yes" } else { "" }.into());
    }
    row.extend(scores(record.val));
    row.extend(scores(record.test));
    row.extend([
        optional(record.epochs),
        format!("{:.3}", record.seconds),
        format!("{:.6}", record.dollars),
        record.device.clone(),
        record.version.clone(),
        record.started.clone(),
        record.err.clone(),
    ]);
    row
}

fn parse(header: &csv::StringRecord, row: &csv::StringRecord) -> Result<Record, String> {
    let cells: BTreeMap<&str, &str> = header.iter().zip(row.iter()).collect();
    let text = |name: &str| cells.get(name).copied().ok_or_else(|| format!("no column {name}"));
    let params = cells
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, value)| Some((name.strip_prefix(PARAM)?.to_string(), (*value).to_string())));
    Ok(Record {
        id: text("id")?.into(),
        study: text("study")?.into(),
        approach: text("approach")?.into(),
        kind: Kind::parse(text("kind")?)?,
        trial: optional("trial", text("trial")?)?,
        seed: number("seed", text("seed")?)?,
        params: params.collect(),
        objective: match cells.get(OBJECTIVE) {
            None | Some(&"") => None,
            Some(cell) => Some(number(OBJECTIVE, cell)?),
        },
        metric: cells.get(METRIC).copied().unwrap_or_default().into(),
        pruned: match cells.get(PRUNED).copied() {
            None | Some("") => false,
            Some("yes") => true,
            Some(other) => return Err(format!("{PRUNED}: {other:?} is neither yes nor nothing")),
        },
        val: scores(&cells, "val")?,
        test: scores(&cells, "test")?,
        epochs: optional("epochs", text("epochs")?)?,
        seconds: number("seconds", text("seconds")?)?,
        dollars: number("dollars", text("dollars")?)?,
        device: text("device")?.into(),
        version: text("version")?.into(),
        started: text("started")?.into(),
        err: text("err")?.into(),
    })
}

fn scores(cells: &BTreeMap<&str, &str>, part: &str) -> Result<Option<Numbers>, String> {
    let mut numbers = [0.0; 12];
    for (index, name) in NUMBERS.iter().enumerate() {
        let name = format!("{part}_{name}");
        match cells.get(name.as_str()) {
            None => return Err(format!("no column {name}")),
            Some(&"") => return Ok(None),
            Some(cell) => numbers[index] = number(&name, cell)?,
        }
    }
    Ok(Some(Numbers(numbers)))
}

fn number<T: std::str::FromStr>(name: &str, cell: &str) -> Result<T, String> {
    cell.parse().map_err(|_| format!("{name}: {cell:?} is not a number"))
}

fn optional(name: &str, cell: &str) -> Result<Option<u64>, String> {
    if cell.is_empty() { Ok(None) } else { number(name, cell).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str) -> Record {
        Record {
            id: id.into(),
            study: "quick".into(),
            approach: "tuned".into(),
            kind: Kind::Trial,
            trial: Some(3),
            seed: 1,
            params: [("train.optimizer.sgd.lr".to_string(), "0.01".to_string())].into(),
            objective: None,
            metric: String::new(),
            pruned: false,
            val: Some(Numbers([0.1, 0.2, 0.3, -1.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 0.0, 1.0 / 3.0])),
            test: None,
            epochs: Some(4),
            seconds: 12.5,
            dollars: 0.000_347,
            device: "flex (2 threads)".into(),
            version: "scarf 0.1.0".into(),
            started: "2026-11-22T21:29:01Z".into(),
            err: "exit status 1: \"it\" broke, sadly".into(),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/records.csv");
        let mut records = Records::default();
        records.put(record("a"));
        records.put(Record { params: BTreeMap::new(), trial: None, kind: Kind::Final, ..record("b") });
        records.put(Record { seed: 9, ..record("a") });
        records.write(&path).unwrap();
        assert_eq!(Records::read(&path).unwrap(), records);
        records.put(Record { objective: Some(2.25), metric: "val/loss".into(), pruned: true, ..record("a") });
        records.write(&path).unwrap();
        let again = Records::read(&path).unwrap();
        assert_eq!(again, records);
        assert_eq!(again.iter().map(|each| each.id.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(Records::read(&folder.path().join("none.csv")).unwrap(), Records::default());
    }

    #[test]
    fn a_bad_cell_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.csv");
        let mut records = Records::default();
        records.put(record("a"));
        std::fs::write(&path, records.to_csv().replace("12.500", "soon")).unwrap();
        let error = Records::read(&path).unwrap_err().to_string();
        assert!(error.ends_with("records.csv:2: seconds: \"soon\" is not a number"), "{error}");
    }
}
