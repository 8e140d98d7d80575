//! The MQTT client: the only file that knows the `rumqttc` crate.
//!
//! ```text
//! publish() ──▶ pump task ──┐
//! publish_when_room() ──────┴bounded channel──▶ ┌───────────┐ ──▶ broker
//! incoming  ◀──────────────── bounded channel── │ poll task │ ◀──
//!                                               └───────────┘
//! ```
//!
//! Whoever handles what comes in uses `publish`, which never waits: the poll task waits for that handler when
//! thousands of robots speak at once, and a handler that waited for the poll task would wait for ever. What is large
//! uses `publish_when_room`, from a task that nobody waits for.
//!
//! The task that polls never publishes (it would wait for itself). It connects again after every
//! failure, with a growing pause, and subscribes again at every connection, because a broker that
//! restarted remembers nothing. Messages given to `publish` while there is no connection may be lost
//! with it: everything that is sent here is sent again when it is asked for again.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, LastWill, Packet, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use rumqttc::{TlsConfiguration, Transport};
use sanderling_wire::MAX_MESSAGE;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::config::BrokerUrl;

/// Publishes that may be on their way without an acknowledgement.
const INFLIGHT: u16 = 16;
/// Publishes that may wait behind those.
const QUEUED: usize = 16;
/// Received messages that may wait to be handled.
const RECEIVED: usize = 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// At least once (QoS 1), or at most once (QoS 0).
    pub at_least_once: bool,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
}

/// What comes from the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The connection stands and every filter is subscribed.
    Connected,
    /// The connection is gone; another one is being tried.
    Disconnected,
    /// A message.
    Message {
        /// Where it was published.
        topic: String,
        /// What.
        payload: Vec<u8>,
        /// True when the broker had kept it.
        retained: bool,
    },
}

/// Who connects where, and what is listened to.
#[derive(Clone, Debug)]
pub struct LinkOptions {
    /// The broker.
    pub broker: BrokerUrl,
    /// The client's id, one for each client.
    pub client_id: String,
    /// Filters to subscribe to, with QoS 1.
    pub filters: Vec<String>,
    /// What the broker says when the connection breaks.
    pub will: Option<Outgoing>,
    /// TLS, and whom it trusts; none: plain TCP.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

/// The client was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the MQTT client was stopped")]
pub struct LinkClosed;

/// A running client. Dropping it breaks the connection without a farewell.
#[derive(Debug)]
pub struct Link {
    client: AsyncClient,
    connected: watch::Receiver<bool>,
    task: JoinHandle<()>,
    posts: Option<mpsc::UnboundedSender<Outgoing>>,
    pump: JoinHandle<()>,
}

impl Link {
    /// Starts connecting, and goes on until dropped.
    pub fn start(options: LinkOptions) -> (Link, mpsc::Receiver<Incoming>) {
        let mut mqtt = MqttOptions::new(
            &options.client_id,
            &options.broker.host,
            options.broker.port,
        );
        // The default holds 65,536 slots, about 14 MB.
        mqtt.set_outgoing_inflight_upper_limit(INFLIGHT)
            .set_receive_maximum(Some(256))
            .set_max_packet_size(Some(MAX_MESSAGE as u32 + 4096))
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_start(true)
            .set_connection_timeout(5);
        if let Some((user, password)) = &options.broker.login {
            mqtt.set_credentials(user, password);
        }
        if let Some(tls) = &options.tls {
            let tls = TlsConfiguration::Rustls(Arc::clone(tls));
            mqtt.set_transport(Transport::tls_with_config(tls));
        }
        if let Some(will) = &options.will {
            let qos = qos(will.at_least_once);
            mqtt.set_last_will(LastWill::new(
                will.topic.as_str(),
                will.payload.clone(),
                qos,
                will.retain,
                None,
            ));
        }
        let (client, eventloop) = AsyncClient::new(mqtt, QUEUED);
        let (tell, connected) = watch::channel(false);
        let (tx, rx) = mpsc::channel(RECEIVED);
        let poll = Poll {
            options,
            client: client.clone(),
            tell,
            tx,
        };
        let task = tokio::spawn(poll.run(eventloop));
        let (posts, mut waiting) = mpsc::unbounded_channel();
        let pump = {
            let client = client.clone();
            tokio::spawn(async move {
                while let Some(message) = waiting.recv().await {
                    if hand_over(&client, message).await.is_err() {
                        return;
                    }
                }
            })
        };
        (
            Link {
                client,
                connected,
                task,
                posts: Some(posts),
                pump,
            },
            rx,
        )
    }

