//! Anchors as data: shapes for each pyramid level, laid over its cells.

use scarf_core::{BBox, Size};
use serde::{Deserialize, Serialize};

use crate::ConfigError;

/// Which anchor shapes each level has, and where they lie on its cells.
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
    /// pixels of the image that the model is fed, centred on the cells' first corners (of P6 and beyond beside them where
    /// sides are no multiples of the stride: there torchvision's step is the padded image over the cells, cut).
    Rcnn {
        /// For each level its sizes: sides of squares of the anchors' areas.
        sizes: Vec<Vec<f32>>,
        /// Height over width, in order.
        ratios: Vec<f32>,
    },
    /// GluonCV's `SSDAnchorGenerator`: a level has a square of its size, one of the geometric mean with
    /// the next size, and each further ratio at its size. In pixels, whatever the image; not clipped.
    Gluoncv {
        /// Sides in pixels, one a level and one more.
        sizes: Vec<f32>,
        /// For each level width over height, the first for the squares (1, whatever is written).
        ratios: Vec<Vec<f32>>,
        /// Pixels between centres, a number a level.
        steps: Vec<f32>,
    },
    /// MXNet's `MultiBoxPrior`, of the SSD in its examples: a level has a square of each of its sizes,
    /// then each further ratio at the first. A side of a square is a fraction of the image's height.
    Mxnet {
        /// For each level its sizes.
        sizes: Vec<Vec<f32>>,
        /// For each level width over height, the first for the squares (1, whatever is written).
        ratios: Vec<Vec<f32>>,
        /// Pixels between centres, a number a level; the image over the cells where left out.
        #[serde(default)]
        steps: Option<Vec<f32>>,
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

    /// The shapes for this number of levels, `[width, height]`: fractions of the image's sides, but
    /// pixels where the settings are.
    ///
    /// # Errors
    /// Where the settings are for another number of levels, or a scale or ratio is not positive.
    pub fn shapes(&self, levels: usize) -> Result<Vec<Vec<[f32; 2]>>, ConfigError> {
        let one_a_level = |key, given| match given == levels {
            true => Ok(()),
            false => Err(ConfigError::Levels { key, given, levels }),
        };
        if let Some(steps) = self.steps() {
            one_a_level("anchors.*.steps", steps.len())?;
            if let Some(step) = steps.iter().find(|step| !(step.is_finite() && **step > 0.0)) {
                let needed = "pixels from one centre to the next, above 0, are needed";
                return Err(ConfigError::Range { key: "anchors.*.steps", given: step.to_string(), needed });
            }
        }
        let shapes = match self {
            Self::Tensorflow { min_scale, max_scale, ratios, reduce_first } => {
                tensorflow_shapes(levels, *min_scale, *max_scale, ratios, *reduce_first)
            }
            Self::Torchvision { ratios, scales, .. } => {
                one_a_level("anchors.torchvision.ratios", ratios.len())?;
                one_a_level("anchors.torchvision.scales, less one,", scales.len().saturating_sub(1))?;
                torchvision_shapes(ratios, scales)
            }
            Self::Rcnn { sizes, ratios } => {
                one_a_level("anchors.rcnn.sizes", sizes.len())?;
                rcnn_shapes(sizes, ratios)
            }
            Self::Gluoncv { sizes, ratios, .. } => {
                one_a_level("anchors.gluoncv.ratios", ratios.len())?;
                one_a_level("anchors.gluoncv.sizes, less one,", sizes.len().saturating_sub(1))?;
                let pairs = sizes.windows(2).map(|pair| vec![pair[0], (pair[0] * pair[1]).sqrt()]);
                prior_shapes(pairs, ratios)
            }
            Self::Mxnet { sizes, ratios, .. } => {
                one_a_level("anchors.mxnet.sizes", sizes.len())?;
                one_a_level("anchors.mxnet.ratios", ratios.len())?;
                prior_shapes(sizes.iter().cloned(), ratios)
            }
            Self::Shapes(shapes) => {
                one_a_level("anchors.shapes", shapes.len())?;
                shapes.clone()
            }
        };
        // Those of Faster R-CNN are rounded to whole pixels, of which there must be some.
        let least = if matches!(self, Self::Rcnn { .. }) { 1.0 } else { 0.0 };
        let sound = |&[w, h]: &[f32; 2]| w.is_finite() && h.is_finite() && w > least && h > least;
        if !shapes.iter().all(|level| !level.is_empty() && level.iter().all(sound)) {
            return Err(ConfigError::AnchorShape);
        }
        Ok(shapes)
    }

    fn steps(&self) -> Option<&[f32]> {
        match self {
            Self::Torchvision { steps, .. } | Self::Mxnet { steps, .. } => steps.as_deref(),
            Self::Gluoncv { steps, .. } => Some(steps),
            Self::Tensorflow { .. } | Self::Rcnn { .. } | Self::Shapes(_) => None,
        }
    }

    /// Half of each extent in pixels, as it lies on an image.
    fn half(&self, [w, h]: [f32; 2], image: Size) -> [f32; 2] {
        let (width, height) = (image.width as f32, image.height as f32);
        match self {
            Self::Rcnn { .. } => [(w / 2.0).round_ties_even(), (h / 2.0).round_ties_even()],
            Self::Gluoncv { .. } => [w / 2.0, h / 2.0],
            Self::Mxnet { .. } => [w * height / 2.0, h * height / 2.0],
            // torchvision clips the shape, not the box: a wide anchor may still stick out.
            Self::Torchvision { .. } => [w.min(1.0) * width / 2.0, h.min(1.0) * height / 2.0],
            Self::Tensorflow { .. } | Self::Shapes(_) => [w * width / 2.0, h * height / 2.0],
        }
    }

    /// Pixels from one centre of a level to the next, across and down.
    fn step(&self, level: usize, [rows, columns]: [usize; 2], image: Size) -> [f32; 2] {
        if let Some(steps) = self.steps() {
            return [steps[level]; 2];
        }
        if matches!(self, Self::Rcnn { .. }) {
            return [rcnn_step(image.width as usize, columns), rcnn_step(image.height as usize, rows)];
        }
        [image.width as f32 / columns as f32, image.height as f32 / rows as f32]
    }

    /// Where in its cell a centre is, in cells.
    fn offset(&self) -> f32 {
        if matches!(self, Self::Rcnn { .. }) { 0.0 } else { 0.5 }
    }
}

