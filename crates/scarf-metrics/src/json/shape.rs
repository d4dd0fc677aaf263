use super::cursor::{Cursor, Parse};

/// What a key of a record holds, and where its value goes.
#[derive(Clone, Copy)]
pub(super) enum Field {
    /// An integer, into `ids`.
    Id(usize),
    /// A number, into `numbers`.
    Number(usize),
    /// An array of numbers, into `numbers` from the first of these up to the second.
    Numbers(usize, usize),
    /// Anything, passed over.
    Other,
}

/// The values of a record; 0 where the record has none.
#[derive(Default)]
pub(super) struct Values {
    pub(super) ids: [i64; 3],
    pub(super) numbers: [f64; 6],
}

/// How one record of a list is written: its keys, their order, the white space between.
///
/// The next one is most likely written the same way. What stands between two values is then
/// compared as a whole, and no key is looked up. Where it differs, the record is read key by key.
pub(super) struct Shape {
    /// What stands before each value, and what to do with the value.
    values: Vec<(Text, Field)>,
    /// What stands behind the last value, up to the next record.
    end: Text,
}

impl Shape {
    /// The shape of the record that starts here, in which other records follow.
    ///
    /// `None` where none follows (or is cut off), where an array is of another length, and where more than 32 bytes stand between two values.
    pub(super) fn of(mut c: Cursor<'_>, field: fn(&[u8]) -> Field) -> Option<Self> {
        let mut values = Vec::new();
        let (mut from, mut whole) = (c.at, true);
        let mut value = |c: &mut Cursor<'_>, from: &mut usize, field| {
            c.peek();
            values.push(Text::of(c.since(*from)).map(|text| (text, field)));
            c.skip()?;
            *from = c.at;
            Ok(())
        };
        let read: Parse<()> = c.object(|c, key| match field(key) {
            Field::Numbers(first, end) => {
                let mut slot = first;
                c.array(|c| {
                    slot += 1;
                    value(c, &mut from, Field::Number(slot - 1))
                })?;
                whole &= slot == end;
                Ok(())
            }
            field => value(c, &mut from, field),
        });
        let follows = read.is_ok() && c.take(b',') && c.peek().is_some();
        let values = values.into_iter().collect::<Option<_>>()?;
        (follows && whole).then_some(Self { values, end: Text::of(c.since(from))? })
    }

    /// Whether it has each of so many integers and numbers once, and no others.
    pub(super) fn holds(&self, ids: usize, numbers: usize) -> bool {
        let slots = |pick: fn(Field) -> Option<usize>| {
            let mut slots: Vec<usize> = self.values.iter().filter_map(|(_, field)| pick(*field)).collect();
            slots.sort_unstable();
            slots
        };
        let integer = |field| if let Field::Id(slot) = field { Some(slot) } else { None };
        let number = |field| if let Field::Number(slot) = field { Some(slot) } else { None };
        slots(integer).into_iter().eq(0..ids) && slots(number).into_iter().eq(0..numbers)
    }

    /// Reads a record of this shape and what stands between it and the next.
    ///
    /// `None` where it is of another shape, and where the text ends too soon to tell.
    #[inline(always)]
    pub(super) fn read(&self, c: &mut Cursor<'_>) -> Option<Values> {
        let mut values = Values::default();
        for (before, field) in &self.values {
            before.read(c)?;
            match *field {
                Field::Id(slot) => *values.ids.get_mut(slot)? = c.integer_here()?,
                Field::Number(slot) => *values.numbers.get_mut(slot)? = c.number_here().ok()?,
                Field::Numbers(..) | Field::Other => c.skip().ok()?,
            }
        }
        self.end.read(c)?;
        Some(values)
    }
}

/// Up to 32 bytes of text, compared eight at a time.
struct Text {
    bytes: [u64; 4],
    mask: [u64; 4],
    len: usize,
}

impl Text {
    fn of(text: &[u8]) -> Option<Self> {
        let (mut bytes, mut mask) = ([0; 32], [0; 32]);
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        mask[..text.len()].fill(0xFF);
        Some(Self { bytes: words(&bytes), mask: words(&mask), len: text.len() })
    }

    /// Reads the text if it comes next.
    #[inline(always)]
    fn read(&self, c: &mut Cursor<'_>) -> Option<()> {
        let next = words(c.ahead()?);
        let differs = (0..4).fold(0, |differs, k| differs | (next[k] ^ self.bytes[k]) & self.mask[k]);
        c.at += self.len;
        (differs == 0).then_some(())
    }
}

#[inline(always)]
fn words(bytes: &[u8; 32]) -> [u64; 4] {
    let (words, _) = bytes.as_chunks::<8>();
    [0, 1, 2, 3].map(|k| u64::from_le_bytes(words[k]))
}
