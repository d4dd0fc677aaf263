//! `scarf tune` as people call it: killed, interrupted, twice at once, and over real trainings.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Prints a loss for each of five steps of a tenth of a second; it is least at lr = 0.01.
const TRAINER: &str = r#"BEGIN {
    for (step = 1; step <= 5; step++) {
        system("sleep 0.1")
        print "step " step " loss=" (log(lr) / log(10) + 2) ^ 2 + 1 / step
        fflush()
    }
}"#;

fn tune(folder: &Path, options: &[&str]) -> Command {
    let script = folder.join("trainer.awk");
    fs::write(&script, TRAINER).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_scarf"));
    command.args(["tune", "--metric", "loss=([0-9.e+-]+)", "--param", "lr = { log = [1e-4, 1.0] }"]);
    command.arg("--command").arg(format!("awk -v lr={{lr}} -f '{}'", script.display()));
    command.arg("--out").arg(folder.join("search")).args(options).stdin(Stdio::null());
    command
}

fn start(folder: &Path, options: &[&str]) -> Child {
    tune(folder, options).stdout(Stdio::null()).spawn().unwrap()
}

fn done(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// The records of the journal.
fn records(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("search/awk.journal")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// How many records have this operation: 4 makes a trial, 6 ends one, 7 reports.
fn count(folder: &Path, operation: u64) -> usize {
    records(folder).iter().filter(|record| record["op_code"] == operation).count()
}

fn wait_for(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came to that");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What a file says of a pruner is taken back by an option.
#[test]
fn a_files_pruner_can_be_left_out() {
    let ended = |options: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let (file, script) = (folder.path().join("awk.toml"), folder.path().join("trainer.awk"));
        fs::write(&script, TRAINER).unwrap();
        // The most is wanted of what only falls: each trial stops after its second step.
        let text = format!(
            "command = \"awk -v lr={{lr}} -f '{}'\"\nmetric = 'step (?<step>\\d+) loss=(?<value>\\S+)'\n\
             direction = 'maximize'\npruner.patience = {{ steps = 1 }}\nstop.trials = 2\nspace.lr = {{ log = [1e-4, 1.0] }}\n",
            script.display()
        );
        fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_scarf"));
        command.arg("tune").arg(&file).arg("--out").arg(folder.path().join("search")).args(options);
        done(&command.output().unwrap());
        let ends = records(folder.path()).into_iter().filter(|record| record["op_code"] == 6);
        ends.map(|record| record["state"].as_u64().unwrap()).filter(|state| *state > 0).collect::<Vec<_>>()
    };
    // Optuna's numbers: 1 is complete, 2 pruned.
    assert_eq!(ended(&[]), [2, 2]);
    assert_eq!(ended(&["--pruner", "none"]), [1, 1]);
}

#[test]
fn workers_that_are_killed_lose_no_trial_and_end_none_twice() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["--trials", "12", "--workers", "2", "--lease", "1"];
    let mut first = start(folder.path(), &options);
    let mut second = start(folder.path(), &options);
    wait_for(|| count(folder.path(), 7) >= 12);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(second.wait().unwrap().success(), "the other one takes up what was lost");
    assert_eq!(count(folder.path(), 4), 12);
    let mut ended: Vec<u64> = records(folder.path())
        .iter()
        .filter(|record| record["op_code"] == 6)
        .map(|record| (record["state"].as_u64().unwrap(), record["trial_id"].as_u64().unwrap()))
        .inspect(|(state, trial)| assert_eq!(*state, 1, "trial {trial} is complete"))
        .map(|(_, trial)| trial)
        .collect();
    ended.sort_unstable();
    assert_eq!(ended, (0..12).collect::<Vec<_>>());
}

#[test]
fn a_search_that_is_interrupted_goes_on_with_the_trials_it_left() {
    let folder = tempfile::tempdir().unwrap();
    let none = tune(folder.path(), &["--resume"]).output().unwrap();
    let told = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(!none.status.success() && told.contains("there is no search to go on with"), "{told}");
    let mut child = start(folder.path(), &["--trials", "4", "--workers", "2"]);
    wait_for(|| count(folder.path(), 7) >= 2);
    let interrupt = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(folder.path().join("search/awk.html").is_file(), "the page so far");
    let begun = Instant::now();
    let output = tune(folder.path(), &["--trials", "4", "--workers", "4", "--resume"]).output().unwrap();
    let text = done(&output);
    assert!(begun.elapsed() < Duration::from_secs(30), "a lease lasts a minute; it was given back");
    assert!(text.contains("trial 1 is taken up") && text.contains("going on with awk"), "{text}");
    assert!(text.contains("best:    trial") && text.contains("awk -v 'lr="), "{text}");
    assert_eq!((count(folder.path(), 4), count(folder.path(), 6)), (4, 4));
}

#[test]
fn what_cannot_be_searched_is_refused_with_what_can() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |options: &[&str]| {
        let output = tune(folder.path(), options).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let told = refused(&["--sampler", "tpee"]);
    assert!(told.contains("unknown variant `tpee`, expected one of `random`"), "{told}");
    let told = refused(&["--param", "decay = { log = [0.0, 1.0] }"]);
    assert!(told.contains("decay") && told.contains("0"), "{told}");
    let told = refused(&["--param", "decay = { linear = [0.0, 1.0] }"]);
    assert!(told.contains("it never gets decay: write {decay}"), "{told}");
    let told = refused(&["--objective", "val/ap"]);
    assert!(told.contains("--objective is for studies"), "{told}");
}

const STUDY: &str = r#"
claim = "A search finds a learning rate."
seeds = [0]
price = { dollars_per_hour = 0.1, machine = "two cores", source = "a list", date = "2026-11-23" }

[data]
set = "synthetic-steel"
synthetic = { images_per_class = 6 }
split.stratified = { train = 0.5, val = 0.25, test = 0.25 }

[recipe.model]
size = 64
backbone.mobilenet_v1 = { width = 0.25, outputs = [5, 11] }
neck.ssd_extras = { channels = [32] }
head.ssd = {}

[recipe.train]
epochs = 2
batch = 4
optimizer.adam_w = { lr = 1e-3 }

[approach.plate]
role = "pretraining"
data.set = "synthetic-plate"

[approach.tuned]
init.from = "plate"
tune = { trials = 3, objective = "val/ap50", space = { "train.optimizer.adam_w.lr" = { log = [1e-4, 1e-2] } } }
"#;

#[test]
fn a_studys_search_trains_detectors_and_keeps_the_best_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("small.toml");
    fs::write(&file, STUDY).unwrap();
    let out = folder.path().join("runs");
    let output = Command::new(env!("CARGO_BIN_EXE_scarf"))
        .args([
            "--device",
            "cpu",
            "tune",
            "--workers",
            "2",
            "--objective",
            "train/loss",
            "--direction",
            "minimize",
        ])
        .arg(&file)
        .arg("--out")
        .arg(&out)
        .env_remove("SCARF_DATA")
        .env_remove("SCARF_WEIGHTS")
        .output()
        .unwrap();
    let text = done(&output);
    assert!(text.contains("plate seed 0 is done") && text.contains("[approach.tuned.recipe]"), "{text}");
    let line = text.lines().find_map(|line| line.strip_prefix("files:   ")).unwrap();
    let best = Path::new(line);
    assert!(best.join("best.safetensors").is_file());
    let runs: Vec<_> = fs::read_dir(out.join("runs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|run| run.join("result.json").is_file())
        .collect();
    // Two trials at a time have half of the cores each.
    let share = (std::thread::available_parallelism().unwrap().get() / 2).max(1);
    let shares = |run: &&std::path::PathBuf| {
        let result = fs::read_to_string(run.join("result.json")).unwrap();
        let result: Value = serde_json::from_str(&result).unwrap();
        result["device"].as_str().unwrap().ends_with(&format!(", {share} threads"))
    };
    assert!(runs.iter().filter(shares).count() >= 3, "the trials, if not what they begin from");
    let models: Vec<_> = runs.iter().filter(|run| run.join("best.safetensors").is_file()).collect();
    assert_eq!(
        (runs.len(), models.len()),
        (4, 2),
        "of four runs the pretraining and the best trial keep theirs"
    );
    assert!(fs::read_to_string(out.join("tuned.html")).unwrap().contains("The best train"));
}
