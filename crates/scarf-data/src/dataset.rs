use std::path::PathBuf;

use scarf_core::{Annotation, Classes, Size};

use crate::DataError;

/// One image and what was marked on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The stem of the image's file, such as `crazing_1`; unique within a data set.
    pub name: String,
    /// The image's file.
    pub image: PathBuf,
    /// The image's size, read from the file itself.
    pub size: Size,
    /// The objects in the order of their file; none is legal.
    pub annotations: Vec<Annotation>,
}

/// Images with boxes over one list of classes.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSet {
    /// What the `class` of an annotation counts.
    pub classes: Classes,
    /// In lexicographic order of their names (bytes), so that `crazing_10` comes before `crazing_2`.
    pub samples: Vec<Sample>,
}

impl DataSet {
    /// The samples put in order of their names.
    pub fn new(classes: Classes, mut samples: Vec<Sample>) -> Self {
        samples.sort_by(|a, b| a.name.cmp(&b.name));
        Self { classes, samples }
    }

    /// The samples at these indices, in the order of the indices.
    ///
    /// # Panics
    /// Where an index is not below the number of samples, as with a slice.
    pub fn subset(&self, indices: &[usize]) -> Self {
        let samples = indices.iter().map(|&index| self.samples[index].clone()).collect();
        Self { classes: self.classes.clone(), samples }
    }

    /// The number of boxes on all images.
    pub fn boxes(&self) -> usize {
        self.samples.iter().map(|sample| sample.annotations.len()).sum()
    }
}

/// What to do about a file that is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBad {
    /// Stop with its error.
    #[default]
    Fail,
    /// Leave the image and its annotation out, and list them.
    Skip,
}

/// A file that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The file that was wrong.
    pub path: PathBuf,
    /// What was wrong with it.
    pub reason: String,
}

/// Gathers samples, and what is left out where that is allowed.
pub(crate) struct Gather {
    on_bad: OnBad,
    samples: Vec<Sample>,
    skipped: Vec<Skipped>,
}

impl Gather {
    pub(crate) fn new(on_bad: OnBad) -> Self {
        Self { on_bad, samples: Vec::new(), skipped: Vec::new() }
    }

    pub(crate) fn take(&mut self, sample: Result<Sample, DataError>) -> Result<(), DataError> {
        match (sample, self.on_bad) {
            (Ok(sample), _) => self.samples.push(sample),
            (Err(error), OnBad::Fail) => return Err(error),
            (Err(error), OnBad::Skip) => {
                self.skipped.push(Skipped { path: error.path().to_path_buf(), reason: error.to_string() });
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self, classes: Classes) -> (DataSet, Vec<Skipped>) {
        (DataSet::new(classes, self.samples), self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str) -> Sample {
        Sample {
            name: name.into(),
            image: format!("{name}.png").into(),
            size: Size::new(4, 4),
            annotations: vec![],
        }
    }

    #[test]
    fn samples_are_in_order_and_a_subset_in_the_order_asked_for() {
        let classes = Classes::new(["a"]).unwrap();
        let data = DataSet::new(classes, vec![sample("a_2"), sample("a_10"), sample("a_1")]);
        let names: Vec<_> = data.samples.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["a_1", "a_10", "a_2"]);
        assert_eq!(data.subset(&[2, 0]).samples, [sample("a_2"), sample("a_1")]);
    }
}
