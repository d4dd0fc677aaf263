//! What was faulty in the published study, done again on request, so that its effect can be told.

use anyhow::{Result, bail};
use scarf_core::{BBox, Detection};
use scarf_data::{DataSet, Split, split};
use serde::{Deserialize, Serialize};

/// A fault of the published study's DDN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// Learns from DDN's own 1,080 images of NEU-DET and chooses by its 360, whatever the split: of the study's 360
    /// test images 214 and 82 are among them.
    TrainsOnTest,
    /// Every box that is learnt from or chosen by has the class that its image is named after.
    FolderClasses,
    /// Every box that is learnt from or chosen by lies a pixel further left and up than it does.
    PixelShift,
    /// The corners of what is found on test images are read as corner, width and height.
    MisreadCorners,
}

/// Faults, each at most once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the faults can be done to that set.
    pub(crate) fn check(&self, set: &str) -> Result<()> {
        if self.has(Fault::TrainsOnTest) && set != "neu-det" {
            bail!("`faults` has \"trains_on_test\", which is for NEU-DET; the set is {set}");
        }
        Ok(())
    }

    fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    /// Puts DDN's own images in the place of those to learn from and to choose by.
    pub(crate) fn leak(&self, set: &DataSet, split: &mut Split) {
        if self.has(Fault::TrainsOnTest) {
            [split.train, split.val] = split::ddn_split(set);
        }
    }

    /// The set as it is learnt from and chosen by, where that is not as it is.
    pub(crate) fn mislabel(&self, set: &DataSet) -> Option<DataSet> {
        let (classes, shift) = (self.has(Fault::FolderClasses), self.has(Fault::PixelShift));
        if !classes && !shift {
            return None;
        }
        let mut wrong = set.clone();
        for sample in &mut wrong.samples {
            let class = set.named_after(sample).filter(|_| classes);
            for annotation in &mut sample.annotations {
                annotation.class = class.unwrap_or(annotation.class);
                if shift {
                    annotation.bbox = annotation.bbox.translate(-1.0, -1.0);
                }
            }
        }
        Some(wrong)
    }

    /// What was found on test images, as it is scored.
    pub(crate) fn misread(&self, found: Vec<Vec<Detection>>) -> Vec<Vec<Detection>> {
        if !self.has(Fault::MisreadCorners) {
            return found;
        }
        let misread = |d: Detection| {
            let [x1, y1, x2, y2] = d.bbox.to_array();
            Detection { bbox: BBox::from_xywh(x1, y1, x2, y2), ..d }
        };
        found.into_iter().map(|on_image| on_image.into_iter().map(misread).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use scarf_data::{ImageCache, OnBad, catalog};
    use scarf_train::{Samples, score};

    use super::*;

    fn of(json: &str) -> Faults {
        serde_json::from_str(json).unwrap()
    }

    /// AP, AP50 and AP75 on the study's test images of a detector that finds all that is there, in a list of labels.
    fn perfect(set: &DataSet, labels: &DataSet, test: &[usize], faults: &Faults) -> [f64; 3] {
        let found = |&index: &usize| {
            let there = labels.samples[index].annotations.iter();
            there.map(|a| Detection { bbox: a.bbox.to_f32(), class: a.class, score: 1.0 }).collect::<Vec<_>>()
        };
        let found = faults.misread(test.iter().map(found).collect());
        let images = ImageCache::load(&[]).unwrap();
        let report = score(Samples { images: &images, set, indices: test }, &found).unwrap();
        [0, 1, 2].map(|number| report.stats()[number].unwrap())
    }

    /// The figures that others have worked out of the published study's faults.
    #[test]
    fn faults_cost_what_is_told_of_them() {
        let Some(folder) = std::env::var_os("SCARF_DATA") else {
            eprintln!("not tested: SCARF_DATA is not set");
            return;
        };
        let (set, _) = catalog::get("neu-det").unwrap().load(Path::new(&folder), OnBad::Fail).unwrap();
        let mut split = split::study_split(&set);
        let test = split.test.clone();
        let none = Faults::default();
        none.leak(&set, &mut split);
        assert_eq!((split.train.len(), none.mislabel(&set)), (1152, None));
        let all = of(r#"["trains_on_test", "folder_classes", "pixel_shift", "misread_corners"]"#);
        all.leak(&set, &mut split);
        let among = |part: &[usize]| part.iter().filter(|&index| test.contains(index)).count();
        assert_eq!((split.train.len(), split.val.len(), &split.test), (1080, 360, &test));
        assert_eq!((among(&split.train), among(&split.val)), (214, 82));

        let near = |found: [f64; 3], told: [f64; 3]| {
            assert!(found.iter().zip(told).all(|(a, b)| (a - b).abs() < 6e-4), "{found:?} {told:?}");
        };
        near(perfect(&set, &set, &test, &none), [1.0, 1.0, 1.0]);
        let misread = perfect(&set, &set, &test, &of(r#"["misread_corners"]"#));
        near([misread[0], misread[1], 0.0], [0.082, 0.159, 0.0]);
        let shifted = of(r#"["pixel_shift"]"#).mislabel(&set).unwrap();
        near(perfect(&set, &shifted, &test, &none), [0.876, 1.0, 1.0]);

        let filed = of(r#"["folder_classes"]"#).mislabel(&set).unwrap();
        let pairs = set
            .samples
            .iter()
            .zip(&filed.samples)
            .flat_map(|(a, b)| a.annotations.iter().zip(&b.annotations));
        assert_eq!(pairs.filter(|(a, b)| a.class != b.class).count(), 188);
    }

    #[test]
    fn faults_without_sense_are_named() {
        let message = of(r#"["trains_on_test"]"#).check("synthetic-steel").unwrap_err().to_string();
        assert!(message.contains("the set is synthetic-steel"), "{message}");
        assert!(of(r#"["folder_classes", "pixel_shift"]"#).check("synthetic-steel").is_ok());
        assert!(serde_json::from_str::<Faults>(r#"["off_by_one"]"#).is_err());
    }
}
