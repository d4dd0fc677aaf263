//! A feature map that records what is done to it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use burn::module::{Module, Param, ParamId};
use burn::tensor::Tensor;
use scarf_backbones::layers::{
    Activation, BatchNorm, Conv2d, ConvBlock, ConvGeometry, ConvTranspose2d, Linear, MaxPool2d,
};
use scarf_backbones::{FeatureMap, parameter_names};

use crate::graph::{Attribute, Dim, Element};
use crate::{Cost, Graph, Layer, Value};

/// A recording: maps go in, through networks, and out.
///
/// ```
/// # use burn::tensor::Device;
/// # use rand::SeedableRng;
/// # use scarf_backbones::{Backbone, BackboneConfig, ResNetConfig};
/// # use scarf_onnx::Trace;
/// let config = BackboneConfig::Resnet(ResNetConfig { depth: 18, ..Default::default() });
/// let resnet = config.init(&Device::default(), &mut rand_chacha::ChaCha8Rng::seed_from_u64(0)).unwrap();
/// let trace = Trace::new(&resnet);
/// for (level, map) in resnet.forward(trace.input("images", [3, 224, 224])).0.into_iter().enumerate() {
///     trace.output(&format!("level{level}"), &map);
/// }
/// let graph = trace.finish();
/// assert_eq!(graph.cost().parameters, 11_176_512);
/// let file: Vec<u8> = graph.to_bytes();
/// ```
pub struct Trace {
    graph: Rc<RefCell<Graph>>,
    names: Rc<HashMap<ParamId, String>>,
}

/// A map of a [`Trace`], `[batch, channels, rows, columns]` with any batch; the rest is fixed.
#[derive(Clone)]
pub struct Traced {
    graph: Rc<RefCell<Graph>>,
    names: Rc<HashMap<ParamId, String>>,
    value: Value,
    /// For a batch of one.
    dims: [usize; 4],
}

impl Trace {
    /// Layers are named by their paths in `module`.
    pub fn new<M: Module>(module: &M) -> Self {
        Self { graph: Rc::default(), names: Rc::new(parameter_names(module)) }
    }

    /// The same, with kernels in half precision: half the file, computed in single precision.
    #[must_use]
    pub fn with_half(self, half: bool) -> Self {
        self.graph.borrow_mut().half = half;
        self
    }

    /// An input of the graph, `[batch, channels, rows, columns]`.
    pub fn input(&self, name: &str, [channels, rows, columns]: [usize; 3]) -> Traced {
        let shape = shape([1, channels, rows, columns]);
        let value = self.graph.borrow_mut().input(name, Element::F32, &shape);
        self.map(value, [1, channels, rows, columns])
    }

    /// Makes a map an output of the graph.
    pub fn output(&self, name: &str, map: &Traced) {
        self.graph.borrow_mut().output(name, &map.value, Element::F32, &shape(map.dims));
    }

    /// What was recorded.
    pub fn finish(self) -> Graph {
        self.graph.take()
    }

    pub(crate) fn map(&self, value: Value, dims: [usize; 4]) -> Traced {
        Traced { graph: self.graph.clone(), names: self.names.clone(), value, dims }
    }

    /// `x` `[rows, in]` through a layer, `[rows, out]`; `count` is how many rows it costs at most.
    pub(crate) fn linear(&self, x: &Value, layer: &Linear, count: usize) -> Value {
        let [output, input] = layer.weight.dims();
        let weight = name_of(&self.names, layer.weight.id);
        let name = weight.trim_end_matches(".weight").to_owned();
        let graph = &mut self.graph();
        graph.layer(Layer {
            name: name.clone(),
            kind: "Linear".into(),
            output: vec![count, output],
            cost: Cost {
                parameters: ((input + 1) * output) as u64,
                activations: (count * output) as u64,
                multiply_adds: (count * input * output) as u64,
            },
        });
        let weight = graph.kernel(&weight, |_| numbers(layer.weight.val()));
        let bias = graph.constant(&format!("{name}.bias"), |_| numbers(layer.bias.val()));
        graph.named(&name, "Gemm", &[x, &weight, &bias], &[("transB", Attribute::Int(1))])
    }

