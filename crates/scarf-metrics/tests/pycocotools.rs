//! Every number within 1e-12 of the real pycocotools, run by the interpreter that SCARF_PYTHON names.
#![cfg(feature = "json")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use scarf_benches::{Image, Scale, Workload};
use scarf_metrics::json::CocoSet;
use scarf_metrics::{CocoParams, CocoReport};

/// The interpreter, or `None` where none is named.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("SCARF_PYTHON").map(PathBuf::from);
    if python.is_none() {
        println!("not run: SCARF_PYTHON names no Python with pycocotools");
    }
    python
}

/// Numbers in brackets, in the order of the text.
fn numbers(text: &str) -> Vec<f64> {
    text.split(['[', ']', ',', ' ', ':', '{', '}', '"']).filter_map(|word| word.parse().ok()).collect()
}

fn ours(report: &CocoReport) -> Vec<f64> {
    let classes = report.per_class.iter().flat_map(|c| [c.ap, c.ap50, c.ap_small, c.ar100]);
    report.stats().into_iter().chain(classes).map(|v| v.unwrap_or(-1.0)).collect()
}

/// Evaluates all cases, pairs of ground truth and detections, with both and compares every number.
fn compare(python: &Path, cases: &[(String, String)]) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/pycocotools_eval.py"));
    let mut reports = Vec::new();
    for (case, (gt_text, dt_text)) in cases.iter().enumerate() {
        let [gt, dt] = ["gt", "dt"].map(|name| folder.path().join(format!("{name}{case}.json")));
        std::fs::write(&gt, gt_text).unwrap();
        std::fs::write(&dt, dt_text).unwrap();
        let set = CocoSet::load(&gt, &dt, CocoParams::default(), 2).unwrap();
        let report = set.evaluator.evaluate();
        assert_eq!(report, set.evaluator.evaluate_on(3));
        reports.push(report);
        command.args([gt, dt]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), cases.len());
    for (case, (line, report)) in text.lines().zip(&reports).enumerate() {
        let (theirs, ours) = (numbers(line), ours(report));
        assert_eq!(theirs.len(), ours.len(), "case {case}: {line}");
        for (index, (a, b)) in theirs.iter().zip(&ours).enumerate() {
            assert!((a - b).abs() < 1e-12, "case {case}, number {index}: pycocotools {a}, scarf {b}");
        }
    }
}

fn files(workload: &Workload) -> (String, String) {
    (workload.gt_json(), workload.dt_json())
}

#[test]
fn seeded_workloads() {
    let Some(python) = python() else { return };
    let tiny = |images, classes, truths, found| Scale { images, classes, truths, found };
    let mut cases = vec![files(&Workload::new(Scale::S, 1))];
    cases.push(files(&Workload::new(tiny(60, 80, 300, 9_000), 2)));
    // one class and more than 100 detections on an image
    cases.push(files(&Workload::new(tiny(20, 1, 60, 4_000), 3)));
    for seed in 10..30 {
        cases.push(files(&Workload::new(tiny(1 + seed as usize % 5, 2, 12, 40), seed)));
    }
    compare(&python, &cases);
}

/// What the fine-tuned detector of `studies/neu-det-cpu.toml` found on the study's test images, scores of .15
/// and more, rounded (so that some are equal).
#[test]
fn detections_of_a_real_detector() {
    let (Some(python), Some(study)) = (python(), std::env::var_os("SCARF_STUDY")) else { return };
    let read = |path: PathBuf| std::fs::read_to_string(&path).unwrap();
    let gt = read(PathBuf::from(study).join("test_ground_truth.coco.json"));
    let dt = read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/neu_det_detections.json"));
    compare(&python, &[(gt, dt)]);
}

/// Boxes on a coarse grid: equal scores, equal IoUs, IoUs on thresholds, areas on borders.
#[test]
fn ties_everywhere() {
    let Some(python) = python() else { return };
    let cases: Vec<_> = (100..130)
        .map(|seed| {
            let mut workload = Workload::new(Scale { images: 4, classes: 2, truths: 24, found: 90 }, seed);
            workload.images.iter_mut().for_each(coarsen);
            files(&workload)
        })
        .collect();
    compare(&python, &cases);
}

fn coarsen(image: &mut Image) {
    let coarse = |xywh: [f64; 4]| xywh.map(|v| ((v / 16.0).round() * 16.0 % 64.0).max(16.0));
    for t in &mut image.truths {
        t.xywh = coarse(t.xywh);
        t.area = t.xywh[2] * t.xywh[3];
        t.crowd = t.area == 256.0;
    }
    for f in &mut image.found {
        f.xywh = coarse(f.xywh);
        f.score = (f.score * 5.0).round() / 5.0;
    }
}

