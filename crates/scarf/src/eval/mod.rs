//! `scarf eval`: detections and ground truth in, COCO's or Pascal VOC's numbers out.

mod answers;
mod by_name;
mod labels;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use scarf_metrics::{AreaRange, CocoParams, PixelRule, VocParams};

/// What `scarf eval` is told.
#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// What is there: COCO's JSON, or a folder of Pascal VOC files. Left out for a run of scarf, which has its own.
    #[arg(long)]
    gt: Option<PathBuf>,
    /// What was found: COCO's results JSON; for VOC also lines of `scarf predict` (.jsonl) or a folder of
    /// results in the devkit's form (NAME_CLASS.txt: image, score, x1, y1, x2, y2); or the folder of a run.
    #[arg(long)]
    dt: PathBuf,
    /// Of a run's folder: which images.
    #[arg(long, default_value = "test")]
    part: String,
    /// How it is scored.
    #[arg(long, value_enum, default_value = "coco")]
    protocol: Protocol,
    /// VOC: whether the last pixel belongs to a box, as in the devkit (its +1).
    /// [default: inclusive]
    #[arg(long, value_enum)]
    pixels: Option<Pixels>,
    /// COCO: detections kept per image and class, three numbers.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    max_dets: Vec<usize>,
    /// COCO: the ranges of object areas in square pixels, as NAME=MIN..MAX; the first is the one of AP.
    #[arg(long, value_delimiter = ',', value_parser = area)]
    area: Vec<AreaRange>,
    /// Also the numbers of each class.
    #[arg(long)]
    per_class: bool,
    /// Also an interval for AP, the best thresholds, calibration, oLRP and the kinds of error.
    #[arg(long)]
    more: bool,
    /// Other detections of the same images: whether the first are better, and how surely.
    #[arg(long, value_name = "DT")]
    than: Option<PathBuf>,
    /// How often images are drawn anew for an interval.
    #[arg(long, default_value_t = 1000)]
    resamples: usize,
    /// Threads; all that the machine has where left out.
    #[arg(long)]
    threads: Option<usize>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// COCO's twelve numbers, as pycocotools has them.
    Coco,
    /// Pascal VOC 2007: eleven points.
    Voc07,
    /// Pascal VOC 2010 to 2012: the area under the curve.
    Voc12,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pixels {
    /// A box from 10 to 19 is 10 wide.
    Inclusive,
    /// It is 9 wide.
    Continuous,
}

impl Eval {
    /// Prints the numbers.
    pub(crate) fn run(&self) -> Result<()> {
        let params = self.params()?;
        let threads = self
            .threads
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
            .max(1);
        let open = |dt| labels::open(self.gt.as_deref(), dt, &self.part, &params, threads);
        let labels = open(&self.dt)?;
        labels.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        let mut answers = match self.voc() {
            Some(voc) => answers::voc(&labels, voc, self.per_class),
            None => answers::coco(&labels, threads, self.per_class),
        };
        if self.more {
            answers.append(answers::more(&labels, self.resamples));
        }
        if let Some(other) = &self.than {
            let place = other.display();
            let other = open(other)?;
            ensure!(
                other.evaluator.has_the_ground_truth_of(&labels.evaluator),
                "--than {place}: its ground truth is not that of {}; both must be of the same images",
                self.dt.display()
            );
            answers.append(answers::comparison(&labels, &other, self.resamples)?);
        }
        if self.json {
            println!("{}", answers.into_json());
        } else {
            print!("{}", answers.text());
        }
        Ok(())
    }

    fn params(&self) -> Result<CocoParams> {
        let max_dets: [usize; 3] = self.max_dets.as_slice().try_into().ok().with_context(|| {
            format!("--max-dets needs three numbers, as 1,10,100; {} are given", self.max_dets.len())
        })?;
        ensure!(
            self.pixels.is_none() || self.protocol != Protocol::Coco,
            "--pixels is for voc07 and voc12: COCO's boxes have no last pixel"
        );
        ensure!(self.resamples > 0, "--resamples must be at least 1");
        let mut params = CocoParams { max_dets, ..CocoParams::default() };
        if !self.area.is_empty() {
            params.areas.clone_from(&self.area);
        }
        Ok(params)
    }

    fn voc(&self) -> Option<VocParams> {
        let pixels = match self.pixels {
            None | Some(Pixels::Inclusive) => PixelRule::Inclusive,
            Some(Pixels::Continuous) => PixelRule::Continuous,
        };
        match self.protocol {
            Protocol::Coco => None,
            Protocol::Voc07 => Some(VocParams { pixels, ..VocParams::voc07() }),
            Protocol::Voc12 => Some(VocParams { pixels, ..VocParams::voc12() }),
        }
    }
}

/// `small=0..1024` to a range; a bound may be left out.
fn area(text: &str) -> Result<AreaRange, String> {
    let wrong = || format!("`{text}` is no range of areas; NAME=MIN..MAX is, such as small=0..1024");
    let (name, range) = text.split_once('=').ok_or_else(wrong)?;
    let (min, max) = range.split_once("..").ok_or_else(wrong)?;
    let bound = |text: &str, open: f64| match text.trim() {
        "" => Ok(open),
        number => number.parse::<f64>().ok().filter(|n| n.is_finite()).ok_or_else(wrong),
    };
    let (min, max) = (bound(min, 0.0)?, bound(max, 1e10)?);
    if min > max {
        return Err(wrong());
    }
    Ok(AreaRange::new(name.trim(), min, max))
}
