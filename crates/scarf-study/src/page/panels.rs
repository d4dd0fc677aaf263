//! Pictures: the true boxes beside what each approach detects.

use super::{Photographs, Sources};
use crate::plan::{Kind, Run, State};
use crate::settings::run_folder;
use crate::summary::Row;
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};

/// `predictions/test.json`: some test images with their true boxes and what the trained model detects.
#[derive(Deserialize)]
struct File {
    classes: Vec<String>,
    images: Vec<Image>,
    /// Those with the most mistakes.
    #[serde(default)]
    failures: Vec<Image>,
}

impl File {
    fn find(&self, name: &str) -> Option<&Image> {
        self.images.iter().chain(&self.failures).find(|image| image.name == name)
    }
}

#[derive(Deserialize)]
struct Image {
    name: String,
    width: f64,
    height: f64,
    /// Base64, or a file beside test.json.
    jpeg: String,
    ground_truth: Vec<Object>,
    detections: Vec<Object>,
    /// Objects that nothing was found of.
    #[serde(default)]
    missed: Option<u64>,
    /// Detections of nothing, or of objects of another class.
    #[serde(default)]
    wrong: Option<u64>,
}

#[derive(Deserialize)]
struct Object {
    class: String,
    #[serde(default)]
    score: Option<f64>,
    /// x1, y1, x2, y2 in pixels.
    #[serde(rename = "box")]
    corners: [f64; 4],
}

#[derive(Serialize)]
pub(super) struct Panels {
    classes: Vec<String>,
    groups: Vec<Group>,
    /// Whether boxes are drawn on gray.
    left_out: bool,
}

/// Pictures that belong together.
#[derive(Serialize)]
struct Group {
    id: &'static str,
    title: String,
    lead: String,
    pictures: Vec<Picture>,
}

#[derive(Serialize)]
struct Picture {
    name: String,
    /// What is worth saying of it.
    note: String,
    width: f64,
    height: f64,
    /// The picture itself, as a data URL of harmless characters alone; nothing where it is left out.
    source: Option<String>,
    /// How many true boxes.
    truths: usize,
    /// The true boxes, then the detections of each approach that has this picture.
    panels: Vec<Panel>,
}

#[derive(Serialize)]
struct Panel {
    /// The approach; nothing for the true boxes.
    title: Option<String>,
    colour: usize,
    boxes: Vec<Drawn>,
}

