//! Where a run stands, on disk: a folder an epoch, whole or not there at all.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use scarf_core::Classes;
use serde::{Deserialize, Serialize};

use crate::{LossScale, TrainError};

/// How the name of a checkpoint begins that is not whole.
const PART: &str = ".part-";
const STATE: &str = "state.json";
const MODEL: &str = "model.bpk";
const AVERAGE: &str = "average.bpk";
const OPTIMIZER: &str = "optimizer.bpk";

/// What a run knows besides tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of this form.
    pub format: u32,
    /// Epochs that are done.
    pub epoch: usize,
    /// Steps that are done: the schedule's place.
    pub step: usize,
    /// The generator of order and augmentation: ChaCha8 keyed by this seed, one stream an epoch and image.
    pub seed: u64,
    /// The best epoch so far and its score on the validation images.
    pub best: Option<(usize, f64)>,
    /// Seconds of training so far.
    pub seconds: f64,
    /// The names of the classes, in the order of the model's outputs.
    pub classes: Classes,
    /// What the next step's loss is multiplied by, where it is trained in `float16`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
    /// A digest of the settings, which a run that resumes must share.
    pub settings: String,
}

impl State {
    /// The version that this program writes.
    pub const FORMAT: u32 = 1;
}

/// Writes `dir/epoch-NNNN` whole, then removes the older ones. `average` is the model's moving average, where there is
/// one.
///
/// # Errors
/// Where a file cannot be written; the older checkpoint is still there then.
pub fn save<M: Module>(
    dir: &Path,
    model: &M,
    average: Option<&M>,
    optimizer: &ModuleOptimizer,
    state: &State,
) -> Result<(), TrainError> {
    fs::create_dir_all(dir).map_err(TrainError::io(dir))?;
    let whole = dir.join(format!("epoch-{:04}", state.epoch));
    remove_parts(dir)?;
    let mut builder = tempfile::Builder::new();
    // Temporary folders are for their owner's eyes alone, which is wrong for what this becomes.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755));
    let part = builder.prefix(PART).tempdir_in(dir).map_err(TrainError::io(dir))?;
    let failed = |file: &str| {
        let path = part.path().join(file);
        move |error: burn::store::RecordError| TrainError::Checkpoint { path, problem: error.to_string() }
    };
    model.clone().save_file(part.path().join(MODEL)).map_err(failed(MODEL))?;
    if let Some(average) = average {
        average.clone().save_file(part.path().join(AVERAGE)).map_err(failed(AVERAGE))?;
    }
    optimizer.save(part.path().join(OPTIMIZER)).map_err(failed(OPTIMIZER))?;
    let text = serde_json::to_string_pretty(state).map_err(|error| TrainError::Checkpoint {
        path: part.path().join(STATE),
        problem: error.to_string(),
    })?;
    fs::write(part.path().join(STATE), text).map_err(TrainError::io(part.path().join(STATE)))?;
    let files = [Some(MODEL), average.map(|_| AVERAGE), Some(OPTIMIZER), Some(STATE)];
    for file in files.into_iter().flatten() {
        let path = part.path().join(file);
        fs::File::open(&path).and_then(|file| file.sync_all()).map_err(TrainError::io(path))?;
    }
    if whole.exists() {
        fs::remove_dir_all(&whole).map_err(TrainError::io(&whole))?;
    }
    fs::rename(part.keep(), &whole).map_err(TrainError::io(&whole))?;
    for (epoch, path) in epochs(dir)? {
        if epoch < state.epoch {
            fs::remove_dir_all(&path).map_err(TrainError::io(&path))?;
        }
    }
    Ok(())
}

/// The moving average of the checkpoint at `path`, into a module of its recipe.
///
/// # Errors
/// Where it cannot be read.
pub fn load_average<M: Module>(path: &Path, average: M) -> Result<M, TrainError> {
    let file = path.join(AVERAGE);
    let problem = |error: burn::store::RecordError| TrainError::Checkpoint {
        path: file.clone(),
        problem: error.to_string(),
    };
    average.try_load_file(&file).map_err(problem)
}

/// The newest whole checkpoint of `dir`, if there is one.
///
/// # Errors
/// Where the folder cannot be read.
pub fn newest(dir: &Path) -> Result<Option<PathBuf>, TrainError> {
    Ok(epochs(dir)?.pop().map(|(_, path)| path))
}

/// Model, optimizer and state of the checkpoint at `path`.
///
/// # Errors
/// Where it cannot be read, or is of other settings (`settings` is their digest).
pub fn load<M: Module>(
    path: &Path,
    model: M,
    optimizer: ModuleOptimizer,
    settings: &str,
) -> Result<(M, ModuleOptimizer, State), TrainError> {
    let problem = |problem: String| TrainError::Checkpoint { path: path.to_owned(), problem };
    let text = fs::read_to_string(path.join(STATE)).map_err(TrainError::io(path.join(STATE)))?;
    let state: State = serde_json::from_str(&text).map_err(|error| problem(format!("{STATE}: {error}")))?;
    if state.format != State::FORMAT {
        return Err(problem(format!(
            "is of format {}, this program reads {}; remove it to begin anew",
            state.format,
            State::FORMAT
        )));
    }
    if state.settings != settings {
        return Err(problem("was made with other settings or images; remove it to begin anew".into()));
    }
    let unread = |file: &str, error: burn::store::RecordError| {
        problem(format!("{file}: {error}; remove the folder to begin anew"))
    };
    let model = model.try_load_file(path.join(MODEL)).map_err(|error| unread(MODEL, error))?;
    let optimizer = optimizer.load(path.join(OPTIMIZER)).map_err(|error| unread(OPTIMIZER, error))?;
    Ok((model, optimizer, state))
}

/// Removes what was left by a program that was killed while it wrote.
fn remove_parts(dir: &Path) -> Result<(), TrainError> {
    for entry in fs::read_dir(dir).map_err(TrainError::io(dir))? {
        let entry = entry.map_err(TrainError::io(dir))?;
        if entry.file_name().to_string_lossy().starts_with(PART) {
            fs::remove_dir_all(entry.path()).map_err(TrainError::io(entry.path()))?;
        }
    }
    Ok(())
}

/// Whole checkpoints, oldest first. A folder gets its name only when it is whole.
fn epochs(dir: &Path) -> Result<Vec<(usize, PathBuf)>, TrainError> {
    let mut found = Vec::new();
    if !dir.exists() {
        return Ok(found);
    }
    for entry in fs::read_dir(dir).map_err(TrainError::io(dir))? {
        let entry = entry.map_err(TrainError::io(dir))?;
        let name = entry.file_name();
        let epoch = name.to_str().and_then(|name| name.strip_prefix("epoch-")).and_then(|n| n.parse().ok());
        if let Some(epoch) = epoch {
            found.push((epoch, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}
