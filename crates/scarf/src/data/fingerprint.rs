//! What tells a data set from another under the same settings: a run's id has names of folders alone.

use std::fmt::Write;

use scarf_data::{DataSet, Split};
use sha2::{Digest, Sha256};

/// SHA-256, in hexadecimal, of images' names and sizes, of their objects and classes, and of the `parts` where those do not
/// follow from settings and images. Pixels are not in it.
pub(super) fn fingerprint(set: &DataSet, parts: Option<&Split>) -> String {
    let mut text = format!("{:?}\n", set.classes.names());
    let written = set.samples.iter().try_for_each(|sample| {
        write!(text, "{:?} {} {}", sample.name, sample.size.width, sample.size.height)?;
        for object in &sample.annotations {
            let (b, flags) = (object.bbox, [object.crowd, object.difficult, object.truncated]);
            write!(text, "; {} {} {} {} {}", object.class, b.x1, b.y1, b.x2, b.y2)?;
            write!(text, " {} {:?}", object.area, flags.map(u8::from))?;
        }
        writeln!(text)
    });
    written.expect("a text takes all");
    for part in parts.iter().flat_map(|split| [&split.train, &split.val, &split.test]) {
        let names: Vec<&str> = part.iter().map(|&index| set.samples[index].name.as_str()).collect();
        writeln!(text, "{names:?}").expect("a text takes all");
    }
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
