//! Pictures: the true boxes beside what each approach detects.

use super::{Photographs, Sources};
use crate::plan::Kind;
use crate::settings::run_folder;
use serde::{Deserialize, Serialize};
use std::path::{Component, Path};

/// `predictions/test.json`: some test images with their true boxes and what the trained model detects.
#[derive(Deserialize)]
struct File {
    classes: Vec<String>,
    images: Vec<Image>,
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
    approaches: Vec<(usize, String)>,
    pictures: Vec<Picture>,
    /// Whether boxes are drawn on gray.
    left_out: bool,
}

#[derive(Serialize)]
struct Picture {
    name: String,
    width: f64,
    height: f64,
    /// The picture itself, as a data URL of harmless characters alone; nothing where it is left out.
    source: Option<String>,
    /// How many true boxes.
    truths: usize,
    /// The true boxes, then each approach's detections.
    panels: Vec<Vec<Drawn>>,
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

pub(super) fn panels(sources: &Sources<'_>, photographs: Photographs) -> Option<Panels> {
    let mut shown: Vec<(usize, String, File)> = Vec::new();
    let mut first_folder = None;
    for row in &sources.summary.rows {
        let mut finals = sources
            .records
            .iter()
            .filter(|record| record.approach == row.approach && record.kind == Kind::Final && record.is_ok());
        let found = finals.find_map(|record| {
            let folder = run_folder(sources.out, &record.id).join("predictions");
            let text = std::fs::read_to_string(folder.join("test.json")).ok()?;
            Some((folder, serde_json::from_str(&text).ok()?))
        });
        if let Some((folder, file)) = found {
            first_folder.get_or_insert(folder);
            shown.push((sources.colour(&row.approach), row.title.clone(), file));
        }
    }
    let folder = first_folder?;
    let classes = shown.first()?.2.classes.clone();
    let left_out = photographs == Photographs::LeftOut;
    let pictures = shown[0].2.images.iter().filter_map(|image| {
        let source = if left_out { None } else { Some(source(&image.jpeg, &folder)?) };
        Some(picture(image, source, &shown, &classes))
    });
    let pictures = pictures.collect();
    let approaches = shown.iter().map(|(colour, title, _)| (*colour, title.clone())).collect();
    Some(Panels { classes, approaches, pictures, left_out })
}

fn picture(
    image: &Image,
    source: Option<String>,
    shown: &[(usize, String, File)],
    classes: &[String],
) -> Picture {
    let mut panels = vec![drawn(&image.ground_truth, classes)];
    for (_, _, file) in shown {
        let same = file.images.iter().find(|each| each.name == image.name);
        panels.push(same.map_or_else(Vec::new, |same| drawn(&same.detections, classes)));
    }
    Picture {
        name: image.name.clone(),
        width: image.width,
        height: image.height,
        source,
        truths: image.ground_truth.len(),
        panels,
    }
}

fn drawn(objects: &[Object], classes: &[String]) -> Vec<Drawn> {
    let mut best_first: Vec<&Object> =
        objects.iter().filter(|each| each.score.is_none_or(|score| score >= FAINTEST)).collect();
    best_first.sort_by(|a, b| b.score.unwrap_or(1.0).total_cmp(&a.score.unwrap_or(1.0)));
    best_first.truncate(MOST);
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
