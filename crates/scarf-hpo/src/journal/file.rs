//! Lines appended to a file that several processes share.

use super::JournalError;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file, and how far it has been read.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) path: PathBuf,
    file: File,
    offset: u64,
    /// Lines read so far.
    pub(super) count: u64,
}

/// The right to append. The kernel's lock falls with its holder; Optuna's lock file (a link beside the journal) is
/// taken along, so that its processes may write too.
pub(super) struct Lock<'a> {
    file: &'a File,
    link: Option<PathBuf>,
}

impl Lines {
    /// Opens the file, which is made if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        let open = || {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder)?;
            }
            OpenOptions::new().read(true).append(true).create(true).open(path)
        };
        Ok(Self { path: path.into(), file: open().map_err(JournalError::io(path))?, offset: 0, count: 0 })
    }

    /// Opens a file that is there, to be read alone.
    pub(super) fn to_read(path: &Path) -> Result<Self, JournalError> {
        Ok(Self {
            path: path.into(),
            file: File::open(path).map_err(JournalError::io(path))?,
            offset: 0,
            count: 0,
        })
    }

    /// Shows the lines that were added since the last call; one that is not at its end yet is left for the next, as is one
    /// that `take` refuses.
    pub(super) fn read(
        &mut self,
        mut take: impl FnMut(&str) -> Result<(), String>,
    ) -> Result<(), JournalError> {
        let mut bytes = Vec::new();
        let mut read = || {
            self.file.seek(SeekFrom::Start(self.offset))?;
            self.file.read_to_end(&mut bytes)
        };
        read().map_err(JournalError::io(&self.path))?;
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        for line in bytes[..end].split_inclusive(|byte| *byte == b'\n') {
            let taken = std::str::from_utf8(line).map_err(|error| error.to_string()).and_then(&mut take);
            taken.map_err(|reason| JournalError::Record {
                path: self.path.clone(),
                line: self.count + 1,
                reason,
            })?;
            self.offset += line.len() as u64;
            self.count += 1;
        }
        Ok(())
    }

    /// Waits for the right to append.
    pub(super) fn lock(&self) -> Result<Lock<'_>, JournalError> {
        self.file.lock().map_err(JournalError::io(&self.path))?;
        let mut lock = Lock { file: &self.file, link: None };
        lock.link = link(&self.path).map_err(JournalError::io(&self.path))?;
        Ok(lock)
    }

    /// Appends whole lines and waits until the disk has them. Half a line, left by a process that was killed while
    /// it wrote, is cut off first: nobody has acted on it.
    pub(super) fn append(&self, _: &Lock<'_>, lines: &[String]) -> Result<(), JournalError> {
        let write = || {
            let mut file = &self.file;
            let length = file.metadata()?.len();
            let whole = end_of_last_line(file, length)?;
            if whole < length {
                file.set_len(whole)?;
            }
            let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            file.write_all(text.as_bytes())?;
            file.sync_data()
        };
        write().map_err(JournalError::io(&self.path))
    }
}

/// Where the last whole line of the file ends.
fn end_of_last_line(mut file: &File, length: u64) -> io::Result<u64> {
    const BLOCK: u64 = 4096;
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let mut block = vec![0; (end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        if let Some(place) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            // Where it fails, the next holder sees whose it was.
            let _ = std::fs::remove_file(link);
        }
        let _ = self.file.unlock();
    }
}

/// Takes Optuna's lock, `JournalFileSymlinkLock`: the link `<journal>.lock`. Who gets here holds the kernel's lock, so
/// a link with our mark was left by a worker that died; any other is waited for, as Optuna does, until the journal has not
/// changed for half a minute.
#[cfg(unix)]
fn link(path: &Path) -> io::Result<Option<PathBuf>> {
    let path = std::path::absolute(path)?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    // The same file to everybody, and a spelling that only we use.
    let marked = PathBuf::from(format!("{}/./{}", folder.display(), name.display()));
    let link = PathBuf::from(format!("{}.lock", path.display()));
    let changed = || std::fs::metadata(&path).and_then(|journal| journal.modified()).ok();
    let (mut since, mut last) = (Instant::now(), changed());
    loop {
        match std::os::unix::fs::symlink(&marked, &link) {
            Ok(()) => return Ok(Some(link)),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) => {
                let ours = std::fs::read_link(&link).is_ok_and(|to| to.as_os_str() == marked.as_os_str());
                let now = changed();
                if now != last {
                    (since, last) = (Instant::now(), now);
                }
                if ours || since.elapsed() > Duration::from_secs(30) {
                    let _ = std::fs::remove_file(&link);
                    since = Instant::now();
                } else {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        }
    }
}

#[cfg(not(unix))]
fn link(_: &Path) -> io::Result<Option<PathBuf>> {
    let _ = (Instant::now(), Duration::ZERO);
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &mut Lines) -> Vec<String> {
        let mut read = Vec::new();
        let take = |text: &str| {
            read.push(text.to_owned());
            Ok(())
        };
        lines.read(take).unwrap();
        read
    }

    #[test]
    fn half_a_line_is_cut_off_and_never_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.log");
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        let mut lines = Lines::open(&path).unwrap();
        assert_eq!(read(&mut lines), ["one\n", "two\n"]);
        let lock = lines.lock().unwrap();
        lines.append(&lock, &["three".into(), "four".into()]).unwrap();
        drop(lock);
        let error = lines.read(|text| if text == "four\n" { Err("no".into()) } else { Ok(()) }).unwrap_err();
        assert!(error.to_string().ends_with("journal.log, line 4: no"), "{error}");
        assert_eq!(read(&mut lines), ["four\n"], "what was refused comes again");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\nfour\n");
        assert!(!path.with_extension("log.lock").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_dead_workers_link_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.log");
        let lines = Lines::open(&path).unwrap();
        std::mem::forget(link(&path).unwrap());
        let begin = Instant::now();
        drop(lines.lock().unwrap());
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}
