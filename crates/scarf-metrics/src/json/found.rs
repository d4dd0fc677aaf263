use std::io::Read;
use std::ops::Range;

use super::cursor::{Cursor, Fault, Parse, border};
use super::early::Early;
use super::shape::{Field, Shape, Values};
use super::truths::{Truths, need};
use super::{Id, JsonProblem, Source};
use crate::shelves::Shelves;
use crate::threads::Pieces;

/// Bytes read at a time: few enough to stay in the second-level cache.
pub(super) const BLOCK: usize = 1 << 18;

/// Bytes read at a time where one detection's border is looked for.
const PAGE: u64 = 1 << 12;

/// Bytes of the smallest part that is worth a thread's turn.
const LEAST: u64 = 1 << 20;

/// Bytes of a detection, or somewhat less, as most files have them.
pub(super) const USUAL: usize = 128;

/// What is wrong, at which byte of the file.
pub(super) struct FileFault {
    pub(super) byte: u64,
    pub(super) problem: Box<JsonProblem>,
}

/// A COCO results file in parts that several threads read.
///
/// Each part starts at what looks like the border between two detections. That is a guess: the
/// part before tells whether it ended exactly there, and where it did not, it is read on from there.
pub(super) struct Parts<'a> {
    source: Source<'a>,
    /// The first part, where it was read early.
    early: Option<Early>,
    starts: Vec<u64>,
    pieces: Pieces,
}

impl<'a> Parts<'a> {
    /// Cuts it for so many threads, behind what was read early. A file that cannot be read is one part, whose reading
    /// tells why.
    pub(super) fn new(source: Source<'a>, early: Option<Early>, threads: usize) -> Self {
        let mut starts = vec![0];
        starts.extend(early.as_ref().map(|early| early.stopped));
        for at in cuts(starts[starts.len() - 1], source.len().unwrap_or(0), threads) {
            if let Ok(Some(start)) = start_behind(source, at)
                && start > starts[starts.len() - 1]
            {
                starts.push(start);
            }
        }
        let pieces = Pieces::new(starts.len());
        Self { source, early, starts, pieces }
    }

    /// What one of several threads reads of it, with the places of the parts.
    pub(super) fn read(&self, truths: &Truths) -> Vec<(usize, Part)> {
        self.pieces.take(|| vec![0; BLOCK], |buffer, part| self.read_one(truths, part, buffer))
    }

    fn end(&self, part: usize) -> u64 {
        self.starts.get(part + 1).copied().unwrap_or(u64::MAX)
    }

    fn read_one(&self, truths: &Truths, part: usize, buffer: &mut Vec<u8>) -> Part {
        let early = self.early.as_ref().filter(|_| part == 0);
        match early.and_then(|early| Some((early.resolve(truths)?, early.stopped))) {
            Some((found, stopped)) => Part { found, stopped: Ok(stopped) },
            None => read_part(self.source, truths, self.starts[part], self.end(part), buffer),
        }
    }

    /// The detections of all parts, in any order, once every thread is done.
    pub(super) fn join(
        &self,
        mut parts: Vec<(usize, Part)>,
        truths: &Truths,
    ) -> Result<Vec<Shelves>, FileFault> {
        parts.sort_by_key(|part| part.0);
        let mut all = Vec::new();
        let mut at = 0;
        for (index, part) in parts {
            let (start, end) = (self.starts[index], self.end(index));
            if at > start && at != u64::MAX {
                // an earlier part ran past this border, which was none: read on from where it stopped
                let more = || read_part(self.source, truths, at, end, &mut vec![0; BLOCK]);
                at = if at >= end { at } else { join(&mut all, more())? };
            } else if at != u64::MAX {
                at = join(&mut all, part)?;
            }
        }
        if u32::try_from(all.iter().map(Shelves::len).sum::<usize>()).is_err() {
            return Err(FileFault { byte: 0, problem: Box::new(JsonProblem::TooMany) });
        }
        Ok(all)
    }
}

/// Where to cut what is behind `at` of a text for so many threads: large parts first, so that there are few, and small ones
/// last, so that no thread waits long for another.
fn cuts(mut at: u64, len: u64, threads: usize) -> Vec<u64> {
    let mut cuts = Vec::new();
    if threads > 1 {
        loop {
            at += ((len - at) / (2 * threads as u64)).max(LEAST);
            if at + LEAST > len {
                break;
            }
            cuts.push(at);
        }
    }
    cuts
}

