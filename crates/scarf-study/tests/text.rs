//! Everything that is printed, as it is printed.

mod common;

use common::{Log, STUDY, run, study};
use scarf_study::{
    Given, How, Photographs, Record, Records, Study, Summary, claims, judge, list, markdown, page, terminal,
};
use std::path::Path;

/// The study done, with times that do not hang on the machine.
fn done(out: &Path) -> (Study, Records) {
    let study = study(STUDY, &Given::default()).unwrap();
    let mut records = Records::default();
    for record in run(&study, out, &mut Log::default()).unwrap().iter() {
        let mut record = record.clone();
        record.started = "2026-11-22T21:29:01Z".into();
        if !record.is_ok() {
            (record.seconds, record.dollars) = (1.0, 0.001);
            record.err = record.err.replace("exit code", "exit status");
        }
        records.put(record);
    }
    judge(&study, &study.plan(&records), out).unwrap();
    (study, records)
}

#[test]
fn the_plan() {
    let out = tempfile::tempdir().unwrap();
    let fresh = study(STUDY, &Given::default()).unwrap();
    let before = list(&fresh, &fresh.plan(&Records::default()), &Records::default());
    let (study, records) = done(out.path());
    insta::assert_snapshot!(format!("{before}\n{}", list(&study, &study.plan(&records), &records)));
}

#[test]
fn the_tables() {
    let out = tempfile::tempdir().unwrap();
    let (study, records) = done(out.path());
    let summary = Summary::new(&study, &study.plan(&records), &records, out.path()).unwrap();
    insta::assert_snapshot!(format!("{}\n{}\n{}", terminal(&summary), claims(&summary), markdown(&summary)));
}

#[test]
fn the_records() {
    let out = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(done(out.path()).1.to_csv());
}

fn html(out: &Path) -> String {
    let (study, records) = done(out);
    let how = How { command: "cargo xtask study demo --data '<here>'".into(), ..How::default() };
    drawn(&study, &records, &how, out, Photographs::Shown)
}

fn drawn(study: &Study, records: &Records, how: &How, out: &Path, photographs: Photographs) -> String {
    page(study, &study.plan(records), records, how, out, photographs).unwrap()
}

#[test]
fn a_page_to_hand_on_has_the_boxes_without_photographs_and_no_place_of_this_machine() {
    let out = tempfile::tempdir().unwrap();
    let (study, records) = done(out.path());
    let command = "cargo xtask study demo --data /home/me/NEU-DET --weights '/mnt/w'".into();
    let how = How { command, ..How::default() }.published();
    assert_eq!(how.command, "cargo xtask study demo --data DIR/NEU-DET --weights 'DIR/w'");
    let html = drawn(&study, &records, &how, out.path(), Photographs::LeftOut);
    assert!(html.contains("<section id=\"pictures\"") && html.contains("class=\"k"), "the boxes");
    assert!(!html.contains("data:image"), "a photograph");
}

#[test]
fn the_page_tells_everything_in_one_file() {
    let out = tempfile::tempdir().unwrap();
    let html = html(out.path());
    for part in ["table", "cost", "details", "curves", "pictures", "classes", "failures", "how"] {
        assert!(html.contains(&format!("<section id=\"{part}\"")), "no section {part}");
    }
    assert!(html.contains("Fine-tuned, searched is best: AP 0."), "the answer");
    assert!(html.contains("the loss is not a number"), "the failure");
    assert!(html.contains("1 missed, 2 wrong"), "an image with mistakes");
    assert!(html.contains("class=\"claim supported\""), "a claim and its verdict");
    assert!(html.contains("--data &#x27;&lt;here&gt;&#x27;"), "text is escaped");
    assert!(html.contains("data:image/jpeg;base64,/9j/"), "the picture");
}

#[test]
fn the_page_reaches_for_nothing() {
    let out = tempfile::tempdir().unwrap();
    let html = html(out.path());
    assert!(html.contains("default-src 'none'; img-src data:"), "and may not");
    let attributes = ["src=\"", "href=\"", "action=\"", "srcset=\"", "data=\""];
    for (attribute, at) in
        attributes.iter().flat_map(|each| html.match_indices(each).map(move |(at, _)| (each, at)))
    {
        let value = &html[at + attribute.len()..];
        let value = &value[..value.find('"').unwrap()];
        assert!(value.starts_with('#') || value.starts_with("data:"), "{attribute}{value}");
    }
    for reach in
        ["@import", "url(", "fetch(", "XMLHttpRequest", "import(", "<link", "<iframe", "WebSocket", "//cdn"]
    {
        assert!(!html.contains(reach), "{reach}");
    }
}

#[test]
fn a_page_of_records_alone_goes_without_what_is_gone() {
    let out = tempfile::tempdir().unwrap();
    let (study, records) = done(out.path());
    let nowhere = tempfile::tempdir().unwrap();
    let html = drawn(&study, &records, &How::default(), nowhere.path(), Photographs::Shown);
    assert!(html.contains("<section id=\"table\"") && !html.contains("<section id=\"curves\""));
    let nothing = Records::default();
    let html = drawn(&study, &nothing, &How::default(), nowhere.path(), Photographs::Shown);
    assert!(html.contains("There is no answer yet"));
}

/// Two seeds were trained, but a detector that begins from one of them costs one training, not two.
#[test]
fn what_is_begun_from_costs_one_training() {
    let again = "[approach.again]\nof = \"scratch\"\ninit = { from = \"scratch\" }\nrecipe.train.epochs = 0\n\n[shrink]";
    let study = study(&STUDY.replace("[shrink]", again), &Given::default()).unwrap();
    let (_, some) = done(tempfile::tempdir().unwrap().path());
    let some = some.iter().find(|record| record.is_ok()).unwrap().clone();
    let mut records = Records::default();
    while let Some(run) = study.plan(&records).next().cloned() {
        let seconds = if run.approach == "again" { 10.0 } else { 1000.0 + 200.0 * run.seed as f64 };
        records.put(Record {
            id: run.id().unwrap().into(),
            approach: run.approach.clone(),
            kind: run.kind,
            trial: run.trial,
            seed: run.seed,
            seconds,
            dollars: seconds / 1000.0,
            ..some.clone()
        });
    }
    let out = tempfile::tempdir().unwrap();
    let summary = Summary::new(&study, &study.plan(&records), &records, out.path()).unwrap();
    let row = summary.rows.iter().find(|row| row.approach == "again").unwrap();
    assert_eq!((row.planned, row.seconds), (2, Some(10.0)));
    assert_eq!((row.pretraining, row.total_seconds), (Some(1.1), Some(1110.0)));
}
