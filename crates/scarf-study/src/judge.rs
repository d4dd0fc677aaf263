//! Looks at detections once, and keeps what they say.

use crate::analysis::{Analysis, Part};
use crate::plan::{Kind, Plan, State};
use crate::resamples::drawn;
use crate::settings::run_folder;
use crate::verdict::Comparisons;
use crate::{Error, Study};
use std::collections::BTreeSet;
use std::path::Path;

/// Makes what is missing of the analyses of final runs and of the comparisons that claims ask for, from the detections
/// in the study's folder `out`. Tables, documents and pages read what this leaves there, and need no detections; nor do
/// comparisons with runs that are added later.
///
/// # Errors
/// Where detections cannot be read, or files not be written.
pub fn judge(study: &Study, plan: &Plan, out: &Path) -> Result<(), Error> {
    let claimed = study.claims.iter().map(|claim| (Part::Test, claim.metric.index()));
    let asked: BTreeSet<(Part, usize)> = claimed.chain([(Part::Val, 0), (Part::Test, 0)]).collect();
    for run in plan.runs.iter().filter(|run| run.kind == Kind::Final && run.state == State::Done) {
        let Some(folder) = run.id().map(|id| run_folder(out, id)) else { continue };
        if Analysis::read(&folder).is_none() {
            Analysis::make(&folder)?;
        }
        for (part, metric) in &asked {
            drawn(&folder, *part, *metric)?;
        }
    }
    Comparisons::read(out)?.complete(study, plan, out)
}

/// Forgets what was said of the run in this folder, for it is made anew.
///
/// # Errors
/// Where the study's comparisons cannot be read or written.
pub(crate) fn forget(folder: &Path) -> Result<(), Error> {
    // What is not there does no harm.
    let _ = std::fs::remove_file(folder.join("analysis.json"));
    let _ = std::fs::remove_dir_all(folder.join("resamples"));
    match (folder.ancestors().nth(2), folder.file_name()) {
        (Some(out), Some(id)) => Comparisons::forget(out, &id.to_string_lossy()),
        _ => Ok(()),
    }
}
