//! The samplers.

mod random;

pub use random::Random;
