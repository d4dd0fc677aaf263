//! The journal under load, under fire, and before the real Optuna.

use scarf_hpo::{
    AnySampler, Ask, Direction, Domain, Journal, JournalError, Outcome, Parameter, Random, Sampler, Space,
    TrialState, Value,
};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

fn space() -> Space {
    Space::new(vec![
        Parameter::new("lr", Domain::log(1e-4, 1e-1)),
        Parameter::new("momentum", Domain::reverse_log(0.5, 0.999)).when("optimizer", "sgd"),
        Parameter::new("optimizer", Domain::choice(["sgd", "adam"])),
        Parameter::new("batch", Domain::int_log(8, 64)),
        Parameter::new("layers", Domain::int(1, 4)),
        Parameter::new("flip", Domain::choice([true, false])),
        Parameter::new("epochs", Domain::Static(Value::Int(30))),
    ])
    .unwrap()
}

fn open(path: &Path, lease: Duration) -> Journal {
    Journal::open(path, "search", space(), Direction::Maximize, lease).unwrap()
}

fn run(ask: Ask) -> scarf_hpo::Task {
    match ask {
        Ask::Run(task) => task,
        other => panic!("expected a trial, got {other:?}"),
    }
}

#[test]
fn what_is_told_is_read_by_another_worker() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/journal.log");
    let mut one = open(&path, Duration::from_secs(60));
    let mut two = open(&path, Duration::from_secs(60));
    let sampler = AnySampler::default();
    let first = run(one.ask(&sampler, 1, Some(3)).unwrap());
    let second = run(two.ask(&sampler, 1, Some(3)).unwrap());
    let third = run(two.ask(&sampler, 1, Some(3)).unwrap());
    assert_eq!((first.number, second.number, third.number), (0, 1, 2));
    assert_eq!(first.params, sampler.suggest(&space(), scarf_hpo::History::empty(Direction::Maximize), 1, 0));
    assert_eq!(one.ask(&sampler, 1, Some(3)).unwrap(), Ask::Wait);
    one.report(0, 1, 0.25).unwrap();
    one.report(0, 2, f64::NAN).unwrap();
    let outcome = Outcome {
        value: Some(0.5),
        seconds: Some(12.5),
        // The time's name is no other metric's.
        metrics: vec![("loss".into(), 1.5), ("seconds".into(), 99.0)],
        ..Outcome::default()
    };
    one.tell(0, &outcome).unwrap();
    two.report(1, 1, 0.125).unwrap();
    two.tell(1, &Outcome { pruned: true, ..Outcome::default() }).unwrap();
    two.tell(2, &Outcome { value: Some(f64::NAN), ..Outcome::default() }).unwrap();
    assert_eq!(one.ask(&sampler, 1, Some(3)).unwrap(), Ask::Done);
    assert_eq!(
        format!("{:?}", one.trials()),
        format!("{:?}", {
            two.sync().unwrap();
            two.trials()
        })
    );
    let trials = one.trials();
    assert_eq!(trials[0].state, TrialState::Complete);
    assert_eq!((trials[0].value, trials[0].seconds, trials[0].metrics["loss"]), (Some(0.5), Some(12.5), 1.5));
    assert_eq!(trials[0].params, first.params);
    assert_eq!(trials[0].intermediate[0], (1, 0.25));
    assert!(trials[0].intermediate[1].1.is_nan());
    assert_eq!((trials[1].state, trials[1].value), (TrialState::Pruned, Some(0.125)));
    assert_eq!((trials[2].state, trials[2].value), (TrialState::Failed, None));
    // A look from outside writes nothing, whether there is something or not.
    let before = std::fs::read(&path).unwrap();
    assert_eq!(format!("{:?}", Journal::read(&path, "search").unwrap()), format!("{trials:?}"));
    let error = Journal::read(&path, "other").unwrap_err().to_string();
    assert!(error.ends_with("journal.log: there is no search other in it"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_trial_whose_worker_is_silent_is_taken_up_and_its_old_worker_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.log");
    let [mut one, mut two] = [(); 2].map(|()| open(&path, LEASE));
    let task = run(one.ask(&Random {}, 0, Some(1)).unwrap());
    assert_eq!(two.ask(&Random {}, 0, Some(1)).unwrap(), Ask::Wait);
    let alive = one.keep_alive(0).unwrap();
    std::thread::sleep(2 * LEASE);
    assert_eq!(two.ask(&Random {}, 0, Some(1)).unwrap(), Ask::Wait, "heartbeats keep the lease");
    drop(alive);
    std::thread::sleep(2 * LEASE);
    let again = run(two.ask(&Random {}, 0, Some(1)).unwrap());
    assert_eq!((again.number, &again.params, again.resumed), (0, &task.params, true));
    let late = one.tell(0, &Outcome { value: Some(1.0), ..Outcome::default() });
    assert!(matches!(late, Err(JournalError::LeaseLost { number: 0 })), "{late:?}");
    assert!(matches!(one.report(0, 1, 1.0), Err(JournalError::LeaseLost { .. })));
    two.tell(0, &Outcome { value: Some(2.0), ..Outcome::default() }).unwrap();
    assert!(two.tell(0, &Outcome::default()).is_err(), "an end is told once");
    assert_eq!(two.trials()[0].value, Some(2.0));
}

#[test]
fn a_search_that_is_deleted_ends_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.log");
    let mut journal = open(&path, Duration::MAX);
    let sampler = AnySampler::default();
    let task = run(journal.ask(&sampler, 1, None).unwrap());
    let other = run(open(&path, Duration::MAX).ask(&sampler, 1, None).unwrap());
    assert_eq!((task.number, other.number, other.resumed), (0, 1, false), "a lease without end");
    let metrics = vec![("loss".into(), f64::INFINITY), ("gap".into(), f64::NAN)];
    journal.tell(0, &Outcome { value: Some(0.5), metrics, ..Outcome::default() }).unwrap();
    let told = &journal.trials()[0].metrics;
    assert!(told["loss"] == f64::INFINITY && told["gap"].is_nan(), "{told:?}");

    // As Optuna's dashboard does it.
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    writeln!(file, r#"{{"op_code": 1, "worker_id": "dashboard", "study_id": 0}}"#).unwrap();
    let error = journal.ask(&sampler, 1, None).unwrap_err();
    assert!(matches!(&error, JournalError::Deleted { name, .. } if name == "search"), "{error}");
}

#[test]
fn what_is_no_journal_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.log");
    drop(open(&path, Duration::from_secs(1)));
    let other = Journal::open(&path, "search", space(), Direction::Minimize, Duration::from_secs(1));
    assert!(matches!(other, Err(JournalError::Direction { .. })));
    assert!(Journal::open(&path, "second", space(), Direction::Minimize, Duration::from_secs(1)).is_ok());
    std::fs::write(&path, "{\"op_code\":0,\"study_name\":\"a\",\"directions\":[1]}\nlr,loss\n").unwrap();
    let error = Journal::open(&path, "a", space(), Direction::Minimize, Duration::from_secs(1)).unwrap_err();
    assert!(error.to_string().contains("journal.log, line 2: expected value"), "{error}");
    std::fs::write(&path, "{\"op_code\":6,\"trial_id\":0,\"state\":9}\n{\"op_code\":4}\n").unwrap();
    let error = Journal::open(&path, "a", space(), Direction::Minimize, Duration::from_secs(1)).unwrap_err();
    assert!(error.to_string().contains("line 2: no study_id"), "{error}");
}

