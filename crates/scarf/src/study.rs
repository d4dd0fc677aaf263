//! `scarf study` and `scarf report`: a study from its file to its table and page, in any folder.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use scarf_study::Program;
use scarf_study::command_line::{Caller, ReportOptions, StudyOptions};

use crate::device::DeviceName;

#[derive(Debug, Args)]
pub(crate) struct Study {
    /// The study file.
    file: PathBuf,
    #[command(flatten)]
    options: StudyOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The study file.
    file: PathBuf,
    #[command(flatten)]
    options: ReportOptions,
}

impl Study {
    pub(crate) fn run(&self, device: DeviceName) -> Result<()> {
        self.options.run(&self.file, &caller(), || {
            let path = std::env::current_exe().context("this program, which does the runs, is not found")?;
            Ok(Program { path, device: device.name(), threads: None })
        })
    }
}

impl Report {
    pub(crate) fn run(&self) -> Result<()> {
        self.options.run(&self.file, &caller())?;
        Ok(())
    }
}

/// No checkout need be there: the program knows its version, and no commit.
fn caller() -> Caller {
    Caller {
        name: "scarf",
        revision: concat!("version ", env!("CARGO_PKG_VERSION")).into(),
        runs: "runs".into(),
    }
}
