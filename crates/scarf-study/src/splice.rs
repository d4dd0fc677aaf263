//! Results put into documents, between markers.

use crate::Error;
use std::path::Path;

/// `document`, the text of the file at `path`, with `results` between its lines `<!-- NAME:begin -->` and
/// `<!-- NAME:end -->`.
///
/// # Errors
/// Where these lines are not there, in this order.
pub fn splice(path: &Path, document: &str, name: &str, results: &str) -> Result<String, Error> {
    let (begin, end) = (format!("<!-- {name}:begin -->"), format!("<!-- {name}:end -->"));
    let found = document.find(&begin).and_then(|start| {
        let start = start + begin.len();
        Some((start, start + document[start..].find(&end)?))
    });
    let Some((start, stop)) = found else {
        return Err(Error::NoMarkers { path: path.into(), begin, end });
    };
    Ok(format!("{}\n{}\n{}", &document[..start], results.trim_end(), &document[stop..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splicing_twice_changes_no_more_than_once() {
        let document = "# A\n<!-- r:begin -->\nold\n<!-- r:end -->\nb\n";
        let once = splice(Path::new("a.md"), document, "r", "new\n").unwrap();
        assert_eq!(once, "# A\n<!-- r:begin -->\nnew\n<!-- r:end -->\nb\n");
        assert_eq!(splice(Path::new("a.md"), &once, "r", "new\n").unwrap(), once);
        let error = splice(Path::new("a.md"), "nothing", "r", "new").unwrap_err().to_string();
        assert_eq!(error, "a.md: no lines <!-- r:begin --> and <!-- r:end --> to put the results between");
    }
}
