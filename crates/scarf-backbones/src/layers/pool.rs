//! Max pooling.

use burn::tensor::Tensor;
use burn::tensor::ops::MaxPoolOptions;

/// A square window of max pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool2d {
    /// Rows and columns of the window.
    pub kernel: usize,
    /// Rows and columns between two windows.
    pub stride: usize,
    /// Rows and columns around the input that no maximum is taken from.
    pub padding: usize,
    /// Whether a last, cut window counts: `ceil` in place of `floor` in the output's size.
    pub ceil: bool,
}

impl MaxPool2d {
    /// The largest of each window, per channel: `[batch, channels, height', width']`.
    pub(crate) fn compute(self, x: Tensor<4>) -> Tensor<4> {
        let options = MaxPoolOptions::new([self.kernel; 2])
            .with_stride([self.stride; 2])
            .with_padding([self.padding; 2])
            .with_ceil_mode(self.ceil);
        scarf_kernels::max_pool2d(x, options)
    }

    /// Rows or columns of the output over so many; PyTorch's rule. 0 where the window does not fit.
    pub fn output_len(self, size: usize) -> usize {
        let padded = size + 2 * self.padding + if self.ceil { self.stride - 1 } else { 0 };
        let Some(room) = padded.checked_sub(self.kernel) else { return 0 };
        let windows = room / self.stride + 1;
        // A last window must begin inside the input or the padding before it.
        let outside = self.ceil && (windows - 1) * self.stride >= size + self.padding;
        windows - usize::from(outside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn the_cut_window_counts_where_asked() {
        let x = Tensor::<4>::from_floats([[[[1., 2., 3.], [4., 5., 6.], [7., 8., 9.]]]], &Device::default());
        let pool = |ceil| MaxPool2d { kernel: 2, stride: 2, padding: 0, ceil };
        let maxima =
            |pool: MaxPool2d| -> Vec<f32> { pool.compute(x.clone()).into_data().try_into_vec().unwrap() };
        assert_eq!(maxima(pool(false)), [5.0]);
        assert_eq!(maxima(pool(true)), [5.0, 6.0, 8.0, 9.0]);
        assert_eq!(maxima(MaxPool2d { kernel: 3, stride: 2, padding: 1, ceil: false }), [5.0, 6.0, 8.0, 9.0]);
    }
}
