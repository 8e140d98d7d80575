//! What the demo shows: live lines while it plays, the summary, and whether all of it happened.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};

use super::api::{Api, Device, Event, Summary};
use crate::terminal::{say, thousands};

/// How often a live line appears.
const PACE: Duration = Duration::from_secs(1);
/// How long results may take to arrive after the robots stopped.
const SETTLING: Duration = Duration::from_secs(15);

/// Watches the fleet through the coordinator's API.
pub struct Stage<'a> {
    api: &'a Api,
    labels: &'a [String],
    seen: u64,
    shown: Instant,
    running: Vec<Event>,
}

impl<'a> Stage<'a> {
    /// Begins to watch.
    pub fn new(api: &'a Api, labels: &'a [String]) -> anyhow::Result<Self> {
        Ok(Stage {
            api,
            labels,
            seen: 0,
            shown: Instant::now(),
            running: Vec::new(),
        })
    }

    /// Shows what happens until `done` says so of the devices.
    pub fn until(
        &mut self,
        what: &str,
        patience: Duration,
        done: impl Fn(&[Device]) -> bool,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let devices = self.step()?;
            if done(&devices) {
                say(format!(
                    "{what}, after {:.1} s",
                    began.elapsed().as_secs_f64()
                ));
                return Ok(());
            }
            if began.elapsed() > patience {
                let standings: Vec<String> = devices.iter().map(standing).collect();
                bail!(
                    "after {} s it is not so that {what}; {}",
                    patience.as_secs(),
                    standings.join("; ")
                );
            }
        }
    }

    /// Shows what happens for a while.
    pub fn play(&mut self, long: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        while began.elapsed() < long {
            self.step()?;
        }
        Ok(())
    }

    /// Waits for the next event or for a second, and shows both.
    fn step(&mut self) -> anyhow::Result<Vec<Device>> {
        let news = self.api.events(self.seen)?;
        self.seen = news.next;
        for event in news.events {
            if matches!(
                event.kind.as_str(),
                "online" | "offline" | "running" | "fell_back" | "desired"
            ) {
                say(format!("  {}", event.text));
            }
            if event.kind == "running" {
                self.running.push(event);
            }
        }
        let devices = self.api.devices()?;
        if self.shown.elapsed() >= PACE {
            self.shown = Instant::now();
            for device in &devices {
                println!("          {}", self.live(device));
            }
        }
        Ok(devices)
    }

    fn live(&self, device: &Device) -> String {
        let label = |class: Option<u16>| {
            class
                .map_or("?", |c| {
                    self.labels.get(usize::from(c)).map_or("?", String::as_str)
                })
                .to_string()
        };
        let version = device
            .running
            .as_ref()
            .map_or("-".to_string(), |r| format!("v{}", r.version));
        let Some(last) = &device.last_result else {
            return format!("{} {version}: no result yet", device.name);
        };
        format!(
            "{} {version}: frame {:>6} {:<12} (truth {:<12}) {:>7} us, {:>6} results",
            device.name,
            last.seq,
            label(last.top),
            label(last.truth),
            thousands(last.latency_us),
            thousands(device.results)
        )
    }

    /// The results, once every frame that was numbered has been counted or there is no
    /// hope left.
    pub fn settled(&mut self) -> anyhow::Result<Summary> {
        let began = Instant::now();
        loop {
            let summary = self.api.summary()?;
            if summary.coverage.iter().all(|c| c.missing == 0) || began.elapsed() > SETTLING {
                return Ok(summary);
            }
            self.step()?;
        }
    }

    /// Seconds from `since` until `robot` reported that it runs another model, as the
    /// coordinator saw it.
    pub fn switched(&self, robot: &str, since: SystemTime) -> Option<f64> {
        let since = since.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        self.running
            .iter()
            .filter(|event| event.device.as_deref() == Some(robot))
            .map(|event| event.at_ms as f64 / 1000.0 - since)
            .find(|&seconds| seconds >= 0.0)
    }
}

fn standing(device: &Device) -> String {
    let text = device.standing_text.as_deref().unwrap_or(&device.standing);
    format!(
        "{} ({}): {text}",
        device.name,
        if device.online { "online" } else { "offline" }
    )
}

/// What is known of the update.
pub struct Update {
    /// From the push until every robot reported the new digest.
    pub took: Duration,
    /// Bytes that each robot pulled.
    pub bytes: u64,
    /// Each robot, and seconds from the push until it ran the new model.
    pub switched: Vec<(String, Option<f64>)>,
}

/// Prints the summary.
pub fn summary(summary: &Summary, update: &Update) {
    let micros = |value: Option<f64>| value.map_or("-".to_string(), |us| format!("{us:.0}"));
    println!();
    println!(
        "{:<10} {:<8} {:>8} {:>10} {:>12} {:>12}",
        "robot", "version", "frames", "accuracy", "p50 us", "p99 us"
    );
    for tally in &summary.results {
        let accuracy = match tally.labelled {
            0 => "-".to_string(),
            n => format!("{:.1} %", 100.0 * tally.correct as f64 / n as f64),
        };
        println!(
            "{:<10} {:<8} {:>8} {:>10} {:>12} {:>12}",
            tally.device,
            tally.version.map_or("?".to_string(), |v| format!("v{v}")),
            thousands(tally.frames),
            accuracy,
            micros(tally.latency_p50_us),
            micros(tally.latency_p99_us)
        );
    }
    println!();
    for c in &summary.coverage {
        println!(
            "{:<10} {} frames numbered at the source, {} results counted, {} missing",
            c.device,
            thousands(c.numbered),
            thousands(c.counted),
            thousands(c.missing)
        );
    }
    println!(
        "update     {} bytes a robot, {:.1} s from the push until the fleet was in step",
        thousands(update.bytes),
        update.took.as_secs_f64()
    );
    for (robot, seconds) in &update.switched {
        let when = seconds.map_or("at a time that was not seen".to_string(), |s| {
            format!("{s:.2} s after the push")
        });
        println!("{robot:<10} ran the new model {when}");
    }
    println!();
}

/// An error unless every robot ran both versions and no frame is missing.
pub fn verdict(summary: &Summary, robots: &[&str]) -> anyhow::Result<()> {
    for robot in robots {
        for version in [1, 2] {
            let ran = summary
                .results
                .iter()
                .any(|t| t.device == *robot && t.version == Some(version) && t.frames > 0);
            if !ran {
                bail!("{robot} gave no result with v{version}");
            }
        }
        let coverage = summary
            .coverage
            .iter()
            .find(|c| c.device == *robot)
            .with_context(|| format!("nothing is known of {robot}'s frames"))?;
        if coverage.missing > 0 || coverage.counted == 0 {
            bail!(
                "{} of {robot}'s {} frames have no result",
                coverage.missing,
                coverage.numbered
            );
        }
    }
    Ok(())
}
