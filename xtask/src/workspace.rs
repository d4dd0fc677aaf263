//! Where things are in the workspace.

use anyhow::{Context, Result, bail};
use scarf_study::command_line::Caller;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Cargo itself.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// The study file of a name, or of a path that ends in .toml.
pub(crate) fn study_file(name: &str) -> Result<PathBuf> {
    let path = PathBuf::from(name);
    if path.extension().is_some_and(|end| end == "toml") {
        return Ok(path);
    }
    let folder = root().join("studies");
    let file = folder.join(format!("{name}.toml"));
    if !file.is_file() {
        bail!("there is no study {name}; there are {}", studies(&folder)?.join(", "));
    }
    // Shorter in messages, where the chore is called from the root.
    let relative =
        std::env::current_dir().ok().and_then(|here| file.strip_prefix(here).ok().map(Path::to_path_buf));
    Ok(relative.unwrap_or(file))
}

/// The names of the studies in a folder.
pub(crate) fn studies(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "toml") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// Studies that are run by `cargo xtask` are kept in the workspace, and know its commit.
pub(crate) fn caller() -> Caller {
    Caller { name: "cargo xtask", revision: revision(), runs: root().join("runs") }
}

/// The commit that is checked out, with a + where there is more than that; empty where git cannot tell.
pub(crate) fn revision() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(root()).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return String::new() };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => commit + "+",
    }
}
