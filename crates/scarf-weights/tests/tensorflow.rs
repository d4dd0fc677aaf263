//! A frozen graph against what TensorFlow says it holds; `data/tensorflow_graph.py` made both.

use std::path::{Path, PathBuf};

use scarf_weights::{Format, Listing, Weights};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

#[test]
fn a_graph_holds_what_tensorflow_says() {
    let weights = Weights::open(data("graph.pb")).unwrap();
    assert_eq!(weights, Weights::open(data("graph.safetensors")).unwrap());
    assert_eq!(weights.get("Net/Conv2d_0/weights").unwrap().shape, [3, 3, 3, 4]);
    let listing = Listing::open(data("graph.pb")).unwrap();
    assert_eq!(listing.format, Format::Tensorflow);
    let elements: Vec<String> = listing
        .tensors
        .iter()
        .filter_map(|tensor| {
            Some(format!("{} {}", tensor.name.strip_prefix("types/")?, tensor.element.name()))
        })
        .collect();
    let expected = [
        "bfloat16 BF16",
        "double F64",
        "empty F32",
        "float16 F16",
        "float64 F64",
        "int16 I16",
        "int32 I32",
        "int64 I64",
        "int8 I8",
        "scalar F32",
        "uint8 U8",
    ];
    assert_eq!(elements, expected);
}

#[test]
fn what_is_no_message_is_said_with_its_node() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.pb");
    let error = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Weights::open(&path).unwrap_err().to_string()
    };
    // A node named "a", then a field of a wire type that was given up.
    let node = b"\x0a\x03\x0a\x01a";
    let group = error(&[node, &b"\x0b"[..]].concat());
    assert!(
        group.ends_with("wrong.pb: TensorFlow: node 1: a field of wire type 3, which protobuf has not"),
        "{group}"
    );
    let cut = error(&[node, &b"\x0a\x7f\x0a"[..]].concat());
    assert!(cut.ends_with("node 1: cut short: 127 bytes are wanted where 1 are left"), "{cut}");
    // A constant of four single numbers that holds three.
    let tensor = b"\x08\x01\x12\x04\x12\x02\x08\x04\x22\x0cabcdefghijkl";
    let attribute = [&b"\x0a\x05value\x12\x18\x42\x16"[..], tensor].concat();
    let node = [&b"\x0a\x01a\x12\x05Const\x2a\x21"[..], &attribute].concat();
    let few = error(&[&b"\x0a\x2d"[..], &node].concat());
    assert!(few.ends_with("node 0: a: shape [4] reaches beyond the 3 elements stored"), "{few}");
}
