//! The sizes that follow from what is convolved or pooled and how.

use burn::tensor::ops::MaxPoolOptions;

use crate::geometry::{Activation, ConvGeometry};

impl Activation {
    /// The bounds that values are cut off at, if that is all it does.
    pub(crate) fn clamp(self) -> Option<(f32, f32)> {
        match self {
            Self::None | Self::HardSigmoid | Self::HardSwish => None,
            Self::Relu => Some((0.0, f32::INFINITY)),
            Self::Relu6 => Some((0.0, 6.0)),
        }
    }
}

/// All sizes of one convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) images: usize,
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) out_channels: usize,
    pub(crate) out_height: usize,
    pub(crate) out_width: usize,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) groups: usize,
}

impl Shape {
    /// The sizes of a convolution of `x` with `weight`, or None where they don't fit each other.
    pub(crate) fn new(x: [usize; 4], weight: [usize; 4], geometry: &ConvGeometry) -> Option<Self> {
        let [images, channels, height, width] = x;
        let [out_channels, per_group, kernel_height, kernel_width] = weight;
        let groups = geometry.groups;
        let fits = groups > 0
            && per_group * groups == channels
            && out_channels.is_multiple_of(groups)
            && kernel_height * kernel_width > 0
            && geometry.stride[0] * geometry.stride[1] > 0
            && geometry.dilation[0] * geometry.dilation[1] > 0;
        if !fits {
            return None;
        }
        Some(Self {
            images,
            channels,
            height,
            width,
            out_channels,
            out_height: geometry.output_len(0, height, kernel_height)?,
            out_width: geometry.output_len(1, width, kernel_width)?,
            kernel: [kernel_height, kernel_width],
            stride: geometry.stride,
            dilation: geometry.dilation,
            top: geometry.padding[0][0],
            left: geometry.padding[1][0],
            groups,
        })
    }

    pub(crate) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    pub(crate) fn in_pixels(&self) -> usize {
        self.height * self.width
    }

    pub(crate) fn out_pixels(&self) -> usize {
        self.out_height * self.out_width
    }

    /// Input channels of a group.
    pub(crate) fn group_channels(&self) -> usize {
        self.channels / self.groups
    }

    /// Output channels of a group.
    pub(crate) fn group_out(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Whether each output pixel sees exactly the input pixel at its place.
    pub(crate) fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1]
            && self.stride == [1, 1]
            && (self.top, self.left) == (0, 0)
            && (self.height, self.width) == (self.out_height, self.out_width)
    }

    /// Whether each channel is convolved by itself.
    pub(crate) fn is_depthwise(&self) -> bool {
        self.groups == self.channels && self.groups == self.out_channels
    }

    /// The convolution that gives the input's gradient from the output's, with the kernel turned
    /// round and its channels exchanged. None where the stride leaves gaps, or the padding is more
    /// than the kernel reaches.
    pub(crate) fn transposed(&self) -> Option<Self> {
        let reach = |axis: usize| self.dilation[axis] * (self.kernel[axis] - 1);
        if self.stride != [1, 1] {
            return None;
        }
        Some(Self {
            channels: self.out_channels,
            height: self.out_height,
            width: self.out_width,
            out_channels: self.channels,
            out_height: self.height,
            out_width: self.width,
            top: reach(0).checked_sub(self.top)?,
            left: reach(1).checked_sub(self.left)?,
            ..*self
        })
    }
}

/// All sizes of one max pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolShape {
    /// Images times channels.
    pub(crate) planes: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) out_height: usize,
    pub(crate) out_width: usize,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) top: usize,
    pub(crate) left: usize,
}

impl PoolShape {
    /// The sizes of a pooling, or None where it is dilated, or a window could lie outside the image.
    pub(crate) fn new(x: [usize; 4], options: &MaxPoolOptions<2>) -> Option<Self> {
        let [images, channels, height, width] = x;
        let MaxPoolOptions { kernel_size: kernel, stride, padding, dilation, ceil_mode } = *options;
        let len = |axis: usize, input: usize| -> Option<usize> {
            let (begin, end) = padding[axis];
            let spare = (input + begin + end).checked_sub(kernel[axis])?;
            if dilation[axis] != 1 || stride[axis] == 0 || begin.max(end) >= kernel[axis] {
                return None;
            }
            // PyTorch's rule: a last window may reach over the end, but not start beyond it.
            let count = if ceil_mode { spare.div_ceil(stride[axis]) } else { spare / stride[axis] };
            Some(if ceil_mode && count * stride[axis] >= input + begin { count } else { count + 1 })
        };
        Some(Self {
            planes: images * channels,
            height,
            width,
            out_height: len(0, height)?,
            out_width: len(1, width)?,
            kernel,
            stride,
            top: padding[0].0,
            left: padding[1].0,
        })
    }

    /// The input rows, first and end, that an output row sees.
    pub(crate) fn rows(&self, y: usize) -> (usize, usize) {
        let start = y * self.stride[0];
        (start.saturating_sub(self.top), (start + self.kernel[0] - self.top).min(self.height))
    }

    /// The input columns, first and end, that an output column sees.
    pub(crate) fn columns(&self, x: usize) -> (usize, usize) {
        let start = x * self.stride[1];
        (start.saturating_sub(self.left), (start + self.kernel[1] - self.left).min(self.width))
    }
}
