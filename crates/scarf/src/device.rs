//! Which device computes: the only place that knows the backends of this build.

use std::str::FromStr;

use anyhow::{Result, bail};
use burn::tensor::Device;
use scarf_heads::{Detector, Precision};

/// The same detector, its features computed in `precision`.
///
/// # Errors
/// Where the device cannot.
pub(crate) fn in_precision(detector: Detector, precision: Precision, device: &Device) -> Result<Detector> {
    if let Err(problem) = precision.check(device) {
        bail!("--precision: {problem}");
    }
    Ok(detector.with_precision(precision))
}

/// A device by name: `auto`, `cpu`, `wgpu[:n]`, `vulkan[:n]` or `cuda[:n]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceName {
    /// A GPU where this build has a backend for one, the CPU otherwise.
    Auto,
    /// burn's flex backend.
    Cpu,
    /// By wgpu (Vulkan, Metal, DX12) the n-th discrete GPU, or whichever it takes for the best.
    Wgpu(Option<usize>),
    /// The same by Vulkan alone, its kernels in SPIR-V.
    Vulkan(Option<usize>),
    /// The n-th GPU by CUDA.
    Cuda(usize),
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => {
                let index = index.parse().map_err(|_| {
                    format!("`{text}`: the number of a device is a whole number from 0, as in {name}:0")
                })?;
                (name, Some(index))
            }
            None => (text, None),
        };
        match (name, index) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("wgpu", index) => Ok(Self::Wgpu(index)),
            ("vulkan", index) => Ok(Self::Vulkan(index)),
            ("cuda", index) => Ok(Self::Cuda(index.unwrap_or(0))),
            _ => Err(format!("`{text}` is no device; say auto, cpu, wgpu, wgpu:1, vulkan, cuda or cuda:1")),
        }
    }
}

impl DeviceName {
    /// As it is given to another process; `None` where that may choose itself.
    pub(crate) fn name(self) -> Option<String> {
        match self {
            Self::Auto => None,
            Self::Cpu => Some("cpu".into()),
            Self::Wgpu(_) | Self::Vulkan(_) | Self::Cuda(_) => Some(self.to_string()),
        }
    }

    /// The device, without autodiff.
    pub(crate) fn open(self) -> Result<Device> {
        match self {
            #[cfg(feature = "cuda")]
            Self::Auto => Ok(Device::cuda(0)),
            #[cfg(all(feature = "wgpu", not(feature = "cuda")))]
            Self::Auto => Ok(Device::wgpu(kind(None))),
            #[cfg(all(feature = "flex", not(any(feature = "wgpu", feature = "cuda"))))]
            Self::Auto => Ok(Device::flex()),
            #[cfg(feature = "flex")]
            Self::Cpu => Ok(Device::flex()),
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => Ok(Device::cuda(index)),
            #[cfg(feature = "wgpu")]
            Self::Wgpu(index) => Ok(Device::wgpu(kind(index))),
            #[cfg(feature = "vulkan")]
            Self::Vulkan(index) => Ok(Device::vulkan(kind(index))),
            #[allow(unreachable_patterns)] // all backends may be there
            other => bail!(
                "this build has no backend for {other}; build it with `--features {}`",
                match other {
                    Self::Wgpu(_) => "wgpu",
                    Self::Vulkan(_) => "vulkan",
                    Self::Cuda(_) => "cuda",
                    Self::Auto | Self::Cpu => "flex",
                }
            ),
        }
    }
}

/// Of the GPUs that wgpu finds.
#[cfg(feature = "wgpu")]
fn kind(index: Option<usize>) -> burn::tensor::DeviceKind {
    match index {
        Some(index) => burn::tensor::DeviceKind::DiscreteGpu(index),
        None => burn::tensor::DeviceKind::DefaultDevice,
    }
}

impl std::fmt::Display for DeviceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Wgpu(None) => f.write_str("wgpu"),
            Self::Wgpu(Some(index)) => write!(f, "wgpu:{index}"),
            Self::Vulkan(None) => f.write_str("vulkan"),
            Self::Vulkan(Some(index)) => write!(f, "vulkan:{index}"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// Whether a device has a memory of its own, and computes while this program does something else.
pub(crate) fn is_gpu(device: &Device) -> bool {
    !scarf_kernels::on_host(device)
}

/// What a record says of the device.
pub(crate) fn describe(device: &Device) -> String {
    format!("{device:?}, {} threads", scarf_kernels::worker_count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_no_gpu() {
        assert!(!is_gpu(&DeviceName::Cpu.open().unwrap()));
    }

    #[test]
    fn names_of_devices() {
        assert_eq!("cpu".parse(), Ok(DeviceName::Cpu));
        assert_eq!("cuda:3".parse(), Ok(DeviceName::Cuda(3)));
        assert_eq!("wgpu".parse(), Ok(DeviceName::Wgpu(None)));
        assert_eq!("wgpu:1".parse(), Ok(DeviceName::Wgpu(Some(1))));
        assert_eq!("vulkan:0".parse(), Ok(DeviceName::Vulkan(Some(0))));
        for name in ["cpu", "wgpu", "wgpu:1", "vulkan", "vulkan:2", "cuda:0"] {
            assert_eq!(name.parse::<DeviceName>().unwrap().to_string(), name);
        }
        for wrong in ["tpu", "cuda:x", "cpu:1", ""] {
            assert!(wrong.parse::<DeviceName>().is_err(), "{wrong}");
        }
    }
}
