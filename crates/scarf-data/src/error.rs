use std::fmt;
use std::path::{Path, PathBuf};

use scarf_core::Size;

use crate::files::ENDINGS;

/// Where in a text: the line and the column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: u32,
    /// The character within the line, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Place {
    /// The place of a byte of the text.
    pub(crate) fn of(text: &[u8], byte: usize) -> Self {
        let before = &text[..byte.min(text.len())];
        let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|&&b| b == b'\n').count() as u32 + 1;
        // A continuation byte of UTF-8 is not a character of its own.
        let column = before[start..].iter().filter(|&&b| b & 0xC0 != 0x80).count() as u32 + 1;
        Self { line, column }
    }
}

/// Why a data set could not be read or written. Every message names the file, and the place in it
/// where there is one (`file:line:column`).
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, such as `read`.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// An annotation file says something wrong.
    #[error("{}:{place}: {problem}", path.display())]
    Annotation {
        /// The annotation file.
        path: PathBuf,
        /// Where in it.
        place: Place,
        /// What is wrong, and what would be right.
        problem: Problem,
    },
    /// An annotation file without an image of its stem.
    #[error("{}: no image `{stem}.jpg` (nor .{}) in {}; files are paired by their stem", path.display(), ENDINGS[1..].join(", ."), images.display())]
    NoImage {
        /// The annotation file.
        path: PathBuf,
        /// Its stem.
        stem: String,
        /// The folder of the images.
        images: PathBuf,
    },
    /// An image without an annotation file of its stem.
    #[error("{}: no annotation `{stem}.xml` in {}; an image without objects has a file without <object>", path.display(), annotations.display())]
    NoAnnotation {
        /// The image.
        path: PathBuf,
        /// Its stem.
        stem: String,
        /// The folder of the annotations.
        annotations: PathBuf,
    },
    /// Two images of the same stem.
    #[error("{}: another image has the stem `{stem}` too ({}); a stem names one image", path.display(), other.display())]
    TwoImages {
        /// The second image.
        path: PathBuf,
        /// Their stem.
        stem: String,
        /// The first image.
        other: PathBuf,
    },
    /// A file that should be an image cannot be decoded.
    #[error("{}: cannot be taken as an image: {reason}", path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// What the decoder said, or what is wrong with it.
        reason: String,
    },
    /// A decoded image has another size than its sample says.
    #[error("{}: decodes to {}x{}, but its sample says {}x{}", path.display(), found.width, found.height, expected.width, expected.height)]
    DecodedSize {
        /// The image.
        path: PathBuf,
        /// The size it decodes to.
        found: Size,
        /// The size of its sample.
        expected: Size,
    },
    /// No image in the folder.
    #[error("{}: no sample could be read from it; expected {expected}", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
        /// What should be there.
        expected: String,
    },
    /// The folder is not the data set that the catalog describes.
    #[error("{}: {reason}", path.display())]
    Catalog {
        /// The folder, or the description.
        path: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A split that cannot be made.
    #[error("cannot split: {reason}")]
    Split {
        /// Empty: a split is not a file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

impl DataError {
    /// The file or folder that was wrong.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Annotation { path, .. }
            | Self::NoImage { path, .. }
            | Self::NoAnnotation { path, .. }
            | Self::TwoImages { path, .. }
            | Self::Image { path, .. }
            | Self::DecodedSize { path, .. }
            | Self::Empty { path, .. }
            | Self::Catalog { path, .. }
            | Self::Split { path, .. } => path,
        }
    }

    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, action, source }
    }
}

/// What is wrong at one place of an annotation file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// Not well-formed, or not of the form that was expected.
    #[error("{0}")]
    Malformed(String),
    /// A tag is not there.
    #[error("<{parent}> has no <{tag}>")]
    Missing {
        /// The tag that should hold it.
        parent: String,
        /// The tag that is missing.
        tag: &'static str,
    },
    /// A text that is not a number, or not one in range.
    #[error("<{tag}> is `{found}`, expected {expected}")]
    Value {
        /// The tag.
        tag: String,
        /// Its text.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A class that the data set does not have.
    #[error("unknown class `{found}`; {}the classes are {}", nearest.as_ref().map_or(String::new(), |n| format!("did you mean `{n}`? ")), known.join(", "))]
    UnknownClass {
        /// The name found.
        found: String,
        /// The class whose name is nearest, where one is near.
        nearest: Option<String>,
        /// All classes.
        known: Vec<String>,
    },
    /// A box without an area.
    #[error("the box ({0}, {1}, {2}, {3}) has no area; expected xmin < xmax and ymin < ymax", bbox[0], bbox[1], bbox[2], bbox[3])]
    Degenerate {
        /// xyxy.
        bbox: [f64; 4],
    },
    /// A box that is not within its image.
    #[error("the box ({0}, {1}, {2}, {3}) reaches outside the image of {w}x{h}; expected 0 <= x <= {w} and 0 <= y <= {h}", bbox[0], bbox[1], bbox[2], bbox[3], w = size.width, h = size.height)]
    Outside {
        /// xyxy.
        bbox: [f64; 4],
        /// Of the image.
        size: Size,
    },
    /// The annotation says another size than the image has.
    #[error("<size> says {}x{}, but the image has {}x{} pixels", says.width, says.height, has.width, has.height)]
    Size {
        /// The size in the annotation.
        says: Size,
        /// The size of the image.
        has: Size,
    },
}

impl Problem {
    /// A class that is not among the known, with the nearest of them.
    pub(crate) fn unknown_class(found: &str, known: &[String]) -> Self {
        let nearest = known
            .iter()
            .map(|name| (edits(found, name), name))
            .min()
            .filter(|(distance, name)| *distance <= name.chars().count().max(3) / 2)
            .map(|(_, name)| name.clone());
        Self::UnknownClass { found: found.into(), nearest, known: known.to_vec() }
    }
}

/// Levenshtein's distance: insertions, deletions and replacements from one text to the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_between_words() {
        assert_eq!([edits("kitten", "sitting"), edits("", "abc"), edits("same", "same")], [3, 3, 0]);
    }

    #[test]
    fn the_nearest_class_is_named_only_if_it_is_near() {
        let known = ["crazing".to_string(), "patches".to_string()];
        let text = Problem::unknown_class("patch", &known).to_string();
        assert_eq!(text, "unknown class `patch`; did you mean `patches`? the classes are crazing, patches");
        assert!(!Problem::unknown_class("zzzzzzzzz", &known).to_string().contains("did you mean"));
    }

    #[test]
    fn places_count_characters_from_one() {
        let text = "a\nbé|c".as_bytes();
        let at = text.iter().position(|&b| b == b'|').unwrap();
        assert_eq!(Place::of(text, at), Place { line: 2, column: 3 });
        assert_eq!(Place::of(text, 0), Place { line: 1, column: 1 });
    }
}
