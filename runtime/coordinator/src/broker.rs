//! The embedded MQTT 5 broker: the only file that knows the `mqtt5` crate, so that a breaking
//! release of it is met here.
//!
//! It keeps nothing on disk. What must survive a restart is in the registry, and robots say the
//! rest again when they connect: births, states, and every result that has no receipt.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mqtt5::broker::auth::{AuthProvider, AuthResult};
use mqtt5::broker::config::TlsConfig;
use mqtt5::broker::{BrokerConfig, MqttBroker};
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::protocol::v5::reason_codes::ReasonCode;
use sanderling_wire::MAX_MESSAGE;
use tokio::task::JoinHandle;

use crate::access::{Access, Who};

/// Why the broker does not run.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// It cannot listen.
    #[error(
        "the MQTT broker cannot listen on {address}: {error}; choose another address with --mqtt, or stop what uses it"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
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
    /// Who may do what; none: everybody everything.
    pub access: Option<Arc<Access>>,
}

/// Asks [`Access`] for each connection, publish and subscription.
///
/// The broker checks topics of messages and not those of wills, and a client id that connects again
/// takes over the connection that has it. So both are checked here, at the connection: a robot's
/// client id is its user name, and its will is its own birth.
struct Gate(Arc<Access>);

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Gate {
    fn judge(&self, connect: &ConnectPacket) -> AuthResult {
        let refuse = |why: &str| AuthResult::fail_with_reason(ReasonCode::NotAuthorized, why);
        let (Some(user), Some(password)) = (&connect.username, &connect.password) else {
            return refuse("a login is needed; `sanderling enroll` makes one");
        };
        match self.0.login(user, password) {
            None => AuthResult::fail_with_reason(
                ReasonCode::BadUsernameOrPassword,
                "no such login; `sanderling enroll` makes one",
            ),
            Some(Who::Coordinator) => AuthResult::success_with_user(user.as_str()),
            Some(Who::Robot(robot)) => {
                if connect.client_id != robot.device.as_str() {
                    return refuse("a robot's client id is its name");
                }
                let will = connect.will.as_ref();
                if will.is_some_and(|will| !self.0.may_publish(user, &will.topic)) {
                    return refuse("a robot's will is one of its own topics");
                }
                AuthResult::success_with_user(user.as_str())
            }
        }
    }
}

impl AuthProvider for Gate {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        from: SocketAddr,
    ) -> Answer<'a, mqtt5::error::Result<AuthResult>> {
        Box::pin(async move {
            let result = self.judge(connect);
            if !result.authenticated {
                tracing::warn!(
                    "the broker refuses {} from {from}: {}",
                    connect
                        .username
                        .as_deref()
                        .unwrap_or("a client without a name"),
                    result.reason_string.as_deref().unwrap_or_default()
                );
            }
            Ok(result)
        })
    }

    fn authorize_publish<'a>(
        &'a self,
        _: &str,
        user: Option<&'a str>,
        topic: &'a str,
    ) -> Answer<'a, bool> {
        Box::pin(async move { user.is_some_and(|user| self.0.may_publish(user, topic)) })
    }

    fn authorize_subscribe<'a>(
        &'a self,
        _: &str,
        user: Option<&'a str>,
        filter: &'a str,
    ) -> Answer<'a, bool> {
        Box::pin(async move { user.is_some_and(|user| self.0.may_subscribe(user, filter)) })
    }
}

/// A running broker.
pub struct EmbeddedBroker {
    address: SocketAddr,
    tls: Option<SocketAddr>,
    shutdown: mqtt5::broker::BrokerShutdownHandle,
    task: JoinHandle<Result<(), BrokerError>>,
}

impl std::fmt::Debug for EmbeddedBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedBroker")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl EmbeddedBroker {
    /// Starts a broker and waits until it accepts connections.
    pub async fn start(options: &BrokerOptions) -> Result<EmbeddedBroker, BrokerError> {
        let address = options.address;
        let listen = |error: String| BrokerError::Listen { address, error };
        let mut config = BrokerConfig::default()
            .with_bind_address(address)
            // Room for the largest message, its topic and properties.
            .with_max_packet_size(MAX_MESSAGE + 4096)
            .with_maximum_qos(1)
            .with_session_expiry(Duration::from_secs(3600))
            // A robot subscribes to four topics and a tool to a few filters.
            .with_max_subscriptions_per_client(64)
            .with_max_retained_message_size(MAX_MESSAGE);
        config.storage_config.enable_persistence = false;
        config.sys_topics_enabled = false;
        if let Some(tls) = &options.tls {
            // The broker takes the process's provider; that one is there already is no error.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let files = TlsConfig::new(tls.certificate.clone(), tls.key.clone());
            config = config.with_tls(files.with_bind_addresses(vec![tls.address]));
        }
        let mut broker = MqttBroker::with_config(config)
            .await
            .map_err(|e| listen(e.to_string()))?;
        let address = broker
            .local_addr()
            .ok_or_else(|| listen("no address was bound".to_owned()))?;
        let tls = broker.tls_local_addr();
        if options.tls.is_some() && tls.is_none() {
            return Err(listen("no address was bound for TLS".to_owned()));
        }
        if let Some(access) = &options.access {
            broker = broker.with_auth_provider(Arc::new(Gate(Arc::clone(access))));
        }
        let shutdown = broker.shutdown_handle();
        let mut ready = broker.ready_receiver();
        let task = tokio::spawn(async move {
            broker
                .run()
                .await
                .map_err(|e| BrokerError::Ended(e.to_string()))
        });
        if ready.wait_for(|ready| *ready).await.is_err() {
            return Err(listen("it ended at once".to_owned()));
        }
        Ok(EmbeddedBroker {
            address,
            tls,
            shutdown,
            task,
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

    /// Waits until it ends, which it does only when it failed or was stopped.
    pub async fn ended(&mut self) -> BrokerError {
        match (&mut self.task).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) => BrokerError::Ended("it was stopped".to_owned()),
            Err(error) => BrokerError::Ended(error.to_string()),
        }
    }

    /// Stops it.
    pub async fn stop(mut self) {
        self.shutdown.shutdown();
        if tokio::time::timeout(Duration::from_secs(3), &mut self.task)
            .await
            .is_err()
        {
            self.task.abort();
        }
    }
}
