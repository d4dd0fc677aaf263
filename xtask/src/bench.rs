//! `cargo xtask bench`: ours beside its peers in one run, into docs/speed.md.

use crate::workspace;
use anyhow::{Context, Result, bail};
use clap::Args;
use scarf_study::{splice, write_atomic};
use std::path::PathBuf;
use std::process::Command;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Which tables to make; all, where none is named.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(TABLES.iter().map(|table| table.name)))]
    names: Vec<String>,
    /// A Python that has the peers (torch, torchvision, onnxruntime).
    #[arg(long, env = "SCARF_TORCH", value_name = "PYTHON")]
    python: PathBuf,
    /// A folder with published weights, for `inference`.
    #[arg(long, env = "SCARF_WEIGHTS", value_name = "DIR")]
    weights: Option<PathBuf>,
    /// How many cores both may use.
    #[arg(long, default_value_t = 2, value_name = "N")]
    threads: usize,
    /// Options of the one script that is run, after --, as `steps -- --rounds 1`.
    #[arg(last = true)]
    more: Vec<String>,
}

/// One table: what to build, and the script that runs both sides in turn, with its options.
struct Table {
    name: &'static str,
    build: &'static [&'static str],
    script: &'static str,
    options: &'static [&'static str],
}

const TABLES: [Table; 5] = [
    Table {
        name: "steps",
        build: &["-p", "scarf-kernels", "--example", "step"],
        script: "benches/peers/steps.py",
        options: &[],
    },
    Table { name: "detectors", build: &["-p", "scarf"], script: "benches/peers/detectors.py", options: &[] },
    Table {
        name: "bfloat16",
        build: &["-p", "scarf"],
        script: "benches/peers/detectors.py",
        options: &["--precision", "bfloat16"],
    },
    Table {
        name: "inference",
        build: &["-p", "scarf-onnx", "--example", "inference"],
        script: "benches/peers/inference.py",
        options: &[],
    },
    Table { name: "models", build: &["-p", "scarf"], script: "benches/models.py", options: &[] },
];

pub(crate) fn bench(arguments: &Arguments) -> Result<()> {
    let wanted =
        |table: &&Table| arguments.names.is_empty() || arguments.names.iter().any(|n| n == table.name);
    if !arguments.more.is_empty() && arguments.names.len() != 1 {
        bail!("options behind -- are one script's: name one table, as in `bench steps -- --rounds 1`");
    }
    TABLES.iter().filter(wanted).try_for_each(|table| arguments.make(table))
}

impl Arguments {
    /// Measures, and puts the table into its place.
    fn make(&self, table: &Table) -> Result<()> {
        let built =
            workspace::cargo().arg("build").args(table.build).status().context("cargo cannot be started")?;
        if !built.success() {
            bail!("cargo build {} failed ({built})", table.build.join(" "));
        }
        let root = workspace::root();
        let markdown = root.join("target").join(format!("bench-{}.md", table.name));
        let mut command = Command::new(&self.python);
        command.current_dir(&root).arg(table.script).args(["--threads", &self.threads.to_string()]);
        if let (true, Some(weights)) = (table.name == "inference", &self.weights) {
            command.arg("--weights").arg(weights);
        }
        let status = command.args(table.options).args(&self.more).arg("--markdown").arg(&markdown).status();
        let status = status.with_context(|| format!("{} cannot be started", self.python.display()))?;
        if !status.success() {
            bail!("{} failed ({status})", table.script);
        }
        let measured = std::fs::read_to_string(&markdown).with_context(|| markdown.display().to_string())?;
        let more: String = self.more.iter().map(|word| format!(" {word}")).collect();
        let more = if more.is_empty() { more } else { format!(" --{more}") };
        let results = format!(
            "    cargo xtask bench {} --threads {}{more}\n\nCommit {}, {}.\n\n{measured}",
            table.name,
            self.threads,
            workspace::revision(),
            machine(),
        );
        let path = root.join("docs/speed.md");
        let document = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        write_atomic(&path, splice(&path, &document, table.name, &results)?.as_bytes())?;
        println!("{}: {} written", path.display(), table.name);
        Ok(())
    }
}

/// The processor, as far as the system tells.
fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    name.map_or_else(|| format!("{cores} cores"), |(_, name)| format!("{cores} cores of {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tables_are_made_with_is_there() {
        let root = workspace::root();
        for table in &TABLES {
            assert!(root.join(table.script).is_file(), "{}", table.script);
            if let [_, package, _, example] = table.build {
                let example = format!("crates/{package}/examples/{example}.rs");
                assert!(root.join(&example).is_file(), "{example}");
            }
        }
        assert!(root.join("crates/scarf-kernels/examples/step.py").is_file());
    }
}
