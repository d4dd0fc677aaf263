//! `scarf tune`: searches hyperparameters, of a study's runs or of any program.

mod options;
mod progress;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use scarf_study::command_line::{default_out, typed};
use scarf_study::{
    Approach, Engine, Error, Given, Keep, Over, Program, Search, SearchFile, Study, Tree, Tuner, Weights,
    tune_page, write_atomic,
};

use crate::device::DeviceName;
use options::Options;
use progress::{Preparation, Progress};

#[derive(Debug, Args)]
pub(crate) struct Tune {
    /// A study file, whose search is to be done, or the file of a search over a command.
    file: Option<PathBuf>,
    /// The approach whose search is to be done, where a study has several.
    #[arg(long, value_name = "NAME")]
    approach: Option<String>,
    #[command(flatten)]
    options: Options,
    /// How many trials run at once.
    #[arg(long, default_value_t = 1, value_name = "N")]
    workers: usize,
    /// Goes on with a search that is there, and fails where there is none. Without it a search goes on where it was,
    /// or begins.
    #[arg(long)]
    resume: bool,
    /// Whose models, or {out} folders, stay [default: best for a study, all for a command].
    #[arg(long)]
    keep: Option<Kept>,
    /// How many seconds a trial stays with a worker that gives no sign of life.
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS")]
    lease: f64,
    /// Where the journal, the trials and the page go [default: runs/NAME].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A folder with data, for a study.
    #[arg(long, env = "SCARF_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// A folder with published weights, for a study.
    #[arg(long, env = "SCARF_WEIGHTS", value_name = "DIR")]
    weights: Option<PathBuf>,
    /// The study shrunk to a check of its machinery.
    #[arg(long)]
    shrink: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kept {
    /// The best trial's.
    Best,
    /// Everybody's.
    All,
}

impl Tune {
    pub(crate) fn run(&self, device: DeviceName) -> Result<()> {
        match &self.file {
            Some(file) if is_study(file)? => self.study(file, device),
            file => self.command(file.as_deref()),
        }
    }

    /// A search over the runs of a study.
    fn study(&self, file: &Path, device: DeviceName) -> Result<()> {
        let weights = self.weights.clone().map(Weights::Folder);
        let given = Given { shrink: self.shrink, data: self.data.clone(), weights };
        let study = Study::read(file, &given)?;
        let approach = self.approach(&study)?;
        let tune = approach.tune.as_ref().context("an approach without a search was chosen")?;
        // So many trials share the machine, and its price.
        let price = study.price.dollars_per_hour / self.workers.max(1) as f64;
        let mut search = Search::of(approach, tune, price);
        self.options.apply(&mut search)?;
        self.unprune(&mut search);
        let out =
            self.out.clone().unwrap_or_else(|| default_out(Path::new("runs"), &study.name, self.shrink));
        let program = Program { path: std::env::current_exe()?, device: device.name(), threads: None };
        let engine = Engine::new(&study, program, &out, &given)?;
        let records = prepared(&engine, approach)?;
        // What they begin from had the machine for itself; so many trials share its threads.
        let engine = engine.with_jobs(self.workers);
        let keep = self.keep(Keep::Best);
        let tuner = Tuner::runs(&search, &engine, approach, records, keep, self.lease()?)?;
        self.tune(&search, &tuner, &out)
    }

