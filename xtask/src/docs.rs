//! `cargo xtask docs`: documents and pages of published records.

use crate::workspace;
use anyhow::{Context, Result, bail};
use clap::Args;
use scarf_study::{How, Photographs, Records, Study, Summary, claims, markdown, page, splice, write_atomic};
use std::path::Path;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Writes nothing; fails where a document is not what the records say, or a study's file is no longer the one
    /// that its records are of.
    #[arg(long)]
    check: bool,
}

pub(crate) fn docs(arguments: &Arguments) -> Result<()> {
    let folder = workspace::root().join("studies/records");
    if !folder.is_dir() {
        println!("no records have been published");
        return Ok(());
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.path().join("records.csv").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    names.iter().try_for_each(|name| update(name, arguments.check))
}

/// Puts the results of one study into its document and draws its page, or checks that they are there.
pub(crate) fn update(name: &str, check: bool) -> Result<()> {
    let root = workspace::root();
    let folder = root.join("studies/records").join(name);
    let how = How::read(&folder)?;
    let records = Records::read(&folder.join("records.csv"))?;
    let study = published(&root.join("studies").join(format!("{name}.toml")), &how, &records)?;
    let plan = study.plan(&records);
    let path = root.join("docs").join(format!("study-{name}.md"));
    let document = std::fs::read_to_string(&path).unwrap_or_else(|_| {
        format!("# The study {name}\n\n<!-- results:begin -->\n<!-- results:end -->\n\nThe [page](study-{name}.html).\n")
    });
    let results = results(&study, &Summary::new(&study, &plan, &records, &folder)?, &how);
    keep(&path, &splice(&path, &document, "results", &results)?, check)?;
    let photographs = if study.private_images { Photographs::LeftOut } else { Photographs::Shown };
    let html = page(&study, &plan, &records, &how, &folder, photographs)?;
    keep(&path.with_extension("html"), &html, check)
}

/// The text between the markers of a study's document.
fn results(study: &Study, summary: &Summary, how: &How) -> String {
    let price = &study.price;
    let made_by = match how.revision.contains(", ") {
        _ if how.is_version() => "Program",
        true => "Commits",
        false => "Commit",
    };
    format!(
        "{}\n\n{}\n{}\n```sh\n{}\n```\n\nPrice: ${} an hour for {} ({}, {}). {made_by} {}.\n",
        study.claim,
        claims(summary),
        markdown(summary),
        how.command,
        price.dollars_per_hour,
        price.machine,
        price.source,
        price.date,
        how.revision
    )
}

/// Writes a document that is not as it should be, or fails because of it.
fn keep(path: &Path, fresh: &str, check: bool) -> Result<()> {
    match (check, std::fs::read_to_string(path).is_ok_and(|text| text == fresh)) {
        (_, true) => println!("{}: fresh", path.display()),
        (true, false) => bail!("{}: stale; run `cargo xtask docs`", path.display()),
        (false, false) => {
            write_atomic(path, fresh.as_bytes())?;
            println!("{}: written", path.display());
        }
    }
    Ok(())
}

/// The study that the records are of: each must be of one of its runs.
fn published(file: &Path, how: &How, records: &Records) -> Result<Study> {
    let study = Study::read(file, &how.given())?;
    let plan = study.plan(records);
    if let Some(record) = records.iter().find(|record| plan.get(&record.id).is_none()) {
        bail!(
            "{} has changed since its records were made: run {} of {} is not in its plan any more",
            file.display(),
            record.id,
            record.approach
        );
    }
    Ok(study)
}
