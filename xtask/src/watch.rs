//! Shows what goes on: a bar on a terminal, lines elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use scarf_study::{Epoch, Record, Run, Watch, duration, money};
use std::io::IsTerminal;
use std::time::Duration;

/// Shows what goes on.
pub(crate) struct Progress {
    /// `None` where nobody watches.
    bar: Option<ProgressBar>,
    /// The last epoch, and how long the run had taken by then.
    last: Option<(Epoch, Duration)>,
    elapsed: Duration,
}

/// The bar's steps in an epoch: between epochs it creeps on at the pace of those before.
const STEPS: u64 = 1000;

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = "  {bar:32} {msg} · {elapsed}";
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(
                ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
            )
        });
        Self { bar, last: None, elapsed: Duration::ZERO }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }
}

impl Watch for Progress {
    fn begins(&mut self, run: &Run, position: usize, runs: usize, left: Option<f64>) {
        let left = left.map_or_else(String::new, |left| format!(" · about {} left", duration(left)));
        self.say(&format!("[{position}/{runs}] {run}{left}"));
        (self.last, self.elapsed) = (None, Duration::ZERO);
        if let Some(bar) = &self.bar {
            bar.reset();
            bar.set_message("begins");
        }
    }

    fn line(&mut self, line: &str) {
        // On a terminal the bar tells the same; the log has every line.
        if self.bar.is_none() {
            eprintln!("  {line}");
        }
    }

    fn epoch(&mut self, epoch: &Epoch) {
        if let Some(bar) = &self.bar {
            bar.set_length(epoch.epochs.max(epoch.epoch) * STEPS);
            bar.set_position(epoch.epoch * STEPS);
            let named = |name: &str| epoch.values.get(name).map(|value| format!(" · {name} {value:.3}"));
            let told: String = ["train/loss", "val/ap", "val/ap50"].into_iter().filter_map(named).collect();
            bar.set_message(format!("epoch {}/{}{told}", epoch.epoch, epoch.epochs));
        }
        self.last = Some((epoch.clone(), self.elapsed));
    }

    fn tick(&mut self, run: Duration) {
        self.elapsed = run;
        let (Some(bar), Some((epoch, then))) = (&self.bar, &self.last) else { return };
        let pace = epoch.values.get("seconds").copied().filter(|seconds| *seconds > 0.0);
        if let Some(pace) = pace.filter(|_| epoch.epoch < epoch.epochs) {
            let share = ((run - *then).as_secs_f64() / pace).min(0.99);
            bar.set_position(epoch.epoch * STEPS + (share * STEPS as f64) as u64);
        }
    }

    fn ends(&mut self, _: &Run, record: &Record) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let spent = format!("{}, {}", duration(record.seconds), money(record.dollars));
        match record.test.or(record.val) {
            _ if !record.is_ok() => self.say(&format!("  failed after {spent}: {}", record.err)),
            Some(numbers) => {
                let part = if record.test.is_some() { "test" } else { "val" };
                self.say(&format!("  {part} AP {:.3}, AP50 {:.3} · {spent}", numbers.ap(), numbers.ap50()));
            }
            None => self.say(&format!("  done · {spent}")),
        }
    }

    fn note(&mut self, note: &str) {
        self.say(note);
    }
}
