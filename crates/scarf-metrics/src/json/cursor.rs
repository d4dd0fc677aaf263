use std::borrow::Cow;

use super::number::{POWERS, eight_digits, plain};
use super::{Id, JsonProblem};

/// What is wrong, and at which byte of the slice.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) problem: Box<JsonProblem>,
}

pub(super) type Parse<T> = Result<T, Fault>;

/// Reads JSON (RFC 8259) from a slice, value by value, and checks all that it passes over.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
}

/// Values nested deeper than this are refused, lest they exhaust the stack.
const DEPTH: usize = 128;

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Another cursor on the same text.
    pub(super) fn back_at(&self, at: usize) -> Self {
        Self::new(self.bytes, at)
    }

    /// From here on what looks like the start of a record, about so many times in the rest of the text.
    pub(super) fn borders(&self, parts: usize) -> Vec<usize> {
        let rest = self.bytes.len().saturating_sub(self.at);
        let parts = parts.clamp(1, (rest / PART).max(1));
        let guess = |part| {
            let at = self.at + rest * part / parts;
            border(&self.bytes[at..]).map(|further| at + further)
        };
        let mut starts: Vec<usize> = std::iter::once(self.at).chain((1..parts).filter_map(guess)).collect();
        starts.dedup();
        starts
    }

    #[cold]
    pub(super) fn fault<T>(&self, at: usize, problem: JsonProblem) -> Parse<T> {
        Err(Fault { at, problem: Box::new(problem) })
    }

    /// "This was expected here", or that the text ends here.
    #[cold]
    fn expected<T>(&self, what: &'static str) -> Parse<T> {
        match self.bytes.get(self.at) {
            None => self.fault(self.at, JsonProblem::Ends),
            Some(&found) => self.fault(self.at, JsonProblem::Expected { what, found: found as char }),
        }
    }

    /// The next byte that is not white space, which stays unread.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Reads the byte if it comes next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    #[inline]
    pub(super) fn expect(&mut self, byte: u8, what: &'static str) -> Parse<()> {
        if self.take(byte) { Ok(()) } else { self.expected(what) }
    }

    /// The text from here to where the cursor is.
    pub(super) fn since(&self, from: usize) -> &'a [u8] {
        &self.bytes[from..self.at]
    }

    /// The next bytes, unread; `None` where there are fewer.
    #[inline(always)]
    pub(super) fn ahead<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.bytes[self.at..].first_chunk()
    }

    /// Whether the text goes on with these bytes; reads them if so.
    #[inline(always)]
    fn starts(&mut self, with: &[u8]) -> bool {
        let found = self.bytes[self.at..].starts_with(with);
        self.at += if found { with.len() } else { 0 };
        found
    }

    /// The values of an array, each read by `element`.
    pub(super) fn array(&mut self, mut element: impl FnMut(&mut Self) -> Parse<()>) -> Parse<()> {
        self.expect(b'[', "an array, `[`")?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            element(self)?;
            if !self.take(b',') {
                return self.expect(b']', "`,` or `]`");
            }
        }
    }

    /// The members of an object: `member` gets each key and must read its value.
    #[inline]
    pub(super) fn object(&mut self, mut member: impl FnMut(&mut Self, &[u8]) -> Parse<()>) -> Parse<()> {
        self.expect(b'{', "an object, `{`")?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.expect(b'"', "a key in quotes")?;
            let key = self.raw()?;
            if !self.starts(b": ") {
                self.expect(b':', "`:`")?;
            }
            if key.contains(&b'\\') {
                let key = self.unescaped(key)?.into_owned();
                member(self, key.as_bytes())?;
            } else {
                member(self, key)?;
            }
            if self.starts(b", ") {
                continue;
            }
            if !self.take(b',') {
                return self.expect(b'}', "`,` or `}`");
            }
        }
    }

    /// The bytes of a string whose opening quote has been read, escapes as they stand.
    #[inline]
    fn raw(&mut self) -> Parse<&'a [u8]> {
        let start = self.at;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(&self.bytes[start..self.at - 1]);
                }
                Some(b'\\') => self.at += 2,
                Some(&byte) if byte >= 0x20 => self.at += 1,
                None => {
                    self.at = self.bytes.len();
                    return self.expected("a quote");
                }
                Some(_) => return self.expected("no control character in a string"),
            }
        }
    }

    /// A string.
    pub(super) fn string(&mut self) -> Parse<Cow<'a, str>> {
        self.expect(b'"', "a string")?;
        let raw = self.raw()?;
        self.unescaped(raw)
    }

    fn unescaped(&self, raw: &'a [u8]) -> Parse<Cow<'a, str>> {
        let start = self.at - 1 - raw.len();
        let Ok(text) = std::str::from_utf8(raw) else {
            return self.fault(start, JsonProblem::Utf8);
        };
        if !text.contains('\\') {
            return Ok(Cow::Borrowed(text));
        }
        match unescape(text) {
            Some(text) => Ok(Cow::Owned(text)),
            None => self.fault(start, JsonProblem::Escape),
        }
    }

    /// Decimal digits, appended to `value`: the new value and how many there were.
    #[inline]
    fn digits(&mut self, mut value: u64) -> (u64, usize) {
        let start = self.at;
        while let Some(chunk) = self.bytes[self.at..].first_chunk::<8>() {
            let (digits, count) = eight_digits(*chunk);
            value = value.wrapping_mul(POWERS[count]).wrapping_add(digits);
            self.at += count;
            if count < 8 {
                return (value, self.at - start);
            }
        }
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        (value, self.at - start)
    }

    /// A finite number, the nearest `f64` to what is written.
    #[inline]
    pub(super) fn number(&mut self) -> Parse<f64> {
        self.peek();
        self.number_here()
    }

    /// The same without white space before it.
    #[inline(always)]
    pub(super) fn number_here(&mut self) -> Parse<f64> {
        match self.ahead().and_then(plain) {
            Some((value, len)) => {
                self.at += len;
                Ok(value)
            }
            None => self.any_number(),
        }
    }

    /// A number of any shape, by the standard library's (exact) parser.
    #[cold]
    fn any_number(&mut self) -> Parse<f64> {
        let start = self.at;
        self.skip_number()?;
        let text = std::str::from_utf8(self.since(start)).unwrap_or_default();
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => self.fault(start, JsonProblem::TooLarge),
        }
    }

    /// Passes over a number of any shape.
    fn skip_number(&mut self) -> Parse<()> {
        self.at += usize::from(self.bytes.get(self.at) == Some(&b'-'));
        let first = self.bytes.get(self.at).copied();
        let whole = self.some_digits("a number")?;
        if whole > 1 && first == Some(b'0') {
            self.at -= whole;
            return self.expected("a number without zeros in front");
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits("a digit")?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.some_digits("a digit")?;
        }
        Ok(())
    }

    fn some_digits(&mut self, what: &'static str) -> Parse<usize> {
        match self.digits(0).1 {
            0 => self.expected(what),
            count => Ok(count),
        }
    }

    /// Four numbers in an array.
    #[inline]
    pub(super) fn four(&mut self) -> Parse<[f64; 4]> {
        self.expect(b'[', "a box, `[x, y, width, height]`")?;
        let mut numbers = [0.0; 4];
        for (index, number) in numbers.iter_mut().enumerate() {
            if index > 0 && !self.starts(b", ") {
                self.expect(b',', "`,` (a box has four numbers: x, y, width, height)")?;
            }
            *number = self.number()?;
        }
        self.expect(b']', "`]` (a box has four numbers: x, y, width, height)")?;
        Ok(numbers)
    }

    /// An integer that is nothing but digits and a sign, if one comes next.
    #[inline]
    pub(super) fn integer(&mut self) -> Option<i64> {
        self.peek();
        self.integer_here()
    }

    /// The same without white space before it.
    #[inline(always)]
    pub(super) fn integer_here(&mut self) -> Option<i64> {
        if let Some(chunk) = self.ahead() {
            // most ids have under eight digits, none of them a 0 in front
            let (value, count) = eight_digits(*chunk);
            if (1..8).contains(&count) && chunk[0] != b'0' && !matches!(chunk[count], b'.' | b'e' | b'E') {
                self.at += count;
                return Some(value as i64);
            }
        }
        self.long_integer()
    }

    fn long_integer(&mut self) -> Option<i64> {
        let start = self.at;
        let negative = self.bytes.get(self.at) == Some(&b'-');
        self.at += usize::from(negative);
        let zero = self.bytes.get(self.at) == Some(&b'0');
        let (value, count) = self.digits(0);
        let ends = !matches!(self.bytes.get(self.at), Some(b'.' | b'e' | b'E') | None);
        if (1..=18).contains(&count) && ends && !(zero && count > 1) {
            let value = value as i64; // under 10^18
            return Some(if negative { -value } else { value });
        }
        self.at = start;
        None
    }

    /// An id: an integer, a string, or a number without a fraction (Python takes 7.0 for 7).
    pub(super) fn id(&mut self) -> Parse<Id> {
        if let Some(id) = self.integer() {
            return Ok(Id::Number(id));
        }
        if self.peek() == Some(b'"') {
            return Ok(Id::Text(self.string()?.into_owned()));
        }
        let start = self.at;
        let value = self.number()?;
        if self.at == self.bytes.len() {
            return self.fault(self.at, JsonProblem::Ends); // it may go on in the next block
        }
        // Hashes of 63 bits have 19 digits.
        let text = std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default();
        if let Ok(id) = text.trim_start().parse() {
            return Ok(Id::Number(id));
        }
        if value.fract() != 0.0 || value.abs() >= 9e15 {
            return self.fault(start, JsonProblem::IdKind);
        }
        Ok(Id::Number(value as i64))
    }

    /// A flag as COCO files have them: 0, 1, false or true.
    pub(super) fn flag(&mut self) -> Parse<bool> {
        self.peek();
        if self.starts(b"true") {
            return Ok(true);
        }
        if self.starts(b"false") {
            return Ok(false);
        }
        Ok(self.number()? != 0.0)
    }

    /// Passes over a value of any kind.
    pub(super) fn skip(&mut self) -> Parse<()> {
        self.skip_at(DEPTH)
    }

    fn skip_at(&mut self, depth: usize) -> Parse<()> {
        let start = self.at;
        let Some(deeper) = depth.checked_sub(1) else {
            return self.fault(start, JsonProblem::Deep);
        };
        match self.peek() {
            Some(b'{') => self.object(|c, _| c.skip_at(deeper)),
            Some(b'[') => self.array(|c| c.skip_at(deeper)),
            Some(b'"') => {
                self.at += 1;
                self.raw().map(|_| ())
            }
            Some(b't' | b'f' | b'n') => {
                let word = [&b"true"[..], b"false", b"null"].iter().any(|word| self.starts(word));
                // a word cut off by the end of a block is an end, not an error
                let cut = self.bytes.len() - self.at < 5;
                match (word, cut) {
                    (true, _) => Ok(()),
                    (false, true) => self.fault(self.bytes.len(), JsonProblem::Ends),
                    (false, false) => self.expected("a value"),
                }
            }
            _ => self.skip_number(),
        }
    }
}

