//! The training loop, to be read from top to bottom.

use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use scarf_backbones::Backbone;
use scarf_core::Size;
use scarf_data::augment::Transform;
use scarf_heads::{Detector, Head, Losses, Neck, Precision};
use scarf_kernels::on_host;
use scarf_metrics::CocoReport;

use crate::batch::{Recipe, Samples, for_each_batch, generator_of_step, shuffled};
use crate::checkpoint::{self, State};
use crate::clip::clip_norm;
use crate::detect::on_disk;
use crate::evaluate::score;
use crate::{LossScale, Resident, TrainConfig, TrainError, average};

/// What a run is given besides the model.
#[derive(Clone, Copy, Debug)]
pub struct Fit<'a> {
    /// How to train.
    pub config: &'a TrainConfig,
    /// What to learn from.
    pub train: Samples<'a>,
    /// What the best epoch is chosen by. Empty, or without any object: the last epoch that was scored is the best.
    pub val: Samples<'a>,
    /// The images of both on the device, to be augmented and resized there where that can be done; without them the
    /// host makes the batches.
    pub resident: Option<&'a Resident>,
    /// Size of the images that the model is fed.
    pub size: Size,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Where checkpoints lie.
    pub checkpoints: &'a Path,
    /// A digest of all settings: a checkpoint of others is not resumed.
    pub settings: &'a str,
    /// The device, without autodiff.
    pub device: &'a Device,
}

/// One step of training.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// From 1.
    pub epoch: usize,
    /// From 1, within the epoch.
    pub step: usize,
    /// Steps an epoch.
    pub steps: usize,
    /// The sum of the losses.
    pub loss: f32,
}

/// One epoch of training.
#[derive(Clone, Debug)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// How many there will be.
    pub epochs: usize,
    /// Seconds of training since the first epoch, scoring included.
    pub seconds: f64,
    /// The learning rate of its last step.
    pub lr: f64,
    /// Mean of the losses' sum over its images.
    pub loss: f64,
    /// Mean of each loss by name.
    pub losses: Vec<(&'static str, f64)>,
    /// What the validation images say, where it was scored.
    pub val: Option<Validation>,
    /// Whether it is the best so far.
    pub best: bool,
}

/// What the validation images say of a model.
#[derive(Clone, Debug)]
pub struct Validation {
    /// COCO's numbers.
    pub report: CocoReport,
    /// Mean of the losses' sum over the images, as in training but out of it: by running statistics, and without
    /// augmentation. What a head chooses at random for it is the same every time.
    pub loss: f64,
    /// Mean of each loss by name.
    pub losses: Vec<(&'static str, f64)>,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// To the next epoch.
    Continue,
    /// No further: what there is will do.
    Stop,
}

/// Who watches a run.
pub trait Observer<M> {
    /// After each step, in their order; where they are taken on a GPU, after several at once.
    fn step(&mut self, _step: &Step) {}

