use crate::accumulate::{ClassAnswers, Workspace};
use crate::grid::Grid;
use crate::report::CocoReport;
use crate::store::Store;
use crate::threads::share_out;
use crate::{CocoParams, EvalError, GroundTruth, Prediction};

/// COCO evaluation of boxes, fed image by image.
///
/// Exact to pycocotools 2.0.11 in double precision, given widths and heights of `x2 - x1` and
/// `y2 - y1`. Where scores tie, the image added first comes first, as pycocotools does with image
/// ids that rise; within an image, the order of the slice.
#[derive(Clone, Debug)]
pub struct Evaluator {
    pub(crate) params: CocoParams,
    pub(crate) store: Store,
}

impl Evaluator {
    /// An evaluator of this many classes, no image seen yet.
    pub fn new(classes: usize, mut params: CocoParams) -> Self {
        params.max_dets.sort_unstable();
        params.recall_thresholds.sort_by(f64::total_cmp);
        Self { params, store: Store { classes, ..Store::default() } }
    }

    /// Adds an image: what is on it, and what the model found there. Either may be empty.
    ///
    /// # Errors
    /// A class that does not exist, or a number that is not finite; nothing is added then.
    pub fn add_image(&mut self, truths: &[GroundTruth], found: &[Prediction]) -> Result<(), EvalError> {
        self.store.push_image(truths, found)
    }

    /// Whether both have the same images in the same order, as far as what is on them says it.
    pub fn has_the_ground_truth_of(&self, other: &Self) -> bool {
        self.store.images == other.store.images && self.store.truths == other.store.truths
    }

    /// Adds all images of another evaluator (say, another thread's) behind our own.
    ///
    /// # Errors
    /// Evaluators made for different classes or with different parameters.
    pub fn merge(&mut self, other: Evaluator) -> Result<(), EvalError> {
        if self.store.classes != other.store.classes {
            let (ours, theirs) = (self.store.classes, other.store.classes);
            return Err(EvalError::Classes { ours, theirs });
        }
        if self.params != other.params {
            return Err(EvalError::Params);
        }
        self.store.append(other.store)
    }

    /// Forgets all images and keeps the memory they took.
    pub fn clear(&mut self) {
        self.store.clear();
    }

    /// What is asked; `max_dets` ascending.
    pub fn params(&self) -> &CocoParams {
        &self.params
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.store.classes
    }

    /// How many images were added.
    pub fn images(&self) -> usize {
        self.store.images
    }

    /// COCO's twelve numbers over all images added so far, on one thread.
    pub fn evaluate(&self) -> CocoReport {
        self.evaluate_on(1)
    }

    /// The same on several threads; the numbers do not depend on how many.
    pub fn evaluate_on(&self, threads: usize) -> CocoReport {
        CocoReport::of(&self.params, &evaluate_classes(&self.store, &self.params, threads))
    }
}

/// Every class's answers, classes shared out to the threads one by one.
fn evaluate_classes(store: &Store, params: &CocoParams, threads: usize) -> Vec<ClassAnswers> {
    let (truths, grids) = (store.truths_by_class(), Grid::all(params));
    share_out(store.classes, threads, Workspace::default, |workspace, class| {
        workspace.evaluate(store, &truths, class, params, &grids)
    })
}
