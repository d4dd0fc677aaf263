//! Trainings from their first step to a predictor. One program: each would compile the networks anew.

mod best;
#[path = "../common/mod.rs"]
mod common;
mod diverges;
mod predictor;
