//! The list of published weights.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::{size, table};

/// The list that the program brings along.
const OWN: &str = include_str!("../../assets/weights.toml");

/// A list of published weights.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    weights: Vec<Published>,
}

/// A published file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Published {
    /// How it is asked for.
    pub(super) name: String,
    /// Network, data, score.
    what: String,
    /// Where it lies.
    pub(super) url: String,
    /// The entry that is wanted of an archive (zip, .tar.gz).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unpack: Option<String>,
    /// The exact size of what lies at `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<u64>,
    /// The size as far as it is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    mebibytes: Option<f64>,
    /// The digest, of the entry where there is one.
    #[serde(flatten)]
    pub(super) digest: Digest,
    /// Whether the digest is that of the archive instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) of_archive: bool,
    /// Of the weights, as their publisher says.
    licence: String,
}

/// What identifies a file, in lowercase hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Digest {
    /// All 64 digits.
    Sha256(String),
    /// The first digits of a SHA-256.
    Sha256Prefix(String),
    /// All 40 digits.
    Sha1(String),
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digits) => write!(f, "sha256 {digits}"),
            Self::Sha256Prefix(digits) => write!(f, "sha256 {digits}..."),
            Self::Sha1(digits) => write!(f, "sha1 {digits}"),
        }
    }
}

impl Published {
    /// The file's name in a folder.
    pub(super) fn file(&self) -> &str {
        self.unpack.as_deref().unwrap_or(self.url.rsplit('/').next().unwrap_or_default())
    }

    fn check(&self) -> Result<()> {
        let (digits, fits) = match &self.digest {
            Digest::Sha256(digits) => (digits, digits.len() == 64),
            Digest::Sha256Prefix(digits) => (digits, (8..64).contains(&digits.len())),
            Digest::Sha1(digits) => (digits, digits.len() == 40),
        };
        let is_hex = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        ensure!(fits && is_hex, "{}: `{digits}` is no such digest", self.name);
        let file = self.file();
        let is_name = !file.is_empty() && !file.starts_with('.') && !file.contains(['/', '\\', '?', '#']);
        ensure!(is_name, "{}: `{file}` is no name of a file", self.name);
        ensure!(self.unpack.is_some() || !self.of_archive, "{}: of_archive wants unpack", self.name);
        Ok(())
    }

    fn size(&self) -> String {
        match (self.bytes, self.mebibytes) {
            (Some(bytes), _) => size(bytes),
            (None, Some(mebibytes)) => size((mebibytes * 1024.0 * 1024.0) as u64),
            _ => "?".into(),
        }
    }
}

impl Manifest {
    /// Reads a list: the program's own, or a file.
    pub(super) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Self::parse(OWN) };
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let manifest: Self = toml::from_str(text)?;
        for (index, entry) in manifest.weights.iter().enumerate() {
            entry.check()?;
            let is_first = manifest.weights[..index].iter().all(|other| other.name != entry.name);
            ensure!(is_first, "two entries have the name {}", entry.name);
        }
        Ok(manifest)
    }

    /// The entry of this name.
    pub(super) fn get(&self, name: &str) -> Result<&Published> {
        if let Some(entry) = self.weights.iter().find(|entry| entry.name == name) {
            return Ok(entry);
        }
        let near: Vec<&str> = self
            .weights
            .iter()
            .map(|entry| entry.name.as_str())
            .filter(|other| other.contains(name))
            .collect();
        match near[..] {
            [] => bail!("no weights have the name {name}; `scarf weights list` shows all"),
            _ => bail!("no weights have the name {name}; there are {}", near.join(", ")),
        }
    }

    /// The entries as JSON.
    pub(super) fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(&self.weights)? + "\n")
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["name", "size", "licence", "what", "url"].map(str::to_owned)];
        rows.extend(self.weights.iter().map(|entry| {
            [&entry.name, &entry.size(), &entry.licence, &entry.what, &entry.url].map(String::clone)
        }));
        f.write_str(&table(&rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_list_is_sound_and_names_carry_their_digests() {
        let manifest = Manifest::open(None).unwrap();
        assert!(manifest.weights.len() >= 25);
        for entry in &manifest.weights {
            // torchvision and GluonCV put the first eight digits into the name of the file.
            let (Digest::Sha256(digits) | Digest::Sha256Prefix(digits) | Digest::Sha1(digits)) =
                &entry.digest;
            let is_tensorflow = entry.url.contains("tensorflow");
            assert!(is_tensorflow || entry.url.contains(&format!("-{}.", &digits[..8])), "{}", entry.name);
            assert!(entry.url.starts_with("https://"), "{}", entry.name);
        }
    }

    #[test]
    fn what_is_wrong_with_a_list_is_said() {
        let entry = |digest: &str, url: &str| {
            let text = format!("[[weights]]\nname = 'a'\nwhat = ''\nlicence = ''\nurl = '{url}'\n{digest}\n");
            Manifest::parse(&text).map(drop).map_err(|error| error.to_string())
        };
        let (good, url) = ("sha1 = 'aaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbb'", "https://a.b/c.pth");
        assert_eq!(entry(good, url), Ok(()));
        assert_eq!(entry("sha256 = 'ab'", url), Err("a: `ab` is no such digest".into()));
        assert_eq!(entry(good, "https://a.b/.."), Err("a: `..` is no name of a file".into()));
        assert!(entry("", url).is_err());
        assert!(entry(&format!("{good}\nlicense = ''"), url).is_err());
        let archive = format!("{good}\nof_archive = true");
        assert_eq!(entry(&archive, url), Err("a: of_archive wants unpack".into()));
        assert!(entry(&format!("{good}\nsha256_prefix = 'aaaaaaaa'"), url).is_err());
    }

    #[test]
    fn a_wrong_name_is_answered_with_near_ones() {
        let manifest = Manifest::open(None).unwrap();
        let error = manifest.get("resnet50").unwrap_err().to_string();
        assert!(error.contains("there are resnet50_imagenet1k_v1, resnet50_imagenet1k_v2"), "{error}");
        assert!(manifest.get("yolo").unwrap_err().to_string().contains("scarf weights list"));
    }
}
