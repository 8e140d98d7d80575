//! Which broker a test runs against: the embedded one, or Mosquitto where it is installed.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::within;

/// A running Mosquitto that keeps nothing on disk, unless it is told to.
pub struct Mosquitto {
    pub port: u16,
    program: PathBuf,
    config: PathBuf,
    child: Child,
}

impl Mosquitto {
    /// Starts one, or prints why not.
    pub async fn start(dir: &Path) -> Option<Mosquitto> {
        Mosquitto::start_with(dir, "persistence false\n").await
    }

    /// One that keeps retained messages in `dir`.
    pub async fn start_with_memory(dir: &Path) -> Option<Mosquitto> {
        let more = format!(
            "user root\npersistence true\npersistence_location {}/\n",
            dir.display()
        );
        Mosquitto::start_with(dir, &more).await
    }

    /// With more lines of its configuration.
    pub async fn start_with(dir: &Path, more: &str) -> Option<Mosquitto> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path)
            .chain([PathBuf::from("/usr/sbin")])
            .map(|dir| dir.join("mosquitto"))
            .find(|program| program.is_file());
        let Some(program) = program else {
            eprintln!("skipped: mosquitto is not installed (apt install mosquitto)");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = dir.join("mosquitto.conf");
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\n{more}");
        std::fs::write(&config, text).unwrap();
        let child = spawn(&program, &config);
        let mosquitto = Mosquitto {
            port,
            program,
            config,
            child,
        };
        mosquitto.reachable().await;
        Some(mosquitto)
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Kills it and waits until it is gone.
    pub async fn kill(&mut self) {
        within("mosquitto dies", self.child.kill()).await.unwrap();
    }

    /// Has it write to disk what it keeps, and waits until it has.
    pub async fn save(&self) {
        let saved = self.config.with_file_name("mosquitto.db");
        let before = std::fs::metadata(&saved)
            .and_then(|file| file.modified())
            .ok();
        self.signal("-USR1").await;
        within("mosquitto writes down what it keeps", async {
            let now = || {
                std::fs::metadata(&saved)
                    .and_then(|file| file.modified())
                    .ok()
            };
            while now() == before {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    async fn signal(&self, signal: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().await;
        assert!(sent.expect("kill is everywhere").success());
    }

    /// Starts it again on the same port.
    pub async fn restart(&mut self) {
        self.child = spawn(&self.program, &self.config);
        self.reachable().await;
    }

    async fn reachable(&self) {
        within("mosquitto listens", async {
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

fn spawn(program: &Path, config: &Path) -> Child {
    Command::new(program)
        .arg("-c")
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("mosquitto starts")
}
