//! The answer, the table of approaches, cost against AP, and classes.

use super::Sources;
use super::chart::{Axis, LARGE, Mark, Series, chart};
use crate::plan::Kind;
use crate::result::RunResult;
use crate::settings::run_folder;
use crate::stat::Stat;
use crate::summary::{Row, Summary};
use crate::text::{self, Cells, duration, intervals, money, outcome};
use crate::verdict::{Outcome, Verdict};
use crate::{ClassScore, NUMBERS};
use serde::Serialize;
use std::collections::BTreeMap;

/// Approaches besides the best that the answer speaks of.
const MOST_SENTENCES: usize = 4;

/// What came of it, in a few sentences.
pub(super) fn answer(summary: &Summary) -> Vec<String> {
    let (Some(best), Some(ap)) = (summary.best(), summary.best().and_then(Row::ap)) else {
        return vec!["There is no answer yet: no approach has been scored on the test images.".into()];
    };
    let lone = summary.rows.iter().filter(|row| row.ap().is_some()).count() == 1;
    let mut sentences = vec![format!(
        "{} {} AP {} and AP50 {} on the test images{}.",
        best.title,
        if lone { "reaches" } else { "is best:" },
        reached(best, 0),
        reached(best, 1),
        best.total.map_or_else(String::new, |total| format!(
            ", for {} a detector, all that it takes included",
            money(total)
        ))
    )];
    let others: Vec<&Row> = summary.rows.iter().filter(|row| row.approach != best.approach).collect();
    // The table has the rest.
    let (told, left) = others.split_at(others.len().min(MOST_SENTENCES));
    for row in told {
        let Some(other) = row.ap() else {
            let why = row.err.as_deref().unwrap_or("not all its runs have been done");
            sentences.push(format!("{} has no score: {why}.", row.title));
            continue;
        };
        let times = match (row.total, best.total) {
            (Some(a), Some(b)) if a > 0.0 && b > 0.0 => format!(", at {} times the cost", ratio(a / b)),
            _ => String::new(),
        };
        sentences.push(format!(
            "{} reaches {}, {:.3} less{times}.",
            row.title,
            reached(row, 0),
            ap.mean - other.mean
        ));
    }
    if !left.is_empty() {
        sentences.push(format!("{} more are in the table.", left.len()));
    }
    let mut doubt = intervals(summary);
    doubt[..1].make_ascii_uppercase();
    sentences.push(doubt + ".");
    sentences
}

/// One of COCO's numbers on the test images, with its interval.
fn reached(row: &Row, index: usize) -> String {
    let text = row.test.map_or_else(|| "–".into(), |test| test[index].text());
    match (row.test, row.intervals[index]) {
        (Some(test), Some((low, high))) => {
            format!("{:.3} (95 % interval {low:.3} to {high:.3})", test[index].mean)
        }
        _ => text,
    }
}

/// A claim and what became of it.
#[derive(Serialize)]
pub(super) struct Judged {
    text: String,
    outcome: &'static str,
    /// For the style: supported, contradicted, or open.
    class: &'static str,
    reasons: Vec<String>,
}

pub(super) fn verdicts(summary: &Summary) -> Vec<Judged> {
    let judged = |verdict: &Verdict| Judged {
        text: verdict.text.clone(),
        outcome: outcome(verdict),
        class: match verdict.outcome {
            Some(Outcome::Supported) => "supported",
            Some(Outcome::Contradicted) => "contradicted",
            _ => "open",
        },
        reasons: verdict.reasons.clone(),
    };
    summary.verdicts.iter().map(judged).collect()
}

fn ratio(ratio: f64) -> String {
    if ratio >= 10.0 { format!("{ratio:.0}") } else { format!("{ratio:.1}") }
}

/// An approach at a glance.
#[derive(Serialize)]
pub(super) struct Card {
    colour: usize,
    title: String,
    note: String,
    best: bool,
    ap: String,
    spread: String,
    ap50: String,
    time: String,
    total: String,
}

