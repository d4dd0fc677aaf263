//! `scarf anchors`: how well a recipe's anchors meet the objects of its data.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use burn::tensor::Device;
use clap::Args;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_core::BBox;
use scarf_heads::{AnchorConfig, Coverage, Head, anchors, coverage, fit_anchors};
use scarf_train::targets_of;

use crate::settings::Settings;

/// What `scarf anchors` is told.
#[derive(Debug, Args)]
pub(crate) struct Anchors {
    /// The settings of a run (JSON), as they lie in its folder: its data and its detector are looked at.
    #[arg(long)]
    settings: PathBuf,
    /// Fit so many shapes a level to the objects to train on, and print them for the recipe.
    #[arg(long, value_name = "SHAPES")]
    fit: Option<usize>,
}

impl Anchors {
    /// Prints the table, and the fitted shapes.
    pub(crate) fn run(&self, device: &Device) -> Result<()> {
        let settings = Settings::open(&self.settings)?;
        let folder = tempfile::tempdir()?;
        let opened =
            settings.data.open(settings.seed, settings.data_dir.as_deref(), &folder.path().join("run"))?;
        let classes = opened.set.classes.names();
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        let config = &settings.recipe.model;
        let detector = config.init(classes.len(), device, &mut rng)?;
        let (image, maps) = (config.image(), detector.maps(config.image()));

        let train: Vec<(usize, BBox<f32>)> = opened
            .split
            .train
            .iter()
            .map(|&index| &opened.set.samples[index])
            .map(|sample| targets_of(&sample.annotations, sample.size, image))
            .flat_map(|targets| targets.classes.into_iter().zip(targets.boxes))
            .collect();
        ensure!(!train.is_empty(), "there is no object among the images to train on");
        println!("{} levels of {}\n", maps.len(), cells(&maps));
        println!("the recipe's anchors, on the images to train on");
        table(classes, &detector.head.anchors(&maps, image), &train);
        if let Some(each) = self.fit {
            ensure!(each > 0, "--fit needs one shape a level at least");
            let sizes: Vec<[f32; 2]> = train
                .iter()
                .map(|(_, b)| [b.width() / image.width as f32, b.height() / image.height as f32])
                .collect();
            let fitted = fit_anchors(&sizes, maps.len(), each, &mut rng);
            println!("\n{each} fitted shapes a level");
            table(classes, &anchors(&fitted, &maps, image)?, &train);
            let AnchorConfig::Shapes(shapes) = &fitted else { unreachable!("fitted anchors are shapes") };
            println!("\nanchors.shapes = [");
            for level in shapes {
                let level: Vec<String> = level.iter().map(|[w, h]| format!("[{w:.4}, {h:.4}]")).collect();
                println!("  [{}],", level.join(", "));
            }
            println!("]");
        }
        Ok(())
    }
}

fn cells(maps: &[[usize; 2]]) -> String {
    maps.iter().map(|[rows, columns]| format!("{rows} x {columns}")).collect::<Vec<_>>().join(", ")
}

fn table(classes: &[String], anchors: &[BBox<f32>], objects: &[(usize, BBox<f32>)]) {
    let wide = classes.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(11);
    println!("{:<wide$}  objects  best IoU   >= .5   >= .7  anchors an object", "class");
    let all = coverage(anchors, objects, classes.len());
    let names = classes.iter().map(String::as_str).chain(["all"]);
    for (name, Coverage { objects, mean_iou, half, most, positives }) in names.zip(all) {
        println!(
            "{name:<wide$}  {objects:>7}     {mean_iou:.3}  {:>4.1} %  {:>4.1} %  {positives:>17.1}",
            100.0 * half,
            100.0 * most
        );
    }
    println!("{} anchors", anchors.len());
}
