//! Archives in which weights are published: zip, and tar compressed by gzip.

use std::io::Read;
use std::path::Path;

use crate::stored::Found;
use crate::{WeightsError, zip};

/// How a file that gzip compressed begins.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// What can be unpacked at most, in bytes.
pub(crate) const LARGEST: usize = 1 << 31;

/// The bytes of the one entry of the archive `path` (zip or `.tar.gz`) whose name ends with `suffix`.
///
/// Checksums within the archive are not compared: compare the file's, where it was published with one.
///
/// # Errors
/// If the file cannot be read, is no such archive, has no such entry or several, or is damaged.
pub fn unpack(path: impl AsRef<Path>, suffix: &str) -> Result<Vec<u8>, WeightsError> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| WeightsError::Io { path: path.to_owned(), source })?;
    let found = match &bytes {
        bytes if bytes.starts_with(zip::MAGIC) => zip::unpack(bytes, suffix),
        bytes if bytes.starts_with(GZIP) => untar(bytes, suffix),
        _ => Err("neither a zip archive nor a tar compressed by gzip".into()),
    };
    found.map_err(|problem| WeightsError::Archive { path: path.to_owned(), problem })
}

pub(crate) fn not_one(count: usize, suffix: &str) -> String {
    format!("{count} entries end with `{suffix}`, not one")
}

fn untar(bytes: &[u8], suffix: &str) -> Found<Vec<u8>> {
    let damaged = |error: std::io::Error| format!("damaged ({error})");
    // The limit is for all of it: a small file can ask for much.
    let unpacked = flate2::read::GzDecoder::new(bytes).take(LARGEST as u64);
    let mut archive = tar::Archive::new(unpacked);
    let (mut found, mut count) = (Vec::new(), 0);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        if entry.path_bytes().ends_with(suffix.as_bytes()) && entry.header().entry_type().is_file() {
            count += 1;
            if count == 1 {
                entry.read_to_end(&mut found).map_err(damaged)?;
            }
        }
    }
    if count == 1 { Ok(found) } else { Err(not_one(count, suffix)) }
}