pub(super) fn cards(sources: &Sources<'_>) -> Vec<Card> {
    let best = sources.summary.best().map(|row| row.approach.as_str());
    let card = |row: &Row| Card {
        colour: sources.colour(&row.approach),
        title: row.title.clone(),
        note: sources
            .study
            .approach(&row.approach)
            .map_or_else(String::new, |approach| approach.note.clone()),
        best: best == Some(row.approach.as_str()) && sources.summary.rows.len() > 1,
        ap: row.ap().map_or_else(|| "–".into(), |stat| format!("{:.3}", stat.mean)),
        spread: row.intervals[0].map_or_else(String::new, |(low, high)| format!("{low:.3} to {high:.3}")),
        ap50: row.test.map_or_else(|| "–".into(), |test| format!("{:.3}", test[1].mean)),
        time: row.total_seconds.map_or_else(|| "–".into(), duration),
        total: row.total.map_or_else(|| "–".into(), money),
    };
    sources.summary.rows.iter().map(card).collect()
}

/// A cell: what is shown, its spread, what it sorts by, and whether it is the column's best.
#[derive(Serialize, Clone, Default)]
pub(super) struct Cell {
    text: String,
    spread: String,
    sort: f64,
    best: bool,
}

#[derive(Serialize)]
pub(super) struct Table {
    head: Vec<(String, String)>,
    rows: Vec<TableRow>,
}

#[derive(Serialize)]
struct TableRow {
    colour: usize,
    title: String,
    cells: Vec<Cell>,
}

const LONG: [&str; 12] = [
    "average precision over IoU .50 to .95",
    "average precision at IoU .50",
    "average precision at IoU .75",
    "average precision, objects under 32² pixels",
    "average precision, objects of 32² to 96² pixels",
    "average precision, objects over 96² pixels",
    "average recall, 1 detection an image",
    "average recall, 10 detections an image",
    "average recall, 100 detections an image",
    "average recall, objects under 32² pixels",
    "average recall, objects of 32² to 96² pixels",
    "average recall, objects over 96² pixels",
];

/// What a column of [`NUMBERS`] is called for people.
fn short(name: &str) -> String {
    let (kind, of) = name.split_at(2);
    match of.trim_start_matches('_') {
        "small" => format!("{} S", kind.to_uppercase()),
        "medium" => format!("{} M", kind.to_uppercase()),
        "large" => format!("{} L", kind.to_uppercase()),
        of if kind == "ar" => format!("AR@{of}"),
        of => format!("{}{of}", kind.to_uppercase()),
    }
}

pub(super) fn table(sources: &Sources<'_>) -> Table {
    let mut head: Vec<(String, String)> =
        NUMBERS.iter().zip(LONG).map(|(name, long)| (short(name), long.to_string())).collect();
    head.push(("time".into(), "one detector with all that it takes: training, search, pretraining".into()));
    head.push(("cost".into(), "the same in dollars".into()));
    let mut rows: Vec<TableRow> = sources.summary.rows.iter().map(|row| table_row(sources, row)).collect();
    // A lone row is no best.
    let columns = if rows.len() > 1 { NUMBERS.len() } else { 0 };
    for column in 0..columns {
        let best = rows.iter().map(|row| row.cells[column].sort).fold(-1.0, f64::max);
        for row in rows.iter_mut().filter(|row| best >= 0.0 && row.cells[column].sort == best) {
            row.cells[column].best = true;
        }
    }
    Table { head, rows }
}

fn table_row(sources: &Sources<'_>, row: &Row) -> TableRow {
    let number = |index: usize| match row.test.map(|test| test[index]).filter(|stat| stat.mean >= 0.0) {
        Some(stat) => Cell {
            text: format!("{:.3}", stat.mean),
            spread: row.intervals[index]
                .map_or_else(String::new, |(low, high)| format!("{low:.3}–{high:.3}")),
            sort: stat.mean,
            best: false,
        },
        None => Cell { text: "–".into(), sort: -1.0, ..Cell::default() },
    };
    let other = |value: Option<f64>, text: fn(f64) -> String| Cell {
        text: value.map_or_else(|| "–".into(), text),
        sort: value.unwrap_or(-1.0),
        ..Cell::default()
    };
    let mut cells: Vec<Cell> = (0..12).map(number).collect();
    cells.push(other(row.total_seconds, duration));
    cells.push(other(row.total, money));
    TableRow { colour: sources.colour(&row.approach), title: row.title.clone(), cells }
}

