//! Initial weights.

use std::f64::consts::TAU;

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Which side of a layer its weights keep the variance of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fan {
    /// What flows forward: inputs of one output, `in / groups * kernel area`.
    In,
    /// What flows backward: outputs of one input, `out / groups * kernel area`.
    Out,
}

/// The distribution that initial weights are drawn from.
///
/// Unlike PyTorch's, the fan-out of a grouped convolution counts its own group only, so that a
/// depthwise convolution (fan-out: its kernel area) keeps the variance that the formula promises.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Initializer {
    /// All zero.
    Zeros,
    /// All the same number.
    Constant(f32),
    /// Normal around 0, with this standard deviation.
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// Normal around 0 with standard deviation `sqrt(2 / fan)`: He et al. 2015, for layers
    /// that a ReLU follows. torchvision's ResNet, VGG and MobileNet v2 take the fan out.
    KaimingNormal {
        /// The fan under the root.
        fan: Fan,
    },
    /// Uniform in `±sqrt(6 / ((1 + slope²) fan in))`, for layers that a leaky ReLU of that slope
    /// follows. PyTorch's own default is slope `sqrt(5)`, torchvision's for its FPN 1.
    KaimingUniform {
        /// Of the leaky ReLU.
        slope: f64,
    },
    /// Uniform in `±sqrt(6 / (fan in + fan out))`: Glorot and Bengio 2010. torchvision's SSD heads.
    XavierUniform,
    /// Normal around 0 with standard deviation `sqrt(2 / (fan in + fan out))`.
    XavierNormal,
}

impl Initializer {
    /// `count` weights of a layer with the given fans, in the order of the generator.
    pub fn sample(&self, count: usize, fan_in: usize, fan_out: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let (fan_in, fan_out) = (fan_in.max(1) as f64, fan_out.max(1) as f64);
        match *self {
            Self::Zeros => vec![0.0; count],
            Self::Constant(value) => vec![value; count],
            Self::Normal { std } => normal(count, std, rng),
            Self::KaimingNormal { fan: Fan::In } => normal(count, (2.0 / fan_in).sqrt(), rng),
            Self::KaimingNormal { fan: Fan::Out } => normal(count, (2.0 / fan_out).sqrt(), rng),
            Self::XavierNormal => normal(count, (2.0 / (fan_in + fan_out)).sqrt(), rng),
            Self::XavierUniform => uniform(count, (6.0 / (fan_in + fan_out)).sqrt(), rng),
            Self::KaimingUniform { slope } => {
                uniform(count, (6.0 / ((1.0 + slope * slope) * fan_in)).sqrt(), rng)
            }
        }
    }

    /// A trainable convolution weight `[out, in / groups, kernel height, kernel width]`.
    pub fn conv_weight(
        &self,
        shape: [usize; 4],
        groups: usize,
        device: &Device,
        rng: &mut ChaCha8Rng,
    ) -> Param<Tensor<4>> {
        let [out, per_group, height, width] = shape;
        let area = height * width;
        let values = self.sample(shape.iter().product(), per_group * area, out / groups * area, rng);
        Param::from_data(TensorData::new(values, shape), device)
    }
}

/// A trainable vector of `length` equal numbers.
pub(crate) fn constant(value: f32, length: usize, device: &Device) -> Param<Tensor<1>> {
    Param::from_data(TensorData::new(vec![value; length], [length]), device)
}

/// Evenly within `±bound`.
fn uniform(count: usize, bound: f64, rng: &mut ChaCha8Rng) -> Vec<f32> {
    drawn(count, rng, |rng| [((2.0 * rng.random::<f64>() - 1.0) * bound) as f32])
}

