//! The pruners. A step counts the resource spent, epochs as a rule, from 1.

mod halving;
mod median;
mod patience;

pub use halving::{Asha, Hyperband};
pub use median::MedianRule;
pub use patience::Patience;
