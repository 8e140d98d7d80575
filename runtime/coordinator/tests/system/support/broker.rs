//! Which broker a test runs against: the embedded one, or Mosquitto where it is installed.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::within;

/// A running Mosquitto that keeps nothing on disk.
pub struct Mosquitto {
    pub port: u16,
    program: PathBuf,
    config: PathBuf,
    child: Child,
}

impl Mosquitto {
    /// Starts one, or prints why not.
    pub async fn start(dir: &Path) -> Option<Mosquitto> {
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
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n");
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

    /// Starts it again on the same port; it remembers nothing.
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
