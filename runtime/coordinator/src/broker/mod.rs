//! The embedded MQTT 5 broker: the only module that knows the `mqtt5` crate, so that a breaking
//! release of it is met here.
//!
//! It keeps nothing on disk. What must survive a restart is in the registry, and robots say the
//! rest again when they connect: births, states, and every result that has no receipt.
//!
//! The crate routes messages and speaks the protocol on each connection. Accepting connections is done here: its own
//! accept loop never closes one that is silent in a TLS handshake, tries again without a pause when descriptors run out,
//! and gives no way to end the connections of a login that was taken away.

mod gate;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mqtt5::broker::BrokerConfig;
use mqtt5::broker::client_handler::ClientHandler;
use mqtt5::broker::resource_monitor::{ResourceLimits, ResourceMonitor};
use mqtt5::broker::router::MessageRouter;
use mqtt5::broker::storage::QueueLimits;
use mqtt5::broker::sys_topics::BrokerStats;
use mqtt5::broker::tls_acceptor::{TlsAcceptorConfig, TlsStreamWrapper};
use mqtt5::broker::transport::BrokerTransport;
use sanderling_wire::MAX_MESSAGE;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use crate::access::Access;
use crate::decide::places::Limits;
use crate::doors::{Doors, Place};
use gate::{Gate, Seated};

/// How long a TLS handshake may take. The protocol's first packet may take 10 s more.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection that is to end may take to do so by itself.
const FAREWELL: Duration = Duration::from_secs(3);
/// How often the crate forgets what it need not know any more.
const SWEEP: Duration = Duration::from_secs(60);

/// Why the broker does not run.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// It cannot listen.
    #[error(
        "the MQTT broker cannot listen on {address}: {error}; choose another address with --mqtt, or stop what uses it"
    )]
    Listen {
        /// The address that it was to listen on.
        address: SocketAddr,
        /// What the system answered.
        error: String,
    },
    /// It ended.
    #[error("the MQTT broker ended: {0}")]
    Ended(String),
}

/// TLS for the embedded broker.
#[derive(Clone, Debug)]
pub struct BrokerTls {
    /// Where it listens.
    pub address: SocketAddr,
    /// The certificate, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// How the embedded broker runs.
#[derive(Clone, Debug)]
pub struct BrokerOptions {
    /// Where it listens without TLS.
    pub address: SocketAddr,
    /// Where it listens with TLS.
    pub tls: Option<BrokerTls>,
    /// Who may do what.
    pub access: Arc<Access>,
    /// Whether everybody needs a login; else everybody may do everything.
    pub logins: bool,
    /// How many connections it takes.
    pub places: Limits,
}

/// What every connection works with.
#[derive(Clone)]
struct Shared {
    config: Arc<BrokerConfig>,
    router: Arc<MessageRouter>,
    stats: Arc<BrokerStats>,
    monitor: Arc<ResourceMonitor>,
    access: Arc<Access>,
    logins: bool,
    stopping: watch::Receiver<bool>,
}

/// How one connection begins.
#[derive(Clone)]
enum Listens {
    Plain,
    Tls(tokio_rustls::TlsAcceptor),
}

/// A running broker.
pub struct EmbeddedBroker {
    address: SocketAddr,
    tls: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl std::fmt::Debug for EmbeddedBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedBroker")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl EmbeddedBroker {
    /// Starts a broker, which accepts connections from then on.
    pub async fn start(options: &BrokerOptions) -> Result<EmbeddedBroker, BrokerError> {
        let (plain, address) = listen(options.address).await?;
        let mut listeners = vec![(plain, Listens::Plain)];
        let mut tls = None;
        if let Some(secure) = &options.tls {
            let (listener, address) = listen(secure.address).await?;
            listeners.push((listener, Listens::Tls(acceptor(secure).await?)));
            tls = Some(address);
        }
        let (stop, stopping) = watch::channel(false);
        let shared = shared(options, stopping);
        let doors = Doors::new("the MQTT broker", options.places);
        let mut tasks = JoinSet::new();
        for (listener, listens) in listeners {
            let doors = Arc::clone(&doors);
            tasks.spawn(accept(listener, listens, doors, shared.clone()));
        }
        tasks.spawn(sweep(shared));
        Ok(EmbeddedBroker {
            address,
            tls,
            stop,
            tasks,
        })
    }

    /// Where it listens with TLS, if it does.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until a part of it ends, which none does by itself.
    pub async fn ended(&mut self) -> BrokerError {
        match self.tasks.join_next().await {
            Some(Err(error)) => BrokerError::Ended(error.to_string()),
            _ => BrokerError::Ended("it was stopped".to_owned()),
        }
    }