    /// The approach that is searched: the one that was named, or the only one.
    fn approach<'s>(&self, study: &'s Study) -> Result<&'s Approach> {
        let tuned: Vec<&Approach> = study.approaches.iter().filter(|each| each.tune.is_some()).collect();
        let names = || tuned.iter().map(|each| each.name.as_str()).collect::<Vec<_>>().join(", ");
        match (&self.approach, tuned.as_slice()) {
            (_, []) => bail!("study {}: no approach has a search; write [approach.NAME.tune]", study.name),
            (None, [only]) => Ok(*only),
            (None, _) => {
                bail!("study {} has several searches: say --approach, one of {}", study.name, names())
            }
            (Some(name), _) => {
                let found = tuned.iter().find(|each| each.name == *name);
                found
                    .copied()
                    .with_context(|| format!("no approach {name} has a search; these do: {}", names()))
            }
        }
    }

    /// A search over calls of a command.
    fn command(&self, file: Option<&Path>) -> Result<()> {
        if self.approach.is_some() || self.shrink {
            bail!("--approach and --shrink are for the search of a study; this one is over a command");
        }
        let over = self.options.tree()?;
        if file.is_none() && !over.contains_key("command") {
            bail!("say a FILE, or --command 'PROGRAM --lr {{lr}}' with --metric and --param");
        }
        let read = SearchFile::read(file, &over)?;
        let name = file.map_or_else(|| program_name(&read.command), stem);
        let (mut search, command) = read.check(&name)?;
        self.unprune(&mut search);
        let out = self.out.clone().unwrap_or_else(|| Path::new("runs").join(&name));
        let tuner = Tuner::command(&search, &command, &out, self.keep(Keep::All), self.lease()?)?;
        self.tune(&search, &tuner, &out)
    }

    /// Takes a study's or file's pruner away, where that was asked for.
    fn unprune(&self, search: &mut Search) {
        if self.options.stops_nobody() {
            search.pruner = None;
        }
    }

    fn keep(&self, otherwise: Keep) -> Keep {
        match self.keep {
            None => otherwise,
            Some(Kept::Best) => Keep::Best,
            Some(Kept::All) => Keep::All,
        }
    }

    fn lease(&self) -> Result<Duration> {
        match Duration::try_from_secs_f64(self.lease) {
            Ok(lease) if self.lease >= 1.0 => Ok(lease),
            _ => bail!("--lease {}: one second at least", self.lease),
        }
    }

    /// Does the search, draws its page, and says what came of it.
    fn tune(&self, search: &Search, tuner: &Tuner<'_>, out: &Path) -> Result<()> {
        if self.resume && !tuner.has_begun() {
            bail!(
                "--resume: there is no search to go on with; {} is not there",
                tuner.journal_path().display()
            );
        }
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // The first one lets the trials go, a second one ends this at once.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        let before = if tuner.has_begun() { tuner.trials()? } else { Vec::new() };
        let mut progress = Progress::new(search, self.workers, &before);
        let over = tuner.run(self.workers, &stop, &mut progress);
        progress.finish();
        let over = over?;
        let page = out.join(format!("{}.html", search.name));
        write_atomic(&page, tune_page(search, tuner, over, &typed("scarf"))?.as_bytes())?;
        progress::summary(search, tuner, over)?;
        println!("journal: {} (optuna-dashboard shows it)", tuner.journal_path().display());
        println!("page:    {}", page.display());
        match over {
            Over::Interrupted => Err(Error::Interrupted.into()),
            Over::Reason(_) => Ok(()),
        }
    }
}

/// Does what the trials begin from. Another worker that is at it is waited for.
fn prepared(engine: &Engine<'_>, approach: &Approach) -> Result<scarf_study::Records> {
    loop {
        match engine.prepare(approach, &mut Preparation) {
            Err(Error::Busy(_)) => std::thread::sleep(Duration::from_millis(500)),
            other => return Ok(other?),
        }
    }
}

/// Whether a file is one of a study; that of a search has a command.
fn is_study(file: &Path) -> Result<bool> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    // What is no TOML is told of by whoever reads it for good.
    Ok(text.parse::<Tree>().is_ok_and(|tree| tree.contains_key("approach")))
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "search".into(), |stem| stem.to_string_lossy().into_owned())
}

/// What a search of a command is called: its script, as `train` of `python train.py --lr {lr}`, or its program.
fn program_name(command: &str) -> String {
    let mut words = command.split_whitespace().map(|word| stem(Path::new(word.trim_matches(['\'', '"']))));
    let first = words.next().unwrap_or_default();
    let name = match first.as_str() {
        "python" | "python3" | "sh" | "bash" | "Rscript" | "julia" | "node" => words.next().unwrap_or(first),
        _ => first,
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    let name = name.trim_matches(['-', '.']);
    if name.is_empty() { "search".into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_called_by_its_program() {
        assert_eq!(program_name("python train/fit.py --lr {lr}"), "fit");
        assert_eq!(program_name("./prog --lr {lr}"), "prog");
        assert_eq!(program_name("sh -c 'echo {lr}'"), "c");
        assert_eq!(program_name("'{x}'"), "x");
    }
}