/// Texts shorter than this are not worth a thread.
const PART: usize = 1 << 18;

/// The first byte that follows `}`, `,` and perhaps white space, and is `{`.
pub(super) fn border(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(brace) = text[from..].iter().position(|&b| b == b'}') {
        let mut next = Cursor::new(text, from + brace + 1);
        if next.take(b',') && next.peek() == Some(b'{') {
            return Some(next.at);
        }
        from += brace + 1;
    }
    None
}

/// The text that escapes stand for; `None` where one is malformed.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = *rest.as_bytes().get(at + 1)?;
        rest = rest.get(at + 2..)?;
        let c = match code {
            b'"' | b'\\' | b'/' => code as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = hex(rest.get(..4)?)?;
                rest = &rest[4..];
                if !(0xD800..0xDC00).contains(&unit) {
                    char::from_u32(unit)?
                } else {
                    let low = hex(rest.strip_prefix("\\u")?.get(..4)?)?;
                    rest = &rest[6..];
                    (0xDC00..0xE000).contains(&low).then_some(())?;
                    char::from_u32(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))?
                }
            }
            _ => return None,
        };
        out.push(c);
    }
    out.push_str(rest);
    Some(out)
}

fn hex(digits: &str) -> Option<u32> {
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Option<f64> {
        let mut cursor = Cursor::new(text.as_bytes(), 0);
        cursor.number().ok().filter(|_| cursor.at == text.len())
    }

    #[test]
    fn numbers_as_json_has_them() {
        for good in [
            "0",
            "-0",
            "1.5",
            "-12e3",
            "1E-7",
            "0.30000000000000004",
            "123456789012345678901234567890",
            "5e-324",
        ] {
            assert_eq!(number(good), good.parse().ok(), "{good}");
        }
        for bad in ["", "-", "01", "1.", ".5", "1e", "+1", "NaN", "1e999", "0x1"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(r#"a\"\\\/\n\u00e9\ud83d\ude00"#).as_deref(), Some("a\"\\/\né😀"));
        for bad in [r"\x", r"\u12", r"\ud83d", r"\ud83dx", r"\udc00", "\\", r"\u+123"] {
            assert_eq!(unescape(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_skipped_is_still_checked() {
        let skip = |text: &str| Cursor::new(text.as_bytes(), 0).skip().is_ok();
        assert!(skip(r#"{"a": [1, {"b": null}, "x\"y", true, false], "c": {}}   "#));
        let deep = "[".repeat(1000);
        for bad in ["[1,]", "{\"a\" 1}", "[1 2]", "nul    ", "\"\u{1}\"", "[", &deep] {
            assert!(!skip(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_double_comes_back(value in proptest::num::f64::NORMAL) {
            prop_assert_eq!(number(&format!("{value:?}")), Some(value));
            prop_assert_eq!(number(&format!("{value:e}")), Some(value));
            prop_assert_eq!(number(&format!("{}", value as f32)), format!("{}", value as f32).parse::<f64>().ok().filter(|v| v.is_finite()));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Cursor::new(&bytes, 0).skip();
            let _ = Cursor::new(&bytes, 0).id();
            let _ = Cursor::new(&bytes, 0).four();
            let _ = Cursor::new(&bytes, 0).string();
        }
    }
}
