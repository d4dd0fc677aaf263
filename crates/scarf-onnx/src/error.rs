/// Why a detector makes no graph.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ExportError {
    /// A map without a cell.
    #[error("images of {size} x {size} pixels leave level {level} no cell: raise `size`, or drop that level")]
    Small {
        /// Side of the images in pixels.
        size: u32,
        /// The level, from 0, finest first.
        level: usize,
    },
    /// Names for another number of classes.
    #[error("{given} classes are named, but the detector tells {made} apart: name each of those")]
    Classes {
        /// How many are named.
        given: usize,
        /// How many the detector was made for.
        made: usize,
    },
    /// A recipe and a detector that do not belong together.
    #[error("the recipe describes another {part} than the detector has")]
    Recipe {
        /// The part.
        part: &'static str,
    },
}
