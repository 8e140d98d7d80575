//! The embedded MQTT 5 broker: the only file that knows the `mqtt5` crate, so that a breaking
//! release of it is met here.
//!
//! It keeps nothing on disk. What must survive a restart is in the registry, and robots say the
//! rest again when they connect: births, states, and every result that has no receipt.

use std::net::SocketAddr;
use std::time::Duration;

use mqtt5::broker::{BrokerConfig, MqttBroker};
use sanderling_wire::MAX_MESSAGE;
use tokio::task::JoinHandle;

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

/// A running broker.
pub struct EmbeddedBroker {
    address: SocketAddr,
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
    pub async fn start(address: SocketAddr) -> Result<EmbeddedBroker, BrokerError> {
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
        let mut broker = MqttBroker::with_config(config)
            .await
            .map_err(|e| listen(e.to_string()))?;
        let address = broker
            .local_addr()
            .ok_or_else(|| listen("no address was bound".to_owned()))?;
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
            shutdown,
            task,
        })
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
