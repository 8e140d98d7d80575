//! Child processes that cannot outlive their welcome.
//!
//! Every child is the leader of a process group of its own and has a deadline. The
//! whole group is ended by number: when its leader ends, when the deadline passes,
//! when the handle is dropped (a panic included), and when the task is interrupted.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::terminal::say;

/// Leaders of the groups that are running now.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// How often a long silence is broken by a line that says what is being waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ends every child group when the task is interrupted or asked to stop. Children do
/// not get the terminal's Ctrl-C themselves, for they are groups of their own.
pub fn end_children_on_interrupt() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]) else {
        return;
    };
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let running = RUNNING
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            for id in running {
                end_group(id, Signal::KILL);
            }
            std::process::exit(128 + signal);
        }
    });
}

fn end_group(leader: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        // A group that is gone already is what was wanted.
        let _ = kill_process_group(pid, signal);
    }
}

/// A program to run, with its deadline.
pub struct Job {
    what: String,
    command: Command,
    deadline: Duration,
    echo: Option<fn(&str) -> bool>,
    log: Option<PathBuf>,
}

/// What a finished child left behind.
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Everything it wrote to standard output.
    pub stdout: Vec<u8>,
    /// Everything it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl Finished {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The last lines of what it said, for an error message.
    pub fn last_words(&self, lines: usize) -> String {
        let all = [
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(&self.stderr),
        ]
        .join("\n");
        let said: Vec<&str> = all.lines().filter(|l| !l.trim().is_empty()).collect();
        said[said.len().saturating_sub(lines)..].join("\n")
    }
}

impl Job {
    /// `program`, called `what` in messages. The deadline is a minute until set.
    pub fn new(what: impl Into<String>, program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).process_group(0);
        Job {
            what: what.into(),
            command,
            deadline: Duration::from_secs(60),
            echo: None,
            log: None,
        }
    }

    /// Cargo, as the user started this task, in `folder`.
    pub fn cargo(what: impl Into<String>, folder: &Path) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        // What `cargo run` set for this program's own package is no business of the child's.
        Job::new(what, cargo)
            .folder(folder)
            .without("CARGO_MANIFEST_DIR")
            .without("CARGO_PKG_NAME")
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, arguments: I) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives it these environment variables and none of this program's.
    pub fn with_environment(
        mut self,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        self.command.env_clear().envs(variables);
        self
    }

    /// Takes an environment variable away.
    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Sets the working directory.
    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Feeds it a file as standard input.
    pub fn input(mut self, path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        self.command.stdin(file);
        Ok(self)
    }

    /// Sets the deadline in seconds.
    pub fn deadline(mut self, seconds: u64) -> Self {
        self.deadline = Duration::from_secs(seconds);
        self
    }

    /// Shows the lines that `wanted` picks while the child runs.
    pub fn echo(mut self, wanted: fn(&str) -> bool) -> Self {
        self.echo = Some(wanted);
        self
    }

    /// Also writes everything it says to a file.
    pub fn log(mut self, path: &Path) -> Self {
        self.log = Some(path.to_path_buf());
        self
    }

    /// Runs it to its end with its output on the terminal; an error unless it succeeds.
    pub fn run(self) -> anyhow::Result<()> {
        let what = self.what.clone();
        let finished = self.echo(|_| true).finish()?;
        if !finished.status.success() {
            bail!("{what} failed ({})", finished.status);
        }
        Ok(())
    }

    /// Runs it to its end and gives what it said; an error with its last words unless it succeeds.
    pub fn output(self) -> anyhow::Result<Finished> {
        let what = self.what.clone();
        let finished = self.finish()?;
        if !finished.status.success() {
            bail!(
                "{what} failed ({}):\n{}",
                finished.status,
                finished.last_words(30)
            );
        }
        Ok(finished)
    }

    /// Runs it to its end, however it ends; an error only when it cannot start or
    /// misses its deadline.
    pub fn finish(self) -> anyhow::Result<Finished> {
        let (echo, deadline) = (self.echo, self.deadline);
        let log = match &self.log {
            Some(path) => Some(
                File::create(path).with_context(|| format!("cannot write {}", path.display()))?,
            ),
            None => None,
        };
        let mut running = self.start(Stdio::piped(), Stdio::piped())?;
        let log = std::sync::Arc::new(Mutex::new(log));
        let readers = [running.stdout.take(), running.stderr.take()].map(|pipe| {
            let log = std::sync::Arc::clone(&log);
            pipe.map(|pipe| thread::spawn(move || collect(pipe, echo, &log)))
        });
        let status = running.wait_until(Instant::now() + deadline)?;
        let [stdout, stderr] = readers.map(|reader| {
            reader
                .and_then(|thread| thread.join().ok())
                .unwrap_or_default()
        });
        Ok(Finished {
            status,
            stdout,
            stderr,
        })
    }

    /// Starts it in the background, all it says in a file. Dropping the handle ends it and
    /// everything it started.
    pub fn spawn(self, log: &Path) -> anyhow::Result<Running> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let again = file.try_clone().context("cannot share a log file")?;
        self.start(file.into(), again.into())
    }

    /// Like [`spawn`](Self::spawn), with its standard output left to [`Running::first_line`].
    pub fn spawn_that_says_when_ready(self, log: &Path) -> anyhow::Result<Running> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        self.start(Stdio::piped(), file.into())
    }

    fn start(mut self, stdout: Stdio, stderr: Stdio) -> anyhow::Result<Running> {
        let program = self.command.get_program().to_string_lossy().into_owned();
        let mut child = self
            .command
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .with_context(|| {
                format!(
                    "cannot start {program} for {}; `cargo xtask setup` installs what is needed",
                    self.what
                )
            })?;
        let id = child.id();
        RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id);
        let stdout = child
            .stdout
            .take()
            .map(|p| Box::new(p) as Box<dyn Read + Send>);
        let stderr = child
            .stderr
            .take()
            .map(|p| Box::new(p) as Box<dyn Read + Send>);
        let (sender, ended) = channel();
        thread::spawn(move || {
            // The leader is left unreaped while its group is ended: until it is reaped, the
            // number cannot be given to anyone else.
            if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
                let _ = waitid(
                    WaitId::Pid(pid),
                    WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
                );
            }
            end_group(id, Signal::KILL);
            RUNNING
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&id);
            let status = child.wait();
            // Nobody listens any more when the handle was dropped.
            let _ = sender.send(status);
        });
        Ok(Running {
            what: self.what,
            id,
            ended,
            status: None,
            stdout,
            stderr,
        })
    }
}

