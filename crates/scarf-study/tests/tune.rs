//! Searches over runs of a study and over calls of a command, with stand-ins for both.

mod common;

use common::{Log, STUDY, program, study};
use scarf_hpo::{History, Params, Reason, Trial, TrialState};
use scarf_study::{Engine, Given, Keep, Over, Search, SearchFile, TuneWatch, Tuner, tune_page};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

const LEASE: Duration = Duration::from_secs(20);

/// Notes what it is told.
#[derive(Default)]
struct Seen {
    begun: Vec<u64>,
    reports: usize,
    ended: Vec<u64>,
    errors: Vec<String>,
}

impl TuneWatch for Seen {
    fn begins(&mut self, _: usize, trial: u64, _: &Params, _: bool) {
        self.begun.push(trial);
    }
    fn reports(&mut self, _: usize, _: u64, _: u64, _: f64) {
        self.reports += 1;
    }
    fn ends(&mut self, _: usize, trial: &Trial, _: History<'_>, err: Option<&str>) {
        self.ended.push(trial.number);
        self.errors.extend(err.map(String::from));
    }
    fn note(&mut self, _: &str) {}
}

/// A search over the stand-in, with more keys and options of it.
fn written(keys: &str, options: &str) -> (Search, scarf_study::Command) {
    let file: SearchFile = toml::from_str(&text(keys, options)).unwrap();
    file.check("demo").unwrap()
}

fn text(keys: &str, options: &str) -> String {
    let trainer = program().path.with_file_name("fake_trainer");
    format!(
        "command = \"'{}' {{lr}} {options}\"\nmetric = 'loss=(\\S+)'\n{keys}\n[space]\nlr = {{ log = [1e-4, 1.0] }}\n",
        trainer.display()
    )
}

fn run(tuner: &Tuner<'_>, workers: usize, seen: &mut Seen) -> Result<Over, String> {
    tuner.run(workers, &AtomicBool::new(false), seen).map_err(|error| error.to_string())
}

#[test]
fn a_command_is_tuned_by_its_log_and_the_best_trials_files_are_kept() {
    let out = tempfile::tempdir().unwrap();
    let keys = "stop.trials = 24\nalso = { accuracy = 'accuracy=(\\S+)' }\ndollars_per_hour = 3.6";
    let (search, command) = written(keys, "--out {out}");
    let tuner = Tuner::command(&search, &command, out.path(), Keep::Best, LEASE).unwrap();
    let mut seen = Seen::default();
    assert_eq!(run(&tuner, 3, &mut seen), Ok(Over::Reason(Reason::Trials)));
    let trials = tuner.trials().unwrap();
    assert_eq!(trials.len(), 24);
    assert!(trials.iter().all(|trial| trial.state == TrialState::Complete && trial.intermediate.len() == 4));
    assert!(trials.iter().all(|trial| trial.seconds.is_some() && trial.metrics.contains_key("accuracy")));
    seen.begun.sort_unstable();
    seen.ended.sort_unstable();
    assert_eq!((seen.begun, seen.ended, seen.reports), ((0..24).collect(), (0..24).collect(), 96));
    let best = search.history(&trials).best().unwrap();
    let lr = best.params["lr"].as_f64().unwrap();
    assert!((lr.log10() + 2.0).abs() < 0.3, "{lr}");
    assert_eq!(best.value, Some((lr.log10() + 2.0).powi(2) + 0.25), "the last value counts");
    for trial in &trials {
        let kept = tuner.folder(trial).join("out/model.bin").is_file();
        assert_eq!(kept, trial.number == best.number, "trial {}", trial.number);
        assert!(tuner.folder(trial).join("log.txt").is_file());
    }

    let html = tune_page(&search, &tuner, Over::Reason(Reason::Trials), "scarf tune demo.toml").unwrap();
    for part in
        ["The best loss is", "What mattered", "parallel coordinates", "dollars spent", "loss against lr"]
    {
        assert!(html.contains(part), "the page lacks {part}");
    }
    for reach in ["http://", "https://", "@import", "url(", "fetch(", "<link", "<iframe"] {
        assert!(!html.contains(reach), "{reach}");
    }

    let mut again = Seen::default();
    assert_eq!(run(&tuner, 2, &mut again), Ok(Over::Reason(Reason::Trials)));
    assert_eq!(again.begun, [0; 0], "what is done is done");
}

