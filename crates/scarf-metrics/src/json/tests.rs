//! What is read, bit for bit, however it is written and however many threads read it.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::store::{Found, Truth};

const GT: &str = r#"{"images": [{"id": 3}, {"id": 40}, {"id": 7}], "annotations": [],
    "categories": [{"id": 9, "name": "a"}, {"name": "b", "id": 5}]}"#;

fn parse(gt: &str, dt: &str, threads: usize) -> Result<Store, JsonError> {
    CocoSet::parse(gt.as_bytes(), dt.as_bytes(), CocoParams::default(), threads)
        .map(|set| set.evaluator.store)
}

/// Class, image, numbers of all detections in the order of the file.
fn found(store: &Store) -> Vec<(usize, u32, [u64; 5])> {
    let bits = |f: &Found| [f.xywh[0], f.xywh[1], f.xywh[2], f.xywh[3], f.score].map(f64::to_bits);
    let mut before = 0;
    let mut all = Vec::new();
    for shelves in &store.found {
        for class in 0..store.classes {
            let rows = shelves.of_class(class).flatten();
            all.extend(rows.map(|f| (before + f.order, (class, f.image, bits(f)))));
        }
        before += shelves.len() as u32;
    }
    all.sort_by_key(|found| found.0);
    assert!(all.iter().zip(0..).all(|(found, order)| found.0 == order));
    all.into_iter().map(|found| found.1).collect()
}

/// A record with its keys in an order and a spacing of its own.
fn record(values: &[(&str, String)], style: u8) -> String {
    let mut values = values.to_vec();
    let len = values.len();
    values.rotate_left(usize::from(style / 4) % len);
    if style & 32 > 0 {
        values.swap(0, len - 1);
    }
    let (comma, colon) =
        [(",", ":"), (", ", ": "), (" ,\n        ", " :\t"), (",", ": ")][usize::from(style) % 4];
    let members: Vec<String> = values.iter().map(|(key, value)| format!("\"{key}\"{colon}{value}")).collect();
    format!("{{{}}}", members.join(comma))
}

fn any_number() -> impl Strategy<Value = (String, f64)> {
    let text = prop_oneof![
        (0.0..2000f32).prop_map(|v| format!("{:?}", f64::from(v))),
        (-10.0..1e4f64).prop_map(|v| format!("{v:?}")),
        (0.0..1e4f64).prop_map(|v| format!("{v:.2}")),
        (-9999..9999i32).prop_map(|v| v.to_string()),
        proptest::num::f64::NORMAL.prop_map(|v| format!("{v:e}")),
    ];
    text.prop_map(|text| (text.clone(), text.parse().unwrap()))
}

