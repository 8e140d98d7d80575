//! Starting, running and stopping the whole coordinator.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sanderling_wire::{Kind, Name, Topic};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::access::{Access, AccessError};
use crate::begin::{begin, is_not_lost};
use crate::broker::{BrokerError, BrokerOptions, BrokerTls, EmbeddedBroker};
use crate::config::{Broker, BrokerUrl, Config, with_password};
use crate::decide::bucket::Bucket;
use crate::decide::places;
use crate::deltas::Deltas;
use crate::descriptors;
use crate::doors::Doors;
use crate::evaluate::Evaluator;
use crate::files::{FileError, Files};
use crate::fleet::{Fleet, Memory};
use crate::http::serve::serve;
use crate::http::{App, Hosts, router};
use crate::link::{Link, LinkOptions};
use crate::listen::{LastPorts, embedded, last_ports, listen, loopback, reachable};
use crate::rollouts::Rollouts;
use crate::say::random;
use crate::secrets;
use crate::signer::{KeysError, Signer};
use crate::storage;
use crate::store::{Store, StoreError};
use crate::supplier::Supplier;
use crate::tls::{self, Authority, TlsError};

/// Requests for chunks that may wait: a fleet that is updated at once asks at once.
const REQUESTS: usize = 1 << 16;

/// Why the coordinator does not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The data directory cannot be used.
    #[error(
        "the data directory {path} cannot be used: {error}; free some space, see to the rights, or choose another with --data-dir"
    )]
    DataDir {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The registry is gone, and what it spoke of is not.
    #[error(
        "the registry {registry} is {what} although there are model files in {objects}: put it back from a backup; to begin with an empty one, move that folder away first"
    )]
    Lost {
        /// Its file.
        registry: String,
        /// Missing or empty.
        what: &'static str,
        /// Where the model files are.
        objects: String,
    },
    /// Another coordinator works there.
    #[error(
        "another coordinator uses the data directory {path}; stop it, or choose another with --data-dir"
    )]
    InUse {
        /// Which.
        path: String,
    },
    /// HTTP cannot listen.
    #[error(
        "HTTP cannot listen on {address}: {error}; choose another address with --http, or stop what uses it"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The ready file cannot be written.
    #[error("the ready file {path} cannot be written: {error}")]
    ReadyFile {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// See there.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See there.
    #[error(transparent)]
    Files(#[from] FileError),
    /// See there.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// See there.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// See there.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The HTTP server ended.
    #[error("the HTTP server ended: {0}")]
    Http(String),
}

/// Where everything is, for scripts: the line on standard output, and the ready file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Always true; a reader can tell the line from log lines by it.
    pub ready: bool,
    /// `http://ADDRESS:PORT`
    pub http: String,
    /// `mqtt://ADDRESS:PORT`, or `mqtts://` where robots come over TLS
    pub mqtt: String,
    /// The fleet's name.
    pub fleet: String,
    /// The process.
    pub pid: u32,
    /// Where the data is.
    pub data_dir: PathBuf,
}

/// A running coordinator.
#[derive(Debug)]
pub struct Coordinator {
    ready: Ready,
    broker: Option<EmbeddedBroker>,
    http: JoinHandle<()>,
    fleet: JoinHandle<()>,
    supplier: JoinHandle<()>,
    stop: watch::Sender<bool>,
    store: Store,
    /// Held, so that no second coordinator works in the same directory.
    _lock: File,
}