/// A table of approaches, as the documents have it.
#[derive(Serialize)]
pub(super) struct Plain {
    head: Vec<String>,
    /// Colour, title, and the other cells.
    rows: Vec<(usize, String, Vec<PlainCell>)>,
}

#[derive(Serialize)]
pub(super) struct PlainCell {
    text: String,
    /// What it sorts by; words sort by themselves.
    sort: Option<f64>,
}

/// What a cell is sorted by: the number that it begins with, times and memory in one unit; 1 where it says yes, -1 where it
/// begins with none.
fn leading(text: &str) -> f64 {
    let unit = |word: &str| match word.trim_end_matches(',') {
        "s" | "MB" => Some(1.0),
        "min" => Some(60.0),
        "h" => Some(3600.0),
        "GB" => Some(1e3),
        _ => None,
    };
    let number = |word: &str| {
        let word = word.trim_start_matches('$');
        let end = word.find(|c: char| !(c.is_ascii_digit() || ".+-".contains(c))).unwrap_or(word.len());
        word[..end].parse::<f64>().ok()
    };
    if text == "yes" {
        return 1.0;
    }
    let words: Vec<&str> = text.split(' ').collect();
    let parts = words.chunks(2).map_while(|pair| Some(number(pair[0])? * unit(pair.get(1)?)?));
    match parts.fold(None, |sum, part| Some(sum.unwrap_or(0.0) + part)) {
        Some(whole) => whole,
        None => words.first().and_then(|word| number(word)).unwrap_or(-1.0),
    }
}

pub(super) fn plain(sources: &Sources<'_>, cells: Option<Cells>) -> Option<Plain> {
    let Cells { head, rows } = cells?;
    let rows = sources.summary.rows.iter().zip(rows).map(|(row, cells)| {
        let cells = cells.into_iter().skip(1).map(|text| PlainCell { sort: Some(leading(&text)), text });
        (sources.colour(&row.approach), row.title.clone(), cells.collect())
    });
    Some(Plain { rows: rows.collect(), head })
}

/// A table of variations: no colours, for they are in no chart.
#[derive(Serialize)]
pub(super) struct Ablations {
    /// Names, and whether they stand over words.
    head: Vec<(String, bool)>,
    rows: Vec<Vec<PlainCell>>,
}

pub(super) fn ablations(summary: &Summary) -> Option<Ablations> {
    let Cells { head, rows } = text::ablations(summary)?;
    let words = |column: usize| text::ABLATION_WORDS.contains(&column);
    let cell =
        |(column, text): (usize, String)| PlainCell { sort: (!words(column)).then(|| leading(&text)), text };
    Some(Ablations {
        head: head.into_iter().enumerate().map(|(column, name)| (name, words(column))).collect(),
        rows: rows.into_iter().map(|row| row.into_iter().enumerate().map(cell).collect()).collect(),
    })
}

/// AP on the test images against what one detector costs, with 95 % intervals and the front.
pub(super) fn cost_chart(sources: &Sources<'_>) -> String {
    let measured: Vec<(&Row, f64, Stat)> =
        sources.summary.rows.iter().filter_map(|row| Some((row, row.total?, row.ap()?))).collect();
    let (least, most) = measured
        .iter()
        .fold((f64::INFINITY, 0.0f64), |(low, high), each| (low.min(each.1), high.max(each.1)));
    // What costs nothing has no place on the axis.
    if measured.len() < 2 || most <= 0.0 {
        return String::new();
    }
    let mut series = vec![front(&measured)];
    series.extend(measured.iter().map(|(row, total, ap)| Series {
        colour: sources.colour(&row.approach),
        label: row.title.clone(),
        points: vec![(*total, ap.mean)],
        bar: row.intervals[0],
        mark: if row.front { Mark::NamedRinged } else { Mark::Named },
    }));
    let x = Axis {
        title: "cost of one detector: training, search, and what it was begun from".into(),
        log: least > 0.0 && most > 8.0 * least,
        // One per cent is not all the width there is.
        from_zero: most < 1.5 * least,
        dollars: true,
        ..Axis::default()
    };
    let y = Axis { title: "AP on the test images".into(), from_zero: true, ..Axis::default() };
    chart("AP against cost", LARGE, &x, &y, &series)
}