proptest! {
    #[test]
    fn records_of_any_shape(
        rows in prop::collection::vec((0..3usize, 0..2usize, prop::array::uniform5(any_number()), 0..64u8), 1..40),
        runs in prop::collection::vec(1..6usize, 40),
    ) {
        let styles: Vec<u8> = rows.iter().zip(runs).flat_map(|(row, run)| vec![row.3; run]).collect();
        let (mut gt, mut dt, mut expected, mut truths) = (String::new(), String::new(), Vec::new(), Vec::new());
        for (index, ((image, class, numbers, _), style)) in rows.iter().zip(styles).enumerate() {
            let comma = if index == 0 { "" } else { [",", ", ", "\n ,\n"][usize::from(style % 3)] };
            let ids = [3, 7, 40][*image];
            let texts = numbers.each_ref().map(|n| n.0.clone());
            let space = if style & 8 > 0 { "  " } else { "" };
            let bbox = format!("[{}]", texts[..4].join(&format!(",{space}")));
            let mut values = vec![
                ("image_id", ids.to_string()), ("category_id", [5, 9][*class].to_string()), ("bbox", bbox),
            ];
            let mut of_truth = values.clone();
            values.push(("score", texts[4].clone()));
            of_truth.extend([("area", texts[4].clone()), ("id", (index + 1).to_string())]);
            if style & 16 > 0 {
                let other = ("segmentation", r#"{"counts": "}, {\"id\": 1", "size": [1, 2.5e0]}"#.to_owned());
                values.push(other.clone());
                of_truth.extend([other, ("iscrowd", (index % 2).to_string())]);
            }
            write!(dt, "{comma}{}", record(&values, style)).unwrap();
            write!(gt, "{comma}{}", record(&of_truth, style)).unwrap();
            expected.push((*class, *image as u32, numbers.each_ref().map(|n| n.1.to_bits())));
            truths.push((*class, *image, numbers.each_ref().map(|n| n.1), style & 16 > 0 && index % 2 == 1));
        }
        let gt = GT.replace("\"annotations\": []", &format!("\"annotations\": [{gt}]"));
        let store = parse(&gt, &format!("[{dt}]"), 1).unwrap();
        prop_assert_eq!(found(&store), expected);
        let read = |t: &Truth| (t.class as usize, t.image as usize, [t.xywh[0], t.xywh[1], t.xywh[2], t.xywh[3], t.area], t.crowd);
        prop_assert_eq!(store.truths.iter().map(read).collect::<Vec<_>>(), truths);
    }
}

/// Long enough for several blocks and threads; strings pretend to be borders between records.
fn long() -> (String, String) {
    let (mut gt, mut dt) = (String::new(), String::new());
    for index in 0..40_000 {
        let comma = if index == 0 { "" } else { ", " };
        let note = if index % 50 == 0 { ", \"note\": \"}, {\\\"}, {\"" } else { "" };
        let (image, category) = ([3, 7, 40][index % 3], [5, 9][index % 2]);
        let (x, y) = (index as f64 / 7.0, (index % 97) as f64 / 3.0);
        let bbox = format!("[{x:?}, {y:?}, {}, {}.25]", index % 50, index % 30);
        write!(dt, "{comma}{{\"image_id\": {image}, \"category_id\": {category}, \"bbox\": {bbox}, \"score\": {:?}{note}}}", y / 40.0).unwrap();
        write!(gt, "{comma}{{\"id\": {}, \"image_id\": {image}, \"category_id\": {category}, \"bbox\": {bbox}, \"area\": {x:?}, \"iscrowd\": 0{note}}}", index + 1).unwrap();
    }
    (GT.replace("\"annotations\": []", &format!("\"annotations\": [{gt}]")), format!("[{dt}]"))
}

#[test]
fn threads_read_what_one_reads() {
    let (gt, dt) = long();
    let one = parse(&gt, &dt, 1).unwrap();
    let truths = |store: &Store| {
        store.truths.iter().map(|t| (t.class, t.image, t.xywh.map(f64::to_bits), t.area)).collect::<Vec<_>>()
    };
    assert_eq!((one.truths.len(), one.detections(), one.found.len()), (40_000, 40_000, 1));
    for threads in [2, 3, 8] {
        let several = parse(&gt, &dt, threads).unwrap();
        assert!(several.found.len() > 1);
        assert_eq!(found(&several), found(&one));
        assert_eq!(truths(&several), truths(&one));
    }
}

#[test]
fn an_error_tells_where_it_is() {
    let (gt, dt) = long();
    let at = dt.match_indices("\"category_id\": 9").nth(15_000).unwrap().0;
    let wrong = |new: &str| format!("{}\n{new}{}", &dt[..at], &dt[at + "\"category_id\": 9".len()..]);
    for threads in [1, 2, 5] {
        let error = parse(&gt, &wrong("\"category_id\": 8"), threads).unwrap_err().to_string();
        let place = at + 1 + "\"category_id\": ".len();
        assert_eq!(
            error,
            format!(
                "dt.json, line 2, column 16 (byte {place}): detection 30001 (from 0) is of category 8, which the ground truth does not list under `categories`"
            )
        );
        let error = parse(&gt, &wrong("\"category_id\": x"), threads).unwrap_err().to_string();
        assert!(error.ends_with("expected a number, found `x`"), "{error}");
        let error = parse(&gt, &dt[..dt.len() - 1], threads).unwrap_err().to_string();
        assert!(error.ends_with("the text ends too early"), "{error}");
        let error = parse(&gt, &format!("{dt} ]"), threads).unwrap_err().to_string();
        assert!(error.ends_with("text goes on behind the end of the value"), "{error}");
        let error =
            parse(&gt.replace("\"id\": 30000,", "\"ID\": 30000,"), &dt, threads).unwrap_err().to_string();
        assert!(error.ends_with("annotation 29999 (from 0) has no `id`"), "{error}");
        let error = parse(&gt.replace("\"id\": 30000,", "\"id\": 4,"), &dt, threads).unwrap_err().to_string();
        assert!(error.contains("annotation id 4 is given twice"), "{error}");
    }
}

/// What is read before the ground truth is known says the same as what is read after it.
#[test]
fn what_is_read_early_is_as_if_read_in_order() {
    let record = |index: usize| {
        let (image, category) = ([3, 7, 40][index % 3], [5, 9][index % 2]);
        format!(
            "{{\"image_id\": {image}, \"category_id\": {category}, \"bbox\": [{index}, 1.5, 2, 3], \"score\": 0.25}}"
        )
    };
    let records: Vec<String> = (0..20_000).map(record).collect();
    let text = format!("[{}]", records.join(", "));
    let all = parse(GT, &text, 1).unwrap();
    for threads in [2, 3] {
        assert_eq!(found(&parse(GT, &text, threads).unwrap()), found(&all));
    }
    let enough = std::sync::atomic::AtomicBool::new(false);
    let early = |text: &str| {
        let early = super::Early::read(super::Source::Bytes(text.as_bytes()), &enough)?;
        Some(early.stopped as usize)
    };
    // All but the last, behind which none follows.
    assert_eq!(early(&text), Some(text.rfind('{').unwrap()));
    // The first to be written otherwise ends it; so does a first one that lacks something.
    let spaced = text.replace("[12001, ", "[ 12001, ");
    let stopped = spaced[..spaced.find("[ ").unwrap()].rfind('{').unwrap();
    assert_eq!(early(&spaced), Some(stopped));
    assert_eq!(early(&text.replacen(", \"score\": 0.25", "", 1)), None);

    let (five, none) = ("[0, 1.5, 2, 3, 4]", "\"score\": 0.25");
    let odd = [
        text.replace(", \"score\": 0.25", ""),
        text.replace("[0, 1.5, 2, 3]", five).replace(none, "\"scores\": 0.25"),
        text.replace("\"category_id\": 9, \"bbox\": [12001,", "\"category_id\": 8, \"bbox\": [12001,"),
        text.replace(
            "\"image_id\": 3, \"category_id\": 5, \"bbox\": [0,",
            "\"image_id\": 4, \"category_id\": 5, \"bbox\": [0,",
        ),
        text.replace("[12001, 1.5, 2, 3]", "[12001, 1.5, 2]"),
        text.replace("[12001, 1.5, 2, 3]", "[12001, 1.5, 2, 3"),
        text[..text.len() - 30].into(),
        "[]".into(),
        "{}".into(),
        String::new(),
    ];
    for text in odd {
        let says =
            |threads| parse(GT, &text, threads).map(|store| found(&store)).map_err(|error| error.to_string());
        let one = says(1);
        for threads in [2, 3] {
            assert_eq!(says(threads), one, "{}", &text[..text.len().min(200)]);
        }
    }
}
