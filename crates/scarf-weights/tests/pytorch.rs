//! Files of PyTorch against what it says they hold; `data/pytorch.py` made both.

use std::path::{Path, PathBuf};
use std::process::Command;

use scarf_weights::{Element, Format, Listing, Precision, Weights};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn open(name: &str) -> Weights {
    Weights::open(data(name)).unwrap()
}

fn error(name: &str) -> String {
    Weights::open(data(name)).unwrap_err().to_string()
}

/// Names, shapes and every bit.
fn equal(found: &Weights, expected: &Weights) {
    let names: Vec<_> = found.names().collect();
    assert_eq!(names, expected.names().collect::<Vec<_>>());
    for name in names {
        assert_eq!(found.get(name), expected.get(name), "{name}");
    }
}

#[test]
fn both_forms_hold_what_pytorch_says() {
    let expected = open("state.safetensors");
    assert_eq!(expected.len(), 16);
    for name in ["state.zip.pth", "state.legacy.pth", "protocol4.pth"] {
        equal(&open(name), &expected);
    }
}

#[test]
fn python_2_and_parameters_of_pytorch_0_1() {
    let mut expected = open("state.safetensors");
    for newer in ["bfloat", "bool", "expanded", "parameter"] {
        expected.remove(newer).unwrap();
    }
    assert_eq!(expected.len(), 12);
    for name in ["python2.pth", "parameters.pth"] {
        equal(&open(name), &expected);
    }
}

#[test]
fn a_checkpoint_is_its_model_and_its_epoch() {
    let weights = open("checkpoint.pth");
    equal(&weights, &open("state.safetensors"));
    assert_eq!(weights.metadata().iter().collect::<Vec<_>>(), [(&"epoch".into(), &"7".into())]);
}

#[test]
fn a_listing_says_how_elements_are_stored() {
    let listing = Listing::open(data("state.legacy.pth")).unwrap();
    assert_eq!(listing.format, Format::PytorchLegacy);
    let of = |name: &str| {
        let tensor = listing.tensors.iter().find(|tensor| tensor.name == name).unwrap();
        (tensor.element, tensor.shape.clone())
    };
    assert_eq!(of("half"), (Element::F16, vec![5]));
    assert_eq!(of("bfloat"), (Element::BF16, vec![5]));
    assert_eq!(of("double"), (Element::F64, vec![5]));
    assert_eq!(of("bn.num_batches_tracked"), (Element::I64, vec![]));
    assert_eq!(of("empty"), (Element::F32, vec![0, 3]));
}

#[test]
fn a_pickled_module_is_named_and_not_run() {
    let error = error("module.pth");
    assert!(error.contains("holds an object of torch.nn.modules.linear.Linear, not a state dict"), "{error}");
}

#[test]
fn other_files_are_told_by_their_contents() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pth");
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let cases: [(&[u8], &str); 7] = [
        (b"", "an empty file"),
        (b"\x80\x04\x95", "a pickle that torch.save did not write"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"<!doctype html>", "a download that failed"),
        (b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        (&tar, "a tar archive"),
        (b"random bytes", "not a file of weights"),
    ];
    for (bytes, kind) in cases {
        std::fs::write(&path, bytes).unwrap();
        let error = Weights::open(&path).unwrap_err().to_string();
        assert!(error.contains(kind) && error.contains("weights.pth"), "{error}");
    }
}

/// A detector of torchvision, read in both forms and given back, by the interpreter that
/// `SCARF_TORCH` names.
#[test]
fn a_detector_of_torchvision_comes_and_goes() {
    let Some(python) = std::env::var_os("SCARF_TORCH") else {
        println!("not run: SCARF_TORCH names no Python with torchvision and safetensors");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = |what: &str| {
        let mut command = Command::new(&python);
        assert!(command.arg(data("pytorch.py")).arg(folder.path()).arg(what).status().unwrap().success());
    };
    script("--detector");
    let open = |name: &str| Weights::open(folder.path().join(name)).unwrap();
    let expected = open("detector.safetensors");
    assert!(expected.len() > 400);
    equal(&open("detector.zip.pth"), &expected);
    let weights = open("detector.legacy.pth");
    equal(&weights, &expected);
    weights.save(folder.path().join("single.safetensors")).unwrap();
    weights.save_as(folder.path().join("half.safetensors"), Precision::F16).unwrap();
    script("--check");
}
