use crate::{BBox, Scalar};

/// The IoU of every box of `a` with every box of `b`, row by row into `out`:
/// `out[i * b.len() + j]` is that of `a[i]` and `b[j]`, as [`BBox::iou`] has it.
///
/// The caller's buffer is reused from call to call: most of the time of a large matrix goes into
/// memory that is touched for the first time.
///
/// # Errors
/// `out` has not room for `a.len() * b.len()` numbers exactly.
pub fn pairwise_iou<T: Scalar>(a: &[BBox<T>], b: &[BBox<T>], out: &mut [T]) -> Result<(), WrongLength> {
    let needed = a.len().checked_mul(b.len());
    if needed != Some(out.len()) {
        return Err(WrongLength { rows: a.len(), columns: b.len(), found: out.len() });
    }
    if b.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(b);
    for (bbox, row) in a.iter().zip(out.chunks_exact_mut(b.len())) {
        columns.against(bbox, row);
    }
    Ok(())
}

/// A buffer of the wrong length for a matrix of IoU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the IoU of {rows} with {columns} boxes needs a buffer of {rows} x {columns} numbers; it has {found}"
)]
pub struct WrongLength {
    /// Boxes of the first list.
    pub rows: usize,
    /// Boxes of the second list.
    pub columns: usize,
    /// The length of the buffer.
    pub found: usize,
}

/// Boxes as one array for each coordinate: the compiler makes vector instructions of their loop.
struct Columns<T> {
    x1: Vec<T>,
    y1: Vec<T>,
    x2: Vec<T>,
    y2: Vec<T>,
    area: Vec<T>,
}

impl<T: Scalar> Columns<T> {
    fn of(boxes: &[BBox<T>]) -> Self {
        let each = |pick: fn(&BBox<T>) -> T| boxes.iter().map(pick).collect();
        Self {
            x1: each(|b| b.x1),
            y1: each(|b| b.y1),
            x2: each(|b| b.x2),
            y2: each(|b| b.y2),
            area: each(BBox::area),
        }
    }

    /// No branch and no bound inside the loop: it is limited by division and by memory.
    fn against(&self, bbox: &BBox<T>, out: &mut [T]) {
        let (area, n) = (bbox.area(), out.len());
        let [x1, y1, x2, y2, areas] =
            [&self.x1, &self.y1, &self.x2, &self.y2, &self.area].map(|column| &column[..n]);
        for j in 0..n {
            let wide = max(min(bbox.x2, x2[j]) - max(bbox.x1, x1[j]), T::ZERO);
            let high = max(min(bbox.y2, y2[j]) - max(bbox.y1, y1[j]), T::ZERO);
            let shared = wide * high;
            let union = area + areas[j] - shared;
            let iou = shared / union;
            out[j] = if union > T::ZERO { iou } else { T::ZERO };
        }
    }
}

/// As one vector instruction, which `f32::min` with its care for NaN is not.
#[inline(always)]
fn min<T: PartialOrd>(a: T, b: T) -> T {
    if a < b { a } else { b }
}

#[inline(always)]
fn max<T: PartialOrd>(a: T, b: T) -> T {
    if a > b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn boxes() -> impl Strategy<Value = Vec<BBox<f64>>> {
        let one = (0..9u8, 0..9u8, 0..5u8, 0..5u8, 0.0..1.0f64).prop_map(|(x, y, w, h, part)| {
            BBox::from_xywh(f64::from(x), f64::from(y), f64::from(w) + part, f64::from(h))
        });
        prop::collection::vec(one, 0..70)
    }

    proptest! {
        #[test]
        fn every_pair_is_the_iou_of_the_two(a in boxes(), b in boxes()) {
            let mut out = vec![f64::NAN; a.len() * b.len()];
            pairwise_iou(&a, &b, &mut out).unwrap();
            for (i, first) in a.iter().enumerate() {
                for (j, second) in b.iter().enumerate() {
                    prop_assert_eq!(out[i * b.len() + j], first.iou(second));
                }
            }
        }
    }

    #[test]
    fn a_buffer_of_the_wrong_length() {
        let boxes = [BBox::new(0.0f32, 0.0, 1.0, 1.0)];
        let error = pairwise_iou(&boxes, &boxes, &mut [0.0; 2]).unwrap_err();
        assert_eq!(error, WrongLength { rows: 1, columns: 1, found: 2 });
        assert_eq!(pairwise_iou(&boxes, &[], &mut []), Ok(()));
    }
}
