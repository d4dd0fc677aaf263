//! onnxruntime, run by the interpreter that SCARF_PYTHON names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use burn::module::Module;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{Allow, ModuleWeights, Weights};
use scarf_core::{BBox, Classes, Detection};
use scarf_heads::Detector;
use scarf_onnx::Graph;
use serde_json::{Value, json};

/// The interpreter, or `None` where none is named.
pub(crate) fn python() -> Option<PathBuf> {
    let python = std::env::var_os("SCARF_PYTHON").map(PathBuf::from);
    if python.is_none() {
        println!("not run: SCARF_PYTHON names no Python with onnx and onnxruntime");
    }
    python
}

/// Graphs and their inputs, to be run together.
pub(crate) struct Jobs {
    folder: Rc<tempfile::TempDir>,
    jobs: Vec<Value>,
}

/// What onnxruntime made of one job.
pub(crate) struct Answer {
    /// Where its numbers lie, until the last answer of the jobs is gone.
    _folder: Rc<tempfile::TempDir>,
    model: String,
    outputs: Value,
    pub metadata: BTreeMap<String, String>,
}

impl Jobs {
    pub(crate) fn new() -> Self {
        Self { folder: Rc::new(tempfile::tempdir().unwrap()), jobs: Vec::new() }
    }

    /// `images` `[batch, channels, rows, columns]`.
    pub(crate) fn add(&mut self, graph: &Graph, images: &Tensor<4>) {
        let path = |end: &str| self.folder.path().join(format!("{}.{end}", self.jobs.len()));
        std::fs::write(path("onnx"), graph.to_bytes()).unwrap();
        let bytes: Vec<u8> = numbers(images.clone()).iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(path("input"), bytes).unwrap();
        let job = json!({"model": path("onnx"), "input": path("input"), "shape": images.dims()});
        self.jobs.push(job);
    }

    pub(crate) fn run(&self, python: &Path) -> Vec<Answer> {
        let list = self.folder.path().join("jobs.json");
        std::fs::write(&list, json!(self.jobs).to_string()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/run_onnx.py");
        let output = Command::new(python).arg(script).arg(list).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), self.jobs.len());
        let answers = text.lines().zip(&self.jobs).map(|(line, job)| {
            let mut answer: Value = serde_json::from_str(line).unwrap();
            Answer {
                _folder: self.folder.clone(),
                model: job["model"].as_str().unwrap().to_owned(),
                outputs: answer["outputs"].take(),
                metadata: serde_json::from_value(answer["metadata"].take()).unwrap(),
            }
        });
        answers.collect()
    }
}

impl Answer {
    pub(crate) fn shape(&self, name: &str) -> Vec<usize> {
        serde_json::from_value(self.outputs[name]["shape"].clone()).unwrap()
    }

    pub(crate) fn floats(&self, name: &str) -> Vec<f32> {
        self.read(name, "float32", |bytes: [u8; 4]| f32::from_le_bytes(bytes))
    }

    pub(crate) fn ints(&self, name: &str) -> Vec<i64> {
        self.read(name, "int64", |bytes: [u8; 8]| i64::from_le_bytes(bytes))
    }

    fn read<const N: usize, T>(&self, name: &str, kind: &str, number: fn([u8; N]) -> T) -> Vec<T> {
        assert_eq!(self.outputs[name]["type"], kind, "{name}");
        let bytes = std::fs::read(format!("{}.{name}.bin", self.model)).unwrap();
        bytes.chunks_exact(N).map(|bytes| number(bytes.try_into().unwrap())).collect()
    }
}

/// The detections of each image; what stands behind them must be padding.
pub(crate) fn detections(answer: &Answer) -> Vec<Vec<Detection>> {
    let rows = answer.shape("scores")[1];
    let (boxes, scores, labels) = (answer.floats("boxes"), answer.floats("scores"), answer.ints("labels"));
    let detection = |at: usize| Detection {
        bbox: BBox::new(boxes[4 * at], boxes[4 * at + 1], boxes[4 * at + 2], boxes[4 * at + 3]),
        class: labels[at] as usize,
        score: scores[at],
    };
    let image = |(image, &count): (usize, &i64)| {
        let (from, end) = (image * rows + count as usize, (image + 1) * rows);
        assert!(labels[from..end].iter().all(|&label| label == -1));
        assert!(scores[from..end].iter().chain(&boxes[4 * from..4 * end]).all(|&number| number == 0.0));
        (image * rows..from).map(detection).collect()
    };
    answer.ints("count").iter().enumerate().map(image).collect()
}

pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// The greatest difference, over the greatest magnitude of what is expected.
pub(crate) fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let greatest = |values: &mut dyn Iterator<Item = f32>| {
        values.fold(0.0f32, |most, value| if value.is_nan() { f32::INFINITY } else { most.max(value.abs()) })
    };
    greatest(&mut found.iter().zip(expected).map(|(a, b)| a - b)) / greatest(&mut expected.iter().copied())
}

/// The module with normalisations that have seen something: each channel its own scale, shift, mean
/// and variance.
pub(crate) fn lived_in<M: Module>(module: M, seed: u64) -> M {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut weights = Weights::of(&module);
    let names: Vec<String> = weights.names().map(str::to_owned).collect();
    for name in names.iter().filter(|name| name.contains(".norm.") || name.ends_with(".bias")) {
        let mut array = weights.remove(name).unwrap();
        let positive = name.ends_with("running_var") || name.ends_with("weight");
        for value in &mut array.values {
            let drawn = rng.random::<f32>();
            *value = if positive { 0.5 + drawn } else { drawn - 0.5 };
        }
        weights.insert(name.clone(), array);
    }
    weights.load_into(module, &Allow::default()).unwrap().0
}

/// Pixels of `[batch, 3, rows, columns]` in 0..=255.
pub(crate) fn pixels(shape: [usize; 4], seed: u64) -> Tensor<4> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| 255.0 * rng.random::<f32>()).collect();
    Tensor::from_data(TensorData::new(values, shape), &Default::default())
}

/// The folder of published weights, or `None` where none is named.
pub(crate) fn weights() -> Option<PathBuf> {
    let folder = std::env::var_os("SCARF_WEIGHTS").map(PathBuf::from);
    if folder.is_none() {
        println!("not run: SCARF_WEIGHTS names no folder of published weights");
    }
    folder
}

/// The photographs of a file of reference outputs: `[2, 3, 300, 300]` in 0..=255.
pub(crate) fn photographs(reference: &Weights) -> Tensor<4> {
    let pictures = reference.get("image_u8_nhwc").unwrap();
    let pictures = TensorData::new(pictures.values.clone(), pictures.shape.clone());
    Tensor::<4>::from_data(pictures, &Default::default()).permute([0, 3, 1, 2])
}

/// A photograph, of a cat where `at` is even and else of a person, that the published weights of SCARF_WEIGHTS come
/// with, as a square of `side` pixels: `[1, 3, side, side]` in 0..=255. `None` where SCARF_WEIGHTS is not set.
pub(crate) fn photograph(at: usize, side: usize) -> Option<Tensor<4>> {
    let file = weights()?.join("reference/ssdlite_mobilenet_v2_coco.ref.safetensors");
    let pictures = photographs(&Weights::open(file).unwrap());
    let to = InterpolateOptions::new(InterpolateMode::Bilinear).with_output_size([side, side]);
    Some(interpolate(pictures.narrow(0, at % 2, 1), to))
}

/// The standard deviation.
pub(crate) fn spread<const D: usize>(x: Tensor<D>) -> f32 {
    let count = x.dims().iter().product();
    x.reshape([1, count]).var(1).sqrt().into_scalar()
}

/// The weights whose names match divided: scores that are all 1 have no order.
pub(crate) fn weakened(detector: Detector, pattern: &str, by: f32) -> Detector {
    let mut weights = Weights::of(&detector).matching(pattern).unwrap();
    let names: Vec<String> = weights.names().map(str::to_owned).collect();
    for name in names {
        let mut array = weights.remove(&name).unwrap();
        array.values.iter_mut().for_each(|value| *value /= by);
        weights.insert(name, array);
    }
    weights.load_into(detector, &Allow::default().missing("").unwrap()).unwrap().0
}

pub(crate) fn classes() -> Classes {
    Classes::new(["crazing", "inclusion", "patches"]).unwrap()
}

/// Fails unless the detections are the same; scores a last bit apart may change places.
pub(crate) fn assert_same(theirs: &[Detection], ours: &[Detection], what: &str) {
    let close = |a: &Detection, b: &Detection| {
        let [a_box, b_box] = [a, b].map(|detection| detection.bbox.to_array());
        a.class == b.class
            && (a.score - b.score).abs() < 1e-4
            && a_box.iter().zip(b_box).all(|(a, b)| (a - b).abs() < 2e-2)
    };
    assert_eq!(theirs.len(), ours.len(), "{what}");
    assert!(theirs.windows(2).all(|pair| pair[0].score >= pair[1].score));
    let mut left = theirs.to_vec();
    for (row, ours) in ours.iter().enumerate() {
        let at = left.iter().position(|theirs| close(theirs, ours));
        left.remove(at.unwrap_or_else(|| panic!("row {row} of {what}: no {ours:?}")));
    }
}
