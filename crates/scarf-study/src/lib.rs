//! A study as data: what is to be shown, the runs that show it, their records, and the page that tells.
//!
//! A [`StudyFile`] is what somebody wrote; [`StudyFile::check`] turns it into a [`Study`], in which nothing is
//! left to be resolved; [`Study::plan`] says which runs that takes, given the [`Record`]s there are; [`Engine`]
//! has them done, one process each, by a program that it knows by its contract alone ([`Settings`] in,
//! [`RunResult`] and metrics out); [`Summary`] is what came of it, as a table, and [`page()`] draws it.
//!
//! A run's id is the hash of its settings, so a run that has a record is skipped, and a study that was killed
//! goes on where it was.
//!
//! Architecture invariant: this crate knows nothing of detectors. A recipe is an opaque tree that it merges,
//! edits, hashes and hands to the program; the program says what is wrong in it.

mod ablation;
mod analysis;
mod check;
#[cfg(feature = "command-line")]
pub mod command_line;
mod contest;
mod engine;
mod error;
mod estimate;
mod file;
mod files;
mod going;
mod how;
mod judge;
mod list;
mod page;

mod plan;
mod program;
mod record;
mod resamples;
mod result;
mod settings;
mod splice;
mod stat;
mod study;
mod summary;
mod text;
mod tree;
mod tune;
mod verdict;
mod when;

pub use ablation::Ablation;
pub use analysis::{Analysis, ClassAnalysis, ErrorShare};
pub use engine::{Engine, Watch};
pub use error::{Error, Problem};
pub use estimate::Estimate;
pub use file::{
    ApproachFile, ClaimFile, Given, InitFile, Machine, Named, Names, Price, Role, StudyFile, TuneFile,
    Weights, WithFile,
};
pub use files::write_atomic;
pub use how::{How, without_places};
pub use judge::judge;
pub use list::list;
pub use page::{Photographs, page, tune_page};
pub use plan::{Kind, Plan, Run, State};
pub use program::Program;
pub use record::{Record, Records};
pub use result::{ClassScore, Epoch, Inference, NUMBERS, Numbers, RunResult, Score, Seconds};
pub use settings::{InitSetting, Places, Settings};
pub use splice::splice;
pub use stat::Stat;
pub use study::{Approach, Claim, Init, Metric, Objective, Study, Than, Tune};
pub use summary::{Reached, Row, Summary};
pub use text::{claims, duration, markdown, memory, money, terminal};
pub use tree::{Tree, merge};
pub use tune::{Command, Keep, Over, Search, SearchFile, Take, TuneWatch, Tuner, WarmFrom};
pub use verdict::{Compared, Comparisons, Outcome, Verdict};
