use std::collections::HashMap;
use std::fmt;

/// An id of an image, a category or an annotation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// An integer.
    Number(i64),
    /// A string.
    Text(String),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(id) => write!(f, "{id}"),
            Self::Text(id) => write!(f, "{id:?}"),
        }
    }
}

/// Ids in ascending order, and the place of each in that order.
pub(super) struct Ids {
    sorted: Vec<Id>,
    /// Places of `first`, `first + 1`, ...; `u32::MAX` where there is no such id.
    table: Vec<u32>,
    first: i64,
    map: HashMap<Id, u32>,
}

/// A table of this many ids costs 8 MiB at most and is read in one step.
const TABLE: usize = 1 << 21;

impl Ids {
    /// The ids in order, each once; `None` where some are numbers and some strings.
    pub(super) fn new(mut ids: Vec<Id>) -> Option<Self> {
        ids.sort();
        ids.dedup();
        if ids.first().map(std::mem::discriminant) != ids.last().map(std::mem::discriminant) {
            return None;
        }
        let span = match (ids.first(), ids.last()) {
            (Some(&Id::Number(first)), Some(&Id::Number(last))) => {
                last.checked_sub(first).map(|s| (first, s))
            }
            _ => None,
        };
        let mut new = Self { sorted: ids, table: Vec::new(), first: 0, map: HashMap::new() };
        let places = new.sorted.iter().zip(0u32..);
        match span {
            Some((first, span)) if span < TABLE as i64 => {
                new.first = first;
                new.table = vec![u32::MAX; span as usize + 1];
                for (id, place) in places {
                    if let Id::Number(id) = id {
                        new.table[(id - first) as usize] = place;
                    }
                }
            }
            _ => new.map = places.map(|(id, place)| (id.clone(), place)).collect(),
        }
        Some(new)
    }

    /// The place of an id that is a number.
    #[inline]
    pub(super) fn number(&self, id: i64) -> Option<u32> {
        if self.table.is_empty() {
            return self.map.get(&Id::Number(id)).copied();
        }
        let place = *self.table.get(usize::try_from(id.checked_sub(self.first)?).ok()?)?;
        (place != u32::MAX).then_some(place)
    }

    pub(super) fn place(&self, id: &Id) -> Option<u32> {
        match id {
            Id::Number(id) => self.number(*id),
            text => self.map.get(text).copied(),
        }
    }

    pub(super) fn into_sorted(self) -> Vec<Id> {
        self.sorted
    }

    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_the_order() {
        let numbers = |ids: &[i64]| Ids::new(ids.iter().map(|&id| Id::Number(id)).collect()).unwrap();
        for ids in [numbers(&[7, -3, 7, 0]), numbers(&[i64::MAX, i64::MIN, 0]), numbers(&[1 << 40, 0, 5])] {
            for (place, id) in ids.sorted.iter().enumerate() {
                assert_eq!(ids.place(id), Some(place as u32));
            }
            assert_eq!(ids.number(1), None);
            assert_eq!((ids.len(), ids.place(&Id::Text("0".into()))), (3, None));
        }
        let texts = Ids::new(vec![Id::Text("b".into()), Id::Text("a".into())]).unwrap();
        assert_eq!((texts.place(&Id::Text("b".into())), texts.number(0)), (Some(1), None));
        assert!(Ids::new(vec![Id::Text("1".into()), Id::Number(1)]).is_none());
        assert_eq!(Ids::new(vec![]).unwrap().number(0), None);
    }
}
