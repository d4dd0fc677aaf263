//! `scarf`: trains, tunes, compares and serves detectors of surface defects.

mod anchors;
mod benchmark;
mod data;
mod device;
mod draw;
mod eval;
mod export;
mod faults;
mod folder;
mod model;
mod models;
mod predict;
mod recipe;
mod result;
mod run;
mod settings;
mod study;
mod tune;
mod watch;
mod weights;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::device::DeviceName;
use crate::settings::Settings;

/// Trains, tunes, compares and serves detectors of surface defects.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    /// Where to compute: auto, cpu, wgpu, vulkan or cuda; wgpu:1 is the second of its kind.
    #[arg(long, global = true, default_value = "auto", env = "SCARF_DEVICE")]
    device: DeviceName,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a study, or goes on with it: a process each run, then a table, records and a page.
    Study(study::Study),
    /// Draws the page and prints the table of a study again, from its records.
    Report(study::Report),
    /// One run of a study: train and score by a settings file, into a folder; resumes what was killed.
    Run {
        /// The settings, resolved (JSON).
        #[arg(long)]
        settings: PathBuf,
        /// The folder of the run.
        #[arg(long)]
        out: PathBuf,
    },
    /// Says what is wrong with a settings file, without running it.
    Check {
        /// The settings, resolved (JSON).
        #[arg(long)]
        settings: PathBuf,
        /// Read all labels, too, and print what tells these data from others (JSON).
        #[arg(long)]
        data: bool,
    },
    /// Finds defects on pictures: a JSON line each, and pictures with boxes if asked for.
    Predict(predict::Predict),
    /// How well a recipe's anchors meet the objects of its data, class by class; fits better ones.
    Anchors(anchors::Anchors),
    /// Scores detections against ground truth, as pycocotools and the VOC devkit do, and says where AP is lost.
    Eval(eval::Eval),
    /// Writes a model as an ONNX file, which other programs run.
    Export(export::Export),
    /// What a model costs, layer by layer: parameters, activations, multiply-adds.
    Cost(export::CostOf),
    /// How fast a detector trains or detects here: images a second, latencies, memory, share of the machine's peak.
    Benchmark(benchmark::Benchmark),
    /// Published detectors by name, with their sizes; or one's recipe, as a study file has it.
    Models(models::Models),
    /// Searches hyperparameters: of a study's runs, or of any program that prints its metric.
    Tune(Box<tune::Tune>),
    /// Looks at a data set: counts, sizes, what is odd.
    Data(data::DataCommand),
    /// Published weights: list, fetch and check them, look into files, write safetensors.
    Weights(weights::WeightsCommand),
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    scarf_kernels::keep_freed_memory();
    scarf_kernels::on_workers(|| match cli.command {
        Command::Study(study) => study.run(cli.device),
        Command::Report(report) => report.run(),
        Command::Run { settings, out } => run::run(&Settings::open(&settings)?, &out, &cli.device.open()?),
        Command::Check { settings, data } => {
            run::check(&Settings::open(&settings)?, data, &cli.device.open()?)
        }
        Command::Predict(predict) => predict.run(&cli.device.open()?),
        Command::Anchors(anchors) => anchors.run(&cli.device.open()?),
        Command::Eval(eval) => eval.run(),
        Command::Export(export) => export.run(&cli.device.open()?),
        Command::Cost(cost) => cost.run(&cli.device.open()?),
        Command::Benchmark(benchmark) => benchmark.run(&cli.device.open()?),
        Command::Models(models) => models.run(),
        Command::Data(data) => data.run(),
        Command::Weights(weights) => weights.run(),
        Command::Tune(tune) => tune.run(cli.device),
    })
}
