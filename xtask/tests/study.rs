//! The command line, with a stand-in for the program.

use assert_cmd::Command;
use scarf_study::{Record, Records};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

const STUDY: &str = r#"
claim = "One claim."
seeds = [0, 1]
price = { dollars_per_hour = 1.0, machine = "m", source = "s", date = "d" }
recipe.train.epochs = 12
recipe.fake.millis = 25
approach.one.title = "One"
approach.two = { title = "Two", init = { from = "one" } }
shrink = { seeds = [0], recipe.train.epochs = 1 }
"#;

/// The stand-in, which cargo builds beside the tests.
fn stand_in() -> PathBuf {
    let test = std::env::current_exe().expect("a test is a program");
    test.parent().and_then(Path::parent).expect("target/debug/deps").join("examples").join("stand_in")
}

/// A study file in a folder of its own.
fn study() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demo.toml");
    fs::write(&file, STUDY).unwrap();
    (folder, file)
}

fn xtask(arguments: &[&str], file: &Path, out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments).arg(file).arg("--out").arg(out);
    command.env_remove("SCARF_DATA").env_remove("SCARF_WEIGHTS");
    command
}

fn records(out: &Path) -> Vec<Record> {
    Records::read(&out.join("records.csv")).unwrap().iter().cloned().collect()
}

#[test]
fn a_study_runs_from_its_file_to_its_page() {
    let (folder, file) = study();
    let out = folder.path().join("out");
    let mut command = xtask(&["study", "--shrink"], &file, &out);
    let done = command.arg("--program").arg(stand_in()).assert().success();
    let table = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(table.contains("approach") && table.contains("One") && table.contains("one seed"), "{table}");
    let told = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(told.contains("[1/2] one seed 0") && told.contains("[2/2] two seed 0 · about"), "{told}");
    assert!(told.contains("epoch 1/1"), "one line an epoch where there is no terminal: {told}");
    assert_eq!(records(&out).len(), 2);
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("shrunk to a check"));

    fs::remove_file(out.join("report.html")).unwrap();
    xtask(&["report"], &file, &out).assert().success();
    assert!(out.join("report.html").is_file());
}

#[test]
fn a_list_runs_nothing() {
    let (folder, file) = study();
    let out = folder.path().join("out");
    let done = xtask(&["study", "--list"], &file, &out).assert().success();
    let list = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(list.contains("two seed 1") && list.contains("4 runs, 0 done"), "{list}");
    assert!(!out.exists());
}

#[test]
fn a_study_that_is_killed_at_any_moment_ends_with_the_same_records() {
    let (folder, file) = study();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    xtask(&["study"], &file, &whole).arg("--program").arg(stand_in()).assert().success();
    for millis in [60, 150, 240, 330] {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["study", "--program"])
            .arg(stand_in())
            .arg(&file)
            .arg("--out")
            .arg(&killed)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(millis));
        // SIGKILL: the run's own process goes on until it finds that nobody listens; the next study waits for it.
        child.kill().unwrap();
        child.wait().unwrap();
    }
    xtask(&["study"], &file, &killed).arg("--program").arg(stand_in()).assert().success();
    let plain = |out: &Path| -> Vec<Record> {
        records(out).into_iter().map(|record| Record { started: String::new(), ..record }).collect()
    };
    assert_eq!(plain(&killed), plain(&whole));
}

/// `cargo xtask docs` reads a published study in studies/: another one would not be found there, or go over one that is.
#[test]
fn only_a_study_of_studies_is_published() {
    for name in ["demo", "quick"] {
        let (folder, file) = study();
        let renamed = folder.path().join(format!("{name}.toml"));
        fs::rename(&file, &renamed).unwrap();
        let out = folder.path().join("out");
        xtask(&["study", "--shrink"], &renamed, &out).arg("--program").arg(stand_in()).assert().success();
        let done = xtask(&["report", "--publish"], &renamed, &out).assert().failure();
        let told = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
        assert!(told.contains("only the studies of studies/ are published"), "{told}");
        assert!(told.contains(&format!("studies/{name}.toml")), "{told}");
    }
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_run() {
    let (folder, file) = study();
    let out = folder.path().join("out");
    let missing = folder.path().join("nowhere");
    let done = xtask(&["study", "--data"], &missing, &out).arg(&file).assert().failure();
    let told = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(told.contains("nowhere: there is no such folder"), "{told}");
    let done = Command::new(env!("CARGO_BIN_EXE_xtask")).args(["study", "quik", "--list"]).assert().failure();
    let told = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(told.contains("there is no study quik; there are") && told.contains("quick"), "{told}");
    assert!(!out.exists());
}