/// Something that it started and left holds its output open.
#[cfg(unix)]
#[test]
fn a_trial_ends_with_its_command() {
    let out = tempfile::tempdir().unwrap();
    let trainer = program().path.with_file_name("fake_trainer");
    let (trainer, left) = (trainer.display(), out.path().join("left"));
    let text = format!(
        "command = \"sh -c \\\"(sleep 300; touch '{}') & '{trainer}' {{lr}}\\\"\"\nmetric = 'loss=(\\S+)'\n\
         stop.trials = 1\nspace.lr = 0.1",
        left.display()
    );
    let (search, command) = toml::from_str::<SearchFile>(&text).unwrap().check("demo").unwrap();
    let tuner = Tuner::command(&search, &command, out.path(), Keep::All, LEASE).unwrap();
    let begun = Instant::now();
    assert_eq!(run(&tuner, 1, &mut Seen::default()), Ok(Over::Reason(Reason::Trials)));
    assert!(begun.elapsed() < LEASE, "{:?}", begun.elapsed());
    let trials = tuner.trials().unwrap();
    assert_eq!((trials[0].state, trials[0].intermediate.len()), (TrialState::Complete, 4));
}

/// Python keeps back what it prints into a pipe, and its pruner with it, unless it is told not to.
#[cfg(unix)]
#[test]
fn a_command_is_told_not_to_keep_its_lines_back() {
    let out = tempfile::tempdir().unwrap();
    let text = "command = 'sh -c \"echo loss=$PYTHONUNBUFFERED {params}\"'\nmetric = 'loss=(\\S+) --lr 0.5$'\n\
                stop.trials = 1\nspace.lr = 0.5";
    let (search, command) = toml::from_str::<SearchFile>(text).unwrap().check("demo").unwrap();
    let tuner = Tuner::command(&search, &command, out.path(), Keep::All, LEASE).unwrap();
    assert_eq!(run(&tuner, 1, &mut Seen::default()), Ok(Over::Reason(Reason::Trials)));
    let told = std::env::var("PYTHONUNBUFFERED").unwrap_or_else(|_| "1".into());
    assert_eq!(tuner.trials().unwrap()[0].value, told.parse().ok());
}

#[test]
fn a_grid_ends_with_its_last_combination_at_the_latest() {
    let ends = |stop: &str| {
        let out = tempfile::tempdir().unwrap();
        let (search, command) = written(&format!("sampler = \"grid\"\n{stop}"), "");
        let tuner = Tuner::command(&search, &command, out.path(), Keep::All, LEASE).unwrap();
        let over = run(&tuner, 2, &mut Seen::default()).unwrap();
        (tuner.trials().unwrap().len(), over)
    };
    let whole = (5, Over::Reason(Reason::Combinations));
    assert_eq!([ends(""), ends("stop.trials = 8"), ends("stop.seconds = 900.0")], [whole; 3]);
    assert_eq!(ends("stop.trials = 3"), (3, Over::Reason(Reason::Trials)));
    assert_eq!(ends("stop.trials = 5"), (5, Over::Reason(Reason::Trials)));
}

#[test]
fn what_does_not_promise_is_stopped() {
    let out = tempfile::tempdir().unwrap();
    let keys = "pruner = \"median\"\nsampler = \"random\"\nstop.trials = 24";
    let (search, command) = written(keys, "--steps 20 --millis 5");
    let tuner = Tuner::command(&search, &command, out.path(), Keep::All, LEASE).unwrap();
    assert_eq!(run(&tuner, 2, &mut Seen::default()), Ok(Over::Reason(Reason::Trials)));
    let trials = tuner.trials().unwrap();
    let pruned: Vec<&Trial> = trials.iter().filter(|trial| trial.state == TrialState::Pruned).collect();
    assert!(pruned.iter().all(|trial| trial.value.is_some()));
    // One may fall behind at its very last report only.
    assert!(pruned.iter().any(|trial| trial.intermediate.len() < 20));
}

#[test]
fn a_search_builds_upon_earlier_ones() {
    let first = tempfile::tempdir().unwrap();
    let (search, command) = written("sampler = \"sobol\"\nstop.trials = 16", "");
    let tuner = Tuner::command(&search, &command, first.path(), Keep::All, LEASE).unwrap();
    run(&tuner, 2, &mut Seen::default()).unwrap();

    let warm = |folder: &Path, keys: &str| {
        let keys = format!("{keys}\nwarm_start = {{ kind = \"transfer\", from = [{:?}] }}", folder);
        SearchFile::check(toml::from_str(&text(&keys, "")).unwrap(), "second")
    };
    let second = tempfile::tempdir().unwrap();
    let (search, command) = warm(first.path(), "sampler = \"gp\"\nstop.trials = 1").unwrap();
    let tuner = Tuner::command(&search, &command, second.path(), Keep::All, LEASE).unwrap();
    run(&tuner, 1, &mut Seen::default()).unwrap();
    let lr = tuner.trials().unwrap()[0].params["lr"].as_f64().unwrap();
    assert!((lr.log10() + 2.0).abs() < 0.3, "its first trial is near the best: {lr}");

    let refused = |folder: &Path, keys: &str| warm(folder, keys).unwrap_err().to_string();
    let chained = refused(second.path(), "");
    assert!(chained.starts_with("warm_start: parent second: it was built upon others itself"), "{chained}");
    let upward = refused(first.path(), "direction = \"maximize\"");
    assert!(upward.contains("its objective is loss (Minimize), not loss (Maximize)"), "{upward}");
    let empty = tempfile::tempdir().unwrap();
    assert!(refused(empty.path(), "").ends_with("no NAME.journal is in this folder"));

    // What is gone on with is the same search, built upon the same ones.
    let (cold, command) = written("stop.trials = 2", "");
    let cold = Search { name: "second".into(), ..cold };
    let tuner = Tuner::command(&cold, &command, second.path(), Keep::All, LEASE).unwrap();
    let error = run(&tuner, 1, &mut Seen::default()).unwrap_err();
    assert!(error.ends_with("its warm_start is not the same; choose another folder with --out"), "{error}");
}

