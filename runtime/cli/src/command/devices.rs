//! `sanderling devices`: who is there, what it runs, and where it stands.

use crate::answer::Answer;
use crate::coordinator::{At, Coordinator, Device, Health, field, segment};
use crate::table::{Align, Table};
use crate::text;
use clap::{Args, Subcommand};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

const EXAMPLES: &str = "\
Examples:
  sanderling devices
  sanderling devices --group hall-2
  sanderling devices --json | jq -r '.devices[] | select(.standing != \"in_step\") | .name'
  sanderling devices forget robot-1       one that will not come back; its counted results stay

Standings: in_step runs what its group should; behind and updating are on their way;
fell_back tried and went back to what worked; cannot_run is refused before a byte is sent.";

/// List the devices, or forget one
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Devices {
    #[command(flatten)]
    list: List,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    Forget(Forget),
}

/// Forget a device that will not come back; its counted results stay
#[derive(Debug, Args)]
pub struct Forget {
    #[command(flatten)]
    at: At,
    /// The device
    device: String,
}

impl Forget {
    fn run(&self) -> anyhow::Result<Answer> {
        let path = format!("/v1/devices/{}", segment(&self.device));
        Coordinator::at(&self.at)?.delete(&path)?;
        let text = format!(
            "{} is forgotten; if it connects again it is back",
            self.device
        );
        Ok(Answer::new(
            text,
            json!({ "device": self.device, "forgotten": true }),
        ))
    }
}

impl Devices {
    /// Does it.
    pub fn run(&self) -> anyhow::Result<Answer> {
        match &self.what {
            None => self.list.run(),
            Some(What::Forget(forget)) => forget.run(),
        }
    }
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    at: At,
    /// Only those of this group
    #[arg(long)]
    group: Option<String>,
}

impl List {
    /// Asks and lists.
    fn run(&self) -> anyhow::Result<Answer> {
        let query: Vec<(&str, &str)> = self
            .group
            .iter()
            .map(|group| ("group", group.as_str()))
            .collect();
        let answer = Coordinator::at(&self.at)?.get("/v1/devices", &query)?;
        let devices: Vec<Device> = field(&answer, "devices")?;
        if devices.is_empty() {
            return Ok(Answer::new(
                "no devices; an agent that connects is listed here",
                answer,
            ));
        }
        Ok(Answer::new(table(&devices), answer))
    }
}

/// The table that `devices` and `watch` show.
pub fn table(devices: &[Device]) -> String {
    let mut table = Table::new(&[
        ("device", Align::Left),
        ("board", Align::Left),
        ("group", Align::Left),
        ("", Align::Left),
        ("running", Align::Left),
        ("standing", Align::Left),
        ("pulled", Align::Right),
        ("results", Align::Right),
        ("p50", Align::Right),
        ("p99", Align::Right),
        ("heard", Align::Right),
    ]);
    for device in devices {
        // The counters are zeros until the device's first period is over.
        let health = device
            .health
            .as_ref()
            .filter(|health| health.latency_p50_us > 0);
        let microseconds = |pick: fn(&Health) -> u32| {
            health.map_or(String::new(), |health| {
                format!("{} µs", text::count(pick(health).into()))
            })
        };
        table.row([
            device.name.clone(),
            device.board.clone().unwrap_or_default(),
            device.group.clone().unwrap_or_default(),
            if device.online { "online" } else { "offline" }.to_owned(),
            running(device),
            standing(device),
            device.health.as_ref().map_or(String::new(), |health| {
                format!("{} B", text::count(health.pulled_bytes))
            }),
            text::count(device.results),
            microseconds(|health| health.latency_p50_us),
            microseconds(|health| health.latency_p99_us),
            ago(device.seen_ms),
        ]);
    }
    table.render()
}

/// `terrain v2 (a1b2c3d4)`.
fn running(device: &Device) -> String {
    match &device.running {
        Some(running) => {
            let digest: String = running.digest.chars().take(8).collect();
            format!("{} v{} ({digest})", running.model, running.version)
        }
        None => "nothing".to_owned(),
    }
}

/// The standing with how far the update is, or why it went wrong.
pub fn standing(device: &Device) -> String {
    let word = device.standing.replace('_', " ");
    match (
        &device.progress,
        &device.standing_text,
        device.phase.as_deref(),
    ) {
        (Some(progress), text, _) if progress.size > 0 => {
            let why = text
                .as_ref()
                .map_or(String::new(), |text| format!(": {text}"));
            format!("{word} {} %{why}", progress.held * 100 / progress.size)
        }
        (_, Some(text), _) => format!("{word}: {text}"),
        (_, _, Some(phase)) if device.standing == "updating" => {
            format!("{word}, {}", phase.replace('_', " "))
        }
        _ => word,
    }
}

fn ago(seen_ms: i64) -> String {
    if seen_ms == 0 {
        return "never".into();
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let seen = u64::try_from(seen_ms).unwrap_or(0);
    let seconds = u64::try_from(now.as_millis())
        .unwrap_or(0)
        .saturating_sub(seen)
        / 1000;
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}
