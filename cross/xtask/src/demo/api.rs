//! The coordinator's HTTP API, as far as the demo reads it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Seconds that an answer may take beyond what a request waits for on purpose.
const PATIENCE: u64 = 10;

/// A coordinator.
pub struct Api {
    /// Host and port.
    authority: String,
}

/// A model that a robot runs.
#[derive(Clone, Deserialize)]
pub struct RunningModel {
    /// Its version.
    pub version: u32,
}

/// The newest result.
#[derive(Clone, Deserialize)]
pub struct LastResult {
    /// Number of the frame, given at the source.
    pub seq: u64,
    /// The class that won.
    pub top: Option<u16>,
    /// The class in the recording.
    pub truth: Option<u16>,
    /// From the source to the result, in microseconds.
    pub latency_us: u64,
}

/// A robot.
#[derive(Clone, Deserialize)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Whether it is connected.
    pub online: bool,
    /// What it runs.
    pub running: Option<RunningModel>,
    /// Whether that is what its group should run.
    pub standing: String,
    /// The same, in words.
    pub standing_text: Option<String>,
    /// Its newest result.
    pub last_result: Option<LastResult>,
    /// Results counted, each frame once.
    pub results: u64,
}

#[derive(Deserialize)]
struct Devices {
    devices: Vec<Device>,
}

/// Something that happened in the fleet.
#[derive(Clone, Deserialize)]
pub struct Event {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What kind of thing.
    pub kind: String,
    /// Whom it concerns.
    pub device: Option<String>,
    /// In words.
    pub text: String,
}

/// Events, and where to go on.
#[derive(Deserialize)]
pub struct Events {
    /// What happened, oldest first.
    pub events: Vec<Event>,
    /// Number of the newest one.
    pub next: u64,
}

/// Results of one robot with one model.
#[derive(Clone, Deserialize)]
pub struct Tally {
    /// The robot.
    pub device: String,
    /// The model's version, where the registry knows it.
    pub version: Option<u32>,
    /// Frames.
    pub frames: u64,
    /// Frames whose true class the recording says.
    pub labelled: u64,
    /// Those of them that were right.
    pub correct: u64,
    /// Median time from source to result, in microseconds.
    pub latency_p50_us: Option<f64>,
    /// The time that 99 % stay below.
    pub latency_p99_us: Option<f64>,
}

/// Frames numbered at a robot's source against results counted.
#[derive(Clone, Deserialize)]
pub struct Coverage {
    /// The robot.
    pub device: String,
    /// Frames up to the newest result.
    pub numbered: u64,
    /// Of those, with a result.
    pub counted: u64,
    /// Of those, without one.
    pub missing: u64,
}

/// All results.
#[derive(Deserialize)]
pub struct Summary {
    /// By robot and model.
    pub results: Vec<Tally>,
    /// By robot.
    pub coverage: Vec<Coverage>,
}

impl Api {
    /// The coordinator at `url`, as `http://HOST:PORT`.
    pub fn at(url: &str) -> anyhow::Result<Self> {
        let authority = url
            .strip_prefix("http://")
            .context("the coordinator's address is not http")?;
        Ok(Api {
            authority: authority.trim_end_matches('/').to_string(),
        })
    }

    /// Every robot that was ever seen.
    pub fn devices(&self) -> anyhow::Result<Vec<Device>> {
        Ok(self.get::<Devices>("/v1/devices", 0)?.devices)
    }

    /// What happened after event number `after`; waits up to a second for it.
    pub fn events(&self, after: u64) -> anyhow::Result<Events> {
        self.get(&format!("/v1/events?after={after}&wait_s=1"), 1)
    }

    /// All results so far.
    pub fn summary(&self) -> anyhow::Result<Summary> {
        self.get("/v1/results/summary", 0)
    }

    fn get<T: DeserializeOwned>(&self, path: &str, waits: u64) -> anyhow::Result<T> {
        let what = || format!("GET {path} of the coordinator at {}", self.authority);
        let address = self.authority.parse().with_context(what)?;
        let limit = Duration::from_secs(PATIENCE + waits);
        let mut stream = TcpStream::connect_timeout(&address, limit).with_context(what)?;
        stream.set_read_timeout(Some(limit)).with_context(what)?;
        stream.set_write_timeout(Some(limit)).with_context(what)?;
        // HTTP/1.0, so that the answer is whole and ends with the connection.
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.authority
        )
        .with_context(what)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).with_context(what)?;
        let answer = String::from_utf8(answer).with_context(what)?;
        let (head, body) = answer.split_once("\r\n\r\n").with_context(what)?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        if status != "200" {
            bail!("{}: status {status}: {body}", what());
        }
        serde_json::from_str(body).with_context(|| format!("{}: {body}", what()))
    }
}