#[test]
fn a_target_ends_the_search() {
    let out = tempfile::tempdir().unwrap();
    let (search, command) = written("stop = { trials = 90, target = 0.3 }", "");
    let tuner = Tuner::command(&search, &command, out.path(), Keep::All, LEASE).unwrap();
    assert_eq!(run(&tuner, 1, &mut Seen::default()), Ok(Over::Reason(Reason::Target)));
    let trials = tuner.trials().unwrap();
    assert!(trials.len() < 90 && search.history(&trials).best().unwrap().value.unwrap() <= 0.3);
}

#[test]
fn what_goes_wrong_is_told() {
    let out = tempfile::tempdir().unwrap();
    let (search, command) = written("", "--fail");
    let tuner = Tuner::command(&search, &command, out.path(), Keep::All, LEASE).unwrap();
    let error = run(&tuner, 1, &mut Seen::default()).unwrap_err();
    let told = "the first 3 trials all failed, the last one so: exit status: 2 | there is no such file";
    assert_eq!(error, told);

    let (other, silent) = written("stop.trials = 9", "--silent");
    let tuner = Tuner::command(&other, &silent, out.path(), Keep::All, LEASE).unwrap();
    let error = run(&tuner, 1, &mut Seen::default()).unwrap_err();
    assert!(error.ends_with("its command is not the same; choose another folder with --out"), "{error}");
    let fresh = tempfile::tempdir().unwrap();
    let tuner = Tuner::command(&other, &silent, fresh.path(), Keep::All, LEASE).unwrap();
    let error = run(&tuner, 1, &mut Seen::default()).unwrap_err();
    assert!(error.ends_with("no line of its log matches the metric loss=(\\S+)"), "{error}");
}

