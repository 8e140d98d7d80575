//! The same board as the fleet sees it: a coordinator with keys and logins, a Linux board's agent that speaks for it,
//! and models that are signed, registered, and pushed to its group.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::demo::api::{Api, Device};
use crate::demo::cast::{self, Programs};
use crate::firmware::Board;
use crate::process::{Job, Running};
use crate::terminal::say;

/// The board's name and group, as its firmware says them, and the agent's.
const BOARD: &str = "mcu-1";
const GROUP: &str = "arms";
const AGENT: &str = "pi-1";
/// Bytes of the file that is the board's flash.
const FLASH_BYTES: usize = 16 << 20;
/// Seconds that QEMU may take to say where its UART is.
const READY: u64 = 30;
/// Seconds that anything in the fleet may take.
const PATIENCE: u64 = 120;

/// Who takes part.
pub struct Stage<'a> {
    /// The three programs.
    pub programs: &'a Programs,
    /// For everything that is written.
    pub folder: &'a Path,
    /// The board under QEMU.
    pub board: &'a Board,
    /// Builds the firmware that believes this root, and says where it is.
    pub image: &'a dyn Fn(&Path) -> anyhow::Result<PathBuf>,
    /// The plans of versions 1 and 2.
    pub plans: &'a [PathBuf; 2],
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is no UTF-8", path.display()))
}

/// Waits, event by event, until `done` holds for the board; the board as it stands then.
fn until(api: &Api, what: &str, done: impl Fn(&Device) -> bool) -> anyhow::Result<Device> {
    let began = Instant::now();
    let mut after = 0;
    loop {
        let found = api.devices()?.into_iter().find(|d| d.name == BOARD);
        match found {
            Some(device) if done(&device) => return Ok(device),
            found if began.elapsed() > Duration::from_secs(PATIENCE) => bail!(
                "{what}: not within {PATIENCE} s; {BOARD} is {}",
                found.map_or("unknown".into(), |d| d.standing_text.unwrap_or(d.standing))
            ),
            _ => after = api.events(after)?.next,
        }
    }
}

impl Stage<'_> {
    /// Starts the board with the flash as it is, and gives its UART the stable name that udev would.
    fn power_on(&self, image: &Path) -> anyhow::Result<Running> {
        let flash = format!(
            "memory-backend-file,id=flash,size={FLASH_BYTES},share=on,mem-path={}",
            self.folder.join("flash").display()
        );
        let mut qemu = Job::new("QEMU", "qemu-system-arm")
            .args(["-object", &flash])
            .args(["-M", &format!("{},memory-backend=flash", self.board.name)])
            .args(["-display", "none", "-monitor", "none", "-serial", "pty"])
            .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
            .arg(image)
            .spawn_that_says_when_ready(&self.folder.join("qemu.log"))?;
        let said = qemu.first_line(READY)?;
        let uart = said
            .split_whitespace()
            .find(|word| word.starts_with("/dev/"))
            .with_context(|| format!("QEMU names no UART: {said}"))?;
        let link = self.folder.join("uart");
        let _ = std::fs::remove_file(&link);
        symlink(uart, &link).context("cannot name the UART")?;
        Ok(qemu)
    }

    fn release(&self, url: &str, version: usize, plan: &Path) -> anyhow::Result<()> {
        let number = version.to_string();
        let manifest = self.folder.join(format!("{version}.manifest"));
        let (plan, manifest) = (text(plan)?, text(&manifest)?);
        let key = self.folder.join("keys/release.key");
        let named = ["--name", "terrain", "--version", &number];
        let sign = ["sign", plan, "--key", text(&key)?, "-o", manifest];
        self.programs
            .sanderling(url, &[&sign[..], &named].concat(), PATIENCE)?;
        let register = ["register", plan, "--manifest", manifest];
        self.programs
            .sanderling(url, &[&register[..], &named].concat(), PATIENCE)?;
        Ok(())
    }

    fn push(&self, api: &Api, url: &str, version: u32) -> anyhow::Result<()> {
        let began = Instant::now();
        let number = version.to_string();
        let push = ["push", "terrain", "--version", &number, "--group", GROUP];
        self.programs.sanderling(url, &push, PATIENCE)?;
        let in_step = |d: &Device| {
            d.standing == "in_step" && d.running.as_ref().is_some_and(|r| r.version == version)
        };
        until(api, "the push", in_step)?;
        say(format!(
            "{BOARD} runs terrain v{version}, {:.1} s after the push",
            began.elapsed().as_secs_f64()
        ));
        Ok(())
    }

    /// Plays it.
    pub fn play(&self) -> anyhow::Result<()> {
        let keys = self.folder.join("keys");
        self.programs
            .sanderling("", &["keys", "init", "--dir", text(&keys)?], PATIENCE)?;
        let image = (self.image)(&keys.join("root"))?;
        std::fs::write(self.folder.join("flash"), vec![0xFF; FLASH_BYTES])
            .context("cannot write the flash")?;

        let (_coordinator, ready) = cast::coordinator(
            self.programs,
            self.folder,
            &["--logins", "--keys", text(&keys)?],
        )?;
        let api = Api::at(&ready.http)?;
        for (name, group) in [(AGENT, "all"), (BOARD, GROUP)] {
            let folder = self.folder.join(name);
            let folder = text(&folder)?;
            let enroll = ["enroll", name, "--group", group, "--broker", &ready.mqtt];
            let places = ["--output", folder, "--install-dir", folder];
            let done: Value = self.programs.sanderling(
                &ready.http,
                &[&enroll[..], &places].concat(),
                PATIENCE,
            )?;
            ensure!(done["enforced"] == true, "the broker asks for no login");
        }
        let _agent = Job::new(AGENT, &self.programs.agent)
            .arg("--config")
            .arg(self.folder.join(AGENT).join("agent.toml"))
            .arg("--state-dir")
            .arg(self.folder.join(AGENT).join("state"))
            .arg("--serial")
            .arg(self.folder.join("uart"))
            .arg("--serial-password-file")
            .arg(self.folder.join(BOARD).join("password"))
            .spawn(&self.folder.join("agent.log"))?;

        let board = self.power_on(&image)?;
        until(&api, "the board's birth", |d| d.online)?;
        say(format!("{BOARD} is there, through {AGENT}'s serial line"));
        for (version, plan) in (1..).zip(self.plans) {
            self.release(&ready.http, version, plan)?;
        }
        self.push(&api, &ready.http, 1)?;
        self.push(&api, &ready.http, 2)?;

        drop(board);
        until(&api, "the board's end", |d| !d.online)?;
        let _board = self.power_on(&image)?;
        let back = until(&api, "the board's return", |d| {
            d.online && d.standing == "in_step"
        })?;
        ensure!(
            back.running.is_some_and(|running| running.version == 2),
            "{BOARD} lost its model with its power"
        );
        say(format!("{BOARD} lost power, and is back with terrain v2"));
        let others = api.devices()?;
        ensure!(
            others.iter().any(|d| d.name == AGENT && d.online),
            "{AGENT} is a robot of its own"
        );
        Ok(())
    }
}
