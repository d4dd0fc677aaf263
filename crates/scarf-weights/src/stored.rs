//! Tensors as they lie in a file.

use std::collections::BTreeMap;

use crate::{Array, Element, Weights};

/// What a reader finds wrong.
pub(crate) type Found<T> = Result<T, String>;

/// The most axes of a tensor.
const MOST_AXES: usize = 16;
/// The longest name of a tensor, in bytes.
const LONGEST_NAME: usize = 1024;

/// Refuses more axes than any network has: each is walked for every row.
pub(crate) fn check_axes(axes: usize) -> Found<()> {
    if axes > MOST_AXES { Err(format!("{axes} axes; at most {MOST_AXES} can be read")) } else { Ok(()) }
}

/// A tensor over the bytes of a file.
#[derive(Clone, Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) element: Element,
    pub(crate) shape: Vec<usize>,
    /// Steps between neighbours along each axis, in elements.
    strides: Vec<usize>,
    /// From the first element on.
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Stored<'a> {
    /// In row-major order from the first of `bytes` on.
    pub(crate) fn dense(element: Element, shape: Vec<usize>, bytes: &'a [u8]) -> Found<Self> {
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] =
                shape[axis].max(1).checked_mul(strides[axis]).ok_or("its shape is too large")?;
        }
        Self::new(element, shape, strides, bytes)
    }

    /// Checks that every element lies within `bytes`.
    pub(crate) fn new(
        element: Element,
        shape: Vec<usize>,
        strides: Vec<usize>,
        bytes: &'a [u8],
    ) -> Found<Self> {
        if shape.len() != strides.len() {
            return Err(format!("{} extents and {} strides", shape.len(), strides.len()));
        }
        check_axes(shape.len())?;
        let count = shape.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent));
        let count = count.ok_or("its shape is too large")?;
        let last = shape.iter().zip(&strides).try_fold(0usize, |last, (&extent, &stride)| {
            last.checked_add(extent.saturating_sub(1).checked_mul(stride)?)
        });
        let there = bytes.len() / element.size();
        if count > 0 && last.is_none_or(|last| last >= there) {
            return Err(format!("shape {shape:?} reaches beyond the {there} elements stored"));
        }
        Ok(Self { element, shape, strides, bytes, count })
    }

    fn values(&self) -> Vec<f32> {
        let size = self.element.size();
        let mut values = Vec::with_capacity(self.count);
        let mut index = vec![0; self.shape.len()];
        let mut at = 0;
        let row = self.shape.last().copied().unwrap_or(1);
        let step = self.strides.last().copied().unwrap_or(1);
        while values.len() < self.count {
            values.extend((0..row).map(|i| self.element.read(&self.bytes[(at + i * step) * size..])));
            for axis in (0..self.shape.len().saturating_sub(1)).rev() {
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= self.shape[axis] * self.strides[axis];
                index[axis] = 0;
            }
        }
        values
    }
}

/// All that a file says.
#[derive(Debug, Default)]
pub(crate) struct Contents<'a> {
    pub(crate) tensors: BTreeMap<String, Stored<'a>>,
    pub(crate) metadata: BTreeMap<String, String>,
}

impl<'a> Contents<'a> {
    /// Adds a tensor under a name of its own.
    pub(crate) fn add(&mut self, name: String, tensor: Stored<'a>) -> Found<()> {
        if name.len() > LONGEST_NAME {
            return Err(format!("a name of {} bytes", name.len()));
        }
        if self.tensors.contains_key(&name) {
            return Err(format!("two tensors have the name {name}"));
        }
        self.tensors.insert(name, tensor);
        Ok(())
    }

    /// Every element as f32, from a file of `length` bytes.
    ///
    /// Tensors may share their elements, so that a small file can ask for much: four bytes a byte
    /// of the file are enough for any that was written by a network.
    pub(crate) fn weights(self, length: usize) -> Found<Weights> {
        let count = self.tensors.values().fold(0usize, |sum, tensor| sum.saturating_add(tensor.count));
        if count > length.saturating_add(1 << 20) {
            return Err(format!("{count} elements in a file of {length} bytes"));
        }
        let array = |tensor: Stored<'_>| Array { values: tensor.values(), shape: tensor.shape };
        let arrays = self.tensors.into_iter().map(|(name, tensor)| (name, array(tensor))).collect();
        Ok(Weights { arrays, metadata: self.metadata })
    }
}

/// Little-endian numbers from the front of bytes.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Found<&'a [u8]> {
        let Some((head, tail)) = self.0.split_at_checked(count) else {
            return Err(format!("cut short: {count} bytes are wanted where {} are left", self.0.len()));
        };
        self.0 = tail;
        Ok(head)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Found<[u8; N]> {
        let bytes = self.take(N)?;
        Ok(std::array::from_fn(|index| bytes[index]))
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> Found<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes.
    pub(crate) fn u16(&mut self) -> Found<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes.
    pub(crate) fn u32(&mut self) -> Found<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Four bytes, signed.
    pub(crate) fn i32(&mut self) -> Found<i32> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    /// Eight bytes.
    pub(crate) fn u64(&mut self) -> Found<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Eight bytes that count something in memory.
    pub(crate) fn size(&mut self) -> Found<usize> {
        let size = self.u64()?;
        size.try_into().map_err(|_| format!("a size of {size}"))
    }

    /// Text of so many bytes.
    pub(crate) fn text(&mut self, length: usize) -> Found<&'a str> {
        std::str::from_utf8(self.take(length)?).map_err(|_| "a text that is not UTF-8".to_owned())
    }
}