/// Normal variates by the method of Box and Muller (1958), both of each pair used.
fn normal(count: usize, std: f64, rng: &mut ChaCha8Rng) -> Vec<f32> {
    drawn(count, rng, |rng| {
        // 1 - u lies in (0, 1], where the logarithm is finite.
        let radius = std * (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        let (sin, cos) = (TAU * rng.random::<f64>()).sin_cos();
        [(radius * cos) as f32, (radius * sin) as f32]
    })
}

/// Draws that a thread makes at once.
const AT_ONCE: usize = 1 << 15;

/// What so many calls of `draw` give one after the other, each of which takes as many words of the generator as it gives
/// numbers, twice. A place in its stream is found at once: threads share the work, and the numbers are the same.
fn drawn<const N: usize>(
    count: usize,
    rng: &mut ChaCha8Rng,
    draw: impl Fn(&mut ChaCha8Rng) -> [f32; N] + Sync,
) -> Vec<f32> {
    let draws = count.div_ceil(N);
    let place = |draw: usize| (2 * N * draw) as u128;
    let start = rng.get_word_pos();
    let mut values = vec![0.0; N * draws];
    values.par_chunks_mut(N * AT_ONCE).enumerate().for_each(|(part, values)| {
        let mut rng = rng.clone();
        rng.set_word_pos(start + place(part * AT_ONCE));
        values.chunks_exact_mut(N).for_each(|values| values.copy_from_slice(&draw(&mut rng)));
    });
    rng.set_word_pos(start + place(draws));
    values.truncate(count);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn moments(values: &[f32]) -> (f64, f64) {
        let count = values.len() as f64;
        let mean = values.iter().map(|&v| v as f64).sum::<f64>() / count;
        let variance = values.iter().map(|&v| (v as f64 - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    }

    #[test]
    fn variates_have_the_promised_spread() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let cases = [
            (Initializer::Normal { std: 0.03 }, 0.03),
            (Initializer::KaimingNormal { fan: Fan::In }, (2.0f64 / 18.0).sqrt()),
            (Initializer::KaimingNormal { fan: Fan::Out }, (2.0f64 / 32.0).sqrt()),
            (Initializer::XavierNormal, 0.2),
            (Initializer::XavierUniform, 0.2),
            (Initializer::KaimingUniform { slope: 1.0 }, (1.0f64 / 18.0).sqrt()),
        ];
        for (initializer, expected) in cases {
            let (mean, std) = moments(&initializer.sample(40_001, 18, 32, &mut rng));
            assert!(mean.abs() < 0.02 * expected, "{initializer:?}: mean {mean}");
            assert!((std / expected - 1.0).abs() < 0.02, "{initializer:?}: std {std}, not {expected}");
        }
    }

    #[test]
    fn a_seed_names_its_weights() {
        let draw = |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            Initializer::Normal { std: 1.0 }.sample(7, 1, 1, &mut rng)
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    /// Records name a network's first weights by a seed: if these change, they are void.
    #[test]
    fn threads_draw_what_one_would() {
        for (count, before) in [(0, 0), (1, 1), (2 * AT_ONCE + 1, 3), (5 * AT_ONCE, 62)] {
            let mut rng = ChaCha8Rng::seed_from_u64(7);
            for _ in 0..before {
                rng.random::<u32>();
            }
            let mut one = rng.clone();
            let mut expected = Vec::new();
            while expected.len() < count {
                let radius = 0.5 * (-2.0 * (1.0 - one.random::<f64>()).ln()).sqrt();
                let (sin, cos) = (TAU * one.random::<f64>()).sin_cos();
                expected.extend([(radius * cos) as f32, (radius * sin) as f32]);
            }
            expected.truncate(count);
            assert!(Initializer::Normal { std: 0.5 }.sample(count, 1, 1, &mut rng) == expected, "{count}");
            let evenly: Vec<f32> = (0..count).map(|_| (2.0 * one.random::<f64>() - 1.0) as f32).collect();
            assert!(Initializer::XavierUniform.sample(count, 3, 3, &mut rng) == evenly, "{count}");
            assert_eq!(rng.random::<u64>(), one.random::<u64>(), "{count}");
        }
    }
}
