//! Tables for the terminal and for documents.

use crate::analysis::mean;
use crate::stat::Stat;
use crate::summary::{Reached, Row, Summary};
use crate::verdict::{Compared, Outcome, Verdict};
use crate::{Ablation, Analysis};

/// Seconds for people: `42 s`, `4 min 10 s`, `1 h 05 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        _ if seconds < 9.95 => format!("{:.1} s", seconds.max(0.0)),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// US dollars for people: cents from a dollar on, two figures that count below.
pub fn money(dollars: f64) -> String {
    match dollars {
        d if d < 1e-6 => "$0".into(),
        d if d >= 0.995 => format!("${d:.2}"),
        d => {
            let places = 1 - d.log10().floor() as i32;
            format!("${d:.*}", places.clamp(2, 6) as usize)
        }
    }
}

/// Bytes for people: `390 MB`, `1.2 GB`.
pub fn memory(bytes: f64) -> String {
    if bytes >= 1e9 { format!("{:.1} GB", bytes / 1e9) } else { format!("{:.0} MB", bytes / 1e6) }
}

/// A table, all of its columns but the first of numbers.
pub(crate) struct Cells {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

const NONE: &str = "–";

fn or_none<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or_else(|| NONE.into(), text)
}

/// What each approach reached, with 95 % intervals, and what one detector of it takes.
fn scores(summary: &Summary) -> Cells {
    let head = ["approach", "AP", "AP50", "AP75", "time", "cost"].map(String::from).to_vec();
    let row = |row: &Row| {
        let number = |index: usize| {
            let stat = row.test.map(|test: [Stat; 12]| test[index]).filter(|stat| stat.mean >= 0.0);
            let interval = row.intervals[index];
            let interval =
                interval.map_or_else(String::new, |(low, high)| format!(" ({low:.3} to {high:.3})"));
            or_none(stat, |stat| format!("{:.3}{interval}", stat.mean))
        };
        let (time, cost) = (or_none(row.total_seconds, duration), or_none(row.total, money));
        vec![row.title.clone(), number(0), number(1), number(2), time, cost]
    };
    Cells { head, rows: summary.rows.iter().map(row).collect() }
}

/// What one detector of each approach takes, part by part; `None` where that says no more than [`scores`] does.
pub(crate) fn costs(summary: &Summary) -> Option<Cells> {
    let any = |cell: fn(&Row) -> bool| summary.rows.iter().any(cell);
    let (searched, pretrained) = (any(|row| row.search.is_some()), any(|row| row.pretraining.is_some()));
    let (original, reach) = (summary.original.is_some(), summary.reach);
    if !searched && !pretrained && !original && reach.is_none() {
        return None;
    }
    let mut head = vec!["approach".to_string(), "training".into()];
    head.extend(searched.then(|| "search".into()));
    head.extend(pretrained.then(|| "begun from".into()));
    head.push("in all".into());
    head.extend(original.then(|| "at the original's price".into()));
    head.extend(reach.map(|reach| format!("to val AP {reach:.3}")));
    head.push("no cheaper one is as good".into());
    let row = |row: &Row| {
        let mut cells = vec![row.title.clone(), or_none(row.cost, money)];
        cells.extend(searched.then(|| or_none(row.search, money)));
        cells.extend(pretrained.then(|| or_none(row.pretraining, money)));
        cells.push(or_none(row.total, money));
        cells.extend(original.then(|| or_none(row.total_original, money)));
        cells.extend(reach.map(|_| or_none(row.reached, reached)));
        cells.push(if row.front { "yes".into() } else { String::new() });
        cells
    };
    Some(Cells { head, rows: summary.rows.iter().map(row).collect() })
}

fn reached(reached: Reached) -> String {
    let Reached { seconds, dollars, runs, of } = reached;
    let some = if runs < of { format!(" ({runs} of {of} seeds)") } else { String::new() };
    format!("{}, {}{some}", duration(seconds), money(dollars))
}

