//! What ResNet and ResNet v2 have in common: how many blocks of which shapes make the four stages.

use scarf_weights::{LoadReport, Weights, WeightsError};

use crate::backbone::{ConfigError, Level, Pyramid};
use crate::feature_map::FeatureMap;
use crate::layers::MaxPool2d;

/// The pooling after the stem.
pub(crate) const POOL: MaxPool2d = MaxPool2d { kernel: 3, stride: 2, padding: 1, ceil: false };
/// The stem's channels.
pub(crate) const STEM: usize = 64;

/// Blocks of each stage, and whether they are bottlenecks.
#[derive(Clone, Copy, Default)]
pub(crate) struct Plan {
    pub(crate) blocks: [usize; 4],
    pub(crate) bottleneck: bool,
}

/// One block's channels and stride.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) input: usize,
    pub(crate) width: usize,
    pub(crate) output: usize,
    pub(crate) stride: usize,
}

impl Plan {
    /// Refuses weights, under our names, of a network with more blocks: those that are here would fit, and make another one.
    pub(crate) fn check(&self, weights: &Weights) -> Result<(), WeightsError> {
        // The first convolution stands for a block; MXNet's own names are left where there is no block for them.
        let is_more = |name: &&str| match name.strip_suffix(".conv1.conv.weight") {
            Some(place) => {
                let place = place.strip_prefix("stages.").and_then(|place| place.split_once('.'));
                place.and_then(|(stage, block)| Some((stage.parse().ok()?, block.parse().ok()?))).is_some_and(
                    |(stage, block): (usize, usize)| {
                        self.blocks.get(stage).is_some_and(|&count| block >= count)
                    },
                )
            }
            None => name.starts_with("stage") && name.contains("_unit") && name.ends_with(".conv1.weight"),
        };
        let unexpected: Vec<String> = weights.names().filter(is_more).map(str::to_owned).collect();
        if unexpected.is_empty() {
            return Ok(());
        }
        Err(WeightsError::Mismatch(Box::new(LoadReport { unexpected, ..LoadReport::default() })))
    }

    /// Of a network of so many layers, if there is one.
    pub(crate) fn find(depth: usize) -> Option<Self> {
        let (blocks, bottleneck) = match depth {
            18 => ([2, 2, 2, 2], false),
            34 => ([3, 4, 6, 3], false),
            50 => ([3, 4, 6, 3], true),
            101 => ([3, 4, 23, 3], true),
            _ => return None,
        };
        Some(Self { blocks, bottleneck })
    }

    /// The same.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn of(network: &'static str, depth: usize) -> Result<Self, ConfigError> {
        let none = || ConfigError::new(network, "depth", format!("{depth} is none of 18, 34, 50 and 101"));
        Self::find(depth).ok_or_else(none)
    }

    /// The blocks of each stage up to the last output, and the outputs' levels. Outputs are stages from 1 to 4, increasing.
    pub(crate) fn stages<B>(
        self,
        outputs: &[usize],
        mut block: impl FnMut(Shape) -> B,
    ) -> (Vec<Vec<B>>, Vec<Level>) {
        let last = outputs.last().copied().unwrap_or(0);
        let stages = (1..=last).map(|stage| self.shapes(stage).map(&mut block).collect()).collect();
        let level = |&stage: &usize| Level { channels: self.channels(stage), stride: 2 << stage };
        (stages, outputs.iter().map(level).collect())
    }

    fn shapes(self, stage: usize) -> impl Iterator<Item = Shape> {
        let output = self.channels(stage);
        (0..self.blocks[stage - 1]).map(move |index| Shape {
            input: if index == 0 { self.channels(stage - 1) } else { output },
            width: width(stage),
            output,
            stride: if index == 0 && stage > 1 { 2 } else { 1 },
        })
    }

    /// What flows out of a stage; out of the stem, which comes before the first.
    fn channels(self, stage: usize) -> usize {
        match stage {
            0 => STEM,
            _ if self.bottleneck => 4 * width(stage),
            _ => width(stage),
        }
    }
}

/// Channels inside the blocks of a stage, 1 to 4.
fn width(stage: usize) -> usize {
    STEM << (stage - 1)
}

/// What flows out of the stages that are outputs, block after block.
pub(crate) fn pyramid<M: FeatureMap, B>(
    mut x: M,
    stages: &[Vec<B>],
    outputs: &[usize],
    forward: impl Fn(&B, M) -> M,
) -> Pyramid<M> {
    let mut maps = Vec::with_capacity(outputs.len());
    for (stage, blocks) in (1..).zip(stages) {
        x = blocks.iter().fold(x, |x, block| forward(block, x));
        if outputs.contains(&stage) {
            maps.push(x.clone());
        }
    }
    Pyramid(maps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ResNetConfig, ResNetV2Config};
    use scarf_weights::Array;

    #[test]
    fn a_deeper_network_is_refused() {
        let of = |names: &[&str]| {
            let mut weights = Weights::default();
            for name in names {
                weights.insert(*name, Array { shape: vec![1], values: vec![0.0] });
            }
            weights
        };
        let v1 = ResNetConfig { depth: 18, ..ResNetConfig::default() };
        assert!(v1.adapt(of(&["layer1.1.conv1.weight", "layer4.1.conv1.weight"])).is_ok());
        let error =
            v1.adapt(of(&["layer1.2.conv1.weight", "layer1.0.conv1.weight"])).unwrap_err().to_string();
        assert!(error.ends_with("1 unexpected: stages.0.2.conv1.conv.weight"), "{error}");
        let v2 = ResNetV2Config { depth: 18, ..ResNetV2Config::default() };
        assert!(v2.adapt(of(&["stage1_unit2_conv1_weight"])).is_ok());
        for deeper in ["stage1_unit3_conv1_weight", "features.5.2.conv1.weight"] {
            assert!(v2.adapt(of(&[deeper])).is_err(), "{deeper}");
        }
    }
}
