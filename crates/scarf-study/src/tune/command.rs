//! Trials that are calls of any program, whose log tells the objective, as SageMaker's tuner reads it.

use super::job::{Begun, Job, Reading};
use crate::error::Error;
use crate::program::{Heard, Running};
use regex::Regex;
use scarf_hpo::{Direction, Outcome, Params, Space};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Which of the values that a program printed is its objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// The last one, as SageMaker's tuner has it.
    #[default]
    Last,
    /// The best one.
    Best,
}

/// A command with gaps for hyperparameters, and how its objective is read from what it prints.
#[derive(Debug, Clone)]
pub struct Command {
    /// The command as written.
    text: String,
    words: Vec<String>,
    metric: Regex,
    also: Vec<(String, Regex)>,
    take: Take,
    direction: Direction,
}

/// Gaps that are not hyperparameters: the trial's number from 0, the search's seed, a folder for what it writes, and
/// all hyperparameters as `--name value`.
const OWN_GAPS: [&str; 4] = ["trial", "seed", "out", "params"];

impl Command {
    /// A command of words, quoted as a shell has them; no shell reads it. `{lr}` stands for the hyperparameter `lr`,
    /// `{trial}` for the trial's number from 0, `{seed}` for the search's seed, `{out}` for a folder of the trial's own,
    /// and the word `{params}` for `--name value` of each hyperparameter; `{{` is a brace. Inside a longer word, as in
    /// `sh -c 'cd exp && python train.py {params}'`, `{params}` is the same in one text, quoted for a POSIX shell. A word
    /// that needs a hyperparameter which is not active is left out, and so is an option (`--momentum`) right before it.
    ///
    /// It is called with PYTHONUNBUFFERED=1, unless that is set: Python would keep its lines back until the end, when
    /// there is nothing left to prune.
    ///
    /// `metric` is a regular expression that is tried on each line of what the program prints: its group `value`, or
    /// its first one, is the objective there and then, and its group `step`, if it has one, when that was (counted
    /// from 1 otherwise). `also` are others, to be recorded by their names; none can be called `seconds`.
    ///
    /// # Errors
    /// Where the command, an expression or a name cannot be used.
    pub fn new(
        text: &str,
        metric: &str,
        also: &BTreeMap<String, String>,
        take: Take,
        direction: Direction,
    ) -> Result<Self, Error> {
        let refused = |reason: &str| Error::Search { key: "command".into(), reason: reason.into() };
        let words = shlex::split(text).ok_or_else(|| refused("a quote is not closed"))?;
        if words.is_empty() {
            return Err(refused("there is none"));
        }
        if also.contains_key(Outcome::SECONDS) {
            let reason = "seconds is the time that a trial took, which is recorded anyway; call the metric otherwise, \
                          as train_seconds";
            return Err(Error::Search { key: "also".into(), reason: reason.into() });
        }
        let expression = |(name, text): (&String, &String)| Ok((name.clone(), regex(name, text)?));
        let also = also.iter().map(expression).collect::<Result<_, Error>>()?;
        Ok(Self { text: text.into(), words, metric: regex("metric", metric)?, also, take, direction })
    }

    /// The command as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the metric is called: the word before its number, as `loss` of `loss=([0-9.]+)`.
    pub fn objective(&self) -> String {
        let text = self.metric.as_str();
        let named = text.find("(?<value>").or_else(|| text.find("(?P<value>"));
        let before = &text[..named.or_else(|| text.find('(')).unwrap_or(0)];
        let part = |c: char| c.is_alphanumeric() || "_:/.-@".contains(c);
        let word = before.trim_end_matches(|c: char| !c.is_alphanumeric());
        let word = word.rsplit(|c: char| !part(c)).next().unwrap_or_default();
        if word.is_empty() { "metric".into() } else { word.into() }
    }

    /// Whether the gaps are those of a space.
    ///
    /// # Errors
    /// A gap that is none, or a hyperparameter that the command never gets.
    pub fn check(&self, space: &Space) -> Result<(), Error> {
        let refused = |reason: String| Error::Search { key: "command".into(), reason };
        let names = || space.params().iter().map(|param| param.name.as_str());
        let mut used: Vec<String> = Vec::new();
        for word in &self.words {
            for piece in pieces(word).map_err(refused)? {
                if let Piece::Gap(name) = piece {
                    used.push(name.into());
                }
            }
        }
        let known = |name: &str| names().chain(OWN_GAPS).any(|each| each == name);
        if let Some(stranger) = used.iter().find(|name| !known(name)) {
            let all: Vec<&str> = names().chain(OWN_GAPS).collect();
            let reason = format!("there is no {{{stranger}}}; there are {}; {{{{ is a brace", all.join(", "));
            return Err(refused(reason));
        }
        let told = |name: &str| used.iter().any(|each| each == name || each == "params");
        match names().find(|name| !told(name)) {
            Some(name) => {
                Err(refused(format!("it never gets {name}: write {{{name}}}, or {{params}} for all")))
            }
            None => Ok(()),
        }
    }

