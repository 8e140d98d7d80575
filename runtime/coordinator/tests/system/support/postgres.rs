//! A PostgreSQL server of the test's own, where one is installed.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::within;

/// A running server with one empty database; it ends with this value.
pub struct Postgres {
    port: u16,
    _dir: TempDir,
    _child: Child,
}

/// Whom the server runs as: it refuses to be root.
struct Owner {
    uid: u32,
    gid: u32,
}

impl Postgres {
    /// Starts one, or prints why not.
    pub async fn start() -> Option<Postgres> {
        let Some(programs) = programs() else {
            eprintln!("skipped: PostgreSQL is not installed (apt install postgresql)");
            return None;
        };
        let owner = owner().await;
        let dir = TempDir::new().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        if let Some(owner) = &owner {
            for path in [dir.path(), &data] {
                std::os::unix::fs::chown(path, Some(owner.uid), Some(owner.gid)).unwrap();
            }
        }
        let mut init = command(&programs.join("initdb"), dir.path(), &owner);
        init.arg("-D").arg(&data);
        init.args(["-A", "trust", "-U", "sanderling", "--no-sync", "-E", "UTF8"]);
        let made = within("initdb ends", init.status()).await.unwrap();
        assert!(made.success(), "initdb: {made}");

        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let child = command(&programs.join("postgres"), dir.path(), &owner)
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-h", "127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .spawn()
            .expect("PostgreSQL starts");
        within("PostgreSQL answers", async {
            while !answers(&programs, port).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        Some(Postgres {
            port,
            _dir: dir,
            _child: child,
        })
    }

    /// The database.
    pub fn url(&self) -> String {
        format!("postgres://sanderling@127.0.0.1:{}/postgres", self.port)
    }
}

/// The folder of the server's programs: Debian keeps them out of the path.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter();
    let debian = versions.flatten().flatten().map(|v| v.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(debian)
        .find(|dir| dir.join("initdb").is_file() && dir.join("postgres").is_file())
}

/// The user that Debian makes for it, where the test runs as root.
async fn owner() -> Option<Owner> {
    let id = async |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().await.ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        text.trim().parse::<u32>().ok()
    };
    if id(&["-u"]).await != Some(0) {
        return None;
    }
    let (uid, gid) = (
        id(&["-u", "postgres"]).await?,
        id(&["-g", "postgres"]).await?,
    );
    Some(Owner { uid, gid })
}

fn command(program: &Path, folder: &Path, owner: &Option<Owner>) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    if let Some(owner) = owner {
        command.uid(owner.uid).gid(owner.gid);
    }
    command
}

async fn answers(programs: &Path, port: u16) -> bool {
    let ready = Command::new(programs.join("pg_isready"))
        .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
        .status()
        .await;
    match ready {
        Ok(status) => status.success(),
        Err(_) => TcpStream::connect(("127.0.0.1", port)).await.is_ok(),
    }
}
