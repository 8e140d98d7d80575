//! Configuration: flags, then environment, then a TOML file, then defaults that work on a laptop.

mod passwords;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use percent_encoding::percent_decode_str;
use sanderling_wire::Name;
use serde::Deserialize;

pub use passwords::with_password;

/// What flags and environment say; each flag is also a key of the TOML file.
#[derive(Clone, Debug, Default, Parser, Deserialize)]
#[command(
    name = "sanderling-coordinator",
    version,
    args_override_self = true,
    about = "The fleet's one process: broker, registry, updates and HTTP API",
    long_about = "The fleet's one process: it runs an MQTT broker (or uses yours), keeps the registry of models \
        in SQLite, tells robots what to run, sends them model files when they ask, counts their results, \
        and answers HTTP.\n\n\
        Without any option it keeps its data in ./sanderling-data and listens on this machine only: \
        MQTT on port 1883, HTTP on port 7380. Robots on other machines reach it with --mqtt 0.0.0.0:1883. \
        Without --tls or --logins the broker takes anybody: listen beyond this machine only on a network that you trust.",
    after_long_help = "Examples:\n  \
        sanderling-coordinator                                 a fleet on this machine\n  \
        sanderling-coordinator --mqtt 0.0.0.0:1883             robots connect over the network\n  \
        sanderling-coordinator --tls 0.0.0.0:8883 --tls-name fleet.local   TLS, and a login for each robot\n  \
        sanderling-coordinator --broker-url mqtt://host:1883   use Mosquitto or another MQTT 5 broker\n  \
        sanderling-coordinator --http 127.0.0.1:0 --mqtt 127.0.0.1:0 --ready-file ready.json\n\
        \n\
        Port 0 means a free port: the one used last with the same data, if it is still free. When all is up, \
        one line of JSON on standard output (and the ready file) names the addresses.\n\
        Try: curl http://127.0.0.1:7380/v1/devices   and   curl http://127.0.0.1:7380/openapi.json"
)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Options {
    /// TOML file with the same settings, named as the flags are: `data-dir = "…"`
    #[arg(long, env = "SANDERLING_COORDINATOR_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Where registry and model files are kept [default: ./sanderling-data]
    #[arg(long, env = "SANDERLING_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// The fleet's keys: `root` and `fleet.key` of `sanderling keys init` [default: keys in the data directory]
    #[arg(long, env = "SANDERLING_KEYS", value_name = "DIR")]
    pub keys: Option<PathBuf>,

    /// Seconds that a signed desired state is believed; it is signed anew after half of that [default: 604800]
    #[arg(long, env = "SANDERLING_DESIRED_LIFE", value_name = "SECONDS")]
    pub desired_life: Option<u64>,

    /// Name of the fleet, the third level of every topic [default: main]
    #[arg(long, env = "SANDERLING_FLEET", value_name = "NAME")]
    pub fleet: Option<Name>,

    /// Address of the HTTP API [default: 127.0.0.1:7380]
    #[arg(long, env = "SANDERLING_HTTP", value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,

    /// Another name by which the HTTP API is called, beside its address and `localhost`; may be given several times.
    /// Requests for any other name are refused: a web page can make its own name resolve to this machine
    #[arg(
        long = "http-name",
        env = "SANDERLING_HTTP_NAME",
        value_name = "HOST",
        value_delimiter = ','
    )]
    #[serde(default)]
    pub http_name: Vec<String>,

    /// Address of the embedded MQTT broker [default: 127.0.0.1:1883]
    #[arg(
        long,
        env = "SANDERLING_MQTT",
        value_name = "ADDRESS",
        conflicts_with = "broker_url"
    )]
    pub mqtt: Option<SocketAddr>,

    /// Use this MQTT 5 broker instead of the embedded one: mqtt://HOST:PORT, or mqtt://USER:PASSWORD@HOST:PORT, where
    /// %40 stands for @ and so on
    #[arg(
        long,
        env = "SANDERLING_BROKER_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub broker_url: Option<String>,

    /// Keep the registry in this PostgreSQL database, which several coordinators may share:
    /// postgres://USER:PASSWORD@HOST/DATABASE. They share a broker too [default: a file in the data directory]
    #[arg(
        long,
        env = "SANDERLING_DATABASE",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub database: Option<String>,

    /// The file with the database's password, so that it does not stand in the URL
    #[arg(long, env = "SANDERLING_DATABASE_PASSWORD_FILE", value_name = "FILE")]
    pub database_password_file: Option<PathBuf>,

    /// Where model files are kept; a folder that coordinators with one database share [default: objects in the data directory]
    #[arg(long, env = "SANDERLING_OBJECTS", value_name = "DIR")]
    pub objects: Option<PathBuf>,
    /// Listen here for MQTT over TLS; then every client of the embedded broker needs a login (`sanderling enroll`),
    /// and without --mqtt nothing but this machine's loopback is served in the clear
    #[arg(
        long,
        env = "SANDERLING_TLS",
        value_name = "ADDRESS",
        conflicts_with = "broker_url"
    )]
    pub tls: Option<SocketAddr>,

    /// Host name or address by which robots reach the broker, for its certificate; may be given several times
    #[arg(
        long = "tls-name",
        env = "SANDERLING_TLS_NAME",
        value_name = "HOST",
        value_delimiter = ','
    )]
    #[serde(default)]
    pub tls_name: Vec<String>,

    /// Ask every client of the embedded broker for a login, also without TLS
    #[arg(long, env = "SANDERLING_LOGINS")]
    #[serde(default)]
    pub logins: bool,

    /// With --broker-url mqtts://…: trust the certificates in this PEM file
    #[arg(long, env = "SANDERLING_BROKER_CA", value_name = "FILE")]
    pub broker_ca: Option<PathBuf>,

    /// With --broker-url: the file with the password, so that it does not stand in the URL
    #[arg(long, env = "SANDERLING_BROKER_PASSWORD_FILE", value_name = "FILE")]
    pub broker_password_file: Option<PathBuf>,

    /// Largest model file that is taken, in bytes [default: 67108864]
    #[arg(long, env = "SANDERLING_MAX_MODEL_BYTES", value_name = "BYTES")]
    pub max_model_bytes: Option<u64>,

    /// Largest holdout that is taken, in bytes, and as much unpacked [default: 268435456]
    #[arg(long, env = "SANDERLING_MAX_HOLDOUT_BYTES", value_name = "BYTES")]
    pub max_holdout_bytes: Option<u64>,

    /// Seconds that the evaluation of one version on one holdout may take [default: 600]
    #[arg(long, env = "SANDERLING_EVALUATION_SECONDS", value_name = "SECONDS")]
    pub evaluation_seconds: Option<u64>,

    /// Groups that take only versions in production, by push or rollout; `*` for every group
    #[arg(
        long,
        env = "SANDERLING_ONLY_PRODUCTION",
        value_name = "GROUPS",
        value_delimiter = ','
    )]
    #[serde(default)]
    pub only_production: Vec<String>,
    /// Seconds that a registration or a push may wait for deltas from earlier versions, where no release keys sign;
    /// 0: none are made [default: 10]
    #[arg(long, env = "SANDERLING_DELTA_SECONDS", value_name = "SECONDS")]
    pub delta_seconds: Option<u64>,

    /// Bytes of models that are sent per second at most; 0: as fast as the broker takes them [default: 0]
    #[arg(long, env = "SANDERLING_SUPPLY_RATE", value_name = "BYTES")]
    pub supply_rate: Option<u64>,

    /// Bytes of models that may go out at once after a pause [default: 4194304]
    #[arg(long, env = "SANDERLING_SUPPLY_BURST", value_name = "BYTES")]
    pub supply_burst: Option<u64>,

    /// Write the addresses here, as JSON, when all is up
    #[arg(long, env = "SANDERLING_READY_FILE", value_name = "FILE")]
    pub ready_file: Option<PathBuf>,

    /// What to log: error, warn, info, debug, trace, or per module as in tracing's filters [default: info]
    #[arg(long, env = "SANDERLING_LOG", value_name = "FILTER")]
    pub log: Option<String>,
}

