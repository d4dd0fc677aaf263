//! Sets of other forms, turned into a folder of images and Pascal VOC files.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use scarf_data::voc::{self, VocLayout};
use scarf_data::{DataSet, OnBad, coco, yolo};
use scarf_study::write_atomic;

use super::command::left_out;

const PARTS: [&str; 3] = ["train", "val", "test"];

/// Some images of a set.
struct Piece {
    /// The part that they are, by its index, where they are one.
    part: Option<usize>,
    /// What they were read from, for messages.
    from: PathBuf,
    set: DataSet,
}

/// Copies images and writes a Pascal VOC file for each; boxes of crowds, which VOC does not know, are left out.
pub(super) fn coco(given: &[String], images: &Path, out: &Path, on_bad: OnBad) -> Result<()> {
    check_room(out)?;
    let mut pieces: Vec<Piece> = Vec::new();
    for given in given {
        let named = given.split_once('=').and_then(|(name, file)| Some((part(name)?, Path::new(file))));
        let (part, file) = match named {
            Some((part, file)) => (Some(part), file),
            None => (None, Path::new(given)),
        };
        if pieces.iter().any(|before| before.part.is_none() || before.part == part)
            || (part.is_none() && !pieces.is_empty())
        {
            bail!(
                "--gt {given}: of several files say each part once, as --gt train=FILE --gt val=FILE --gt test=FILE"
            );
        }
        let own = part.map(|part| images.join(PARTS[part])).filter(|own| own.is_dir());
        let folder = own.as_deref().unwrap_or(images);
        let (set, skipped) = coco::read(file, folder, coco::Boxes::Xywh, on_bad)?;
        left_out(&skipped);
        pieces.push(Piece { part, from: file.into(), set });
    }
    let crowds: usize = pieces.iter_mut().map(|piece| without_crowds(&mut piece.set)).sum();
    if crowds > 0 {
        println!("left out {crowds} boxes of crowds");
    }
    write(pieces, out)
}

/// Copies images and writes a Pascal VOC file for each.
pub(super) fn yolo(classes: &Path, data: &Path, out: &Path, on_bad: OnBad) -> Result<()> {
    check_room(out)?;
    let classes = yolo::classes(classes)?;
    let mut polygons = 0;
    let mut pieces = Vec::new();
    for (part, layout) in yolo::find(data) {
        let read = yolo::read(&layout, &classes, on_bad)?;
        left_out(&read.skipped);
        polygons += read.polygons;
        pieces.push(Piece { part, from: layout.images, set: read.set });
    }
    if polygons > 0 {
        println!("drew {polygons} boxes around polygons");
    }
    write(pieces, out)
}

fn part(name: &str) -> Option<usize> {
    PARTS.iter().position(|part| *part == name)
}

fn layout(out: &Path) -> VocLayout {
    VocLayout { images: out.join(super::images()), annotations: out.join(super::annotations()) }
}

fn list(out: &Path, part: usize) -> PathBuf {
    out.join(format!("{}.txt", PARTS[part]))
}

/// An error where something would stay from before: an image that is no longer in the set would be learnt from.
fn check_room(out: &Path) -> Result<()> {
    let VocLayout { images, annotations } = layout(out);
    let full = |folder: &PathBuf| folder.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    let lists = (0..PARTS.len()).map(|part| list(out, part)).find(|list| list.exists());
    if let Some(there) = [images, annotations].into_iter().find(full).or(lists) {
        bail!(
            "{}: there is something from before, which would be mixed with what is written: remove it, or say another folder by --out",
            there.display()
        );
    }
    Ok(())
}

/// Takes out boxes of crowds; how many there were.
fn without_crowds(set: &mut DataSet) -> usize {
    let before = set.boxes();
    set.samples.iter_mut().for_each(|sample| sample.annotations.retain(|annotation| !annotation.crowd));
    before - set.boxes()
}

/// Writes images, Pascal VOC files and a list of each part.
fn write(pieces: Vec<Piece>, out: &Path) -> Result<()> {
    let mut from: BTreeMap<&str, &Path> = BTreeMap::new();
    for piece in &pieces {
        for sample in &piece.set.samples {
            if let Some(other) = from.insert(&sample.name, &piece.from) {
                let (name, piece, other) = (&sample.name, piece.from.display(), other.display());
                bail!("{piece}: an image of the stem `{name}` is in {other} too; a stem names one image");
            }
        }
    }
    if let Some(piece) = pieces.iter().find(|piece| piece.set.samples.is_empty()) {
        bail!("{}: nothing is left of it to be written", piece.from.display());
    }
    // A part of a set looks like one: what is half written lies aside.
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let aside = out.join(".import");
    let clear = || match fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| aside.display().to_string())
        }
        _ => Ok(()),
    };
    clear()?;
    for Piece { set, .. } in &pieces {
        voc::write(set, &layout(&aside))?;
    }
    for Piece { part, set, .. } in &pieces {
        let Some(part) = *part else { continue };
        let lines: String = set.samples.iter().map(|sample| format!("{}\n", sample.name)).collect();
        write_atomic(&list(out, part), lines.as_bytes())?;
    }
    let (from, to) = (layout(&aside), layout(out));
    for (from, to) in [(from.annotations, to.annotations), (from.images, to.images)] {
        // An empty folder of that name may be there.
        let _ = fs::remove_dir(&to);
        fs::rename(&from, &to).with_context(|| to.display().to_string())?;
    }
    clear()
}