/// Where AP is lost, how far scores can be trusted, and how fast the models are; means over the seeds. `None` where
/// nobody has looked at detections.
pub(crate) fn details(summary: &Summary) -> Option<Cells> {
    let kinds: Vec<String> = summary
        .rows
        .iter()
        .flat_map(|row| &row.analyses)
        .next()?
        .errors
        .iter()
        .map(|each| each.kind.clone())
        .collect();
    let mut head: Vec<String> =
        ["approach", "AP S", "AP M", "AP L", "oLRP", "D-ECE"].map(String::from).to_vec();
    head.extend(kinds);
    head.extend(["images a second", "memory"].map(String::from));
    let row = |row: &Row| {
        let number = |value: Option<f64>| or_none(value, |value| format!("{value:.3}"));
        let of = |pick: fn(&Analysis) -> Option<f64>| number(mean(row.analyses.iter().filter_map(pick)));
        let size = |index: usize| number(row.test.map(|test| test[index].mean).filter(|value| *value >= 0.0));
        let mut cells = vec![row.title.clone(), size(3), size(4), size(5)];
        cells.extend([of(|analysis| analysis.olrp), of(|analysis| analysis.d_ece)]);
        cells.extend((0..head.len() - 8).map(|kind| {
            let gain = mean(row.analyses.iter().filter_map(|each| Some(each.errors.get(kind)?.ap50_gain)));
            or_none(gain, |gain| format!("{gain:.3}"))
        }));
        let speed = mean(row.inference.iter().map(|each| each.images_per_second));
        cells.push(or_none(speed, |speed| format!("{speed:.1}")));
        cells.push(or_none(mean(row.inference.iter().filter_map(|each| each.peak_memory_bytes)), memory));
        cells
    };
    let rows = summary.rows.iter().map(row).collect();
    Some(Cells { head, rows })
}

/// What [`details`] says, column by column.
pub(crate) const DETAILS: &str = "AP of small, medium and large objects; oLRP: optimal localisation-recall-precision \
error, less is better; D-ECE: how far scores are from the share that is right, over all detections; then the kinds of \
error (TIDE), each by how much AP50 would rise without it; speed on the test images on the study's machine; the most \
memory that the run had, training included";

/// The columns of [`ablations`] that are words.
pub(crate) const ABLATION_WORDS: [usize; 3] = [0, 1, 5];

/// What each variation is worth on the validation images; `None` where there are none.
pub(crate) fn ablations(summary: &Summary) -> Option<Cells> {
    let head = ["otherwise", "of", "val AP", "val AP50", "AP difference", "says", "one training"];
    let number = |stats: Option<[Stat; 12]>, index: usize| {
        or_none(stats.filter(|stats| stats[index].n > 0), |stats| format!("{:.3}", stats[index].mean))
    };
    let row = |each: &Ablation| {
        let by = or_none(each.compared.as_ref(), |Compared { difference, interval: (low, high), .. }| {
            format!("{difference:+.3} ({low:+.3} to {high:+.3})")
        });
        let of = format!("{} ({})", each.of, number(each.base, 0));
        let took = or_none(each.seconds.zip(each.cost), |(seconds, dollars)| {
            format!("{}, {}", duration(seconds), money(dollars))
        });
        vec![each.title.clone(), of, number(each.val, 0), number(each.val, 1), by, each.verdict(), took]
    };
    let rows: Vec<Vec<String>> = summary.ablations.iter().map(row).collect();
    (!rows.is_empty()).then(|| Cells { head: head.map(String::from).to_vec(), rows })
}

/// The variations of which there is nothing, or not all, and why.
fn failed_ablations(summary: &Summary) -> impl Iterator<Item = (&str, &str)> {
    summary.ablations.iter().filter_map(|each| Some((each.title.as_str(), each.err.as_deref()?)))
}

/// What [`ablations`] says, column by column.
pub(crate) const ABLATIONS: &str = "One thing done otherwise than in the approach named beside it (whose val AP is in \
brackets), scored on the validation images alone: what is chosen here has not seen the test images. AP difference: how much \
more, over the seeds that both have, with a 95 % interval (paired, bias-corrected bootstrap over the validation images); \
with one seed the spread from run to run is unknown, and may be as large as what it seems to say. A run that shared its \
machine is charged its share of it, and took longer";

