//! What the study's own tuning jobs say: `SCARF_STUDY=FOLDER cargo run -p scarf-hpo --example finding`, with
//! `hpo_type1.csv` and `hpo_type2.csv` in the folder.

use scarf_hpo::{
    Direction, Domain, History, Parameter, Space, Trial, TrialState, correlations, importance, plateau,
};
use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::var_os("SCARF_STUDY")
        .map(PathBuf::from)
        .ok_or("set SCARF_STUDY to the folder of the CSVs")?;
    print!("{}", report(&folder)?);
    Ok(())
}

/// The report on both searches, as text.
///
/// # Errors
/// Where a file is missing, or is not a table of tuning jobs.
pub(crate) fn report(folder: &Path) -> Result<String, Box<dyn Error>> {
    let one = Space::new(vec![
        Parameter::new("learning_rate", Domain::log(1e-4, 1e-2)),
        Parameter::new("momentum", Domain::linear(0.8, 0.99)),
        Parameter::new("weight_decay", Domain::linear(1e-4, 1e-3)),
    ])?;
    let two = Space::new(vec![Parameter::new("adam-learning-rate", Domain::log(1e-4, 1e-1))])?;
    let mut text = String::new();
    let (trials, first) = read(&folder.join("hpo_type1.csv"), &one)?;
    let history = History::new(Direction::Maximize, &trials);
    text += &searched("Type 1 (validation mAP)", &one, history, first);
    let at_bound = trials.iter().filter(|trial| trial.params["learning_rate"].as_f64() >= Some(0.01)).count();
    text +=
        &format!("  learning_rate is at its upper bound, 0.01, in {at_bound} of {} jobs\n\n", trials.len());
    let (trials, first) = read(&folder.join("hpo_type2.csv"), &two)?;
    let history = History::new(Direction::Minimize, &trials);
    text += &searched("Type 2 (validation cross-entropy)", &two, history, first);
    if let Some(there) = plateau(history, "adam-learning-rate", (2e-4, 4.4e-4)) {
        text += &format!(
            "  of {} jobs with a rate of 2e-4 to 4.4e-4: mean {:.3}, standard deviation {:.3}, best {:.3}: {:.1} deviations off\n",
            there.trials,
            there.mean,
            there.deviation,
            there.best,
            (there.mean - there.best) / there.deviation
        );
    }
    Ok(text)
}

fn searched(title: &str, space: &Space, history: History<'_>, first: usize) -> String {
    let mut text = format!("{title}: {} jobs\n", history.trials.len());
    for each in correlations(space, history) {
        let scale = match space.get(&each.name).map(|param| &param.domain) {
            Some(Domain::Float { scale: scarf_hpo::Scale::Log, .. }) => "log ",
            _ => "",
        };
        text += &format!("  correlation of the objective with {scale}{}: {:.2}\n", each.name, each.r);
    }
    for each in importance(space, history, 0) {
        text += &format!("  share of the variance that {} explains alone: {:.2}\n", each.name, each.share);
    }
    let begun = History::new(history.direction, &history.trials[..first]);
    if let (Some(begun), Some(best)) =
        (begun.best().and_then(|t| t.value), history.best().and_then(|t| t.value))
    {
        text += &format!(
            "  best of the first {first} jobs, drawn at random: {begun:.3}; best of all: {best:.3}\n"
        );
    }
    text
}

/// The jobs of a table in the order of their start, and how many began together before any other had ended.
fn read(path: &Path, space: &Space) -> Result<(Vec<Trial>, usize), Box<dyn Error>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column = |name: &str| {
        header.iter().position(|each| *each == name).ok_or(format!("{}: no column {name}", path.display()))
    };
    let (objective, start, end) =
        (column("FinalObjectiveValue")?, column("TrainingStartTime")?, column("TrainingEndTime")?);
    let (seconds, status) = (column("TrainingElapsedTimeSeconds")?, column("TrainingJobStatus")?);
    let mut jobs: Vec<(String, String, Trial)> = Vec::new();
    for (line, cells) in (2..).zip(lines.map(|line| line.split(',').collect::<Vec<_>>())) {
        let cell =
            |at: usize| cells.get(at).copied().ok_or(format!("{}, line {line}: too short", path.display()));
        let number = |at: usize| -> Result<f64, String> {
            cell(at)?.parse().map_err(|error| format!("{}, line {line}: {error}", path.display()))
        };
        let mut trial = Trial::new(0, Default::default());
        for param in space.params() {
            trial.params.insert(param.name.clone(), number(column(&param.name)?)?.into());
        }
        trial.seconds = Some(number(seconds)?);
        match cell(status)? {
            "Completed" => trial = trial.complete(number(objective)?),
            _ => trial.state = TrialState::Failed,
        }
        jobs.push((cell(start)?.into(), cell(end)?.into(), trial));
    }
    jobs.sort_by(|a, b| a.0.cmp(&b.0));
    let ended = jobs.iter().map(|job| job.1.clone()).min().unwrap_or_default();
    let first = jobs.iter().filter(|job| job.0 < ended).count();
    let trials = jobs.into_iter().zip(0..).map(|((.., trial), number)| Trial { number, ..trial }).collect();
    Ok((trials, first))
}
