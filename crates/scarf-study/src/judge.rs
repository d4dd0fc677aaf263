//! Looks at detections once, and keeps what they say.

use crate::analysis::{Analysis, Part};
use crate::plan::{Kind, Plan, State};
use crate::resamples::resampled;
use crate::settings::run_folder;
use crate::verdict::Comparisons;
use crate::{Error, Study};
use std::path::Path;

/// Makes what is missing of the analyses of final runs and of the comparisons that claims ask for, from the detections
/// in the study's folder `out`. Tables, documents and pages read what this leaves there, and need no detections; nor do
/// comparisons with runs that are added later.
///
/// # Errors
/// Where detections cannot be read, or files not be written.
pub fn judge(study: &Study, plan: &Plan, out: &Path) -> Result<(), Error> {
    for run in plan.runs.iter().filter(|run| run.kind == Kind::Final && run.state == State::Done) {
        let Some(folder) = run.id().map(|id| run_folder(out, id)) else { continue };
        if Analysis::read(&folder).is_none() {
            Analysis::make(&folder)?;
        }
        // For comparisons that nobody has asked for yet.
        for part in [Part::Val, Part::Test] {
            resampled(&folder, part, 0)?;
        }
    }
    Comparisons::read(out)?.complete(study, plan, out)
}
