//! The plan, for people.

use crate::estimate::Estimate;
use crate::plan::{Plan, Run, State};
use crate::record::{Record, Records};
use crate::settings::InitSetting;
use crate::study::Study;
use crate::text::duration;

/// The plan as a table: each run with its id, what it begins from, where it stands and how long it took or may take.
pub fn list(study: &Study, plan: &Plan, records: &Records) -> String {
    let estimate = Estimate::new(study, plan, records);
    let mut rows = vec![["", "id", "run", "begins from", "state", "time"].map(String::from).to_vec()];
    for (index, run) in plan.runs.iter().enumerate() {
        let record = run.id().and_then(|id| records.get(id));
        let time = match (record, estimate.run(run)) {
            (Some(record), _) => duration(record.seconds),
            (None, Some(seconds)) => format!("~{}", duration(seconds)),
            (None, None) => String::new(),
        };
        let id = run.id().unwrap_or("").to_string();
        rows.push(vec![
            (index + 1).to_string(),
            id,
            run.to_string(),
            begins(plan, run),
            state(run, record),
            time,
        ]);
    }
    let widths: Vec<usize> =
        (0..6).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = format!("{}: {}\n", study.name, study.claim);
    if !study.expected.is_empty() {
        text += &format!("expected: {}\n", study.expected);
    }
    text += "\n";
    for row in &rows {
        let line = format!("{:>w0$}  ", row[0], w0 = widths[0])
            + &row[1..]
                .iter()
                .zip(&widths[1..])
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect::<Vec<_>>()
                .join("  ");
        text += &format!("{}\n", line.trim_end());
    }
    text + &format!("\n{}\n", footing(plan, &estimate))
}

fn begins(plan: &Plan, run: &Run) -> String {
    match run.settings.as_ref().map(|settings| &settings.init) {
        None => String::new(),
        Some(InitSetting::Random) => "random".into(),
        Some(InitSetting::Weights(names)) => names.join(", "),
        Some(InitSetting::Run(id)) => plan.get(id).map_or_else(|| id.clone(), Run::to_string),
    }
}

fn state(run: &Run, record: Option<&Record>) -> String {
    match &run.state {
        State::Done if record.is_some_and(|record| record.pruned) => "stopped early".into(),
        State::Done => "done".into(),
        State::Failed => "failed".into(),
        State::Ready => "ready".into(),
        State::Waiting(what) => format!("after {what}"),
        State::Blocked(why) => format!("impossible: {why}"),
    }
}

fn footing(plan: &Plan, estimate: &Estimate<'_>) -> String {
    let count = |wanted: fn(&State) -> bool| plan.runs.iter().filter(|run| wanted(&run.state)).count();
    let done = count(|state| matches!(state, State::Done));
    let failed = count(|state| matches!(state, State::Failed | State::Blocked(_)));
    let mut text = format!("{} runs, {done} done", plan.runs.len());
    if failed > 0 {
        text += &format!(", {failed} failed");
    }
    if let Some(left) = estimate.left(plan).filter(|left| *left > 0.0) {
        text += &format!(", about {} left", duration(left));
    }
    text
}
