//! Files: lists in order, hashes, writes that are whole or not there.

use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::voc::at;
use crate::{DataError, Place, Problem};

/// How the names of images end that this crate decodes.
pub(crate) const ENDINGS: [&str; 6] = ["jpg", "jpeg", "png", "bmp", "tif", "tiff"];

/// Whether the name ends as that of an image this crate decodes.
pub(crate) fn is_image(path: &Path) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// The files of a folder that pass, in order of their paths; hidden ones are left out.
pub(crate) fn list(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DataError::io(folder, "list"))? {
        let path = entry.map_err(DataError::io(folder, "list"))?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.is_file() && wanted(&path) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The stem of a file's name, unreadable characters replaced.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The content of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(DataError::io(path, "read"))
}

/// A file's content as text, without the mark that Windows puts before it.
pub(crate) fn text<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, DataError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let problem = Problem::Malformed("not UTF-8 text; save the file as UTF-8".into());
        at(path, Place::of(bytes, error.valid_up_to()))(problem)
    })?;
    Ok(text.trim_start_matches('\u{feff}'))
}

/// The lines that are not blank, without what is blank around them, and their numbers from 1.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (&str, u32)> {
    let lines = text.lines().map(str::trim).zip(1..);
    lines.filter(|(line, _)| !line.is_empty())
}

/// SHA-256 of bytes, in lowercase hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file that is whole or, after a crash at any moment, not changed. The folder is made if needed.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(DataError::io(folder, "make the folder"))?;
    let mut builder = tempfile::Builder::new();
    // Temporary files are for their owner's eyes alone, which is wrong for what this becomes.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut file = builder.tempfile_in(folder).map_err(DataError::io(path, "write"))?;
    file.write_all(bytes).map_err(DataError::io(path, "write"))?;
    file.as_file().sync_all().map_err(DataError::io(path, "write"))?;
    file.persist(path).map_err(|error| DataError::io(path, "write")(error.error))?;
    Ok(())
}
