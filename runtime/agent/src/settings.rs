//! What can be set, once for all three places: a flag `--trial-inferences`, the environment's
//! `SANDERLING_TRIAL_INFERENCES`, and `trial-inferences` in the TOML file are one field here.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::{outbox, queue};

/// The format of published results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Postcard on the fleet's `result` topic, which the coordinator counts.
    #[default]
    Postcard,
    /// One JSON object per result on `result/json`, for other programs. A result then leaves the outbox when the
    /// broker acknowledges it.
    Json,
}

/// What a result holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The best class where the output is one row of numbers, else the whole output.
    #[default]
    Auto,
    /// The best class and its confidence.
    Class,
    /// The output tensor (at most 16 KiB).
    Raw,
}

/// How tensors follow one another on standard input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stdin {
    /// Back to back, each exactly as long as the model's input: row-major, little-endian, no header.
    #[default]
    Raw,
    /// `.npy` arrays one after another, each one frame, as `numpy.save(sys.stdout.buffer, frame)` writes them.
    Npy,
}

/// When results are forced onto the medium.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sync {
    /// Every 200 ms while there are any: a power cut costs at most that. Killing the agent costs nothing.
    #[default]
    Interval,
    /// Never: a power cut costs what the system had not written yet, some 30 s.
    Never,
}

