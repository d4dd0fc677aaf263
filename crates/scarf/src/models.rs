//! `scarf models`: the published detectors that a recipe can begin from.

use anyhow::{Context, Result};
use clap::Args;
use scarf_heads::models::{self, Model};
use serde::Serialize;

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
    pub(crate) fn run(&self) -> Result<()> {
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
        let rows: Vec<Row> = models::names().filter_map(row).collect();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&rows)?);
        } else {
            table(&rows);
        }
        Ok(())
    }
}

fn row(name: &'static str) -> Option<Row> {
    let Model { title, classes, weights, counts, model, .. } = models::get(name)?;
    Some(Row {
        name,
        title,
        image: model.size,
        anchors: counts.anchors,
        classes,
        parameters: counts.parameters,
        parameters_with_six_classes: counts.with_six_classes,
        giga_multiply_adds: counts.multiply_adds as f64 / 1e9,
        weights,
    })
}

fn table(rows: &[Row]) {
    let wide = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    println!("{:<wide$}  image  anchors  classes  parameters  with 6 classes  G mult-adds  weights", "model");
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

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use scarf_heads::models::Counts;
    use scarf_heads::{Head, InitHead, Neck};
    use scarf_train::trained;

    use super::*;
    use crate::recipe;

    #[test]
    fn what_is_listed_is_what_the_networks_have() {
        let device = Device::default().autodiff();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for name in models::names() {
            let Model { classes, model, counts, .. } = models::get(name).unwrap();
            let six = model.init(6, &device, &mut rng).unwrap();
            let head = model.head.init(&six.neck.levels(), classes, &device, &mut rng).unwrap();
            let before = trained(&six.backbone) + trained(&six.neck);
            let counted = Counts {
                anchors: head.anchors(&six.maps(model.image()), model.image()).len(),
                parameters: before + trained(&head),
                with_six_classes: before + trained(&six.head),
                multiply_adds: recipe::graph(&six, &model, 6).unwrap().cost().multiply_adds,
            };
            assert_eq!(counts, counted, "{name}");
        }
    }
}
