//! `scarf run`: one run of a study, from settings to records.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use burn::tensor::Device;
use scarf_train::{Fit, Resident, Samples, detect, fit, score};
use serde_json::{Map, Value, json};

use crate::data::Opened;
use crate::settings::{Part, Settings};
use crate::watch::Watch;
use crate::{device, model, result};

/// Bytes of a GPU's memory that a run's decoded images may take: with more of them, batches are made on the host.
const RESIDENT: usize = 2 << 30;

/// Checks settings without running them: recipe and weights are opened; of the `data` the labels, too, whose fingerprint
/// is printed.
pub(crate) fn check(settings: &Settings, data: bool, device: &Device) -> Result<()> {
    let classes = settings.data.classes(settings.data_dir.as_deref())?;
    // The model of another run is there only when that run has ended.
    let begun = Settings {
        init: settings.init.clone().filter(|init| matches!(init, crate::settings::Init::Weights(_))),
        ..settings.clone()
    };
    let (detector, _) = model::begin(&begun, &classes, device)?;
    settings.check_device(device)?;
    settings.check_looks(&detector)?;
    if settings.recipe.train.epochs > 0 {
        settings.recipe.train.freeze.apply(detector)?;
    }
    if data {
        let fingerprint = settings.data.look(settings.seed, settings.data_dir.as_deref())?;
        println!("{}", json!({"fingerprint": fingerprint}));
    }
    Ok(())
}

/// Trains, scores, and leaves the records in `out`.
pub(crate) fn run(settings: &Settings, out: &Path, device: &Device) -> Result<()> {
    let begun = Instant::now();
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let opened = settings.data.open(settings.seed, settings.data_dir.as_deref(), out)?;
    for skipped in &opened.skipped {
        eprintln!("  left out {}: {}", skipped.path.display(), skipped.reason);
    }
    let (detector, origin) = model::begin(settings, &opened.set.classes, device)?;
    let parameters = scarf_train::trained(&detector);
    if opened.unlisted > 0 {
        eprintln!("  {} images are in no list, and in no part", opened.unlisted);
    }
    let [train, val, test] = opened.parts();
    eprintln!(
        "  {} training, {} validation, {} test images; {parameters} parameters, {origin}",
        train.indices.len(),
        val.indices.len(),
        test.indices.len(),
    );
    let resident = device::is_gpu(device).then(|| Resident::new(&opened.images, RESIDENT, device)).flatten();
    if let Some(resident) = &resident {
        eprintln!("  images lie on the device: {} MiB", resident.bytes().div_ceil(1 << 20));
    }
    let config = &settings.recipe.model;
    let digest = settings.digest(&opened.fingerprint);
    let checkpoints = out.join("checkpoint");
    warn_of_warmup(settings, train.indices.len());
    if scarf_train::checkpoint::newest(&checkpoints)?.is_none() {
        // What an attempt with other settings may have left is not this one's.
        match fs::remove_file(out.join(model::BEST)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| out.join(model::BEST).display().to_string());
            }
            _ => {}
        }
    }
    let job = Fit {
        config: &settings.recipe.train,
        train,
        val,
        resident: resident.as_ref(),
        size: config.image(),
        seed: settings.seed,
        checkpoints: &checkpoints,
        settings: &digest,
        device,
    };
    let mut watch = Watch::new(out, &settings.recipe, &opened.set.classes);
    let fitted = fit(job, detector, &mut watch)?;
    if settings.recipe.train.epochs == 0 {
        model::take_over(settings, &opened.set.classes, &out.join(model::BEST), device)?;
    }

    let scoring = Instant::now();
    let (best, card) = model::open(&out.join(model::BEST), device)?;
    let mut record = Map::new();
    for part in &settings.score {
        let (name, samples) = match part {
            Part::Val => ("val", val),
            Part::Test => ("test", test),
        };
        let (scores, speed) = score_part(name, samples, &best, settings, out, device)?;
        record.insert(name.into(), scores);
        if matches!(part, Part::Test) {
            record.insert("inference".into(), speed);
        }
    }
    record.insert("status".into(), json!("ok"));
    record.insert("device".into(), json!(device::describe(device)));
    record.insert("version".into(), json!(concat!("scarf ", env!("CARGO_PKG_VERSION"))));
    record.insert("epochs".into(), json!(fitted.epochs));
    record.insert("best_epoch".into(), json!(card.epoch));
    record.insert("images".into(), json!(train.indices.len()));
    record.insert("parameters".into(), json!(parameters));
    record.insert("fingerprint".into(), json!(opened.fingerprint));
    let scored = scoring.elapsed().as_secs_f64();
    record.insert(
        "seconds".into(),
        json!({"train": fitted.seconds, "score": scored, "total": fitted.seconds + scored,
               "wall": begun.elapsed().as_secs_f64()}),
    );
    result::write_json(&out.join("result.json"), &Value::Object(record))
}

/// Says so where the learning rate is still rising when the training ends.
fn warn_of_warmup(settings: &Settings, images: usize) {
    let train = &settings.recipe.train;
    let (warmup, steps) =
        (train.schedule.warmup(), images.div_ceil(train.batch).saturating_mul(train.epochs));
    if warmup > 0 && warmup >= steps && steps > 0 {
        eprintln!(
            "  the learning rate rises over {warmup} steps, and there are only {steps}: a smaller \
             recipe.train.schedule.*.warmup suits so few images"
        );
    }
}

/// What the model reaches on a part, and how fast it went through it.
fn score_part(
    name: &str,
    samples: Samples<'_>,
    model: &scarf_heads::Detector,
    settings: &Settings,
    out: &Path,
    device: &Device,
) -> Result<(Value, Value)> {
    let (size, batch) = (settings.recipe.model.image(), settings.recipe.train.batch);
    let begun = Instant::now();
    let found = detect(model, samples, size, batch, &settings.recipe.detect, device);
    let speed = result::speed(samples.indices.len(), batch, begun.elapsed().as_secs_f64());
    let found = if name == "test" { settings.data.faults.misread(found) } else { found };
    let report = score(samples, &found)?;
    // Pages show test images alone.
    if name == "test" {
        let pictures = result::pictures(samples, &found)?;
        result::write_json(&out.join("predictions").join("test.json"), &pictures)?;
    }
    crate::data::write_detections(
        &out.join("predictions").join(format!("{name}.coco.json")),
        samples,
        &found,
    )?;
    Ok((result::scores(&report, &samples.set.classes), speed))
}

impl Opened {
    /// Training, validation and test images.
    fn parts(&self) -> [Samples<'_>; 3] {
        let learnt = self.mislabeled.as_ref().unwrap_or(&self.set);
        [(learnt, &self.split.train), (learnt, &self.split.val), (&self.set, &self.split.test)]
            .map(|(set, indices)| Samples { images: &self.images, set, indices })
    }
}
