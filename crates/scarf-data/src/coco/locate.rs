use std::collections::HashMap;
use std::sync::Mutex;

use crate::Place;

/// Where the items of arrays begin, in JSON that was read already. A key's are looked for when the first is asked for, in one
/// pass: a file may have as many mistakes as items.
pub(super) struct Places<'a> {
    text: &'a str,
    known: Mutex<HashMap<String, Vec<Place>>>,
}

impl<'a> Places<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, known: Mutex::default() }
    }

    /// Where the item of that index begins in the array under a key of the outermost object; the start of the text, where that
    /// is not as expected.
    pub(super) fn of(&self, key: &str, index: usize) -> Place {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !known.contains_key(key) {
            known.insert(key.to_owned(), places(self.text.as_bytes(), key));
        }
        known[key].get(index).copied().unwrap_or(Place { line: 1, column: 1 })
    }
}

fn places(bytes: &[u8], key: &str) -> Vec<Place> {
    let (mut place, mut counted) = (Place { line: 1, column: 1 }, 0);
    let place_of = |start: usize| {
        for &byte in &bytes[counted..start] {
            match byte {
                b'\n' => place = Place { line: place.line + 1, column: 1 },
                // A continuation byte of UTF-8 is not a character of its own.
                _ => place.column += u32::from(byte & 0xC0 != 0x80),
            }
        }
        counted = start;
        place
    };
    let mut at = array(bytes, key).map_or(bytes.len(), |start| start + 1);
    let starts = std::iter::from_fn(|| {
        let start = skip_space(bytes, at);
        let is_item = bytes.get(start).is_some_and(|byte| *byte != b']');
        let end = end_of_value(bytes, start).map_or(bytes.len(), |end| skip_space(bytes, end));
        at = if bytes.get(end) == Some(&b',') { end + 1 } else { bytes.len() };
        is_item.then_some(start)
    });
    starts.map(place_of).collect()
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
        let places = Places::new(text);
        let at = |index| {
            let place = places.of("a", index);
            (place.line, place.column)
        };
        assert_eq!([at(1), at(0), at(2), at(3)], [(5, 3), (4, 4), (5, 21), (1, 1)]);
        assert_eq!(places.of("none", 0), Place { line: 1, column: 1 });
        assert_eq!(Places::new("").of("a", 3), Place { line: 1, column: 1 });
        let wide = Places::new("{\"a\": [\"é\", 2,\n3");
        assert_eq!(
            [1, 2].map(|index| wide.of("a", index)),
            [Place { line: 1, column: 13 }, Place { line: 2, column: 1 }]
        );
    }
}