#[derive(Serialize)]
struct Drawn {
    colour: usize,
    class: String,
    /// 1 for true boxes.
    score: f64,
    /// Score in percent; empty for true boxes.
    percent: String,
    /// Its place by score, from 0.
    rank: usize,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// Fainter detections are left out of the page: there are hundreds, and none would be looked at.
const FAINTEST: f64 = 0.05;
/// So many of them at most for a picture.
const MOST: usize = 50;

/// What one approach left to be shown.
struct Shown {
    approach: String,
    colour: usize,
    title: String,
    /// Where its pictures lie.
    folder: PathBuf,
    file: File,
}

pub(super) fn panels(sources: &Sources<'_>, photographs: Photographs) -> Option<Panels> {
    let shown: Vec<Shown> = sources.summary.rows.iter().filter_map(|row| shown(sources, row)).collect();
    let first = shown.first()?;
    let left_out = photographs == Photographs::LeftOut;
    let pictures = |images: &[Image], folder: &Path| -> Vec<Picture> {
        let picture = |image: &Image| {
            let source = if left_out { None } else { Some(source(&image.jpeg, folder)?) };
            Some(picture(image, source, &shown, &first.file.classes))
        };
        images.iter().filter_map(picture).collect()
    };
    let mut groups = vec![Group {
        id: "spread",
        title: String::new(),
        lead: String::new(),
        pictures: pictures(&first.file.images, &first.folder),
    }];
    let best =
        sources.summary.best().and_then(|best| shown.iter().find(|each| each.approach == best.approach));
    if let Some(best) = best.filter(|best| !best.file.failures.is_empty()) {
        groups.push(Group {
            id: "worst",
            title: "Failures worth seeing".into(),
            lead: format!(
                "The test images with the most mistakes of the best approach, {}: objects missed and detections \
                 wrong, at a score over 30 % and IoU .5.",
                best.title
            ),
            pictures: pictures(&best.file.failures, &best.folder),
        });
    }
    Some(Panels { classes: first.file.classes.clone(), groups, left_out })
}

/// What the run of an approach's first seed left, of those that left anything.
fn shown(sources: &Sources<'_>, row: &Row) -> Option<Shown> {
    let mut finals = sources
        .plan
        .of(&row.approach)
        .filter(|run| run.kind == Kind::Final && run.state == State::Done)
        .filter_map(Run::id);
    let (folder, file) = finals.find_map(|id| {
        let folder = run_folder(sources.out, id).join("predictions");
        let text = std::fs::read_to_string(folder.join("test.json")).ok()?;
        Some((folder, serde_json::from_str(&text).ok()?))
    })?;
    let colour = sources.colour(&row.approach);
    Some(Shown { approach: row.approach.clone(), colour, title: row.title.clone(), folder, file })
}

fn picture(image: &Image, source: Option<String>, shown: &[Shown], classes: &[String]) -> Picture {
    let truth = Panel { title: None, colour: 0, boxes: drawn(&image.ground_truth, classes) };
    let found = shown.iter().filter_map(|each| {
        let same = each.file.find(&image.name)?;
        let boxes = drawn(&same.detections, classes);
        Some(Panel { title: Some(each.title.clone()), colour: each.colour, boxes })
    });
    let note = match (image.missed, image.wrong) {
        (Some(missed), Some(wrong)) => format!("{missed} missed, {wrong} wrong"),
        _ => String::new(),
    };
    Picture {
        name: image.name.clone(),
        note,
        width: image.width,
        height: image.height,
        source,
        truths: image.ground_truth.len(),
        panels: std::iter::once(truth).chain(found).collect(),
    }
}

fn drawn(objects: &[Object], classes: &[String]) -> Vec<Drawn> {
    let mut best_first: Vec<&Object> =
        objects.iter().filter(|each| each.score.is_none_or(|score| score >= FAINTEST)).collect();
    best_first.sort_by(|a, b| b.score.unwrap_or(1.0).total_cmp(&a.score.unwrap_or(1.0)));
    if best_first.first().is_some_and(|each| each.score.is_some()) {
        best_first.truncate(MOST);
    }
    let mut drawn: Vec<Drawn> = best_first
        .into_iter()
        .enumerate()
        .map(|(rank, object)| {
            let [x1, y1, x2, y2] = object.corners;
            Drawn {
                colour: classes.iter().position(|class| *class == object.class).unwrap_or(classes.len()) % 8,
                class: object.class.clone(),
                score: object.score.unwrap_or(1.0),
                percent: object.score.map_or_else(String::new, |score| format!("{:.0} %", score * 100.0)),
                rank,
                x: tenth(x1),
                y: tenth(y1),
                width: tenth((x2 - x1).max(0.0)),
                height: tenth((y2 - y1).max(0.0)),
            }
        })
        .collect();
    // The best are drawn last, over the others.
    drawn.reverse();
    drawn
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The data URL of a picture; files of PNG may pass for JPEG.
fn source(given: &str, folder: &Path) -> Option<String> {
    let base64 = jpeg(given, folder)?;
    // The first bytes of any PNG, in base64.
    let kind = if base64.starts_with("iVBORw0KGgo") { "png" } else { "jpeg" };
    Some(format!("data:image/{kind};base64,{base64}"))
}

/// Base64 of a picture that is given so, or lies in a file in `folder`; `None` where neither will do.
fn jpeg(given: &str, folder: &Path) -> Option<String> {
    let path = Path::new(given);
    if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("jpg") || end.eq_ignore_ascii_case("jpeg"))
    {
        let stays = path.components().all(|part| matches!(part, Component::Normal(_)));
        return stays.then(|| std::fs::read(folder.join(path)).ok().map(|bytes| base64(&bytes)))?;
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    given.bytes().all(legal).then(|| given.to_string())
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let whole = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let digit = DIGITS[(whole >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_the_rfc() {
        let all = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(all, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn a_picture_comes_from_its_own_folder_and_holds_no_markup() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.jpg"), b"foo").unwrap();
        assert_eq!(jpeg("a.jpg", folder.path()).as_deref(), Some("Zm9v"));
        assert_eq!(jpeg("../a.jpg", folder.path()), None);
        assert_eq!(jpeg("Zm9v", folder.path()).as_deref(), Some("Zm9v"));
        assert_eq!(jpeg("\"/><script>", folder.path()), None);
    }
}
