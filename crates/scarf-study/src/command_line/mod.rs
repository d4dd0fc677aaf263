//! What the programs that run studies share: options, progress on a terminal, and the way from a study's file to its
//! table and page. Behind the feature `command-line`.
//!
//! `scarf study` and `cargo xtask study` differ in their [`Caller`], and in the [`Program`] that does the runs.

mod progress;

use crate::{
    Engine, Error, Given, How, Kind, Photographs, Plan, Program, Records, Run, State, Study, Summary,
    Weights, judge, list, page, terminal, write_atomic,
};
use progress::Progress;
use std::path::{Path, PathBuf};

/// Who runs a study, or tells of it.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What is typed before `study` and `report`, as `scarf`.
    pub name: &'static str,
    /// What [`How::revision`] is to be.
    pub revision: String,
    /// The folder in which a study has its own, where no other is asked for.
    pub runs: PathBuf,
}

/// The options of `study`.
#[derive(Debug, clap::Args)]
pub struct StudyOptions {
    /// Prints the plan, and does nothing.
    #[arg(long)]
    list: bool,
    /// A folder with data.
    #[arg(long, env = "SCARF_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// A folder with published weights, as *.safetensors.
    #[arg(long, env = "SCARF_WEIGHTS", value_name = "DIR")]
    weights: Option<PathBuf>,
    /// Where runs, records and the page go [default: runs/NAME].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The same plan, made so small that it takes about a minute: a check of the machinery.
    #[arg(long)]
    shrink: bool,
    /// Does the runs that failed again.
    #[arg(long)]
    retry: bool,
    /// How many runs go on at once, where they do not wait for each other; they share the machine's threads.
    #[arg(long, default_value_t = 1, value_name = "N")]
    jobs: usize,
}

impl StudyOptions {
    /// Runs the study of a file, or goes on with it, shows what goes on, and tells what came of it: prints the table,
    /// draws the page. `program` is asked for what does the runs once there is something to be done.
    ///
    /// # Errors
    /// As [`Study::read`] and [`Engine::run`]; where a folder that was given is not there, or the program cannot be had;
    /// in the end, where a run failed that the study's table needs.
    pub fn run<E: From<Error>>(
        &self,
        file: &Path,
        caller: &Caller,
        program: impl FnOnce() -> Result<Program, E>,
    ) -> Result<(), E> {
        let given = self.given()?;
        let study = Study::read(file, &given)?;
        let out = self.out.clone().unwrap_or_else(|| default_out(&caller.runs, &study.name, self.shrink));
        if self.list {
            let records = Records::read(&out.join("records.csv"))?;
            print!("{}", list(&study, &study.plan(&records), &records));
            return Ok(());
        }
        let program = program()?;
        println!("{}: {}", study.name, study.claim);
        if !study.expected.is_empty() {
            println!("expected: {}", study.expected);
        }
        let how = How::new(typed(caller.name), caller.revision.clone(), &study, &given);
        let engine = Engine::new(&study, program, &out, &given)?.with_jobs(self.jobs).with_note(how);
        let records = engine.run(self.retry, &mut Progress::new())?;
        let how = How::read(&out)?;
        let told = Told { study, records, how, out };
        told.tell()?;
        Ok(is_whole(&told.study.plan(&told.records))?)
    }

    /// What is given, if it is there.
    fn given(&self) -> Result<Given, Error> {
        for (option, folder) in [("--data", &self.data), ("--weights", &self.weights)] {
            if let Some(path) = folder.clone().filter(|folder| !folder.is_dir()) {
                return Err(Error::NoFolder { option, path });
            }
        }
        let weights = self.weights.clone().map(Weights::Folder);
        Ok(Given { shrink: self.shrink, data: self.data.clone(), weights })
    }
}

/// The options of `report`.
#[derive(Debug, clap::Args)]
pub struct ReportOptions {
    /// Where its runs and records are [default: runs/NAME].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl ReportOptions {
    /// Draws the page and prints the table of a study again, from the records in its folder.
    ///
    /// # Errors
    /// Where the file is no study, there are no records, or the page cannot be drawn.
    pub fn run(&self, file: &Path, caller: &Caller) -> Result<Told, Error> {
        let name = file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let out = self.out.clone().unwrap_or_else(|| default_out(&caller.runs, &name, false));
        let how = How::read(&out)?;
        let study = Study::read(file, &how.given())?;
        let records = Records::read(&out.join("records.csv"))?;
        if records.is_empty() {
            let command = format!("{} study {}", caller.name, file.display());
            return Err(Error::NoRecords { out, command });
        }
        let told = Told { study, records, how, out };
        told.tell()?;
        Ok(told)
    }
}

/// A study and what came of it.
#[derive(Debug, Clone)]
pub struct Told {
    /// The study.
    pub study: Study,
    /// Its records.
    pub records: Records,
    /// How it was run.
    pub how: How,
    /// Its folder.
    pub out: PathBuf,
}

impl Told {
    /// Draws the page, and prints the table.
    fn tell(&self) -> Result<(), Error> {
        let Self { study, records, how, out } = self;
        let plan = study.plan(records);
        judge(study, &plan, out)?;
        let html = page(study, &plan, records, how, out, Photographs::Shown)?;
        let file = out.join("report.html");
        write_atomic(&file, html.as_bytes())?;
        println!("\n{}", terminal(&Summary::new(study, &plan, records, out)?));
        println!("records: {}\npage:    {}", out.join("records.csv").display(), file.display());
        Ok(())
    }
}

/// A search goes on without a trial; a row without its runs is none.
fn is_whole(plan: &Plan) -> Result<(), Error> {
    let wanted = || plan.runs.iter().filter(|run| run.kind != Kind::Trial);
    let failed: Vec<&Run> =
        wanted().filter(|run| matches!(run.state, State::Failed | State::Blocked(_))).collect();
    match failed.first() {
        Some(first) => {
            Err(Error::RunsFailed { failed: failed.len(), all: wanted().count(), first: first.to_string() })
        }
        None => Ok(()),
    }
}

/// Where the study called `name` keeps what comes of it, where nothing else is asked for: beside others in `runs`. One
/// that is shrunk to a check does not go among the numbers of the whole one.
pub fn default_out(runs: &Path, name: &str, shrink: bool) -> PathBuf {
    runs.join(format!("{name}{}", if shrink { "-shrink" } else { "" }))
}

/// The command as it was typed, as a shell reads it, with `name` for the way to the program.
pub fn typed(name: &str) -> String {
    let words = std::env::args_os().skip(1).map(|word| quoted(&word.to_string_lossy()));
    std::iter::once(name.to_string()).chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:+,@%".contains(c));
    if plain && !word.is_empty() { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_has_a_folder_of_its_own() {
        let out = |shrink| default_out(Path::new("runs"), "quick", shrink);
        assert_eq!([out(false), out(true)], ["runs/quick", "runs/quick-shrink"].map(PathBuf::from));
    }

    #[test]
    fn a_shell_reads_the_command_as_it_was_typed() {
        let words = ["--data=DIR/NEU-DET", "my studies/a.toml", "", "it's"].map(quoted);
        assert_eq!(words, ["--data=DIR/NEU-DET", "'my studies/a.toml'", "''", r"'it'\''s'"]);
    }
}