impl Coordinator {
    /// Starts everything and waits until it answers.
    pub async fn start(config: Config) -> Result<Coordinator, RunError> {
        let data_dir = |error| RunError::DataDir {
            path: config.data_dir.display().to_string(),
            error,
        };
        let descriptors = descriptors::raise();
        secrets::passage(&config.data_dir).map_err(data_dir)?;
        let lock = lock(&config.data_dir)?;
        for left_open in LEFT_OPEN {
            secrets::close(&config.data_dir.join(left_open));
        }
        storage::probe(&config.data_dir, storage::AT_START).map_err(data_dir)?;
        let store = match &config.database {
            Some(url) => match &config.database_password_file {
                Some(path) => Store::at(&with_password(url, &secret(path)?)).await?,
                None => Store::at(url).await?,
            },
            None => {
                let registry = config.data_dir.join("registry.sqlite");
                is_not_lost(&registry, &config.objects)?;
                Store::open(&registry).await?
            }
        };
        let files = Files::in_directory(&config.objects)?;
        let newest = begin(&store, &files).await?;
        let keys = config.keys.clone();
        let keys = keys.unwrap_or_else(|| config.data_dir.join("keys"));
        let signer = Arc::new(Signer::open(&keys, config.desired_life)?);

        let ports_file = config.data_dir.join("ports.json");
        let last = last_ports(&ports_file);
        let listener = listen(config.http, last.http).await?;
        let http_address = listener.local_addr().map_err(|error| RunError::Listen {
            address: config.http,
            error,
        })?;
        if !http_address.ip().is_loopback() {
            tracing::warn!(
                "OPEN API: whoever reaches http://{http_address} can register, push, and enroll, without an account and \
                 without TLS; listen on 127.0.0.1, or let nobody reach it but a proxy that asks for both"
            );
        }
        let (http_places, mqtt_places) = places::shares(descriptors);
        let access = Arc::new(Access::open(store.clone(), config.fleet.clone()).await?);
        let tls_folder = config.data_dir.join("tls");
        let tls_names = broker_names(&config);
        let enforced = match config.broker {
            Broker::Embedded(_) => Some(config.logins),
            Broker::External(_) => None,
        };
        let (broker, broker_url, robots_url, link_tls) = match config.broker {
            Broker::Embedded(address) => {
                let tls = match config.tls {
                    Some(address) => Some(certificate(address, &tls_folder, &tls_names)?),
                    None => None,
                };
                let options = BrokerOptions {
                    address,
                    tls,
                    access: Arc::clone(&access),
                    logins: config.logins,
                    places: mqtt_places,
                };
                let broker = embedded(options, last).await?;
                let mut url = reachable(broker.address());
                let robots = match broker.tls_address() {
                    Some(address) => BrokerUrl {
                        host: config
                            .tls_names
                            .first()
                            .cloned()
                            .unwrap_or_else(|| loopback(address).ip().to_string()),
                        tls: true,
                        ..reachable(address)
                    },
                    None => url.clone(),
                };
                url.login = Some(access.own_login());
                if !address.ip().is_loopback() {
                    match config.logins {
                        true => tracing::warn!(
                            "OPEN PASSWORDS: robots say them to {address} without TLS; start with --tls instead of --mqtt"
                        ),
                        false => tracing::warn!(
                            "OPEN BROKER: whoever reaches {address} can speak for any robot, without an account and \
                             without TLS; start with --tls, and enroll robots"
                        ),
                    }
                }
                (Some(broker), url, robots, None)
            }
            Broker::External(mut url) => {
                if let (Some(path), Some((_, password))) =
                    (&config.broker_password_file, &mut url.login)
                {
                    *password = secret(path)?;
                }
                if url.login.is_some() && !url.tls && !url.is_here() {
                    tracing::warn!(
                        "OPEN PASSWORD: it goes to {url} without TLS; use mqtts:// with --broker-ca"
                    );
                }
                let link_tls = match (&config.broker_ca, url.tls) {
                    (Some(path), true) => {
                        let pem = std::fs::read(path).map_err(|error| file(path, error))?;
                        Some(tls::client(&pem)?)
                    }
                    (None, true) => {
                        let why =
                            "mqtts:// needs --broker-ca FILE: the certificates that it trusts";
                        return Err(TlsError::Certificate(why.to_owned()).into());
                    }
                    (_, false) => None,
                };
                (None, url.clone(), url, link_tls)
            }
        };
        let ports = LastPorts {
            http: http_address.port(),
            mqtt: broker.as_ref().map_or(last.mqtt, |b| b.address().port()),
            tls: broker
                .as_ref()
                .and_then(EmbeddedBroker::tls_address)
                .map_or(last.tls, |address| address.port()),
        };
        let text = serde_json::to_string(&ports).unwrap_or_default();
        std::fs::write(&ports_file, text).map_err(data_dir)?;

        let filters = filters(&config.fleet, store.is_shared());
        let mut client_id = access.own_client_id();
        if store.is_shared() {
            // Two clients with one id throw each other out.
            client_id.push_str(&format!("-{:016x}", random()));
        }
        let (link, incoming) = Link::start(LinkOptions {
            broker: broker_url.clone(),
            client_id,
            filters,
            will: None,
            tls: link_tls,
        });
        let link = Arc::new(link);
        let (news, _) = watch::channel(newest);
        let (stop, stopping) = watch::channel(false);
        let (trouble, storage_trouble) = watch::channel(None);
        let (requests, wanted) = mpsc::channel(REQUESTS);
        let (orders, commands) = mpsc::channel(16);
        let supplier = Supplier {
            fleet: config.fleet.clone(),
            store: store.clone(),
            files: files.clone(),
            link: Arc::clone(&link),
            bucket: Bucket::new(config.supply_rate, config.supply_burst, Instant::now()),
        };
        let fleet = Fleet {
            fleet: config.fleet.clone(),
            store: store.clone(),
            link: Arc::clone(&link),
            signer: Arc::clone(&signer),
            requests,
            news: news.clone(),
            trouble,
            memory: Memory::default(),
            rollouts: Rollouts::default(),
        };
        let bounds = (config.evaluation, config.max_holdout_bytes);
        let evaluator = Evaluator::new(&store, &files, bounds, &news, &stopping);
        let mut connected = link.connected();
        let deltas = Deltas::new(
            store.clone(),
            files.clone(),
            Arc::clone(&signer),
            config.delta_time,
        );
        let hosts = Hosts::new(http_address, &config.http_names);
        let app = Arc::new(App {
            hosts: Arc::new(hosts),
            fleet: config.fleet.clone(),
            store: store.clone(),
            files,
            deltas,
            link,
            signer,
            access,
            enforced,
            data_dir: config.data_dir.clone(),
            storage_trouble,
            tls_folder,
            tls_names,
            mosquitto: config.data_dir.join("mosquitto"),
            broker: robots_url.to_string(),
            max_model_bytes: usize::try_from(config.max_model_bytes).unwrap_or(usize::MAX),
            max_holdout_bytes: usize::try_from(config.max_holdout_bytes).unwrap_or(usize::MAX),
            evaluator: Arc::new(evaluator),
            only_production: config.only_production,
            news,
            orders,
            stopping: stopping.clone(),
        });
        let supplier = tokio::spawn(supplier.run(wanted));
        let fleet = tokio::spawn(fleet.run(incoming, commands));
        let doors = Doors::new("the HTTP API", http_places);
        let http = tokio::spawn(serve(listener, doors, router(app), stopping));

        // An embedded broker is there at once. Another may be away: then the API answers already,
        // and /healthz says what is missing.
        let _ = tokio::time::timeout(Duration::from_secs(5), connected.wait_for(|up| *up)).await;
        let ready = Ready {
            ready: true,
            http: format!("http://{}", loopback(http_address)),
            mqtt: robots_url.to_string(),
            fleet: config.fleet.to_string(),
            pid: std::process::id(),
            data_dir: config.data_dir.clone(),
        };
        if let Some(path) = &config.ready_file {
            write_whole(path, &ready)?;
        }
        Ok(Coordinator {
            ready,
            broker,
            http,
            fleet,
            supplier,
            stop,
            store,
            _lock: lock,
        })
    }