    /// After each epoch, before its checkpoint. `model` has no autodiff; keep it if it is the best.
    ///
    /// # Errors
    /// Whatever the observer could not do; the run ends with it.
    fn epoch(&mut self, epoch: &Epoch, model: &M) -> Result<Flow, TrainError>;
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub struct Fitted {
    /// Epochs that were trained, those of earlier attempts included.
    pub epochs: usize,
    /// The best epoch (from 1) and its AP on the validation images.
    pub best: Option<(usize, f64)>,
    /// Seconds of training, earlier attempts included.
    pub seconds: f64,
}

/// Trains `model` (on a device with autodiff) from where its newest checkpoint stands.
///
/// A run that is killed and called again ends with the same numbers as one that was not: order,
/// augmentation and schedule are functions of seed, epoch and step.
///
/// # Errors
/// Where settings, data or files do not allow it, or the loss is not finite.
pub fn fit<B: Backbone, N: Neck, H: Head>(
    fit: Fit<'_>,
    model: Detector<B, N, H>,
    observer: &mut dyn Observer<Detector<B, N, H>>,
) -> Result<Fitted, TrainError> {
    fit.config.check().map_err(TrainError::Config)?;
    let precision = fit.config.precision;
    precision
        .check(fit.device)
        .map_err(|problem| TrainError::Config(format!("`train.precision`: {problem}")))?;
    if fit.train.indices.is_empty() && fit.config.epochs > 0 {
        return Err(TrainError::NoImages);
    }
    let optimizer = fit.config.optimizer.init();
    let newest = checkpoint::newest(fit.checkpoints)?;
    let (mut model, mut optimizer, mut state) = match &newest {
        Some(path) => checkpoint::load(path, model, optimizer, fit.settings)?,
        None => (model, optimizer, fit.first_state()),
    };
    if fit.config.epochs > 0 {
        model = fit.config.freeze.apply(model)?;
    }
    model = model.with_precision(precision);
    let mut average = fit.config.ema.map(|_| model.valid());
    if let Some(path) = &newest {
        average = average.map(|average| checkpoint::load_average(path, average)).transpose()?;
    }
    while state.epoch < fit.config.epochs {
        let begun = Instant::now();
        let (trained, means) = fit.epoch(model, &mut average, &mut optimizer, &mut state, observer)?;
        model = trained;
        state.epoch += 1;
        // A copy: what shares the average's running statistics would change with them.
        let plain = average.as_ref().unwrap_or(&model).valid();
        let val = fit.is_scored(state.epoch).then(|| fit.validate(&plain)).transpose()?;
        let ap = val.as_ref().and_then(|val| val.report.ap);
        // With nothing to choose by (no validation images, or no object on them) the newest is the best; an epoch that
        // was not scored never is.
        let best = match ap {
            Some(ap) => state.best.is_none_or(|(_, best)| ap > best),
            None => fit.val.indices.is_empty() || val.is_some(),
        };
        if let (true, Some(ap)) = (best, ap) {
            state.best = Some((state.epoch, ap));
        }
        state.seconds += begun.elapsed().as_secs_f64();
        let report = fit.report(&state, means, val, best);
        let flow = observer.epoch(&report, &plain)?;
        checkpoint::save(fit.checkpoints, &model, average.as_ref(), &optimizer, &state)?;
        if flow == Flow::Stop {
            break;
        }
    }
    Ok(Fitted { epochs: state.epoch, best: state.best, seconds: state.seconds })
}

/// The epoch that stands for validation, in the streams of the generator: no training gets so far.
const VALIDATION: usize = u32::MAX as usize;

/// Steps whose losses are read from a GPU at once: it runs dry each time that we wait for them.
const UNREAD: usize = 8;

/// A step that was taken, its losses perhaps still being computed.
struct Trained {
    step: usize,
    indices: Vec<usize>,
    losses: Losses,
}

/// Sums over the images of an epoch.
#[derive(Default)]
struct Means {
    images: usize,
    loss: f64,
    losses: Vec<(&'static str, f64)>,
    lr: f64,
}

impl<'a> Fit<'a> {
    fn recipe(&self, augment: &'a [Transform]) -> Recipe<'a> {
        let resident = self.resident.filter(|_| Resident::can(augment, self.size));
        Recipe { size: self.size, batch: self.config.batch, augment, resident }
    }

    fn first_state(&self) -> State {
        State {
            format: State::FORMAT,
            epoch: 0,
            step: 0,
            seed: self.seed,
            best: None,
            seconds: 0.0,
            classes: self.train.set.classes.clone(),
            loss_scale: (self.config.precision == Precision::Float16).then(LossScale::default),
            settings: self.settings.to_owned(),
        }
    }

    /// Images an epoch: all, but for one that would be the last batch by itself, of which batch normalisation learns
    /// nothing good. Each epoch it is another.
    fn images(&self) -> usize {
        let (all, batch) = (self.train.indices.len(), self.config.batch);
        if all > 1 && batch > 1 && all % batch == 1 { all - 1 } else { all }
    }

    fn steps(&self) -> usize {
        self.images().div_ceil(self.config.batch)
    }

    fn is_scored(&self, epoch: usize) -> bool {
        let due = epoch.is_multiple_of(self.config.validate_every) || epoch == self.config.epochs;
        due && !self.val.indices.is_empty()
    }

    fn validate<B: Backbone, N: Neck, H: Head>(
        &self,
        model: &Detector<B, N, H>,
    ) -> Result<Validation, TrainError> {
        let recipe = self.recipe(&[]);
        let (mut found, mut means, mut step) = (Vec::new(), Means::default(), 0);
        for_each_batch(self.val, recipe, self.val.indices, self.seed, 0, |mut batch| {
            let mut rng = generator_of_step(self.seed, VALIDATION, step);
            let images = batch.take_images(self.device);
            let (losses, detections) = model.examine(images, &batch.targets, &mut rng);
            means.add(batch.indices.len(), &losses, &losses.numbers());
            found.extend(on_disk(detections, batch.size, self.val, &batch.indices));
            step += 1;
            Ok::<(), TrainError>(())
        })?;
        let (loss, losses) = means.of_an_image();
        Ok(Validation { report: score(self.val, &found)?, loss, losses })
    }

    /// One pass over the training images.
    fn epoch<B: Backbone, N: Neck, H: Head>(
        &self,
        model: Detector<B, N, H>,
        average: &mut Option<Detector<B, N, H>>,
        optimizer: &mut ModuleOptimizer,
        state: &mut State,
        observer: &mut dyn Observer<Detector<B, N, H>>,
    ) -> Result<(Detector<B, N, H>, Means), TrainError> {
        let mut order = shuffled(self.train.indices, self.seed, state.epoch);
        order.truncate(self.images());
        let recipe = self.recipe(&self.config.augment);
        let (steps, all) = (self.steps(), self.steps().saturating_mul(self.config.epochs));
        let device = self.device.clone().autodiff();
        let mut means = Means::default();
        let mut model = Some(model);
        let mut step = 0;
        let mut unread: Vec<Trained> = Vec::new();
        let at_once = if on_host(&device) { 1 } else { UNREAD };
        let epoch = state.epoch + 1;
        let mut report = |unread: &mut Vec<Trained>, means: &mut Means| {
            let numbers = Losses::numbers_of(unread.iter().map(|trained| &trained.losses));
            for (Trained { step, indices, losses }, numbers) in unread.drain(..).zip(numbers) {
                let loss = means.add(indices.len(), &losses, &numbers);
                if !loss.is_finite() {
                    let names = indices.iter().map(|&i| self.train.set.samples[i].name.as_str());
                    let images = names.collect::<Vec<_>>().join(", ");
                    return Err(TrainError::NotFinite { loss, epoch, step, images });
                }
                observer.step(&Step { epoch, step, steps, loss });
            }
            Ok(())
        };
        for_each_batch(self.train, recipe, &order, self.seed, state.epoch, |mut batch| {
            let now = model.take().expect("each step puts the model back");
            let mut rng = generator_of_step(self.seed, state.epoch, step);
            let losses = now.loss(batch.take_images(&device), &batch.targets, &mut rng);
            let total = losses.total();
            step += 1;
            means.lr = self.config.optimizer.lr() * self.config.schedule.factor(state.step, all, steps);
            let total = match &state.loss_scale {
                Some(scale) => total.mul_scalar(scale.factor),
                None => total,
            };
            let mut gradients = GradientsParams::from_grads(now.backward(total), &now);
            let scale = state.loss_scale.as_mut();
            let trained = if scale.is_none_or(|scale| scale.unscale(&mut gradients, &now)) {
                if let Some(limit) = self.config.clip_norm {
                    clip_norm(&mut gradients, &now, limit);
                }
                optimizer.step(means.lr, now, gradients)
            } else {
                now
            };
            state.step += 1;
            if let (Some(decay), Some(before)) = (self.config.ema, average.take()) {
                let kept = average::decay_at(decay, state.step);
                *average = Some(average::step(before, &trained.valid(), kept));
            }
            model = Some(trained);
            unread.push(Trained { step, indices: batch.indices, losses: losses.detached() });
            if unread.len() < at_once { Ok(()) } else { report(&mut unread, &mut means) }
        })?;
        report(&mut unread, &mut means)?;
        Ok((model.expect("each step puts the model back"), means))
    }

    fn report(&self, state: &State, means: Means, val: Option<Validation>, best: bool) -> Epoch {
        let lr = means.lr;
        let (loss, losses) = means.of_an_image();
        Epoch {
            epoch: state.epoch,
            epochs: self.config.epochs,
            seconds: state.seconds,
            lr,
            loss,
            losses,
            val,
            best,
        }
    }
}

impl Means {
    /// Takes the losses of so many images in, as numbers too, and gives their sum.
    fn add(&mut self, images: usize, losses: &Losses, numbers: &[f32]) -> f32 {
        let loss = numbers.iter().sum();
        self.images += images;
        self.loss += f64::from(loss) * images as f64;
        for (at, ((name, _), number)) in losses.0.iter().zip(numbers).enumerate() {
            if self.losses.len() <= at {
                self.losses.push((name, 0.0));
            }
            self.losses[at].1 += f64::from(*number) * images as f64;
        }
        loss
    }

    /// The losses' sum, and each by name.
    fn of_an_image(self) -> (f64, Vec<(&'static str, f64)>) {
        let images = self.images.max(1) as f64;
        let each = self.losses.into_iter().map(|(name, sum)| (name, sum / images));
        (self.loss / images, each.collect())
    }
}