/// What was read of a part: detections, and where that stopped (`u64::MAX` at the end of the array).
pub(super) struct Part {
    found: Shelves,
    stopped: Result<u64, FileFault>,
}

/// Adds a part, and numbers its fault from the first detection of the file.
fn join(all: &mut Vec<Shelves>, part: Part) -> Result<u64, FileFault> {
    let before = all.iter().map(Shelves::len).sum();
    all.push(part.found);
    part.stopped.map_err(|fault| FileFault {
        problem: Box::new(match *fault.problem {
            JsonProblem::Missing { record, key } => {
                JsonProblem::Missing { record: renumber(&record, before), key }
            }
            JsonProblem::UnknownImage { record, id } => {
                JsonProblem::UnknownImage { record: renumber(&record, before), id }
            }
            JsonProblem::UnknownCategory { record, id } => {
                JsonProblem::UnknownCategory { record: renumber(&record, before), id }
            }
            other => other,
        }),
        ..fault
    })
}

fn record(index: usize) -> String {
    format!("detection {index} (from 0)")
}

fn renumber(old: &str, before: usize) -> String {
    let digits = old.split(' ').nth(1).and_then(|n| n.parse::<usize>().ok());
    digits.map_or_else(|| old.to_owned(), |n| record(n + before))
}

/// What looks like the start of a detection, the first behind `at`.
fn start_behind(source: Source<'_>, at: u64) -> std::io::Result<Option<u64>> {
    let (mut file, mut text) = (source.open(at)?, Vec::new());
    while text.len() < BLOCK {
        // mostly the first page has one
        if file.by_ref().take(PAGE).read_to_end(&mut text)? == 0 {
            break;
        }
        if let Some(further) = border(&text) {
            return Ok(Some(at + further as u64));
        }
    }
    Ok(None)
}

/// Reads from `start`, the file's first byte or that of a detection, up to the first detection
/// that starts at `end` or behind it.
fn read_part(source: Source<'_>, truths: &Truths, start: u64, end: u64, buffer: &mut Vec<u8>) -> Part {
    let bytes = source.len().unwrap_or(0).min(end).saturating_sub(start);
    let mut found = Shelves::with_capacity(truths.categories.len(), bytes as usize / USUAL);
    let stopped = blocks(source, truths, start..end, buffer, &mut found);
    Part { found, stopped }
}

fn blocks(
    source: Source<'_>,
    truths: &Truths,
    span: Range<u64>,
    buffer: &mut Vec<u8>,
    found: &mut Shelves,
) -> Result<u64, FileFault> {
    let Range { start, end } = span;
    let io = |byte, error: std::io::Error| FileFault { byte, problem: Box::new(error.into()) };
    let mut file = source.open(start).map_err(|e| io(start, e))?;
    let (mut base, mut filled) = (start, 0); // the byte of the file that buffer[0] is; bytes in use
    let mut state = if start == 0 { State::Array } else { State::Element };
    let mut shape = None;
    loop {
        if filled == buffer.len() {
            buffer.resize(2 * buffer.len(), 0); // a detection longer than the block
        }
        let read = file.read(&mut buffer[filled..]).map_err(|e| io(base, e))?;
        filled += read;
        let mut cursor = Cursor::new(&buffer[..filled], 0);
        let mut done = 0; // up to here all is read
        let fault = loop {
            if let (State::Element, Some(shape)) = (state, &shape) {
                cursor.at = done;
                while base + (done as u64) < end
                    && usual_detection(&mut cursor, shape, truths, found).is_some()
                {
                    done = cursor.at;
                }
                cursor.at = done;
            }
            if state == State::Element && base + done as u64 >= end {
                return Ok(base + done as u64);
            }
            match step(&mut cursor, &mut state, &mut shape, truths, found, &mut done) {
                Ok(()) => {}
                Err(fault) => break fault,
            }
        };
        let at_end = read == 0;
        if at_end && state == State::End && cursor.peek().is_none() {
            return Ok(u64::MAX);
        }
        if at_end || !matches!(*fault.problem, JsonProblem::Ends) {
            return Err(FileFault { byte: base + fault.at as u64, problem: fault.problem });
        }
        buffer.copy_within(done..filled, 0);
        base += done as u64;
        filled -= done;
    }
}

