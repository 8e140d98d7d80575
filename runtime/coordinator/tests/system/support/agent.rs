//! Real agents beside the coordinator: their program stands where the coordinator's does when the whole workspace was
//! built. Elsewhere a test says so and passes.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};

use super::frames::holdout;
use super::plan::classifier;
use super::within;
use sanderling_plan::Target;

/// How an agent is started.
#[derive(Clone)]
pub struct Start {
    pub dir: PathBuf,
    /// Its state; by default a folder of the device's name.
    pub state: PathBuf,
    args: Vec<String>,
    time: Option<String>,
}

/// The agent's program, or a line that says why the test is skipped.
fn program() -> Option<PathBuf> {
    let program =
        Path::new(env!("CARGO_BIN_EXE_sanderling-coordinator")).with_file_name("sanderling-agent");
    if !program.exists() {
        println!("skipped: no agent at {}", program.display());
        return None;
    }
    Some(program)
}

/// Whether clocks can be shifted here, or a line that says that the test is skipped.
pub fn can_shift_clocks() -> bool {
    let found = Path::new("/usr/bin/faketime").exists();
    if !found {
        println!("skipped: faketime is not installed (apt install faketime)");
    }
    found
}

impl Start {
    /// An agent with a model of its own in `dir`; none where there is no program.
    pub fn new(dir: &Path, device: &str, broker: &str) -> Option<Start> {
        program()?;
        let model = dir.join("model.plan");
        std::fs::write(&model, classifier(Target::Generic, &[5])).unwrap();
        let args = [
            "--broker",
            broker,
            "--fleet",
            "main",
            "--device",
            device,
            "--health-seconds",
            "1",
            "--resend-seconds",
            "2",
            "--trial-inferences",
            "5",
            "--trial-seconds",
            "0.3",
            "--model",
            model.to_str().unwrap(),
        ];
        Some(Start {
            dir: dir.to_owned(),
            state: dir.join(device),
            args: args.map(str::to_owned).to_vec(),
            time: None,
        })
    }

    /// With more arguments, separated by spaces.
    pub fn with(mut self, more: &str) -> Start {
        self.args.extend(more.split_whitespace().map(str::to_owned));
        self
    }

    /// Answers so many frames at `rate` a second (0: as fast as it can), and ends when all of them are confirmed.
    pub fn frames(self, count: usize, rate: u32) -> Start {
        let frames = self.dir.join(format!("frames-{count}.npz"));
        std::fs::write(&frames, holdout(&[("all", 5, count)])).unwrap();
        let source = format!(
            "--source {} --rate {rate} --queue-policy block --exit-at-end",
            frames.display()
        );
        self.with(&source)
    }

    /// With its state elsewhere.
    pub fn state(mut self, name: &str) -> Start {
        self.state = self.dir.join(name);
        self
    }

    /// With a clock that shows this, as `faketime` reads it.
    pub fn at(mut self, time: &str) -> Start {
        self.time = Some(time.to_owned());
        self
    }

    pub fn spawn(&self) -> Agent {
        let program = program().expect("it was there before");
        let mut command = match &self.time {
            None => Command::new(program),
            Some(time) => {
                let mut command = Command::new("/usr/bin/faketime");
                command.arg("-f").arg(time).arg(program);
                command
            }
        };
        let log = self.state.with_extension("log");
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let child = command
            .args(&self.args)
            .arg("--state-dir")
            .arg(&self.state)
            .arg("--status-file")
            .arg(self.state.with_extension("json"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(file))
            .kill_on_drop(true)
            .spawn()
            .expect("the agent starts");
        Agent { child, log }
    }
}

/// A running agent, killed with this value.
pub struct Agent {
    child: Child,
    log: PathBuf,
}

impl Agent {
    /// Waits for its end.
    pub async fn end(&mut self) -> ExitStatus {
        within("the agent ends", self.child.wait()).await.unwrap()
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        within("the agent dies", self.child.kill()).await.unwrap();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the agent's log ---\n{}", self.log());
        }
    }
}
