//! The coordinator's HTTP API, as far as the command uses it.

use crate::command::who::asker;
use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Response, StatusCode};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a request may take beyond what it waits for on purpose.
const REQUEST: Duration = Duration::from_secs(30);
/// The longest answer that is read: a fleet's device table.
const LONGEST_ANSWER: u64 = 256 * 1024 * 1024;

/// The header that says who asks, where a body does not.
const BY: &str = "sanderling-by";

/// Which coordinator.
#[derive(Debug, clap::Args)]
pub struct At {
    /// Where the coordinator's HTTP API is
    #[arg(
        long,
        value_name = "URL",
        env = "SANDERLING_COORDINATOR",
        default_value = "http://127.0.0.1:7380",
        global = false
    )]
    pub coordinator: String,
}

/// A coordinator.
pub struct Coordinator {
    base: String,
    agent: Agent,
    /// Who asks, for the audit log.
    by: String,
}

/// A device, as far as tables show it.
#[derive(Debug, Deserialize)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Whose desired state it follows.
    pub group: Option<String>,
    /// Whether it is connected.
    pub online: bool,
    /// Its board.
    pub board: Option<String>,
    /// What it says it runs.
    pub running: Option<Running>,
    /// What it is doing.
    pub phase: Option<String>,
    /// A download under way.
    pub progress: Option<Progress>,
    /// Where it stands against what its group should run.
    pub standing: String,
    /// One line about that.
    pub standing_text: Option<String>,
    /// The desired state it took up last.
    pub serial: Option<u64>,
    /// Its counters.
    pub health: Option<Health>,
    /// How many of its results were counted.
    pub results: u64,
    /// When it was heard last, in ms since 1970.
    pub seen_ms: i64,
}

/// What a device runs.
#[derive(Debug, Deserialize)]
pub struct Running {
    /// Model.
    pub model: String,
    /// Version.
    pub version: u32,
    /// SHA-256 of the plan.
    pub digest: String,
}

/// A download.
#[derive(Debug, Deserialize)]
pub struct Progress {
    /// Bytes held.
    pub held: u64,
    /// Bytes in all.
    pub size: u64,
}

/// A device's counters.
#[derive(Debug, Deserialize)]
pub struct Health {
    /// Median latency in µs.
    pub latency_p50_us: u32,
    /// 99th percentile in µs.
    pub latency_p99_us: u32,
    /// Bytes of models and deltas that it pulled.
    #[serde(default)]
    pub pulled_bytes: u64,
}

/// Something that happened.
#[derive(Debug, Deserialize)]
pub struct Event {
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// What kind of thing, one word.
    pub kind: String,
    /// The device it is about.
    pub device: Option<String>,
    /// The group it is about.
    pub group: Option<String>,
    /// One line.
    pub text: String,
}

/// What came of asking.
pub enum Asked {
    /// It is done.
    Done(Value),
    /// It is under way: ask again.
    Later(Value),
    /// It is refused; the body says why.
    Refused(Value),
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Deserialize)]
struct ErrorDetail {
    message: String,
    #[serde(default)]
    devices: Vec<Obstacle>,
}

#[derive(Deserialize)]
struct Obstacle {
    device: String,
    reason: String,
}