/// A complete configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where registry and model files are kept.
    pub data_dir: PathBuf,
    /// Where the fleet's keys are; none: `keys` in the data directory.
    pub keys: Option<PathBuf>,
    /// How long a signed desired state is believed.
    pub desired_life: Duration,
    /// The fleet's name.
    pub fleet: Name,
    /// Where HTTP listens.
    pub http: SocketAddr,
    /// By which names it is called beside its address.
    pub http_names: Vec<String>,
    /// Which broker is used.
    pub broker: Broker,
    /// The PostgreSQL database, where there is one.
    pub database: Option<String>,
    /// Its password, where it does not stand in the URL.
    pub database_password_file: Option<PathBuf>,
    /// Where model files are kept.
    pub objects: PathBuf,
    /// Where the embedded broker listens with TLS.
    pub tls: Option<SocketAddr>,
    /// What the broker is called in its certificate, beside this machine's own names.
    pub tls_names: Vec<String>,
    /// Whether the embedded broker asks for logins.
    pub logins: bool,
    /// Whom the link to another broker trusts.
    pub broker_ca: Option<PathBuf>,
    /// The password for another broker.
    pub broker_password_file: Option<PathBuf>,
    /// The largest model file, in bytes.
    pub max_model_bytes: u64,
    /// The largest holdout, in bytes.
    pub max_holdout_bytes: u64,
    /// How long an evaluation may take.
    pub evaluation: Duration,
    /// The groups that take only versions in production; `*`: every one.
    pub only_production: Vec<String>,
    /// How long a request may wait for deltas; zero: none are made.
    pub delta_time: Duration,
    /// Bytes of models per second; 0: no limit.
    pub supply_rate: u64,
    /// Bytes of models at once after a pause.
    pub supply_burst: u64,
    /// Where the addresses are written when all is up.
    pub ready_file: Option<PathBuf>,
}

