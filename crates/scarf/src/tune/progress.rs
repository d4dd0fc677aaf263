//! The live table of a search, and what is said at its end.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use scarf_hpo::{History, Params, Trial, TrialState, Value};
use scarf_study::{Epoch, Over, Record, Run, Search, TuneWatch, Tuner, Watch, duration, money};

/// A row for each trial that has ended; below them, on a terminal, a line for each worker and one for the whole.
pub(crate) struct Progress<'a> {
    search: &'a Search,
    /// The hyperparameters, and how wide their columns are.
    columns: Vec<(&'a str, usize)>,
    objective: usize,
    /// `None` where nobody watches.
    bars: Option<Bars>,
}

struct Bars {
    all: MultiProgress,
    whole: ProgressBar,
    workers: Vec<ProgressBar>,
}

impl<'a> Progress<'a> {
    /// For a search that has these trials already; prints the head of the table.
    pub(crate) fn new(search: &'a Search, workers: usize, before: &[Trial]) -> Self {
        let ended = before.iter().filter(|trial| trial.state.is_finished()).count();
        if !before.is_empty() {
            println!("going on with {}: {ended} trials have ended", search.name);
        }
        let columns = search.space.params().iter().map(|param| {
            let choices = match &param.domain {
                scarf_hpo::Domain::Choice(values) => values.iter().map(|value| value.to_string().len()).max(),
                _ => None,
            };
            (param.name.as_str(), short(&param.name).len().max(choices.unwrap_or(0)).max(9))
        });
        let columns: Vec<_> = columns.collect();
        let objective = search.objective.len().max(16);
        let names = columns.iter().map(|(name, width)| format!("  {:>width$}", short(name)));
        println!("trial  {:>objective$}  {:>9}{}", search.objective, "time", names.collect::<String>());
        let bars = std::io::stderr().is_terminal().then(|| Bars::new(search, workers, ended as u64));
        let mut progress = Self { search, columns, objective, bars };
        progress.best(search.history(before));
        progress
    }

    /// Takes the live lines away.
    pub(crate) fn finish(&mut self) {
        if let Some(bars) = self.bars.take() {
            let _ = bars.all.clear();
        }
    }

    fn say(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.all.suspend(|| println!("{text}")),
            None => println!("{text}"),
        }
    }

    fn best(&mut self, history: History<'_>) {
        let Some(bars) = &self.bars else { return };
        if let Some((best, value)) = history.best().and_then(|best| Some((best, best.value?))) {
            bars.whole.set_message(format!(" · best {} in trial {}", figure(value), best.number + 1));
        }
    }

    fn row(&self, trial: &Trial, best: bool) -> String {
        let value = match trial.state {
            TrialState::Complete => trial.value.map_or_else(String::new, figure),
            TrialState::Pruned => trial.last().map_or_else(
                || "stopped".into(),
                |(step, value)| format!("{} stopped {step}", figure(value)),
            ),
            _ => "failed".into(),
        };
        let time = trial.seconds.map_or_else(String::new, duration);
        let cells =
            self.columns.iter().map(|(name, width)| format!("  {:>width$}", chosen(&trial.params, name)));
        let mark = if best { '*' } else { ' ' };
        let width = self.objective - 1;
        format!("{:>5}  {value:>width$}{mark}  {time:>9}{}", trial.number + 1, cells.collect::<String>())
    }
}

impl Bars {
    fn new(search: &Search, workers: usize, ended: u64) -> Self {
        let style = |template: &str| {
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
        };
        let all = MultiProgress::new();
        let worker = |_| {
            let bar = ProgressBar::new_spinner().with_style(style("  {spinner} {msg}"));
            bar.enable_steady_tick(Duration::from_millis(200));
            all.add(bar)
        };
        let workers = (0..workers.max(1)).map(worker).collect();
        let whole = match search.most() {
            Some(trials) => ProgressBar::new(trials)
                .with_style(style("  {bar:32} {pos}/{len}{msg} · {elapsed} · about {eta} left")),
            None => ProgressBar::new_spinner().with_style(style("  {pos} trials{msg} · {elapsed}")),
        };
        let whole = all.add(whole.with_position(ended));
        // What was done before says nothing of the pace.
        whole.reset_eta();
        whole.enable_steady_tick(Duration::from_millis(500));
        Self { all, whole, workers }
    }
}

