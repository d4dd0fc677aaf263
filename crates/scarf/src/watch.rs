//! Watches a run: the curve on disk, the best model on disk, and progress on standard error.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use scarf_core::Classes;
use scarf_heads::Detector;
use scarf_study::write_atomic;
use scarf_train::{Epoch, Flow, Observer, Step, TrainError};
use serde_json::{Map, Value, json};

use crate::model::{self, Card};
use crate::settings::Recipe;

/// The file of the curve: a JSON object a line and epoch.
pub(crate) const METRICS: &str = "metrics.jsonl";

/// The observer of `scarf run`.
pub(crate) struct Watch<'a> {
    out: &'a Path,
    recipe: &'a Recipe,
    classes: &'a Classes,
    bar: Option<ProgressBar>,
    begun: Instant,
    first: Option<usize>,
}

impl<'a> Watch<'a> {
    /// Writes into the folder `out`.
    pub(crate) fn new(out: &'a Path, recipe: &'a Recipe, classes: &'a Classes) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { out, recipe, classes, bar, begun: Instant::now(), first: None }
    }

    /// Seconds until the last epoch, by the mean of those seen.
    fn left(&self, epoch: usize, epochs: usize) -> u64 {
        let seen = epoch + 1 - self.first.unwrap_or(epoch);
        (self.begun.elapsed().as_secs_f64() / seen as f64 * (epochs - epoch) as f64) as u64
    }

    fn write_curve(&self, epoch: &Epoch) -> std::io::Result<()> {
        let path = self.out.join(METRICS);
        let known = fs::read_to_string(&path).unwrap_or_default();
        // Lines of epochs that a killed attempt wrote past its checkpoint are written anew.
        let before = known.lines().filter(|line| epoch_of(line).is_some_and(|at| at < epoch.epoch));
        let text: String =
            before.chain([line(epoch).to_string().as_str()]).map(|line| format!("{line}\n")).collect();
        write_atomic(&path, text.as_bytes()).map_err(std::io::Error::other)
    }
}

fn epoch_of(line: &str) -> Option<usize> {
    let value: Value = serde_json::from_str(line).ok()?;
    value["epoch"].as_u64().and_then(|epoch| usize::try_from(epoch).ok())
}

/// One line of the curve.
fn line(epoch: &Epoch) -> Value {
    let mut line = Map::new();
    line.insert("epoch".into(), json!(epoch.epoch));
    line.insert("epochs".into(), json!(epoch.epochs));
    line.insert("seconds".into(), json!(epoch.seconds));
    line.insert("lr".into(), json!(epoch.lr));
    line.insert("train/loss".into(), json!(epoch.loss));
    for (name, value) in &epoch.losses {
        line.insert(format!("train/{name}"), json!(value));
    }
    if let Some(val) = &epoch.val {
        for (name, value) in crate::result::named(val.report.stats()) {
            line.insert(format!("val/{name}"), value);
        }
        line.insert("val/loss".into(), json!(val.loss));
        for (name, value) in &val.losses {
            line.insert(format!("val/{name}"), json!(value));
        }
    }
    Value::Object(line)
}

impl Observer<Detector> for Watch<'_> {
    fn step(&mut self, step: &Step) {
        if self.first.is_none() {
            self.first = Some(step.epoch);
        }
        if let Some(bar) = &self.bar {
            bar.set_length(step.steps as u64);
            bar.set_position(step.step as u64);
            bar.set_prefix(format!("  epoch {}", step.epoch));
            bar.set_message(format!("loss {:.3}", step.loss));
        }
    }

    fn epoch(&mut self, epoch: &Epoch, model: &Detector) -> Result<Flow, TrainError> {
        let io = |path: PathBuf| move |source| TrainError::Io { path, source };
        if epoch.best {
            let card = Card {
                model: self.recipe.model.clone(),
                classes: self.classes.clone(),
                epoch: epoch.epoch,
                val_ap: epoch.val.as_ref().and_then(|val| val.report.ap),
                detect: self.recipe.detect.clone(),
            };
            model::save(&self.out.join(model::BEST), model, &card)?;
        }
        self.write_curve(epoch).map_err(io(self.out.join(METRICS)))?;
        let val = epoch.val.as_ref().map_or(String::new(), |val| {
            let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
            format!("  val AP {}  AP50 {}", number(val.report.ap), number(val.report.ap50))
        });
        let text = format!(
            "  epoch {:>3}/{}  loss {:.3}{val}{}  {:.0} s, about {} s left",
            epoch.epoch,
            epoch.epochs,
            epoch.loss,
            if epoch.best { " *" } else { "" },
            epoch.seconds,
            self.left(epoch.epoch, epoch.epochs),
        );
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
        Ok(Flow::Continue)
    }
}