    /// The words for a trial.
    fn filled(&self, params: &Params, own: &BTreeMap<&'static str, String>) -> Vec<String> {
        let mut filled: Vec<String> = Vec::new();
        let option = |(name, value): (&String, &scarf_hpo::Value)| [format!("--{name}"), value.to_string()];
        let options: Vec<String> = params.iter().flat_map(option).collect();
        for word in &self.words {
            if word == "{params}" {
                filled.extend(options.iter().cloned());
                continue;
            }
            let text = |piece: Piece<'_>| match piece {
                Piece::Text(text) => Some(text.to_string()),
                Piece::Gap("params") => Some(quoted(&options)),
                Piece::Gap(name) => own.get(name).cloned().or_else(|| Some(params.get(name)?.to_string())),
            };
            let pieces = pieces(word).unwrap_or_default();
            match pieces.into_iter().map(text).collect::<Option<String>>() {
                Some(word) => filled.push(word),
                None if filled.len() > 1 && filled.last().is_some_and(|last| last.starts_with('-')) => {
                    filled.pop();
                }
                None => {}
            }
        }
        filled
    }
}

/// Words in one text that a POSIX shell takes apart again.
fn quoted(words: &[String]) -> String {
    // What cannot be quoted has a NUL, with which no program is started either.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

/// A part of a word.
#[derive(Debug, PartialEq)]
enum Piece<'a> {
    Text(&'a str),
    Gap(&'a str),
}

/// The parts of a word.
fn pieces(word: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = word;
    while let Some(at) = rest.find(['{', '}']) {
        let (text, from) = rest.split_at(at);
        pieces.push(Piece::Text(text));
        if from.starts_with("{{") || from.starts_with("}}") {
            pieces.push(Piece::Text(&from[..1]));
            rest = &from[2..];
            continue;
        }
        let end = from.starts_with('{').then(|| from.find('}')).flatten();
        let end = end.ok_or_else(|| format!("{word}: a brace has no other; {{{{ and }}}} are plain ones"))?;
        pieces.push(Piece::Gap(&from[1..end]));
        rest = &from[end + 1..];
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn regex(key: &str, text: &str) -> Result<Regex, Error> {
    let refused = |reason: String| Error::Search { key: key.into(), reason };
    let regex = Regex::new(text).map_err(|error| refused(error.to_string()))?;
    if regex.captures_len() < 2 {
        let reason =
            format!("{text} has no group: put the number's part into brackets, as in loss=([0-9.]+)");
        return Err(refused(reason));
    }
    Ok(regex)
}

/// The calls of a command; a trial's folder is `trials/NAME-N` in that of the search.
pub(super) struct Calls<'a> {
    pub(super) command: &'a Command,
    pub(super) name: &'a str,
    pub(super) out: PathBuf,
    pub(super) seed: u64,
}

/// The folder that `{out}` stands for, in a trial's own.
const OUT: &str = "out";
/// What has Python write each line at once.
const UNBUFFERED: &str = "PYTHONUNBUFFERED";

impl Calls<'_> {
    /// What the gaps that are not hyperparameters stand for.
    fn own(&self, number: u64, params: &Params) -> BTreeMap<&'static str, String> {
        let out = self.folder(number, params).join(OUT).display().to_string();
        BTreeMap::from([("trial", number.to_string()), ("seed", self.seed.to_string()), ("out", out)])
    }
}

impl Job for Calls<'_> {
    fn identity(&self) -> Json {
        let Command { text, metric, take, .. } = &self.command;
        let mut identity = json!({ "command": text, "metric": metric.as_str() });
        if *take == Take::Best {
            identity["take"] = json!("best");
        }
        identity
    }

    fn folder(&self, number: u64, _: &Params) -> PathBuf {
        self.out.join("trials").join(format!("{}-{}", self.name, number + 1))
    }

    fn begin(&self, number: u64, params: &Params, lock: File) -> Result<Begun<'_>, Error> {
        let folder = self.folder(number, params);
        let out = folder.join(OUT);
        std::fs::create_dir_all(&out).map_err(Error::io(&out, "cannot be made"))?;
        let words = self.command.filled(params, &self.own(number, params));
        let mut command = std::process::Command::new(&words[0]);
        command.args(&words[1..]);
        // A pipe is buffered in blocks: the pruner would hear of nothing before the end.
        if std::env::var_os(UNBUFFERED).is_none() {
            command.env(UNBUFFERED, "1");
        }
        let running = Running::start(command, &folder, lock, Heard::Both)?;
        let reading =
            CallReading { command: self.command, values: Vec::new(), told: 0, also: BTreeMap::new() };
        Ok((Some(running), Box::new(reading)))
    }

    fn discard(&self, folder: &Path) {
        let _ = std::fs::remove_dir_all(folder.join(OUT));
    }

    fn again(&self, number: u64, params: &Params) -> String {
        quoted(&self.command.filled(params, &self.own(number, params)))
    }
}