    /// Where everything is.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Waits until a part of it fails.
    pub async fn failed(&mut self) -> RunError {
        let broker = async {
            match &mut self.broker {
                Some(broker) => broker.ended().await,
                None => std::future::pending().await,
            }
        };
        let gone = |what: &str| {
            RunError::Http(format!(
                "the {what} task ended; this is a fault of the program"
            ))
        };
        tokio::select! {
            error = broker => error.into(),
            ended = &mut self.http => match ended {
                Ok(()) => RunError::Http("it was stopped".to_owned()),
                Err(error) => RunError::Http(error.to_string()),
            },
            _ = &mut self.fleet => gone("fleet"),
            _ = &mut self.supplier => gone("supplier"),
        }
    }

    /// Stops in order: no new requests, what is under way is finished, the database is closed.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let mut http = self.http;
        if tokio::time::timeout(Duration::from_secs(3), &mut http)
            .await
            .is_err()
        {
            http.abort();
        }
        // Both work in transactions, or send what can be asked for again.
        self.fleet.abort();
        self.supplier.abort();
        let _ = tokio::join!(self.fleet, self.supplier);
        if let Some(broker) = self.broker {
            broker.stop().await;
        }
        let _ = tokio::time::timeout(Duration::from_secs(5), self.store.close()).await;
    }
}