/// Reads a pipe to its end, line by line, into memory, the log and the terminal.
fn collect(
    pipe: Box<dyn Read + Send>,
    echo: Option<fn(&str) -> bool>,
    log: &Mutex<Option<File>>,
) -> Vec<u8> {
    let mut reader = BufReader::new(pipe);
    let mut all = Vec::new();
    loop {
        let start = all.len();
        match reader.read_until(b'\n', &mut all) {
            Ok(0) | Err(_) => return all,
            Ok(_) => {}
        }
        let line = all.get(start..).unwrap_or_default();
        if let Some(file) = log.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            // The log is a convenience; a full disk shows elsewhere.
            let _ = file.write_all(line);
        }
        if let Some(wanted) = echo {
            let text = String::from_utf8_lossy(line);
            let text = text.trim_end();
            if wanted(text) {
                println!("          {text}");
            }
        }
    }
}

/// A child in the background.
pub struct Running {
    what: String,
    id: u32,
    ended: Receiver<std::io::Result<ExitStatus>>,
    status: Option<ExitStatus>,
    stdout: Option<Box<dyn Read + Send>>,
    stderr: Option<Box<dyn Read + Send>>,
}

impl Running {
    /// The first line that it prints, within `seconds`. What it prints after that is dropped.
    pub fn first_line(&mut self, seconds: u64) -> anyhow::Result<String> {
        let pipe = self
            .stdout
            .take()
            .with_context(|| format!("{}: its output was taken already", self.what))?;
        let (sender, line) = channel();
        thread::spawn(move || {
            let mut reader = BufReader::new(pipe);
            let mut first = String::new();
            let read = reader.read_line(&mut first).map(|_| first);
            // Nobody listens any more after the deadline; reading goes on so that the child never blocks.
            let _ = sender.send(read);
            let _ = std::io::copy(&mut reader, &mut std::io::sink());
        });
        match line.recv_timeout(Duration::from_secs(seconds)) {
            Ok(Ok(line)) if !line.is_empty() => Ok(line),
            Ok(_) => bail!("{} ended before it was ready", self.what),
            Err(_) => bail!("{} was not ready within {seconds} s", self.what),
        }
    }

    /// How it ended; `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.ended.try_recv().ok().and_then(Result::ok);
        }
        self.status
    }

    /// Asks it to stop, and ends it when it has not after `grace`.
    pub fn stop(&mut self, grace: Duration) -> anyhow::Result<ExitStatus> {
        if self.ended().is_none() {
            end_group(self.id, Signal::TERM);
        }
        self.wait_until(Instant::now() + grace)
    }

    fn wait_until(&mut self, until: Instant) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let started = Instant::now();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.ended.recv_timeout(left.min(PATIENCE)) {
                Ok(status) => {
                    let status =
                        status.with_context(|| format!("cannot wait for {}", self.what))?;
                    self.status = Some(status);
                    return Ok(status);
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => {
                    say(format!(
                        "... {} ({:.0} s so far)",
                        self.what,
                        started.elapsed().as_secs_f64()
                    ));
                }
                Err(_) => {
                    end_group(self.id, Signal::KILL);
                    bail!(
                        "{} missed its deadline of {} s and was ended",
                        self.what,
                        started.elapsed().as_secs()
                    );
                }
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended().is_none() {
            end_group(self.id, Signal::KILL);
        }
    }
}