const JOURNAL: &str = "SCARF_HPO_TEST_JOURNAL";
const MOST: &str = "SCARF_HPO_TEST_TRIALS";
const LEASE: Duration = Duration::from_millis(1500);

/// Not a test of its own: what the worker processes of the next test run.
#[test]
fn worker_process() {
    let Some(path) = std::env::var_os(JOURNAL) else { return };
    let most = std::env::var(MOST).unwrap().parse().unwrap();
    let mut journal = open(Path::new(&path), LEASE);
    loop {
        match journal.ask(&Random {}, 5, Some(most)).unwrap() {
            Ask::Done => return,
            Ask::Wait => std::thread::sleep(Duration::from_millis(20)),
            Ask::Run(task) => {
                let value = task.params["lr"].as_f64().unwrap();
                // A trial takes a moment, so that the kill finds one at work.
                std::thread::sleep(Duration::from_millis(3));
                let told = journal.report(task.number, 1, value).and_then(|()| {
                    journal.tell(task.number, &Outcome { value: Some(value), ..Outcome::default() })
                });
                assert!(matches!(told, Ok(()) | Err(JournalError::LeaseLost { .. })), "{told:?}");
            }
        }
    }
}

fn spawn(path: &Path, most: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["worker_process", "--exact", "--nocapture", "-q"])
        .env(JOURNAL, path)
        .env(MOST, most.to_string())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// Eight workers, one of which is killed at random moments: each trial is finished once, none is lost. The number of