/// AP (and AP50) of each class by approach; means over the seeds.
fn classes(summary: &Summary) -> Option<Cells> {
    let first = summary.rows.iter().flat_map(|row| &row.analyses).next()?;
    let mut head = vec!["class".to_string(), "objects".into()];
    head.extend(summary.rows.iter().map(|row| row.title.clone()));
    let rows = first.classes.iter().map(|class| {
        let mut cells = vec![class.class.clone(), class.objects.to_string()];
        cells.extend(summary.rows.iter().map(|row| {
            let same = || {
                row.analyses.iter().flat_map(|each| &each.classes).filter(|each| each.class == class.class)
            };
            let (ap, ap50) =
                (mean(same().filter_map(|each| each.ap)), mean(same().filter_map(|each| each.ap50)));
            or_none(ap.zip(ap50), |(ap, ap50)| format!("{ap:.3} ({ap50:.3})"))
        }));
        cells
    });
    Some(Cells { head, rows: rows.collect() })
}

/// The table for a terminal: what each approach reached on the test images, and what one detector of it takes; then
/// the claims.
pub fn terminal(summary: &Summary) -> String {
    let mut text = aligned(&scores(summary));
    for row in summary.rows.iter().filter(|row| row.err.is_some()) {
        text += &format!("{}: {}\n", row.title, row.err.as_deref().unwrap_or_default());
    }
    text += &format!("{}\n", footing(summary));
    for verdict in &summary.verdicts {
        text += &format!("\n{}: {}\n", outcome(verdict), verdict.text);
        verdict.reasons.iter().for_each(|reason| text += &format!("  {reason}\n"));
    }
    if let Some(ablations) = ablations(summary) {
        text += &format!("\nOn the validation images alone:\n{}", aligned(&ablations));
        for (title, err) in failed_ablations(summary) {
            text += &format!("{title}: {err}\n");
        }
    }
    text
}

/// A table in columns.
fn aligned(Cells { head, rows }: &Cells) -> String {
    let width = |text: &str| text.chars().count();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            rows.iter().map(|row| width(&row[column])).chain([width(&head[column])]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = line(head);
    text += &format!("{}\n", "─".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1)));
    rows.iter().for_each(|row| text += &line(row));
    text
}

/// The same in Markdown, with all tables.
pub fn markdown(summary: &Summary) -> String {
    let mut text = table(scores(summary));
    for row in summary.rows.iter().filter(|row| row.err.is_some()) {
        text += &format!("\n{}: {}\n", row.title, row.err.as_deref().unwrap_or_default().replace('|', "\\|"));
    }
    text += &format!("\n{}\n", footing(summary));
    if let Some(costs) = costs(summary) {
        text += &format!("\n### Cost\n\n{}\n{}\n", table(costs), costs_footing(summary));
    }
    if let Some(ablations) = ablations(summary) {
        text += &format!("\n### Ablations\n\n{}\n{ABLATIONS}.\n", table(ablations));
        for (title, err) in failed_ablations(summary) {
            text += &format!("\n{title}: {}\n", err.replace('|', "\\|"));
        }
    }
    if let Some(details) = details(summary) {
        text += &format!("\n### Errors, calibration and speed\n\n{}\n{DETAILS}.\n", table(details));
    }
    if let Some(classes) = classes(summary) {
        text += &format!(
            "\n### Classes\n\n{}\nAP, and AP50 in brackets; means over the seeds.\n",
            table(classes)
        );
    }
    text
}

/// The claims in Markdown, each with its verdict; empty where there are none.
pub fn claims(summary: &Summary) -> String {
    let each = |verdict: &Verdict| {
        let reasons: Vec<String> = verdict.reasons.iter().map(|reason| format!("  {reason}.\n")).collect();
        format!("- **{}**: {}\n\n{}", outcome(verdict), verdict.text, reasons.join(""))
    };
    let all: Vec<String> = summary.verdicts.iter().map(each).collect();
    if all.is_empty() { String::new() } else { format!("{}\n{METHOD}\n", all.join("\n")) }
}

