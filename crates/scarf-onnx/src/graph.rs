//! Graphs of ONNX operators (<https://onnx.ai/onnx/operators/>), opset 17.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::rc::Rc;

use half::f16;

use crate::Layer;
use crate::proto::Message;

/// Version of the operators, and of the file that holds them.
const OPSET: i64 = 17;
const IR: i64 = 8;

/// What a node of a [`Graph`] gives, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Value(Rc<str>);

/// A computation with constants, inputs and outputs.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    constants: Vec<Constant>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    metadata: BTreeMap<String, String>,
    pub(crate) layers: Vec<Layer>,
    /// Kernels in half precision.
    pub(crate) half: bool,
    /// How often each name was asked for.
    names: HashMap<String, usize>,
    /// Constants that are used again.
    known: HashMap<String, Value>,
}

#[derive(Debug)]
struct Node {
    operator: &'static str,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
    attributes: Vec<(&'static str, Attribute)>,
}

/// A setting of a node.
#[derive(Clone, Debug)]
pub(crate) enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Text(&'static str),
}

#[derive(Debug)]
struct Constant {
    value: Value,
    shape: Vec<usize>,
    element: Element,
    bytes: Vec<u8>,
}

/// What a tensor holds, as TensorProto numbers it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Element {
    F32 = 1,
    I64 = 7,
    F16 = 10,
}

/// An extent of an input or output.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dim {
    /// So many.
    Is(usize),
    /// Any number, the same wherever the name is.
    Any(&'static str),
}

#[derive(Debug)]
struct Port {
    value: Value,
    element: Element,
    shape: Vec<Dim>,
}