impl Coordinator {
    /// The coordinator at that URL; nothing is sent yet.
    pub fn at(at: &At) -> anyhow::Result<Self> {
        let base = at.coordinator.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") {
            bail!("`{base}` is not a coordinator's URL; give one that starts with http://");
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(REQUEST))
            .build();
        Ok(Coordinator {
            base,
            agent: config.into(),
            by: asker(),
        })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Asks for `path` with query parameters.
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
        self.get_waiting(path, query, Duration::ZERO)
    }

    /// The same, where the coordinator may take `wait` to answer.
    pub fn get_waiting(
        &self,
        path: &str,
        query: &[(&str, &str)],
        wait: Duration,
    ) -> anyhow::Result<Value> {
        let request = self
            .agent
            .get(format!("{}{path}", self.base))
            .query_pairs(query.iter().copied());
        let request = request
            .config()
            .timeout_global(Some(REQUEST + wait))
            .build();
        self.answer(request.call())
    }

    /// Sends a JSON body by PUT.
    pub fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.answer(
            self.agent
                .put(format!("{}{path}", self.base))
                .header(BY, &self.by)
                .send_json(body),
        )
    }

    /// Sends a JSON body by POST.
    pub fn post_json(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.agent.post(format!("{}{path}", self.base));
        self.answer(request.header(BY, &self.by).send_json(body))
    }

    /// Sends a JSON body by POST where the coordinator may ask to come back, or refuse with details.
    pub fn ask(&self, path: &str, body: &Value) -> anyhow::Result<Asked> {
        let request = self.agent.post(format!("{}{path}", self.base));
        let (status, body) = self.receive(request.send_json(body))?;
        match (status, serde_json::from_slice(&body)) {
            (StatusCode::ACCEPTED, Ok(answer)) => Ok(Asked::Later(answer)),
            (StatusCode::CONFLICT, Ok(refusal)) => Ok(Asked::Refused(refusal)),
            _ => self.read(status, &body).map(Asked::Done),
        }
    }

    /// Takes something away.
    pub fn delete(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.agent.delete(format!("{}{path}", self.base));
        self.answer(request.header(BY, &self.by).call())
    }

    /// Sends a file by PUT.
    pub fn put_file(&self, path: &str, file: &[u8]) -> anyhow::Result<Value> {
        let request = self
            .agent
            .put(format!("{}{path}", self.base))
            .header(BY, &self.by)
            .content_type("application/octet-stream");
        // A second for each MiB, beyond what an answer may take.
        let long = Duration::from_secs(file.len() as u64 >> 20);
        let request = request
            .config()
            .timeout_global(Some(REQUEST + long))
            .build();
        self.answer(request.send(file))
    }

    /// Sends a file by POST.
    pub fn post(&self, path: &str, query: &[(&str, &str)], file: &[u8]) -> anyhow::Result<Value> {
        let request = self
            .agent
            .post(format!("{}{path}", self.base))
            .query_pairs(query.iter().copied())
            .content_type("application/octet-stream");
        self.answer(request.send(file))
    }

    fn answer(&self, response: Result<Response<ureq::Body>, ureq::Error>) -> anyhow::Result<Value> {
        let (status, body) = self.receive(response)?;
        self.read(status, &body)
    }

    /// Status and body of whatever came.
    fn receive(
        &self,
        response: Result<Response<ureq::Body>, ureq::Error>,
    ) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let mut response = response.map_err(|error| {
            anyhow!(
                "no answer from the coordinator at {} ({error}); is it running, and is this its \
                 URL? (--coordinator or SANDERLING_COORDINATOR)",
                self.base
            )
        })?;
        let status = response.status();
        let body = response
            .body_mut()
            .with_config()
            .limit(LONGEST_ANSWER)
            .read_to_vec()
            .with_context(|| format!("the answer of {} breaks off", self.base))?;
        Ok((status, body))
    }

    fn read(&self, status: StatusCode, body: &[u8]) -> anyhow::Result<Value> {
        if status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        if status.is_success() {
            return serde_json::from_slice(body)
                .with_context(|| format!("{} answers no JSON; is it a coordinator?", self.base));
        }
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(ErrorBody { error }) => {
                let mut message = error.message;
                // One obstacle stands in the message already.
                for obstacle in error.devices.iter().filter(|_| error.devices.len() > 1) {
                    message.push_str(&format!("\n  {}: {}", obstacle.device, obstacle.reason));
                }
                Err(anyhow!(message))
            }
            Err(_) => bail!("{} answers {status}; is it a coordinator?", self.base),
        }
    }
}

/// The line of a refusal.
pub fn message(refusal: &Value) -> anyhow::Result<String> {
    field(&field(refusal, "error")?, "message")
}

/// Reads one field of an answer.
pub fn field<T: DeserializeOwned>(answer: &Value, name: &str) -> anyhow::Result<T> {
    let value = answer.get(name).cloned().unwrap_or(Value::Null);
    serde_json::from_value(value).with_context(|| {
        format!("the coordinator's answer has no usable `{name}`; do versions match?")
    })
}

/// A segment of a path with everything escaped that could end it.
pub fn segment(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
