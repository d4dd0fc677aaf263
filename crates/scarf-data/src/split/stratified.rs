use std::cmp::Reverse;
use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Grouping, Split, refuse};
use crate::stats::duplicate_images;
use crate::{DataError, DataSet, Sample};

/// Splits by fractions for train, val and test, so that each part has its share of every class, and of all images.
///
/// An image counts for its main class: that of most of its boxes, the lower class where two are
/// even; images without boxes are a class of their own. Images whose files are the same, byte for
/// byte, stay on one side (NEU-DET's patches_101 and patches_105), so that the files are read.
///
/// # Errors
/// Where a fraction is negative, they do not add up to 1, a part with a fraction gets no image, or a file cannot be read.
pub fn stratified(data: &DataSet, fractions: [f64; 3], seed: u64) -> Result<Split, DataError> {
    check_parts(fractions)?;
    let mut parts = [const { Vec::new() }; 3];
    // What each part has still to get of the classes before: small classes are not all rounded the same way.
    let mut owed = [0.0; 3];
    for stratum in strata(data, seed, None)? {
        let counts = shares(stratum.iter().map(Vec::len).sum(), fractions, &mut owed);
        let ends = [counts[0], counts[0] + counts[1], counts.iter().sum()];
        let mut seen = 0;
        for group in stratum {
            // The last part with room takes what rounding leaves.
            let part = ends.iter().position(|&end| seen < end).unwrap_or(2);
            seen += group.len();
            parts[part].extend(group);
        }
    }
    filled(parts, fractions, &format!("{} images", data.samples.len()))
}

/// As [`stratified`], with the images of a group on one side. A group counts for the class of most boxes on its images; each
/// goes to the part that lacks most of its share, so that shares are met as nearly as the groups allow.
///
/// # Errors
/// As [`stratified`]; also where an image is of no group.
pub fn stratified_in_groups(
    data: &DataSet,
    fractions: [f64; 3],
    seed: u64,
    grouping: &Grouping,
) -> Result<Split, DataError> {
    check_parts(fractions)?;
    let strata = strata(data, seed, Some(grouping))?;
    let groups: usize = strata.iter().map(Vec::len).sum();
    let mut parts = [const { Vec::new() }; 3];
    let (mut owed, mut left) = ([0.0; 3], groups);
    for stratum in strata {
        let count: usize = stratum.iter().map(Vec::len).sum();
        owed.iter_mut().zip(fractions).for_each(|(owed, fraction)| *owed += fraction * count as f64);
        for group in stratum {
            let lacks_all = |part: &usize| fractions[*part] > 0.0 && parts[*part].is_empty();
            // The last groups are for parts that have none.
            let last = (0..3).filter(lacks_all).count() >= left;
            let open = (0..3).filter(|part| if last { lacks_all(part) } else { fractions[*part] > 0.0 });
            let part = open.reduce(|best, next| if owed[next] > owed[best] + 1e-9 { next } else { best });
            let part = part.expect("three parts that add up to 1 are not all 0");
            left -= 1;
            owed[part] -= group.len() as f64;
            parts[part].extend(group);
        }
    }
    filled(parts, fractions, &format!("{} images of {groups} groups", data.samples.len()))
}

fn check_parts(fractions: [f64; 3]) -> Result<(), DataError> {
    if are_parts(fractions) {
        return Ok(());
    }
    let sum: f64 = fractions.iter().sum();
    Err(refuse(format!(
        "the fractions {fractions:?} add up to {sum}; expected three of 0..=1 that add up to 1"
    )))
}

/// The split, where each part with a fraction has an image; `all` says of what.
fn filled(parts: [Vec<usize>; 3], fractions: [f64; 3], all: &str) -> Result<Split, DataError> {
    for (part, name) in ["train", "val", "test"].into_iter().enumerate() {
        if fractions[part] > 0.0 && parts[part].is_empty() {
            let fraction = fractions[part];
            return Err(refuse(format!(
                "of {all} none is left for {name}, a part of {fraction}; more images, or 0 for {name}, are needed"
            )));
        }
    }
    let [train, val, test] = parts;
    Ok(Split { train, val, test }.sorted())
}

/// Whether fractions are each of 0 to 1, and together 1.
pub fn are_parts(fractions: [f64; 3]) -> bool {
    let sum: f64 = fractions.iter().sum();
    fractions.iter().all(|part| (0.0..=1.0).contains(part)) && (sum - 1.0).abs() <= 1e-9
}

