//! `scarf benchmark`: how fast a detector trains or detects on this machine, and what it takes.

mod flame;
mod load;
mod machine;

use std::time::Instant;

use anyhow::{Result, bail};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use clap::Args;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_heads::{Detector, Head, Precision};
use scarf_train::OptimizerConfig;
use serde::Serialize;

use self::flame::{Clock, Flame};
use self::load::{Load, loader};
use self::machine::{forget_peak_memory, peak_gflops, processor_time};
use crate::device::in_precision;
use crate::recipe;
use crate::result::peak_memory;

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
    /// Compute features in float32, bfloat16 or float16.
    #[arg(long, default_value_t)]
    precision: Precision,
    /// How many classes a recipe's detector tells apart.
    #[arg(long, default_value_t = 6)]
    classes: usize,
    /// Then show where the time of a step goes, by phase and, on the CPU, by operation.
    #[arg(long)]
    flame: bool,
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
    precision: Precision,
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
    /// Images a second that a loader by itself makes ready, in training.
    #[serde(skip_serializing_if = "Option::is_none")]
    loader: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flame: Option<Flame>,
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
        let detector = in_precision(detector, self.precision, device)?;
        let parameters = scarf_train::trained(&detector);
        let multiply_adds = recipe::graph(&detector, &config, classes)?.cost().multiply_adds;
        let peak_gflops = peak_gflops(device, self.precision);
        forget_peak_memory();
        let load = Load::new(batch, &config, classes, &used);
        let mut work = self.work(detector, &load);
        let (mut walls, cpu) = self.time(device, &mut work);
        let peak_memory = peak_memory().map(|bytes| bytes as f64 / f64::from(1 << 20));
        let flame = self.flame.then(|| self.watch(device, &mut work));
        walls.sort_by(f64::total_cmp);
        let at = |part: f64| walls[((walls.len() - 1) as f64 * part).round() as usize];
        // A gradient costs two products for one of the forward pass.
        let passes = if self.train { 3.0 } else { 1.0 };
        let gflop = 2.0 * passes * multiply_adds as f64 * batch as f64 / 1e9;
        let measured = Measured {
            model: self.model.clone(),
            mode: if self.train { "train" } else { "detect" },
            device: crate::device::describe(device),
            precision: self.precision,
            size: config.size,
            batch,
            steps: self.steps,
            images_per_second: batch as f64 * 1e3 / at(0.5),
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            cpu: cpu.map(|cpu| cpu / self.steps as f64),
            peak_memory,
            parameters,
            gflop,
            gflops: gflop / at(0.5) * 1e3,
            peak_gflops,
            loader: self.train.then(|| loader(config.size, batch)),
            flame,
        };
        if self.json {
            println!("{}", serde_json::to_string(&measured)?);
        } else {
            print!("{}", measured.table());
        }
        Ok(())
    }

    /// A step, which tells the clock its phases.
    fn work<'a>(&self, detector: Detector, load: &'a Load) -> Box<dyn FnMut(&mut Clock) + 'a> {
        if !self.train {
            return Box::new(move |clock| {
                if !clock.runs() {
                    detector.detect(load.images.clone());
                    return;
                }
                // Phases are those of a batch at once.
                let features = detector.features(load.images.clone());
                clock.mark("features");
                drop(detector.head.detect(features, load.size()));
                clock.mark("head");
            });
        }
        let sgd = OptimizerConfig::Sgd { lr: 1e-3, momentum: 0.9, weight_decay: 5e-4, nesterov: false };
        let (mut optimizer, mut detector) = (sgd.init(), Some(detector));
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        Box::new(move |clock| {
            let now = detector.take().expect("each step puts the detector back");
            detector = Some(step(now, load, &mut optimizer, &mut rng, clock));
        })
    }

    /// Where the time of as many steps again goes.
    fn watch(&self, device: &Device, work: &mut dyn FnMut(&mut Clock)) -> Flame {
        scarf_kernels::meter(true);
        let mut clock = Clock::start(Some(device));
        for _ in 0..self.steps {
            clock.skip();
            work(&mut clock);
        }
        let operations = scarf_kernels::metered();
        scarf_kernels::meter(false);
        Flame::new(&clock, operations, self.steps)
    }

    /// Milliseconds of each step, and of the processor of all.
    fn time(&self, device: &Device, work: &mut dyn FnMut(&mut Clock)) -> (Vec<f64>, Option<f64>) {
        let wait = || device.sync().expect("a device that computes");
        let mut clock = Clock::start(None);
        (0..WARM_UP).for_each(|_| work(&mut clock));
        wait();
        let before = processor_time();
        let walls = (0..self.steps)
            .map(|_| {
                let begun = Instant::now();
                work(&mut clock);
                wait();
                begun.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        let spent = before.zip(processor_time()).map(|(before, after)| after - before);
        (walls, spent)
    }
}

fn step(
    detector: Detector,
    load: &Load,
    optimizer: &mut ModuleOptimizer,
    rng: &mut ChaCha8Rng,
    clock: &mut Clock,
) -> Detector {
    let loss = detector.loss(load.images.clone(), &load.targets, rng).total();
    clock.mark("loss");
    let gradients = GradientsParams::from_grads(detector.backward(loss), &detector);
    clock.mark("gradients");
    // The weights stay as they are, so that each step has the same to do.
    let detector = optimizer.step(0.0, detector, gradients);
    clock.mark("optimizer");
    detector
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
            "{}, {}, {}, {} px, batch {}, {} steps, {}\n",
            self.model, self.mode, self.precision, self.size, self.batch, self.steps, self.device
        );
        let loader = self.loader.map(|loader| ("loader alone, images a second", format!("{loader:.0}")));
        let rows = rows.into_iter().chain(loader);
        let rows: String = rows.map(|(what, value)| format!("  {what:<30} {value:>12}\n")).collect();
        head + &rows + &self.flame.as_ref().map(Flame::table).unwrap_or_default()
    }
}
