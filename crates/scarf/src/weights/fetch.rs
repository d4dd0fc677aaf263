//! Downloads, resumed and checked.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use scarf_study::write_atomic;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::manifest::{Digest, Published};
use super::size;

/// How long one request may last, in seconds; a slower download goes on with the next.
const SECONDS: u64 = 300;
/// What to do where nothing comes.
const BY_HAND: &str = "nothing could be downloaded: look at the network and at https_proxy; name another place \
                       of the file with --url, or put it into the folder by hand";
/// How many requests in a row may bring nothing.
const PATIENCE: usize = 3;

/// Puts the file of `entry` into `folder`, unless it is there, and gives its path.
///
/// A download that was cut off lies in `NAME.part` and goes on from there. The file gets its name
/// only when it is whole and its digest is the published one.
pub(super) fn fetch(entry: &Published, url: Option<&str>, folder: &Path) -> Result<PathBuf> {
    let path = folder.join(entry.file());
    if path.exists() {
        if entry.of_archive {
            eprintln!("{} is there already; the archive with its digest is not kept", entry.name);
            return Ok(path);
        }
        let found = entry.digest.of(&mut File::open(&path)?)?;
        if found == entry.digest {
            eprintln!("{} is there already", entry.name);
            return Ok(path);
        }
        bail!(
            "{} is there with {found}, but the published file has {}: move it away, and fetch again",
            path.display(),
            entry.digest
        );
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let url = url.unwrap_or(&entry.url);
    let partial = Partial::open(folder.join(format!("{}.part", entry.file())))?;
    ensure!(!path.exists(), "{}: another download has just put it there", path.display());
    if let Err(error) = partial.fill(url, entry.bytes) {
        if partial.length()? == 0 {
            fs::remove_file(&partial.path)?;
        }
        return Err(error.context(url.to_owned()));
    }
    partial.finish(entry, &path)?;
    Ok(path)
}

impl Digest {
    /// The digest of the same kind of what `source` gives.
    fn of(&self, source: &mut impl Read) -> io::Result<Self> {
        Ok(match self {
            Self::Sha256(_) => Self::Sha256(hex(&consumed(Sha256::new(), source)?)),
            Self::Sha256Prefix(digits) => {
                let all = hex(&consumed(Sha256::new(), source)?);
                Self::Sha256Prefix(all[..digits.len()].to_owned())
            }
            Self::Sha1(_) => Self::Sha1(hex(&consumed(Sha1::new(), source)?)),
        })
    }
}

/// A hasher's answer for all of `source`.
fn consumed<H: sha2::Digest>(mut hasher: H, source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 1 << 18];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().to_vec()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file that grows until it is whole. It is locked: two downloads of one file would mix.
struct Partial {
    path: PathBuf,
    file: File,
}

impl Partial {
    fn open(path: PathBuf) -> Result<Self> {
        let shown = || path.display().to_string();
        let file = File::options().create(true).append(true).open(&path).with_context(shown)?;
        file.try_lock().with_context(|| format!("{}: another download writes to it", path.display()))?;
        Ok(Self { path, file })
    }

    fn length(&self) -> Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Asks until all is there; each request begins where the last one was cut off.
    fn fill(&self, url: &str, wanted: Option<u64>) -> Result<()> {
        let bar = bar();
        let mut failures = 0;
        loop {
            let before = self.length()?;
            if wanted == Some(before) {
                return Ok(());
            }
            let problem = match self.request(url, before, wanted, &bar) {
                Ok(Outcome::Whole) => return Ok(()),
                Ok(Outcome::Refused(problem)) => return Err(problem),
                Ok(Outcome::Cut(problem)) => problem,
                Err(problem) => problem,
            };
            failures = if self.length()? > before { 0 } else { failures + 1 };
            if failures == PATIENCE {
                return Err(problem.context(match self.length()? {
                    0 => BY_HAND.to_owned(),
                    there => format!("cut off after {}; the same command goes on from there", size(there)),
                }));
            }
        }
    }

    /// One request for what is missing.
    fn request(&self, url: &str, start: u64, wanted: Option<u64>, bar: &ProgressBar) -> Result<Outcome> {
        let mut request = minreq::get(url).with_timeout(SECONDS).with_header("User-Agent", "scarf");
        if start > 0 {
            request = request.with_header("Range", format!("bytes={start}-"));
        }
        // Its error would be shown twice, as its own source.
        let mut response = request.send_lazy().map_err(|error| anyhow::Error::msg(error.to_string()))?;
        let header = |name: &str| {
            let is = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
            response.headers.iter().find(is).map(|(_, value)| value.clone())
        };
        let length: Option<u64> = header("content-length").and_then(|value| value.parse().ok());
        let range = header("content-range").and_then(|value| parse_range(&value));
        let total = match (response.status_code, range) {
            (200, _) => {
                // The server sends all of it again.
                self.file.set_len(0)?;
                length
            }
            (206, Some((from, total))) if from == Some(start) => total,
            (416, Some((_, total))) if total == Some(start) && wanted.is_none() => return Ok(Outcome::Whole),
            (206 | 416, _) => {
                self.file.set_len(0)?;
                bail!("the server has no continuation of what lies here; it begins anew");
            }
            (status, _) => return Ok(refused(status, &response.reason_phrase)),
        };
        if let (Some(wanted), Some(total)) = (wanted, total)
            && wanted != total
        {
            let problem =
                format!("the file there has {total} bytes, the published one {wanted}: it was replaced");
            return Ok(Outcome::Refused(anyhow::Error::msg(problem)));
        }
        self.receive(&mut response, total, bar)
    }

    /// Appends what comes.
    fn receive(&self, source: &mut impl Read, total: Option<u64>, bar: &ProgressBar) -> Result<Outcome> {
        let mut buffer = vec![0; 1 << 18];
        let mut there = self.length()?;
        bar.set_length(total.unwrap_or(0));
        let ended = loop {
            bar.set_position(there);
            match source.read(&mut buffer) {
                Ok(0) => break None,
                Ok(count) => {
                    (&self.file).write_all(&buffer[..count])?;
                    there += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => break Some(error),
            }
        };
        Ok(match (ended, total) {
            (None, None) => Outcome::Whole,
            (_, Some(total)) if there == total => Outcome::Whole,
            (None, Some(total)) => Outcome::Cut(anyhow::anyhow!("{there} of {total} bytes came")),
            (Some(error), _) => Outcome::Cut(error.into()),
        })
    }

    /// Checks the file and gives it its name; what is wrong is removed.
    fn finish(self, entry: &Published, path: &Path) -> Result<()> {
        let length = self.length()?;
        let checked = check_size(entry, length).and_then(|()| match &entry.unpack {
            None => compare(entry, &mut File::open(&self.path)?).map(|()| None),
            Some(name) => self.unpack(entry, name).map(Some),
        });
        let unpacked = match checked {
            Ok(unpacked) => unpacked,
            Err(error) => {
                fs::remove_file(&self.path)?;
                return Err(error);
            }
        };
        if let Some(bytes) = unpacked {
            // A full disk does not cost what was checked.
            write_atomic(path, &bytes)?;
            return Ok(fs::remove_file(&self.path)?);
        }
        self.file.sync_all()?;
        fs::rename(&self.path, path).with_context(|| path.display().to_string())
    }

    /// The wanted entry of the archive, if the digest is right.
    fn unpack(&self, entry: &Published, name: &str) -> Result<Vec<u8>> {
        if entry.of_archive {
            compare(entry, &mut File::open(&self.path)?)?;
        }
        let bytes = scarf_weights::unpack(&self.path, name)?;
        if !entry.of_archive {
            compare(entry, &mut bytes.as_slice())?;
        }
        Ok(bytes)
    }
}

/// How a request ended.
enum Outcome {
    Whole,
    /// More may come with the next.
    Cut(anyhow::Error),
    /// Asking again would change nothing.
    Refused(anyhow::Error),
}

fn refused(status: u16, reason: &str) -> Outcome {
    let said = anyhow::anyhow!("the server says {status} {reason}");
    match status {
        408 | 429 | 500..=599 => Outcome::Cut(said),
        _ => Outcome::Refused(said.context(BY_HAND)),
    }
}

fn check_size(entry: &Published, length: u64) -> Result<()> {
    if let Some(bytes) = entry.bytes {
        ensure!(length == bytes, "{length} bytes came, the published file has {bytes}; fetch it again");
    }
    Ok(())
}

fn compare(entry: &Published, source: &mut impl Read) -> Result<()> {
    let found = entry.digest.of(source)?;
    ensure!(
        found == entry.digest,
        "what came has {found}, the published file {}: it was removed; fetch it again, or from another place \
         with --url",
        entry.digest
    );
    Ok(())
}

/// First byte and whole length of `bytes FIRST-LAST/LENGTH` or `bytes */LENGTH`.
fn parse_range(value: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-').and_then(|(first, _)| first.parse().ok()), total.parse().ok()))
}

fn bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}