/// trials is SCARF_HPO_TRIALS, 300 where it is not set.
#[test]
fn workers_that_are_killed_lose_nothing() {
    let most: u64 = std::env::var("SCARF_HPO_TRIALS").map_or(300, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.log");
    // The first trial is the watcher's own: until it is told, no worker is done, however fast the machine.
    let mut watcher = open(&path, Duration::from_secs(3600));
    let own = run(watcher.ask(&Random {}, 5, Some(most)).unwrap());
    let mut workers: Vec<Child> = (0..8).map(|_| spawn(&path, most)).collect();
    let (mut random, mut killed, begin) = (12345_u64, 0, Instant::now());
    loop {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(10 + (random >> 33) % 120));
        watcher.sync().unwrap();
        let finished = watcher.trials().iter().filter(|trial| trial.state.is_finished()).count() as u64;
        if finished >= most - 1 && killed >= 8 {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(300), "{finished} of {most} after five minutes");
        let victim = &mut workers[(random >> 20) as usize % 8];
        assert!(victim.try_wait().unwrap().is_none(), "a worker ended before the last trial was told");
        victim.kill().unwrap();
        victim.wait().unwrap();
        killed += 1;
        *victim = spawn(&path, most);
    }
    let value = own.params["lr"].as_f64();
    watcher.report(own.number, 1, value.unwrap()).unwrap();
    watcher.tell(own.number, &Outcome { value, ..Outcome::default() }).unwrap();
    for worker in &mut workers {
        assert!(worker.wait().unwrap().success());
    }
    check_records(&path, most);
    watcher.sync().unwrap();
    let numbers: Vec<u64> = watcher.trials().iter().map(|trial| trial.number).collect();
    assert_eq!(numbers, (0..most).collect::<Vec<_>>());
    for trial in watcher.trials() {
        let expected = Random {}.suggest(&space(), watcher.history(), 5, trial.number);
        assert_eq!((trial.state, &trial.params), (TrialState::Complete, &expected));
        assert_eq!(trial.value, expected["lr"].as_f64());
    }
    println!("{most} trials, {killed} workers killed, {:.1} s", begin.elapsed().as_secs_f64());
    let script = format!(
        "assert len(study.trials) == {most}\nassert all(t.state.name == 'COMPLETE' for t in study.trials)"
    );
    optuna(&path, &script);
}

/// Every line is a record of its own, and each trial was finished by exactly one.
fn check_records(path: &Path, most: u64) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'));
    let mut ends: BTreeMap<u64, u32> = BTreeMap::new();
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        if record["op_code"] == 6 {
            *ends.entry(record["trial_id"].as_u64().unwrap()).or_default() += 1;
        }
    }
    assert_eq!(ends.len() as u64, most);
    assert!(ends.values().all(|count| *count == 1), "{ends:?}");
}

