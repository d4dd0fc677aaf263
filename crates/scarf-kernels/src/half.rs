//! Half precision: what flows through a network may have it, its parameters stay `f32`.

use burn::tensor::{DType, Tensor};

/// `parameter` in `x`'s precision. Its gradient comes back in its own.
pub fn like<const D: usize, const E: usize>(parameter: Tensor<D>, x: &Tensor<E>) -> Tensor<D> {
    parameter.cast(x.dtype())
}

/// `x` in `f32` where it is of half precision, `f16` or `bf16`.
pub fn single<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match x.dtype() {
        DType::F16 | DType::BF16 => x.cast(DType::F32),
        _ => x,
    }
}
