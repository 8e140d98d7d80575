//! Mosquitto, with the files that the coordinator wrote for it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::robot::within;

/// A running Mosquitto; it ends with this value.
pub struct Mosquitto {
    pub port: u16,
    child: Child,
}

impl Mosquitto {
    /// Has it read its files again.
    pub fn read_again(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(sent.expect("there is kill").success());
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it on a free port, or prints why not.
pub async fn start(folder: &Path) -> Option<Mosquitto> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|place| place.join("mosquitto"))
        .find(|program| program.is_file());
    let Some(program) = program else {
        println!("skipped: mosquitto is not installed (apt-get install mosquitto)");
        return None;
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    drop(listener);
    let written = std::fs::read_to_string(folder.join("mosquitto.conf")).expect("written");
    let listens = format!("listener {port} 127.0.0.1");
    let config = written.replace("listener 8883", &listens);
    assert!(config.contains(&listens), "{written}");
    // Started as root it would become a user that cannot read the files of this test.
    let config = format!("user root\n{config}");
    let file = folder.join("test.conf");
    std::fs::write(&file, config).expect("writable");
    let child = Command::new(program)
        .arg("-c")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("mosquitto starts");
    let mosquitto = Mosquitto { port, child };
    within("mosquitto listens", async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    Some(mosquitto)
}