    /// Hands a message over without waiting. Messages go in the order in which they were handed over.
    pub async fn publish(&self, message: Outgoing) -> Result<(), LinkClosed> {
        let posts = self.posts.as_ref().ok_or(LinkClosed)?;
        posts.send(message).map_err(|_| LinkClosed)
    }

    /// Hands a message over, waiting while too many are on their way. Not for a task that handles what comes in.
    pub async fn publish_when_room(&self, message: Outgoing) -> Result<(), LinkClosed> {
        hand_over(&self.client, message).await
    }

    /// Whether the connection stands; can be awaited.
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.connected.clone()
    }

    /// Says farewell to the broker, so that it does not publish the will.
    pub async fn leave(mut self) {
        self.posts = None;
        let _ = tokio::time::timeout(Duration::from_secs(2), &mut self.pump).await;
        if self.client.disconnect().await.is_ok() {
            let _ = tokio::time::timeout(Duration::from_secs(2), &mut self.task).await;
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
        self.pump.abort();
    }
}

async fn hand_over(client: &AsyncClient, message: Outgoing) -> Result<(), LinkClosed> {
    let Outgoing {
        topic,
        payload,
        at_least_once,
        retain,
    } = message;
    client
        .publish(topic, qos(at_least_once), retain, payload)
        .await
        .map_err(|_| LinkClosed)
}

fn qos(at_least_once: bool) -> QoS {
    if at_least_once {
        QoS::AtLeastOnce
    } else {
        QoS::AtMostOnce
    }
}

struct Poll {
    options: LinkOptions,
    client: AsyncClient,
    tell: watch::Sender<bool>,
    tx: mpsc::Sender<Incoming>,
}

impl Poll {
    async fn run(self, mut eventloop: EventLoop) {
        let mut failures = 0;
        loop {
            let event = match eventloop.poll().await {
                Ok(Event::Incoming(packet)) => packet,
                Ok(Event::Outgoing(rumqttc::Outgoing::Disconnect)) => return,
                Ok(Event::Outgoing(_)) => continue,
                Err(error) => {
                    // One line for each outage, not one for each attempt.
                    if failures == 0 {
                        tracing::warn!(
                            "no connection to the broker at {} ({error}); trying again until it is back",
                            self.options.broker
                        );
                    }
                    if self.tell.send_replace(false)
                        && self.tx.send(Incoming::Disconnected).await.is_err()
                    {
                        return;
                    }
                    tokio::time::sleep(pause(failures)).await;
                    failures = failures.saturating_add(1);
                    continue;
                }
            };
            let handled = match event {
                Packet::ConnAck(_) => {
                    failures = 0;
                    self.subscribe();
                    if self.options.filters.is_empty() {
                        self.up().await
                    } else {
                        Ok(())
                    }
                }
                Packet::SubAck(ack) => {
                    for (code, filter) in ack.return_codes.iter().zip(&self.options.filters) {
                        if !matches!(code, SubscribeReasonCode::Success(_)) {
                            tracing::error!(
                                "the broker refuses a subscription to {filter} ({code:?}); check its access rules"
                            );
                        }
                    }
                    self.up().await
                }
                Packet::Publish(publish) => {
                    let message = Incoming::Message {
                        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                        payload: publish.payload.to_vec(),
                        retained: publish.retain,
                    };
                    self.tx.send(message).await.map_err(|_| LinkClosed)
                }
                _ => Ok(()),
            };
            if handled.is_err() {
                return;
            }
        }
    }

    /// In a task of its own, because the channel may be full and only this task empties it.
    fn subscribe(&self) {
        let filters: Vec<Filter> = self
            .options
            .filters
            .iter()
            .map(|filter| Filter::new(filter.as_str(), QoS::AtLeastOnce))
            .collect();
        if filters.is_empty() {
            return;
        }
        let client = self.client.clone();
        tokio::spawn(async move {
            // Fails only when the client was stopped meanwhile.
            let _ = client.subscribe_many(filters).await;
        });
    }

    async fn up(&self) -> Result<(), LinkClosed> {
        tracing::info!("connected to the broker at {}", self.options.broker);
        self.tell.send_replace(true);
        self.tx
            .send(Incoming::Connected)
            .await
            .map_err(|_| LinkClosed)
    }
}

/// How long to wait after that many failures in a row: from 0.1 s doubling to 5 s, less up to half,
/// so that clients of a broker that restarted do not all come at once.
fn pause(failures: u32) -> Duration {
    let full = Duration::from_millis(100 << failures.min(6)).min(Duration::from_secs(5));
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.subsec_nanos());
    full - full.mul_f64(f64::from(nanos % 1000) / 2000.0)
}