impl Graph {
    /// A node with one output, which gets a name like this.
    pub(crate) fn named(
        &mut self,
        name: &str,
        operator: &'static str,
        inputs: &[&Value],
        attributes: &[(&'static str, Attribute)],
    ) -> Value {
        let output = self.fresh(name);
        let inputs = inputs.iter().copied().cloned().collect();
        let node = Node { operator, inputs, outputs: vec![output.clone()], attributes: attributes.to_vec() };
        self.nodes.push(node);
        output
    }

    /// A node with one output and settings.
    pub(crate) fn set(
        &mut self,
        operator: &'static str,
        inputs: &[&Value],
        attributes: &[(&'static str, Attribute)],
    ) -> Value {
        self.named(operator, operator, inputs, attributes)
    }

    /// A node with one output.
    pub(crate) fn op(&mut self, operator: &'static str, inputs: &[&Value]) -> Value {
        self.set(operator, inputs, &[])
    }

    /// The `count` largest along an axis, best first, and where they were.
    pub(crate) fn top(&mut self, x: &Value, count: &Value, axis: i64) -> [Value; 2] {
        let outputs = [self.fresh("TopK"), self.fresh("TopK")];
        self.nodes.push(Node {
            operator: "TopK",
            inputs: vec![x.clone(), count.clone()],
            outputs: outputs.to_vec(),
            attributes: vec![("axis", Attribute::Int(axis))],
        });
        outputs
    }

    /// From and up to these places of an axis.
    pub(crate) fn slice(&mut self, x: &Value, axis: i64, from: i64, to: i64) -> Value {
        let [from, to, axis] = [from, to, axis].map(|number| self.ints(&[number]));
        self.op("Slice", &[x, &from, &to, &axis])
    }

    /// `x` with this shape, in which 0 keeps an extent and -1 takes what is left.
    pub(crate) fn reshape(&mut self, x: &Value, shape: &[i64]) -> Value {
        let shape = self.ints(shape);
        self.op("Reshape", &[x, &shape])
    }

    /// `value` in the shape of `x`.
    pub(crate) fn filled_like(&mut self, x: &Value, value: f32) -> Value {
        let shape = self.op("Shape", &[x]);
        let value = self.number(value);
        self.op("Expand", &[&value, &shape])
    }

    /// An input that is left out.
    pub(crate) fn none(&self) -> Value {
        Value("".into())
    }

    /// A scalar.
    pub(crate) fn number(&mut self, value: f32) -> Value {
        self.constant(&format!("number.{value:?}"), |_| (vec![], vec![value]))
    }

    /// A list of whole numbers, `[length]`.
    pub(crate) fn ints(&mut self, values: &[i64]) -> Value {
        let name = format!("ints.{values:?}").replace([' ', '[', ']'], "");
        if let Some(value) = self.known.get(&name) {
            return value.clone();
        }
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.keep(&name, vec![values.len()], Element::I64, bytes)
    }

    /// The constant of this name; a second call under the same name gives the first one's.
    pub(crate) fn constant(
        &mut self,
        name: &str,
        make: impl FnOnce(&mut Self) -> (Vec<usize>, Vec<f32>),
    ) -> Value {
        if let Some(value) = self.known.get(name) {
            return value.clone();
        }
        let (shape, values) = make(self);
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.keep(name, shape, Element::F32, bytes)
    }

    /// As [`constant`](Self::constant), kept in half precision where the graph says so.
    pub(crate) fn kernel(
        &mut self,
        name: &str,
        make: impl FnOnce(&mut Self) -> (Vec<usize>, Vec<f32>),
    ) -> Value {
        if !self.half {
            return self.constant(name, make);
        }
        let single = format!("{name}.f32");
        if let Some(value) = self.known.get(&single) {
            return value.clone();
        }
        let (shape, values) = make(self);
        // Half precision ends at 65504: a kernel that goes beyond, by a norm of almost no variance, stays as it is.
        if values.iter().any(|&value| value.is_finite() && f16::from_f32(value).is_infinite()) {
            return self.constant(name, |_| (shape, values));
        }
        let bytes = values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
        let kept = self.keep(name, shape, Element::F16, bytes);
        let to = [("to", Attribute::Int(Element::F32 as i64))];
        let value = self.named(&single, "Cast", &[&kept], &to);
        self.known.insert(single, value.clone());
        value
    }

    fn keep(&mut self, name: &str, shape: Vec<usize>, element: Element, bytes: Vec<u8>) -> Value {
        let value = self.fresh(name);
        self.constants.push(Constant { value: value.clone(), shape, element, bytes });
        self.known.insert(name.to_owned(), value.clone());
        value
    }

    pub(crate) fn input(&mut self, name: &str, element: Element, shape: &[Dim]) -> Value {
        let value = self.fresh(name);
        self.inputs.push(Port { value: value.clone(), element, shape: shape.to_vec() });
        value
    }

    /// Gives `value` this name at the graph's end.
    pub(crate) fn output(&mut self, name: &str, value: &Value, element: Element, shape: &[Dim]) {
        let value = self.named(name, "Identity", &[value], &[]);
        self.outputs.push(Port { value, element, shape: shape.to_vec() });
    }

    /// The name, shape and kind of each output, as a person reads them: `boxes [batch, 200, 4] f32`.
    pub fn outputs(&self) -> impl Iterator<Item = String> {
        self.outputs.iter().map(Port::to_string)
    }

    /// Text that the file carries under a key.
    pub fn set_metadata(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.metadata.insert(key.into(), text.into());
    }

    /// A name that no value has yet: this one, or this one and a number.
    fn fresh(&mut self, name: &str) -> Value {
        let count = self.names.entry(name.to_owned()).or_default();
        *count += 1;
        if *count == 1 {
            return Value(name.into());
        }
        let numbered = format!("{name}_{count}");
        self.fresh(&numbered)
    }

    /// The bytes of an ONNX file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let graph = Message::default()
            .messages(1, self.nodes.iter().map(Node::message))
            .text(2, "scarf")
            .messages(5, self.constants.iter().map(Constant::message))
            .messages(11, self.inputs.iter().map(Port::message))
            .messages(12, self.outputs.iter().map(Port::message));
        let lines = self.metadata.iter().map(|(key, text)| Message::default().text(1, key).text(2, text));
        Message::default()
            .int(1, IR)
            .text(2, "scarf")
            .text(3, env!("CARGO_PKG_VERSION"))
            .message(8, Message::default().text(1, "").int(2, OPSET))
            .messages(14, lines)
            .message(7, graph)
            .into_bytes()
    }
}

impl Node {
    fn message(&self) -> Message {
        let message = self.inputs.iter().fold(Message::default(), |m, input| m.text(1, &input.0));
        let message = self.outputs.iter().fold(message, |m, output| m.text(2, &output.0));
        let attribute = |(name, value): &(&str, Attribute)| value.message(name);
        message
            .text(3, &self.outputs[0].0)
            .text(4, self.operator)
            .messages(5, self.attributes.iter().map(attribute))
    }
}

impl Attribute {
    fn message(&self, name: &str) -> Message {
        let message = Message::default().text(1, name);
        match self {
            Self::Float(value) => message.float(2, *value).int(20, 1),
            Self::Int(value) => message.int(3, *value).int(20, 2),
            Self::Text(value) => message.text(4, value).int(20, 3),
            Self::Ints(values) => message.ints(8, values.iter().copied()).int(20, 7),
        }
    }
}

impl Constant {
    fn message(&self) -> Message {
        Message::default()
            .ints(1, self.shape.iter().map(|&extent| extent as i64))
            .int(2, self.element as i64)
            .text(8, &self.value.0)
            .bytes(9, &self.bytes)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extent = |dim: &Dim| match dim {
            Dim::Is(extent) => extent.to_string(),
            Dim::Any(name) => (*name).to_owned(),
        };
        let shape: Vec<String> = self.shape.iter().map(extent).collect();
        write!(f, "{} [{}] {}", self.value.0, shape.join(", "), format!("{:?}", self.element).to_lowercase())
    }
}

impl Port {
    fn message(&self) -> Message {
        let dims = self.shape.iter().map(|dim| match *dim {
            Dim::Is(extent) => Message::default().int(1, extent as i64),
            Dim::Any(name) => Message::default().text(2, name),
        });
        let shape = Message::default().messages(1, dims);
        let tensor = Message::default().int(1, self.element as i64).message(2, shape);
        Message::default().text(1, &self.value.0).message(2, Message::default().message(1, tensor))
    }
}