/// How many of `count` images each part gets: one after the other goes to the part that lacks most of its share.
fn shares(count: usize, fractions: [f64; 3], owed: &mut [f64; 3]) -> [usize; 3] {
    let mut counts = [0; 3];
    for (owed, fraction) in owed.iter_mut().zip(fractions) {
        *owed += fraction * count as f64;
    }
    for _ in 0..count {
        let most = owed.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Equal but for rounding: the earlier part.
        let part = owed.iter().position(|&each| each > most - 1e-9).unwrap_or(0);
        (owed[part], counts[part]) = (owed[part] - 1.0, counts[part] + 1);
    }
    counts
}

/// `k` splits for cross-validation: fold `i` is the test of split `i`, all others its train, val is
/// empty. Stratified and with duplicates together, as [`stratified`] does it.
///
/// # Errors
/// Where `k` is below 2 or above the number of images, or a file cannot be read.
pub fn k_fold(data: &DataSet, k: usize, seed: u64) -> Result<Vec<Split>, DataError> {
    let images = data.samples.len();
    if k < 2 || k > images {
        return Err(refuse(format!("{k} folds of {images} images; expected 2 up to the number of images")));
    }
    Ok(folds(strata(data, seed, None)?, k))
}

/// As [`k_fold`], with the images of a group in one fold.
///
/// # Errors
/// Where `k` is below 2 or above the number of groups, an image is of no group, or a file cannot be read.
pub fn k_fold_in_groups(
    data: &DataSet,
    k: usize,
    seed: u64,
    grouping: &Grouping,
) -> Result<Vec<Split>, DataError> {
    let strata = strata(data, seed, Some(grouping))?;
    let groups: usize = strata.iter().map(Vec::len).sum();
    if k < 2 || k > groups {
        return Err(refuse(format!("{k} folds of {groups} groups; expected 2 up to the number of groups")));
    }
    Ok(folds(strata, k))
}

fn folds(strata: Vec<Vec<Vec<usize>>>, k: usize) -> Vec<Split> {
    let mut folds = vec![Vec::new(); k];
    for group in strata.into_iter().flatten() {
        // The emptiest fold, the first of them: classes go round in turn, for strata come in order.
        let fold = (0..k).min_by_key(|&fold| folds[fold].len()).expect("there are two folds at least");
        folds[fold].extend(group);
    }
    let split = |test: usize| {
        let others = folds.iter().enumerate().filter(|(fold, _)| *fold != test);
        let train = others.flat_map(|(_, images)| images.iter().copied()).collect();
        Split { train, val: vec![], test: folds[test].clone() }.sorted()
    };
    (0..k).map(split).collect()
}

/// Per main class the groups of images that belong together, in random order; where they have names, large ones first, for
/// small ones to make up for them.
fn strata(data: &DataSet, seed: u64, grouping: Option<&Grouping>) -> Result<Vec<Vec<Vec<usize>>>, DataError> {
    let mut together = duplicate_images(&data.samples)?;
    if let Some(grouping) = grouping {
        together = grouping.join(data, &together)?;
    }
    let mut strata: BTreeMap<Option<usize>, Vec<Vec<usize>>> = BTreeMap::new();
    let mut grouped = vec![false; data.samples.len()];
    let mut add = |group: Vec<usize>| {
        // Files that are the same count once.
        let counted = if grouping.is_some() { &group[..] } else { &group[..1] };
        let class = main_class(counted.iter().map(|&index| &data.samples[index]));
        strata.entry(class).or_default().push(group);
    };
    for group in together {
        group.iter().for_each(|&index| grouped[index] = true);
        add(group);
    }
    (0..data.samples.len()).filter(|&index| !grouped[index]).for_each(|index| add(vec![index]));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut strata: Vec<_> = strata.into_values().collect();
    strata.iter_mut().for_each(|groups| groups.shuffle(&mut rng));
    if grouping.is_some() {
        strata.iter_mut().for_each(|groups| groups.sort_by_key(|group| Reverse(group.len())));
    }
    Ok(strata)
}

