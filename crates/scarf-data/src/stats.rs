//! What a data set holds, counted.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use crate::files;
use crate::{DataError, DataSet, Sample};

/// The figures of a data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    /// Samples.
    pub images: usize,
    /// Annotations.
    pub boxes: usize,
    /// Samples without an annotation.
    pub empty_images: usize,
    /// Samples with annotations of more than one class.
    pub mixed_images: usize,
    /// Annotations of another class than the one their sample is named after
    /// (`rolled-in_scale_7` is named after `rolled-in_scale`); 0 where names name no class.
    pub boxes_unlike_name: usize,
    /// Annotations marked difficult.
    pub difficult: usize,
    /// Annotations marked truncated.
    pub truncated: usize,
    /// Most annotations on one image.
    pub most_boxes: usize,
    /// Annotations with the bounds and the class of an earlier one on the same image: the sample's
    /// name and the class, in order.
    pub listed_twice: Vec<(String, usize)>,
    /// Names of samples whose image files are the same byte for byte, group by group.
    pub duplicate_images: Vec<Vec<String>>,
    /// One for each class, in their order.
    pub classes: Vec<ClassStats>,
}

/// The figures of one class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassStats {
    /// Its name.
    pub name: String,
    /// Images with a box of it.
    pub images: usize,
    /// Boxes of it.
    pub boxes: usize,
    /// Boxes of it marked difficult.
    pub difficult: usize,
    /// Boxes of COCO's small, medium and large: areas below 32², from there to below 96², and from
    /// there on (pycocotools counts an area of exactly 32² or 96² on both sides).
    pub by_size: [usize; 3],
    /// Width over height of its boxes.
    pub aspect: Quantiles,
    /// Square root of the boxes' areas, in pixels.
    pub side: Quantiles,
}

/// The 5th, 50th and 95th percentile, by linear interpolation (NumPy's default); 0 of nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// 5 % lie below.
    pub p5: f64,
    /// The median.
    pub p50: f64,
    /// 95 % lie below.
    pub p95: f64,
}

impl Quantiles {
    /// The quantiles of these values.
    pub fn of(mut values: Vec<f64>) -> Self {
        if values.is_empty() {
            return Self::default();
        }
        values.sort_by(f64::total_cmp);
        let at = |q: f64| {
            let position = q * (values.len() - 1) as f64;
            let (low, high) = (values[position.floor() as usize], values[position.ceil() as usize]);
            low + (high - low) * position.fract()
        };
        Self { p5: at(0.05), p50: at(0.5), p95: at(0.95) }
    }
}

impl DataSet {
    /// Counts what the set holds; reads the image files to find those that are the same.
    pub fn stats(&self) -> Result<Stats, DataError> {
        let names = |group: Vec<usize>| group.into_iter().map(|i| self.samples[i].name.clone()).collect();
        let all = || self.samples.iter().flat_map(|sample| &sample.annotations);
        let distinct = |sample: &Sample| {
            let first = sample.annotations.first().map(|a| a.class);
            sample.annotations.iter().any(|a| Some(a.class) != first)
        };
        Ok(Stats {
            images: self.samples.len(),
            boxes: self.boxes(),
            empty_images: self.samples.iter().filter(|s| s.annotations.is_empty()).count(),
            mixed_images: self.samples.iter().filter(|s| distinct(s)).count(),
            boxes_unlike_name: self.samples.iter().map(|s| self.unlike_name(s)).sum(),
            difficult: all().filter(|a| a.difficult).count(),
            truncated: all().filter(|a| a.truncated).count(),
            most_boxes: self.samples.iter().map(|s| s.annotations.len()).max().unwrap_or(0),
            listed_twice: self.samples.iter().flat_map(listed_twice).collect(),
            duplicate_images: duplicate_images(&self.samples)?.into_iter().map(names).collect(),
            classes: (0..self.classes.len()).map(|class| self.class_stats(class)).collect(),
        })
    }

    /// The class that a sample is named after, where its name begins with one and `_`. NEU-DET's images are named after
    /// the folder that they were filed in, which is not the class of all their boxes.
    pub fn named_after(&self, sample: &Sample) -> Option<usize> {
        let names = self.classes.names().iter().enumerate();
        let named = names.filter(|(_, name)| {
            sample.name.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('_'))
        });
        named.max_by_key(|(_, name)| name.len()).map(|(class, _)| class)
    }

    fn unlike_name(&self, sample: &Sample) -> usize {
        self.named_after(sample)
            .map_or(0, |class| sample.annotations.iter().filter(|a| a.class != class).count())
    }

    fn class_stats(&self, class: usize) -> ClassStats {
        let of_class = |sample: &Sample| sample.annotations.iter().any(|a| a.class == class);
        let boxes = || self.samples.iter().flat_map(|s| &s.annotations).filter(|a| a.class == class);
        let mut by_size = [0; 3];
        boxes().for_each(|a| {
            by_size[usize::from(a.area >= 32.0 * 32.0) + usize::from(a.area >= 96.0 * 96.0)] += 1
        });
        ClassStats {
            name: self.classes.names()[class].clone(),
            images: self.samples.iter().filter(|s| of_class(s)).count(),
            boxes: boxes().count(),
            difficult: boxes().filter(|a| a.difficult).count(),
            by_size,
            aspect: Quantiles::of(boxes().map(|a| a.bbox.width() / a.bbox.height()).collect()),
            side: Quantiles::of(boxes().map(|a| a.bbox.area().sqrt()).collect()),
        }
    }
}

fn listed_twice(sample: &Sample) -> Vec<(String, usize)> {
    let all = &sample.annotations;
    let again = |i: usize| all[..i].iter().any(|a| a.class == all[i].class && a.bbox == all[i].bbox);
    (0..all.len()).filter(|&i| again(i)).map(|i| (sample.name.clone(), all[i].class)).collect()
}

/// Groups of samples whose image files are the same byte for byte, in order; single ones are left out.
pub(crate) fn duplicate_images(samples: &[Sample]) -> Result<Vec<Vec<usize>>, DataError> {
    let hash = |sample: &Sample| files::read(&sample.image).map(|bytes| files::sha256(&bytes));
    let hashes: Vec<String> = samples.par_iter().map(hash).collect::<Result<_, _>>()?;
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, hash) in hashes.iter().enumerate() {
        groups.entry(hash).or_default().push(index);
    }
    let mut groups: Vec<_> = groups.into_values().filter(|group| group.len() > 1).collect();
    groups.sort();
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_as_numpy_gives_them() {
        // numpy.percentile([1, 2, 3, 4, 10], [5, 50, 95])
        let q = Quantiles::of(vec![10.0, 1.0, 2.0, 4.0, 3.0]);
        assert!((q.p5 - 1.2).abs() < 1e-12 && q.p50 == 3.0 && (q.p95 - 8.8).abs() < 1e-12);
        assert_eq!(Quantiles::of(vec![]), Quantiles::default());
    }
}
