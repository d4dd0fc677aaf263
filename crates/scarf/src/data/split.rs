//! How a data set is split, as settings say it.

use std::path::{Component, Path};

use anyhow::{Result, anyhow, bail};
use scarf_data::split::{self, Grouping, Lists};
use scarf_data::{DataSet, Skipped, Split};
use serde::{Deserialize, Serialize};

use super::LearnFrom;
use crate::settings::Part;

/// How a set is split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum SplitSettings {
    /// The published study's own.
    Study,
    /// By class, at random from a seed.
    Stratified {
        /// Share to learn from.
        train: f64,
        /// Share to choose by.
        val: f64,
        /// Share to report on.
        test: f64,
        /// Another seed, another split.
        #[serde(default)]
        seed: u64,
        /// A regular expression for the stems of images: photographs of which it says the same, by its first group in
        /// parentheses (or where it has none, by all that it matches), are of one thing and stay on one side.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// One fold of a cross-validation: it is reported on, all others are learnt from. There are no images to
    /// choose an epoch by, so the last one counts.
    Fold {
        /// How many folds there are, from 2.
        of: usize,
        /// Which of them, from 0. Where left out, that of the run's seed (seed 7 of 5 folds is fold 2): an approach with
        /// the seeds 0 to 4 is a whole cross-validation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<usize>,
        /// Another seed, other folds.
        #[serde(default)]
        seed: u64,
        /// What belongs together, as for `stratified`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// By lists in the data folder, an image a line (its stem, or its file's name; the lists of Pascal VOC's ImageSets/Main are
    /// such). Images in none of them are in no part; without `val` the last epoch counts.
    ///
    /// As with images and labels, a run's id has the files' names and not what they say; what they said is part of the
    /// fingerprint in its `result.json`, and a study does not go on with other lists.
    Lists(Lists),
}

/// An error where a path leads out of the data folder.
fn check_paths(lists: &Lists) -> Result<()> {
    let here =
        |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if let Some((part, path)) = lists.files().find(|(_, path)| !here(path)) {
        bail!(
            "split.lists.{part} is `{}`; a path within the data folder is needed, that is the same on every machine",
            path.display()
        );
    }
    Ok(())
}

/// An error where a list is not there.
pub(super) fn check_files(lists: &Lists) -> Result<()> {
    if let Some((_, path)) = lists.files().find(|(_, path)| !path.is_file()) {
        bail!("{}: no such file; data.split.lists says what they are called", path.display());
    }
    Ok(())
}

impl SplitSettings {
    /// Whether the numbers, the pattern and the paths are what they should be.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Fold { of, .. } if *of < 2 => {
                bail!("split.fold.of is {of}; a cross-validation has 2 folds or more")
            }
            Self::Fold { of, number: Some(number), .. } if number >= of => {
                bail!("split.fold.number is {number}; the folds are 0 to {}", of - 1)
            }
            Self::Stratified { train, val, test, .. } if !split::are_parts([*train, *val, *test]) => {
                let all = [train, val, test];
                bail!("split.stratified is {all:?}; three parts of 0 to 1 that add up to 1 are needed");
            }
            Self::Lists(lists) => check_paths(lists),
            _ => self.grouping().map(|_| ()),
        }
    }

    /// Whether there are the parts that a run needs.
    pub(super) fn check_parts(&self, on: LearnFrom, scored: &[Part]) -> Result<()> {
        let (key, val, test) = match self {
            Self::Study => ("study", true, true),
            Self::Stratified { val, test, .. } => ("stratified", *val > 0.0, *test > 0.0),
            Self::Fold { .. } => ("fold", false, true),
            Self::Lists(lists) => ("lists", lists.val.is_some(), lists.test.is_some()),
        };
        let alone = "the run is scored on the validation images alone, as what is begun from, trials of a search and \
                     ablations are";
        if !test && scored.contains(&Part::Test) {
            bail!("split.{key} has no `test`, and the run is scored on the test images: say which they are");
        }
        if !val && on == LearnFrom::TrainAndVal && matches!(self, Self::Lists(_)) {
            bail!("split.{key} has no `val`, and `on` is \"train+val\": say which the validation images are");
        }
        if scored == [Part::Val] && !val {
            bail!("split.{key} has no `val`, and {alone}: give it another split");
        }
        if scored == [Part::Val] && on == LearnFrom::TrainAndVal {
            bail!(
                "`on` is \"train+val\", which leaves no validation images, and {alone}: it learns from \"train\""
            );
        }
        Ok(())
    }

    /// The lists, where it is by some.
    pub(super) fn lists(&self) -> Option<&Lists> {
        match self {
            Self::Lists(lists) => Some(lists),
            _ => None,
        }
    }

    /// The key that means names of photographs, which images that are drawn have not.
    pub(super) fn of_photographs(&self) -> Option<&'static str> {
        match self {
            Self::Lists(_) => Some("lists"),
            Self::Stratified { group: Some(_), .. } => Some("stratified.group"),
            Self::Fold { group: Some(_), .. } => Some("fold.group"),
            _ => None,
        }
    }

    fn grouping(&self) -> Result<Option<Grouping>> {
        let (key, group) = match self {
            Self::Stratified { group, .. } => ("stratified", group),
            Self::Fold { group, .. } => ("fold", group),
            _ => return Ok(None),
        };
        let grouping = group.as_ref().map(|pattern| {
            Grouping::new(pattern).map_err(|error| {
                anyhow!("split.{key}.group is `{pattern}`, which is no regular expression: {error}")
            })
        });
        grouping.transpose()
    }

    /// Splits a set, for a run with this seed; lists lie in the data folder.
    pub(super) fn make(
        &self,
        set: &DataSet,
        skipped: &[Skipped],
        run_seed: u64,
        folder: Result<&Path>,
    ) -> Result<Split> {
        let grouping = self.grouping()?;
        Ok(match (self, &grouping) {
            (Self::Study, _) => split::study_split(set),
            (Self::Stratified { train, val, test, seed, .. }, None) => {
                split::stratified(set, [*train, *val, *test], *seed)?
            }
            (Self::Stratified { train, val, test, seed, .. }, Some(grouping)) => {
                split::stratified_in_groups(set, [*train, *val, *test], *seed, grouping)?
            }
            (Self::Fold { of, number, seed, .. }, grouping) => {
                let number = number.unwrap_or_else(|| (run_seed % (*of).max(1) as u64) as usize);
                let mut folds = match grouping {
                    None => split::k_fold(set, *of, *seed)?,
                    Some(grouping) => split::k_fold_in_groups(set, *of, *seed, grouping)?,
                };
                folds.swap_remove(number)
            }
            (Self::Lists(lists), _) => split::listed(set, skipped, &lists.within(folder?))?,
        })
    }
}
