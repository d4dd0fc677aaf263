//! `cargo xtask report`.

use crate::workspace;
use anyhow::{Context, Result, bail};
use clap::Args;
use scarf_study::command_line::{ReportOptions, Told};
use scarf_study::{Comparisons, Kind, Record, Records, without_places, write_atomic};
use std::path::Path;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A study of studies/, or the path of a study file.
    #[arg(default_value = "quick")]
    name: String,
    #[command(flatten)]
    options: ReportOptions,
    /// Keeps the records for good in studies/records/NAME, and makes docs/study-NAME.md and .html of them.
    #[arg(long)]
    publish: bool,
}

pub(crate) fn report(arguments: &Arguments) -> Result<()> {
    let file = workspace::study_file(&arguments.name)?;
    let told = arguments.options.run(&file, &workspace::caller())?;
    if arguments.publish {
        publish(&file, &told)?;
    }
    Ok(())
}

/// Keeps what documents are made of: records, how they came about, and what lies in the folders of runs, but for the
/// weights and the detections. With that in a study's folder more seeds and rows can be run, and compared with these.
fn publish(file: &Path, told: &Told) -> Result<()> {
    let Told { study, records, how, out } = told;
    // Documents are made again of the file in studies/, and records are kept by its name.
    let place = workspace::root().join("studies").join(format!("{}.toml", study.name));
    if !is_same(file, &place) {
        bail!(
            "{} is not {}, and only the studies of studies/ are published: put the file there, under a name that is not \
             taken, and publish by that name",
            file.display(),
            place.display()
        );
    }
    if how.shrink {
        bail!("a study that was shrunk to a check is not published: its numbers mean nothing");
    }
    let plan = study.plan(records);
    let mut planned = Records::default();
    for record in records.iter().filter(|record| plan.get(&record.id).is_some()) {
        planned.put(Record { err: without_places(&record.err), ..record.clone() });
    }
    let folder = workspace::root().join("studies/records").join(&study.name);
    // What was published before, of other seeds or of another machine, stays.
    let before = Records::read(&folder.join("records.csv"))?;
    let lost = |record: &&Record| plan.get(&record.id).is_some() && planned.get(&record.id).is_none();
    if let Some(lost) = before.iter().find(lost) {
        let (folder, id) = (folder.display(), &lost.id);
        bail!(
            "{folder} has run {id}, which {out} has not: copy the one over the other, run the study again, and publish then",
            out = out.display()
        );
    }
    planned.write(&folder.join("records.csv"))?;
    how.published().write(&folder)?;
    Comparisons::read(out)?.write(&folder)?;
    for record in planned.iter().filter(|record| record.kind != Kind::Trial) {
        let (from, to) = (out.join("runs").join(&record.id), folder.join("runs").join(&record.id));
        for name in KEPT {
            keep(&from.join(name), &to.join(name), study.private_images)?;
        }
    }
    // What was kept of runs that are no longer planned.
    for entry in std::fs::read_dir(folder.join("runs")).into_iter().flatten().flatten() {
        if planned.get(&entry.file_name().to_string_lossy()).is_none() {
            std::fs::remove_dir_all(entry.path()).with_context(|| entry.path().display().to_string())?;
        }
    }
    println!("kept:    {}", folder.display());
    crate::docs::update(&study.name, false)
}

/// Whether two paths are of one file, which is there.
fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

const KEPT: [&str; 6] = [
    "metrics.jsonl",
    "result.json",
    "analysis.json",
    "resamples/val.json",
    "resamples/test.json",
    "predictions/test.json",
];

/// Copies a file if it is there, without photographs where they may not be handed on.
fn keep(from: &Path, to: &Path, private: bool) -> Result<()> {
    let Ok(text) = std::fs::read_to_string(from) else { return Ok(()) };
    let pictures = to.ends_with("predictions/test.json");
    if !(pictures && private) {
        return Ok(write_atomic(to, text.as_bytes())?);
    }
    let mut file: serde_json::Value =
        serde_json::from_str(&text).with_context(|| from.display().to_string())?;
    for list in ["images", "failures"] {
        for image in file.get_mut(list).and_then(|list| list.as_array_mut()).into_iter().flatten() {
            image["jpeg"] = "".into();
        }
    }
    Ok(write_atomic(to, format!("{file}\n").as_bytes())?)
}