    /// Stops it.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // What is left ends with this value.
        let _ = tokio::time::timeout(FAREWELL, all).await;
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BrokerError> {
    let failed = |error: std::io::Error| BrokerError::Listen {
        address,
        error: error.to_string(),
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn acceptor(tls: &BrokerTls) -> Result<tokio_rustls::TlsAcceptor, BrokerError> {
    // The broker takes the process's provider; that one is there already is no error.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let failed = |error: mqtt5::error::MqttError| BrokerError::Listen {
        address: tls.address,
        error: error.to_string(),
    };
    let chain = TlsAcceptorConfig::load_cert_chain_from_file(&tls.certificate).await;
    let key = TlsAcceptorConfig::load_private_key_from_file(&tls.key).await;
    TlsAcceptorConfig::new(chain.map_err(failed)?, key.map_err(failed)?)
        .build_acceptor()
        .map_err(failed)
}

fn shared(options: &BrokerOptions, stopping: watch::Receiver<bool>) -> Shared {
    let mut config = BrokerConfig::default()
        // Room for the largest message, its topic and properties.
        .with_max_packet_size(MAX_MESSAGE + 4096)
        .with_maximum_qos(1)
        .with_session_expiry(Duration::from_secs(3600))
        // A robot subscribes to four topics and a tool to a few filters.
        .with_max_subscriptions_per_client(64)
        .with_max_retained_message_size(MAX_MESSAGE);
    config.storage_config.enable_persistence = false;
    let limits = ResourceLimits {
        max_connections: options.places.all,
        max_connections_per_ip: options.places.peer,
        max_message_rate_per_client: config.max_message_rate_per_client,
        max_bandwidth_per_client: config.max_bandwidth_per_client,
        ..ResourceLimits::default()
    };
    let router = MessageRouter::new()
        .with_fallback_queue_limits(QueueLimits {
            max_messages: config.storage_config.max_queued_messages_per_client,
            max_bytes: config.storage_config.max_queued_bytes_per_client,
        })
        .with_retained_limits(
            config.max_retained_messages,
            config.max_retained_message_size,
        );
    Shared {
        config: Arc::new(config),
        router: Arc::new(router),
        stats: Arc::new(BrokerStats::new()),
        monitor: Arc::new(ResourceMonitor::new(limits)),
        access: Arc::clone(&options.access),
        logins: options.logins,
        stopping,
    }
}

async fn sweep(shared: Shared) {
    let mut stopping = shared.stopping.clone();
    let mut beat = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        shared.router.sweep_sessions().await;
        shared.monitor.cleanup_expired_windows().await;
    }
}

/// Accepts connections until the broker stops, and then waits for those that stand.
async fn accept(listener: TcpListener, listens: Listens, doors: Arc<Doors>, shared: Shared) {
    let mut connections = JoinSet::new();
    let mut stopping = shared.stopping.clone();
    loop {
        // Not an arm below: whoever is on the way in would be thrown out for somebody who leaves.
        while connections.try_join_next().is_some() {}
        tokio::select! {
            (stream, from, place) = doors.accept(&listener) => {
                let (listens, shared) = (listens.clone(), shared.clone());
                connections.spawn(connection(stream, from, place, listens, shared));
            }
            _ = stopping.wait_for(|stopping| *stopping) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    place: Place,
    listens: Listens,
    shared: Shared,
) {
    let place = Arc::new(place);
    let begun = tokio::select! {
        begun = begin(stream, listens) => begun,
        () = place.wanted() => return,
    };
    let transport = match begun {
        Ok(transport) => transport,
        Err(why) => return tracing::warn!("{from} cannot talk to the broker: {why}"),
    };
    let gate = Arc::new(Gate::new(
        Arc::clone(&shared.access),
        shared.logins,
        Arc::clone(&place),
    ));
    // The crate ends a connection properly, its will included, when the whole broker stops: so each has its own signal.
    let (end, ended) = broadcast::channel(1);
    let handler = ClientHandler::new(
        transport,
        from,
        Arc::clone(&shared.config),
        Arc::clone(&shared.router),
        Arc::<Gate>::clone(&gate),
        None,
        Arc::clone(&shared.stats),
        Arc::clone(&shared.monitor),
        ended,
    );
    let mut work = Box::pin(handler.run());
    let mut stopping = shared.stopping.clone();
    tokio::select! {
        done = &mut work => {
            if let Err(error) = done {
                tracing::debug!("{from}: {error}");
            }
            return;
        }
        client = over(&gate) => tracing::info!(
            "{client} is disconnected: its login was renewed, moved, or taken away"
        ),
        _ = stopping.wait_for(|stopping| *stopping) => {}
        () = place.wanted() => if !gate.is_seated() {
            return;
        }
    }
    let _ = end.send(());
    if tokio::time::timeout(FAREWELL, &mut work).await.is_ok() {
        return;
    }
    // It waits for a peer that reads nothing. Without its handler it hears and says nothing any more.
    drop(work);
    let Seated { client, will, .. } = gate.seated().await;
    shared.router.unregister_client(&client).await;
    if let Some(will) = will {
        shared.router.route_message(&will, None).await;
    }
}

/// What speaks MQTT on a connection.
async fn begin(stream: TcpStream, listens: Listens) -> Result<BrokerTransport, String> {
    match listens {
        Listens::Plain => Ok(BrokerTransport::tcp(stream)),
        Listens::Tls(acceptor) => {
            let handshake = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
            match handshake {
                Ok(Ok(stream)) => Ok(BrokerTransport::tls(TlsStreamWrapper::new(stream))),
                Ok(Err(error)) => Err(format!("no TLS ({error})")),
                Err(_) => Err("no TLS within its time".to_owned()),
            }
        }
    }
}

/// Waits until the login of a connection is over; gives its client id.
async fn over(gate: &Gate) -> String {
    let seated = gate.seated().await;
    match seated.login {
        Some((_, mut term)) => term.over().await,
        None => std::future::pending().await,
    }
    seated.client
}