#[test]
fn a_search_that_is_stopped_gives_its_trials_back_at_once() {
    let out = tempfile::tempdir().unwrap();
    let (search, command) = written("stop.trials = 4", "--steps 200 --millis 20");
    let tuner = Tuner::command(&search, &command, out.path(), Keep::All, LEASE).unwrap();
    let stop = AtomicBool::new(false);
    let over = std::thread::scope(|scope| {
        let running = scope.spawn(|| tuner.run(2, &stop, &mut Seen::default()));
        while tuner.trials().unwrap().iter().filter(|trial| !trial.intermediate.is_empty()).count() < 2 {
            std::thread::sleep(Duration::from_millis(10));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        running.join().unwrap()
    });
    assert_eq!(over.unwrap(), Over::Interrupted);
    let (shorter, command) = written("stop.trials = 4", "--steps 200 --millis 20");
    let again = Tuner::command(&shorter, &command, out.path(), Keep::All, LEASE).unwrap();
    let begun = Instant::now();
    let mut seen = Seen::default();
    assert_eq!(run(&again, 4, &mut seen), Ok(Over::Reason(Reason::Trials)));
    assert!(begun.elapsed() < LEASE, "the leases were given back");
    seen.begun.sort_unstable();
    assert_eq!(seen.begun, [0, 1, 2, 3], "two were taken up");
}

/// The search of the approach `tuned`, in a folder.
fn of_study(out: &Path, sampler: &str, check: impl Fn(&Tuner<'_>, &Search)) {
    let study = study(&STUDY.replace("sampler = \"random\"", sampler), &Given::default()).unwrap();
    let engine = Engine::new(&study, program(), out, &Given::default()).unwrap();
    let approach = study.approach("tuned").unwrap();
    let records = engine.prepare(approach, &mut Log::default()).unwrap();
    let search = Search::of(approach, approach.tune.as_ref().unwrap(), study.price.dollars_per_hour);
    let tuner = Tuner::runs(&search, &engine, approach, records, Keep::Best, LEASE).unwrap();
    check(&tuner, &search);
}

#[test]
fn a_studys_search_runs_what_it_begins_from_first_and_the_study_goes_on_with_its_trials() {
    let out = tempfile::tempdir().unwrap();
    of_study(out.path(), "sampler = \"random\"", |tuner, search| {
        let mut seen = Seen::default();
        assert_eq!(run(tuner, 1, &mut seen), Ok(Over::Reason(Reason::Trials)));
        assert_eq!((seen.ended.len(), seen.reports), (3, 9), "{:?}", seen.errors);
        let trials = tuner.trials().unwrap();
        let best = search.history(&trials).best().unwrap();
        assert!(trials.iter().all(|trial| trial.metrics.contains_key("val/ap")));
        assert!(trials.iter().all(|trial| trial.metrics.contains_key("train/loss")));
        for trial in &trials {
            let kept = tuner.folder(trial).join("checkpoint").is_dir();
            assert_eq!(kept, trial.number == best.number);
        }
        assert!(tuner.again(best).starts_with("[approach.tuned.recipe]\ntrain.optimizer.sgd.lr = "));
    });
    // The study finds the results where it would have put them, and lets them be.
    let results = || {
        let runs = std::fs::read_dir(out.path().join("runs")).unwrap();
        let results = runs.map(|run| run.unwrap().path().join("result.json"));
        let written = |file: &std::path::PathBuf| file.metadata().ok()?.modified().ok();
        results.filter_map(|file| Some((file.clone(), written(&file)?))).collect::<BTreeMap<_, _>>()
    };
    let before = results();
    assert_eq!(before.len(), 1 + 3, "what they begin from, and three trials");
    let study = study(STUDY, &Given::default()).unwrap();
    let mut log = Log::default();
    common::run(&study, out.path(), &mut log).unwrap();
    let after = results();
    assert!(before.iter().all(|(file, written)| after.get(file) == Some(written)));
    let lines = log.lines.iter().filter(|line| line.starts_with("epoch 1/3")).count();
    assert_eq!(lines, 2 + 2 + 2 + 1, "scratch, finetune, tuned, and one of broken: {:?}", log.lines);
}

#[test]
fn the_best_trial_keeps_its_model_though_another_was_the_same() {
    let out = tempfile::tempdir().unwrap();
    let text = STUDY
        .replace("{ log = [1e-3, 0.1] }", "{ choice = [0.05, 0.03] }")
        .replace("trials = 3, sampler", "trials = 4, sampler");
    let study = study(&text, &Given::default()).unwrap();
    let engine = Engine::new(&study, program(), out.path(), &Given::default()).unwrap();
    let approach = study.approach("tuned").unwrap();
    let records = engine.prepare(approach, &mut Log::default()).unwrap();
    let search = Search::of(approach, approach.tune.as_ref().unwrap(), 0.0);
    let tuner = Tuner::runs(&search, &engine, approach, records, Keep::Best, LEASE).unwrap();
    run(&tuner, 1, &mut Seen::default()).unwrap();
    let trials = tuner.trials().unwrap();
    let best = search.history(&trials).best().unwrap();
    let same = trials.iter().filter(|trial| trial.params == best.params).count();
    let kept = trials.iter().filter(|trial| tuner.folder(trial).join("checkpoint").is_dir()).count();
    assert_eq!((trials.len(), same, kept), (4, 3, 3));
}

#[test]
fn any_metric_of_a_run_can_be_the_objective() {
    let out = tempfile::tempdir().unwrap();
    let study = study(STUDY, &Given::default()).unwrap();
    let engine = Engine::new(&study, program(), out.path(), &Given::default()).unwrap();
    let approach = study.approach("tuned").unwrap();
    let records = engine.prepare(approach, &mut Log::default()).unwrap();
    let mut search = Search::of(approach, approach.tune.as_ref().unwrap(), 0.0);
    search.direction = scarf_hpo::Direction::Minimize;
    search.objective = "train/loss".into();
    let tuner = Tuner::runs(&search, &engine, approach, records.clone(), Keep::All, LEASE).unwrap();
    run(&tuner, 2, &mut Seen::default()).unwrap();
    let trials = tuner.trials().unwrap();
    let least =
        |trial: &Trial| trial.intermediate.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
    assert!(trials.iter().all(|trial| trial.value == Some(least(trial))));

    let other = Search { objective: "val/f1".into(), name: "other".into(), ..search.clone() };
    let tuner = Tuner::runs(&other, &engine, approach, records, Keep::All, LEASE).unwrap();
    let error = run(&tuner, 1, &mut Seen::default()).unwrap_err();
    assert!(error.contains("no epoch has val/f1; there are epoch, epochs, lr"), "{error}");
}
