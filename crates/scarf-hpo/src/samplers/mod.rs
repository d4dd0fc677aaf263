//! The samplers.

mod cma_es;
mod gp;
mod grid;
mod random;
mod sobol;
mod tpe;

pub use cma_es::CmaEs;
pub use gp::Gp;
pub use grid::Grid;
pub use random::Random;
pub use sobol::Sobol;
pub use tpe::Tpe;
