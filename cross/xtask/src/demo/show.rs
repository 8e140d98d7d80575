//! What the demo shows while it plays: events, and a live line for each robot.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::bail;

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
                let who = event
                    .device
                    .as_deref()
                    .map_or(String::new(), |device| format!("{device} "));
                say(format!("{who}{}", event.text));
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
