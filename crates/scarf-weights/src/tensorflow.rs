//! TensorFlow's frozen graphs: the constants of a `GraphDef`.
//!
//! The messages are those of `graph.proto`, `node_def.proto`, `attr_value.proto`, `tensor.proto` and
//! `tensor_shape.proto` in TensorFlow's `core/framework`, in protobuf's wire format.

use crate::Element;
use crate::stored::{Contents, Cursor, Found, Stored, check_axes};

/// The field of a graph that is a node, and that of a node that is its name, both of some length.
const NODE: u8 = 0x0a;
const NAME: u8 = 0x0a;

/// Whether a file seems to be a graph: it begins with a node, and that with its name.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    let mut cursor = Cursor(bytes);
    cursor.byte() == Ok(NODE) && varint(&mut cursor).is_ok() && cursor.byte() == Ok(NAME)
}

/// Reads a whole file. Constants of text and of truths are left out, and so are whole numbers and halves that are stored
/// as no plain bytes (a single one, or some that are equal).
///
/// A graph says nowhere how long it is: one that was cut between two nodes is one with fewer constants.
pub(crate) fn read(bytes: &[u8]) -> Found<Contents<'_>> {
    let mut contents = Contents::default();
    for (index, field) in fields(bytes).enumerate() {
        let said = |problem| format!("node {index}: {problem}");
        if let (1, Value::Bytes(node)) = field.map_err(said)?
            && let Some((name, tensor)) = constant(node).map_err(said)?
        {
            contents.add(name.to_owned(), tensor)?;
        }
    }
    Ok(contents)
}

/// The name of a `NodeDef` and what it holds, if it is a constant of numbers.
fn constant(node: &[u8]) -> Found<Option<(&str, Stored<'_>)>> {
    let (mut name, mut is_constant, mut value) = ("", false, None);
    for field in fields(node) {
        match field? {
            (1, Value::Bytes(bytes)) => name = text(bytes)?,
            (2, Value::Bytes(op)) => is_constant = op == b"Const",
            (5, Value::Bytes(entry)) => value = last(entry, 2)?.filter(|_| is_value(entry)).or(value),
            _ => {}
        }
    }
    let tensor = match value {
        Some(value) if is_constant => last(value, 8)?,
        _ => return Ok(None),
    };
    let Some(tensor) = tensor else { return Err(format!("{name} is a constant without a tensor")) };
    let tensor = stored(tensor).map_err(|problem| format!("{name}: {problem}"))?;
    Ok(tensor.map(|tensor| (name, tensor)))
}

/// Whether an entry of a node's attributes is the one named `value`.
fn is_value(entry: &[u8]) -> bool {
    last(entry, 1) == Ok(Some(b"value"))
}

/// A `TensorProto`, if it is one of numbers that are stored as their bytes.
///
/// Without any value all are 0, and one value is that of all elements (`Tensor::FromProto`).
fn stored(tensor: &[u8]) -> Found<Option<Stored<'_>>> {
    let (mut kind, mut shape, mut content, mut few, mut pieces) = (0, Vec::new(), &[][..], &[][..], 0);
    // Halves, whole numbers and truths are packed as numbers of another length.
    let mut packed = false;
    for field in fields(tensor) {
        match field? {
            (1, Value::Number(number)) => kind = number,
            (2, Value::Bytes(bytes)) => shape = extents(bytes)?,
            (4, Value::Bytes(bytes)) => content = bytes,
            (5 | 6, Value::Bytes(bytes)) => (few, pieces) = (bytes, pieces + 1),
            (7 | 10 | 11 | 13 | 16 | 17, _) => packed = true,
            _ => {}
        }
    }
    let Some(element) = element(kind).filter(|_| !packed && pieces < 2) else { return Ok(None) };
    if !content.is_empty() {
        return Stored::dense(element, shape, content).map(Some);
    }
    let values = if few.is_empty() { &[0; 8][..element.size()] } else { few };
    if values.len() == element.size() {
        let strides = vec![0; shape.len()];
        return Stored::new(element, shape, strides, values).map(Some);
    }
    Stored::dense(element, shape, values).map(Some)
}

/// A `TensorShapeProto`.
fn extents(shape: &[u8]) -> Found<Vec<usize>> {
    let mut extents = Vec::new();
    for field in fields(shape) {
        match field? {
            (2, Value::Bytes(dim)) => {
                let mut extent = 0;
                for field in fields(dim) {
                    if let (1, Value::Number(size)) = field? {
                        extent = size;
                    }
                }
                extents.push(extent.try_into().map_err(|_| format!("an extent of {extent}"))?);
                check_axes(extents.len())?;
            }
            (3, Value::Number(1)) => return Err("its shape is not known".into()),
            _ => {}
        }
    }
    Ok(extents)
}

/// The type of a `DataType`, if it is one of plain numbers.
fn element(kind: u64) -> Option<Element> {
    Some(match kind {
        1 => Element::F32,
        2 => Element::F64,
        3 => Element::I32,
        4 => Element::U8,
        5 => Element::I16,
        6 => Element::I8,
        9 => Element::I64,
        14 => Element::BF16,
        19 => Element::F16,
        _ => return None,
    })
}

/// What a field of a message holds: a whole number, or bytes (text, messages, packed numbers, a single number).
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message with their numbers; after an error there are no more.
fn fields(message: &[u8]) -> impl Iterator<Item = Found<(u64, Value<'_>)>> {
    let mut cursor = Cursor(message);
    std::iter::from_fn(move || {
        if cursor.0.is_empty() {
            return None;
        }
        let field = field(&mut cursor);
        if field.is_err() {
            cursor = Cursor(&[]);
        }
        Some(field)
    })
}

fn field<'a>(cursor: &mut Cursor<'a>) -> Found<(u64, Value<'a>)> {
    let tag = varint(cursor)?;
    let value = match tag & 7 {
        0 => Value::Number(varint(cursor)?),
        1 => Value::Bytes(cursor.take(8)?),
        2 => {
            let length = varint(cursor)?;
            Value::Bytes(cursor.take(length.try_into().map_err(|_| format!("a length of {length}"))?)?)
        }
        5 => Value::Bytes(cursor.take(4)?),
        kind => return Err(format!("a field of wire type {kind}, which protobuf has not")),
    };
    Ok((tag >> 3, value))
}

/// The last of the fields of this number that hold bytes: protobuf lets later ones win.
fn last(message: &[u8], number: u64) -> Found<Option<&[u8]>> {
    let mut found = None;
    for field in fields(message) {
        if let (each, Value::Bytes(bytes)) = field?
            && each == number
        {
            found = Some(bytes);
        }
    }
    Ok(found)
}

/// A number of seven bits a byte, the lowest first.
fn varint(cursor: &mut Cursor<'_>) -> Found<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = cursor.byte()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err("a number of more than ten bytes".into())
}

fn text(bytes: &[u8]) -> Found<&str> {
    std::str::from_utf8(bytes).map_err(|_| "a name that is not UTF-8".to_owned())
}