/// Which broker is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broker {
    /// One in this process, listening here.
    Embedded(SocketAddr),
    /// One that somebody else runs.
    External(BrokerUrl),
}

/// Where an MQTT broker is.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User name and password.
    pub login: Option<(String, String)>,
    /// Whether TLS is spoken.
    pub tls: bool,
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read: {error}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not what it should be.
    #[error(
        "the configuration file {path} is wrong at line {line}: {why}; --help lists the settings"
    )]
    Parse {
        /// Which file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// Why.
        why: String,
    },
    /// The broker's URL is not one.
    #[error("{url:?} is not a broker's address: {why}; write mqtt://HOST:PORT")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Options {
    /// Fills in what flags and environment leave open from the file and the defaults.
    pub fn complete(self) -> Result<Config, ConfigError> {
        let file = match &self.config {
            Some(path) => Options::read(path)?,
            None => Options::default(),
        };
        // A broker given by flag replaces the file's, whichever kind that was.
        let broker = match (&self.broker_url, self.mqtt) {
            (Some(url), _) => Broker::External(url.parse()?),
            (None, Some(address)) => Broker::Embedded(address),
            (None, None) => match (&file.broker_url, file.mqtt) {
                (Some(url), _) => Broker::External(url.parse()?),
                (None, address) => {
                    Broker::Embedded(address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 1883))))
                }
            },
        };
        let data_dir = self.data_dir.or(file.data_dir);
        let data_dir = data_dir.unwrap_or_else(|| "sanderling-data".into());
        let objects = self.objects.or(file.objects);
        let tls = self.tls.or(file.tls);
        let plain = self.mqtt.or(file.mqtt);
        let broker = match broker {
            // Only the coordinator itself connects there.
            Broker::Embedded(_) if tls.is_some() && plain.is_none() => {
                Broker::Embedded(SocketAddr::from(([127, 0, 0, 1], 0)))
            }
            broker => broker,
        };
        let mut tls_names = self.tls_name;
        tls_names.extend(file.tls_name);
        let mut http_names = self.http_name;
        http_names.extend(file.http_name);
        Ok(Config {
            database: self.database.or(file.database),
            database_password_file: self.database_password_file.or(file.database_password_file),
            http_names,
            objects: objects.unwrap_or_else(|| data_dir.join("objects")),
            tls,
            tls_names,
            logins: self.logins || file.logins || tls.is_some(),
            broker_ca: self.broker_ca.or(file.broker_ca),
            broker_password_file: self.broker_password_file.or(file.broker_password_file),
            data_dir,
            keys: self.keys.or(file.keys),
            desired_life: Duration::from_secs(
                self.desired_life
                    .or(file.desired_life)
                    .unwrap_or(7 * 24 * 3600)
                    .max(2),
            ),
            fleet: self.fleet.or(file.fleet).unwrap_or_else(default_fleet),
            http: self
                .http
                .or(file.http)
                .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 7380))),
            broker,
            max_model_bytes: self
                .max_model_bytes
                .or(file.max_model_bytes)
                .unwrap_or(64 << 20),
            max_holdout_bytes: self
                .max_holdout_bytes
                .or(file.max_holdout_bytes)
                .unwrap_or(256 << 20),
            evaluation: Duration::from_secs(
                self.evaluation_seconds
                    .or(file.evaluation_seconds)
                    .unwrap_or(600),
            ),
            only_production: match self.only_production.is_empty() {
                true => file.only_production,
                false => self.only_production,
            },
            delta_time: Duration::from_secs(
                self.delta_seconds.or(file.delta_seconds).unwrap_or(10),
            ),
            supply_rate: self.supply_rate.or(file.supply_rate).unwrap_or(0),
            supply_burst: self.supply_burst.or(file.supply_burst).unwrap_or(4 << 20),
            ready_file: self.ready_file.or(file.ready_file),
        })
    }

    /// The log filter, from flags, environment and file.
    pub fn log_filter(&self) -> String {
        let from_file = || {
            self.config
                .as_deref()
                .and_then(|p| Options::read(p).ok()?.log)
        };
        self.log
            .clone()
            .or_else(from_file)
            .unwrap_or_else(|| "info".to_owned())
    }

    fn read(path: &Path) -> Result<Options, ConfigError> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
            path: name(),
            error,
        })?;
        toml::from_str(&text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(start).filter(|b| *b == b'\n').count();
            let why = error.message().lines().collect::<Vec<_>>().join(" ");
            ConfigError::Parse {
                path: name(),
                line,
                why,
            }
        })
    }
}

