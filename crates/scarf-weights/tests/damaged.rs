//! Files that were cut or changed: an error or other numbers, never a panic, and never more memory
//! than a few times the file.

use std::io::Write;
use std::path::Path;

use proptest::prelude::*;
use scarf_weights::{Listing, Weights};

const FILES: [&str; 11] = [
    "state.safetensors",
    "state.zip.pth",
    "state.legacy.pth",
    "protocol4.pth",
    "checkpoint.pth",
    "parameters.pth",
    "gluon.params",
    "types.params",
    "version0.params",
    "version3.params",
    "graph.pb",
];

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

/// Opens these bytes; an error must name the file.
fn open(bytes: &[u8]) -> bool {
    let mut file = tempfile::NamedTempFile::with_prefix("damaged").unwrap();
    file.write_all(bytes).unwrap();
    let listed = Listing::open(file.path());
    match Weights::open(file.path()) {
        Ok(weights) => {
            let count: usize = weights.names().map(|name| weights.get(name).unwrap().values.len()).sum();
            assert!(count <= bytes.len() + (1 << 20) && listed.is_ok());
            true
        }
        Err(error) => {
            assert!(error.to_string().contains("damaged"), "{error}");
            false
        }
    }
}

/// Where the fields of a graph, of at most 16383 bytes each, begin.
fn nodes(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    while let Some(&start) = starts.last()
        && start < bytes.len()
    {
        let (low, high) = (usize::from(bytes[start + 1]), usize::from(bytes[start + 2]));
        starts.push(start + if low < 128 { 2 + low } else { 3 + (low & 127) + (high << 7) });
    }
    starts.split_off(1)
}

#[test]
fn every_cut_is_an_error() {
    for name in FILES {
        let bytes = bytes(name);
        assert!(open(&bytes), "{name}");
        let step = bytes.len().div_ceil(600);
        // A graph does not say how many nodes it has.
        let between = if name == "graph.pb" { nodes(&bytes) } else { Vec::new() };
        for length in (0..bytes.len()).step_by(step).filter(|length| !between.contains(length)) {
            assert!(!open(&bytes[..length]), "{name} cut to {length} bytes");
        }
    }
}

#[test]
fn a_small_file_cannot_ask_for_much() {
    // A tensor of 2^40 elements over one, by strides of zero: `expanded` with its 3 made huge.
    let mut bytes = bytes("state.legacy.pth");
    let at = bytes.windows(8).position(|part| part == b"expanded").unwrap();
    let tuple = bytes[at..].windows(5).position(|part| part == [b'K', 3, b'K', 2, 0x86]).unwrap() + at;
    bytes.splice(tuple..tuple + 2, [0x8a, 6, 0, 0, 0, 0, 0, 1]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let error = Weights::open(file.path()).unwrap_err().to_string();
    assert!(error.contains("elements in a file of"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn changed_bytes_never_panic(
        file in 0..FILES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = bytes(FILES[file]);
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        open(&bytes);
    }

    #[test]
    fn parts_that_change_places_never_panic(
        file in 0..FILES.len(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        length in 1usize..40,
    ) {
        let mut bytes = bytes(FILES[file]);
        let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
        let part = bytes[from..bytes.len().min(from + length)].to_vec();
        bytes.splice(to..to, part);
        open(&bytes);
    }

    #[test]
    fn any_bytes_after_a_known_beginning_never_panic(
        file in 0..FILES.len(),
        kept in 0usize..64,
        rest in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut bytes = bytes(FILES[file]);
        bytes.truncate(kept);
        bytes.extend(rest);
        open(&bytes);
    }
}
