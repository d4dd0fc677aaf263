//! The few classes of which a state dict is made.

use super::pickle::{Id, Node, Pickle};
use crate::Element;
use crate::stored::{Found, check_axes};

/// A storage that a pickle points to: its elements lie elsewhere in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    pub(super) key: String,
    pub(super) element: Element,
    /// Elements of the whole storage.
    pub(super) count: usize,
    /// The element that it begins with, for a view of another storage.
    pub(super) offset: usize,
}

/// A tensor: a storage and how to walk it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tensor {
    pub(super) storage: Id,
    /// Its first element, from the storage's.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// What the call of `callable` gives.
pub(super) fn build(pickle: &Pickle, callable: Id, arguments: Id) -> Found<Node> {
    let name = match pickle.get(callable) {
        Node::Global(name) => name,
        // A method of an object that is not known.
        Node::Object(class) => return Ok(Node::Object(*class)),
        _ => return Err(format!("a call of {}", pickle.kind(callable))),
    };
    let arguments = pickle.items(arguments).ok_or("a call without arguments")?;
    let argument = |index: usize| {
        arguments.get(index).copied().ok_or_else(|| format!("{name} with {} arguments", arguments.len()))
    };
    Ok(match name.as_str() {
        "collections.OrderedDict" => match arguments.first() {
            None => Node::Dict(Vec::new()),
            Some(&pairs) => dict(pickle, pairs)?,
        },
        "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => {
            Node::Tensor(tensor(pickle, [argument(0)?, argument(1)?, argument(2)?, argument(3)?])?)
        }
        // Before PyTorch 0.4 a parameter was pickled as a call of its class.
        "torch._utils._rebuild_parameter"
        | "torch.nn.parameter.Parameter"
        | "torch.autograd.variable.Variable" => match pickle.get(argument(0)?) {
            Node::Tensor(tensor) => Node::Tensor(tensor.clone()),
            _ => return Err(format!("{name} of {}", pickle.kind(argument(0)?))),
        },
        _ => Node::Object(callable),
    })
}

/// A dict of pairs, as Python 2 pickles an ordered one.
fn dict(pickle: &Pickle, pairs: Id) -> Found<Node> {
    let pairs = pickle.items(pairs).ok_or("an OrderedDict of something else than pairs")?;
    let pair = |&id: &Id| match pickle.items(id) {
        Some(&[key, value]) => Ok((key, value)),
        _ => Err("an OrderedDict of something else than pairs".to_owned()),
    };
    Ok(Node::Dict(pairs.iter().map(pair).collect::<Found<_>>()?))
}

fn tensor(pickle: &Pickle, [storage, offset, shape, strides]: [Id; 4]) -> Found<Tensor> {
    if !matches!(pickle.get(storage), Node::Storage(_)) {
        return Err(format!("a tensor over {}", pickle.kind(storage)));
    }
    let counts = |id: Id| -> Found<Vec<usize>> {
        let items = pickle.items(id).ok_or("a shape that is no tuple")?;
        check_axes(items.len())?;
        items.iter().map(|&item| pickle.count(item)).collect()
    };
    let (shape, strides) = (counts(shape)?, counts(strides)?);
    Ok(Tensor { storage, offset: pickle.count(offset)?, shape, strides })
}

/// Bytes of a storage's key, which PyTorch counts from 0.
const LONGEST: usize = 256;

/// The storage of a persistent id: `("storage", class, key, device, count)` and, in old files,
/// none or `(key, offset, count)` of a view.
pub(super) fn storage(pickle: &Pickle, id: Id) -> Found<Storage> {
    let parts = pickle.items(id).unwrap_or_default();
    let (&[tag, class, key, _, count], rest) =
        parts.split_first_chunk::<5>().ok_or("an id that is no storage's")?;
    if pickle.text(tag)? != "storage" {
        return Err(format!("the id of a {}, where a storage's belongs", pickle.text(tag)?));
    }
    let Node::Global(class) = pickle.get(class) else {
        return Err(format!("a storage of {}", pickle.kind(class)));
    };
    let offset = match rest.first().and_then(|&view| pickle.items(view)) {
        Some(&[_, offset, _]) => pickle.count(offset)?,
        _ => 0,
    };
    let key = pickle.text(key)?.to_owned();
    // Each storage has a copy of its own.
    if key.len() > LONGEST {
        return Err(format!("a storage's key of {} bytes; {LONGEST} are the most", key.len()));
    }
    Ok(Storage { key, element: element(class)?, count: pickle.count(count)?, offset })
}

/// The elements of a class of storages.
fn element(class: &str) -> Found<Element> {
    let name = class.strip_prefix("torch.cuda.").or(class.strip_prefix("torch.")).unwrap_or(class);
    Ok(match name {
        "FloatStorage" => Element::F32,
        "DoubleStorage" => Element::F64,
        "HalfStorage" => Element::F16,
        "BFloat16Storage" => Element::BF16,
        "BoolStorage" => Element::Bool,
        "ByteStorage" => Element::U8,
        "CharStorage" => Element::I8,
        "ShortStorage" => Element::I16,
        "IntStorage" => Element::I32,
        "LongStorage" => Element::I64,
        _ => return Err(format!("a storage of {class}, whose elements are no plain numbers")),
    })
}
