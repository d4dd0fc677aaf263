//! The program that does the runs, known by its contract alone.

use crate::Error;
use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// The program that does the runs, known by this contract alone.
///
/// `PROGRAM check --settings FILE.json [--data] [--device DEVICE]` fails where the settings are wrong, and says on stderr what is,
/// with the key. The checkpoint that a run begins from need not be there yet. With `--data` it fails where the labels are wrong,
/// too, and may print `{"fingerprint": TEXT}` on stdout: what tells the data from others under the same settings. A run whose
/// `result.json` has another is not to be compared.
///
/// `PROGRAM run --settings FILE.json --out DIR [--device DEVICE]` does a run. Its standard input is a locked file of
/// the engine's, to be left alone; what it prints on stderr is shown line by line, and goes with stdout into
/// `DIR/log.txt`; stderr closes when the engine is killed. Called again with the same DIR it goes on where it was. It
/// writes into DIR
/// - `metrics.jsonl`, a JSON object a line and epoch: `epoch` (from 1), `epochs`, `seconds` (of training so far) and any
///   numbers more; those named `train/...`, `val/...` and `lr` are drawn as curves;
/// - `checkpoint/`, or whatever it begins other runs from: they are given DIR;
/// - `predictions/test.json`, if the page is to show pictures: `{"classes": [..], "images": [{"name", "width",
///   "height", "jpeg": base64 or a file beside it, "ground_truth": [{"class", "box": [x1, y1, x2, y2]}],
///   "detections": [{"class", "score", "box"}]}], "failures": [..]}`, the latter with the images that have the most
///   mistakes, and how many: `missed` objects and `wrong` detections;
/// - `predictions/PART.coco.json` and `predictions/PART.truth.json` for each part of `score`, what was found on its images
///   and what is there, as COCO's results and instances: claims are judged by those of `test`, and errors told apart;
///   ablations by those of `val`;
/// - `result.json` last, and whole or not at all: see [`RunResult`](crate::RunResult).
///
/// An exit status other than 0 is a failure, told by the last lines of stderr; ending by SIGINT or SIGTERM is an
/// interruption of the study.
///
/// The settings are `{"id", "approach", "seed", "data": {..}, "recipe": {..}, "init": null | {"checkpoint": DIR} |
/// {"weights": FILE or [FILE, ..]}, "score": ["val"] or ["val", "test"], "data_dir": path or null, "weights_dir": path
/// or null}`; paths are absolute.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// What it is to run on; its own choice, where left out.
    pub device: Option<String>,
    /// How many threads a run may use (RAYON_NUM_THREADS); its own choice, where left out.
    pub threads: Option<usize>,
}

/// What `check` prints.
#[derive(Deserialize)]
struct Told {
    fingerprint: Option<String>,
}

impl Program {
    /// Asks whether settings are right; the `data`, too, and for their fingerprint, which not every program tells.
    ///
    /// # Errors
    /// What the program says is wrong with them, as the inner one; that it cannot be started, as the outer.
    pub(crate) fn check(&self, settings: &Path, data: bool) -> Result<Result<Option<String>, String>, Error> {
        let mut command = Command::new(&self.path);
        command.arg("check").arg("--settings").arg(settings).args(data.then_some("--data"));
        if let Some(device) = &self.device {
            command.arg("--device").arg(device);
        }
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|source| Error::Program { path: self.path.clone(), source })?;
        if output.status.success() {
            let told: Option<Told> = serde_json::from_slice(&output.stdout).ok();
            return Ok(Ok(told.and_then(|told| told.fingerprint)));
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
        Ok(Err(if said.is_empty() { output.status.to_string() } else { said }))
    }

    /// Starts a run in its folder.
    pub(crate) fn start(&self, settings: &Path, folder: &Path, lock: File) -> Result<Running, Error> {
        let mut command = Command::new(&self.path);
        command.arg("run").arg("--settings").arg(settings).arg("--out").arg(folder);
        if let Some(device) = &self.device {
            command.arg("--device").arg(device);
        }
        if let Some(threads) = self.threads {
            command.env("RAYON_NUM_THREADS", threads.to_string());
        }
        Running::start(command, folder, lock, Heard::Stderr)
    }
}

/// What of a child is told line by line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// What it prints on stderr; stdout goes into the log alone.
    Stderr,
    /// Both. The child is a stranger, which may start others: it leads a process group, to be ended as one.
    Both,
}

