//! A study, and the stand-in for the program that does its runs.
#![allow(dead_code, reason = "each test file takes what it needs")]

use scarf_study::{Engine, Epoch, Error, Given, Program, Record, Records, Run, Study, StudyFile, Watch};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Searches with a sampler that learns, begins from an approach, and has a run that fails.
pub(crate) const STUDY: &str = r#"
claim = "Beginning from a pretrained detector beats training from scratch."
expected = "0.34 against 0.17"
minutes = 1.5
seeds = [0, 1]

[price]
dollars_per_hour = 3.6
machine = "a machine"
source = "a list"
date = "2026-11-22"
original = { dollars_per_hour = 36.0, machine = "a large one", source = "a paper", date = "2022" }

[[claims]]
text = "Fine-tuning beats training from scratch."
better = ["finetune", "tuned"]
than = "scratch"

[[claims]]
text = "A search helps."
better = "tuned"
than = "finetune"

[[claims]]
text = "From scratch is as good as the state of the art."
better = "scratch"
published = 0.9
metric = "ap50"

[[claims]]
text = "What is broken is best."
better = "broken"
than = "scratch"

[data]
set = "fake"

[recipe]
train = { epochs = 3, optimizer.sgd.lr = 0.03 }

[approach.scratch]
title = "From scratch"

[approach.finetune]
title = "Fine-tuned"
init = { weights = "coco", or_from = "pretrain" }

[approach.tuned]
title = "Fine-tuned, searched"
of = "finetune"
tune = { trials = 3, sampler = "random", objective = "val/ap50", space = { "train.optimizer.sgd.lr" = { log = [1e-3, 0.1] } } }

[approach.broken]
title = "Broken"
of = "scratch"
recipe.fake.fail_seed = 1

[approach.pretrain]
title = "Pretraining"
role = "pretraining"
recipe.train.epochs = 5

[shrink]
seeds = [7]
recipe.train.epochs = 1
approach.tuned.tune.trials = 1
"#;

/// The stand-in, which cargo builds beside the tests.
pub(crate) fn program() -> Program {
    let test = std::env::current_exe().expect("a test is a program");
    let folder = test.parent().and_then(Path::parent).expect("target/debug/deps");
    Program { path: folder.join("examples").join("fake_program"), device: None, threads: None }
}

/// A checked study of this text.
pub(crate) fn study(text: &str, given: &Given) -> Result<Study, Error> {
    let path = Path::new("studies/demo.toml");
    StudyFile::parse(path, text, given)?.check(path, text, given)
}

/// Runs a study in a folder.
pub(crate) fn run(study: &Study, out: &Path, watch: &mut Log) -> Result<Records, Error> {
    Engine::new(study, program(), out, &Given::default())?.run(false, watch)
}

/// Notes what it is told.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) begun: Vec<String>,
    pub(crate) epochs: Vec<u64>,
    pub(crate) lines: Vec<String>,
    pub(crate) notes: Vec<String>,
}

impl Watch for Log {
    fn begins(&mut self, run: &Run, position: usize, runs: usize, _: Option<f64>) {
        self.begun.push(format!("{position}/{runs} {run}"));
    }
    fn line(&mut self, _: &Run, line: &str) {
        self.lines.push(line.into());
    }
    fn epoch(&mut self, _: &Run, epoch: &Epoch) {
        self.epochs.push(epoch.epoch);
    }
    fn tick(&mut self, _: &Run, _: Duration) {}
    fn ends(&mut self, _: &Run, _: &Record) {}
    fn note(&mut self, note: &str) {
        self.notes.push(note.into());
    }
}

/// The folder of a run.
pub(crate) fn folder(out: &Path, id: &str) -> PathBuf {
    out.join("runs").join(id)
}
