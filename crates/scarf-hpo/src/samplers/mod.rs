//! The samplers.

mod grid;
mod random;
mod sobol;
mod tpe;

pub use grid::Grid;
pub use random::Random;
pub use sobol::Sobol;
pub use tpe::Tpe;
