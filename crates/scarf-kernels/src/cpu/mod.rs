//! Kernels on slices of `f32`, in rows of pixels (NCHW): what runs on the CPU, apart from burn.

pub(crate) mod alone;
#[cfg(target_arch = "x86_64")]
mod amx;
pub(crate) mod columns;
pub(crate) mod crew;
pub(crate) mod dense;
pub(crate) mod depthwise;
pub(crate) mod depthwise_gradients;
mod direct;
pub(crate) mod finish;
pub(crate) mod gemm;
pub(crate) mod left;
pub(crate) mod linear;
pub(crate) mod norm;
pub(crate) mod pair;
pub(crate) mod pool;
pub(crate) mod roi;
pub(crate) mod rounded;
pub(crate) mod scatter;
mod scoped;
pub(crate) mod scratch;
pub(crate) mod shape;
pub(crate) mod simd;
mod stem;
pub(crate) mod sum;
#[cfg(test)]
mod tests;
pub(crate) mod vector;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;
