//! Times training steps (forward and backward) with this crate's kernels and with burn's own:
//!
//! ```text
//! cargo run -p scarf-kernels --example step -- [mobilenet|resnet|vgg|layers] [ours|stock] [steps]
//! python crates/scarf-kernels/examples/step.py [mobilenet|resnet|vgg] [steps]
//! ```
//!
//! The second is the same in PyTorch. Pin both to the same cores (`taskset -c 0,1`). Printed are the
//! median of the wall clock and the mean of the processor's time, in milliseconds a step, and the
//! peak of the resident memory.

use std::time::Instant;

use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Distribution, Tensor};
use scarf_kernels::{Activation, ConvGeometry};

/// Whose operations.
#[derive(Clone, Copy, PartialEq)]
enum Engine {
    Ours,
    Stock,
}

/// The parameters of a network, made as its layers ask for them and then used again in that order.
struct Net {
    engine: Engine,
    device: Device,
    weights: Vec<Tensor<4>>,
    vectors: Vec<Tensor<1>>,
    next: (usize, usize),
}

impl Net {
    fn new(engine: Engine) -> Self {
        let device = Device::flex().autodiff();
        Self { engine, device, weights: Vec::new(), vectors: Vec::new(), next: (0, 0) }
    }

    fn weight(&mut self, dims: [usize; 4]) -> Tensor<4> {
        if self.next.0 == self.weights.len() {
            let limit = (3.0 / (dims[1] * dims[2] * dims[3]) as f64).sqrt();
            let range = Distribution::Uniform(-limit, limit);
            self.weights.push(Tensor::random(dims, range, &self.device).require_grad());
        }
        self.next.0 += 1;
        self.weights[self.next.0 - 1].clone()
    }

    fn vector(&mut self, len: usize, value: f32) -> Tensor<1> {
        if self.next.1 == self.vectors.len() {
            self.vectors.push(Tensor::full([len], value, &self.device).require_grad());
        }
        self.next.1 += 1;
        self.vectors[self.next.1 - 1].clone()
    }

    fn conv(&mut self, x: Tensor<4>, layer: Layer, bias: bool, activation: Activation) -> Tensor<4> {
        let channels = x.dims()[1];
        let groups = if layer.depthwise { channels } else { 1 };
        let weight = self.weight([layer.out, channels / groups, layer.kernel, layer.kernel]);
        let bias = bias.then(|| self.vector(layer.out, 0.0));
        let (stride, dilation) = ([layer.stride; 2], [layer.dilation; 2]);
        let padding = layer.dilation * (layer.kernel / 2);
        if self.engine == Engine::Ours {
            let padding = [[padding; 2]; 2];
            let geometry = ConvGeometry { stride, padding, dilation, groups };
            scarf_kernels::conv2d(x, weight, bias, geometry, activation)
        } else {
            let options = ConvOptions::new(stride, [padding; 2], dilation, groups);
            scarf_kernels::activate(burn::tensor::module::conv2d(x, weight, bias, options), activation)
        }
    }

    fn norm(&mut self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        let channels = x.dims()[1];
        let (gamma, beta) = (self.vector(channels, 1.0), self.vector(channels, 0.0));
        if self.engine == Engine::Ours {
            scarf_kernels::batch_norm_train(x, gamma, beta, 1e-5, activation).output
        } else {
            let normal = burn::tensor::module::batch_norm_train(x, gamma, beta, 1e-5).output;
            scarf_kernels::activate(normal, activation)
        }
    }

    fn conv_norm(&mut self, x: Tensor<4>, layer: Layer, activation: Activation) -> Tensor<4> {
        let x = self.conv(x, layer, false, Activation::None);
        self.norm(x, activation)
    }

    fn pool(&self, x: Tensor<4>, kernel: usize, stride: usize) -> Tensor<4> {
        let options =
            MaxPoolOptions::new([kernel; 2]).with_stride([stride; 2]).with_padding([(kernel - 1) / 2; 2]);
        if self.engine == Engine::Ours {
            scarf_kernels::max_pool2d(x, options)
        } else {
            burn::tensor::module::max_pool2d(x, options)
        }
    }
}

#[derive(Clone, Copy)]
struct Layer {
    out: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    depthwise: bool,
}

fn layer(out: usize, kernel: usize, stride: usize) -> Layer {
    Layer { out, kernel, stride, dilation: 1, depthwise: false }
}

fn mobilenet(net: &mut Net, x: Tensor<4>) -> Tensor<4> {
    let mut x = net.conv_norm(x, layer(32, 3, 2), Activation::Relu);
    let blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)];
    let late = [(512, 1); 5].into_iter().chain([(1024, 2), (1024, 1)]);
    for (out, stride) in blocks.into_iter().chain(late) {
        let depthwise = Layer { depthwise: true, ..layer(x.dims()[1], 3, stride) };
        x = net.conv_norm(x, depthwise, Activation::Relu);
        x = net.conv_norm(x, layer(out, 1, 1), Activation::Relu);
    }
    x
}

