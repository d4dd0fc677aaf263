use std::path::PathBuf;

/// What can go wrong between the settings and a trained model.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Settings that cannot be trained with.
    #[error("{0}")]
    Config(String),
    /// No image to learn from.
    #[error("there is no training image: the split left none")]
    NoImages,
    /// The loss is no number any more.
    #[error(
        "the loss became {loss} at step {step} of epoch {epoch}: lower the learning rate, or look at the boxes of {images}"
    )]
    NotFinite {
        /// What it became.
        loss: f32,
        /// Epoch, from 1.
        epoch: usize,
        /// Step of the epoch, from 1.
        step: usize,
        /// Names of the images of the batch.
        images: String,
    },
    /// A file that could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A checkpoint that does not fit the run.
    #[error("{}: {problem}", path.display())]
    Checkpoint {
        /// Its folder or file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A file that is no trained model.
    #[error("{}: {problem}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Labels or detections that cannot be scored.
    #[error(transparent)]
    Evaluation(#[from] scarf_metrics::EvalError),
    /// A part that cannot be frozen.
    #[error("train.freeze: {0}")]
    Freeze(#[from] scarf_backbones::FreezeError),
    /// Weights that do not fit the model.
    #[error(transparent)]
    Weights(#[from] scarf_backbones::WeightsError),
}

impl TrainError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