/// torchvision's step of anchors along a side of `side` pixels, of which a map has `cells`: it pads images to multiples of 32
/// pixels, and takes those over the cells, cut to an integer. Maps here have fewer cells where images are not padded, so that
/// the cells of the padded one are found by the stride, a power of two.
fn rcnn_step(side: usize, cells: usize) -> f32 {
    let padded = side.next_multiple_of(32);
    let stride = (0..usize::BITS).map(|power| 1 << power).find(|&stride| side.div_ceil(stride) <= cells);
    let whole = stride.filter(|&stride| side.div_ceil(stride) == cells).map(|stride| padded.div_ceil(stride));
    let (pixels, cells) = whole.map_or((side, cells), |whole| (padded, whole));
    (pixels / cells.max(1)) as f32
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

/// A square of each of a level's sizes, then each ratio but the first at the first size.
fn prior_shapes(sizes: impl Iterator<Item = Vec<f32>>, ratios: &[Vec<f32>]) -> Vec<Vec<[f32; 2]>> {
    let level = |(sizes, ratios): (Vec<f32>, &Vec<f32>)| {
        let first = sizes.first().copied().unwrap_or(f32::NAN);
        let further = ratios.iter().skip(1).map(|ratio| [first * ratio.sqrt(), first / ratio.sqrt()]);
        sizes.iter().map(|&size| [size; 2]).chain(further).collect()
    };
    sizes.zip(ratios).map(level).collect()
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
    let offset = config.offset();
    let mut boxes = Vec::new();
    for (level, (&[rows, columns], shapes)) in maps.iter().zip(&shapes).enumerate() {
        let [across, down] = config.step(level, [rows, columns], image);
        let halves: Vec<[f32; 2]> = shapes.iter().map(|&shape| config.half(shape, image)).collect();
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

    /// torchvision's own numbers where images are multiples of 32 pixels (800: 61 pixels on P6); those of the image padded so
    /// where not.
    #[test]
    fn centres_of_faster_rcnn_keep_to_their_cells() {
        let steps = |side: usize| -> Vec<f32> {
            [8, 16, 32, 64].map(|stride: usize| rcnn_step(side, side.div_ceil(stride))).to_vec()
        };
        assert_eq!(steps(800), [8.0, 16.0, 32.0, 61.0]);
        assert_eq!(steps(320), [8.0, 16.0, 32.0, 64.0]);
        assert_eq!(steps(300), [8.0, 16.0, 32.0, 64.0]);
        assert_eq!(steps(200), [8.0, 16.0, 32.0, 56.0]);
        assert_eq!(steps(400), [8.0, 16.0, 32.0, 59.0]);
        // Maps that no power of two makes.
        assert_eq!(rcnn_step(100, 30), 3.0);
    }

    #[test]
    fn steps_and_sides_of_nothing_are_refused() {
        let steps = AnchorConfig::Torchvision {
            ratios: vec![vec![2.0]],
            scales: vec![0.2, 0.4],
            steps: Some(vec![0.0]),
        };
        let error = anchors(&steps, &[[4, 4]], Size::new(32, 32)).unwrap_err().to_string();
        assert_eq!(error, "`anchors.*.steps` is 0; pixels from one centre to the next, above 0, are needed");
        let thin = AnchorConfig::Rcnn { sizes: vec![vec![4.0]], ratios: vec![20.0] };
        assert_eq!(anchors(&thin, &[[4, 4]], Size::new(32, 32)), Err(ConfigError::AnchorShape));
    }

    #[test]
    fn a_wrong_number_of_levels_is_refused() {
        let image = Size::new(300, 300);
        assert!(anchors(&AnchorConfig::torchvision_ssd300(), &[[4, 4]], image).is_err());
        assert!(anchors(&AnchorConfig::Shapes(vec![vec![]]), &[[4, 4]], image).is_err());
    }
}
