//! What CI runs.

use crate::workspace;
use anyhow::{Context, Result, bail};

/// The tests of all crates.
pub(crate) fn test() -> Result<()> {
    cargo(&["test", "--workspace"])
}

/// What must hold before a commit.
pub(crate) fn ci() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    test()?;
    cargo(&["doc", "--workspace", "--no-deps"])?;
    // what others may take by itself builds from its package alone
    cargo(&["package", "--allow-dirty", "-p", "scarf-core", "-p", "scarf-metrics"])?;
    cargo(&["xtask", "docs", "--check"])?;
    cargo(&["xtask", "study", "--shrink"])
}

fn cargo(arguments: &[&str]) -> Result<()> {
    println!("cargo {}", arguments.join(" "));
    let status = workspace::cargo().args(arguments).status().context("cargo cannot be started")?;
    if !status.success() {
        bail!("cargo {} failed ({status})", arguments.join(" "));
    }
    Ok(())
}
