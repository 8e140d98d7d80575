//! Where HTTP and MQTT listen: at the addresses that were set, and with port 0 where they listened last.

use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::broker::{BrokerError, BrokerOptions, EmbeddedBroker};
use crate::config::BrokerUrl;
use crate::run::RunError;

/// The ports used last, so that a restart with port 0 comes up where robots look for it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct LastPorts {
    /// Of the API.
    pub http: u16,
    /// Of the broker.
    pub mqtt: u16,
    /// Of the broker with TLS.
    #[serde(default)]
    pub tls: u16,
}

/// Reads them; zeros where they are not known.
pub fn last_ports(path: &Path) -> LastPorts {
    std::fs::read_to_string(path)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

/// Port 0 means the port used last, if it is free, else any.
fn candidates(address: SocketAddr, last: u16) -> Vec<SocketAddr> {
    if address.port() == 0 && last != 0 {
        vec![SocketAddr::new(address.ip(), last), address]
    } else {
        vec![address]
    }
}

/// Listens for HTTP.
pub async fn listen(address: SocketAddr, last: u16) -> Result<TcpListener, RunError> {
    let mut failure = None;
    for candidate in candidates(address, last) {
        match TcpListener::bind(candidate).await {
            Ok(listener) => return Ok(listener),
            Err(error) => {
                failure = Some(RunError::Listen {
                    address: candidate,
                    error,
                })
            }
        }
    }
    Err(failure.unwrap_or(RunError::Http("no address to listen on".to_owned())))
}

/// Starts the embedded broker.
pub async fn embedded(options: BrokerOptions, last: LastPorts) -> Result<EmbeddedBroker, RunError> {
    let mut failure = None;
    let secure = options.tls.as_ref().map(|tls| tls.address);
    let secure = match secure {
        Some(address) => candidates(address, last.tls)
            .into_iter()
            .map(Some)
            .collect(),
        None => vec![None],
    };
    for secure in secure {
        for address in candidates(options.address, last.mqtt) {
            let mut options = options.clone();
            options.address = address;
            if let (Some(tls), Some(address)) = (&mut options.tls, secure) {
                tls.address = address;
            }
            match EmbeddedBroker::start(&options).await {
                Ok(broker) => return Ok(broker),
                Err(error) => failure = Some(error),
            }
        }
    }
    Err(failure
        .unwrap_or(BrokerError::Ended("no address to listen on".to_owned()))
        .into())
}

/// Where this machine reaches an address that means every interface.
pub fn loopback(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(a) if a.ip().is_unspecified() => {
            SocketAddr::from(([127, 0, 0, 1], a.port()))
        }
        SocketAddr::V6(a) if a.ip().is_unspecified() => {
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, a.port()))
        }
        other => other,
    }
}

/// The URL of a broker that listens there, for clients on this machine.
pub fn reachable(address: SocketAddr) -> BrokerUrl {
    let address = loopback(address);
    BrokerUrl {
        host: address.ip().to_string(),
        port: address.port(),
        login: None,
        tls: false,
    }
}
