//! Detections that are read while the ground truth still is: as they stand, their images and categories unresolved.

use std::sync::atomic::{AtomicBool, Ordering};

use super::Source;
use super::cursor::Cursor;
use super::found::{BLOCK, USUAL, field, shelve};
use super::shape::{Shape, Values};
use super::truths::Truths;
use crate::shelves::Shelves;

/// The first detections of a file.
pub(super) struct Early {
    records: Vec<Values>,
    /// The byte of the detection behind the last of them.
    pub(super) stopped: u64,
}

impl Early {
    /// Reads until `enough` is told, or to the first detection that is not written as the one before it; `None` where
    /// that is the first. Nothing is an error here: whatever is odd is left to be read in order.
    pub(super) fn read(source: Source<'_>, enough: &AtomicBool) -> Option<Self> {
        let mut file = source.open(0).ok()?;
        let mut records = Vec::with_capacity(source.len().ok()? as usize / USUAL);
        let mut buffer = vec![0; BLOCK];
        let (mut base, mut filled) = (0, file.read(&mut buffer).ok()?);
        let mut first = Cursor::new(&buffer[..filled], 0);
        first.expect(b'[', "an array of detections, `[`").ok()?;
        first.peek();
        let mut at = first.at;
        let shape = Shape::of(first, field).filter(|shape| shape.holds(2, 5))?;
        loop {
            let mut cursor = Cursor::new(&buffer[..filled], at);
            while let Some(values) = shape.read(&mut cursor) {
                records.push(values);
                at = cursor.at;
            }
            if at == 0 || enough.load(Ordering::Relaxed) {
                break;
            }
            buffer.copy_within(at..filled, 0);
            (base, filled, at) = (base + at as u64, filled - at, 0);
            let read = file.read(&mut buffer[filled..]).ok()?;
            if read == 0 {
                break;
            }
            filled += read;
        }
        let stopped = base + at as u64;
        (!records.is_empty()).then_some(Self { records, stopped })
    }

    /// The detections, shelved; `None` where one's image or category is none of the ground truth's.
    pub(super) fn resolve(&self, truths: &Truths) -> Option<Shelves> {
        let mut found = Shelves::with_capacity(truths.categories.len(), self.records.len());
        for values in &self.records {
            shelve(values, truths, &mut found)?;
        }
        Some(found)
    }
}
