//! Splits: the study's own, bit for bit; stratified and k-fold ones of ours; lists of one's own.

mod groups;
mod lists;
mod numpy;
mod python;
mod stratified;
mod twister;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use groups::Grouping;
pub use lists::{Lists, listed};
pub use numpy::NumpyRandom;
pub use python::PythonRandom;
pub use stratified::{are_parts, k_fold, k_fold_in_groups, stratified, stratified_in_groups};

use crate::{DataError, DataSet};

/// Indices into the samples of a data set, each list ascending, no index in two lists (but where the study's leak of test
/// images is done again on purpose, [`ddn_split`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// To fit the weights.
    pub train: Vec<usize>,
    /// To choose between models.
    pub val: Vec<usize>,
    /// To report on, once.
    pub test: Vec<usize>,
}

impl Split {
    fn sorted(mut self) -> Self {
        for part in [&mut self.train, &mut self.val, &mut self.test] {
            part.sort_unstable();
        }
        self
    }
}

/// The study's split: 1,152 train, 288 validation and 360 test images of NEU-DET.
///
/// As awslabs' `xml2json.py` and `prepare_RecordIO.py` do under Python 3: images in groups by what
/// their file name has before its first `_` (`pitted`, `rolled-in`: not the class of their boxes),
/// groups and images in order of their names; `random.seed(100)`, shuffle each group in turn, the
/// first fifth of each is the test; then again from `random.seed(100)` on what is left, sorted anew,
/// the first four fifths of each group train. The groups share one generator in each pass.
/// Any data set can be split this way; only NEU-DET gives the study's images.
pub fn study_split(data: &DataSet) -> Split {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut order: Vec<usize> = (0..data.samples.len()).collect();
    order.sort_by(|&a, &b| data.samples[a].name.cmp(&data.samples[b].name));
    for index in order {
        let name = &data.samples[index].name;
        groups.entry(name.split('_').next().unwrap_or(name)).or_default().push(index);
    }
    let (test, mut rest) = study_pass(groups.into_values(), |count| count / 5);
    for group in &mut rest {
        group.sort_by(|&a, &b| data.samples[a].name.cmp(&data.samples[b].name));
    }
    // Python's int(count * 0.8), in floats as there.
    let (train, val) = study_pass(rest.into_iter(), |count| (count as f64 * 0.8) as usize);
    Split { train, val: val.concat(), test }.sorted()
}

/// The images of NEU-DET that the study's DDN learnt from (1,080) and chose by (360): 214 and 82 of the study's 360 test
/// images are among them.
///
/// As awslabs' `dataset/neu.py` does: images in order of their class's folder, then of their name;
/// `numpy.random.seed(123)`, three fifths of a permutation train, the next fifth is for validation. The folders' abbreviations
/// sort as the classes of our catalog do; images that are named after no class come last.
pub fn ddn_split(data: &DataSet) -> [Vec<usize>; 2] {
    let mut order: Vec<usize> = (0..data.samples.len()).collect();
    // The samples are in order of their names already, and the sort is stable.
    order.sort_by_key(|&index| data.named_after(&data.samples[index]).unwrap_or(usize::MAX));
    let drawn = NumpyRandom::new(123).permutation(order.len() as u32);
    // Python's int(0.6 * count), in floats as there.
    let train = (0.6 * order.len() as f64) as usize;
    let val = (0.2 * order.len() as f64) as usize;
    [&drawn[..train], &drawn[train..train + val]].map(|part| {
        let mut part: Vec<usize> = part.iter().map(|&at| order[at]).collect();
        part.sort_unstable();
        part
    })
}

/// One pass: each group shuffled, its head taken; gives the heads joined and the tails apart.
fn study_pass(
    groups: impl Iterator<Item = Vec<usize>>,
    head: impl Fn(usize) -> usize,
) -> (Vec<usize>, Vec<Vec<usize>>) {
    let mut random = PythonRandom::new(100);
    let (mut heads, mut tails) = (Vec::new(), Vec::new());
    for mut group in groups {
        random.shuffle(&mut group);
        let tail = group.split_off(head(group.len()));
        heads.extend(group);
        tails.push(tail);
    }
    (heads, tails)
}

pub(crate) fn refuse(reason: String) -> DataError {
    DataError::Split { path: Default::default(), reason }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::Sample;
    use scarf_core::{Annotation, BBox, Classes, Size};

    /// `per_class` samples of each of three classes, none of them on disk.
    pub(crate) fn fake(per_class: usize) -> DataSet {
        let classes = Classes::new(["a", "b", "c"]).unwrap();
        let sample = |class: usize, i: usize| Sample {
            name: format!("{}_{i}", classes.name(class).unwrap()),
            image: format!("{class}_{i}.png").into(),
            size: Size::new(10, 10),
            annotations: vec![Annotation::new(BBox::new(0.0, 0.0, 5.0, 5.0), class)],
        };
        let samples = (0..3).flat_map(|class| (0..per_class).map(move |i| (class, i)));
        DataSet::new(classes.clone(), samples.map(|(class, i)| sample(class, i)).collect())
    }

    #[test]
    fn the_study_takes_fifths_of_each_group() {
        let data = fake(25);
        let split = study_split(&data);
        assert_eq!((split.train.len(), split.val.len(), split.test.len()), (48, 12, 15));
        for class in 0..3 {
            let of = |part: &[usize]| {
                part.iter().filter(|&&i| data.samples[i].annotations[0].class == class).count()
            };
            assert_eq!((of(&split.train), of(&split.val), of(&split.test)), (16, 4, 5));
        }
        let mut all = [split.train, split.val, split.test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..75).collect::<Vec<_>>());
    }
}
