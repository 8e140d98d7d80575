//! A Python that has ONNX Runtime: where it is, and the program that runs a model in it.

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What the program is, and the part of it that it shares with the oracle of the tests.
const PROGRAM: [(&str, &str); 2] = [
    ("onnx_runtime.py", include_str!("onnx_runtime.py")),
    (
        "kernels.py",
        include_str!("../../../../../models/zoo/kernels.py"),
    ),
];

/// What a Python must be able to import.
const MODULES: &str = "import numpy, onnx, onnxruntime";

/// Longest that a Python may take to say whether it has them.
const ASKING: Duration = Duration::from_secs(60);

/// What the program says at its end.
#[derive(Deserialize)]
pub struct Report {
    pub onnxruntime: String,
    pub python: String,
    pub numpy: String,
    pub processor: String,
    /// The real value of one step of each output that has one.
    pub steps: BTreeMap<String, Option<f64>>,
    pub settings: Vec<Setting>,
}

/// How ONNX Runtime did under one of its settings.
#[derive(Deserialize)]
pub struct Setting {
    /// The name of the file with its answers.
    pub name: String,
    pub options: BTreeMap<String, String>,
    /// Why there are no answers.
    pub error: Option<String>,
    /// Whether each kernel that was run computes exactly on this processor, in integers, in the types of the model.
    pub exact: bool,
    /// Kinds of kernels that were found to saturate, and how many nodes run on each.
    pub saturating: BTreeMap<String, u64>,
    /// What is left in float arithmetic.
    pub float_operators: Vec<String>,
    /// What computes on uint8 where the model says int8, and rounds ties in another way then.
    pub int8_as_uint8: Vec<String>,
}

/// A Python that imports what is needed: the one that was asked for, or the first of those that are tried.
pub fn find(asked: Option<&Path>) -> anyhow::Result<PathBuf> {
    let candidates = match asked {
        Some(path) => vec![path.to_owned()],
        None => candidates(),
    };
    let mut tried = Vec::new();
    for python in candidates {
        match lacks(&python) {
            None => return Ok(python),
            Some(why) => tried.push(format!("{} ({why})", python.display())),
        }
    }
    bail!(
        "no Python here runs ONNX Runtime; tried: {}. Make one with `python3 -m venv ort && ort/bin/pip install onnxruntime==1.32.0 onnx numpy` and give it as --python ort/bin/python",
        tried.join(", ")
    )
}

/// `SANDERLING_PYTHON`, the environment that `cargo xtask setup` makes, and the system's.
fn candidates() -> Vec<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    let made = cache.map(|cache| cache.join("sanderling/venv/bin/python"));
    let named = env::var_os("SANDERLING_PYTHON").map(PathBuf::from);
    [
        named,
        made.filter(|path| path.is_file()),
        Some("python3".into()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What a Python lacks, in its own words; `None` where it has everything.
fn lacks(python: &Path) -> Option<String> {
    let mut asked = Command::new(python);
    asked.args(["-c", MODULES]);
    match finish(asked, Instant::now() + ASKING, |_| ()) {
        Ok(Finished { success: true, .. }) => None,
        Ok(finished) => Some(finished.last_words()),
        Err(error) => Some(format!("{error:#}")),
    }
}

/// Runs the model of `folder`'s request under every setting; their answers are in the folder then. `begun` is told the name of
/// each setting when it begins.
pub fn run(
    python: &Path,
    folder: &Path,
    deadline: Duration,
    mut begun: impl FnMut(&str),
) -> anyhow::Result<Report> {
    for (name, text) in PROGRAM {
        fs::write(folder.join(name), text)
            .with_context(|| format!("cannot write into {}", folder.display()))?;
    }
    let mut command = Command::new(python);
    command.arg(folder.join(PROGRAM[0].0)).arg(folder);
    let mut report = None;
    let finished = finish(command, Instant::now() + deadline, |line| {
        match serde_json::from_str(line) {
            Ok(Said::Setting(name)) => begun(&name),
            Ok(Said::Report(said)) => report = Some(said),
            // Libraries print what they like.
            Err(_) => {}
        }
    })
    .with_context(|| format!("ONNX Runtime in {}", python.display()))?;
    report.filter(|_| finished.success).ok_or_else(|| {
        let words = finished.last_words();
        anyhow!("ONNX Runtime in {} failed: {words}", python.display())
    })
}

/// A line that the program prints.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    Setting(String),
    Report(Report),
}

struct Finished {
    success: bool,
    errors: String,
}

impl Finished {
    /// The last line on standard error, which is where Python names an exception.
    fn last_words(&self) -> String {
        let mut lines = self.errors.lines().filter(|line| !line.trim().is_empty());
        lines
            .next_back()
            .unwrap_or("it said nothing")
            .trim()
            .to_owned()
    }
}

/// Runs a command to its end, or ends it when the time is over; each line that it prints goes to `line`.
fn finish(
    mut command: Command,
    until: Instant,
    mut line: impl FnMut(&str),
) -> anyhow::Result<Finished> {
    let mut child = command
        .env("ORT_DISABLE_TELEMETRY", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| anyhow!("cannot start: {error}"))?;
    let (sender, lines) = channel();
    let stdout = child.stdout.take().context("no standard output")?;
    thread::spawn(move || {
        for text in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(text).is_err() {
                break;
            }
        }
    });
    let mut stderr = child.stderr.take().context("no standard error")?;
    let errors = thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read until an error is still worth showing.
        let _ = stderr.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(text) => line(&text),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                // A child that ended by itself in this moment is as good as ended.
                let _ = child.kill();
                child.wait()?;
                bail!(
                    "took too long and was ended; give it fewer frames, or more time with --deadline"
                );
            }
        }
    }
    let status = child.wait()?;
    let errors = errors.join().unwrap_or_default();
    Ok(Finished {
        success: status.success(),
        errors,
    })
}
