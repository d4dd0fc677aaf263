//! Half precision: what flows through a network may have it, its parameters stay `f32`.

use burn::tensor::{DType, Tensor};

/// `parameter` in `x`'s precision. Its gradient comes back in its own.
pub fn like<const D: usize, const E: usize>(parameter: Tensor<D>, x: &Tensor<E>) -> Tensor<D> {
    parameter.cast(x.dtype())
}

/// Runs `work`, in which products on the CPU multiply numbers rounded to `bfloat16`, if `rounded`: dense convolutions, fully
/// connected layers, and their gradients where `work` asks for those. Sums, and all that flows through a network, stay `f32`,
/// as with PyTorch's `set_float32_matmul_precision("medium")`.
///
/// A processor with AMX then multiplies several times as many numbers in a second, one with AVX-512 BF16 up to twice as many;
/// others round all the same, and give the same but for the order of sums.
///
/// It holds for the operations of `f32` that this thread asks for, and for no other thread, nor other device.
pub fn with_rounded_factors<R>(rounded: bool, work: impl FnOnce() -> R) -> R {
    #[cfg(feature = "flex")]
    return crate::cpu::rounded::with_rounded_factors(rounded, work);
    #[cfg(not(feature = "flex"))]
    {
        let _ = rounded;
        work()
    }
}

/// `x` in `f32` where it is of half precision, `f16` or `bf16`.
pub fn single<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if is_half(x.dtype()) { x.cast(DType::F32) } else { x }
}

/// Whether numbers are of half precision.
pub(crate) fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}
