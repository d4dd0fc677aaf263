//! What is convolved and how.

/// What follows a convolution or a normalisation in the same pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `relu6(x + 3) / 6` (Howard et al. 2019).
    HardSigmoid,
    /// `x * relu6(x + 3) / 6` (Howard et al. 2019).
    HardSwish,
}

impl Activation {
    /// Itself where it can be part of a convolution whose gradient is wanted (it reads the result alone), and
    /// what is left to do after that.
    pub(crate) fn fused(self) -> (Self, Self) {
        match self {
            Self::None | Self::Relu | Self::Relu6 => (self, Self::None),
            Self::HardSigmoid | Self::HardSwish => (Self::None, self),
        }
    }
}

/// The geometry of a two-dimensional convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Rows and columns between two outputs.
    pub stride: [usize; 2],
    /// Zeros around the input: `[[top, bottom], [left, right]]`.
    pub padding: [[usize; 2]; 2],
    /// Rows and columns between two taps of the kernel.
    pub dilation: [usize; 2],
    /// Channel groups; as many as channels makes it depthwise.
    pub groups: usize,
}

impl ConvGeometry {
    /// Rows or columns (`axis` 0 or 1) of the output over `input` of them; PyTorch's floor rule.
    /// None where the padded input is smaller than the kernel.
    pub fn output_len(&self, axis: usize, input: usize, kernel: usize) -> Option<usize> {
        let padded = input + self.padding[axis][0] + self.padding[axis][1];
        let reach = self.dilation[axis] * (kernel - 1) + 1;
        Some(padded.checked_sub(reach)? / self.stride[axis] + 1)
    }
}
