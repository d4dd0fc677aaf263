//! The layers that backbones, necks and heads are built from.
//!
//! Every `init` draws its weights from a generator that the caller keys with a seed, so that a
//! model is the same on every machine and whatever else runs in the process.

mod block;
mod conv;
mod conv_transpose;
mod init;
mod linear;
mod norm;
mod pool;

pub use block::{ConvBlock, ConvBlockConfig};
pub use conv::{Conv2d, Conv2dConfig, Padding};
pub use conv_transpose::ConvTranspose2d;
pub use init::{Fan, Initializer};
pub use linear::Linear;
pub use norm::{BatchNorm, NormConfig};
pub use pool::MaxPool2d;
pub use scarf_kernels::{Activation, ConvGeometry};
