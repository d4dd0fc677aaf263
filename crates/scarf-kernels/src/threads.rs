//! Where the thread that trains belongs, and how a batch is shared out.

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use crate::cpu::{alone::alone, crew::together};

/// Runs `work` on one of the threads that the kernels share their work out to.
///
/// A kernel that is called from elsewhere has to hand all of its work over and to wait, asleep; each
/// takes a switch of threads, hundreds of times in a step. From a thread of the pool it begins at
/// once, and the others help. It changes no result.
///
/// Without the feature `flex` there is no pool, and `work` runs where it is called.
pub fn on_workers<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    #[cfg(feature = "flex")]
    return rayon::scope(|_| alone(false, work));
    #[cfg(not(feature = "flex"))]
    work()
}

/// How many threads share a kernel's work on a CPU: what RAYON_NUM_THREADS says, or all that the machine has.
pub fn worker_count() -> usize {
    #[cfg(feature = "flex")]
    return rayon::current_num_threads();
    #[cfg(not(feature = "flex"))]
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// `work` on a batch, `[batch, channels, height, width]`: on a CPU on each image by itself, threads sharing the images, and
/// elsewhere on all at once. In their order what `work` says of each image.
///
/// Threads share an image that is by itself, layer after layer, and stay awake until it is done.
///
/// What lies between two layers of one image often fits a cache that a batch's does not fit, and where there are as many
/// images as threads these don't wait for each other after every layer. Not so with autodiff, where images of a batch may
/// depend on each other.
pub fn by_image<R: Send>(images: Tensor<4>, work: impl Fn(Tensor<4>) -> Vec<R> + Sync) -> Vec<R> {
    #[cfg(feature = "flex")]
    if crate::flex::takes(&images) && !images.device().is_autodiff() {
        use rayon::prelude::*;

        if images.dims()[0] == 1 {
            return together(|| work(images));
        }
        let (count, threads) = (images.dims()[0], rayon::current_num_threads());
        // As many parts as threads: while a thread waits inside one it may begin another, on top of the first.
        let part = count.div_ceil(threads);
        let parts = count.div_ceil(part);
        let each = |at: usize| work(images.clone().narrow(0, at, 1));
        let all = |index: usize| {
            let part = index * part..count.min((index + 1) * part);
            alone(parts == threads, || part.flat_map(each).collect::<Vec<R>>())
        };
        return (0..parts).into_par_iter().flat_map_iter(all).collect();
    }
    work(images)
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::{Activation, ConvGeometry, conv2d};

    /// With fewer images than threads, as many, and more: in their order, to the bit what a batch gives.
    #[test]
    fn images_keep_their_order_and_their_bits() {
        let numbers =
            |count: i64| (Tensor::<1, burn::tensor::Int>::arange(0..count, &Device::flex()).float()).sin();
        let weight = numbers(24 * 8 * 9).reshape([24, 8, 3, 3]);
        let geometry = ConvGeometry { stride: [1; 2], padding: [[1; 2]; 2], dilation: [1; 2], groups: 1 };
        let maps = |images: Tensor<4>| {
            let maps = conv2d(images, weight.clone(), None, geometry, Activation::Relu);
            maps.iter_dim(0).map(|map| map.into_data()).collect::<Vec<_>>()
        };
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for count in [1, 2, 3, 5, 8] {
                let images = numbers(count * 8 * 19 * 21).reshape([count as usize, 8, 19, 21]);
                let whole = maps(images.clone());
                assert_eq!(
                    pool.install(|| by_image(images, maps)),
                    whole,
                    "{count} images, {threads} threads"
                );
            }
        }
    }
}
