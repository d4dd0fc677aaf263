//! The kinds of error and their costs, equal to those of tidecv, the paper's own code, run by the
//! interpreter that SCARF_PYTHON names.
#![cfg(feature = "json")]

use std::path::{Path, PathBuf};
use std::process::Command;

use scarf_benches::{Scale, Workload};
use scarf_metrics::CocoParams;
use scarf_metrics::json::CocoSet;

/// Counts must be the same, shares of AP within `tolerance`.
fn compare(python: &Path, gt_text: &str, dt_text: &str, tolerance: f64) {
    let folder = tempfile::tempdir().unwrap();
    let [gt, dt] = ["gt.json", "dt.json"].map(|name| folder.path().join(name));
    std::fs::write(&gt, gt_text).unwrap();
    std::fs::write(&dt, dt_text).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/tidecv_eval.py");
    let output = Command::new(python).arg(script).args([&gt, &dt]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let theirs: Vec<f64> =
        text.trim().trim_matches(['[', ']']).split(", ").map(|v| v.parse().unwrap()).collect();

    let report = CocoSet::load(&gt, &dt, CocoParams::default(), 1).unwrap().evaluator.tide();
    let mut ours = vec![report.ap50.unwrap()];
    ours.extend(report.errors.iter().flat_map(|(_, count, gain)| [*count as f64, *gain]));
    assert_eq!(theirs.len(), ours.len(), "{text}");
    for (index, (a, b)) in theirs.iter().zip(&ours).enumerate() {
        let tolerance = if index > 0 && index % 2 == 1 { 0.0 } else { tolerance };
        assert!((a - b).abs() <= tolerance, "number {index}: tidecv {a}, scarf {b}\n{theirs:?}\n{ours:?}");
    }
    assert!(ours[3] > 0.0, "there is something to find: {ours:?}");
}

/// Scores that are all different: of equal ones, tidecv's order after mending is another.
fn apart(dt: &str) -> String {
    let rows = dt.lines().enumerate();
    rows.map(|(index, row)| match row.rsplit_once('}') {
        Some((row, end)) => format!("{row}{index:05}}}{end}\n"),
        None => format!("{row}\n"),
    })
    .collect()
}

#[test]
fn errors_of_a_real_detector() {
    let Some(python) = std::env::var_os("SCARF_PYTHON").map(PathBuf::from) else {
        println!("not run: SCARF_PYTHON names no Python with tidecv");
        return;
    };
    let Some(study) = std::env::var_os("SCARF_STUDY").map(PathBuf::from) else {
        println!("not run: SCARF_STUDY names no folder with the study's ground truth");
        return;
    };
    let gt = std::fs::read_to_string(study.join("test_ground_truth.coco.json")).unwrap();
    let dt = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/neu_det_detections.json");
    compare(&python, &gt, &apart(&std::fs::read_to_string(dt).unwrap()), 1e-9);
}

/// A detection halfway between two objects, one half in a crowd, and one of a class that is not there.
#[test]
fn corners() {
    let Some(python) = std::env::var_os("SCARF_PYTHON").map(PathBuf::from) else { return };
    let truths = [(1, 1, 0, 0), (1, 1, 4, 0), (2, 1, 0, 1), (2, 1, 40, 0), (3, 2, 0, 0)];
    let truths: Vec<String> = (1..)
        .zip(truths)
        .map(|(id, (image, class, x, crowd))| {
            format!(
                r#"{{"id": {id}, "image_id": {image}, "category_id": {class}, "bbox": [{x}, 0, 10, 10], "area": 100, "iscrowd": {crowd}}}"#
            )
        })
        .collect();
    let images: Vec<String> =
        (1..=3).map(|id| format!(r#"{{"id": {id}, "width": 99, "height": 99}}"#)).collect();
    let classes: Vec<String> = (1..=3).map(|id| format!(r#"{{"id": {id}, "name": "class {id}"}}"#)).collect();
    let gt = format!(
        r#"{{"images": [{}], "annotations": [{}], "categories": [{}]}}"#,
        images.join(","),
        truths.join(","),
        classes.join(",")
    );
    let found =
        [(1, 1, 2, 0.9), (1, 1, 0, 0.8), (2, 1, -5, 0.7), (2, 1, 40, 0.6), (3, 2, 6, 0.5), (3, 3, 60, 0.4)];
    let found: Vec<String> = found
        .iter()
        .map(|(image, class, x, score)| {
            format!(
                r#"{{"image_id": {image}, "category_id": {class}, "bbox": [{x}, 0, 10, 10], "score": {score}}}"#
            )
        })
        .collect();
    compare(&python, &gt, &format!("[{}]", found.join(",")), 1e-9);
}

/// Few objects a class, so that recalls are often whole hundredths: tidecv reads precision at 28 / 100, pycocotools
/// and scarf at numpy.linspace's .28000000000000003, which is another point of the curve.
#[test]
fn errors_among_many_classes() {
    let Some(python) = std::env::var_os("SCARF_PYTHON").map(PathBuf::from) else { return };
    for seed in 0..3 {
        let mut workload = Workload::new(Scale { images: 40, classes: 8, truths: 200, found: 900 }, seed);
        // Crowds and tidecv's limit of detections are other questions.
        workload.images.iter_mut().flat_map(|image| &mut image.truths).for_each(|truth| truth.crowd = false);
        let found = workload.images.iter_mut().flat_map(|image| &mut image.found);
        found.enumerate().for_each(|(index, found)| found.score += index as f64 * 1e-9);
        compare(&python, &workload.gt_json(), &workload.dt_json(), 2e-3);
    }
}
