use burn::tensor::Tensor;
use scarf_core::BBox;

/// What there is to find on one image of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Targets {
    /// Objects, xyxy in pixels of the batch's image; every one a valid box.
    pub boxes: Vec<BBox<f32>>,
    /// The class of each, from 0.
    pub classes: Vec<usize>,
}

/// Named scalars, to be summed; each a tensor of one element.
#[derive(Clone, Debug)]
pub struct Losses(pub Vec<(&'static str, Tensor<1>)>);

impl Losses {
    /// The sum, of one element: what training minimises.
    ///
    /// # Panics
    /// If there is no loss at all, which no head returns.
    pub fn total(&self) -> Tensor<1> {
        let mut terms = self.0.iter().map(|(_, loss)| loss.clone());
        let first = terms.next().expect("a head has at least one loss");
        terms.fold(first, |sum, term| sum + term)
    }
}
