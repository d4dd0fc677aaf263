//! Tables for the terminal and for documents.

use crate::stat::Stat;
use crate::summary::{Row, Summary};

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

/// A table, and which of its columns hold numbers.
struct Cells {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

fn cells(summary: &Summary) -> Cells {
    let any = |cell: fn(&Row) -> Option<f64>| summary.rows.iter().any(|row| cell(row).is_some());
    let (searched, pretrained) = (any(|row| row.search), any(|row| row.pretraining));
    let mut head = vec!["approach", "AP", "AP50", "AP75", "time", "cost"];
    head.extend(searched.then_some("search"));
    head.extend(pretrained.then_some("pretraining"));
    head.extend((searched || pretrained).then_some("total"));
    let row = |row: &Row| {
        let number =
            |index: usize| row.test.map_or_else(|| "–".into(), |test: [Stat; 12]| test[index].text());
        let dollars = |value: Option<f64>| value.map_or_else(|| "–".into(), money);
        let mut cells = vec![row.title.clone(), number(0), number(1), number(2)];
        cells.push(row.seconds.map_or_else(|| "–".into(), duration));
        cells.push(dollars(row.cost));
        cells.extend(searched.then(|| dollars(row.search)));
        cells.extend(pretrained.then(|| dollars(row.pretraining)));
        cells.extend((searched || pretrained).then(|| dollars(row.total)));
        cells
    };
    Cells { head, rows: summary.rows.iter().map(row).collect() }
}

/// The table for a terminal: what each approach reached on the test images (mean ± standard deviation over the
/// seeds), and what one detector of it takes.
pub fn terminal(summary: &Summary) -> String {
    let Cells { head, rows } = cells(summary);
    let width = |text: &str| text.chars().count();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            rows.iter().map(|row| width(&row[column])).chain([width(head[column])]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = line(head.clone());
    text += &format!("{}\n", "─".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1)));
    for row in &rows {
        text += &line(row.iter().map(String::as_str).collect());
    }
    for row in summary.rows.iter().filter(|row| row.err.is_some()) {
        text += &format!("{}: {}\n", row.title, row.err.as_deref().unwrap_or_default());
    }
    text + &format!("{}\n", footing(summary))
}

/// The same as a Markdown table.
pub fn markdown(summary: &Summary) -> String {
    let Cells { head, rows } = cells(summary);
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head.iter().map(|cell| (*cell).to_string()).collect());
    text += &line(
        head.iter().enumerate().map(|(column, _)| if column == 0 { "---" } else { "---:" }.into()).collect(),
    );
    for row in &rows {
        text += &line(row.iter().map(|cell| cell.replace('|', "\\|")).collect());
    }
    for row in summary.rows.iter().filter(|row| row.err.is_some()) {
        text += &format!("\n{}: {}\n", row.title, row.err.as_deref().unwrap_or_default().replace('|', "\\|"));
    }
    text + &format!("\n{}\n", footing(summary))
}

fn footing(summary: &Summary) -> String {
    let spread = if summary.seeds > 1 {
        format!("mean ± standard deviation of {} seeds", summary.seeds)
    } else {
        "one seed".into()
    };
    format!(
        "COCO AP on the test images, {spread}; all runs together took {} and {}",
        duration(summary.seconds),
        money(summary.dollars)
    )
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
