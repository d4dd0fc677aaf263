//! `cargo xtask study`.

use crate::watch::Progress;
use crate::{report, workspace};
use anyhow::{Context, Result, bail};
use clap::Args;
use scarf_study::{Engine, Given, How, Kind, Program, Records, Run, State, Study, Weights, list};
use std::path::PathBuf;
use std::process::Stdio;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A study of studies/, or the path of a study file.
    #[arg(default_value = "quick")]
    name: String,
    /// Prints the plan, and does nothing.
    #[arg(long)]
    list: bool,
    /// A folder with data.
    #[arg(long, env = "SCARF_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// A folder with published weights, as *.safetensors.
    #[arg(long, env = "SCARF_WEIGHTS", value_name = "DIR")]
    weights: Option<PathBuf>,
    /// Where runs, records and the page go [default: runs/NAME].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What to run on, as cpu, wgpu or cuda; features that need it are built in.
    #[arg(long)]
    device: Option<String>,
    /// A program to do the runs, in place of scarf.
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// The same plan, made so small that it takes about a minute: a check of the machinery.
    #[arg(long)]
    shrink: bool,
    /// Does the runs that failed again.
    #[arg(long)]
    retry: bool,
    /// How many runs go on at once, where they do not wait for each other; they share the machine's threads.
    #[arg(long, default_value_t = 1, value_name = "N")]
    jobs: usize,
}

pub(crate) fn study(arguments: &Arguments) -> Result<()> {
    let given = given(arguments)?;
    let file = workspace::study_file(&arguments.name)?;
    let study = Study::read(&file, &given)?;
    let out = arguments.out.clone().unwrap_or_else(|| workspace::default_out(&study.name, &given));
    if arguments.list {
        let records = Records::read(&out.join("records.csv"))?;
        print!("{}", list(&study, &study.plan(&records), &records));
        return Ok(());
    }
    let path = match &arguments.program {
        Some(path) => path.clone(),
        None => build(arguments.device.as_deref())?,
    };
    println!("{}: {}", study.name, study.claim);
    if !study.expected.is_empty() {
        println!("expected: {}", study.expected);
    }
    let how = How::new(command(), workspace::revision(), &study, &given);
    let program = Program { path, device: arguments.device.clone(), threads: None };
    let mut progress = Progress::new();
    let engine = Engine::new(&study, program, &out, &given)?.with_jobs(arguments.jobs).with_note(how);
    let records = engine.run(arguments.retry, &mut progress)?;
    report::tell(&study, &records, &How::read(&out)?, &out)?;
    // A search goes on without a trial; a row without its runs is none.
    let plan = study.plan(&records);
    let wanted = || plan.runs.iter().filter(|run| run.kind != Kind::Trial);
    let failed: Vec<&Run> =
        wanted().filter(|run| matches!(run.state, State::Failed | State::Blocked(_))).collect();
    if let Some(first) = failed.first() {
        let (failed, all) = (failed.len(), wanted().count());
        bail!("{failed} of {all} runs failed, or could not begin, {first} first; --retry does them again");
    }
    Ok(())
}

/// What is given, if it is there.
fn given(arguments: &Arguments) -> Result<Given> {
    for (name, folder) in [("--data", &arguments.data), ("--weights", &arguments.weights)] {
        if let Some(folder) = folder.as_ref().filter(|folder| !folder.is_dir()) {
            bail!("{name} {}: there is no such folder", folder.display());
        }
    }
    let weights = arguments.weights.clone().map(Weights::Folder);
    Ok(Given { shrink: arguments.shrink, data: arguments.data.clone(), weights })
}

/// Builds the program, with the features that a device needs, and says where it is.
fn build(device: Option<&str>) -> Result<PathBuf> {
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--package", "scarf", "--message-format", "json-render-diagnostics"]);
    if let Some(backend) =
        ["wgpu", "cuda"].into_iter().find(|name| device.is_some_and(|device| device.starts_with(name)))
    {
        cargo.args(["--features", &format!("{backend},autotune")]);
    }
    eprintln!("building scarf; from nothing that takes ten to fifteen minutes on two cores");
    let output = cargo.stderr(Stdio::inherit()).output().context("cargo cannot be started")?;
    if !output.status.success() {
        bail!("scarf does not build");
    }
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let executable = messages.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let ours = message["target"]["name"] == "scarf" && message["target"]["kind"][0] == "bin";
        ours.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    executable.context("cargo built scarf, but names no program")
}

/// The command as it was typed, but for the way to this program.
fn command() -> String {
    let quoted = |argument: String| {
        let plain = argument.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:+".contains(c));
        if plain && !argument.is_empty() {
            argument
        } else {
            format!("'{}'", argument.replace('\'', r"'\''"))
        }
    };
    let arguments: Vec<String> = std::env::args().skip(1).map(quoted).collect();
    format!("cargo xtask {}", arguments.join(" "))
}
