//! `scarf benchmark`: how fast a detector trains or detects on this machine, and what it takes.

use std::fs;
use std::time::Instant;

use anyhow::{Result, bail};
use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use clap::Args;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_core::BBox;
use scarf_heads::{Detector, DetectorConfig, Targets};
use scarf_train::OptimizerConfig;
use serde::Serialize;

use crate::recipe;

/// Steps before the clock runs: the first ones make kernels and fill pools.
const WARM_UP: usize = 2;

/// What `scarf benchmark` is told.
#[derive(Debug, Args)]
pub(crate) struct Benchmark {
    /// A published detector's name (`scarf models`), a recipe (TOML or JSON with size, backbone, neck and
    /// head), or a model that scarf trained.
    model: String,
    /// Time training steps (forward, backward, SGD) in place of detection.
    #[arg(long)]
    train: bool,
    /// Images a step; 4 in training and 1 in detection where left out.
    #[arg(long)]
    batch: Option<usize>,
    /// Steps that are timed.
    #[arg(long, default_value_t = 20)]
    steps: usize,
    /// Pixels of each side, in place of the recipe's.
    #[arg(long)]
    size: Option<u32>,
    /// How many classes a recipe's detector tells apart.
    #[arg(long, default_value_t = 6)]
    classes: usize,
    /// One JSON object in place of the table.
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Measured {
    model: String,
    mode: &'static str,
    device: String,
    size: u32,
    batch: usize,
    steps: usize,
    images_per_second: f64,
    /// Milliseconds a step.
    p50: f64,
    p95: f64,
    p99: f64,
    /// Milliseconds of the processor a step, of all threads.
    cpu: Option<f64>,
    /// Of the process while it was timed, in MiB.
    peak_memory: Option<f64>,
    parameters: usize,
    /// Multiplications and additions of a step, in 1e9.
    gflop: f64,
    /// 1e9 multiplications and additions a second.
    gflops: f64,
    /// The machine's, by a product of large matrices.
    peak_gflops: f64,
}

impl Benchmark {
    /// Times, and prints.
    pub(crate) fn run(&self, device: &Device) -> Result<()> {
        let batch = self.batch.unwrap_or(if self.train { 4 } else { 1 });
        if batch == 0 || self.steps == 0 || self.classes == 0 {
            bail!("--batch, --steps and --classes count from 1");
        }
        let (mut config, classes) = recipe::find(&self.model, self.classes)?;
        config.size = self.size.unwrap_or(config.size);
        let used = if self.train { device.clone().autodiff() } else { device.clone() };
        let detector = config.init(classes, &used, &mut ChaCha8Rng::seed_from_u64(0))?;
        let parameters = detector.num_params();
        let multiply_adds = recipe::graph(&detector, &config, classes)?.cost().multiply_adds;
        let peak_gflops = peak_gflops(device);
        forget_peak_memory();
        let load = Load::new(batch, &config, classes, &used);
        let (mut walls, cpu) = if self.train {
            self.time_training(detector, &load, device)
        } else {
            self.time(device, || drop(detector.detect(load.images.clone())))
        };
        walls.sort_by(f64::total_cmp);
        let at = |part: f64| walls[((walls.len() - 1) as f64 * part).round() as usize];
        // A gradient costs two products for one of the forward pass.
        let passes = if self.train { 3.0 } else { 1.0 };
        let gflop = 2.0 * passes * multiply_adds as f64 * batch as f64 / 1e9;
        let measured = Measured {
            model: self.model.clone(),
            mode: if self.train { "train" } else { "detect" },
            device: crate::device::describe(device),
            size: config.size,
            batch,
            steps: self.steps,
            images_per_second: batch as f64 * 1e3 / at(0.5),
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            cpu: cpu.map(|cpu| cpu / self.steps as f64),
            peak_memory: peak_memory(),
            parameters,
            gflop,
            gflops: gflop / at(0.5) * 1e3,
            peak_gflops,
        };
        if self.json {
            println!("{}", serde_json::to_string(&measured)?);
        } else {
            print!("{}", measured.table());
        }
        Ok(())
    }

    fn time_training(&self, detector: Detector, load: &Load, device: &Device) -> (Vec<f64>, Option<f64>) {
        let sgd = OptimizerConfig::Sgd { lr: 1e-3, momentum: 0.9, weight_decay: 5e-4, nesterov: false };
        let (mut optimizer, mut detector) = (sgd.init(), Some(detector));
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        self.time(device, || {
            let now = detector.take().expect("each step puts the detector back");
            detector = Some(step(now, load, &mut optimizer, &mut rng));
        })
    }

