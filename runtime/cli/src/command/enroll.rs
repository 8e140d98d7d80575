//! `sanderling enroll`: lets a robot talk to the broker, and takes that away again.

use crate::answer::Answer;
use crate::coordinator::{At, Coordinator, field, segment};
use crate::write;
use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  sanderling enroll robot-7 --group hall-2 --broker mqtts://fleet.local:8883
      makes a login and writes robot-7/: agent.toml, password, ca.pem and root. Copy the folder to
      the robot as /etc/sanderling and start: sanderling-agent --config /etc/sanderling/agent.toml
  sanderling enroll robot-7 --renew
  sanderling enroll robot-7 --revoke
  sanderling enroll --list
  sanderling enroll --mosquitto
      writes password, access and configuration files for Mosquitto into the coordinator's data directory

The coordinator asks for logins when it runs with --tls ADDRESS (or --logins, without TLS). A robot
may then write its own topics and read its own and its group's, and nothing else.";

/// Make a login at the broker for a robot, or take it away
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Enroll {
    #[command(flatten)]
    at: At,
    /// The robot's name
    #[arg(required_unless_present_any = ["mosquitto", "list"])]
    device: Option<String>,
    /// The group that it follows
    #[arg(long, default_value = "all")]
    group: String,
    /// Give it a new password and forget the old one
    #[arg(long, conflicts_with = "revoke")]
    renew: bool,
    /// Take its login away
    #[arg(long, conflicts_with_all = ["mosquitto", "list"])]
    revoke: bool,
    /// Show who has a login
    #[arg(long, conflicts_with_all = ["mosquitto", "device"])]
    list: bool,
    /// Write the files with which Mosquitto keeps the same rules
    #[arg(long, conflicts_with = "device")]
    mosquitto: bool,
    /// Where the robot's files are written [default: a folder of its name here]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Where they will stand on the robot
    #[arg(long, value_name = "DIR", default_value = "/etc/sanderling")]
    install_dir: PathBuf,
    /// Where the robot reaches the broker [default: as the coordinator names it]
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
}

impl Enroll {
    /// Asks the coordinator, and writes what the robot needs.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let coordinator = Coordinator::at(&self.at)?;
        match &self.device {
            Some(device) if self.revoke => revoke(&coordinator, device),
            Some(device) => self.enroll(&coordinator, device),
            None if self.mosquitto => mosquitto(&coordinator),
            None => list(&coordinator),
        }
    }

    fn enroll(&self, coordinator: &Coordinator, device: &str) -> anyhow::Result<Answer> {
        let folder = self.output.clone().unwrap_or_else(|| device.into());
        // Before the password is made: it is shown once.
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let password_file = folder.join("password");
        if password_file.exists() && !self.renew {
            bail!(
                "{} exists; name another --output, or give --renew to replace it",
                password_file.display()
            );
        }
        let path = format!("/v1/devices/{}/credentials", segment(device));
        let body = json!({ "group": self.group, "renew": self.renew });
        let made = coordinator.post_json(&path, &body)?;
        let password: String = field(&made, "password")?;
        let fleet: String = field(&made, "fleet")?;
        let named: String = field(&made, "broker")?;
        let ca: Option<String> = field(&made, "ca")?;
        let root: Option<String> = field(&made, "root")?;
        let enforced: Option<bool> = field(&made, "enforced")?;
        let broker = self.broker.clone().unwrap_or(named);
        let tls = broker.starts_with("mqtts://");
        secret(&password_file, &password)?;
        let mut config = format!(
            "device = {}\nfleet = {}\ngroup = {}\nbroker = {}\npassword-file = {}\n",
            quoted(device),
            quoted(&fleet),
            quoted(&self.group),
            quoted(&broker),
            quoted(&self.installed("password")),
        );
        let mut files = vec!["agent.toml", "password"];
        if let (Some(ca), true) = (&ca, tls) {
            write::replace(&folder.join("ca.pem"), ca.as_bytes())?;
            config.push_str(&format!("ca = {}\n", quoted(&self.installed("ca.pem"))));
            files.push("ca.pem");
        }
        if let Some(root) = &root {
            write::replace(&folder.join("root"), &bytes(root)?)?;
            config.push_str(&format!("root = {}\n", quoted(&self.installed("root"))));
            files.push("root");
        }
        write::replace(&folder.join("agent.toml"), config.as_bytes())?;
        let mut text = format!(
            "{device} of group {} may talk to {broker}\n{}: {}; copy it to the robot as {}\n",
            self.group,
            folder.display(),
            files.join(", "),
            self.install_dir.display(),
        );
        if tls && ca.is_none() {
            text.push_str("the coordinator has no certificate authority: add the broker's as ca.pem, and `ca` to agent.toml\n");
        }
        if enforced == Some(false) {
            text.push_str("this coordinator's broker takes anybody: start it with --tls ADDRESS, or --logins\n");
        }
        if root.is_none() {
            text.push_str("the fleet has no root: the robot will install what nobody signed (`sanderling keys init`)\n");
        }
        let json = json!({
            "device": device,
            "fleet": fleet,
            "group": self.group,
            "broker": broker,
            "folder": folder,
            "files": files,
            "enforced": enforced,
        });
        Ok(Answer::new(text, json))
    }

    fn installed(&self, name: &str) -> String {
        self.install_dir.join(name).display().to_string()
    }
}

