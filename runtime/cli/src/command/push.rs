//! `sanderling push`: says what a group of robots should run, and waits until they do.

use super::devices::standing;
use super::who::Who;
use crate::answer::Answer;
use crate::coordinator::{At, Coordinator, Device, field, segment};
use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Devices that are named while others are only counted.
const LISTED: usize = 10;
/// How long one question for news may wait for an answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// The group that agents join by default.
const DEFAULT_GROUP: &str = "all";

const EXAMPLES: &str = "\
Examples:
  sanderling push terrain --version 2 --group all
  sanderling push terrain --version 2 --group hall-2 --wait 120
      waits until every device of the group that is online reports the new digest

Robots pull what they lack, test it on their own processor, and switch by themselves; a
device that is offline does so when it comes back and is not waited for.";

/// Set what a group of devices runs
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Push {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    who: Who,
    /// The model's name
    name: String,
    /// Its version; `sanderling models` lists them
    #[arg(long)]
    version: u32,
    /// The group; `all` is the one that agents join by default
    #[arg(long, default_value = DEFAULT_GROUP)]
    group: String,
    /// Bytes that a robot asks for at a time, 256 to 65536 [default: the coordinator's]
    #[arg(long, value_name = "BYTES")]
    chunk_size: Option<u32>,
    /// Wait at most so long until all online devices report the new model; fail if one does not
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
}

impl Push {
    /// Sets the group's desired state and waits where asked to.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let coordinator = Coordinator::at(&self.at)?;
        if self.wait.is_some() {
            self.has_somebody(&coordinator)?;
        }
        let path = format!("/v1/groups/{}/desired", segment(&self.group));
        let mut body =
            json!({ "model": self.name, "version": self.version, "by": self.who.name() });
        if let (Some(bytes), Value::Object(body)) = (self.chunk_size, &mut body) {
            body.insert("chunk_size".to_owned(), json!(bytes));
        }
        let pushed = coordinator.put(&path, &body)?;
        let serial: u64 = field(&pushed, "serial")?;
        let what = format!(
            "{} v{} for group {} (serial {serial})",
            self.name, self.version, self.group
        );
        let Some(seconds) = self.wait else {
            let known = field::<Vec<Value>>(&pushed, "devices")?.len();
            let text = format!(
                "{what}: {known} known devices will pull it; `sanderling devices --group {}` \
                 shows how far they are",
                self.group
            );
            return Ok(Answer::new(text, pushed));
        };
        eprintln!("{what}: waiting");
        let start = Instant::now();
        let devices = self.wait(&coordinator, serial, Duration::from_secs(seconds))?;
        let took = start.elapsed().as_secs_f64();
        let there = devices.iter().filter(|d| d.online).count();
        let away = devices.len() - there;
        let text = match devices.len() {
            0 => format!("{what}: no device of the group is known yet; those that come take it"),
            _ => format!(
                "{what}: {there} online devices run it after {took:.1} s, {away} are offline"
            ),
        };
        let json = json!({
            "group": self.group,
            "serial": serial,
            "model": self.name,
            "version": self.version,
            "seconds": took,
            "in_step": there,
            "offline": away,
        });
        Ok(Answer::new(text, json))
    }

    /// Fails where there is nobody to wait for in a group that was named: it is more often a slip than a group to come.
    fn has_somebody(&self, coordinator: &Coordinator) -> anyhow::Result<()> {
        if self.group == DEFAULT_GROUP {
            return Ok(());
        }
        let answer = coordinator.get("/v1/devices", &[])?;
        let devices: Vec<Device> = field(&answer, "devices")?;
        let groups: BTreeSet<String> = devices.into_iter().filter_map(|d| d.group).collect();
        if groups.contains(&self.group) {
            return Ok(());
        }
        let known = match groups.is_empty() {
            true => "no device is known at all".to_owned(),
            false => {
                let groups: Vec<String> = groups.into_iter().collect();
                format!("there are devices in {}", groups.join(", "))
            }
        };
        bail!(
            "no device is in group {}, so there is nobody to wait for ({known}); nothing was set. \
             For devices that will come, leave out --wait",
            self.group
        );
    }

    /// Polls until all online devices are in step; the devices as they stand then.
    fn wait(
        &self,
        coordinator: &Coordinator,
        serial: u64,
        limit: Duration,
    ) -> anyhow::Result<Vec<Device>> {
        let start = Instant::now();
        let mut said = String::new();
        let mut newest: Option<i64> = None;
        loop {
            let answer = coordinator.get("/v1/devices", &[("group", &self.group)])?;
            let devices: Vec<Device> = field(&answer, "devices")?;
            let online: Vec<&Device> = devices.iter().filter(|d| d.online).collect();
            let lines = |pick: &dyn Fn(&Device) -> bool| -> Vec<String> {
                let picked = online.iter().filter(|device| pick(device));
                picked
                    .map(|device| format!("  {}: {}", device.name, standing(device)))
                    .collect()
            };
            // A device that has not taken up this serial still shows its last failure.
            let failed = lines(&|d| {
                d.standing == "cannot_run"
                    || (d.standing == "unknown" && d.standing_text.is_some())
                    || (d.standing == "fell_back" && d.serial >= Some(serial))
            });
            if !failed.is_empty() {
                bail!(
                    "{} of {} online devices do not run it\n{}",
                    failed.len(),
                    online.len(),
                    listed(&failed)
                );
            }
            let missing = lines(&|d| d.standing != "in_step");
            if missing.is_empty() {
                return Ok(devices);
            }
            let progress = format!(
                "{} of {} online devices run it\n{}",
                online.len() - missing.len(),
                online.len(),
                listed(&missing)
            );
            if start.elapsed() >= limit {
                bail!(
                    "after {} s only {progress}\nthey go on by themselves; `sanderling devices` shows how far they are",
                    limit.as_secs()
                );
            }
            if progress != said {
                eprintln!("{progress}");
                said = progress;
            }
            newest = self.news(coordinator, newest)?;
        }
    }

    /// Waits for something to happen in the fleet, for a second at most; what is known then.
    fn news(&self, coordinator: &Coordinator, after: Option<i64>) -> anyhow::Result<Option<i64>> {
        let after = after.map(|id| id.to_string());
        let mut query = vec![("wait_s", "1")];
        query.extend(after.as_deref().map(|id| ("after", id)));
        let answer = coordinator.get_waiting("/v1/events", &query, PATIENCE)?;
        field(&answer, "next").map(Some)
    }
}

/// The first of these lines, and how many more there are.
fn listed(lines: &[String]) -> String {
    let mut text = lines
        .iter()
        .take(LISTED)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    if lines.len() > LISTED {
        text.push_str(&format!("\n  and {} more", lines.len() - LISTED));
    }
    text
}
