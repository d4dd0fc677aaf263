use std::collections::BTreeMap;

use regex::Regex;

use super::refuse;
use crate::{DataError, DataSet};

/// Tells by an image's name what it is a photograph of (a part, a coil, a lot), so that photographs of one thing stay
/// together: what was learnt from one would be tested on the next.
#[derive(Clone, Debug)]
pub struct Grouping(Regex);

impl Grouping {
    /// A pattern for the names of samples (the stems of their files): its first group in parentheses, or where it has none
    /// all that it matches, names the thing. It may match anywhere in the name.
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub fn new(pattern: &str) -> Result<Self, String> {
        Regex::new(pattern).map(Self).map_err(|error| error.to_string())
    }

    /// What each sample is a photograph of.
    fn names<'a>(&self, data: &'a DataSet) -> Result<Vec<&'a str>, DataError> {
        let group = self.0.captures_len().min(2) - 1;
        let name = |name: &'a str| self.0.captures(name)?.get(group).map(|found| found.as_str());
        let names = data.samples.iter().map(|sample| name(&sample.name));
        names.collect::<Option<Vec<_>>>().ok_or_else(|| {
            let mut without = data.samples.iter().filter(|sample| name(&sample.name).is_none());
            let first = without.next().map_or("", |sample| &sample.name);
            let more = match without.count() {
                0 => String::new(),
                more => format!(" (nor {more} names more)"),
            };
            refuse(format!(
                "the pattern of groups, `{}`, does not match the name `{first}`{more}; expected one that tells of every \
                 image what it belongs to",
                self.0
            ))
        })
    }

    /// The groups of more than one image, in order: what has one name, and what the groups `together` join.
    pub(super) fn join(&self, data: &DataSet, together: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, DataError> {
        let mut first = BTreeMap::new();
        let names = self.names(data)?.into_iter().enumerate();
        // Each image points to an earlier one that it belongs to, or to itself.
        let mut root: Vec<usize> = names.map(|(index, name)| *first.entry(name).or_insert(index)).collect();
        for group in together {
            let roots: Vec<usize> = group.iter().map(|&index| root[index]).collect();
            let least = roots.iter().copied().min().unwrap_or_default();
            root.iter_mut().filter(|at| roots.contains(at)).for_each(|at| *at = least);
        }
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        root.iter().enumerate().for_each(|(index, &at)| groups.entry(at).or_default().push(index));
        Ok(groups.into_values().filter(|group| group.len() > 1).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fake;
    use super::super::{k_fold_in_groups, stratified, stratified_in_groups};
    use super::*;
    use proptest::prelude::*;

    /// Three classes of `parts` parts, each photographed `photographs` times, with a file for each; the first photographs of
    /// the first two parts are the same.
    fn photographs(parts: usize, photographs: usize) -> (tempfile::TempDir, DataSet) {
        let folder = tempfile::tempdir().unwrap();
        let mut data = fake(parts * photographs);
        for (index, sample) in data.samples.iter_mut().enumerate() {
            let class = sample.annotations[0].class;
            let within = index % (parts * photographs);
            sample.name = format!("part{class}{:02}_{}", within / photographs, within % photographs);
            sample.image = folder.path().join(&sample.name);
            let text = if index == photographs { "0".into() } else { index.to_string() };
            std::fs::write(&sample.image, text).unwrap();
        }
        (folder, data)
    }

    fn part(data: &DataSet, index: usize) -> String {
        data.samples[index].name.split('_').next().unwrap().into()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn what_belongs_together_stays_together(seed in any::<u64>(), whole in any::<bool>()) {
            let (_folder, data) = photographs(8, 5);
            let grouping = Grouping::new(if whole { "^part[0-9]+" } else { "^(part[0-9]+)_" }).unwrap();
            let mut splits = k_fold_in_groups(&data, 4, seed, &grouping).unwrap();
            for split in &splits {
                prop_assert!((25..=35).contains(&split.test.len()), "{}", split.test.len());
            }
            splits.push(stratified_in_groups(&data, [0.6, 0.2, 0.2], seed, &grouping).unwrap());
            let last = &splits[4];
            prop_assert!(last.train.len().abs_diff(72) <= 5, "{}", last.train.len());
            prop_assert!(last.val.len().abs_diff(24) <= 5 && last.test.len().abs_diff(24) <= 5);
            for split in &splits {
                let parts = [&split.train, &split.val, &split.test];
                let places = |name: &str| {
                    parts.iter().filter(|part_of| part_of.iter().any(|&i| part(&data, i) == name)).count()
                };
                for sample in &data.samples {
                    prop_assert_eq!(places(sample.name.split('_').next().unwrap()), 1);
                }
                // Of the same file: one side, though they have two names.
                for side in parts {
                    prop_assert_eq!(side.contains(&0), side.contains(&5));
                }
                let mut all = parts.map(Vec::clone).concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..120).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn few_groups_are_enough_where_there_is_one_for_each_part() {
        let (_folder, data) = photographs(2, 4);
        let grouping = Grouping::new("^part([0-9])").unwrap();
        let split = stratified_in_groups(&data, [0.7, 0.1, 0.2], 1, &grouping).unwrap();
        assert_eq!([split.train.len(), split.val.len(), split.test.len()], [8, 8, 8]);
        let split = stratified_in_groups(&data, [0.5, 0.0, 0.5], 1, &grouping).unwrap();
        assert!(split.val.is_empty() && !split.test.is_empty());
        let one = Grouping::new("^part").unwrap();
        let error = stratified_in_groups(&data, [0.5, 0.0, 0.5], 1, &one).unwrap_err().to_string();
        assert!(error.contains("of 24 images of 1 groups none is left for test"), "{error}");
        let error = k_fold_in_groups(&data, 4, 1, &grouping).unwrap_err().to_string();
        assert!(error.contains("4 folds of 3 groups"), "{error}");
    }

    #[test]
    fn a_name_that_tells_no_group_is_refused() {
        let (_folder, data) = photographs(2, 4);
        let grouping = Grouping::new("^part(?:0|1)([0-9]+)").unwrap();
        let error = stratified_in_groups(&data, [0.5, 0.0, 0.5], 1, &grouping).unwrap_err().to_string();
        assert!(error.contains("does not match the name `part200_0` (nor 7 names more)"), "{error}");
        assert!(Grouping::new("(").unwrap_err().contains("unclosed group"));
        assert!(stratified(&data, [0.5, 0.0, 0.5], 1).is_ok(), "without groups any name will do");
    }
}
