//! What `torch.save` writes: since PyTorch 1.6 a zip archive with a pickle and the storages as its
//! entries, before that five pickles followed by the storages.
//!
//! The layouts are those of `torch/serialization.py` (`_save`, `_legacy_save`). Nothing of a file
//! is run: the pickle's classes are names.

mod objects;
mod pickle;
mod state;

use std::collections::BTreeMap;

use crate::stored::{Contents, Cursor, Found};
use crate::zip;
use pickle::{Node, Pickle};
use state::Storages;

/// How the old form begins: a pickle of protocol 2 with an integer of ten bytes.
pub(crate) const LEGACY: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
/// The version of the old form.
const PROTOCOL: i128 = 1001;

/// Reads an archive.
pub(crate) fn read_zip<'a>(bytes: &'a [u8]) -> Found<Contents<'a>> {
    let entries = zip::entries(bytes)?;
    let pickle = entries.iter().find_map(|(name, entry)| Some((name.strip_suffix("data.pkl")?, entry)));
    let (folder, pickle) = pickle.ok_or("a zip archive without data.pkl: torch.save did not write it")?;
    let order = entries.get(format!("{folder}byteorder").as_str()).map(|entry| entry.stored()).transpose()?;
    if order.is_some_and(|order| order != b"little") {
        return Err("its numbers are big-endian; save it on a little-endian machine".into());
    }
    let pickle = Pickle::read(&mut Cursor(pickle.stored()?))?;
    let prefix = format!("{folder}data/");
    let storage = |(name, entry): (&&'a str, &zip::Entry<'a>)| {
        let key = name.strip_prefix(&prefix)?;
        Some(entry.stored().map(|data| (key, data)).map_err(|problem| format!("{name}: {problem}")))
    };
    let storages: Storages<'_> = entries.iter().filter_map(storage).collect::<Found<_>>()?;
    state::read(&pickle, &storages)
}

/// Reads the old form.
pub(crate) fn read_legacy(bytes: &[u8]) -> Found<Contents<'_>> {
    let mut cursor = Cursor(bytes);
    let _magic = Pickle::read(&mut cursor)?;
    let protocol = Pickle::read(&mut cursor)?;
    if *protocol.get(protocol.root) != Node::Int(PROTOCOL) {
        return Err("of a protocol other than 1001".into());
    }
    let system = Pickle::read(&mut cursor)?;
    if !is_little_endian(&system) {
        return Err("its numbers are big-endian; save it on a little-endian machine".into());
    }
    let pickle = Pickle::read(&mut cursor)?;
    let keys = Pickle::read(&mut cursor)?;
    let sizes = state::sizes(&pickle);
    let mut storages = BTreeMap::new();
    for &key in keys.items(keys.root).ok_or("its storages have no list of keys")? {
        let key = keys.text(key)?;
        let size = *sizes.get(key).ok_or_else(|| format!("the storage {key} has no type"))?;
        let count = cursor.size().map_err(|problem| format!("storage {key}: {problem}"))?;
        let length = count.checked_mul(size).ok_or_else(|| format!("storage {key} of {count} elements"))?;
        let data = cursor.take(length).map_err(|problem| format!("storage {key}: {problem}"))?;
        storages.insert(key.to_owned(), data);
    }
    let storages = storages.iter().map(|(key, data)| (key.as_str(), *data)).collect();
    state::read(&pickle, &storages)
}

fn is_little_endian(system: &Pickle) -> bool {
    let Node::Dict(entries) = system.get(system.root) else { return false };
    entries.iter().any(|&(key, value)| {
        system.text(key) == Ok("little_endian") && *system.get(value) == Node::Bool(true)
    })
}
