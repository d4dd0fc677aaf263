//! Shows what goes on: a bar for each run on a terminal, lines elsewhere.

use crate::{Epoch, Record, Run, Watch, duration, money};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

/// Shows what goes on.
pub(super) struct Progress {
    /// `None` where nobody watches.
    bars: Option<MultiProgress>,
    going: BTreeMap<String, Going>,
}

/// A run that goes on.
#[derive(Default)]
struct Going {
    bar: Option<ProgressBar>,
    /// The last epoch, and how long the run had taken by then.
    last: Option<(Epoch, Duration)>,
    elapsed: Duration,
}

/// The bar's steps in an epoch: between epochs it creeps on at the pace of those before.
const STEPS: u64 = 1000;

impl Progress {
    pub(super) fn new() -> Self {
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self { bars, going: BTreeMap::new() }
    }

    fn say(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Whose line it is, where that is not plain.
    fn whose(&self, run: &Run) -> String {
        if self.going.len() > 1 { format!("{run}: ") } else { String::new() }
    }
}

impl Watch for Progress {
    fn begins(&mut self, run: &Run, position: usize, runs: usize, left: Option<f64>) {
        let left = left.map_or_else(String::new, |left| format!(" · about {} left", duration(left)));
        self.say(&format!("[{position}/{runs}] {run}{left}"));
        let bar = self.bars.as_ref().map(|bars| {
            let style = ProgressStyle::with_template("  {bar:32} {prefix}{msg} · {elapsed}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            bars.add(ProgressBar::no_length().with_style(style).with_message("begins"))
        });
        self.going.insert(run.to_string(), Going { bar, ..Going::default() });
        let several = self.going.len() > 1;
        for (name, Going { bar, .. }) in &self.going {
            if let Some(bar) = bar {
                bar.set_prefix(if several { format!("{name} · ") } else { String::new() });
            }
        }
    }

    fn line(&mut self, run: &Run, line: &str) {
        // On a terminal the bar tells the same; the log has every line.
        if self.bars.is_none() {
            eprintln!("  {}{line}", self.whose(run));
        }
    }

    fn epoch(&mut self, run: &Run, epoch: &Epoch) {
        let Some(going) = self.going.get_mut(&run.to_string()) else { return };
        if let Some(bar) = &going.bar {
            bar.set_length(epoch.epochs.max(epoch.epoch) * STEPS);
            bar.set_position(epoch.epoch * STEPS);
            let named = |name: &str| epoch.values.get(name).map(|value| format!(" · {name} {value:.3}"));
            let told: String = ["train/loss", "val/ap", "val/ap50"].into_iter().filter_map(named).collect();
            bar.set_message(format!("epoch {}/{}{told}", epoch.epoch, epoch.epochs));
        }
        going.last = Some((epoch.clone(), going.elapsed));
    }

    fn tick(&mut self, run: &Run, elapsed: Duration) {
        let Some(going) = self.going.get_mut(&run.to_string()) else { return };
        going.elapsed = elapsed;
        let (Some(bar), Some((epoch, then))) = (&going.bar, &going.last) else { return };
        let pace = epoch.values.get("seconds").copied().filter(|seconds| *seconds > 0.0);
        if let Some(pace) = pace.filter(|_| epoch.epoch < epoch.epochs) {
            let share = ((elapsed - *then).as_secs_f64() / pace).min(0.99);
            bar.set_position(epoch.epoch * STEPS + (share * STEPS as f64) as u64);
        }
    }

    fn ends(&mut self, run: &Run, record: &Record) {
        let whose = self.whose(run);
        if let Some(bar) = self.going.remove(&run.to_string()).and_then(|going| going.bar) {
            bar.finish_and_clear();
        }
        let spent = format!("{}, {}", duration(record.seconds), money(record.dollars));
        if let (true, Some(epoch), Some(value)) = (record.pruned, record.epochs, record.objective) {
            return self
                .say(&format!("  {whose}stopped after epoch {epoch}, objective {value:.3} · {spent}"));
        }
        match record.test.or(record.val) {
            _ if !record.is_ok() => self.say(&format!("  {whose}failed after {spent}: {}", record.err)),
            Some(numbers) => {
                let part = if record.test.is_some() { "test" } else { "val" };
                let [ap, ap50] = [numbers.ap(), numbers.ap50()];
                self.say(&format!("  {whose}{part} AP {ap:.3}, AP50 {ap50:.3} · {spent}"));
            }
            None => self.say(&format!("  {whose}done · {spent}")),
        }
    }

    fn note(&mut self, note: &str) {
        self.say(note);
    }
}