/// Runs a script on the journal in the Python of SCARF_PYTHON with Optuna 5; `study` is the search.
fn optuna(path: &Path, script: &str) {
    let Some(python) = std::env::var_os("SCARF_PYTHON").map(PathBuf::from) else {
        eprintln!("not compared with Optuna: SCARF_PYTHON is not set");
        return;
    };
    let opening = format!(
        "import optuna, math\nfrom optuna.storages import JournalStorage\n\
         from optuna.storages.journal import JournalFileBackend\noptuna.logging.set_verbosity(optuna.logging.ERROR)\n\
         assert optuna.__version__.startswith('5.')\n\
         storage = JournalStorage(JournalFileBackend({path:?}))\n\
         study = optuna.load_study(study_name='search', storage=storage)\n{script}\n"
    );
    let done = Command::new(python).args(["-c", &opening]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn optuna_reads_the_journal_and_goes_on_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.log");
    let mut journal = open(&path, Duration::from_secs(60));
    for number in 0..12 {
        let task = run(journal.ask(&AnySampler::default(), 3, None).unwrap());
        journal.report(number, 1, 0.5).unwrap();
        let nan = if number == 2 { f64::NAN } else { 1.0 };
        journal.report(number, 2, nan).unwrap();
        let value = -task.params["lr"].as_f64().unwrap();
        let outcome = match number {
            3 => Outcome { pruned: true, ..Outcome::default() },
            4 => Outcome::default(),
            5 => continue,
            _ => Outcome {
                value: Some(value),
                seconds: Some(2.5),
                metrics: vec![("loss".into(), 0.5)],
                pruned: false,
            },
        };
        journal.tell(number, &outcome).unwrap();
    }
    let best = journal.history().best().unwrap().clone();
    optuna(
        &path,
        &format!(
            "states = [t.state.name for t in study.trials]\n\
             assert len(states) == 12 and states[3] == 'PRUNED' and states[4] == 'FAIL' and states[5] == 'RUNNING', states\n\
             assert study.direction.name == 'MAXIMIZE'\n\
             assert study.best_trial.number == {} and study.best_value == {}\n\
             t = study.trials[0]\n\
             assert t.params['lr'] == {} and t.params['batch'] == {} and t.params['optimizer'] == '{}', t.params\n\
             assert t.params['flip'] is {} and t.params['epochs'] == 30\n\
             assert t.intermediate_values == {{1: 0.5, 2: 1.0}} and t.user_attrs == {{'seconds': 2.5, 'loss': 0.5}}\n\
             assert math.isnan(study.trials[2].intermediate_values[2])\n\
             assert t.duration.total_seconds() >= 0\n\
             study.sampler = optuna.samplers.RandomSampler(seed=1)\n\
             study.optimize(lambda trial: -trial.suggest_float('lr', 1e-4, 1e-1, log=True), n_trials=3)\n\
             trial = study.ask(); trial.report(float('nan'), 1); trial.report(float('inf'), 2); study.tell(trial, state=optuna.trial.TrialState.FAIL)",
            best.number,
            best.value.unwrap(),
            journal.trials()[0].params["lr"],
            journal.trials()[0].params["batch"],
            journal.trials()[0].params["optimizer"],
            if journal.trials()[0].params["flip"] == Value::Bool(true) { "True" } else { "False" },
        ),
    );
    if std::env::var_os("SCARF_PYTHON").is_some() {
        journal.sync().unwrap();
        assert_eq!(journal.trials().len(), 16);
        assert_eq!(journal.trials()[13].state, TrialState::Complete);
        assert!(journal.trials()[13].params["lr"].as_f64().is_some());
        assert_eq!(journal.trials()[15].intermediate[1], (2, f64::INFINITY));
        assert_eq!(run(journal.ask(&Random {}, 0, None).unwrap()).number, 16);
    }
}
