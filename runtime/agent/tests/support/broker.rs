//! A real broker: Mosquitto on a free port of this machine.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::DEADLINE;

/// A running broker; it ends with this value.
pub struct Broker {
    child: Child,
    config: PathBuf,
    pub port: u16,
}

/// The broker's program, or a line that says why the test is skipped.
pub fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = places
        .map(|folder| folder.join("mosquitto"))
        .find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: mosquitto is not installed (apt-get install mosquitto)");
    }
    found
}

impl Broker {
    /// Starts a broker with its files in `folder`.
    pub fn start(folder: &Path) -> Option<Broker> {
        let program = program()?;
        let port = free_port();
        let config = folder.join("mosquitto.conf");
        let mut file = std::fs::File::create(&config).expect("a temporary folder is writable");
        writeln!(
            file,
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false"
        )
        .expect("writable");
        let child = spawn(&program, &config, port);
        Some(Broker {
            child,
            config,
            port,
        })
    }

    /// The agent's way of naming it.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Ends the broker as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it was killed");
    }

    /// Starts it again on the same port, without anything it knew.
    pub fn restart(&mut self) {
        let program = program().expect("it was there before");
        self.child = spawn(&program, &self.config, self.port);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(program: &Path, config: &Path, port: u16) -> Child {
    let mut child = Command::new(program)
        .arg("-c")
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("mosquitto starts");
    let end = Instant::now() + DEADLINE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if let Ok(Some(status)) = child.try_wait() {
            panic!("mosquitto ended at once: {status}");
        }
        assert!(Instant::now() < end, "mosquitto does not listen");
        // A listening socket gives no event to wait for.
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("it is bound").port()
}
