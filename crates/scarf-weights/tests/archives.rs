//! Archives as GluonCV (zip) and TensorFlow (`.tar.gz`) publish weights in.

use std::path::{Path, PathBuf};

use scarf_weights::unpack;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A tar of these files, compressed.
fn tar_gz(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

#[test]
fn a_zip_gives_its_one_entry() {
    let params = std::fs::read(data("symbol.params")).unwrap();
    assert_eq!(unpack(data("gluon.zip"), ".params").unwrap(), params);
    let error = unpack(data("gluon.zip"), ".pth").unwrap_err().to_string();
    assert!(error.ends_with("gluon.zip: 0 entries end with `.pth`, not one"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let (path, bytes) = (folder.path().join("cut.zip"), std::fs::read(data("gluon.zip")).unwrap());
    for at in 0..bytes.len() {
        std::fs::write(&path, &bytes[..at]).unwrap();
        assert!(unpack(&path, ".params").is_err());
        let mut changed = bytes.clone();
        changed[at] ^= 0x55;
        std::fs::write(&path, &changed).unwrap();
        let _ = unpack(&path, ".params");
    }
}

#[test]
fn a_tar_gives_its_one_entry() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.tgz");
    let said = |bytes: &[u8], suffix: &str| {
        std::fs::write(&path, bytes).unwrap();
        unpack(&path, suffix).map_err(|error| error.to_string())
    };
    let content: Vec<u8> = (0..3000_u32).flat_map(u32::to_le_bytes).collect();
    let whole = tar_gz(&[("./a/readme.txt", b"x"), ("./a/graph.pb", &content)]);
    assert_eq!(said(&whole, "graph.pb").unwrap(), content);
    let none = said(&whole, ".pth").unwrap_err();
    assert!(none.ends_with("file.tgz: 0 entries end with `.pth`, not one"), "{none}");
    let several = said(&tar_gz(&[("a.pb", b"1"), ("b.pb", b"2")]), ".pb").unwrap_err();
    assert!(several.ends_with("2 entries end with `.pb`, not one"), "{several}");
    let other = said(b"neither", ".pb").unwrap_err();
    assert!(other.ends_with("neither a zip archive nor a tar compressed by gzip"), "{other}");
    // What comes after the entry is not looked at, but for a few hundred zeros.
    for at in (0..whole.len() - 40).step_by(7) {
        assert!(said(&whole[..at], "graph.pb").is_err(), "cut to {at} bytes");
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        let _ = said(&changed, "graph.pb");
    }
}