    /// Milliseconds of each step, and of the processor of all.
    fn time(&self, device: &Device, mut step: impl FnMut()) -> (Vec<f64>, Option<f64>) {
        let wait = || device.sync().expect("a device that computes");
        (0..WARM_UP).for_each(|_| step());
        wait();
        let before = processor_time();
        let walls = (0..self.steps)
            .map(|_| {
                let begun = Instant::now();
                step();
                wait();
                begun.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        let spent = before.zip(processor_time()).map(|(before, after)| after - before);
        (walls, spent)
    }
}

fn step(detector: Detector, load: &Load, optimizer: &mut ModuleOptimizer, rng: &mut ChaCha8Rng) -> Detector {
    let loss = detector.loss(load.images.clone(), &load.targets, rng).total();
    let gradients = GradientsParams::from_grads(loss.backward(), &detector);
    optimizer.step(1e-3, detector, gradients)
}

/// What the detector is fed: noise, with three objects an image.
struct Load {
    images: Tensor<4>,
    targets: Vec<Targets>,
}

impl Load {
    fn new(batch: usize, config: &DetectorConfig, classes: usize, device: &Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let side = config.size as usize;
        let pixels: Vec<f32> = (0..batch * 3 * side * side).map(|_| rng.random_range(0.0..255.0)).collect();
        let images = Tensor::from_data(TensorData::new(pixels, [batch, 3, side, side]), device);
        let side = side as f32;
        let mut object = || {
            let [x, y] = [0.6, 0.6].map(|most: f32| rng.random_range(0.0..most) * side);
            let [w, h] = [0.4, 0.4].map(|most: f32| rng.random_range(0.1..most) * side);
            BBox::from_xywh(x, y, w, h)
        };
        let targets = (0..batch)
            .map(|image| Targets {
                boxes: (0..3).map(|_| object()).collect(),
                classes: (0..3).map(|index| (image + index) % classes).collect(),
            })
            .collect();
        Self { images, targets }
    }
}

/// The best of five products of two square matrices.
fn peak_gflops(device: &Device) -> f64 {
    const SIDE: usize = 1536;
    let matrix = || Tensor::<2>::random([SIDE, SIDE], Distribution::Uniform(-1.0, 1.0), device);
    let (a, b) = (matrix(), matrix());
    let once = || {
        let begun = Instant::now();
        drop(a.clone().matmul(b.clone()));
        device.sync().expect("a device that computes");
        2.0 * (SIDE as f64).powi(3) / begun.elapsed().as_secs_f64() / 1e9
    };
    (0..5).map(|_| once()).fold(0.0, f64::max)
}

/// A field of /proc/self/status in MiB, on Linux.
fn peak_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok().map(|kilobytes| kilobytes / 1024.0)
}

/// The peak counts from here, on Linux.
fn forget_peak_memory() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Milliseconds that the process has computed, in all its threads, on Linux.
fn processor_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in brackets, may hold spaces; utime and stime are the 14th and 15th fields, in ticks of 10 ms.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks * 10.0)
}

impl Measured {
    fn table(&self) -> String {
        let or_unknown = |value: Option<f64>| value.map_or("unknown".into(), |value| format!("{value:.1}"));
        let rows = [
            ("images a second", format!("{:.2}", self.images_per_second)),
            ("ms a step, p50", format!("{:.1}", self.p50)),
            ("ms a step, p95", format!("{:.1}", self.p95)),
            ("ms a step, p99", format!("{:.1}", self.p99)),
            ("ms of the processor a step", or_unknown(self.cpu)),
            ("peak memory, MiB", or_unknown(self.peak_memory)),
            ("parameters", self.parameters.to_string()),
            ("GFLOP a step", format!("{:.2}", self.gflop)),
            ("GFLOP a second", format!("{:.1}", self.gflops)),
            ("the machine's, by matrices", format!("{:.1}", self.peak_gflops)),
            ("share of it", format!("{:.0} %", 100.0 * self.gflops / self.peak_gflops)),
        ];
        let head = format!(
            "{}, {}, {} px, batch {}, {} steps, {}\n",
            self.model, self.mode, self.size, self.batch, self.steps, self.device
        );
        head + &rows.map(|(what, value)| format!("  {what:<28} {value:>12}\n")).concat()
    }
}