    /// The graph, to be written on.
    pub(crate) fn graph(&self) -> std::cell::RefMut<'_, Graph> {
        self.graph.borrow_mut()
    }
}

/// The path of a parameter; of one that is no part of the module that is traced, a name of its own.
fn name_of(names: &HashMap<ParamId, String>, id: ParamId) -> String {
    names.get(&id).cloned().unwrap_or_else(|| format!("parameter.{id}.weight"))
}

fn shape([_, channels, rows, columns]: [usize; 4]) -> [Dim; 4] {
    [Dim::Any("batch"), Dim::Is(channels), Dim::Is(rows), Dim::Is(columns)]
}

/// The numbers of a tensor.
pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> (Vec<usize>, Vec<f32>) {
    let data = tensor.into_data().convert::<f32>();
    let shape = data.shape().to_vec();
    (shape, data.try_into_vec().expect("the data was converted to f32 above"))
}

impl Traced {
    /// The map's name in the graph.
    pub fn value(&self) -> &Value {
        &self.value
    }

    fn becomes(self, dims: [usize; 4], record: impl FnOnce(&mut Graph, &Value) -> Value) -> Self {
        let value = record(&mut self.graph.borrow_mut(), &self.value);
        Self { value, dims, ..self }
    }

    fn name(&self, id: ParamId) -> String {
        name_of(&self.names, id)
    }

    /// A convolution with the kernel and bias that `folded` gives, and `parameters` trained numbers.
    fn convolve(
        self,
        layer: &Conv2d,
        parameters: usize,
        folded: impl FnOnce() -> (Tensor<4>, Option<Tensor<1>>),
    ) -> Self {
        let [batch, _, rows, columns] = self.dims;
        let [channels, per_group, high, wide] = layer.weight.dims();
        let geometry = layer.geometry([rows, columns]);
        let extent = |axis, input, kernel| geometry.output_len(axis, input, kernel).unwrap_or(0);
        let dims = [batch, channels, extent(0, rows, high), extent(1, columns, wide)];
        let kernel = self.name(layer.weight.id);
        let name = kernel.trim_end_matches(".weight").trim_end_matches(".conv").to_owned();
        self.becomes(dims, |graph, x| {
            let outputs = dims.iter().product::<usize>();
            graph.layer(Layer {
                name: name.clone(),
                kind: kind(&geometry, [high, wide]),
                output: dims.to_vec(),
                cost: Cost {
                    parameters: parameters as u64,
                    activations: outputs as u64,
                    multiply_adds: (outputs * per_group * high * wide) as u64,
                },
            });
            let (weight, bias) = folded();
            let mut inputs = vec![x.clone(), graph.kernel(&kernel, |_| numbers(weight))];
            inputs.extend(bias.map(|bias| graph.constant(&format!("{name}.bias"), |_| numbers(bias))));
            let inputs: Vec<&Value> = inputs.iter().collect();
            graph.named(&name, "Conv", &inputs, &attributes(&geometry, [high, wide]))
        })
    }
}

/// As a reader of a table wants it.
fn kind(geometry: &ConvGeometry, [high, wide]: [usize; 2]) -> String {
    let mut kind = format!("Conv {high}x{wide}");
    let mut add = |what: &str, number: usize| {
        if number > 1 {
            kind += &format!(" {what}{number}");
        }
    };
    add("/", geometry.stride[0]);
    add("dilation ", geometry.dilation[0]);
    add("groups ", geometry.groups);
    kind
}