/// The class of most boxes, the lower of two that are even; none where there is no box.
fn main_class<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Option<usize> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for annotation in samples.into_iter().flat_map(|sample| &sample.annotations) {
        *counts.entry(annotation.class).or_default() += 1;
    }
    counts.into_iter().max_by_key(|&(class, count)| (count, Reverse(class))).map(|(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::super::tests::fake;
    use super::*;
    use proptest::prelude::*;

    /// The fake set with a file for each image; the first two of them the same.
    fn on_disk(per_class: usize) -> (tempfile::TempDir, DataSet) {
        let folder = tempfile::tempdir().unwrap();
        let mut data = fake(per_class);
        for (i, sample) in data.samples.iter_mut().enumerate() {
            sample.image = folder.path().join(&sample.image);
            std::fs::write(&sample.image, i.max(1).to_string()).unwrap();
        }
        (folder, data)
    }

    fn classes_of(data: &DataSet, part: &[usize]) -> [usize; 3] {
        let mut counts = [0; 3];
        part.iter().for_each(|&i| counts[data.samples[i].annotations[0].class] += 1);
        counts
    }

    #[test]
    fn each_class_has_its_share_and_the_main_class_is_that_of_most_boxes() {
        let (_folder, data) = on_disk(20);
        let split = stratified(&data, [0.7, 0.1, 0.2], 3).unwrap();
        assert_eq!(classes_of(&data, &split.train)[1..], [14, 14]);
        assert_eq!(classes_of(&data, &split.val)[1..], [2, 2]);
        let mut sample = data.samples[0].clone();
        assert_eq!(main_class([&sample]), Some(0));
        sample.annotations.push(data.samples[25].annotations[0]);
        assert_eq!(main_class([&sample]), Some(0), "the lower of two");
        sample.annotations.push(data.samples[25].annotations[0]);
        assert_eq!(main_class([&sample]), Some(1));
        sample.annotations.clear();
        assert_eq!(main_class([&sample]), None);
    }

    /// Records name a split by its parameters: if this changes, they are void.
    #[test]
    fn a_split_is_the_same_in_five_years() {
        let (_folder, data) = on_disk(4);
        let split = stratified(&data, [0.5, 0.25, 0.25], 3).unwrap();
        let parts = [split.train, split.val, split.test];
        assert_eq!(parts, [vec![2, 3, 5, 6, 9, 10], vec![0, 1, 4, 8], vec![7, 11]]);
        let folds = k_fold(&data, 3, 3).unwrap();
        let tests: Vec<_> = folds.into_iter().map(|fold| fold.test).collect();
        assert_eq!(tests, [[3, 4, 5, 9], [2, 6, 7, 8], [0, 1, 10, 11]]);
    }

    #[test]
    fn small_classes_are_not_all_rounded_the_same_way() {
        let fractions = [0.7, 0.1, 0.2];
        for per_class in 1..12 {
            let mut owed = [0.0; 3];
            let mut all = [0; 3];
            for _ in 0..20 {
                let counts = shares(per_class, fractions, &mut owed);
                assert_eq!(counts.iter().sum::<usize>(), per_class);
                for (part, count) in counts.iter().enumerate() {
                    assert!((*count as f64 - fractions[part] * per_class as f64).abs() < 2.0);
                    all[part] += count;
                }
            }
            for (part, count) in all.iter().enumerate() {
                assert!((*count as f64 - fractions[part] * 20.0 * per_class as f64).abs() < 1.0, "{all:?}");
            }
        }
        assert_eq!(shares(300, [0.64, 0.16, 0.2], &mut [0.0; 3]), [192, 48, 60]);
        assert_eq!(shares(20, fractions, &mut [0.0; 3]), [14, 2, 4]);
    }

    #[test]
    fn what_cannot_be_split_is_refused() {
        let (_folder, data) = on_disk(2);
        assert!(stratified(&data, [0.5, 0.2, 0.2], 0).unwrap_err().to_string().contains("add up to"));
        assert!(stratified(&data, [1.5, -0.5, 0.0], 0).is_err());
        let few = stratified(&data, [0.98, 0.01, 0.01], 0).unwrap_err().to_string();
        assert!(few.contains("of 6 images none is left for val, a part of 0.01"), "{few}");
        assert!(k_fold(&data, 1, 0).is_err() && k_fold(&data, 7, 0).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn every_image_is_in_one_part_and_duplicates_together(seed in any::<u64>(), k in 2usize..5) {
            let (_folder, data) = on_disk(7);
            let mut splits = k_fold(&data, k, seed).unwrap();
            prop_assert_eq!(splits.iter().map(|s| s.test.len()).sum::<usize>(), 21);
            for class in 0..3 {
                let counts: Vec<_> = splits.iter().map(|s| classes_of(&data, &s.test)[class]).collect();
                prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 2);
            }
            splits.push(stratified(&data, [0.6, 0.2, 0.2], seed).unwrap());
            for split in splits {
                for part in [&split.train, &split.val, &split.test] {
                    prop_assert_eq!(part.contains(&0), part.contains(&1));
                }
                let mut all = [split.train, split.val, split.test].concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..21).collect::<Vec<_>>());
            }
        }

        #[test]
        fn the_seed_alone_decides(seed in any::<u64>()) {
            let (_folder, data) = on_disk(7);
            let split = || stratified(&data, [0.6, 0.2, 0.2], seed).unwrap();
            prop_assert_eq!(split(), split());
        }
    }
}
