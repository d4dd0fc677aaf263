//! The state dict that a pickle holds.

use std::collections::HashMap;

use super::objects::Tensor;
use super::pickle::{Id, Node, Pickle};
use crate::stored::{Contents, Found, Stored};

/// The bytes of each storage, by its key.
pub(super) type Storages<'a> = HashMap<&'a str, &'a [u8]>;

/// Under which keys training programs put the state dict of their model.
const MODELS: [&str; 4] = ["state_dict", "model", "model_state_dict", "module"];
/// How deep dicts may lie in each other.
const DEPTH: usize = 16;

/// Bytes of an element of each storage that the pickle points to.
pub(super) fn sizes(pickle: &Pickle) -> HashMap<&str, usize> {
    let storages = pickle.nodes().iter().filter_map(|node| match node {
        Node::Storage(storage) => Some((storage.key.as_str(), storage.element.size())),
        _ => None,
    });
    storages.collect()
}

/// The tensors of the state dict, or of the model's in a checkpoint. Dicts in it join their keys
/// with a point; numbers and texts become metadata.
pub(super) fn read<'a>(pickle: &Pickle, storages: &HashMap<&str, &'a [u8]>) -> Found<Contents<'a>> {
    let Node::Dict(root) = pickle.get(pickle.root) else {
        let kind = pickle.kind(pickle.root);
        return Err(format!("holds {kind}, not a state dict: save `model.state_dict()`"));
    };
    let mut reader =
        Reader { pickle, storages, contents: Contents::default(), left: 4 * pickle.length + 1024 };
    match model(pickle, root) {
        None => reader.dict(root, "", DEPTH)?,
        Some((name, model)) => {
            reader.scalars(root)?;
            reader.dict(model, "", DEPTH).map_err(|problem| format!("{name}: {problem}"))?;
        }
    }
    if reader.contents.tensors.is_empty() {
        return Err("holds a dict without a tensor".into());
    }
    Ok(reader.contents)
}

/// The state dict of a checkpoint's model, with its key.
fn model<'p>(pickle: &'p Pickle, root: &'p [(Id, Id)]) -> Option<(&'static str, &'p [(Id, Id)])> {
    if root.iter().any(|&(_, value)| matches!(pickle.get(value), Node::Tensor(_))) {
        return None;
    }
    MODELS.into_iter().find_map(|name| {
        root.iter().find_map(|&(key, value)| match pickle.get(value) {
            Node::Dict(entries) if pickle.text(key) == Ok(name) => Some((name, entries.as_slice())),
            _ => None,
        })
    })
}

struct Reader<'p, 'a> {
    pickle: &'p Pickle,
    storages: &'p HashMap<&'p str, &'a [u8]>,
    contents: Contents<'a>,
    /// Bytes that may still come: dicts can share parts, and so be longer than their file.
    left: usize,
}

impl<'p, 'a> Reader<'p, 'a> {
    fn dict(&mut self, entries: &'p [(Id, Id)], prefix: &str, depth: usize) -> Found<()> {
        for &(key, value) in entries {
            let name = match self.pickle.get(key) {
                Node::Text(text) => format!("{prefix}{text}"),
                Node::Int(number) => format!("{prefix}{number}"),
                _ => return Err(format!("{} as a name below `{prefix}`", self.pickle.kind(key))),
            };
            self.spend(1 + name.len())?;
            match self.pickle.get(value) {
                Node::Tensor(tensor) => {
                    let stored = self.tensor(tensor).map_err(|problem| format!("{name}: {problem}"))?;
                    self.contents.add(name, stored)?;
                }
                Node::Dict(_) if depth == 0 => return Err(format!("{name}: dicts lie too deep")),
                Node::Dict(inner) => self.dict(inner, &format!("{name}."), depth - 1)?,
                node => {
                    let Some(text) = scalar(node) else {
                        return Err(format!("{name} is {}, not a tensor", self.pickle.kind(value)));
                    };
                    self.spend(text.len())?;
                    self.contents.metadata.insert(name, text);
                }
            }
        }
        Ok(())
    }

    /// What a checkpoint says beside its model: epoch, step, version.
    fn scalars(&mut self, entries: &[(Id, Id)]) -> Found<()> {
        for &(key, value) in entries {
            if let (Ok(key), Some(text)) = (self.pickle.text(key), scalar(self.pickle.get(value))) {
                self.spend(key.len() + text.len())?;
                self.contents.metadata.insert(key.to_owned(), text);
            }
        }
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Found<()> {
        self.left = self.left.checked_sub(bytes).ok_or("its dicts share too many parts")?;
        Ok(())
    }

    fn tensor(&self, tensor: &Tensor) -> Found<Stored<'a>> {
        let Node::Storage(storage) = self.pickle.get(tensor.storage) else {
            return Err(format!("over {}", self.pickle.kind(tensor.storage)));
        };
        let bytes = *self.storages.get(storage.key.as_str()).ok_or("its storage is missing")?;
        let size = storage.element.size();
        if bytes.len() / size < storage.count {
            return Err(format!("{} bytes stored of {} elements", bytes.len(), storage.count));
        }
        let start = storage.offset.checked_add(tensor.offset).and_then(|at| at.checked_mul(size));
        let from = start.and_then(|start| bytes.get(start..)).ok_or("it begins after its storage ends")?;
        Stored::new(storage.element, tensor.shape.clone(), tensor.strides.clone(), from)
    }
}

/// A value that fits into a line of text.
fn scalar(node: &Node) -> Option<String> {
    Some(match node {
        Node::None => "None".into(),
        Node::Bool(value) => value.to_string(),
        Node::Int(value) => value.to_string(),
        Node::Float(value) => value.to_string(),
        Node::Text(value) => value.clone(),
        _ => return None,
    })
}
