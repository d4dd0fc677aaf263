use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Split;
use crate::voc::at;
use crate::{DataError, DataSet, Place, Problem, Skipped, files};

/// Files that say which images are in which part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lists {
    /// To fit the weights.
    pub train: PathBuf,
    /// To choose between models; nobody, where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val: Option<PathBuf>,
    /// To report on; nothing, where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
}

impl Lists {
    /// The same, of a folder.
    pub fn within(&self, folder: &Path) -> Self {
        let within = |path: &PathBuf| folder.join(path);
        Self {
            train: within(&self.train),
            val: self.val.as_ref().map(within),
            test: self.test.as_ref().map(within),
        }
    }

    /// Each file, and the name of its part.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let all = [("train", Some(&self.train)), ("val", self.val.as_ref()), ("test", self.test.as_ref())];
        all.into_iter().filter_map(|(part, path)| Some((part, path?.as_path())))
    }
}

/// Splits as lists say: an image a line, by its stem or the name of its file; folders before it, blank lines, and the `1` or
/// `-1` behind it of the lists of Pascal VOC's ImageSets/Main are passed over. Images in no list are in no part, and what
/// was left out of the set may stand in them.
///
/// # Errors
/// With file and line: a name that no image has, or that stands in a line before or in another list; a file that cannot be
/// read, or holds no name.
pub fn listed(data: &DataSet, skipped: &[Skipped], lists: &Lists) -> Result<Split, DataError> {
    let names = Names::new(data, skipped);
    let mut taken = HashMap::new();
    let mut read = |path: &PathBuf| names.read(path, &mut taken);
    let train = read(&lists.train)?;
    let val = lists.val.as_ref().map(&mut read).transpose()?.unwrap_or_default();
    let test = lists.test.as_ref().map(&mut read).transpose()?.unwrap_or_default();
    Ok(Split { train, val, test }.sorted())
}

/// What an image may be called.
struct Names<'a> {
    data: &'a DataSet,
    stems: HashMap<&'a str, usize>,
    files: HashMap<String, usize>,
    /// Stems of what was left out.
    skipped: Vec<String>,
}

/// What a line says.
enum Named {
    Image(usize),
    LeftOut,
}

impl<'a> Names<'a> {
    fn new(data: &'a DataSet, skipped: &[Skipped]) -> Self {
        let samples = || data.samples.iter().enumerate();
        let file = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            data,
            stems: samples().map(|(index, sample)| (sample.name.as_str(), index)).collect(),
            files: samples().map(|(index, sample)| (file(&sample.image), index)).collect(),
            skipped: skipped.iter().map(|skipped| files::stem(&skipped.path)).collect(),
        }
    }

    /// The image of that name; nothing where there is none.
    fn find(&self, name: &str) -> Option<Named> {
        let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
        let found = |name| self.stems.get(name).or_else(|| self.files.get(name));
        if let Some(&index) = found(name).or_else(|| found(last)) {
            return Some(Named::Image(index));
        }
        let stem = files::stem(Path::new(last));
        self.skipped.iter().any(|skipped| *skipped == last || *skipped == stem).then_some(Named::LeftOut)
    }

    /// The images of a list; `taken` has the file and the line of those that were listed before.
    fn read(&self, path: &Path, taken: &mut HashMap<usize, (PathBuf, u32)>) -> Result<Vec<usize>, DataError> {
        let bytes = files::read(path)?;
        let malformed = |place, what| at(path, place)(Problem::Malformed(what));
        let mut images = Vec::new();
        for (name, line) in files::lines(files::text(path, &bytes)?) {
            let place = Place { line, column: 1 };
            // A name may have spaces, too.
            let plain =
                name.rsplit_once(char::is_whitespace).filter(|(_, flag)| ["1", "-1", "0"].contains(flag));
            let plain = plain.map(|(name, _)| name.trim_end());
            let named = self.find(name).or_else(|| self.find(plain?)).ok_or_else(|| {
                let name = plain.unwrap_or(name);
                let what =
                    format!("no image has the stem or the name `{name}`; expected one of the set a line");
                malformed(place, what)
            })?;
            let Named::Image(index) = named else { continue };
            let name = &self.data.samples[index].name;
            match taken.insert(index, (path.into(), line)) {
                Some((other, before)) if other == path => {
                    let what = format!("`{name}` stands in line {before} already; expected each image once");
                    return Err(malformed(place, what));
                }
                Some((other, before)) => {
                    let other = other.display();
                    let what = format!("`{name}` is in {other}:{before} too; an image belongs to one part");
                    return Err(malformed(place, what));
                }
                None => images.push(index),
            }
        }
        if images.is_empty() {
            let expected = "the stem of an image a line".into();
            return Err(DataError::Empty { path: path.into(), expected });
        }
        Ok(images)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fake;
    use super::*;

    /// The split of nine images (`a_0` to `c_2`) by lists of these texts, what is said of it without the folder's name.
    fn split(train: &str, val: Option<&str>, test: &str) -> Result<Split, String> {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let lists = Lists {
            train: write("train.txt", train),
            val: val.map(|text| write("val.txt", text)),
            test: Some(write("test.txt", test)),
        };
        let mut data = fake(3);
        data.samples[8].name = "plate 1".into();
        let skipped = [Skipped { path: "ANNOTATIONS/gone.xml".into(), reason: String::new() }];
        let before = format!("{}/", folder.path().display());
        listed(&data, &skipped, &lists).map_err(|error| error.to_string().replace(&before, ""))
    }

    #[test]
    fn a_line_names_an_image_by_its_stem_or_file() {
        let found =
            split("\u{feff}b_0  1\r\n\r\na_0 -1\nplate 1\n", None, "images/0_1.png\n./gone.png\n").unwrap();
        assert_eq!(found, Split { train: vec![0, 3, 8], val: vec![], test: vec![1] });
        let found = split("a_0\ngone", Some("\na_1"), "plate 1 1").unwrap();
        assert_eq!(found, Split { train: vec![0], val: vec![1], test: vec![8] });
    }

    #[test]
    fn what_is_wrong_is_refused_with_file_and_line() {
        let said = |train, val, test| split(train, val, test).unwrap_err();
        assert!(
            said("a_0\n\na_9 1", None, "a_1")
                .starts_with("train.txt:3:1: no image has the stem or the name `a_9`")
        );
        let twice = said("a_0\na_1\na_0", None, "b_0");
        assert_eq!(twice, "train.txt:3:1: `a_0` stands in line 1 already; expected each image once");
        let over = said("a_0\na_1", Some("b_1\nb_2\na_1"), "b_0");
        assert_eq!(over, "val.txt:3:1: `a_1` is in train.txt:2 too; an image belongs to one part");
        assert!(said("a_0", Some(" \n"), "b_0").starts_with("val.txt: no sample could be read from it"));
        let none = Lists { train: "nowhere.txt".into(), ..Lists::default() };
        assert!(
            listed(&fake(1), &[], &none).unwrap_err().to_string().starts_with("nowhere.txt: cannot read")
        );
    }
}
