//! The real optuna-dashboard shows our journal: its server is started on one, and its trials are compared with ours.

use scarf_hpo::{
    AnySampler, Ask, Direction, Domain, Journal, Outcome, Parameter, Space, Trial, TrialState, Value,
};
use serde_json::Value as Json;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Dashboard {
    child: Child,
    port: u16,
}

impl Dashboard {
    /// Starts the server of the Python in SCARF_PYTHON on a journal, and waits until it answers.
    fn start(journal: &Path) -> Option<Self> {
        let Some(python) = std::env::var_os("SCARF_PYTHON") else {
            eprintln!("not shown by optuna-dashboard: SCARF_PYTHON is not set");
            return None;
        };
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let child = Command::new(python)
            .args(["-c", "from optuna_dashboard._cli import main; main()"])
            .arg(journal)
            .args(["--host", "127.0.0.1", "--server", "wsgiref", "--quiet", "--port", &port.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut dashboard = Self { child, port };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = dashboard.child.try_wait().unwrap();
            assert!(ended.is_none(), "optuna-dashboard has ended: {ended:?}; pip install optuna-dashboard?");
            assert!(begun.elapsed() < Duration::from_secs(60), "optuna-dashboard does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(dashboard)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Json {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 20"), "{method} {path}: {head}\n{body}");
        serde_json::from_str(body).unwrap_or_default()
    }

    /// The trials of the first search.
    fn trials(&self) -> Vec<Json> {
        self.ask("GET", "/api/studies/0", "")["trials"].as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn journal(path: &Path) -> Journal {
    let space = Space::new(vec![
        Parameter::new("lr", Domain::log(1e-4, 1e-1)),
        Parameter::new("optimizer", Domain::choice(["sgd", "adam"])),
        Parameter::new("momentum", Domain::reverse_log(0.5, 0.999)).when("optimizer", "sgd"),
        Parameter::new("layers", Domain::int(1, 4)),
        Parameter::new("flip", Domain::choice([true, false])),
    ]);
    Journal::open(path, "search", space.unwrap(), Direction::Maximize, Duration::from_secs(60)).unwrap()
}

/// Trial after trial: complete, but for the third, which is pruned, the fourth, which fails, and the fifth, which goes on.
fn search(journal: &mut Journal, trials: u64) {
    for _ in 0..trials {
        let Ask::Run(task) = journal.ask(&AnySampler::default(), 3, None).unwrap() else { panic!("no task") };
        let value = -task.params["lr"].as_f64().unwrap();
        journal.report(task.number, 1, 2.0 * value).unwrap();
        journal.report(task.number, 2, value).unwrap();
        let outcome = match task.number {
            2 => Outcome { pruned: true, ..Outcome::default() },
            3 => Outcome::default(),
            4 => continue,
            _ => Outcome {
                value: Some(value),
                seconds: Some(2.5),
                metrics: vec![("loss".into(), 0.5)],
                pruned: false,
            },
        };
        journal.tell(task.number, &outcome).unwrap();
    }
}

/// One trial there is one trial here.
fn compare(shown: &Json, trial: &Trial) {
    let state = match trial.state {
        TrialState::Complete => "Complete",
        TrialState::Pruned => "Pruned",
        TrialState::Failed => "Fail",
        _ => "Running",
    };
    assert_eq!((shown["number"].as_u64(), shown["state"].as_str()), (Some(trial.number), Some(state)));
    assert_eq!(shown["values"][0].as_f64(), trial.value, "{shown}");
    let params = shown["params"].as_array().unwrap();
    assert_eq!(params.len(), trial.params.len());
    for param in params {
        let ours = match &trial.params[param["name"].as_str().unwrap()] {
            Value::Bool(yes) => (if *yes { "True" } else { "False" }).to_string(),
            other => other.to_string(),
        };
        let shown = param["param_external_value"].as_str().unwrap();
        let equal = |a: f64| shown.parse::<f64>().is_ok_and(|b| a == b);
        assert!(shown == ours || ours.parse().is_ok_and(equal), "{param} is not {ours}");
    }
    let steps: Vec<(u64, f64)> = shown["intermediate_values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| (each["step"].as_u64().unwrap(), each["value"].as_f64().unwrap()))
        .collect();
    assert_eq!(steps, trial.intermediate);
    let attributes = shown["user_attrs"].as_array().unwrap();
    let attribute = |name: &str| {
        let found = attributes.iter().find(|each| each["key"] == name)?;
        found["value"].as_str()?.parse::<f64>().ok()
    };
    assert_eq!(
        (attribute("seconds"), attribute("loss")),
        (trial.seconds, trial.metrics.get("loss").copied())
    );
}

#[test]
fn the_dashboard_shows_our_trials_and_we_read_what_it_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.log");
    let mut journal = journal(&path);
    search(&mut journal, 8);
    let Some(dashboard) = Dashboard::start(&path) else { return };
    let studies = dashboard.ask("GET", "/api/studies", "");
    let study = &studies["study_summaries"][0];
    assert_eq!((study["study_name"].as_str(), &study["directions"][0]), (Some("search"), &"maximize".into()));
    let shown = dashboard.trials();
    assert_eq!(shown.len(), 8);
    shown.iter().zip(journal.trials()).for_each(|(shown, trial)| compare(shown, trial));

    // While it is open the search goes on; it looks again after ten seconds.
    search(&mut journal, 4);
    std::thread::sleep(Duration::from_secs(11));
    let shown = dashboard.trials();
    assert_eq!(shown.len(), 12);
    shown.iter().zip(journal.trials()).for_each(|(shown, trial)| compare(shown, trial));

    let note = r##"{"version": 1, "body": "# looked at"}"##;
    dashboard.ask("PUT", "/api/studies/0/5/note", note);
    journal.sync().unwrap();
    assert_eq!(journal.trials().len(), 12, "its note is of no concern to us");
    search(&mut journal, 1);
    assert!(std::fs::read_to_string(&path).unwrap().contains("looked at"));
}
