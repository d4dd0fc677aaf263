//! `scarf data`: what a set holds, and sets of other forms turned into folders of one's own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use scarf_data::split::{Lists, listed};
use scarf_data::{DataSet, OnBad, Skipped, Stats, catalog};
use scarf_study::memory;
use serde_json::json;

use super::import;
use crate::folder::Folder;

/// Where lists of images are looked for in a folder of one's own: where `scarf data coco` leaves them, and Pascal VOC.
const LISTS: [&str; 2] = ["", "ImageSets/Main"];

/// What `scarf data` is told.
#[derive(Debug, Args)]
pub(crate) struct DataCommand {
    /// A set of the catalog, voc for a folder of your own, coco or yolo to make one; all are listed where it is left out.
    set: Option<String>,
    /// The folder of the set, or the one that holds it; of your own, the one that holds images and Pascal VOC files; of
    /// coco, the one that holds the images; of yolo, the one that holds images/ and labels/.
    #[arg(long, env = "SCARF_DATA")]
    data: Option<PathBuf>,
    /// Of coco: the JSON file with images, annotations and categories; of several say each part, as train=FILE, val=FILE and
    /// test=FILE, whose images lie in the folder DATA/train and so on, where there is one.
    #[arg(long, value_name = "FILE")]
    gt: Vec<String>,
    /// Of yolo: the names of the classes, one a line, or a data.yaml.
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// Of coco and yolo: where to write images and Pascal VOC files, and lists of the parts where there are some.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leave out what is wrong, and list it.
    #[arg(long)]
    skip_bad: bool,
    /// Compare every file with the catalog's checksum.
    #[arg(long)]
    verify: bool,
}

impl DataCommand {
    /// Prints what the set holds.
    pub(crate) fn run(&self) -> Result<()> {
        let Some(name) = &self.set else {
            for entry in catalog::all() {
                println!("{:<16} {}", entry.name, entry.title);
            }
            println!("{:<16} A folder of your own, of images and Pascal VOC files", "voc");
            println!("{:<16} COCO's JSON and its images, turned into such a folder", "coco");
            println!("{:<16} YOLO's labels and their images, turned into such a folder", "yolo");
            return Ok(());
        };
        let folder =
            self.data.as_deref().context("say where the set lies by --data DIR, or by SCARF_DATA")?;
        let on_bad = if self.skip_bad { OnBad::Skip } else { OnBad::Fail };
        self.check(name)?;
        match (name.as_str(), &self.out) {
            ("voc", _) => own(folder, on_bad),
            ("coco", Some(out)) if !self.gt.is_empty() => {
                import::coco(&self.gt, folder, out, on_bad)?;
                own(out, OnBad::Fail)
            }
            ("coco", _) => bail!("say by --gt FILE where COCO's JSON is, and by --out DIR where to write"),
            ("yolo", Some(out)) => {
                let classes = self.classes.as_ref().context(
                    "say by --classes FILE what the classes are called: names, one a line, or a data.yaml",
                )?;
                import::yolo(classes, folder, out, on_bad)?;
                own(out, OnBad::Fail)
            }
            ("yolo", None) => bail!("say by --out DIR where to write"),
            _ => self.catalogued(name, folder, on_bad),
        }
    }

    /// Whether each option is one of that set's.
    fn check(&self, name: &str) -> Result<()> {
        if self.verify && ["voc", "coco", "yolo"].contains(&name) {
            bail!("--verify is for sets of the catalog: of a folder of your own it has no checksums");
        }
        if self.out.is_some() && !["coco", "yolo"].contains(&name) {
            bail!("--out is for `scarf data coco` and `scarf data yolo`; {name} is only looked at");
        }
        if name != "coco" && !self.gt.is_empty() {
            bail!("--gt is for `scarf data coco`, and the set is {name}");
        }
        if name != "yolo" && self.classes.is_some() {
            bail!("--classes is for `scarf data yolo`, and the set is {name}");
        }
        Ok(())
    }

