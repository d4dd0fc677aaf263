//! `cargo xtask report`.

use crate::workspace;
use anyhow::{Result, bail};
use clap::Args;
use scarf_study::{Given, How, Photographs, Records, Study, Summary, judge, page, terminal, write_atomic};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A study of studies/, or the path of a study file.
    #[arg(default_value = "quick")]
    name: String,
    /// Where its runs and records are [default: runs/NAME].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Keeps the records and the page for good: in studies/records/NAME and docs/study-NAME.html, and the table in
    /// docs/study-NAME.md.
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

fn publish(study: &Study, records: &Records, how: &How, out: &Path) -> Result<()> {
    if how.shrink {
        bail!("a study that was shrunk to a check is not published: its numbers mean nothing");
    }
    let plan = study.plan(records);
    let mut planned = records.clone();
    planned.retain(|record| plan.get(&record.id).is_some());
    let folder = workspace::root().join("studies/records").join(&study.name);
    planned.write(&folder.join("records.csv"))?;
    let how = how.published();
    how.write(&folder)?;
    let photographs = if study.private_images { Photographs::LeftOut } else { Photographs::Shown };
    let file = workspace::root().join("docs").join(format!("study-{}.html", study.name));
    write_atomic(&file, page(study, &plan, records, &how, out, photographs)?.as_bytes())?;
    println!("kept:    {} and {}", folder.display(), file.display());
    crate::docs::update(&study.name, false)
}
