use std::str::FromStr;

use burn::tensor::{DType, Device};
use scarf_kernels::{on_host, with_rounded_factors};
use serde::{Deserialize, Serialize};

/// In what numbers the features of a detector are computed. Parameters, what normalisation sums up, logits, boxes and
/// losses are `f32` with each of them, as with PyTorch's autocast.
///
/// On the CPU `Bfloat16` is what convolutions and fully connected layers multiply ([`with_rounded_factors`]); the maps
/// themselves stay `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 24 bits of mantissa.
    #[default]
    Float32,
    /// 8 bits, and the range of the former.
    Bfloat16,
    /// 11 bits, and nothing over 65,504: small gradients need a scale that keeps them above 0.
    Float16,
}

impl Precision {
    /// As burn names it.
    pub fn dtype(self) -> DType {
        match self {
            Self::Float32 => DType::F32,
            Self::Bfloat16 => DType::BF16,
            Self::Float16 => DType::F16,
        }
    }

    /// In what numbers maps flow through a network on `device`.
    pub fn of_maps(self, device: &Device) -> DType {
        if self == Self::Bfloat16 && on_host(device) { DType::F32 } else { self.dtype() }
    }

    /// Runs `work`, which computes in this precision what begins with maps in this precision.
    pub fn run<R>(self, work: impl FnOnce() -> R) -> R {
        with_rounded_factors(self == Self::Bfloat16, work)
    }

    /// Why `device` cannot compute so, and what would be right.
    ///
    /// # Errors
    /// If it cannot.
    pub fn check(self, device: &Device) -> Result<(), String> {
        if device.supports_dtype(self.dtype()) {
            return Ok(());
        }
        let others =
            [Self::Float16, Self::Bfloat16].into_iter().find(|other| device.supports_dtype(other.dtype()));
        Err(format!("{self} is not computed by {device:?}; say {}", others.unwrap_or_default()))
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = [Self::Float32, Self::Bfloat16, Self::Float16];
        let found = known.into_iter().find(|precision| precision.to_string() == name);
        found.ok_or_else(|| format!("`{name}` is no precision; say float32, bfloat16 or float16"))
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Float32 => "float32",
            Self::Bfloat16 => "bfloat16",
            Self::Float16 => "float16",
        })
    }
}
