use crate::Place;

/// Where the item of that index begins in the array under a key of the outermost object.
/// The text is JSON that was read already; where it is not as expected, the place is its start.
pub(super) fn item(text: &str, key: &str, index: usize) -> Place {
    let bytes = text.as_bytes();
    Place::of(bytes, find(bytes, key, index).unwrap_or(0))
}

fn find(bytes: &[u8], key: &str, index: usize) -> Option<usize> {
    let mut at = array(bytes, key)? + 1;
    for _ in 0..index {
        at = end_of_value(bytes, skip_space(bytes, at))?;
        at = skip_space(bytes, at) + 1; // the comma
    }
    Some(skip_space(bytes, at)).filter(|&at| at < bytes.len())
}

/// Where the array under the key begins.
fn array(bytes: &[u8], key: &str) -> Option<usize> {
    let mut at = skip_space(bytes, 0) + 1; // behind the brace
    loop {
        at = skip_space(bytes, at);
        let end = end_of_value(bytes, at)?;
        let found = &bytes[at..end] == format!("\"{key}\"").as_bytes();
        let value = skip_space(bytes, skip_space(bytes, end) + 1); // behind the colon
        if found {
            return Some(value);
        }
        at = skip_space(bytes, end_of_value(bytes, value)?) + 1; // behind the comma
    }
}

fn skip_space(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|b| b.is_ascii_whitespace()).count()
}

/// Where the value that begins at a byte ends.
fn end_of_value(bytes: &[u8], from: usize) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for (at, &byte) in bytes.iter().enumerate().skip(from) {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => continue,
            }
            if !quoted && depth == 0 {
                return Some(at + 1);
            }
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth == 0 => return Some(at),
            b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b',' | b':' if depth == 0 => return Some(at),
            _ if depth == 0 && byte.is_ascii_whitespace() => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_behind_anything() {
        let text = "{ \"x\\\"]\": [1, {\"a\": \"]}\"}],\n \"n\": -1.5,\n\"a\" :\n [ 10,\n  {\"b\": [2, \",\"]} , [3]\n]}";
        let at = |index| {
            let place = item(text, "a", index);
            (place.line, place.column)
        };
        assert_eq!([at(0), at(1), at(2)], [(4, 4), (5, 3), (5, 21)]);
        assert_eq!(item(text, "none", 0), Place { line: 1, column: 1 });
        assert_eq!(item("", "a", 3), Place { line: 1, column: 1 });
    }
}
