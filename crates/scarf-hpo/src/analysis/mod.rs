//! What a finished search tells.

mod correlation;
mod forest;
mod importance;

pub use correlation::{Correlation, Plateau, correlations, plateau};
pub use importance::{Importance, importance};
