use std::ops::{Add, Div, Mul, Sub};

use serde::{Deserialize, Serialize};

use crate::stream::Number;

/// The number type of a box: `f32` in models, `f64` in evaluation, and no other.
pub trait Scalar:
    Number
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Into<f64>
{
    /// Zero.
    const ZERO: Self;
    /// One half.
    const HALF: Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// The smaller of two; the other one where one is NaN.
    fn min(self, other: Self) -> Self;
    /// The larger of two; the other one where one is NaN.
    fn max(self, other: Self) -> Self;
}

macro_rules! scalar {
    ($float:ty) => {
        impl Scalar for $float {
            const ZERO: Self = 0.0;
            const HALF: Self = 0.5;
            fn is_finite(self) -> bool {
                self.is_finite()
            }
            fn min(self, other: Self) -> Self {
                self.min(other)
            }
            fn max(self, other: Self) -> Self {
                self.max(other)
            }
        }
    };
}
scalar!(f32);
scalar!(f64);

/// The size of an image in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Size {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl Size {
    /// A size of `width` by `height` pixels.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }
}

/// An axis-aligned box, xyxy in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BBox<T = f32> {
    /// Left.
    pub x1: T,
    /// Top.
    pub y1: T,
    /// Right.
    pub x2: T,
    /// Bottom.
    pub y2: T,
}

impl<T: Scalar> BBox<T> {
    /// The box from its left, top, right and bottom. Any numbers are taken: see [`BBox::is_valid`].
    pub const fn new(x1: T, y1: T, x2: T, y2: T) -> Self {
        Self { x1, y1, x2, y2 }
    }

    /// The box from its left, top, width and height (COCO's form).
    pub fn from_xywh(x: T, y: T, width: T, height: T) -> Self {
        Self::new(x, y, x + width, y + height)
    }

    /// Right minus left.
    pub fn width(&self) -> T {
        self.x2 - self.x1
    }

    /// Bottom minus top.
    pub fn height(&self) -> T {
        self.y2 - self.y1
    }

    /// Width times height, zero for a box that is empty or turned inside out.
    pub fn area(&self) -> T {
        self.width().max(T::ZERO) * self.height().max(T::ZERO)
    }

    /// The middle, `(x, y)`.
    pub fn center(&self) -> (T, T) {
        ((self.x1 + self.x2) * T::HALF, (self.y1 + self.y2) * T::HALF)
    }

    /// Finite, and of positive width and height.
    pub fn is_valid(&self) -> bool {
        [self.x1, self.y1, self.x2, self.y2].into_iter().all(T::is_finite)
            && self.x1 < self.x2
            && self.y1 < self.y2
    }

    /// The part that both cover; of no area where they do not meet.
    pub fn intersection(&self, other: &Self) -> Self {
        Self::new(self.x1.max(other.x1), self.y1.max(other.y1), self.x2.min(other.x2), self.y2.min(other.y2))
    }

    /// Intersection over union, in `0..=1`; zero where both are empty.
    pub fn iou(&self, other: &Self) -> T {
        let shared = self.intersection(other).area();
        let union = self.area() + other.area() - shared;
        if union > T::ZERO { shared / union } else { T::ZERO }
    }

    /// The part of the box within the region.
    pub fn clip(&self, region: &Self) -> Self {
        let within = |v: T, low: T, high: T| v.max(low).min(high);
        Self::new(
            within(self.x1, region.x1, region.x2),
            within(self.y1, region.y1, region.y2),
            within(self.x2, region.x1, region.x2),
            within(self.y2, region.y1, region.y2),
        )
    }

    /// The box moved by `(dx, dy)`.
    pub fn translate(&self, dx: T, dy: T) -> Self {
        Self::new(self.x1 + dx, self.y1 + dy, self.x2 + dx, self.y2 + dy)
    }

    /// The box with its x multiplied by `sx` and its y by `sy`, as when the image is resized.
    pub fn scale(&self, sx: T, sy: T) -> Self {
        Self::new(self.x1 * sx, self.y1 * sy, self.x2 * sx, self.y2 * sy)
    }

    /// `[x1, y1, x2, y2]`.
    pub fn to_array(&self) -> [T; 4] {
        [self.x1, self.y1, self.x2, self.y2]
    }
}

impl BBox<f32> {
    /// The same box in double precision.
    pub fn to_f64(&self) -> BBox<f64> {
        BBox::new(self.x1.into(), self.y1.into(), self.x2.into(), self.y2.into())
    }
}

impl BBox<f64> {
    /// The same box in single precision, rounded to the nearest.
    pub fn to_f32(&self) -> BBox<f32> {
        BBox::new(self.x1 as f32, self.y1 as f32, self.x2 as f32, self.y2 as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_box() -> impl Strategy<Value = BBox<f64>> {
        (-50.0..50.0f64, -50.0..50.0f64, 0.1..80.0f64, 0.1..80.0f64)
            .prop_map(|(x, y, w, h)| BBox::from_xywh(x, y, w, h))
    }

    #[test]
    fn iou_of_two_halves_that_share_a_third() {
        let a = BBox::new(0.0, 0.0, 2.0, 1.0);
        let b = BBox::new(1.0, 0.0, 3.0, 1.0);
        assert_eq!(a.iou(&b), 1.0 / 3.0);
        assert_eq!(a.iou(&BBox::new(2.0, 0.0, 3.0, 1.0)), 0.0);
        assert_eq!(BBox::new(1.0, 1.0, 1.0, 1.0).iou(&BBox::new(1.0, 1.0, 1.0, 1.0)), 0.0);
    }

    #[test]
    fn what_is_not_a_box() {
        assert!(!BBox::new(0.0f32, 0.0, 0.0, 1.0).is_valid());
        assert!(!BBox::new(0.0f32, 0.0, f32::NAN, 1.0).is_valid());
        assert!(!BBox::new(3.0f32, 0.0, 1.0, 1.0).is_valid());
    }

    proptest! {
        #[test]
        fn iou_is_symmetric_and_within_bounds(a in any_box(), b in any_box()) {
            let iou = a.iou(&b);
            prop_assert_eq!(iou, b.iou(&a));
            prop_assert!((0.0..=1.0).contains(&iou));
            prop_assert!((a.iou(&a) - 1.0).abs() < 1e-12);
        }

        #[test]
        fn iou_survives_a_move(a in any_box(), b in any_box(), dx in -9.0..9.0f64) {
            prop_assert!((a.iou(&b) - a.translate(dx, dx).iou(&b.translate(dx, dx))).abs() < 1e-9);
        }

        #[test]
        fn a_clipped_box_lies_within(a in any_box(), region in any_box()) {
            let clipped = a.clip(&region);
            prop_assert!(clipped.x1 >= region.x1 && clipped.x2 <= region.x2);
            prop_assert!(clipped.area() <= a.area() + 1e-9);
        }
    }
}
