/// Why labels or evaluators do not fit together.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A label names a class that the evaluator was not made for.
    #[error("{what} {index} of the image has class {class}; classes are 0 to {}", classes.saturating_sub(1))]
    Class {
        /// "ground truth" or "prediction".
        what: &'static str,
        /// Which one of the slice, from 0.
        index: usize,
        /// The class it names.
        class: usize,
        /// How many classes there are.
        classes: usize,
    },
    /// A number of a label is infinite or NaN.
    #[error("{what} {index} of the image has an infinite or NaN {number}; all numbers must be finite")]
    NotFinite {
        /// "ground truth" or "prediction".
        what: &'static str,
        /// Which one of the slice, from 0.
        index: usize,
        /// "box", "area" or "score".
        number: &'static str,
    },
    /// Two evaluators made for different numbers of classes.
    #[error(
        "evaluators of {ours} and of {theirs} classes cannot be merged; both must be made for the same classes"
    )]
    Classes {
        /// Classes of the evaluator merged into.
        ours: usize,
        /// Classes of the other.
        theirs: usize,
    },
    /// Two evaluators made with different parameters.
    #[error("evaluators with different parameters cannot be merged; make both with the same CocoParams")]
    Params,
    /// More images or labels than the kernel can number.
    #[error("more than {} {what}; the kernel numbers them in 32 bits", u32::MAX)]
    TooMany {
        /// "images", "ground truths" or "predictions".
        what: &'static str,
    },
}