pub(crate) fn outcome(verdict: &Verdict) -> &'static str {
    verdict.outcome.map_or("not judged", Outcome::words)
}

/// How claims are judged.
pub(crate) const METHOD: &str = "Claims are judged on the test images by a paired, bias-corrected bootstrap (Koehn \
2004, Efron 1981): 1,000 times the images are drawn anew with replacement, the same ones for both sides, and AP is \
computed anew and averaged over the seeds. Supported: the 95 % interval of the difference lies above 0, and no seed says otherwise; contradicted: it lies \
below, and no seed says otherwise. The interval is of these trained models on other images, each claim for itself. A \
published number is taken as exact: where it is of other images, that adds an uncertainty which is not in the interval.";

fn table(Cells { head, rows }: Cells) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<&str> = (0..head.len()).map(|column| if column == 0 { "---" } else { "---:" }).collect();
    let rule = format!("| {} |\n", rule.join(" | "));
    line(&head) + &rule + &rows.iter().map(|row| line(row)).collect::<String>()
}

/// What the intervals of the rows are of.
pub(crate) fn intervals(summary: &Summary) -> String {
    let any = summary.rows.iter().any(|row| row.intervals[0].is_some());
    let (least, most) = summary
        .rows
        .iter()
        .filter_map(Row::ap)
        .fold((usize::MAX, 0), |(least, most), stat| (least.min(stat.n), most.max(stat.n)));
    let over_seeds = "95 % intervals are of the mean over seeds (Student's t)";
    match (any, least, most) {
        (_, _, 0) => "no scores yet".into(),
        (false, _, 1) => "one seed, so run-to-run spread is unknown".into(),
        (true, _, 1) => {
            "one seed; 95 % intervals are over test images (bias-corrected bootstrap), and run-to-run spread is unknown"
                .into()
        }
        (_, 0 | 1, _) => format!(
            "means over the seeds, {most} at most; {over_seeds}, or over test images (bootstrap) where there is one seed"
        ),
        (_, least, most) if least == most => format!("means over {most} seeds; {over_seeds}"),
        _ => format!("means over the seeds, {least} to {most}; {over_seeds}"),
    }
}

fn footing(summary: &Summary) -> String {
    format!(
        "COCO AP on the test images, {}; the times of all runs add up to {}, for {}",
        intervals(summary),
        duration(summary.seconds),
        money(summary.dollars)
    )
}

/// What the table of costs says beyond its head.
pub(crate) fn costs_footing(summary: &Summary) -> String {
    let mut text =
        "Time and cost of one detector, all that it takes included: training, search, and what it was begun from. A run \
         that shared its machine is charged its share of it, and took longer."
            .to_string();
    if let Some(reach) = summary.reach {
        text += &format!(
            " To val AP {reach:.3}: until the first epoch that was scored so on the validation images, search and \
             pretraining included."
        );
    }
    if let Some(original) = &summary.original {
        text += &format!(
            " The original's price: the same hours at ${} ({}; {}, {}).",
            original.dollars_per_hour, original.machine, original.source, original.date
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let all = [0.0, 9.94, 9.96, 59.4, 61.0, 3599.4, 3600.0, 40_000.0].map(duration);
        assert_eq!(
            all,
            ["0.0 s", "9.9 s", "10 s", "59 s", "1 min 01 s", "59 min 59 s", "1 h 00 min", "11 h 06 min"]
        );
    }

    #[test]
    fn dollars() {
        let all = [1e-9, 0.000_012_3, 0.004_56, 0.1, 0.994, 1.0, 30.6].map(money);
        assert_eq!(all, ["$0", "$0.000012", "$0.0046", "$0.10", "$0.99", "$1.00", "$30.60"]);
    }
}
