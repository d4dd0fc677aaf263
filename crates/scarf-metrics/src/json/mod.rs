//! COCO's own files, read at memory's pace: `gt.json` and `dt.json` to an [`Evaluator`].

mod cursor;
mod early;
mod error;
mod found;
mod ids;
mod number;
mod shape;
#[cfg(test)]
mod tests;
mod truths;

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

pub use error::{JsonError, JsonProblem};
pub use ids::Id;

use early::Early;
use found::{FileFault, Parts};
use truths::Truths;

use crate::shelves::Shelves;
use crate::store::Store;
use crate::threads::joined;
use crate::{CocoParams, CocoReport, Evaluator};

/// A category of a ground truth file.
#[derive(Clone, Debug, PartialEq)]
pub struct Category {
    /// Its id in the file.
    pub id: Id,
    /// Its name; empty where the file gives none.
    pub name: String,
}

/// Two COCO files, ready to be evaluated.
#[derive(Clone, Debug)]
pub struct CocoSet {
    /// Holds every label; its images and classes are numbered in the order of their ids.
    pub evaluator: Evaluator,
    /// The ids of the images, ascending.
    pub images: Vec<Id>,
    /// The categories, ids ascending: the classes.
    pub categories: Vec<Category>,
    /// What is lawful, and yet not what one wants.
    pub warnings: Vec<String>,
}

impl CocoSet {
    /// Reads a ground truth file and a results file, on up to `threads` threads.
    ///
    /// As pycocotools: `ignore` of the ground truth is not read (a crowd is ignored, nothing else is),
    /// images are sorted by id, and a match with annotation id 0 counts as a false positive (its
    /// matches are ids, and 0 says "none"), which `warnings` tells. Stricter: a detection or annotation
    /// of an unknown image or category is an error, as are NaN, an annotation id given twice, and an
    /// annotation without `area`.
    ///
    /// # Errors
    /// What is wrong, in which file, at which line, column and byte, of which record.
    pub fn load(gt: &Path, dt: &Path, params: CocoParams, threads: usize) -> Result<Self, JsonError> {
        Self::new((gt, Source::File(gt)), (dt, Source::File(dt)), params, threads)
    }

    /// The same from text in memory; errors call the two "gt.json" and "dt.json".
    ///
    /// # Errors
    /// As [`CocoSet::load`].
    pub fn parse(gt: &[u8], dt: &[u8], params: CocoParams, threads: usize) -> Result<Self, JsonError> {
        let named = |name, text| (Path::new(name), Source::Bytes(text));
        Self::new(named("gt.json", gt), named("dt.json", dt), params, threads)
    }

    fn new(
        (gt_path, gt): (&Path, Source<'_>),
        (dt_path, dt): (&Path, Source<'_>),
        params: CocoParams,
        threads: usize,
    ) -> Result<Self, JsonError> {
        let read = |threads| {
            let text = gt.text().map_err(|error| gt.error(gt_path, 0, error.into()))?;
            truths::read(&text, threads).map_err(|fault| gt.error(gt_path, fault.at as u64, *fault.problem))
        };
        let (truths, found) = both(read, dt, threads)?;
        let found = found.map_err(|fault| dt.error(dt_path, fault.byte, *fault.problem))?;
        let mut warnings = Vec::new();
        if truths.id_zero {
            warnings.push(format!(
                "{}: an annotation has the id 0, which pycocotools takes for \"no match\": a detection of it \
                 counts as a false positive; number annotations from 1 to have it counted",
                gt_path.display()
            ));
        }
        let mut evaluator = Evaluator::new(truths.categories.len(), params);
        evaluator.store = Store {
            classes: truths.categories.len(),
            images: truths.images.len(),
            truths: truths.truths,
            found,
        };
        Ok(Self { evaluator, images: truths.images.into_sorted(), categories: truths.names, warnings })
    }
}

/// The ground truth, by `read` on so many threads, and the detections of `dt`.
///
/// One of several threads begins with the detections at once. All are started first, for one that is started late may
/// share a core with another for a while.
fn both(
    read: impl FnOnce(usize) -> Result<Truths, JsonError>,
    dt: Source<'_>,
    threads: usize,
) -> Result<(Truths, Result<Vec<Shelves>, FileFault>), JsonError> {
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (give, early) = channel();
        let mut give = Some(give);
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let (begin, begun) = channel::<Arc<(Truths, Parts<'_>)>>();
                let (give, enough) = (give.take(), &enough);
                let thread = scope.spawn(move || {
                    if let Some(give) = give {
                        let _ = give.send(Early::read(dt, enough));
                    }
                    begun.recv().map_or_else(|_| Vec::new(), |work| work.1.read(&work.0))
                });
                (begin, thread)
            })
            .collect();
        drop(give);
        let truths = read(threads.saturating_sub(1).max(1));
        enough.store(true, Ordering::Relaxed);
        let truths = truths?;
        let parts = Parts::new(dt, early.recv().ok().flatten(), threads);
        let work = Arc::new((truths, parts));
        for (begin, _) in &others {
            let _ = begin.send(work.clone());
        }
        let mut read = work.1.read(&work.0);
        others.into_iter().for_each(|(_, thread)| read.extend(joined(thread)));
        let (truths, parts) = Arc::into_inner(work).expect("every thread that had it has ended");
        let found = parts.join(read, &truths);
        Ok((truths, found))
    })
}

/// Two COCO files to COCO's twelve numbers: what pycocotools does, with its default parameters.
///
/// # Errors
/// As [`CocoSet::load`].
pub fn evaluate_files(gt: &Path, dt: &Path, threads: usize) -> Result<CocoReport, JsonError> {
    Ok(CocoSet::load(gt, dt, CocoParams::default(), threads)?.evaluator.evaluate_on(threads))
}

/// Text that can be read from any byte on, by several threads.
#[derive(Clone, Copy)]
enum Source<'a> {
    File(&'a Path),
    Bytes(&'a [u8]),
}

impl<'a> Source<'a> {
    fn len(self) -> std::io::Result<u64> {
        match self {
            Self::File(path) => Ok(std::fs::metadata(path)?.len()),
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }

    fn text(self) -> std::io::Result<Cow<'a, [u8]>> {
        match self {
            Self::File(path) => std::fs::read(path).map(Cow::Owned),
            Self::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
        }
    }

    fn open(self, at: u64) -> std::io::Result<Box<dyn Read + 'a>> {
        match self {
            Self::File(path) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(at))?;
                Ok(Box::new(file))
            }
            Self::Bytes(bytes) => Ok(Box::new(&bytes[(at as usize).min(bytes.len())..])),
        }
    }

    /// The error of a problem at this byte; counts the lines before it.
    fn error(self, path: &Path, byte: u64, problem: JsonProblem) -> JsonError {
        let (mut line, mut column) = (1, 1);
        if let Ok(file) = self.open(0) {
            for read in std::io::BufReader::new(file.take(byte)).bytes() {
                (line, column) = if let Ok(b'\n') = read { (line + 1, 1) } else { (line, column + 1) };
            }
        }
        JsonError { path: PathBuf::from(path), line, column, byte, problem }
    }
}
