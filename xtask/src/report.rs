//! `cargo xtask report`.

use crate::workspace;
use anyhow::{Context, Result, bail};
use clap::Args;
use scarf_study::{
    Comparisons, Given, How, Kind, Photographs, Record, Records, Study, Summary, judge, page, terminal,
    without_places, write_atomic,
};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A study of studies/, or the path of a study file.
    #[arg(default_value = "quick")]
    name: String,
    /// Where its runs and records are [default: runs/NAME].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Keeps the records for good in studies/records/NAME, and makes docs/study-NAME.md and .html of them.
    #[arg(long)]
    publish: bool,
}

pub(crate) fn report(arguments: &Arguments) -> Result<()> {
    let file = workspace::study_file(&arguments.name)?;
    let name = file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let out = arguments.out.clone().unwrap_or_else(|| workspace::default_out(&name, &Given::default()));
    let how = How::read(&out)?;
    let study = Study::read(&file, &how.given())?;
    let records = Records::read(&out.join("records.csv"))?;
    if records.is_empty() {
        bail!("{}: no records; `cargo xtask study {}` makes them", out.display(), arguments.name);
    }
    tell(&study, &records, &how, &out)?;
    if arguments.publish {
        publish(&study, &records, &how, &out)?;
    }
    Ok(())
}

/// Draws the page, and prints the table.
pub(crate) fn tell(study: &Study, records: &Records, how: &How, out: &Path) -> Result<()> {
    let plan = study.plan(records);
    judge(study, &plan, out)?;
    let html = page(study, &plan, records, how, out, Photographs::Shown)?;
    let file = out.join("report.html");
    write_atomic(&file, html.as_bytes())?;
    println!("\n{}", terminal(&Summary::new(study, &plan, records, out)?));
    println!("records: {}\npage:    {}", out.join("records.csv").display(), file.display());
    Ok(())
}

/// Keeps what documents are made of: records, how they came about, and what lies in the folders of runs, but for the
/// weights and the detections. With that in a study's folder more seeds and rows can be run, and compared with these.
fn publish(study: &Study, records: &Records, how: &How, out: &Path) -> Result<()> {
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