fn resnet(net: &mut Net, x: Tensor<4>) -> Tensor<4> {
    let mut x = net.conv_norm(x, layer(64, 7, 2), Activation::Relu);
    x = net.pool(x, 3, 2);
    for (width, blocks, first) in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)] {
        for block in 0..blocks {
            let stride = if block == 0 { first } else { 1 };
            let mut y = net.conv_norm(x.clone(), layer(width, 1, 1), Activation::Relu);
            y = net.conv_norm(y, layer(width, 3, stride), Activation::Relu);
            y = net.conv_norm(y, layer(4 * width, 1, 1), Activation::None);
            if block == 0 {
                x = net.conv_norm(x, layer(4 * width, 1, stride), Activation::None);
            }
            x = scarf_kernels::add(x, y, Activation::Relu);
        }
    }
    x
}

fn vgg(net: &mut Net, mut x: Tensor<4>) -> Tensor<4> {
    for (out, layers) in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)] {
        for _ in 0..layers {
            x = net.conv(x, layer(out, 3, 1), true, Activation::Relu);
        }
        let last = x.dims()[1] == 512 && x.dims()[2] < 20;
        x = if last { net.pool(x, 3, 1) } else { net.pool(x, 2, 2) };
    }
    x = net.conv(x, Layer { dilation: 6, ..layer(1024, 3, 1) }, true, Activation::Relu);
    net.conv(x, layer(1024, 1, 1), true, Activation::Relu)
}

/// The processor's time of this process so far, in milliseconds; 0 where /proc does not tell.
fn processor() -> f64 {
    let Ok(text) = std::fs::read_to_string("/proc/self/stat") else { return 0.0 };
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    // Ticks of 10 ms in user and in kernel mode: fields 14 and 15, counted from 1.
    fields[11..13].iter().filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() * 10.0
}

/// The peak of the resident memory in MiB.
fn peak() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn time(name: &str, engine: Engine, steps: usize, mut step: impl FnMut()) {
    step();
    step();
    let (mut walls, begin) = (Vec::new(), processor());
    for _ in 0..steps {
        let start = Instant::now();
        step();
        walls.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let cpu = (processor() - begin) / steps as f64;
    walls.sort_by(f64::total_cmp);
    let engine = if engine == Engine::Ours { "ours" } else { "stock" };
    let (median, best) = (walls[steps / 2], walls[0]);
    println!(
        "{name:<34} {engine:<6} wall {median:8.1} (best {best:8.1})  cpu {cpu:8.1} ms  peak {:6.0} MiB",
        peak()
    );
}

fn network(name: &str, engine: Engine, steps: usize, side: usize, f: fn(&mut Net, Tensor<4>) -> Tensor<4>) {
    let mut net = Net::new(engine);
    let x = Tensor::<4>::random([4, 3, side, side], Distribution::Uniform(-1.0, 1.0), &net.device);
    time(&format!("{name} {side} px, training step"), engine, steps, || {
        net.next = (0, 0);
        let output = f(&mut net, x.clone());
        let gradients = output.mean().backward();
        assert!(net.weights[0].grad(&gradients).is_some());
    });
    let plain = Tensor::<4>::random([4, 3, side, side], Distribution::Uniform(-1.0, 1.0), &Device::flex());
    for weight in &mut net.weights {
        *weight = weight.clone().inner();
    }
    for vector in &mut net.vectors {
        *vector = vector.clone().inner();
    }
    time(&format!("{name} {side} px, forward"), engine, steps, || {
        net.next = (0, 0);
        drop(f(&mut net, plain.clone()));
    });
}

fn layers(engine: Engine, steps: usize) {
    for (channels, side, layer) in [
        (256, 38, layer(256, 3, 1)),
        (64, 75, layer(64, 3, 1)),
        (128, 64, layer(128, 3, 2)),
        (3, 256, layer(32, 3, 2)),
        (32, 128, layer(64, 1, 1)),
        (512, 16, layer(512, 1, 1)),
        (64, 128, Layer { depthwise: true, ..layer(64, 3, 2) }),
        (128, 64, Layer { depthwise: true, ..layer(128, 3, 1) }),
        (512, 16, Layer { depthwise: true, ..layer(512, 3, 1) }),
    ] {
        let mut net = Net::new(engine);
        let range = Distribution::Uniform(-1.0, 1.0);
        let x = Tensor::<4>::random([4, channels, side, side], range, &net.device).require_grad();
        let (kernel, depthwise) = (layer.kernel, if layer.depthwise { " depthwise" } else { "" });
        let name =
            format!("{channels}x{side} to {} {kernel}x{kernel}/{}{depthwise}", layer.out, layer.stride);
        time(&name, engine, steps, || {
            net.next = (0, 0);
            let output = net.conv(x.clone(), layer, false, Activation::None);
            drop(output.mean().backward());
        });
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let word = |index: usize| arguments.get(index).map_or("", String::as_str);
    let engine = if word(1) == "stock" { Engine::Stock } else { Engine::Ours };
    let steps = word(2).parse().unwrap_or(10);
    if engine == Engine::Ours {
        scarf_kernels::keep_freed_memory();
    }
    match word(0) {
        "resnet" => network("ResNet-50", engine, steps, 256, resnet),
        "vgg" => network("VGG-16 atrous", engine, steps, 300, vgg),
        "layers" => layers(engine, steps),
        _ => network("MobileNet v1", engine, steps, 256, mobilenet),
    }
}