fn default_fleet() -> Name {
    Name::new("main").unwrap_or_else(|_| unreachable!("the default is a name"))
}

impl std::str::FromStr for BrokerUrl {
    type Err = ConfigError;

    fn from_str(url: &str) -> Result<BrokerUrl, ConfigError> {
        let wrong = |why| ConfigError::Url {
            url: without_login(url),
            why,
        };
        let (tls, rest) = match url.split_once("://") {
            Some(("mqtt" | "tcp", rest)) => (false, rest),
            Some(("mqtts" | "ssl", rest)) => (true, rest),
            _ => return Err(wrong("it does not begin with mqtt:// or mqtts://")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
                (Some((decoded(user), decoded(password))), place)
            }
            None => (None, rest),
        };
        // An IPv6 address stands in brackets, so that its colons are not taken for the port's.
        let (host, port) = match place.strip_prefix('[') {
            Some(v6) => {
                let (host, after) = v6.split_once(']').ok_or_else(|| wrong("a ] is missing"))?;
                (host, after.strip_prefix(':'))
            }
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        if host.is_empty() {
            return Err(wrong("the host is missing"));
        }
        let port = match port {
            Some(port) => port
                .parse()
                .map_err(|_| wrong("the port is not a number below 65536"))?,
            None if tls => 8883,
            None => 1883,
        };
        Ok(BrokerUrl {
            host: host.to_owned(),
            port,
            login,
            tls,
        })
    }
}

/// A URL without the login in it, so that it can be shown.
fn without_login(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    format!("{scheme}{place}")
}

impl std::fmt::Debug for BrokerUrl {
    /// As for people: without the login.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::fmt::Display for BrokerUrl {
    /// Without the login, so that it can be logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Options::command().debug_assert();
    }

    #[test]
    fn broker_urls() {
        let url = |text: &str| text.parse::<BrokerUrl>();
        assert_eq!(url("mqtt://host").unwrap().to_string(), "mqtt://host:1883");
        assert_eq!(
            url("mqtt://[::1]:2000/").unwrap().to_string(),
            "mqtt://[::1]:2000"
        );
        assert_eq!(url("mqtts://h").unwrap().to_string(), "mqtts://h:8883");
        let encoded = url("mqtt://a%40b:p%3A%2F%25@host").unwrap();
        assert_eq!(encoded.login, Some(("a@b".into(), "p:/%".into())));
        for secret in ["mqtt://me:hunter2@host:x", "http://me:hunter2@host"] {
            let error = url(secret).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let with_login = url("mqtt://me:se@cret@host:1").unwrap();
        assert!(!format!("{with_login:?}").contains("cret"));
        assert_eq!(with_login.login, Some(("me".into(), "se@cret".into())));
        assert!(!with_login.to_string().contains("cret"));
        for bad in [
            "",
            "host:1883",
            "http://host",
            "mqtt://",
            "mqtt://host:x",
            "mqtt://[::1:1",
        ] {
            assert!(url(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn flags_stand_over_the_file_and_the_file_over_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(
            &path,
            "fleet = \"lab\"\nbroker-url = \"mqtt://b\"\nhttp = \"127.0.0.1:1\"\n",
        )
        .unwrap();
        let path = path.to_str().unwrap();
        let parse = |args: &[&str]| {
            let all = ["x", "--config", path];
            let args = all.iter().chain(args);
            Options::try_parse_from(args).unwrap().complete().unwrap()
        };
        let config = parse(&[]);
        assert_eq!(config.fleet.as_str(), "lab");
        assert!(matches!(&config.broker, Broker::External(url) if url.host == "b"));
        assert_eq!(config.max_model_bytes, 64 << 20);
        let config = parse(&["--mqtt", "127.0.0.1:0", "--fleet", "f2"]);
        assert_eq!(config.fleet.as_str(), "f2");
        assert!(matches!(config.broker, Broker::Embedded(_)));
        assert_eq!(config.http.port(), 1);

        std::fs::write(path, "flet = \"lab\"\n").unwrap();
        let error = Options::try_parse_from(["x", "--config", path])
            .unwrap()
            .complete()
            .unwrap_err();
        assert!(error.to_string().contains("flet"), "{error}");
    }
}
