//! Workloads shared by the benchmarks and the parity tests, each drawn from a seed.

mod workload;

pub use workload::{Found, Image, Scale, Truth, Workload, boxes};
