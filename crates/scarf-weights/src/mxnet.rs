//! MXNet's and GluonCV's `.params`: a list of arrays, then a list of their names.
//!
//! The layout is that of `NDArray::Save` and `NDArray::Load` in MXNet's `src/ndarray/ndarray.cc`.

use crate::Element;
use crate::stored::{Contents, Cursor, Found, Stored, check_axes};

/// How a file begins.
pub(crate) const MAGIC: u64 = 0x112;
/// How an array begins: version 1 has extents of 64 bits, 2 a storage type, 3 NumPy's shapes.
/// Before version 1 an array began with its number of axes.
const V1: u32 = 0xF993_FAC8;
const V2: u32 = 0xF993_FAC9;
const V3: u32 = 0xF993_FACA;

/// Reads a whole file. The prefixes `arg:` and `aux:` of an exported symbol's names are left out.
pub(crate) fn read(bytes: &[u8]) -> Found<Contents<'_>> {
    let mut cursor = Cursor(bytes);
    if cursor.u64()? != MAGIC || cursor.u64()? != 0 {
        return Err("the header is none of a list of arrays".into());
    }
    let count = cursor.size()?;
    let mut tensors = Vec::new();
    for index in 0..count {
        tensors.push(array(&mut cursor).map_err(|problem| format!("array {index} of {count}: {problem}"))?);
    }
    let names = cursor.size()?;
    if names != count {
        return Err(format!("{names} names for {count} arrays; only named arrays can be read"));
    }
    let mut contents = Contents::default();
    for tensor in tensors {
        let length = cursor.size()?;
        let name = cursor.text(length)?;
        let name = name.strip_prefix("arg:").or(name.strip_prefix("aux:")).unwrap_or(name);
        let tensor = tensor.ok_or_else(|| format!("{name} was saved before it had a shape"))?;
        contents.add(name.to_owned(), tensor)?;
    }
    Ok(contents)
}

/// One array, or none for one without a shape.
fn array<'a>(cursor: &mut Cursor<'a>) -> Found<Option<Stored<'a>>> {
    let magic = cursor.u32()?;
    if magic == V2 || magic == V3 {
        let storage = cursor.i32()?;
        if storage != 0 {
            return Err(format!("storage of type {storage}; only dense arrays (type 0) can be read"));
        }
    }
    let (axes, wide) = match magic {
        V1 | V2 | V3 => (cursor.i32()?, true),
        axes => (axes.try_into().map_err(|_| format!("{axes:#x} begins no array"))?, false),
    };
    // A scalar has no axes in version 3; before, that meant no array at all.
    if axes < 0 || (axes == 0 && magic != V3) {
        return Ok(None);
    }
    check_axes(axes as usize)?;
    let extent = |_| if wide { cursor.size() } else { Ok(cursor.u32()? as usize) };
    let shape: Vec<usize> = (0..axes).map(extent).collect::<Found<_>>()?;
    let _device = (cursor.i32()?, cursor.i32()?);
    let element = element(cursor.i32()?)?;
    let bytes = shape.iter().try_fold(element.size(), |bytes, &extent| bytes.checked_mul(extent));
    let bytes = bytes.ok_or_else(|| format!("shape {shape:?} is too large"))?;
    Stored::dense(element, shape, cursor.take(bytes)?).map(Some)
}

/// The type of a flag of mshadow.
fn element(flag: i32) -> Found<Element> {
    Ok(match flag {
        0 => Element::F32,
        1 => Element::F64,
        2 => Element::F16,
        3 => Element::U8,
        4 => Element::I32,
        5 => Element::I8,
        6 => Element::I64,
        7 => Element::Bool,
        8 => Element::I16,
        12 => Element::BF16,
        _ => return Err(format!("elements of MXNet's type {flag}, which is not known")),
    })
}