#[test]
fn ids_of_any_shape() {
    let Some(python) = python() else { return };
    let (gt, dt) = files(&Workload::new(Scale { images: 12, classes: 3, truths: 40, found: 200 }, 7));
    let rename = |text: &str, id: &dyn Fn(usize) -> String| {
        let mut text = text.replace("\"id\": 139,", &format!("\"id\": {},", id(139)));
        for index in 0..12 {
            let old = 139 + index * 7;
            text = text.replace(&format!("\"image_id\": {old},"), &format!("\"image_id\": {},", id(old)));
            text = text.replace(
                &format!("{{\"id\": {old}, \"width\""),
                &format!("{{\"id\": {}, \"width\"", id(old)),
            );
        }
        text.replace("\"id\": 139, \"width\"", &format!("\"id\": {}, \"width\"", id(139)))
    };
    let renamed = |id: &dyn Fn(usize) -> String| (rename(&gt, id), rename(&dt, id));
    let zero = |text: &str| text.replace("\"category_id\": 1,", "\"category_id\": 0,");
    let cases = [
        (gt.clone(), dt.clone()),
        renamed(&|id| format!("\"image {}\"", id * 7919 % 1000)),
        renamed(&|id| format!("{}", 10_000_000_000 * (id as i64 - 150))),
        renamed(&|id| format!("{}", id - 139)),
        (zero(&gt).replace("{\"id\": 1, \"name\"", "{\"id\": 0, \"name\""), zero(&dt)),
        // an annotation of id 0, whose matches pycocotools takes for none
        (gt.replace("\"id\": 1}", "\"id\": 0}"), dt.clone()),
        (gt.clone(), "[]".into()),
        (
            gt.split("\"annotations\": [").next().unwrap().to_owned()
                + "\"annotations\": [], \"categories\": [{\"id\": 1, \"name\": \"a\"}, {\"id\": 2, \"name\": \"b\"}, {\"id\": 3, \"name\": \"c\"}]}",
            dt,
        ),
    ];
    compare(&python, &cases);
}

/// The data set folder that SCARF_DATA names: it holds NEU-DET, or is it.
fn neu_det() -> Option<PathBuf> {
    let Some(data) = std::env::var_os("SCARF_DATA").map(PathBuf::from) else {
        println!("not run: SCARF_DATA names no folder with NEU-DET");
        return None;
    };
    let folder = [data.join("NEU-DET"), data.clone()].into_iter().find(|f| f.join("ANNOTATIONS").is_dir());
    Some(folder.unwrap_or_else(|| panic!("SCARF_DATA: no NEU-DET in {}", data.display())))
}

/// The real ground truth of NEU-DET, and detections made from it by jitter.
#[test]
fn neu_det_with_jitter() {
    let (Some(python), Some(folder)) = (python(), neu_det()) else { return };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder.join("ANNOTATIONS")).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let mut names: Vec<String> = Vec::new();
    let (mut images, mut truths, mut found) = (Vec::new(), Vec::new(), String::new());
    for (image, path) in files.iter().enumerate() {
        images.push(format!("{{\"id\": {image}}}"));
        let text = std::fs::read_to_string(path).unwrap();
        for object in text.split("<object>").skip(1) {
            let tag = |name: &str| {
                object.split(&format!("<{name}>")).nth(1).unwrap().split('<').next().unwrap().trim()
            };
            let [x1, y1, x2, y2] =
                ["xmin", "ymin", "xmax", "ymax"].map(|side| tag(side).parse::<f64>().unwrap());
            let class = names.iter().position(|n| n == tag("name")).unwrap_or(names.len());
            if class == names.len() {
                names.push(tag("name").to_owned());
            }
            let (w, h, id) = (x2 - x1, y2 - y1, truths.len() + 1);
            truths.push(format!("{{\"id\": {id}, \"image_id\": {image}, \"category_id\": {class}, \"bbox\": [{x1}, {y1}, {w}, {h}], \"area\": {}, \"iscrowd\": 0}}", w * h));
            for guess in 0..id % 5 {
                // a jitter without a generator: fractions of the golden ratio
                let off = |k: usize| {
                    ((id * 31 + guess * 7 + k) as f64 * 0.618_033_988_749_895).fract() * 0.5 - 0.25
                };
                let (x, y, score) = (x1 + off(1) * w, y1 + off(2) * h, 0.5 + off(5));
                let (w, h, class) =
                    (w * (1.0 + off(3)), h * (1.0 + off(4)), (class + usize::from(guess == 3)) % 6);
                let comma = if found.is_empty() { "" } else { "," };
                write!(found, "{comma}{{\"image_id\":{image},\"category_id\":{class},\"bbox\":[{x},{y},{w},{h}],\"score\":{score}}}").unwrap();
            }
        }
    }
    let categories: Vec<String> =
        names.iter().enumerate().map(|(id, name)| format!("{{\"id\": {id}, \"name\": {name:?}}}")).collect();
    let gt = format!(
        "{{\"images\": [{}], \"annotations\": [{}], \"categories\": [{}]}}",
        images.join(", "),
        truths.join(", "),
        categories.join(", ")
    );
    compare(&python, &[(gt, format!("[{found}]"))]);
}