/// Reads the log of one call.
struct CallReading<'a> {
    command: &'a Command,
    values: Vec<(u64, f64)>,
    told: usize,
    also: BTreeMap<String, f64>,
}

impl Reading for CallReading<'_> {
    fn line(&mut self, line: &str) {
        if let Some(captures) = self.command.metric.captures(line) {
            let group = captures.name("value").or_else(|| captures.get(1));
            let step = captures.name("step").and_then(|step| step.as_str().parse().ok());
            let next = self.values.last().map_or(1, |(step, _)| step + 1);
            if let Some(value) = group.and_then(|group| group.as_str().trim().parse().ok()) {
                self.values.push((step.unwrap_or(next), value));
            }
        }
        for (name, regex) in &self.command.also {
            let group = regex.captures(line).and_then(|found| found.name("value").or_else(|| found.get(1)));
            if let Some(value) = group.and_then(|group| group.as_str().trim().parse().ok()) {
                self.also.insert(name.clone(), value);
            }
        }
    }

    fn reports(&mut self) -> Vec<(u64, f64)> {
        let fresh = self.values[self.told..].to_vec();
        self.told = self.values.len();
        fresh
    }

    fn outcome(&mut self) -> Result<Outcome, String> {
        let loss = |value: &f64| self.command.direction.loss(*value);
        let mut values = self.values.iter().map(|(_, value)| *value);
        let value = match self.command.take {
            Take::Last => values.next_back(),
            Take::Best => values.filter(|value| !value.is_nan()).min_by(|a, b| loss(a).total_cmp(&loss(b))),
        };
        let value =
            value.ok_or_else(|| format!("no line of its log matches the metric {}", self.command.metric))?;
        if !value.is_finite() {
            return Err(format!("its metric is {value}"));
        }
        let metrics = std::mem::take(&mut self.also).into_iter().collect();
        Ok(Outcome { value: Some(value), metrics, ..Outcome::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scarf_hpo::{Domain, Parameter};

    fn command(text: &str, metric: &str) -> Result<Command, Error> {
        Command::new(text, metric, &BTreeMap::new(), Take::Last, Direction::Minimize)
    }

    fn space() -> Space {
        Space::new(vec![
            Parameter::new("lr", Domain::log(1e-4, 1e-1)),
            Parameter::new("optimizer", Domain::choice(["sgd", "adam"])),
            Parameter::new("momentum", Domain::linear(0.5, 0.9)).when("optimizer", "sgd"),
        ])
        .unwrap()
    }

    #[test]
    fn a_command_is_filled_and_what_is_not_active_left_out() {
        let text = "prog 'a b' --lr={lr} -o {optimizer} --momentum {momentum} {{x}} --out {out}";
        let command = command(text, "(.*)").unwrap();
        command.check(&space()).unwrap();
        let own = BTreeMap::from([("out", "/o".to_string())]);
        let params = |optimizer: &str| {
            Params::from([("lr".into(), 0.01.into()), ("optimizer".into(), optimizer.into())])
        };
        let mut sgd = params("sgd");
        sgd.insert("momentum".into(), 0.5.into());
        let expected = ["prog", "a b", "--lr=0.01", "-o", "sgd", "--momentum", "0.5", "{x}", "--out", "/o"];
        assert_eq!(command.filled(&sgd, &own), expected);
        let expected = ["prog", "a b", "--lr=0.01", "-o", "adam", "{x}", "--out", "/o"];
        assert_eq!(command.filled(&params("adam"), &own), expected);
    }

    #[test]
    fn all_hyperparameters_stand_in_a_longer_word_as_a_shell_takes_them() {
        let command = command("sh -c 'cd exp && python train.py {params} > {out}/log'", "(.*)").unwrap();
        command.check(&space()).unwrap();
        let own = BTreeMap::from([("out", "/o".to_string())]);
        let params = Params::from([("lr".into(), 0.01.into()), ("optimizer".into(), "it's adam".into())]);
        let filled = command.filled(&params, &own);
        let script = r#"cd exp && python train.py --lr 0.01 --optimizer "it's adam" > /o/log"#;
        assert_eq!(filled, ["sh", "-c", script]);
    }

    #[test]
    fn the_name_of_a_trials_time_is_no_other_metrics() {
        let also = BTreeMap::from([("seconds".to_string(), "took ([0-9.]+)".to_string())]);
        let refused = Command::new("p", "(x)", &also, Take::Last, Direction::Minimize).unwrap_err();
        assert!(refused.to_string().starts_with("also: seconds is the time that a trial took"), "{refused}");
    }

    #[test]
    fn a_metric_is_called_by_the_word_before_its_number() {
        let objective = |metric: &str| command("p", metric).unwrap().objective();
        assert_eq!(objective(r"epoch (?<step>\d+): val/loss = (?<value>\S+)"), "val/loss");
        assert_eq!(objective("validation:mAP=([0-9.]+)"), "validation:mAP");
        assert_eq!(objective("^([0-9.]+)$"), "metric");
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_what_can() {
        let refused = |text: &str, metric: &str| {
            command(text, metric).and_then(|command| command.check(&space())).unwrap_err().to_string()
        };
        assert_eq!(refused("prog 'a", "(x)"), "command: a quote is not closed");
        assert_eq!(
            refused("prog {lr} {optimizer}", "(x)"),
            "command: it never gets momentum: write {momentum}, or {params} for all"
        );
        assert_eq!(
            refused("prog {params} {lt}", "(x)"),
            "command: there is no {lt}; there are lr, optimizer, momentum, trial, seed, out, params; {{ is a brace"
        );
        assert_eq!(
            refused("prog {lr", "(x)"),
            "command: {lr: a brace has no other; {{ and }} are plain ones"
        );
        assert!(refused("prog {params}", "loss=").starts_with("metric: loss= has no group"));
        assert!(refused("prog {params}", "loss=(").starts_with("metric: regex parse error"));
    }

    #[test]
    fn a_log_is_read_by_the_groups_of_the_metric() {
        let read = |metric: &str, take: Take, lines: &[&str]| {
            let also = BTreeMap::from([("acc".to_string(), "acc=([0-9.]+)".to_string())]);
            let command = Command::new("p", metric, &also, take, Direction::Minimize).unwrap();
            let mut reading =
                CallReading { command: &command, values: Vec::new(), told: 0, also: BTreeMap::new() };
            lines.iter().for_each(|line| reading.line(line));
            let reports = reading.reports();
            assert!(reading.reports().is_empty(), "each is told once");
            (reports, reading.outcome())
        };
        let log = ["start", "epoch 5: loss=0.5 acc=.1", "epoch 7: loss=0.25 acc=.75", "epoch 9: loss=1e0"];
        let (reports, outcome) = read("loss=([0-9.e+-]+)", Take::Last, &log);
        assert_eq!(reports, [(1, 0.5), (2, 0.25), (3, 1.0)]);
        let outcome = outcome.unwrap();
        assert_eq!((outcome.value, outcome.metrics), (Some(1.0), vec![("acc".to_string(), 0.75)]));
        let by_name = r"epoch (?<step>\d+): loss=(?<value>\S+)";
        let (reports, outcome) = read(by_name, Take::Best, &log);
        assert_eq!(reports, [(5, 0.5), (7, 0.25), (9, 1.0)]);
        assert_eq!(outcome.unwrap().value, Some(0.25));
        assert_eq!(
            read("x=(.)", Take::Last, &log).1,
            Err("no line of its log matches the metric x=(.)".into())
        );
        assert_eq!(read("loss=(.*)", Take::Last, &["loss=nan"]).1, Err("its metric is NaN".into()));
    }
}
