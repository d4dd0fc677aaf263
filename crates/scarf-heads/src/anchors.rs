//! Anchors as data: shapes for each pyramid level, laid over its cells.

use scarf_core::{BBox, Size};
use serde::{Deserialize, Serialize};

use crate::ConfigError;

/// Which anchor shapes each level has. Shapes are fractions of the image's sides, `[width, height]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AnchorConfig {
    /// The TensorFlow Object Detection API's SSD generator (`ssd_anchor_generator`): scales spread
    /// evenly from `min_scale` to `max_scale`; a level has one anchor a ratio (width over height)
    /// and a square one between its scale and the next. The first level has three alone where
    /// `reduce_first` says so: (0.1, 1), (min, 2), (min, 1/2).
    Tensorflow {
        /// Scale of the finest level.
        #[serde(default = "tensorflow::min_scale")]
        min_scale: f32,
        /// Scale of the coarsest level.
        #[serde(default = "tensorflow::max_scale")]
        max_scale: f32,
        /// Width over height, in order.
        #[serde(default = "tensorflow::ratios")]
        ratios: Vec<f32>,
        /// Three anchors alone on the finest level.
        #[serde(default = "tensorflow::reduce_first")]
        reduce_first: bool,
    },
    /// torchvision's `DefaultBoxGenerator`: a level has squares of its scale and of the geometric
    /// mean with the next, then each ratio and its inverse.
    Torchvision {
        /// For each level its ratios above one.
        ratios: Vec<Vec<f32>>,
        /// One scale a level and one more.
        scales: Vec<f32>,
        /// Pixels between centres, a number a level; the image over the cells where left out.
        #[serde(default)]
        steps: Option<Vec<f32>>,
    },
    /// torchvision's `AnchorGenerator`, of Faster R-CNN: a level has each size at each ratio, in whole
    /// pixels of the image that the model is fed, centred on the cells' first corners.
    Rcnn {
        /// For each level its sizes: sides of squares of the anchors' areas.
        sizes: Vec<Vec<f32>>,
        /// Height over width, in order.
        ratios: Vec<f32>,
    },
    /// Shapes written out, a list a level (as fitted to a data set).
    Shapes(Vec<Vec<[f32; 2]>>),
}

mod tensorflow {
    pub(super) fn min_scale() -> f32 {
        0.2
    }
    pub(super) fn max_scale() -> f32 {
        0.95
    }
    pub(super) fn ratios() -> Vec<f32> {
        vec![1.0, 2.0, 0.5, 3.0, 1.0 / 3.0]
    }
    pub(super) fn reduce_first() -> bool {
        true
    }
}

impl Default for AnchorConfig {
    fn default() -> Self {
        Self::Tensorflow {
            min_scale: tensorflow::min_scale(),
            max_scale: tensorflow::max_scale(),
            ratios: tensorflow::ratios(),
            reduce_first: tensorflow::reduce_first(),
        }
    }
}

impl AnchorConfig {
    /// The anchors of torchvision's `ssd300_vgg16`: 8,732 of them on maps of 38, 19, 10, 5, 3, 1.
    pub fn torchvision_ssd300() -> Self {
        Self::Torchvision {
            ratios: [&[2.0][..], &[2.0, 3.0], &[2.0, 3.0], &[2.0, 3.0], &[2.0], &[2.0]]
                .map(<[f32]>::to_vec)
                .to_vec(),
            scales: vec![0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05],
            steps: Some(vec![8.0, 16.0, 32.0, 64.0, 100.0, 300.0]),
        }
    }

    /// The anchors of torchvision's `fasterrcnn_resnet50_fpn`, for images of about 800 pixels.
    pub fn torchvision_faster_rcnn() -> Self {
        let sizes = [32.0, 64.0, 128.0, 256.0, 512.0].map(|size| vec![size]).to_vec();
        Self::Rcnn { sizes, ratios: vec![0.5, 1.0, 2.0] }
    }

    /// The shapes for this number of levels: fractions of the image's sides, but pixels for `rcnn`.
    ///
    /// # Errors
    /// Where the settings are for another number of levels, or a scale or ratio is not positive.
    pub fn shapes(&self, levels: usize) -> Result<Vec<Vec<[f32; 2]>>, ConfigError> {
        let shapes = match self {
            Self::Tensorflow { min_scale, max_scale, ratios, reduce_first } => {
                tensorflow_shapes(levels, *min_scale, *max_scale, ratios, *reduce_first)
            }
            Self::Torchvision { ratios, scales, .. } => {
                if ratios.len() != levels || scales.len() != levels + 1 {
                    return Err(ConfigError::Levels {
                        key: "anchors.torchvision",
                        given: ratios.len(),
                        levels,
                    });
                }
                torchvision_shapes(ratios, scales)
            }
            Self::Rcnn { sizes, ratios } => {
                if sizes.len() != levels {
                    return Err(ConfigError::Levels {
                        key: "anchors.rcnn.sizes",
                        given: sizes.len(),
                        levels,
                    });
                }
                rcnn_shapes(sizes, ratios)
            }
            Self::Shapes(shapes) => {
                if shapes.len() != levels {
                    return Err(ConfigError::Levels { key: "anchors.shapes", given: shapes.len(), levels });
                }
                shapes.clone()
            }
        };
        let sound = |&[w, h]: &[f32; 2]| w.is_finite() && h.is_finite() && w > 0.0 && h > 0.0;
        if !shapes.iter().all(|level| !level.is_empty() && level.iter().all(sound)) {
            return Err(ConfigError::AnchorShape);
        }
        Ok(shapes)
    }

