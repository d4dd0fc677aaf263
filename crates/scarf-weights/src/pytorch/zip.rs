//! The entries of a zip archive, as far as `torch.save` writes them: stored, not compressed.

use std::collections::BTreeMap;

use crate::stored::{Cursor, Found};

/// How an archive begins.
pub(crate) const MAGIC: &[u8] = b"PK\x03\x04";
/// How the record at its end begins, and how long that is without its comment.
const END: &[u8] = b"PK\x05\x06";
const END_LENGTH: usize = 22;

/// Every entry by its name.
pub(super) fn entries(bytes: &[u8]) -> Found<BTreeMap<&str, &[u8]>> {
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
        let (name, data) = entry(bytes, &mut directory)?;
        entries.insert(name, data);
    }
    Ok(entries)
}

/// The next entry of the directory.
fn entry<'a>(bytes: &'a [u8], directory: &mut Cursor<'a>) -> Found<(&'a str, &'a [u8])> {
    if directory.take(4)? != b"PK\x01\x02" {
        return Err("its directory is damaged".into());
    }
    let head = directory.array::<42>()?;
    let half = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let word = |at: usize| half(at) | half(at + 2) << 16;
    let (method, stored, length) = (half(6), word(16), word(20));
    let name = directory.text(half(24))?;
    directory.take(half(26) + half(28))?;
    if method != 0 || stored != length {
        return Err(format!("{name} is compressed; torch.save stores its entries as they are"));
    }
    // The local header repeats the name, with extra fields of its own that align the data.
    let mut local = Cursor(bytes.get(word(38)..).ok_or_else(|| format!("{name} lies outside"))?);
    let head = local.array::<30>()?;
    if !head.starts_with(MAGIC) {
        return Err(format!("{name} has no header of its own"));
    }
    let skip =
        u16::from_le_bytes([head[26], head[27]]) as usize + u16::from_le_bytes([head[28], head[29]]) as usize;
    local.take(skip)?;
    Ok((name, local.take(length).map_err(|problem| format!("{name}: {problem}"))?))
}