/// What must come next.
#[derive(Clone, Copy, PartialEq)]
enum State {
    /// The `[` of the array.
    Array,
    /// The first detection, or `]`.
    First,
    /// A detection.
    Element,
    /// `,` or `]`.
    Comma,
    /// Nothing.
    End,
}

/// Reads the next piece. Where it is cut off by the end of the block, nothing has happened.
#[inline]
fn step(
    c: &mut Cursor<'_>,
    state: &mut State,
    shape: &mut Option<Shape>,
    truths: &Truths,
    found: &mut Shelves,
    done: &mut usize,
) -> Parse<()> {
    c.peek();
    let start = c.at;
    let next = match *state {
        State::Array => {
            c.expect(b'[', "an array of detections, `[`")?;
            State::First
        }
        State::First if c.take(b']') => State::End,
        State::First | State::Element => {
            any_detection(c, truths, found)?;
            *shape = Shape::of(c.back_at(start), field);
            State::Comma
        }
        State::Comma if c.take(b',') => {
            c.peek();
            State::Element
        }
        State::Comma => {
            c.expect(b']', "`,` or `]`")?;
            State::End
        }
        State::End => {
            let problem = if c.peek().is_some() { JsonProblem::Trailing } else { JsonProblem::Ends };
            return Err(Fault { at: start, problem: Box::new(problem) });
        }
    };
    *state = next;
    *done = c.at;
    Ok(())
}

pub(super) fn field(key: &[u8]) -> Field {
    match key {
        b"image_id" => Field::Id(0),
        b"category_id" => Field::Id(1),
        b"bbox" => Field::Numbers(0, 4),
        b"score" => Field::Number(4),
        _ => Field::Other,
    }
}

/// A detection written as the one before it, and what stands before the next.
#[inline(always)]
fn usual_detection(c: &mut Cursor<'_>, shape: &Shape, truths: &Truths, found: &mut Shelves) -> Option<()> {
    shelve(&shape.read(c)?, truths, found)
}

/// `None` where image or category is none of the ground truth's.
#[inline(always)]
pub(super) fn shelve(values: &Values, truths: &Truths, found: &mut Shelves) -> Option<()> {
    let [x, y, w, h, score, _] = values.numbers;
    let image = truths.images.number(values.ids[0])?;
    let class = truths.categories.number(values.ids[1])?;
    found.push(class, [x, y, w, h], score, image);
    Some(())
}

/// A detection, whatever the order of its keys.
fn any_detection(c: &mut Cursor<'_>, truths: &Truths, found: &mut Shelves) -> Parse<()> {
    let (at, index) = (c.at, found.len());
    let (mut image, mut class, mut xywh, mut score) = (None, None, None, None);
    c.object(|c, key| {
        match key {
            b"image_id" => image = Some(place(c, truths, index, true)?),
            b"category_id" => class = Some(place(c, truths, index, false)?),
            b"bbox" => xywh = Some(c.four()?),
            b"score" => score = Some(c.number()?),
            _ => c.skip()?,
        }
        Ok(())
    })?;
    if let (Some(image), Some(class), Some(xywh), Some(score)) = (image, class, xywh, score) {
        found.push(class, xywh, score, image);
        return Ok(());
    }
    let record = || record(index);
    need(c, at, image, "image_id", record)?;
    need(c, at, class, "category_id", record)?;
    need(c, at, xywh, "bbox", record)?;
    need(c, at, score, "score", record)?;
    Ok(())
}

/// The place of the image or category that is named here.
#[inline]
fn place(c: &mut Cursor<'_>, truths: &Truths, index: usize, image: bool) -> Parse<u32> {
    let ids = if image { &truths.images } else { &truths.categories };
    c.peek();
    let at = c.at;
    if let Some(place) = c.integer().and_then(|id| ids.number(id)) {
        return Ok(place);
    }
    c.at = at;
    let id: Id = c.id()?;
    match ids.place(&id) {
        Some(place) => Ok(place),
        None if image => c.fault(at, JsonProblem::UnknownImage { record: record(index), id }),
        None => c.fault(at, JsonProblem::UnknownCategory { record: record(index), id }),
    }
}
