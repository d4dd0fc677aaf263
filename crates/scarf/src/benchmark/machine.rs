//! What the machine can do, and what the process has taken of it.

use std::fs;
use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use scarf_heads::Precision;
use scarf_kernels::linear;

/// How long a product takes that is large enough to fill a device, in seconds.
const LONG: f64 = 0.02;

/// The best of five products of two square matrices, large enough to fill the device.
pub(super) fn peak_gflops(device: &Device, precision: Precision) -> f64 {
    let mut side = 256;
    loop {
        let uniform = Distribution::Uniform(-1.0, 1.0);
        let matrix = || Tensor::<2>::random([side, side], uniform, device).cast(precision.of_maps(device));
        let (a, b) = (matrix(), matrix());
        let product = || match precision.of_maps(device) == precision.dtype() {
            true => a.clone().matmul(b.clone()),
            // Where this precision is that of products alone, burn's own has none.
            false => precision.run(|| linear(a.clone(), b.clone(), Tensor::zeros([side], device))),
        };
        let once = || {
            let begun = Instant::now();
            drop(product());
            device.sync().expect("a device that computes");
            begun.elapsed().as_secs_f64()
        };
        let best = (0..5).map(|_| once()).fold(f64::INFINITY, f64::min);
        if best > LONG || side > 8192 {
            return 2.0 * (side as f64).powi(3) / best / 1e9;
        }
        side *= 2;
    }
}

/// The peak of memory counts from here, on Linux.
pub(super) fn forget_peak_memory() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Milliseconds that the process has computed, in all its threads, on Linux.
pub(super) fn processor_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in brackets, may hold spaces; utime and stime are the 14th and 15th fields, in ticks of 10 ms.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks * 10.0)
}
