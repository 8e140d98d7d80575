//! The configuration that the agent runs with: every setting has a value here, and every value was checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use sanderling_slots::{LatencyLimit, Policy, TrialLimits};
use sanderling_wire::{MAX_CHUNK, MAX_TARGETS, MIN_CHUNK, Name};

use crate::gateway::port;
use crate::outbox;
use crate::policy::Condition;
use crate::queue;
use crate::settings::{Answer, Format, Settings, Stdin, Sync};

/// A password, which no log and no message shows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Where the broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The file with the certificates that are trusted; none: the broker speaks no TLS.
    pub ca: Option<PathBuf>,
    /// The login in its URL: a user name, and a password where one is given.
    pub login: Option<(String, Option<Password>)>,
}

/// Everything that was decided before the agent started.
#[derive(Clone, Debug)]
pub struct Config {
    /// This robot.
    pub device: Name,
    /// Its fleet.
    pub fleet: Name,
    /// Its group.
    pub group: Name,
    /// The broker.
    pub broker: Broker,
    /// The user name at the broker.
    pub user: String,
    /// Where the password is, if there is one.
    pub password_file: Option<PathBuf>,
    /// The microcontroller that is spoken for, if there is one.
    pub serial: Option<SerialConfig>,
    /// The file with the fleet's public keys; none: unsigned statements are taken.
    pub root: Option<PathBuf>,
    /// The folder for everything that must survive.
    pub state_dir: PathBuf,
    /// Where the status goes.
    pub status_file: Option<PathBuf>,
    /// The beat of health messages.
    pub health_every: Duration,
    /// The input.
    pub source: SourceConfig,
    /// Frames that may wait.
    pub queue: usize,
    /// What happens beyond.
    pub queue_policy: queue::Policy,
    /// A model to begin with.
    pub model: Option<PathBuf>,
    /// How models come and stay.
    pub update: UpdateConfig,
    /// Below which confidence an answer is counted.
    pub low_confidence: f32,
    /// Percent of one processor's time for a candidate beside the active model.
    pub shadow_percent: u32,
    /// How far its outputs may be apart.
    pub shadow_tolerance: f32,
    /// The format of results.
    pub results: Format,
    /// What a result holds.
    pub answer: Answer,
    /// The outbox's bounds.
    pub outbox: outbox::Limits,
    /// When the outbox is synced.
    pub outbox_sync: Sync,
    /// When a result without a receipt is sent again.
    pub resend_after: Duration,
    /// Whether memory is locked.
    pub lock_memory: bool,
    /// Processors for the inference thread; empty: any.
    pub cpus: Vec<usize>,
    /// Real-time priority of the inference thread, if any.
    pub priority: Option<u8>,
}

/// The microcontroller's part of the configuration.
#[derive(Clone, Debug)]
pub struct SerialConfig {
    /// The serial device.
    pub device: PathBuf,
    /// Its speed.
    pub speed: port::Speed,
    /// Where the password of the microcontroller's login is, if there is one.
    pub password_file: Option<PathBuf>,
}

/// The input's part of the configuration.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// The recording, or `-`; none: no input.
    pub path: Option<PathBuf>,
    /// The time between two frames; zero: none.
    pub period: Duration,
    /// Whether it begins again at its end.
    pub repeat: bool,
    /// Whether the agent ends with it.
    pub exit_at_end: bool,
    /// The array with the frames, where it was named.
    pub array: Option<String>,
    /// The array with the labels.
    pub labels: String,
    /// The framing of standard input.
    pub stdin: Stdin,
}

/// The update's part of the configuration.
#[derive(Clone, Debug)]
pub struct UpdateConfig {
    /// Packing targets, best first.
    pub targets: Vec<Name>,
    /// The largest arena, in bytes.
    pub arena_limit: u64,
    /// The largest model file, in bytes.
    pub model_limit: u64,
    /// The largest chunk, in bytes.
    pub chunk: u32,
    /// Chunks on their way at once.
    pub credit: u16,
    /// When chunks are asked for again.
    pub stall: Duration,
    /// How long a download may take.
    pub download_limit: Duration,
    /// How long it may go on without a new chunk.
    pub progress_limit: Duration,
    /// What must hold before the model is changed.
    pub conditions: Vec<Condition>,
    /// Whether an address in the manifest is used.
    pub http: bool,
    /// How long one check may take.
    pub check_limit: Duration,
    /// When a trial is over.
    pub trial: TrialLimits,
    /// How often the agent may start during one.
    pub policy: Policy,
}

