//! A reader of pickles that runs nothing.
//!
//! It knows the opcodes that `torch.save` writes with any protocol from 2 to 5 (CPython's
//! `Lib/pickletools.py` describes them). What a class would make of its arguments is for
//! [`objects`] to say; a class that is not known becomes an [`Object`](Node::Object).

use std::collections::HashMap;

use super::objects;
use crate::stored::{Cursor, Found};

/// How many values a pickle may have: a state dict has some twenty a tensor.
const MOST_VALUES: usize = 1 << 22;
/// The longest name of a class, in bytes.
const LONGEST_NAME: usize = 256;

/// The place of a value in a [`Pickle`].
pub(super) type Id = usize;

/// A value. Parts are named by their places, so that what is shared is there once.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    Bytes,
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function: `module.name`.
    Global(String),
    /// An instance of a class that is not known, or what a function that is not known returns.
    Object(Id),
    Storage(objects::Storage),
    Tensor(objects::Tensor),
}

/// A pickle that has been read.
#[derive(Debug, Default)]
pub(super) struct Pickle {
    nodes: Vec<Node>,
    /// The value of the whole.
    pub(super) root: Id,
    /// Bytes of the file.
    pub(super) length: usize,
}

impl Pickle {
    /// Reads a pickle from the front of `cursor`.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Found<Self> {
        let start = cursor.0.len();
        let mut machine = Machine::default();
        loop {
            let at = start - cursor.0.len();
            match machine.step(cursor).map_err(|problem| format!("{problem} (pickle, byte {at})"))? {
                None if machine.weight() > MOST_VALUES => return Err("a pickle of too many values".into()),
                None => {}
                Some(root) => {
                    let length = start - cursor.0.len();
                    return Ok(Self { nodes: machine.pickle.nodes, root, length });
                }
            }
        }
    }

    pub(super) fn get(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What a value is, for errors.
    pub(super) fn kind(&self, id: Id) -> String {
        match self.get(id) {
            Node::None => "None".into(),
            Node::Bool(_) => "a bool".into(),
            Node::Int(_) | Node::Float(_) => "a number".into(),
            Node::Text(_) => "a text".into(),
            Node::Bytes => "bytes".into(),
            Node::List(_) | Node::Tuple(_) => "a list".into(),
            Node::Dict(_) => "a dict".into(),
            Node::Global(name) => format!("the class {name}"),
            Node::Object(class) => match self.get(*class) {
                Node::Global(name) => format!("an object of {name}"),
                _ => "an object".into(),
            },
            Node::Storage(_) => "a storage".into(),
            Node::Tensor(_) => "a tensor".into(),
        }
    }

    /// The elements of a tuple or list.
    pub(super) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// A number that counts something.
    pub(super) fn count(&self, id: Id) -> Found<usize> {
        match self.get(id) {
            Node::Int(number) => (*number).try_into().map_err(|_| format!("{number} counts nothing")),
            _ => Err(format!("{} where a number belongs", self.kind(id))),
        }
    }

    pub(super) fn text(&self, id: Id) -> Found<&str> {
        match self.get(id) {
            Node::Text(text) => Ok(text),
            _ => Err(format!("{} where a text belongs", self.kind(id))),
        }
    }
}

/// The stack, the marks on it, and the memo.
#[derive(Default)]
struct Machine {
    pickle: Pickle,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
    /// Parts of values that were copied from others.
    copied: usize,
}

impl Machine {
    /// How much there is in memory, in values.
    fn weight(&self) -> usize {
        self.pickle.nodes.len() + self.stack.len() + self.marks.len() + self.memo.len() + self.copied
    }

    fn push(&mut self, node: Node) {
        self.stack.push(self.pickle.nodes.len());
        self.pickle.nodes.push(node);
    }

