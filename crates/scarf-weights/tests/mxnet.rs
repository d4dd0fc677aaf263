//! Files of MXNet against what it says they hold; `data/mxnet_files.py` made both.

use std::path::{Path, PathBuf};
use std::process::Command;

use scarf_weights::{Format, Listing, Weights};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

#[test]
fn every_version_holds_what_mxnet_says() {
    for (file, expected) in [
        ("gluon.params", "gluon.safetensors"),
        ("types.params", "types.safetensors"),
        ("version0.params", "old.safetensors"),
        ("version1.params", "old.safetensors"),
        ("version3.params", "version3.safetensors"),
    ] {
        let weights = Weights::open(data(file)).unwrap();
        assert!(!weights.is_empty());
        assert_eq!(weights, Weights::open(data(expected)).unwrap(), "{file}");
    }
    assert_eq!(Listing::open(data("gluon.params")).unwrap().format, Format::Mxnet);
}

#[test]
fn an_exported_symbol_loses_its_prefixes() {
    let weights = Weights::open(data("symbol.params")).unwrap();
    let names: Vec<&str> = weights.names().collect();
    let batchnorm =
        ["beta", "gamma", "running_mean", "running_var"].map(|part| format!("net_batchnorm0_{part}"));
    assert_eq!(names[..4], batchnorm);
    assert_eq!(names[4..], ["net_conv0_bias", "net_conv0_weight"]);
    let gluon = Weights::open(data("gluon.params")).unwrap();
    assert_eq!(weights.get("net_conv0_weight"), gluon.get("0.weight"));
}

#[test]
fn sparse_arrays_are_refused() {
    let error = Weights::open(data("sparse.params")).unwrap_err().to_string();
    assert!(error.contains("array 0 of 1: storage of type 1; only dense"), "{error}");
}

/// A detector of GluonCV, by the interpreter that `SCARF_MXNET` names.
#[test]
fn a_detector_of_gluoncv() {
    let Some(python) = std::env::var_os("SCARF_MXNET") else {
        println!("not run: SCARF_MXNET names no Python with mxnet and gluoncv");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let status =
        Command::new(python).arg(data("mxnet_files.py")).arg(folder.path()).arg("--detector").status();
    assert!(status.unwrap().success());
    let weights = Weights::open(folder.path().join("detector.params")).unwrap();
    assert!(weights.len() > 100);
    assert_eq!(weights, Weights::open(folder.path().join("detector.safetensors")).unwrap());
}