fn revoke(coordinator: &Coordinator, device: &str) -> anyhow::Result<Answer> {
    let path = format!("/v1/devices/{}/credentials", segment(device));
    let answer = coordinator.delete(&path)?;
    let text = if field(&answer, "revoked")? {
        format!("{device} has no login any more\n")
    } else {
        format!("{device} had no login\n")
    };
    Ok(Answer::new(text, answer))
}

fn list(coordinator: &Coordinator) -> anyhow::Result<Answer> {
    let answer = coordinator.get("/v1/access", &[])?;
    let logins: Vec<Value> = field(&answer, "logins")?;
    let mut text = String::new();
    for login in &logins {
        let user: String = field(login, "user")?;
        let group: Option<String> = field(login, "group")?;
        text.push_str(&match group {
            Some(group) => format!("{user}  group {group}\n"),
            None => format!("{user}  coordinator\n"),
        });
    }
    if logins.is_empty() {
        text.push_str("nobody is enrolled\n");
    }
    Ok(Answer::new(text, answer))
}

fn mosquitto(coordinator: &Coordinator) -> anyhow::Result<Answer> {
    let answer = coordinator.post_json("/v1/access/mosquitto", &json!({}))?;
    let folder: String = field(&answer, "folder")?;
    let user: String = field(&answer, "user")?;
    let files: Vec<String> = field(&answer, "files")?;
    let text = format!(
        "{folder}: {}\n\
         chown it to Mosquitto's user, include mosquitto.conf, and start the coordinator with\n  \
         --broker-url mqtts://{user}@HOST:8883 --broker-ca {folder}/ca.pem --broker-password-file {folder}/coordinator.password\n\
         the files follow each enroll and revoke; Mosquitto reads them again on SIGHUP\n",
        files.join(", ")
    );
    Ok(Answer::new(text, answer))
}

/// Writes a file that only its owner can read.
fn secret(path: &Path, text: &str) -> anyhow::Result<()> {
    let context = || format!("cannot write {}", path.display());
    let beside = path.with_extension("part");
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .with_context(context)?;
    writeln!(file, "{text}").with_context(context)?;
    file.sync_all().with_context(context)?;
    fs::rename(&beside, path).with_context(context)
}

/// A TOML string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn bytes(hex: &str) -> anyhow::Result<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).map(|d| d as u8);
    let pairs = hex.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect();
    bytes.context("the coordinator's root is no hex; do versions match?")
}