/// A child that is going on.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    log: File,
    heard: Heard,
    /// When it was seen that it has ended, where something else still holds its output open.
    over: Option<Instant>,
}

impl Running {
    /// Starts a child; all that it prints goes into `folder/log.txt`. It keeps `lock` open as its standard input: the
    /// lock lasts as long as it lives, even where whoever started it is killed.
    pub(crate) fn start(
        mut command: Command,
        folder: &Path,
        lock: File,
        heard: Heard,
    ) -> Result<Self, Error> {
        let log_path = folder.join("log.txt");
        let log = File::options().create(true).append(true).open(&log_path);
        let log = log.map_err(Error::io(&log_path, "cannot be written"))?;
        command.stdin(Stdio::from(lock)).stderr(Stdio::piped());
        match heard {
            Heard::Stderr => {
                let out = log.try_clone().map_err(Error::io(&log_path, "cannot be written"))?;
                command.stdout(Stdio::from(out));
            }
            Heard::Both => {
                command.stdout(Stdio::piped());
                #[cfg(unix)]
                std::os::unix::process::CommandExt::process_group(&mut command, 0);
            }
        }
        let mut child = command.spawn().map_err(|source| {
            let path = PathBuf::from(command.get_program());
            Error::Program { path, source }
        })?;
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            read_lines(stdout, sender.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            read_lines(stderr, sender);
        }
        Ok(Self { child, lines, log, heard, over: None })
    }
}

/// Sends each line as it comes, from a thread of its own.
fn read_lines(from: impl std::io::Read + Send + 'static, to: Sender<String>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut bytes = Vec::new();
        // Bytes, not text: a program may die in the middle of a character.
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end().to_string();
            bytes.clear();
            if to.send(line).is_err() {
                break;
            }
        }
    });
}

/// How long a stranger has to end by itself.
const GRACE: Duration = Duration::from_secs(5);

/// How long the output of a child is listened to after its end, where what it left behind holds that open.
const LINGER: Duration = Duration::from_secs(1);

/// What became of the child so far.
pub(crate) enum Step {
    /// It printed this; the log has it.
    Line(String),
    /// Nothing happened for the given time.
    Quiet,
    /// It ended, and all that it printed has been told.
    Ended(ExitStatus),
}

impl Running {
    /// Waits for the next thing to happen, or for `patience`.
    pub(crate) fn step(&mut self, patience: Duration) -> std::io::Result<Step> {
        use std::sync::mpsc::RecvTimeoutError;
        match self.lines.recv_timeout(patience) {
            Ok(line) => {
                // A full disk must not end a run that could go on.
                let _ = writeln!(self.log, "{line}");
                Ok(Step::Line(line))
            }
            Err(RecvTimeoutError::Timeout) => match self.child.try_wait()? {
                Some(status) if self.over.get_or_insert_with(Instant::now).elapsed() > LINGER => {
                    #[cfg(unix)]
                    if self.heard == Heard::Both {
                        self.signal_group("TERM");
                    }
                    Ok(Step::Ended(status))
                }
                _ => Ok(Step::Quiet),
            },
            Err(RecvTimeoutError::Disconnected) => self.child.wait().map(Step::Ended),
        }
    }

    /// Ends it. A stranger is asked first (SIGTERM), and has some seconds to do as it is told; what it started and
    /// left is ended, too.
    pub(crate) fn kill(&mut self) {
        #[cfg(unix)]
        if self.heard == Heard::Both {
            self.signal_group("TERM");
            let begun = Instant::now();
            while begun.elapsed() < GRACE && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(20));
            }
            self.signal_group("KILL");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The shell's own `kill` knows groups; the standard library does not.
    #[cfg(unix)]
    fn signal_group(&self, signal: &str) {
        let kill = format!("kill -{signal} -{}", self.child.id());
        let _ = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status();
    }
}

/// How a child ended, for people; `None` where somebody at the keyboard, or the system going down, ended it.
pub(crate) fn told(status: ExitStatus) -> Option<String> {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        const SIGINT: i32 = 2;
        const SIGTERM: i32 = 15;
        if matches!(status.signal(), Some(SIGINT | SIGTERM)) {
            return None;
        }
    }
    Some(status.to_string())
}
