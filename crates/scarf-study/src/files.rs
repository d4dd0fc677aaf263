//! Files that are whole or not there.

use crate::Error;
use std::io::Write;
use std::path::Path;

/// Writes a file so that, whenever this is killed, either the old one or the new one is there; its folder is
/// made where missing.
///
/// # Errors
/// Where the folder or the file cannot be written.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(Error::io(folder, "cannot be made"))?;
    let mut builder = tempfile::Builder::new();
    // Temporary files are for their owner's eyes alone, which is wrong for what this becomes.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let file = builder.prefix(".tmp-").tempfile_in(folder);
    let mut file = file.map_err(Error::io(folder, "cannot be written to"))?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(Error::io(path, "cannot be written"))?;
    file.persist(path).map_err(|error| Error::io(path, "cannot be replaced")(error.error))?;
    Ok(())
}

/// The text of a file.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(Error::io(path, "cannot be read"))
}

/// The text of a file, `None` where there is none.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, "cannot be read")(error)),
    }
}
