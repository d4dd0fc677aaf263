//! How a study was run, for those who want to do so again.

use crate::files::{read_if_there, write_atomic};
use crate::{Error, Given, Study, Weights};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How a study was run; `how.json` in its folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct How {
    /// The command, as it can be typed.
    pub command: String,
    /// The commit of scarf, or `version 0.1.0` where the program that ran it knows no commit; several with commas
    /// between where runs were added later.
    pub revision: String,
    /// Whether the study was shrunk to a check.
    pub shrink: bool,
    /// Whether a data folder was given.
    pub data: bool,
    /// The published weights that runs began from, where a weights folder was given.
    pub weights: Option<Vec<String>>,
}

impl How {
    /// How `study` is run now, with what is given.
    pub fn new(command: String, revision: String, study: &Study, given: &Given) -> Self {
        let weights = given.weights.as_ref().map(|_| study.weights());
        Self { command, revision, shrink: given.shrink, data: given.data.is_some(), weights }
    }

    /// Whether of scarf its version is known, and no commit.
    pub fn is_version(&self) -> bool {
        self.revision.split(", ").all(|each| each.starts_with("version "))
    }

    /// The same, of runs that were added to those of `before`: that one's commits, and this one's.
    pub fn added_to(&self, before: &Self) -> Self {
        let (before, now) = (&before.revision, &self.revision);
        let revision = match before.split(", ").any(|known| known == now) {
            true => before.clone(),
            false if before.is_empty() => now.clone(),
            false => format!("{before}, {now}"),
        };
        Self { revision, ..self.clone() }
    }

    /// What was given then, as far as it takes to plan the study again.
    pub fn given(&self) -> Given {
        Given {
            shrink: self.shrink,
            data: self.data.then(PathBuf::new),
            weights: self.weights.clone().map(Weights::Named),
        }
    }

    /// The same for others: without places of this machine, and with what was given by variables.
    pub fn published(&self) -> Self {
        let mut command = without_places(&self.command);
        for (option, given) in [("--data", self.data), ("--weights", self.weights.is_some())] {
            if given && !command.contains(option) {
                command += &format!(" {option} DIR");
            }
        }
        Self { command, ..self.clone() }
    }

    /// As it lies in a study's folder; what is known of it where there is none.
    ///
    /// # Errors
    /// Where the file cannot be read or is something else.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("how.json");
        let Some(text) = read_if_there(&path)? else { return Ok(Self::default()) };
        serde_json::from_str(&text).map_err(|error| Error::Parse { path, message: error.to_string() })
    }

    /// Writes it into a study's folder.
    ///
    /// # Errors
    /// Where that is not possible.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).expect("text and booleans") + "\n";
        write_atomic(&folder.join("how.json"), text.as_bytes())
    }
}

/// A text in which of absolute paths the last part alone is left, behind `DIR`. One that is quoted goes to the end of the
/// quotation, any other to the next blank, colon or comma.
pub fn without_places(text: &str) -> String {
    let mut published = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('/') {
        let before = rest[..at].chars().next_back();
        let quote = before.filter(|c| "'\"`".contains(*c));
        // Within a relative path or an address, or a stroke.
        let address = before == Some(':') && rest[at..].starts_with("//");
        let stroke = !rest[at + 1..].starts_with(|c: char| c.is_alphanumeric() || "._-/".contains(c));
        if address || stroke || before.is_some_and(|c| c.is_alphanumeric() || "./_-".contains(c)) {
            let inside = rest[at..].find(char::is_whitespace).map_or(rest.len(), |len| at + len);
            published += &rest[..inside];
            rest = &rest[inside..];
            continue;
        }
        let ends = |c: char| quote.map_or(c.is_whitespace() || ":,;)".contains(c), |quote| c == quote);
        let end = rest[at..].find(ends).map_or(rest.len(), |len| at + len);
        let name = rest[at..end].trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        published += &rest[..at];
        published += &format!("DIR/{name}");
        rest = &rest[end..];
    }
    published + rest
}

#[cfg(test)]
mod tests {
    use super::{How, without_places};

    #[test]
    fn commits_add_up() {
        let of = |revision: &str| How { revision: revision.into(), ..How::default() };
        let said = |before, now| of(now).added_to(&of(before)).revision;
        assert_eq!(
            ["a", "a, b", "a, b"],
            [said("", "a"), said("a", "b"), said("a, b", "a")].map(|s| s.leak() as &str)
        );
        let is_version =
            ["version 0.1.0", "a", "a, version 0.1.0", ""].map(|revision| of(revision).is_version());
        assert_eq!(is_version, [true, false, false, false]);
    }

    #[test]
    fn of_places_the_last_part_is_left() {
        for (text, published) in [
            (
                "cargo xtask study cpu --data /home/me/NEU-DET --weights DIR",
                "cargo xtask study cpu --data DIR/NEU-DET --weights DIR",
            ),
            ("--data=/home/me/NEU-DET/ --out runs/cpu", "--data=DIR/NEU-DET --out runs/cpu"),
            ("--data '/home/my data/NEU DET' --jobs 2", "--data 'DIR/NEU DET' --jobs 2"),
            (
                "Error: /srv/x/steel.jpg: is no image, says https://docs.rs/image",
                "Error: DIR/steel.jpg: is no image, says https://docs.rs/image",
            ),
            ("it failed | `/a/b.toml`, 3 / 4 images", "it failed | `DIR/b.toml`, 3 / 4 images"),
            ("", ""),
        ] {
            assert_eq!(without_places(text), published);
        }
    }
}
