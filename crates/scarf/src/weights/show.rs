//! `scarf weights show`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use scarf_weights::Listing;
use serde_json::json;

use super::{print, table};

/// How much of a line of metadata is shown, in characters.
const LINE: usize = 100;

/// What `scarf weights show` is told.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The file: safetensors, PyTorch's .pth, MXNet's .params, TensorFlow's frozen .pb.
    file: PathBuf,
    /// JSON instead of a table, with all of the metadata.
    #[arg(long)]
    json: bool,
}

impl Show {
    /// Prints the table.
    pub(super) fn run(&self) -> Result<()> {
        let listing = Listing::open(&self.file)?;
        print(&if self.json { as_json(&listing)? } else { as_text(&listing) })
    }
}

fn count(shape: &[usize]) -> usize {
    shape.iter().fold(1, |count, side| count.saturating_mul(*side))
}

/// Numbers of all tensors; no more than there can be.
fn all(listing: &Listing) -> usize {
    listing.tensors.iter().fold(0, |sum, tensor| sum.saturating_add(count(&tensor.shape)))
}

fn as_json(listing: &Listing) -> Result<String> {
    let tensors: Vec<_> = listing
        .tensors
        .iter()
        .map(|tensor| json!({ "name": tensor.name, "shape": tensor.shape, "dtype": tensor.element.name() }))
        .collect();
    let numbers = all(listing);
    let all = json!({
        "format": listing.format.to_string(),
        "numbers": numbers,
        "metadata": listing.metadata,
        "tensors": tensors,
    });
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

fn as_text(listing: &Listing) -> String {
    let mut rows = vec![["name", "shape", "type"].map(str::to_owned)];
    rows.extend(listing.tensors.iter().map(|tensor| {
        let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
        [tensor.name.clone(), format!("[{}]", shape.join(", ")), tensor.element.name().to_owned()]
    }));
    let numbers = all(listing);
    let mut text = table(&rows);
    text += &format!("\n{}: {} tensors, {numbers} numbers\n", listing.format, listing.tensors.len());
    for (key, value) in &listing.metadata {
        let mut line: String = value.chars().take(LINE).collect();
        if line.len() < value.len() {
            line += " ...";
        }
        text += &format!("{key}: {}\n", line.replace('\n', " "));
    }
    text
}
