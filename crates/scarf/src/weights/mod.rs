//! `scarf weights`: published weights, fetched, looked at, and turned into safetensors.

mod convert;
mod fetch;
mod manifest;
mod show;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};
use scarf_weights::Weights;

use manifest::Manifest;

/// What `scarf weights` is told.
#[derive(Debug, Args)]
pub(crate) struct WeightsCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The published weights that can be fetched by name.
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
        /// Another list of weights (TOML, as `crates/scarf/assets/weights.toml`).
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
    },
    /// Downloads published weights, goes on where it was cut off, and checks their digest.
    Fetch {
        /// A name of `scarf weights list`.
        name: String,
        /// The folder for the file.
        #[arg(long, env = "SCARF_WEIGHTS", default_value = "weights")]
        dir: PathBuf,
        /// Write NAME.safetensors beside it, too, as study files ask for weights.
        #[arg(long = "as", value_name = "NAME")]
        alias: Option<String>,
        /// Another place of the same file, such as a mirror.
        #[arg(long)]
        url: Option<String>,
        /// Another list of weights.
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
    },
    /// Writes weights of any format as safetensors.
    Convert(convert::Convert),
    /// What a file of weights holds: names, shapes, types, metadata.
    Show(show::Show),
    /// Writes a trained model for other programs: model.safetensors, and config.json beside it.
    Export(convert::Export),
}

impl WeightsCommand {
    /// Does it.
    pub(crate) fn run(&self) -> Result<()> {
        match &self.command {
            Command::List { json, manifest } => {
                let manifest = Manifest::open(manifest.as_deref())?;
                print(&if *json { manifest.to_json()? } else { manifest.to_string() })
            }
            Command::Fetch { name, dir, alias, url, manifest } => {
                let manifest = Manifest::open(manifest.as_deref())?;
                let alias = alias.as_deref().map(|alias| alias_in(dir, alias)).transpose()?;
                let path = fetch::fetch(manifest.get(name)?, url.as_deref(), dir)?;
                print(&format!("{}\n", path.display()))?;
                let Some(alias) = alias else { return Ok(()) };
                let weights = Weights::open(&path)?;
                if alias.exists() {
                    ensure!(
                        Weights::open(&alias)? == weights,
                        "{} is there with other weights: give another name, or move it away",
                        alias.display()
                    );
                } else {
                    weights.save(&alias)?;
                }
                print(&format!("{}\n", alias.display()))
            }
            Command::Convert(convert) => convert.run(),
            Command::Show(show) => show.run(),
            Command::Export(export) => export.run(),
        }
    }
}

/// The file `NAME.safetensors` in `dir`.
fn alias_in(dir: &Path, name: &str) -> Result<PathBuf> {
    let is_name = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
    ensure!(is_name, "--as {name}: a name without a folder is wanted, such as mobilenet_v1_imagenet");
    Ok(dir.join(format!("{name}.safetensors")))
}

/// Writes to standard output; a reader that has gone is no error.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Rows as columns, each as wide as its widest cell; the last is not padded.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    match bytes as f64 / 1e6 {
        megabytes if megabytes < 0.1 => format!("{bytes} B"),
        megabytes => format!("{megabytes:.1} MB"),
    }
}
