//! The chores of the workspace: studies, their reports, and what CI runs. Thin: it knows no burn, and is
//! built in two minutes.

mod bench;
mod chores;
mod docs;
mod report;
mod study;
mod workspace;

use clap::{Parser, Subcommand};

/// The chores of the workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Command {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Runs a study of studies/, or goes on with it: a process each run, then a table, records and a page.
    Study(study::Arguments),
    /// Draws the page and prints the table of a study again, from its records.
    Report(report::Arguments),
    /// Makes docs/study-NAME.md and .html of the published records (studies/records).
    Docs(docs::Arguments),
    /// Measures scarf beside its peers (PyTorch, onnxruntime), and puts the tables into docs/speed.md.
    Bench(bench::Arguments),
    /// The tests of all crates.
    Test,
    /// What must hold before a commit: formatting, lints, tests, docs, tables, and the quick study in a minute.
    Ci,
}

fn main() -> anyhow::Result<()> {
    match Command::parse().chore {
        Chore::Study(arguments) => study::study(&arguments),
        Chore::Report(arguments) => report::report(&arguments),
        Chore::Docs(arguments) => docs::docs(&arguments),
        Chore::Bench(arguments) => bench::bench(&arguments),
        Chore::Test => chores::test(),
        Chore::Ci => chores::ci(),
    }
}