/// A setting that makes no sense; the text names it and says what would.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// Fewer inferences than this say nothing about the 99th percentile of a trial.
const LATENCY_SAMPLES: u64 = 20;
const MEBIBYTES_64: u64 = 64 << 20;

/// The settings with a value in every place that has a default. `hostname` is the default device name.
pub fn complete(settings: Settings, hostname: &str) -> Settings {
    let defaults = Settings {
        device: Some(as_name(hostname)),
        fleet: Some("main".into()),
        group: Some("all".into()),
        broker: Some("mqtt://127.0.0.1:1883".into()),
        state_dir: Some("sanderling-agent".into()),
        health_seconds: Some(10.0),
        serial_baud: Some(115_200),
        rate: Some(50.0),
        repeat: Some(false),
        exit_at_end: Some(false),
        labels: Some("label".into()),
        stdin: Some(Stdin::default()),
        queue: Some(32),
        queue_policy: Some(queue::Policy::default()),
        targets: Some(own_targets()),
        arena_limit: Some(MEBIBYTES_64),
        model_limit: Some(MEBIBYTES_64),
        chunk: Some(sanderling_wire::DEFAULT_CHUNK),
        credit: Some(16),
        stall_seconds: Some(5.0),
        download_seconds: Some(3600.0),
        check_seconds: Some(60.0),
        trial_inferences: Some(100),
        trial_seconds: Some(30.0),
        trial_failures: Some(0),
        max_starts: Some(8),
        trial_p99_ms: Some(0.0),
        trial_p99_percent: Some(400),
        trial_p99_slack_ms: Some(20.0),
        watchdog_seconds: Some(10.0),
        progress_seconds: Some(600.0),
        http: Some(true),
        update_when: Some(Vec::new()),
        low_confidence: Some(0.5),
        shadow_percent: Some(25),
        shadow_tolerance: Some(1.0),
        results: Some(Format::default()),
        answer: Some(Answer::default()),
        outbox_bytes: Some(MEBIBYTES_64),
        outbox_policy: Some(outbox::Policy::default()),
        outbox_sync: Some(Sync::default()),
        resend_seconds: Some(10.0),
        lock_memory: Some(false),
        ..Settings::default()
    };
    let mut settings = settings.or(defaults);
    let of_url = settings.broker.as_deref().and_then(|url| login(url).0);
    settings.user = settings
        .user
        .or(of_url.map(|(user, _)| user))
        .or(settings.device.clone());
    settings
}