    fn catalogued(&self, name: &str, folder: &Path, on_bad: OnBad) -> Result<()> {
        let entry = catalog::get(name)?;
        let (set, skipped) = entry.load(folder, on_bad)?;
        tell(&set, &skipped)?;
        if self.verify {
            entry.verify(folder)?;
            println!("every file is the one that the catalog describes");
        }
        Ok(())
    }
}

/// Tells what a folder of one's own holds, and what a study file says of it.
fn own(folder: &Path, on_bad: OnBad) -> Result<()> {
    let own = Folder::find(folder, on_bad)?;
    tell(&own.set, &own.skipped)?;
    println!("\nDecoded, as a run keeps them, the images take {}.", memory(own.decoded() as f64));
    let mut settings = own.settings();
    if let Some(lists) = lists(folder, &own) {
        let lines = settings.lines();
        let lines = lines.map(|line| if line.starts_with("split.") { lists.as_str() } else { line });
        settings = lines.map(|line| format!("{line}\n")).collect();
    }
    println!("\nIn a study file (studies/own.toml is one to copy):\n\n{settings}");
    Ok(())
}

/// The lists of a folder as a study file says them, where there are some that will do.
fn lists(folder: &Path, own: &Folder) -> Option<String> {
    let of = |place: &Path| {
        ["train", "val", "test"].map(|part| {
            let name = place.join(format!("{part}.txt"));
            folder.join(&name).is_file().then_some(name)
        })
    };
    let found = LISTS.iter().map(|place| of(Path::new(place))).find(|found| found[0].is_some())?;
    let [Some(train), val, Some(test)] = found else {
        println!(
            "\nThere are lists of images, but no test.txt: a study needs images to report on (split.lists)."
        );
        return None;
    };
    let lists = Lists { train, val, test: Some(test) };
    let split = match listed(&own.set, &own.skipped, &lists.within(folder)) {
        Ok(split) => split,
        Err(error) => {
            println!("\nIts lists of images will not do: {error}");
            return None;
        }
    };
    let counts = [&split.train, &split.val, &split.test].map(Vec::len);
    let none = own.set.samples.len() - counts.iter().sum::<usize>();
    let [to_learn, to_choose, to_report] = counts;
    println!(
        "\nBy its lists {to_learn} images are learnt from, {to_choose} chosen by and {to_report} reported on; {none} are in none."
    );
    let parts = lists.files().map(|(part, path)| format!("{part} = {}", json!(path.to_string_lossy())));
    Some(format!("split.lists = {{ {} }}", parts.collect::<Vec<_>>().join(", ")))
}

fn tell(set: &DataSet, skipped: &[Skipped]) -> Result<()> {
    print!("{}", describe(&set.stats()?));
    left_out(skipped);
    Ok(())
}

pub(super) fn left_out(skipped: &[Skipped]) {
    for skipped in skipped {
        println!("left out {}: {}", skipped.path.display(), skipped.reason);
    }
}

/// A data set in a screenful.
fn describe(stats: &Stats) -> String {
    let mut text = format!(
        "{} images ({} without objects, {} of more than one class), {} boxes (at most {} on an image)\n",
        stats.images, stats.empty_images, stats.mixed_images, stats.boxes, stats.most_boxes
    );
    text += &format!(
        "{} difficult, {} truncated, {} of another class than their image's name\n\n",
        stats.difficult, stats.truncated, stats.boxes_unlike_name
    );
    text += "class              images  boxes  small  medium  large   side p5/50/95   aspect p5/50/95\n";
    for class in &stats.classes {
        let [small, medium, large] = class.by_size;
        let (side, aspect) = (class.side, class.aspect);
        text += &format!(
            "{:<18} {:>6} {:>6} {small:>6} {medium:>7} {large:>6}   {:>3.0}/{:>3.0}/{:>4.0}    {:.2}/{:.2}/{:.2}\n",
            class.name,
            class.images,
            class.boxes,
            side.p5,
            side.p50,
            side.p95,
            aspect.p5,
            aspect.p50,
            aspect.p95
        );
    }
    for (name, _) in &stats.listed_twice {
        text += &format!("{name}: a box is listed twice\n");
    }
    for group in &stats.duplicate_images {
        text += &format!("{}: the same image\n", group.join(", "));
    }
    text
}
