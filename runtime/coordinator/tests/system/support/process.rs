//! A coordinator as a process of its own, with its data in a directory of its own.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{http, within};

pub struct Coordinator {
    pub http: String,
    pub mqtt: String,
    dir: TempDir,
    args: Vec<String>,
    child: Child,
}

impl Coordinator {
    /// With its embedded broker, on free ports.
    pub async fn start() -> Coordinator {
        Coordinator::start_with(&[]).await
    }

    /// With more arguments, such as `--broker-url URL`.
    pub async fn start_with(args: &[&str]) -> Coordinator {
        let dir = TempDir::new().unwrap();
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        let (child, ready) = launch(&mut command(dir.path(), &args), dir.path()).await;
        let (http, mqtt) = addresses(&ready);
        Coordinator {
            http,
            mqtt,
            dir,
            args,
            child,
        }
    }

    /// With limits of the shell, such as `ulimit -n 256`, set before it starts.
    pub async fn start_under(limits: &str, args: &[&str]) -> Coordinator {
        let dir = TempDir::new().unwrap();
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        let plain = command(dir.path(), &args);
        let mut limited = Command::new("sh");
        limited
            .args(["-c", &format!("{limits}; exec \"$0\" \"$@\"")])
            .arg(plain.as_std().get_program())
            .args(plain.as_std().get_args());
        let (child, ready) = launch(quiet(&mut limited, dir.path()), dir.path()).await;
        let (http, mqtt) = addresses(&ready);
        Coordinator {
            http,
            mqtt,
            dir,
            args,
            child,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// As on a disk that fills up: no file can grow beyond so many KiB, until the next restart.
    pub async fn start_on_small_disk(kib: u32) -> Coordinator {
        let dir = TempDir::new().unwrap();
        // An ignored signal stays ignored in the program, so that a write fails instead of killing it.
        let script = "trap '' XFSZ; ulimit -S -f \"$0\"; exec \"$@\"";
        let plain = command(dir.path(), &[]);
        let mut limited = Command::new("sh");
        limited
            .args(["-c", script, &(kib * 2).to_string()])
            .arg(plain.as_std().get_program())
            .args(plain.as_std().get_args());
        let (child, ready) = launch(quiet(&mut limited, dir.path()), dir.path()).await;
        let (http, mqtt) = addresses(&ready);
        Coordinator {
            http,
            mqtt,
            dir,
            args: Vec::new(),
            child,
        }
    }

    /// Lets files grow again in the running process; false where this system has no tool for it.
    pub async fn make_room(&self) -> bool {
        let pid = self.child.id().expect("it runs").to_string();
        let done = Command::new("prlimit")
            .args(["--pid", &pid, "--fsize=unlimited:"])
            .status()
            .await;
        done.is_ok_and(|status| status.success())
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// SIGKILL: it has no chance to put anything in order.
    pub async fn kill(&mut self) {
        within("the coordinator dies", self.child.kill())
            .await
            .unwrap();
    }

    /// Starts it again with the same data; it comes back on the same ports.
    pub async fn restart(&mut self) {
        let (child, ready) =
            launch(&mut command(self.dir.path(), &self.args), self.dir.path()).await;
        self.child = child;
        assert_eq!(addresses(&ready), (self.http.clone(), self.mqtt.clone()));
    }

    /// SIGTERM, and waits for its end.
    pub async fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
        within("the coordinator ends", self.child.wait())
            .await
            .unwrap()
    }

    pub async fn get(&self, path: &str) -> Value {
        http::get(&self.http, path).await
    }

    pub async fn request(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        http::request(&self.http, method, path, body).await
    }

    /// Registers a plan; gives its digest.
    pub async fn register(&self, name: &str, version: u32, plan: &[u8]) -> String {
        let path = format!("/v1/models?name={name}&version={version}");
        let (status, body) = self.request("POST", &path, plan).await;
        assert_eq!(status, 201, "{body}");
        body["artifact"]["digest"].as_str().unwrap().to_owned()
    }

    /// Sets what a group should run; gives the serial.
    pub async fn push(&self, group: &str, model: &str, version: u32) -> u64 {
        let body = serde_json::json!({"model": model, "version": version, "chunk_size": 4096});
        let path = format!("/v1/groups/{group}/desired");
        let (status, body) = self
            .request("PUT", &path, body.to_string().as_bytes())
            .await;
        assert_eq!(status, 200, "{body}");
        body["serial"].as_u64().unwrap()
    }

    /// Waits, event by event, until `done` holds for a device.
    pub async fn until_device(&self, name: &str, done: impl Fn(&Value) -> bool) -> Value {
        within(&format!("{name} comes so far"), async {
            let mut after = 0;
            loop {
                let (status, device) = self
                    .request("GET", &format!("/v1/devices/{name}"), b"")
                    .await;
                if status == 200 && done(&device) {
                    return device;
                }
                let events = self
                    .get(&format!("/v1/events?after={after}&wait_s=1"))
                    .await;
                after = events["next"].as_i64().unwrap();
            }
        })
        .await
    }

    /// How many results were counted in all.
    pub async fn counted(&self) -> u64 {
        self.get("/v1/results/summary").await["total"]["frames"]
            .as_u64()
            .unwrap()
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the coordinator's log ---\n{}", self.log());
        }
    }
}

fn addresses(ready: &Value) -> (String, String) {
    let text = |key: &str| ready[key].as_str().expect(key).to_owned();
    (text("http"), text("mqtt"))
}

/// The program, ready to start with these arguments.
pub fn command(dir: &Path, args: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sanderling-coordinator"));
    command
        .args(["--http", "127.0.0.1:0", "--log", "debug", "--data-dir"])
        .arg(dir.join("data"))
        .args(args);
    if !args.iter().any(|a| a == "--broker-url" || a == "--mqtt") {
        command.args(["--mqtt", "127.0.0.1:0"]);
    }
    quiet(&mut command, dir);
    command
}

/// Away from the test's own environment and output, and gone when the test is.
fn quiet<'c>(command: &'c mut Command, dir: &Path) -> &'c mut Command {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .unwrap();
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(log))
        .kill_on_drop(true)
}

async fn launch(command: &mut Command, dir: &Path) -> (Child, Value) {
    let mut child = command.spawn().expect("the coordinator starts");
    let stdout = child.stdout.take().expect("its output is piped");
    let mut lines = BufReader::new(stdout).lines();
    let line = within("the coordinator is ready", lines.next_line())
        .await
        .unwrap();
    let Some(line) = line else {
        let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
        panic!("the coordinator ended before it was ready:\n{log}");
    };
    (
        child,
        serde_json::from_str(&line).expect("the ready line is JSON"),
    )
}
