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

    /// The same without what gradients would need.
    #[must_use]
    pub fn detached(self) -> Self {
        Self(self.0.into_iter().map(|(name, loss)| (name, loss.detach())).collect())
    }

    /// Each as a number, in order, read from the device at once; the call waits until they are computed.
    pub fn numbers(&self) -> Vec<f32> {
        Self::numbers_of([self]).remove(0)
    }

    /// The [`numbers`](Self::numbers) of several steps, read at once: a device is waited for once, not for each.
    pub fn numbers_of<'a>(all: impl IntoIterator<Item = &'a Self>) -> Vec<Vec<f32>> {
        let (mut counts, mut tensors) = (Vec::new(), Vec::new());
        for losses in all {
            counts.push(losses.0.len());
            tensors.extend(losses.0.iter().map(|(_, loss)| loss.clone().detach()));
        }
        if tensors.is_empty() {
            return counts.into_iter().map(|_| Vec::new()).collect();
        }
        let data = Tensor::cat(tensors, 0).into_data().convert::<f32>();
        let mut numbers: Vec<f32> = data.try_into_vec().expect("the data was converted to f32");
        counts.into_iter().map(|count| numbers.drain(..count).collect()).collect()
    }
}