/// Every setting, each where somebody set it.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// This robot's name in its fleet [default: the host's name]
    #[arg(
        long,
        env = "SANDERLING_DEVICE",
        help_heading = "Fleet",
        value_name = "NAME"
    )]
    pub device: Option<String>,
    /// The fleet [default: main]
    #[arg(
        long,
        env = "SANDERLING_FLEET",
        help_heading = "Fleet",
        value_name = "NAME"
    )]
    pub fleet: Option<String>,
    /// The group whose desired model this robot runs [default: all]
    #[arg(
        long,
        env = "SANDERLING_GROUP",
        help_heading = "Fleet",
        value_name = "NAME"
    )]
    pub group: Option<String>,
    /// The MQTT 5 broker: mqtt://HOST:PORT, mqtts://HOST:PORT, or with a login mqtt://USER:PASSWORD@HOST:PORT, where
    /// %40 stands for @ and so on [default: mqtt://127.0.0.1:1883]
    #[arg(
        long,
        env = "SANDERLING_BROKER",
        hide_env_values = true,
        help_heading = "Fleet",
        value_name = "URL"
    )]
    pub broker: Option<String>,
    /// The user name for the broker [default: the device's name]
    #[arg(
        long,
        env = "SANDERLING_USER",
        help_heading = "Fleet",
        value_name = "NAME"
    )]
    pub user: Option<String>,
    /// A file that holds the password for the broker
    #[arg(
        long,
        env = "SANDERLING_PASSWORD_FILE",
        help_heading = "Fleet",
        value_name = "FILE"
    )]
    pub password_file: Option<PathBuf>,
    /// The fleet's certificate, PEM, for a broker at mqtts://: no other is trusted
    #[arg(
        long,
        env = "SANDERLING_CA",
        help_heading = "Fleet",
        value_name = "FILE"
    )]
    pub ca: Option<PathBuf>,
    /// The fleet's public keys (`root` of `sanderling keys init`): install only what they signed
    #[arg(
        long,
        env = "SANDERLING_ROOT",
        help_heading = "Fleet",
        value_name = "FILE"
    )]
    pub root: Option<PathBuf>,
    /// Where models, the outbox and counters live; one agent per folder [default: ./sanderling-agent]
    #[arg(
        long,
        env = "SANDERLING_STATE_DIR",
        help_heading = "Fleet",
        value_name = "FOLDER"
    )]
    pub state_dir: Option<PathBuf>,
    /// A JSON file that tells how the agent fares, replaced whenever something changed
    #[arg(
        long,
        env = "SANDERLING_STATUS_FILE",
        help_heading = "Fleet",
        value_name = "FILE"
    )]
    pub status_file: Option<PathBuf>,
    /// Seconds between two health messages [default: 10]
    #[arg(
        long,
        env = "SANDERLING_HEALTH_SECONDS",
        help_heading = "Fleet",
        value_name = "SECONDS"
    )]
    pub health_seconds: Option<f64>,

    /// A serial device with a microcontroller at its other end: speak for it, so that the fleet sees a robot of its own
    #[arg(
        long,
        env = "SANDERLING_SERIAL",
        help_heading = "Microcontroller",
        value_name = "PATH"
    )]
    pub serial: Option<PathBuf>,
    /// Its speed in bits per second [default: 115200]
    #[arg(
        long,
        env = "SANDERLING_SERIAL_BAUD",
        help_heading = "Microcontroller",
        value_name = "BITS"
    )]
    pub serial_baud: Option<u32>,
    /// A file that holds the password of the microcontroller's own login at the broker
    #[arg(
        long,
        env = "SANDERLING_SERIAL_PASSWORD_FILE",
        help_heading = "Microcontroller",
        value_name = "FILE"
    )]
    pub serial_password_file: Option<PathBuf>,

    /// Frames: a .npy or .npz file, a folder of them, or - for standard input
    #[arg(
        long,
        env = "SANDERLING_SOURCE",
        help_heading = "Input",
        value_name = "PATH"
    )]
    pub source: Option<PathBuf>,
    /// Frames per second for recordings; 0: as fast as the queue takes them [default: 50]
    #[arg(
        long,
        env = "SANDERLING_RATE",
        help_heading = "Input",
        value_name = "HZ"
    )]
    pub rate: Option<f64>,
    /// Begin again at the end of the recording
    #[arg(long = "loop", env = "SANDERLING_LOOP", help_heading = "Input", value_name = "BOOL",
          num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    #[serde(rename = "loop")]
    pub repeat: Option<bool>,
    /// End when the source has ended and every result is confirmed, instead of staying for updates
    #[arg(long, env = "SANDERLING_EXIT_AT_END", help_heading = "Input", value_name = "BOOL",
          num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub exit_at_end: Option<bool>,
    /// The array of a .npz that holds the frames [default: the input's name, `input`, or the only one]
    #[arg(
        long,
        env = "SANDERLING_ARRAY",
        help_heading = "Input",
        value_name = "NAME"
    )]
    pub array: Option<String>,
    /// The array of a .npz that holds each frame's true class, where there is one [default: label]
    #[arg(
        long,
        env = "SANDERLING_LABELS",
        help_heading = "Input",
        value_name = "NAME"
    )]
    pub labels: Option<String>,
    /// How tensors follow one another on standard input [default: raw]
    #[arg(
        long,
        env = "SANDERLING_STDIN",
        help_heading = "Input",
        value_name = "FRAMING"
    )]
    pub stdin: Option<Stdin>,
    /// Frames that wait while the model is busy [default: 32]
    #[arg(
        long,
        env = "SANDERLING_QUEUE",
        help_heading = "Input",
        value_name = "FRAMES"
    )]
    pub queue: Option<usize>,
    /// What happens when more would wait [default: drop-oldest]
    #[arg(
        long,
        env = "SANDERLING_QUEUE_POLICY",
        help_heading = "Input",
        value_name = "POLICY"
    )]
    pub queue_policy: Option<queue::Policy>,

    /// A model to begin with, until the fleet wants another
    #[arg(
        long,
        env = "SANDERLING_MODEL",
        help_heading = "Model",
        value_name = "FILE"
    )]
    pub model: Option<PathBuf>,
    /// Packing targets that this robot takes, best first [default: what this build's engine runs]
    #[arg(
        long,
        env = "SANDERLING_TARGETS",
        help_heading = "Model",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub targets: Option<Vec<String>>,
    /// The largest arena that a model may need, in bytes [default: 67108864]
    #[arg(
        long,
        env = "SANDERLING_ARENA_LIMIT",
        help_heading = "Model",
        value_name = "BYTES"
    )]
    pub arena_limit: Option<u64>,
    /// The largest model file, in bytes [default: 67108864]
    #[arg(
        long,
        env = "SANDERLING_MODEL_LIMIT",
        help_heading = "Model",
        value_name = "BYTES"
    )]
    pub model_limit: Option<u64>,
    /// The largest chunk to ask for, in bytes [default: 32768]
    #[arg(
        long,
        env = "SANDERLING_CHUNK",
        help_heading = "Model",
        value_name = "BYTES"
    )]
    pub chunk: Option<u32>,
    /// Chunks that may be on their way at once [default: 16]
    #[arg(
        long,
        env = "SANDERLING_CREDIT",
        help_heading = "Model",
        value_name = "CHUNKS"
    )]
    pub credit: Option<u16>,
    /// Seconds without a chunk after which they are asked for again [default: 5]
    #[arg(
        long,
        env = "SANDERLING_STALL_SECONDS",
        help_heading = "Model",
        value_name = "SECONDS"
    )]
    pub stall_seconds: Option<f64>,
    /// Seconds that a download may take before it is put off [default: 3600]
    #[arg(
        long,
        env = "SANDERLING_DOWNLOAD_SECONDS",
        help_heading = "Model",
        value_name = "SECONDS"
    )]
    pub download_seconds: Option<f64>,
    /// Seconds that verifying, self-testing, or loading a model may take [default: 60]
    #[arg(
        long,
        env = "SANDERLING_CHECK_SECONDS",
        help_heading = "Model",
        value_name = "SECONDS"
    )]
    pub check_seconds: Option<f64>,
    /// Inferences without a failure after which a new model stays [default: 100]
    #[arg(
        long,
        env = "SANDERLING_TRIAL_INFERENCES",
        help_heading = "Model",
        value_name = "COUNT"
    )]
    pub trial_inferences: Option<u64>,
    /// Seconds without a failure after which a new model stays [default: 30]
    #[arg(
        long,
        env = "SANDERLING_TRIAL_SECONDS",
        help_heading = "Model",
        value_name = "SECONDS"
    )]
    pub trial_seconds: Option<f64>,
    /// Failed inferences that a new model may have during its trial [default: 0]
    #[arg(
        long,
        env = "SANDERLING_TRIAL_FAILURES",
        help_heading = "Model",
        value_name = "COUNT"
    )]
    pub trial_failures: Option<u64>,
    /// Starts of the agent during one self-test and trial after which the model is blamed [default: 8]
    #[arg(
        long,
        env = "SANDERLING_MAX_STARTS",
        help_heading = "Model",
        value_name = "COUNT"
    )]
    pub max_starts: Option<u8>,
    /// Milliseconds that 99 of 100 inferences of a new model may take; 0: no such bound [default: 0]
    #[arg(
        long,
        env = "SANDERLING_TRIAL_P99_MS",
        help_heading = "Model",
        value_name = "MS"
    )]
    pub trial_p99_ms: Option<f64>,
    /// The same as a share of the active model's time, in percent; 0: no such bound [default: 400]
    #[arg(
        long,
        env = "SANDERLING_TRIAL_P99_PERCENT",
        help_heading = "Model",
        value_name = "PERCENT"
    )]
    pub trial_p99_percent: Option<u32>,
    /// Milliseconds that are added to that share [default: 20]
    #[arg(
        long,
        env = "SANDERLING_TRIAL_P99_SLACK_MS",
        help_heading = "Model",
        value_name = "MS"
    )]
    pub trial_p99_slack_ms: Option<f64>,
    /// Seconds without a result after which an inference of a new model is stuck [default: 10]
    #[arg(
        long,
        env = "SANDERLING_WATCHDOG_SECONDS",
        help_heading = "Model",
        value_name = "SECONDS"
    )]
    pub watchdog_seconds: Option<f64>,
    /// Seconds without a new chunk after which a download is put off [default: 600]
    #[arg(
        long,
        env = "SANDERLING_PROGRESS_SECONDS",
        help_heading = "Model",
        value_name = "SECONDS"
    )]
    pub progress_seconds: Option<f64>,
    /// Pull from the HTTP address that a manifest names, where it names one [default: true]
    #[arg(long, env = "SANDERLING_AGENT_HTTP", help_heading = "Model", value_name = "BOOL",
          num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub http: Option<bool>,
    /// What must hold before this robot changes its model: docked, battery>0.5, no-mission, a time of day like 01:00-05:00 (UTC), 01:00-05:00 Europe/Berlin or 01:00-05:00 local [default: nothing]
    #[arg(
        long,
        env = "SANDERLING_UPDATE_WHEN",
        help_heading = "Model",
        value_name = "LIST",
        value_delimiter = ','
    )]
    pub update_when: Option<Vec<String>>,
    /// Below which confidence an answer is counted as one of low confidence [default: 0.5]
    #[arg(
        long,
        env = "SANDERLING_LOW_CONFIDENCE",
        help_heading = "Model",
        value_name = "VALUE"
    )]
    pub low_confidence: Option<f32>,
    /// Percent of one processor's time for a candidate that runs beside the active model [default: 25]
    #[arg(
        long,
        env = "SANDERLING_SHADOW_PERCENT",
        help_heading = "Model",
        value_name = "PERCENT"
    )]
    pub shadow_percent: Option<u32>,
    /// How far outputs that are no classes may be apart before a candidate disagrees, in stored steps [default: 1]
    #[arg(
        long,
        env = "SANDERLING_SHADOW_TOLERANCE",
        help_heading = "Model",
        value_name = "STEPS"
    )]
    pub shadow_tolerance: Option<f32>,

    /// The format of published results [default: postcard]
    #[arg(
        long,
        env = "SANDERLING_RESULTS",
        help_heading = "Results",
        value_name = "FORMAT"
    )]
    pub results: Option<Format>,
    /// What a result holds [default: auto]
    #[arg(
        long,
        env = "SANDERLING_ANSWER",
        help_heading = "Results",
        value_name = "WHAT"
    )]
    pub answer: Option<Answer>,
    /// Bytes that results may take on disk while the fleet cannot be reached [default: 67108864]
    #[arg(
        long,
        env = "SANDERLING_OUTBOX_BYTES",
        help_heading = "Results",
        value_name = "BYTES"
    )]
    pub outbox_bytes: Option<u64>,
    /// Which results are lost beyond that [default: drop-oldest]
    #[arg(
        long,
        env = "SANDERLING_OUTBOX_POLICY",
        help_heading = "Results",
        value_name = "POLICY"
    )]
    pub outbox_policy: Option<outbox::Policy>,
    /// When results are forced onto the medium [default: interval]
    #[arg(
        long,
        env = "SANDERLING_OUTBOX_SYNC",
        help_heading = "Results",
        value_name = "WHEN"
    )]
    pub outbox_sync: Option<Sync>,
    /// Seconds without the fleet's receipt after which a result is sent again [default: 10]
    #[arg(
        long,
        env = "SANDERLING_RESEND_SECONDS",
        help_heading = "Results",
        value_name = "SECONDS"
    )]
    pub resend_seconds: Option<f64>,

    /// Keep all memory in RAM (mlockall)
    #[arg(long, env = "SANDERLING_LOCK_MEMORY", help_heading = "Real time", value_name = "BOOL",
          num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub lock_memory: Option<bool>,
    /// Processors for the inference thread, for example 2,3
    #[arg(
        long,
        env = "SANDERLING_CPUS",
        help_heading = "Real time",
        value_name = "LIST",
        value_delimiter = ','
    )]
    pub cpus: Option<Vec<usize>>,
    /// Real-time priority of the inference thread, 1 to 99 (SCHED_FIFO)
    #[arg(
        long,
        env = "SANDERLING_PRIORITY",
        help_heading = "Real time",
        value_name = "1-99"
    )]
    pub priority: Option<u8>,
}

