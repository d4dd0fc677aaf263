use scarf_core::BBox;

/// Writes a box as an offset from an anchor and back (R-CNN's parametrisation; torchvision's
/// `det_utils.BoxCoder`).
///
/// `dx, dy` are the moves of the centre in anchor sizes, `dw, dh` the logarithms of the ratios of
/// the sizes, each multiplied by its weight. SSD's variances .1, .1, .2, .2 are weights 10, 10, 5, 5.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoxCoder {
    /// Factors of `dx, dy, dw, dh`.
    pub weights: [f32; 4],
}

impl BoxCoder {
    /// That of Faster R-CNN's first stage.
    pub const UNIT: Self = Self { weights: [1.0; 4] };
    /// SSD's, and that of Faster R-CNN's second stage.
    pub const SSD: Self = Self { weights: [10.0, 10.0, 5.0, 5.0] };
    /// The largest `dw`, `dh` that is decoded: sizes grow at most 1000/16 times.
    pub const LARGEST: f32 = 4.135_166_6; // ln(1000 / 16)

    /// `[dx, dy, dw, dh]` of the box from the anchor. Both must be valid boxes.
    pub fn encode(&self, bbox: &BBox<f32>, anchor: &BBox<f32>) -> [f32; 4] {
        let ((cx, cy), (ax, ay)) = (bbox.center(), anchor.center());
        let [wx, wy, ww, wh] = self.weights;
        [
            wx * (cx - ax) / anchor.width(),
            wy * (cy - ay) / anchor.height(),
            ww * (bbox.width() / anchor.width()).ln(),
            wh * (bbox.height() / anchor.height()).ln(),
        ]
    }

    /// The box at this offset from the anchor. The inverse of [`encode`](Self::encode) for boxes
    /// up to 62.5 times the anchor; beyond, the size is held there.
    pub fn decode(&self, delta: [f32; 4], anchor: &BBox<f32>) -> BBox<f32> {
        let (ax, ay) = anchor.center();
        let [wx, wy, ww, wh] = self.weights;
        let cx = delta[0] / wx * anchor.width() + ax;
        let cy = delta[1] / wy * anchor.height() + ay;
        let w = (delta[2] / ww).min(Self::LARGEST).exp() * anchor.width() / 2.0;
        let h = (delta[3] / wh).min(Self::LARGEST).exp() * anchor.height() / 2.0;
        BBox::new(cx - w, cy - h, cx + w, cy + h)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_box() -> impl Strategy<Value = BBox<f32>> {
        (0.0..300.0f32, 0.0..300.0f32, 1.0..300.0f32, 1.0..300.0f32)
            .prop_map(|(x, y, w, h)| BBox::from_xywh(x, y, w, h))
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(a in any_box(), b in any_box()) {
            prop_assume!(a.width() / b.width() < 60.0 && a.height() / b.height() < 60.0);
            let back = BoxCoder::SSD.decode(BoxCoder::SSD.encode(&a, &b), &b);
            for (x, y) in back.to_array().into_iter().zip(a.to_array()) {
                prop_assert!((x - y).abs() < 0.02, "{back:?} is not {a:?}");
            }
        }
    }

    #[test]
    fn a_wild_delta_stays_finite() {
        let anchor = BBox::new(0.0, 0.0, 16.0, 16.0);
        let decoded = BoxCoder::SSD.decode([0.0, 0.0, 1e9, 1e9], &anchor);
        assert!(decoded.is_valid() && (decoded.width() - 1000.0).abs() < 0.1);
    }
}
