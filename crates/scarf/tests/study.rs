//! A study from its file to its page by the program alone, in a folder that is no checkout.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const STUDY: &str = r#"
claim = "A detector can be trained anywhere."
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
epochs = 1
batch = 4
optimizer.adam_w = { lr = 1e-3 }

[approach.scratch]
title = "From scratch"
"#;

fn scarf(here: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scarf"));
    command.args(arguments).current_dir(here).stdin(Stdio::null());
    for variable in ["SCARF_DATA", "SCARF_WEIGHTS", "SCARF_DEVICE"] {
        command.env_remove(variable);
    }
    command.output().unwrap()
}

/// What it printed, on stdout and on stderr.
fn told(output: Output) -> [String; 2] {
    [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned())
}

fn done(here: &Path, arguments: &[&str]) -> [String; 2] {
    let output = scarf(here, arguments);
    let success = output.status.success();
    let told = told(output);
    assert!(success, "scarf {arguments:?}: {}", told[1]);
    told
}

fn refused(here: &Path, arguments: &[&str]) -> String {
    let output = scarf(here, arguments);
    assert!(!output.status.success(), "scarf {arguments:?}");
    told(output)[1].clone()
}

#[test]
fn a_study_runs_where_there_is_no_checkout() {
    let (elsewhere, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (path, here) = (elsewhere.path().join("tiny.toml"), here.path());
    fs::write(&path, STUDY).unwrap();
    let file = path.to_str().unwrap();
    let (records, page) = (here.join("runs/tiny/records.csv"), here.join("runs/tiny/report.html"));

    let why = refused(here, &["report", file]);
    assert!(why.contains("runs/tiny: no records; `scarf study ") && why.contains(file), "{why}");
    let why = refused(here, &["study", file, "--data", "nowhere"]);
    assert!(why.contains("--data nowhere: there is no such folder"), "{why}");
    let [list, _] = done(here, &["study", file, "--list"]);
    assert!(list.contains("scratch seed 0") && list.contains("1 runs, 0 done"), "{list}");
    assert_eq!(fs::read_dir(here).unwrap().count(), 0, "nothing has been done yet");

    let study = ["study", file, "--device", "cpu"];
    let [table, progress] = done(here, &study);
    assert!(progress.contains("[1/1] scratch seed 0") && progress.contains("test AP"), "{progress}");
    assert!(table.starts_with("tiny: A detector can be trained anywhere.\n"), "{table}");
    assert!(table.contains("From scratch") && table.contains("page:    runs/tiny/report.html"), "{table}");
    let told = fs::read_to_string(&page).unwrap();
    assert!(told.contains("scarf study") && told.contains("<dt>program</dt>"), "how it is run again");

    // What is done is not done again, and is told of in the same words.
    let before = fs::read(&records).unwrap();
    let [again, progress] = done(here, &study);
    assert!(!progress.contains("[1/1]"), "{progress}");
    assert_eq!((again, fs::read(&records).unwrap()), (table.clone(), before));

    fs::remove_file(&page).unwrap();
    let [report, _] = done(here, &["report", file]);
    assert!(table.ends_with(&report) && report.contains("From scratch"), "{report}");
    assert!(page.is_file());
}
