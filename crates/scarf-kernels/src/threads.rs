//! Where the thread that trains belongs, and how a batch is shared out.

use burn::tensor::Tensor;

/// Runs `work` on one of the threads that the kernels share their work out to.
///
/// A kernel that is called from elsewhere has to hand all of its work over and to wait, asleep; each
/// takes a switch of threads, hundreds of times in a step. From a thread of the pool it begins at
/// once, and the others help. It changes no result.
///
/// Without the feature `flex` there is no pool, and `work` runs where it is called.
pub fn on_workers<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    #[cfg(feature = "flex")]
    return rayon::scope(|_| work());
    #[cfg(not(feature = "flex"))]
    work()
}

/// `work` on a batch, `[batch, channels, height, width]`: on a CPU on each image by itself, threads sharing the images, and
/// elsewhere on all at once. In their order what `work` says of each image.
///
/// What lies between two layers of one image often fits a cache that a batch's does not fit, and threads that have an image
/// each don't wait for each other after every layer. Not so with autodiff, where images of a batch may depend on each other.
pub fn by_image<R: Send>(images: Tensor<4>, work: impl Fn(Tensor<4>) -> Vec<R> + Sync) -> Vec<R> {
    #[cfg(feature = "flex")]
    if images.dims()[0] > 1 && crate::flex::takes(&images) && !images.device().is_autodiff() {
        use rayon::prelude::*;

        use crate::cpu::alone::Alone;
        let count = images.dims()[0];
        // As many parts as threads: while a thread waits inside one it may begin another, on top of the first.
        let part = count.div_ceil(rayon::current_num_threads());
        let each = |at: usize| work(images.clone().narrow(0, at, 1));
        let parts = count.div_ceil(part);
        let all = |index: usize| {
            let _alone = (parts == rayon::current_num_threads()).then(Alone::new);
            (index * part..count.min((index + 1) * part)).flat_map(each).collect::<Vec<R>>()
        };
        return (0..parts).into_par_iter().flat_map_iter(all).collect();
    }
    work(images)
}
