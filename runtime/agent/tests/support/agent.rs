//! A real agent process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::DEADLINE;

/// An agent; it is killed with this value.
pub struct Agent {
    pub child: Child,
    status: PathBuf,
    log: PathBuf,
}

/// How agents are started in a test.
pub struct Start {
    pub folder: PathBuf,
    pub device: String,
    pub arguments: Vec<String>,
}

impl Start {
    /// Agents named `device` with their state below `folder`.
    pub fn new(folder: &Path, device: &str, broker: &str) -> Start {
        let arguments = [
            "--broker",
            broker,
            "--device",
            device,
            "--health-seconds",
            "1",
        ];
        Start {
            folder: folder.to_path_buf(),
            device: device.into(),
            arguments: arguments.map(String::from).to_vec(),
        }
    }

    /// Adds arguments, separated by spaces.
    pub fn with(mut self, arguments: &str) -> Start {
        self.arguments
            .extend(arguments.split_whitespace().map(String::from));
        self
    }

    /// Adds one argument with a path.
    pub fn with_path(mut self, flag: &str, path: &Path) -> Start {
        self.arguments.push(flag.into());
        self.arguments.push(path.display().to_string());
        self
    }

    /// Where its state is.
    pub fn state_dir(&self) -> PathBuf {
        self.folder.join(&self.device)
    }

    /// The command, ready to start.
    pub fn command(&self) -> Command {
        let mut command = program();
        command
            .args(&self.arguments)
            .arg("--state-dir")
            .arg(self.state_dir())
            .arg("--status-file")
            .arg(self.folder.join(format!("{}.json", self.device)))
            .env_clear()
            .stdin(Stdio::null());
        command
    }

    /// Starts an agent. Its log goes on where an earlier one's ended.
    pub fn spawn(&self) -> Agent {
        self.spawn_command(self.command())
    }

    /// Starts a command made by [`Start::command`].
    pub fn spawn_command(&self, mut command: Command) -> Agent {
        let log = self.folder.join(format!("{}.log", self.device));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("writable");
        let child = command.stderr(file).spawn().expect("the agent starts");
        let status = self.folder.join(format!("{}.json", self.device));
        Agent { child, status, log }
    }
}

/// The agent's program, behind the emulator that `SANDERLING_EMULATOR` names where it was
/// built for another processor.
fn program() -> Command {
    let program = env!("CARGO_BIN_EXE_sanderling-agent");
    let emulator = std::env::var("SANDERLING_EMULATOR").unwrap_or_default();
    let mut words = emulator.split_whitespace();
    let Some(first) = words.next() else {
        return Command::new(program);
    };
    let mut command = Command::new(first);
    command.args(words).arg(program);
    command
}

impl Agent {
    /// Waits until the status of this very process satisfies `wanted`.
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + DEADLINE;
        loop {
            let status = self.status();
            if let Some(status) = status.as_ref().filter(|status| wanted(status)) {
                return status.clone();
            }
            if let Ok(Some(exit)) = self.child.try_wait() {
                panic!("the agent ended ({exit}) before {what}\n{}", self.log());
            }
            assert!(
                Instant::now() < end,
                "no {what}: {status:?}\n{}",
                self.log()
            );
            // The status file is replaced by a rename, which std cannot wait for.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The status as it stands, if it is this process's.
    pub fn status(&self) -> Option<Value> {
        let text = std::fs::read(&self.status).ok()?;
        let status: Value =
            serde_json::from_slice(&text).expect("the status file is whole at every moment");
        (status["pid"] == self.child.id()).then_some(status)
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it was killed");
    }

    /// Asks it to end, and waits.
    pub fn terminate(&mut self) -> ExitStatus {
        let kill = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        assert!(kill.expect("kill is everywhere").success());
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status;
            }
            assert!(
                Instant::now() < end,
                "the agent does not end\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Everything that was said in this test by this agent.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the agent said:\n{}", self.log());
        }
    }
}