impl TuneWatch for Progress<'_> {
    fn begins(&mut self, worker: usize, trial: u64, params: &Params, resumed: bool) {
        if let Some(bar) = self.bars.as_ref().and_then(|bars| bars.workers.get(worker)) {
            let again = if resumed { ", taken up" } else { "" };
            let chosen: Vec<String> =
                params.iter().map(|(name, value)| format!("{} {}", short(name), text(value))).collect();
            bar.set_message(format!("trial {}{again}: {}", trial + 1, chosen.join(", ")));
        } else if resumed {
            println!("trial {} is taken up: its worker is gone", trial + 1);
        }
    }

    fn reports(&mut self, worker: usize, trial: u64, step: u64, value: f64) {
        if let Some(bar) = self.bars.as_ref().and_then(|bars| bars.workers.get(worker)) {
            let objective = &self.search.objective;
            bar.set_message(format!("trial {}: step {step}, {objective} {}", trial + 1, figure(value)));
        }
    }

    fn ends(&mut self, worker: usize, trial: &Trial, history: History<'_>, err: Option<&str>) {
        if let Some(bars) = &self.bars {
            bars.whole
                .set_position(history.trials.iter().filter(|each| each.state.is_finished()).count() as u64);
            if let Some(bar) = bars.workers.get(worker) {
                bar.set_message("");
            }
        }
        let best = history.best().is_some_and(|best| best.number == trial.number);
        self.say(&self.row(trial, best));
        if let Some(err) = err {
            self.say(&format!("       {err}"));
        }
        self.best(history);
    }

    fn note(&mut self, note: &str) {
        self.say(note);
    }
}

/// Tells of the runs that a search begins from, a line each.
pub(crate) struct Preparation;

impl Watch for Preparation {
    fn begins(&mut self, run: &Run, _: usize, _: usize, _: Option<f64>) {
        println!("first {run}, which the search begins from");
    }

    fn line(&mut self, _: &Run, line: &str) {
        eprintln!("  {line}");
    }

    fn epoch(&mut self, _: &Run, _: &Epoch) {}

    fn tick(&mut self, _: &Run, _: Duration) {}

    fn ends(&mut self, run: &Run, record: &Record) {
        let spent = format!("{}, {}", duration(record.seconds), money(record.dollars));
        match record.is_ok() {
            true => println!("{run} is done · {spent}"),
            false => println!("{run} failed after {spent}: {}", record.err),
        }
    }

    fn note(&mut self, note: &str) {
        println!("{note}");
    }
}

/// Says what came of a search.
pub(crate) fn summary(search: &Search, tuner: &Tuner<'_>, over: Over) -> Result<()> {
    let trials = tuner.trials()?;
    let seconds: f64 = trials.iter().filter_map(|trial| trial.seconds).sum();
    let ended = trials.iter().filter(|trial| trial.state.is_finished()).count();
    let cost = match search.dollars_per_hour {
        price if price > 0.0 => format!(", {}", money(seconds / 3600.0 * price)),
        _ => String::new(),
    };
    let why = match over {
        Over::Reason(reason) => format!("{reason}: "),
        Over::Interrupted => "interrupted: ".into(),
    };
    println!("\n{why}{ended} trials have taken {}{cost}", duration(seconds));
    let Some(best) = search.history(&trials).best() else {
        println!("no trial has a {} yet", search.objective);
        return Ok(());
    };
    let value = best.value.map_or_else(String::new, figure);
    println!("best:    trial {}, {} {value}", best.number + 1, search.objective);
    tuner.again(best).trim_end().lines().for_each(|line| println!("         {line}"));
    println!("files:   {}", tuner.folder(best).display());
    Ok(())
}

/// Of a dotted key the end.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn chosen(params: &Params, name: &str) -> String {
    params.get(name).map_or_else(|| "-".into(), text)
}

fn text(value: &Value) -> String {
    match value {
        Value::Float(number) => figure(*number),
        other => other.to_string(),
    }
}

/// Four figures that count.
fn figure(number: f64) -> String {
    match number.abs() {
        0.0 => "0".into(),
        size if (1e-2..1e4).contains(&size) => format!("{number:.4}"),
        _ => format!("{number:.3e}"),
    }
}
