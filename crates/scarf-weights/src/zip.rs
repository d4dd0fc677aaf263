//! Zip archives: as `torch.save` writes them, stored, and as model zoos do, compressed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::archive::{self, LARGEST};
use crate::stored::{Cursor, Found};

/// How an archive begins.
pub(crate) const MAGIC: &[u8] = b"PK\x03\x04";
/// How the record at its end begins, and how long that is without its comment.
const END: &[u8] = b"PK\x05\x06";
const END_LENGTH: usize = 22;

/// The bytes of the one entry whose name ends with `suffix`.
pub(crate) fn unpack(bytes: &[u8], suffix: &str) -> Found<Vec<u8>> {
    let entries = entries(bytes)?;
    let names: Vec<&str> = entries.keys().copied().filter(|name| name.ends_with(suffix)).collect();
    match names[..] {
        [name] => entries[name].unpack().map(Cow::into_owned).map_err(|problem| format!("{name}: {problem}")),
        _ => Err(archive::not_one(names.len(), suffix)),
    }
}

/// What an archive holds under one name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// 0: stored; 8: deflated.
    method: usize,
    data: &'a [u8],
    /// Bytes when unpacked.
    length: usize,
}

impl<'a> Entry<'a> {
    /// The bytes of an entry that is not compressed.
    pub(crate) fn stored(self) -> Found<&'a [u8]> {
        if self.method != 0 || self.length != self.data.len() {
            return Err("compressed; torch.save stores its entries as they are".into());
        }
        Ok(self.data)
    }

    fn unpack(self) -> Found<Cow<'a, [u8]>> {
        if self.method != 8 {
            return self.stored().map(Cow::Borrowed);
        }
        if self.length > LARGEST {
            return Err(format!("{} bytes when unpacked, which is not read", self.length));
        }
        let bytes = miniz_oxide::inflate::decompress_to_vec_with_limit(self.data, self.length);
        let bytes = bytes.map_err(|error| format!("damaged ({error})"))?;
        if bytes.len() != self.length {
            return Err(format!("{} bytes instead of {}", bytes.len(), self.length));
        }
        Ok(bytes.into())
    }
}

/// Every entry by its name.
pub(crate) fn entries(bytes: &[u8]) -> Found<BTreeMap<&str, Entry<'_>>> {
    let last = bytes.len().checked_sub(END_LENGTH).ok_or("a zip archive cut short")?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    let end = (first..=last).rev().find(|&at| bytes[at..].starts_with(END));
    let end = end.ok_or("a zip archive cut short: it has no directory")?;
    let mut cursor = Cursor(&bytes[end + 10..]);
    let (count, _size, start) = (cursor.u16()?, cursor.u32()?, cursor.u32()?);
    if count == u16::MAX || start == u32::MAX {
        return Err("a zip archive of more than 4 GiB or 65534 entries, which is not read".into());
    }
    let mut directory = Cursor(bytes.get(start as usize..end).ok_or("its directory lies outside")?);
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        let (name, entry) = entry(bytes, &mut directory)?;
        entries.insert(name, entry);
    }
    Ok(entries)
}

/// The next entry of the directory.
fn entry<'a>(bytes: &'a [u8], directory: &mut Cursor<'a>) -> Found<(&'a str, Entry<'a>)> {
    if directory.take(4)? != b"PK\x01\x02" {
        return Err("its directory is damaged".into());
    }
    let head = directory.array::<42>()?;
    let half = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let word = |at: usize| half(at) | half(at + 2) << 16;
    let (method, stored, length) = (half(6), word(16), word(20));
    let name = directory.text(half(24))?;
    directory.take(half(26) + half(28))?;
    // The local header repeats the name, with extra fields of its own that align the data.
    let mut local = Cursor(bytes.get(word(38)..).ok_or_else(|| format!("{name} lies outside"))?);
    let head = local.array::<30>()?;
    if !head.starts_with(MAGIC) {
        return Err(format!("{name} has no header of its own"));
    }
    let skip =
        u16::from_le_bytes([head[26], head[27]]) as usize + u16::from_le_bytes([head[28], head[29]]) as usize;
    local.take(skip)?;
    let data = local.take(stored).map_err(|problem| format!("{name}: {problem}"))?;
    Ok((name, Entry { method, data, length }))
}