    fn steps(&self) -> Option<&[f32]> {
        match self {
            Self::Torchvision { steps, .. } => steps.as_deref(),
            _ => None,
        }
    }

    /// Half of each extent in pixels, as it lies on an image.
    fn half(&self, [w, h]: [f32; 2], [width, height]: [f32; 2]) -> [f32; 2] {
        match self {
            Self::Rcnn { .. } => [(w / 2.0).round_ties_even(), (h / 2.0).round_ties_even()],
            // torchvision clips the shape, not the box: a wide anchor may still stick out.
            Self::Torchvision { .. } => [w.min(1.0) * width / 2.0, h.min(1.0) * height / 2.0],
            _ => [w * width / 2.0, h * height / 2.0],
        }
    }

    /// Pixels from one centre of a level to the next, across and down.
    fn step(&self, level: usize, [rows, columns]: [usize; 2], image: Size) -> Result<[f32; 2], ConfigError> {
        if matches!(self, Self::Rcnn { .. }) {
            return Ok([image.width as usize / columns.max(1), image.height as usize / rows.max(1)]
                .map(|step| step as f32));
        }
        let Some(steps) = self.steps() else {
            return Ok([image.width as f32 / columns as f32, image.height as f32 / rows as f32]);
        };
        let wrong =
            ConfigError::Levels { key: "anchors.torchvision.steps", given: steps.len(), levels: level + 1 };
        steps.get(level).map(|&step| [step; 2]).ok_or(wrong)
    }

    /// Where in its cell the centre is, in cells.
    fn offset(&self) -> f32 {
        if matches!(self, Self::Rcnn { .. }) { 0.0 } else { 0.5 }
    }
}

fn tensorflow_shapes(levels: usize, min: f32, max: f32, ratios: &[f32], reduce: bool) -> Vec<Vec<[f32; 2]>> {
    let between = (levels.max(2) - 1) as f32;
    let scale = |level: usize| {
        if level == levels { 1.0 } else { min + (max - min) * level as f32 / between }
    };
    let shape = |scale: f32, ratio: f32| [scale * ratio.sqrt(), scale / ratio.sqrt()];
    (0..levels)
        .map(|level| {
            if level == 0 && reduce {
                return vec![shape(0.1, 1.0), shape(min, 2.0), shape(min, 0.5)];
            }
            let mut shapes: Vec<_> = ratios.iter().map(|&ratio| shape(scale(level), ratio)).collect();
            shapes.push(shape((scale(level) * scale(level + 1)).sqrt(), 1.0));
            shapes
        })
        .collect()
}

fn torchvision_shapes(ratios: &[Vec<f32>], scales: &[f32]) -> Vec<Vec<[f32; 2]>> {
    ratios
        .iter()
        .zip(scales.windows(2))
        .map(|(ratios, pair)| {
            let between = (pair[0] * pair[1]).sqrt();
            let mut shapes = vec![[pair[0]; 2], [between; 2]];
            for ratio in ratios {
                let (long, short) = (pair[0] * ratio.sqrt(), pair[0] / ratio.sqrt());
                shapes.extend([[long, short], [short, long]]);
            }
            shapes
        })
        .collect()
}

fn rcnn_shapes(sizes: &[Vec<f32>], ratios: &[f32]) -> Vec<Vec<[f32; 2]>> {
    let shape = |ratio: f32, size: f32| [size / ratio.sqrt(), size * ratio.sqrt()];
    let level = |sizes: &Vec<f32>| {
        ratios.iter().flat_map(|&ratio| sizes.iter().map(move |&size| shape(ratio, size))).collect()
    };
    sizes.iter().map(level).collect()
}

/// Lays the shapes over maps of `[rows, columns]` cells, finest first: rows, columns, shapes in
/// that order of nesting, which is the order of the head's predictions. Boxes in pixels of the image.
///
/// # Errors
/// As [`AnchorConfig::shapes`].
pub fn anchors(
    config: &AnchorConfig,
    maps: &[[usize; 2]],
    image: Size,
) -> Result<Vec<BBox<f32>>, ConfigError> {
    let shapes = config.shapes(maps.len())?;
    let (width, height, offset) = (image.width as f32, image.height as f32, config.offset());
    let mut boxes = Vec::new();
    for (level, (&[rows, columns], shapes)) in maps.iter().zip(&shapes).enumerate() {
        let [across, down] = config.step(level, [rows, columns], image)?;
        let halves: Vec<[f32; 2]> = shapes.iter().map(|&shape| config.half(shape, [width, height])).collect();
        for row in 0..rows {
            for column in 0..columns {
                let (cx, cy) = ((column as f32 + offset) * across, (row as f32 + offset) * down);
                boxes.extend(halves.iter().map(|&[w, h]| BBox::new(cx - w, cy - h, cx + w, cy + h)));
            }
        }
    }
    Ok(boxes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_the_references() {
        let square = |n: &[usize]| n.iter().map(|&n| [n, n]).collect::<Vec<_>>();
        let image = Size::new(300, 300);
        let tf = anchors(&AnchorConfig::default(), &square(&[19, 10, 5, 3, 2, 1]), image).unwrap();
        assert_eq!(tf.len(), 1917);
        let tv =
            anchors(&AnchorConfig::torchvision_ssd300(), &square(&[38, 19, 10, 5, 3, 1]), image).unwrap();
        assert_eq!(tv.len(), 8732);
    }

    #[test]
    fn a_wrong_number_of_levels_is_refused() {
        let image = Size::new(300, 300);
        assert!(anchors(&AnchorConfig::torchvision_ssd300(), &[[4, 4]], image).is_err());
        assert!(anchors(&AnchorConfig::Shapes(vec![vec![]]), &[[4, 4]], image).is_err());
    }
}
