//! `scarf models`: the published detectors that a recipe can begin from.

use anyhow::{Context, Result};
use burn::tensor::Device;
use clap::Args;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_heads::models::{self, Model};
use scarf_heads::{Head, InitHead, Neck};
use scarf_train::trained;
use serde::Serialize;

use crate::recipe;

/// Classes that every model's parameters are counted with beside its own: those of NEU-DET.
const CLASSES: usize = 6;

/// What `scarf models` is told.
#[derive(Debug, Args)]
pub(crate) struct Models {
    /// Print this model's recipe as TOML, ready for a study, and nothing else.
    name: Option<String>,
    /// One JSON array instead of a table.
    #[arg(long, conflicts_with = "name")]
    json: bool,
}

/// A row of the table.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    title: String,
    /// Pixels a side.
    image: u32,
    anchors: usize,
    /// Classes of the published weights, without background.
    classes: usize,
    /// Trained numbers with those.
    parameters: usize,
    /// And with six.
    parameters_with_six_classes: usize,
    /// Multiply-adds of an image with six classes, in 1e9.
    giga_multiply_adds: f64,
    weights: String,
}

impl Models {
    /// Prints the table, or one recipe.
    pub(crate) fn run(&self, device: &Device) -> Result<()> {
        if let Some(name) = &self.name {
            let recipe = models::recipe(name).with_context(|| {
                format!(
                    "there is no model `{name}`; the names are {}",
                    models::names().collect::<Vec<_>>().join(", ")
                )
            })?;
            print!("{recipe}");
            return Ok(());
        }
        let rows =
            models::names().map(|name| row(name, &device.clone().autodiff())).collect::<Result<Vec<_>>>()?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&rows)?);
        } else {
            table(&rows);
        }
        Ok(())
    }
}

fn row(name: &'static str, device: &Device) -> Result<Row> {
    let Model { title, classes, weights, model, .. } = models::get(name).context("a model without a file")?;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let six = model.init(CLASSES, device, &mut rng)?;
    let head = model.head.init(&six.neck.levels(), classes, device, &mut rng)?;
    let before = trained(&six.backbone) + trained(&six.neck);
    let multiply_adds = recipe::graph(&six, &model, CLASSES)?.cost().multiply_adds;
    Ok(Row {
        name,
        title,
        image: model.size,
        anchors: head.anchors(&six.maps(model.image()), model.image()).len(),
        classes,
        parameters: before + trained(&head),
        parameters_with_six_classes: before + trained(&six.head),
        giga_multiply_adds: multiply_adds as f64 / 1e9,
        weights,
    })
}

fn table(rows: &[Row]) {
    let wide = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    println!(
        "{:<wide$}  image  anchors  classes  parameters  with {CLASSES} classes  G mult-adds  weights",
        "model"
    );
    for row in rows {
        let Row { name, image, anchors, classes, .. } = row;
        println!(
            "{name:<wide$}  {image:>5}  {anchors:>7}  {classes:>7}  {:>10}  {:>14}  {:>11.2}  {}",
            grouped(row.parameters),
            grouped(row.parameters_with_six_classes),
            row.giga_multiply_adds,
            row.weights
        );
    }
}

/// With a comma between thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