    fn pop(&mut self) -> Found<Id> {
        // What lies below a mark belongs to whoever set it.
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("the stack is empty".into());
        }
        self.stack.pop().ok_or_else(|| "the stack is empty".into())
    }

    fn top(&self) -> Found<Id> {
        self.stack.last().copied().ok_or_else(|| "the stack is empty".into())
    }

    /// What was pushed since the last mark.
    fn since_mark(&mut self) -> Found<Vec<Id>> {
        let mark = self.marks.pop().ok_or("no mark is set")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn tuple(&mut self, count: usize) -> Found<()> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Found<Vec<_>>>()?;
        items.reverse();
        self.push(Node::Tuple(items));
        Ok(())
    }

    fn remember(&mut self, key: usize) -> Found<()> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: usize) -> Found<()> {
        let id = self.memo.get(&key).copied().ok_or_else(|| format!("nothing is remembered as {key}"))?;
        self.stack.push(id);
        Ok(())
    }

    /// One opcode; at the last, the root.
    fn step(&mut self, cursor: &mut Cursor<'_>) -> Found<Option<Id>> {
        match cursor.byte()? {
            b'.' => return self.pop().map(Some),
            0x80 => drop(cursor.byte()?),
            0x95 => drop(cursor.u64()?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => self.stack.push(self.top()?),
            b'q' => self.remember(cursor.byte()?.into())?,
            b'r' => self.remember(cursor.u32()? as usize)?,
            0x94 => self.remember(self.memo.len())?,
            b'h' => self.recall(cursor.byte()?.into())?,
            b'j' => self.recall(cursor.u32()? as usize)?,
            b't' => {
                let items = self.since_mark()?;
                self.push(Node::Tuple(items));
            }
            b')' => self.tuple(0)?,
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            code @ (b'}' | b']' | b'a' | b'e' | 0x90 | b's' | b'u') => self.collection(code)?,
            0x8f => {
                self.push(Node::Global("builtins.set".into()));
                let class = self.pop()?;
                self.push(Node::Object(class));
            }
            code @ (b'c' | 0x93 | b'R' | 0x81 | b'b' | b'Q') => self.object(code, cursor)?,
            code => {
                let node = scalar(code, cursor)?;
                self.push(node);
            }
        }
        Ok(None)
    }

    /// Lists and dicts: begun, and filled.
    fn collection(&mut self, code: u8) -> Found<()> {
        match code {
            b'}' => self.push(Node::Dict(Vec::new())),
            b']' => self.push(Node::List(Vec::new())),
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            // Of a list, or of a set.
            b'e' | 0x90 => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            _ => {
                let items = self.since_mark()?;
                self.set(&items)?;
            }
        }
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Found<()> {
        let top = self.top()?;
        match &mut self.pickle.nodes[top] {
            Node::List(list) => list.extend(items),
            Node::Object(_) => {}
            _ => return Err(format!("items for {}", self.pickle.kind(top))),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Found<()> {
        let top = self.top()?;
        match &mut self.pickle.nodes[top] {
            Node::Dict(dict) => dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            Node::Object(_) => {}
            _ => return Err(format!("keys for {}", self.pickle.kind(top))),
        }
        Ok(())
    }

    /// Classes, and what they make.
    fn object(&mut self, code: u8, cursor: &mut Cursor<'_>) -> Found<()> {
        match code {
            b'c' => {
                let (module, name) = (line(cursor)?, line(cursor)?);
                self.push(global(module, name)?);
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let node = global(self.pickle.text(module)?, self.pickle.text(name)?)?;
                self.push(node);
            }
            b'b' => {
                // State beside a value, such as the versions of a state dict's modules.
                self.pop()?;
                self.top()?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = objects::storage(&self.pickle, id)?;
                self.push(Node::Storage(storage));
            }
            _ => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                let node = objects::build(&self.pickle, callable, arguments)?;
                if let Node::Dict(parts) = &node {
                    self.copied += parts.len();
                }
                self.push(node);
            }
        }
        Ok(())
    }
}

/// The value that an opcode holds in itself.
fn scalar(code: u8, cursor: &mut Cursor<'_>) -> Found<Node> {
    let text = |cursor: &mut Cursor<'_>, length| Ok::<_, String>(Node::Text(cursor.text(length)?.to_owned()));
    Ok(match code {
        b'N' => Node::None,
        0x88 => Node::Bool(true),
        0x89 => Node::Bool(false),
        b'J' => Node::Int(cursor.i32()?.into()),
        b'K' => Node::Int(cursor.byte()?.into()),
        b'M' => Node::Int(cursor.u16()?.into()),
        0x8a => {
            let length = cursor.byte()?;
            Node::Int(long(cursor.take(length.into())?)?)
        }
        b'G' => Node::Float(f64::from_be_bytes(cursor.array()?)),
        // Python 2's texts are bytes; its names are ASCII.
        b'U' | 0x8c => {
            let length = cursor.byte()?;
            text(cursor, length.into())?
        }
        b'T' | b'X' => {
            let length = cursor.u32()?;
            text(cursor, length as usize)?
        }
        0x8d => {
            let length = cursor.size()?;
            text(cursor, length)?
        }
        b'C' => {
            let length = cursor.byte()?;
            cursor.take(length.into()).map(|_| Node::Bytes)?
        }
        b'B' => {
            let length = cursor.u32()?;
            cursor.take(length as usize).map(|_| Node::Bytes)?
        }
        0x8e | 0x96 => {
            let length = cursor.size()?;
            cursor.take(length).map(|_| Node::Bytes)?
        }
        code => return Err(format!("the opcode {code:#04x}, which torch.save does not write")),
    })
}

/// A class by the names of its module and its own.
fn global(module: &str, name: &str) -> Found<Node> {
    if module.len().max(name.len()) > LONGEST_NAME {
        return Err(format!("a class whose name has more than {LONGEST_NAME} bytes"));
    }
    Ok(Node::Global(format!("{module}.{name}")))
}

/// A little-endian integer in two's complement.
fn long(bytes: &[u8]) -> Found<i128> {
    if bytes.len() > 16 {
        return Err(format!("an integer of {} bytes", bytes.len()));
    }
    let sign = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = [if sign { 0xff } else { 0 }; 16];
    wide[..bytes.len()].copy_from_slice(bytes);
    Ok(i128::from_le_bytes(wide))
}

/// Text up to the end of its line.
fn line<'a>(cursor: &mut Cursor<'a>) -> Found<&'a str> {
    let length = cursor.0.iter().position(|&byte| byte == b'\n').ok_or("a name without an end")?;
    let line = cursor.text(length)?;
    cursor.byte()?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pickle.dumps([{1, 2}, 3], 4)` has these opcodes.
    #[test]
    fn a_set_is_something_unknown_whatever_is_in_it() {
        let pickle = Pickle::read(&mut Cursor(b"\x80\x04](\x8f(K\x01K\x02\x90K\x03e.")).unwrap();
        let items = pickle.items(pickle.root).unwrap();
        assert!(matches!(pickle.get(items[0]), Node::Object(_)) && *pickle.get(items[1]) == Node::Int(3));
    }
}