/// What earlier versions left open in a data directory.
const LEFT_OPEN: [&str; 5] = [
    "registry.sqlite",
    "registry.sqlite-wal",
    "registry.sqlite-shm",
    "objects",
    "tls",
];

/// The password in a file.
fn secret(path: &Path) -> Result<String, TlsError> {
    let text = secrets::read(path).map_err(|error| file(path, error))?;
    Ok(text.trim_end().to_owned())
}

fn file(path: &Path, error: std::io::Error) -> TlsError {
    TlsError::File {
        path: path.display().to_string(),
        error,
    }
}

/// What the coordinator listens to. Coordinators that share a database share the work that
/// robots ask for again when one of them dies: results, requests for chunks, health. What robots
/// say once goes to each of them, and the first one writes it down.
fn filters(fleet: &Name, shared: bool) -> Vec<String> {
    let filter = |kind, together: bool| {
        let filter = Topic::every_device(fleet, kind);
        match together {
            true => format!("$share/sanderling-coordinator/{}", filter.as_str()),
            false => filter.as_str().to_owned(),
        }
    };
    [
        (Kind::Birth, false),
        (Kind::State, false),
        (Kind::Result, shared),
        (Kind::Health, shared),
        (Kind::Need, shared),
    ]
    .map(|(kind, together)| filter(kind, together))
    .to_vec()
}

fn lock(data_dir: &Path) -> Result<File, RunError> {
    let path = data_dir.display().to_string();
    let file = File::create(data_dir.join("lock")).map_err(|error| RunError::DataDir {
        path: path.clone(),
        error,
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(RunError::InUse { path }),
        Err(std::fs::TryLockError::Error(error)) => Err(RunError::DataDir { path, error }),
    }
}

/// A certificate for the embedded broker, made anew with each start.
fn certificate(
    address: SocketAddr,
    folder: &Path,
    names: &[String],
) -> Result<BrokerTls, RunError> {
    let authority = Authority::open(folder)?;
    let (certificate, key) = authority.server(names)?;
    let paths = [folder.join("server.pem"), folder.join("server.key")];
    for (path, text, secret) in [(&paths[0], &certificate, false), (&paths[1], &key, true)] {
        tls::write(path, text, secret).map_err(|error| TlsError::File {
            path: path.display().to_string(),
            error,
        })?;
    }
    let [certificate, key] = paths;
    Ok(BrokerTls {
        address,
        certificate,
        key,
    })
}

/// How clients may call the broker: what was said, this machine, and the address that it listens on.
fn broker_names(config: &Config) -> Vec<String> {
    let mut names = config.tls_names.clone();
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    let listens = config.tls.filter(|a| !a.ip().is_unspecified());
    names.extend(listens.map(|address| address.ip().to_string()));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Writes beside and renames, so that a reader never sees half a file.
fn write_whole(path: &Path, ready: &Ready) -> Result<(), RunError> {
    let failed = |error| RunError::ReadyFile {
        path: path.display().to_string(),
        error,
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let text = serde_json::to_string(ready).map_err(|e| failed(e.into()))?;
    std::fs::write(&beside, text + "\n").map_err(failed)?;
    // It is there for other programs.
    let all = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&beside, all).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)
}