/// The approaches that none other beats at their cost or less.
fn front(measured: &[(&Row, f64, Stat)]) -> Series {
    let on_it = measured.iter().filter(|(row, _, _)| row.front);
    let mut points: Vec<(f64, f64)> = on_it.map(|(_, cost, ap)| (*cost, ap.mean)).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    Series { colour: 0, label: "the best for the money".into(), points, bar: None, mark: Mark::Front }
}

/// Each class's AP and AP50 by approach.
#[derive(Serialize)]
pub(super) struct Classes {
    approaches: Vec<(usize, String)>,
    rows: Vec<(String, Vec<ClassCell>)>,
}

#[derive(Serialize)]
struct ClassCell {
    ap: String,
    ap50: String,
    /// AP in percent, for the shade.
    shade: u32,
}

pub(super) fn classes(sources: &Sources<'_>) -> Option<Classes> {
    let mut approaches = Vec::new();
    let mut columns: Vec<BTreeMap<String, (f64, f64)>> = Vec::new();
    let mut order: Vec<String> = Vec::new();
    for row in &sources.summary.rows {
        let runs = class_scores(sources, &row.approach);
        if runs.is_empty() {
            continue;
        }
        for class in runs.iter().flatten().map(|score| &score.class) {
            if !order.contains(class) {
                order.push(class.clone());
            }
        }
        approaches.push((sources.colour(&row.approach), row.title.clone()));
        columns.push(order.iter().filter_map(|class| Some((class.clone(), mean(&runs, class)?))).collect());
    }
    let rows: Vec<_> = order
        .into_iter()
        .map(|class| {
            let cells = columns.iter().map(|column| class_cell(column.get(&class).copied())).collect();
            (class, cells)
        })
        .collect();
    (!rows.is_empty()).then_some(Classes { approaches, rows })
}

fn class_scores(sources: &Sources<'_>, approach: &str) -> Vec<Vec<ClassScore>> {
    let finals =
        sources.records.iter().filter(|record| record.approach == approach && record.kind == Kind::Final);
    finals
        .filter_map(|record| RunResult::read(&run_folder(sources.out, &record.id)).ok())
        .filter_map(|result| Some(result.test?.per_class))
        .filter(|classes| !classes.is_empty())
        .collect()
}

/// Means over the seeds of a class's AP and AP50; -1 where no run has any.
fn mean(runs: &[Vec<ClassScore>], class: &str) -> Option<(f64, f64)> {
    let of = |value: fn(&ClassScore) -> f64| {
        let values: Vec<f64> = runs
            .iter()
            .flatten()
            .filter(|score| score.class == class)
            .map(value)
            .filter(|value| *value >= 0.0)
            .collect();
        Stat::of(&values).map(|stat| stat.mean)
    };
    Some((of(|score| score.ap)?, of(|score| score.ap50).unwrap_or(-1.0)))
}

fn class_cell(scores: Option<(f64, f64)>) -> ClassCell {
    let text = |value: f64| if value < 0.0 { "–".into() } else { format!("{value:.3}") };
    let (ap, ap50) = scores.unwrap_or((-1.0, -1.0));
    ClassCell { ap: text(ap), ap50: text(ap50), shade: (ap.max(0.0) * 100.0).round() as u32 }
}

#[cfg(test)]
mod tests {
    use super::leading;

    #[test]
    fn cells_sort_by_what_they_mean() {
        for (text, value) in [
            ("0.443 (0.414 to 0.465)", 0.443),
            ("-0.036 (-0.050 to -0.020)", -0.036),
            ("$0.14", 0.14),
            ("33 s, $0.00093", 33.0),
            ("27 min 50 s, $0.047", 1670.0),
            ("1 h 25 min", 5100.0),
            ("5 min 46 s, $0.0097 (2 of 3 seeds)", 346.0),
            ("1.2 GB", 1200.0),
            ("544 MB", 544.0),
            ("–", -1.0),
            ("", -1.0),
        ] {
            assert!((leading(text) - value).abs() < 1e-9, "{text}: {}", leading(text));
        }
    }
}
