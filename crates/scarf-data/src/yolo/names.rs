use std::path::Path;

use scarf_core::Classes;

use crate::voc::at;
use crate::{DataError, Place, Problem, files};

/// The classes of a file: names one a line, or the `names` of a data.yaml (a list, or numbers from 0 with their names).
///
/// # Errors
/// With file and line, where there are no names or not those of classes.
pub fn classes(path: &Path) -> Result<Classes, DataError> {
    let bytes = files::read(path)?;
    let malformed = |place, what: String| at(path, place)(Problem::Malformed(what));
    let text = files::text(path, &bytes)?;
    let is_yaml = path
        .extension()
        .is_some_and(|end| ["yaml", "yml"].iter().any(|known| end.eq_ignore_ascii_case(known)));
    let (names, line) = if is_yaml {
        names(text).map_err(|(line, what)| malformed(Place { line, column: 1 }, what))?
    } else {
        (files::lines(text).map(|(name, _)| name.to_owned()).collect(), 1)
    };
    Classes::new(names).map_err(|error| malformed(Place { line, column: 1 }, error.to_string()))
}

/// What is wrong, and in which line.
type Wrong = (u32, String);

/// The `names` of a data.yaml, and their line: of YAML no more than these files have.
fn names(text: &str) -> Result<(Vec<String>, u32), Wrong> {
    let mut lines = text.lines().zip(1..).map(|(line, number)| (without_comment(line), number));
    let (first, start) = lines
        .find(|(line, _)| line.strip_prefix("names").is_some_and(|rest| rest.trim_start().starts_with(':')))
        .ok_or((1, "no `names:` in it, which would say what the classes are called".to_owned()))?;
    let mut whole = first.split_once(':').map_or("", |(_, rest)| rest).trim().to_owned();
    let mut entries = Vec::new();
    // A list in brackets may go over several lines; one without is what is indented, or begins with a dash.
    let flow = whole.starts_with(['[', '{']);
    if !flow && !whole.is_empty() {
        return Err((start, format!("`names` is `{whole}`; expected a list, or numbers with names")));
    }
    for (line, number) in lines {
        if flow {
            if whole.ends_with([']', '}']) {
                break;
            }
            whole += line;
            whole.truncate(whole.trim_end().len());
        } else if line.trim().is_empty() {
            continue;
        } else if line.starts_with([' ', '\t', '-']) {
            entries.push((line.trim().to_owned(), number));
        } else {
            break;
        }
    }
    if flow {
        let inner = whole.strip_prefix(['[', '{']).and_then(|rest| rest.strip_suffix([']', '}']));
        let inner = inner.ok_or((start, "the bracket behind `names:` is not closed".to_owned()))?;
        entries = parted(inner).into_iter().map(|entry| (entry, start)).collect();
    }
    let names = entries.iter().enumerate().map(|(place, (entry, line))| {
        let entry = entry.strip_prefix("- ").unwrap_or(entry).trim();
        let named = entry.split_once(':').filter(|(key, _)| key.trim().parse::<usize>().is_ok());
        let Some((key, name)) = named else { return Ok(unquoted(entry).to_owned()) };
        if key.trim().parse() != Ok(place) {
            return Err((
                *line,
                format!("class {} stands where class {place} should; expected 0, 1, 2 ...", key.trim()),
            ));
        }
        Ok(unquoted(name.trim()).to_owned())
    });
    Ok((names.collect::<Result<_, _>>()?, start))
}

/// The line before its comment.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (at, sign) in line.char_indices() {
        match (quote, sign) {
            (None, '\'' | '"') => quote = Some(sign),
            (Some(open), _) if open == sign => quote = None,
            (None, '#') if line[..at].is_empty() || line[..at].ends_with([' ', '\t']) => {
                return line[..at].trim_end();
            }
            _ => {}
        }
    }
    line.trim_end()
}

/// What stands between commas that are not within quotes.
fn parted(text: &str) -> Vec<String> {
    let (mut parts, mut quote) = (vec![String::new()], None);
    for sign in text.chars() {
        match (quote, sign) {
            (None, ',') => {
                parts.push(String::new());
                continue;
            }
            (None, '\'' | '"') => quote = Some(sign),
            (Some(open), _) if open == sign => quote = None,
            _ => {}
        }
        parts.last_mut().expect("there is one from the start").push(sign);
    }
    let mut parts: Vec<String> = parts.into_iter().map(|part| part.trim().to_owned()).collect();
    // A comma may follow the last.
    if parts.last().is_some_and(String::is_empty) {
        parts.pop();
    }
    parts
}

fn unquoted(name: &str) -> &str {
    ['\'', '"'].iter().find_map(|&quote| name.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let before = format!("{}/", folder.path().display());
        classes(&path).map(Vec::from).map_err(|error| error.to_string().replace(&before, ""))
    }

    #[test]
    fn names_in_each_form_that_is_written() {
        let two = || Ok(vec!["dent".to_owned(), "long scratch".to_owned()]);
        assert_eq!(read("names.txt", "\u{feff}dent\r\nlong scratch\r\n\r\n"), two());
        for text in [
            "train: images/train\nnc: 2\nnames: ['dent', \"long scratch\"]  # two\n",
            "names: [dent,\n  long scratch,\n]\nnc: 2",
            "path: x\nnames:\n  0: dent\n\n  1: 'long scratch' # by hand\nnc: 2\n",
            "names:\n- dent\n- long scratch\nval: x\n",
            "names: {0: dent, 1: long scratch}",
        ] {
            assert_eq!(read("data.yaml", text), two(), "{text}");
        }
        assert_eq!(read("data.yml", "names: ['a, b', \"#1\"]"), Ok(vec!["a, b".into(), "#1".into()]));
    }

    #[test]
    fn what_names_no_classes_is_refused() {
        let said = |name, text| read(name, text).unwrap_err();
        assert!(said("data.yaml", "nc: 2\n").contains("data.yaml:1:1: no `names:` in it"));
        assert!(said("data.yaml", "nc: 2\nnames: two\n").contains("data.yaml:2:1: `names` is `two`"));
        assert!(said("data.yaml", "names: [a,\n b").contains("not closed"));
        let order = said("data.yaml", "names:\n  1: a\n  0: b\n");
        assert!(order.contains("data.yaml:2:1: class 1 stands where class 0 should"), "{order}");
        assert!(said("names.txt", "\n").contains("no class is named"));
        assert!(said("names.txt", "a\na").contains("the class `a` is named twice"));
    }
}