fn attributes(geometry: &ConvGeometry, kernel: [usize; 2]) -> [(&'static str, Attribute); 5] {
    let [[top, bottom], [left, right]] = geometry.padding;
    [
        ("kernel_shape", ints(kernel)),
        ("strides", ints(geometry.stride)),
        ("pads", ints([top, left, bottom, right])),
        ("dilations", ints(geometry.dilation)),
        ("group", Attribute::Int(geometry.groups as i64)),
    ]
}

fn ints<const N: usize>(values: [usize; N]) -> Attribute {
    Attribute::Ints(values.map(|value| value as i64).to_vec())
}

/// Windows of one axis, and the padding after its end that makes room for the last.
fn windows(pool: MaxPool2d, size: usize) -> (usize, usize) {
    let count = pool.output_len(size);
    let reach = count.saturating_sub(1) * pool.stride + pool.kernel;
    (count, reach.saturating_sub(size + pool.padding))
}

impl FeatureMap for Traced {
    fn dims(&self) -> [usize; 4] {
        self.dims
    }

    fn conv(self, layer: &Conv2d, activation: Activation) -> Self {
        let bias = layer.bias.as_ref().map(Param::val);
        let parameters = layer.weight.dims().iter().product::<usize>() + length(bias.as_ref());
        self.convolve(layer, parameters, || (layer.weight.val(), bias)).activate(activation)
    }

    fn conv_block(self, layer: &ConvBlock) -> Self {
        let bias = layer.conv.bias.as_ref().map(Param::val);
        let norm = layer.norm.as_ref().map_or(0, |norm| norm.weight.dims()[0] + norm.bias.dims()[0]);
        let parameters = layer.conv.weight.dims().iter().product::<usize>() + length(bias.as_ref()) + norm;
        self.convolve(&layer.conv, parameters, || layer.folded()).activate(layer.activation)
    }

    fn conv_transpose(self, layer: &ConvTranspose2d) -> Self {
        let ([batch, input, rows, columns], [_, channels, _, _]) = (self.dims, layer.weight.dims());
        let dims = [batch, channels, 2 * rows, 2 * columns];
        let weight = self.name(layer.weight.id);
        let name = weight.trim_end_matches(".weight").to_owned();
        self.becomes(dims, |graph, x| {
            graph.layer(Layer {
                name: name.clone(),
                kind: "ConvTranspose 3x3 /2".into(),
                output: dims.to_vec(),
                cost: Cost {
                    parameters: (9 * input * channels + channels) as u64,
                    activations: dims.iter().product::<usize>() as u64,
                    multiply_adds: (batch * input * rows * columns * channels * 9) as u64,
                },
            });
            let weight = graph.kernel(&weight, |_| numbers(layer.weight.val()));
            let bias = graph.constant(&format!("{name}.bias"), |_| numbers(layer.bias.val()));
            let attributes = [
                ("kernel_shape", ints([3; 2])),
                ("strides", ints([2; 2])),
                ("pads", ints([1; 4])),
                ("output_padding", ints([1; 2])),
            ];
            graph.named(&name, "ConvTranspose", &[x, &weight, &bias], &attributes)
        })
    }

    fn norm(self, layer: &BatchNorm, activation: Activation) -> Self {
        let (dims, weight) = (self.dims, self.name(layer.weight.id));
        let name = weight.trim_end_matches(".weight").to_owned();
        let normed = self.becomes(dims, |graph, x| {
            graph.layer(Layer {
                name: name.clone(),
                kind: "Norm".into(),
                output: dims.to_vec(),
                cost: Cost { parameters: 2 * dims[1] as u64, ..Cost::default() },
            });
            let (scale, shift) = layer.fixed();
            let row = |values: Tensor<1>| numbers(values.reshape([1, dims[1], 1, 1]));
            let scale = graph.constant(&format!("{name}.scale"), |_| row(scale));
            let shift = graph.constant(&format!("{name}.shift"), |_| row(shift));
            let scaled = graph.op("Mul", &[x, &scale]);
            graph.named(&name, "Add", &[&scaled, &shift], &[])
        });
        normed.activate(activation)
    }

    fn max_pool(self, pool: MaxPool2d) -> Self {
        let [batch, channels, rows, columns] = self.dims;
        let ((down, bottom), (across, right)) = (windows(pool, rows), windows(pool, columns));
        self.becomes([batch, channels, down, across], |graph, x| {
            let attributes = [
                ("kernel_shape", ints([pool.kernel; 2])),
                ("strides", ints([pool.stride; 2])),
                ("pads", ints([pool.padding, pool.padding, bottom, right])),
            ];
            graph.set("MaxPool", &[x], &attributes)
        })
    }

    fn mean_pixel(self) -> Self {
        let [batch, channels, _, _] = self.dims;
        self.becomes([batch, channels, 1, 1], |graph, x| graph.op("GlobalAveragePool", &[x]))
    }

    fn plus(self, other: Self, activation: Activation) -> Self {
        let dims = self.dims;
        self.becomes(dims, |graph, x| graph.op("Add", &[x, &other.value])).activate(activation)
    }

    fn times(self, gate: Self) -> Self {
        let dims = self.dims;
        self.becomes(dims, |graph, x| graph.op("Mul", &[x, &gate.value]))
    }

    fn activate(self, activation: Activation) -> Self {
        let dims = self.dims;
        self.becomes(dims, |graph, x| match activation {
            Activation::None => x.clone(),
            Activation::Relu => graph.op("Relu", &[x]),
            Activation::Relu6 => {
                let (low, high) = (graph.number(0.0), graph.number(6.0));
                graph.op("Clip", &[x, &low, &high])
            }
            Activation::HardSigmoid => {
                let slope = [("alpha", Attribute::Float(1.0 / 6.0)), ("beta", Attribute::Float(0.5))];
                graph.set("HardSigmoid", &[x], &slope)
            }
            Activation::HardSwish => graph.op("HardSwish", &[x]),
        })
    }

    fn unit_length(self, scale: &Param<Tensor<1>>) -> Self {
        let (dims, name, channels) = (self.dims, self.name(scale.id), scale.dims()[0]);
        self.becomes(dims, |graph, x| {
            graph.layer(Layer {
                name: name.clone(),
                kind: "Scale".into(),
                output: dims.to_vec(),
                cost: Cost { parameters: channels as u64, ..Cost::default() },
            });
            let square = graph.op("Mul", &[x, x]);
            let axis = graph.ints(&[1]);
            let sum = graph.op("ReduceSum", &[&square, &axis]);
            let least = graph.number(1e-10);
            let sum = graph.op("Add", &[&sum, &least]);
            let length = graph.op("Sqrt", &[&sum]);
            let unit = graph.op("Div", &[x, &length]);
            let scale = graph.constant(&name, |_| numbers(scale.val().reshape([1, channels, 1, 1])));
            graph.op("Mul", &[&unit, &scale])
        })
    }

    fn resize_nearest(self, [down, across]: [usize; 2]) -> Self {
        let [batch, channels, _, _] = self.dims;
        self.becomes([batch, channels, down, across], |graph, x| {
            let shape = graph.op("Shape", &[x]);
            let before = graph.slice(&shape, 0, 0, 2);
            let after = graph.ints(&[down as i64, across as i64]);
            let sizes = graph.set("Concat", &[&before, &after], &[("axis", Attribute::Int(0))]);
            let none = graph.none();
            let how = [
                ("mode", Attribute::Text("nearest")),
                ("coordinate_transformation_mode", Attribute::Text("asymmetric")),
                ("nearest_mode", Attribute::Text("floor")),
            ];
            graph.set("Resize", &[x, &none, &none, &sizes], &how)
        })
    }

    fn crop(self, [rows, columns]: [usize; 2]) -> Self {
        let [batch, channels, _, _] = self.dims;
        self.becomes([batch, channels, rows, columns], |graph, x| {
            let x = graph.slice(x, 2, 0, rows as i64);
            graph.slice(&x, 3, 0, columns as i64)
        })
    }

    fn cat_channels(maps: Vec<Self>) -> Self {
        let mut dims = maps[0].dims;
        dims[1] = maps.iter().map(|map| map.dims[1]).sum();
        let rest: Vec<Value> = maps[1..].iter().map(|map| map.value.clone()).collect();
        let first = maps.into_iter().next().expect("a concatenation has at least one map");
        first.becomes(dims, |graph, x| {
            let all: Vec<&Value> = std::iter::once(x).chain(&rest).collect();
            graph.set("Concat", &all, &[("axis", Attribute::Int(1))])
        })
    }
}

fn length(vector: Option<&Tensor<1>>) -> usize {
    vector.map_or(0, |vector| vector.dims()[0])
}
