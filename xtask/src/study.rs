//! `cargo xtask study`.

use crate::workspace;
use anyhow::{Context, Result, bail};
use clap::Args;
use scarf_study::Program;
use scarf_study::command_line::StudyOptions;
use std::path::PathBuf;
use std::process::Stdio;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A study of studies/, or the path of a study file.
    #[arg(default_value = "quick")]
    name: String,
    #[command(flatten)]
    options: StudyOptions,
    /// What to run on, as cpu, wgpu, vulkan or cuda; features that need it are built in.
    #[arg(long)]
    device: Option<String>,
    /// A program to do the runs, in place of scarf.
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

pub(crate) fn study(arguments: &Arguments) -> Result<()> {
    let file = workspace::study_file(&arguments.name)?;
    arguments.options.run(&file, &workspace::caller(), || {
        let path = match &arguments.program {
            Some(path) => path.clone(),
            None => build(arguments.device.as_deref())?,
        };
        Ok(Program { path, device: arguments.device.clone(), threads: None })
    })
}

/// Builds the program, with the features that a device needs, and says where it is.
fn build(device: Option<&str>) -> Result<PathBuf> {
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--package", "scarf", "--message-format", "json-render-diagnostics"]);
    if let Some(backend) = ["wgpu", "vulkan", "cuda"]
        .into_iter()
        .find(|name| device.is_some_and(|device| device.starts_with(name)))
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