/// Checks complete settings.
pub fn check(settings: &Settings) -> Result<Config, ConfigError> {
    let s = settings;
    let name = |key: &str, value: &Option<String>| {
        let value = value.as_deref().unwrap_or_default();
        Name::new(value).map_err(|error| ConfigError(format!("{key} {value:?}: {error}")))
    };
    let targets = s
        .targets
        .as_deref()
        .unwrap_or_default()
        .iter()
        .map(|target| {
            Name::new(target).map_err(|error| ConfigError(format!("targets {target:?}: {error}")))
        });
    let targets: Vec<Name> = targets.collect::<Result<_, _>>()?;
    if targets.is_empty() || targets.len() > MAX_TARGETS {
        return Err(ConfigError(format!(
            "targets: give 1 to {MAX_TARGETS} packing targets"
        )));
    }
    let chunk = s.chunk.unwrap_or_default();
    if !(MIN_CHUNK..=MAX_CHUNK).contains(&chunk) {
        return Err(ConfigError(format!(
            "chunk {chunk}: give {MIN_CHUNK} to {MAX_CHUNK} bytes"
        )));
    }
    if s.priority
        .is_some_and(|priority| !(1..=99).contains(&priority))
    {
        return Err(ConfigError("priority: give 1 (low) to 99 (high)".into()));
    }
    let credit = at_least_one("credit", u64::from(s.credit.unwrap_or_default()))? as u16;
    let outbox_bytes = s.outbox_bytes.unwrap_or_default();
    if outbox_bytes < 32 * 1024 {
        return Err(ConfigError(format!(
            "outbox-bytes {outbox_bytes}: give at least 32768"
        )));
    }
    let rate = s.rate.unwrap_or_default();
    let period = match rate {
        0.0 => Duration::ZERO,
        rate if rate.is_finite() && rate > 0.0 && rate <= 1e6 => {
            Duration::from_secs_f64(1.0 / rate)
        }
        _ => {
            return Err(ConfigError(format!(
                "rate {rate}: give frames per second, or 0 for as fast as it goes"
            )));
        }
    };
    let broker = broker(s.broker.as_deref().unwrap_or_default(), s.ca.as_deref())?;
    if let Some((user, password)) = &broker.login {
        if s.user.as_ref().is_some_and(|other| other != user) {
            return Err(ConfigError(format!(
                "user: the broker's URL names {user:?}, and --user another; give one of them"
            )));
        }
        if password.is_some() && s.password_file.is_some() {
            return Err(ConfigError(
                "password-file: the broker's URL holds a password too; give one of them".into(),
            ));
        }
    }
    let trial_millis = seconds("trial-seconds", s.trial_seconds)?.as_millis();
    Ok(Config {
        device: name("device", &s.device)?,
        fleet: name("fleet", &s.fleet)?,
        group: name("group", &s.group)?,
        broker,
        user: s.user.clone().unwrap_or_default(),
        password_file: s.password_file.clone(),
        serial: s
            .serial
            .as_deref()
            .map(|device| serial(device, s))
            .transpose()?,
        root: s.root.clone(),
        state_dir: s.state_dir.clone().unwrap_or_default(),
        status_file: s.status_file.clone(),
        health_every: seconds("health-seconds", s.health_seconds)?,
        source: SourceConfig {
            path: s.source.clone(),
            period,
            repeat: s.repeat.unwrap_or_default(),
            exit_at_end: s.exit_at_end.unwrap_or_default(),
            array: s.array.clone(),
            labels: s.labels.clone().unwrap_or_default(),
            stdin: s.stdin.unwrap_or_default(),
        },
        queue: at_least_one("queue", s.queue.unwrap_or_default() as u64)? as usize,
        queue_policy: s.queue_policy.unwrap_or_default(),
        model: s.model.clone(),
        update: UpdateConfig {
            targets,
            arena_limit: s.arena_limit.unwrap_or_default(),
            model_limit: s.model_limit.unwrap_or_default().min(u64::from(u32::MAX)),
            chunk,
            credit,
            stall: seconds("stall-seconds", s.stall_seconds)?,
            download_limit: seconds("download-seconds", s.download_seconds)?,
            http: s.http.unwrap_or_default(),
            progress_limit: seconds("progress-seconds", s.progress_seconds)?,
            conditions: s
                .update_when
                .as_deref()
                .unwrap_or_default()
                .iter()
                .map(|text| {
                    text.parse()
                        .map_err(|error| ConfigError(format!("update-when: {error}")))
                })
                .collect::<Result<_, _>>()?,
            check_limit: seconds("check-seconds", s.check_seconds)?,
            trial: TrialLimits {
                inferences: at_least_one(
                    "trial-inferences",
                    s.trial_inferences.unwrap_or_default(),
                )?,
                millis: u64::try_from(trial_millis).unwrap_or(u64::MAX),
                failures: s.trial_failures.unwrap_or_default(),
                latency: LatencyLimit {
                    absolute_us: micros("trial-p99-ms", s.trial_p99_ms)?,
                    percent: s.trial_p99_percent.unwrap_or_default(),
                    slack_us: micros("trial-p99-slack-ms", s.trial_p99_slack_ms)?,
                    samples: LATENCY_SAMPLES,
                },
                watchdog_millis: u64::try_from(
                    seconds("watchdog-seconds", s.watchdog_seconds)?.as_millis(),
                )
                .unwrap_or(u64::MAX),
            },
            policy: Policy {
                max_starts: s.max_starts.unwrap_or_default(),
            },
        },
        low_confidence: s.low_confidence.unwrap_or_default(),
        shadow_percent: percent("shadow-percent", s.shadow_percent)?,
        shadow_tolerance: s.shadow_tolerance.unwrap_or_default(),
        results: s.results.unwrap_or_default(),
        answer: s.answer.unwrap_or_default(),
        outbox: outbox::Limits {
            bytes: outbox_bytes,
            policy: s.outbox_policy.unwrap_or_default(),
        },
        outbox_sync: s.outbox_sync.unwrap_or_default(),
        resend_after: seconds("resend-seconds", s.resend_seconds)?,
        lock_memory: s.lock_memory.unwrap_or_default(),
        cpus: s.cpus.clone().unwrap_or_default(),
        priority: s.priority,
    })
}

fn at_least_one(key: &str, value: u64) -> Result<u64, ConfigError> {
    match value {
        0 => Err(ConfigError(format!("{key} 0: give at least 1"))),
        value => Ok(value),
    }
}