/// Why the TOML file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not TOML, or names something that cannot be set.
    #[error("{}: {why}; `sanderling-agent --print-config` prints every key", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        why: String,
    },
}

impl Settings {
    /// Reads the TOML file at `path`.
    pub fn read(path: &Path) -> Result<Settings, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read {
            path: path.to_owned(),
            source,
        })?;
        Settings::parse(&text).map_err(|why| SettingsError::Parse {
            path: path.to_owned(),
            why,
        })
    }

    /// Reads TOML; the error is one line.
    pub fn parse(text: &str) -> Result<Settings, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let message = error.message().replace('\n', " ");
            // The list of all keys that follows is long, and `--print-config` shows it better.
            let message = message
                .split(", expected one of")
                .next()
                .unwrap_or_default();
            match error.span().and_then(|span| text.get(..span.start)) {
                Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
                None => message.to_owned(),
            }
        })
    }
}

/// Takes each field from the first of two [`Settings`] that has it.
macro_rules! prefer {
    ($first:ident, $second:ident, $($field:ident)*) => {
        Settings { $($field: $first.$field.or($second.$field)),* }
    };
}

impl Settings {
    /// These settings, and `others` where these say nothing.
    pub fn or(self, others: Settings) -> Settings {
        prefer!(self, others,
            device fleet group broker user password_file ca root state_dir status_file health_seconds
            serial serial_baud serial_password_file
            source rate repeat exit_at_end array labels stdin queue queue_policy
            model targets arena_limit model_limit chunk credit stall_seconds download_seconds check_seconds
            trial_inferences trial_seconds trial_failures max_starts
            trial_p99_ms trial_p99_percent trial_p99_slack_ms watchdog_seconds progress_seconds http update_when
            low_confidence shadow_percent shadow_tolerance
            results answer outbox_bytes outbox_policy outbox_sync resend_seconds
            lock_memory cpus priority)
    }
}

#[cfg(test)]
mod tests;
