//! `scarf export` and `scarf cost`: a model as an ONNX file, and what its layers cost.

use std::path::PathBuf;

use anyhow::{Context, Result};
use burn::tensor::Device;
use clap::Args;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_core::Classes;
use scarf_heads::{Detector, DetectorConfig};
use scarf_onnx::{Cost, ExportOptions, Graph};
use scarf_study::write_atomic;
use scarf_train::DetectConfig;

use crate::{model, recipe};

/// What `scarf export` is told.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// A model that scarf trained (the best.safetensors of a run), or published weights with --recipe.
    model: PathBuf,
    /// The ONNX file to write.
    out: PathBuf,
    /// Suppress in the graph: detections come out, not the scores and boxes of every anchor.
    #[arg(long)]
    nms: bool,
    /// Keep kernels in half precision: half the file, computed in single precision.
    #[arg(long)]
    half: bool,
    /// The detector that published weights are of: its name (`scarf models`), or a recipe (TOML or JSON with size,
    /// backbone, neck and head).
    #[arg(long, requires = "classes", value_name = "NAME")]
    recipe: Option<String>,
    /// The names of the classes of published weights, one a line, background left out.
    #[arg(long, requires = "recipe", value_name = "FILE")]
    classes: Option<PathBuf>,
}

impl Export {
    /// Writes the file, and says what is in it.
    pub(crate) fn run(&self, device: &Device) -> Result<()> {
        let (detector, config, classes) = self.open(device)?;
        let options = ExportOptions { nms: self.nms, half: self.half };
        let graph = scarf_onnx::export(&detector, &config, &classes, &options)
            .with_context(|| self.model.display().to_string())?;
        let bytes = graph.to_bytes();
        write_atomic(&self.out, &bytes)?;
        let megabytes = bytes.len() as f64 / 1e6;
        println!("{}: {megabytes:.1} MB, {}", self.out.display(), describe(&graph.cost()));
        let side = config.size;
        println!("in   images [batch, 3, {side}, {side}], RGB 0..=255");
        for line in graph.outputs() {
            println!("out  {line}");
        }
        Ok(())
    }

    fn open(&self, device: &Device) -> Result<(Detector, DetectorConfig, Classes)> {
        let (Some(recipe), Some(names)) = (&self.recipe, &self.classes) else {
            let hint = "only a model that scarf trained needs no --recipe and --classes";
            let (detector, card) = model::open(&self.model, device).context(hint)?;
            if card.detect != DetectConfig::default() {
                eprintln!(
                    "note: the file looks at an image once; scarf itself looks at it as the run did (`detect`)"
                );
            }
            return Ok((detector, card.model, card.classes));
        };
        let classes = scarf_data::yolo::classes(names)?;
        let (config, _) = recipe::find(recipe, classes.len())?;
        let detector = model::open_published(&self.model, &config, &classes, device)?;
        Ok((detector, config, classes))
    }
}

/// What `scarf cost` is told.
#[derive(Debug, Args)]
pub(crate) struct CostOf {
    /// A published detector's name (`scarf models`), a recipe (TOML or JSON with size, backbone, neck and
    /// head), or a model that scarf trained.
    model: String,
    /// How many classes a recipe's detector tells apart.
    #[arg(long, value_name = "NUMBER", default_value_t = 6)]
    classes: usize,
}

impl CostOf {
    /// Prints a line a layer, and the sum.
    pub(crate) fn run(&self, device: &Device) -> Result<()> {
        let (config, classes) = recipe::find(&self.model, self.classes)?;
        let detector = config.init(classes, device, &mut ChaCha8Rng::seed_from_u64(0))?;
        print!("{}", table(&recipe::graph(&detector, &config, classes)?));
        Ok(())
    }
}

fn describe(cost: &Cost) -> String {
    let [parameters, adds] = [cost.parameters, cost.multiply_adds].map(|count| count as f64);
    format!("{:.2} M parameters, {:.3} G multiply-adds an image", parameters / 1e6, adds / 1e9)
}

fn table(graph: &Graph) -> String {
    let shape = |shape: &[usize]| shape[1..].iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    let name = graph.layers().iter().map(|layer| layer.name.len()).max().unwrap_or(0);
    let kind = graph.layers().iter().map(|layer| layer.kind.len()).max().unwrap_or(0);
    let row = |what: &str, how: &str, shape: &str, cost: &Cost| {
        let million = cost.multiply_adds as f64 / 1e6;
        let Cost { parameters, activations, .. } = cost;
        format!(
            "{what:name$}  {how:kind$}  {shape:>16}  {parameters:>10}  {activations:>11}  {million:>10.3}\n"
        )
    };
    let head = format!(
        "{:name$}  {:kind$}  {:>16}  {:>10}  {:>11}  {:>10}\n",
        "layer", "kind", "output", "parameters", "activations", "M mult-adds"
    );
    let rows =
        graph.layers().iter().map(|layer| row(&layer.name, &layer.kind, &shape(&layer.output), &layer.cost));
    let sum = graph.cost();
    head + &rows.collect::<String>() + &row("all", "", "", &sum) + &describe(&sum) + "\n"
}