fn seconds(key: &str, value: Option<f64>) -> Result<Duration, ConfigError> {
    let value = value.unwrap_or_default();
    match Duration::try_from_secs_f64(value) {
        Ok(duration) if duration >= Duration::from_millis(1) && value <= 1e9 => Ok(duration),
        _ => Err(ConfigError(format!(
            "{key} {value}: give seconds, more than 0"
        ))),
    }
}

fn micros(key: &str, millis: Option<f64>) -> Result<u32, ConfigError> {
    match millis.unwrap_or_default() {
        millis if (0.0..=1e6).contains(&millis) => Ok((millis * 1000.0) as u32),
        millis => Err(ConfigError(format!(
            "{key} {millis}: give milliseconds, 0 to 1000000"
        ))),
    }
}

fn percent(key: &str, value: Option<u32>) -> Result<u32, ConfigError> {
    match value.unwrap_or_default() {
        value @ 1..=100 => Ok(value),
        value => Err(ConfigError(format!("{key} {value}: give 1 to 100"))),
    }
}

fn serial(device: &Path, settings: &Settings) -> Result<SerialConfig, ConfigError> {
    let baud = settings.serial_baud.unwrap_or_default();
    Ok(SerialConfig {
        device: device.to_owned(),
        speed: port::speed(baud)
            .map_err(|why| ConfigError(format!("serial-baud {baud}: {why}")))?,
        password_file: settings.serial_password_file.clone(),
    })
}

/// A broker's URL taken apart: the login in it, decoded, and the rest. An @ that is not encoded may stand in a password.
fn login(url: &str) -> (Option<(String, Option<Password>)>, String) {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, url),
    };
    let Some((login, place)) = rest.rsplit_once('@') else {
        return (None, url.to_owned());
    };
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let login = match login.split_once(':') {
        Some((user, password)) => (decoded(user), Some(Password(decoded(password)))),
        None => (decoded(login), None),
    };
    let plain = match scheme {
        Some(scheme) => format!("{scheme}://{place}"),
        None => place.to_owned(),
    };
    (Some(login), plain)
}

/// The settings as they may be shown: without a password in the broker's URL.
pub fn presentable(settings: &Settings) -> Settings {
    let without = |url: &String| match login(url) {
        (Some((user, Some(_))), plain) => match plain.split_once("://") {
            Some((scheme, place)) => format!("{scheme}://{user}:***@{place}"),
            None => format!("{user}:***@{plain}"),
        },
        _ => url.clone(),
    };
    Settings {
        broker: settings.broker.as_ref().map(without),
        ..settings.clone()
    }
}

fn broker(url: &str, ca: Option<&Path>) -> Result<Broker, ConfigError> {
    // From here on without the login, so that no message shows a password.
    let (login, url) = login(url);
    let wrong = |why: &str| {
        ConfigError(format!(
            "broker {url:?}: {why}; write it like mqtt://192.168.1.10:1883"
        ))
    };
    let (tls, rest) = match url.split_once("://") {
        Some(("mqtt" | "tcp", rest)) => (false, rest),
        Some(("mqtts" | "ssl", rest)) => (true, rest),
        Some(_) => return Err(wrong("only mqtt:// and mqtts:// are spoken")),
        None => (false, url.as_str()),
    };
    let ca = match (tls, ca) {
        (true, None) => {
            return Err(ConfigError(format!(
                "broker {url:?}: TLS needs --ca FILE, the fleet's certificate, which `sanderling enroll` writes"
            )));
        }
        (true, ca) => ca.map(Path::to_owned),
        (false, Some(_)) => return Err(wrong("--ca is for mqtts://")),
        (false, None) => None,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        // A bare IPv6 address has colons and no brackets.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (
            host,
            port.parse().map_err(|_| wrong("the port is no number"))?,
        ),
        _ => (rest, if tls { 8883 } else { 1883 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || host.contains(['/', '@', ' ']) {
        return Err(wrong("there is no host name in it"));
    }
    Ok(Broker {
        host: host.to_owned(),
        port,
        ca,
        login,
    })
}

/// The packing targets that the engine runs here, the fastest first.
fn own_targets() -> Vec<String> {
    sanderling_engine::targets()
        .map(|target| target.name().to_owned())
        .collect()
}

/// A host's name with everything that names must not hold taken out.
fn as_name(hostname: &str) -> String {
    let kept: String = hostname
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(sanderling_wire::MAX_NAME)
        .collect();
    if kept.is_empty() {
        "robot".into()
    } else {
        kept
    }
}

#[cfg(test)]
mod tests;
