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

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectReturnCode, DisconnectReasonCode, Filter, LastWill, Packet, PublishProperties,
    SubscribeReasonCode,
};
use rumqttc::v5::mqttbytes::{self, QoS};
use rumqttc::v5::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Request, StateError,
};
use rumqttc::{TlsConfiguration, Transport};
use sanderling_wire::{MAX_MESSAGE, MAX_TOPIC, RUN_PROPERTY, RunId};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::config::BrokerUrl;
use crate::decide::broker::{self, Limits};
use crate::failures::Failures;
use crate::mqtt_version;

/// Publishes that may be on their way without an acknowledgement.
const INFLIGHT: u16 = 16;
/// Publishes that may wait behind those.
const QUEUED: usize = 16;
/// Received messages that may wait to be handled.
const RECEIVED: usize = 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long to wait before a broker that cannot be used is asked again: somebody may have changed its configuration.
const UNUSABLE: Duration = Duration::from_secs(30);
/// What the broker answers to a message that is larger than it takes. The MQTT client knows the code in a DISCONNECT
/// and not in a PUBACK, where it ends the connection.
const TOO_LARGE: u8 = 0x95;

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
        /// The start of the robot that it is of, where it says one.
        run: Option<RunId>,
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
    posts: Option<mpsc::UnboundedSender<(Outgoing, Option<String>)>>,
    pump: JoinHandle<()>,
    told: Arc<Mutex<Told>>,
}

/// What the broker told about itself.
#[derive(Debug, Default)]
struct Told {
    limits: Limits,
    /// Why there is no connection, in words.
    trouble: Option<String>,
    /// Topics of messages that are larger than it takes.
    too_large: BTreeSet<String>,
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
        let told = Arc::new(Mutex::new(Told::default()));
        let poll = Poll {
            options,
            client: client.clone(),
            tell,
            tx,
            told: Arc::clone(&told),
        };
        let task = tokio::spawn(poll.run(eventloop));
        let (posts, mut waiting) = mpsc::unbounded_channel();
        let pump = {
            let client = client.clone();
            tokio::spawn(async move {
                while let Some((message, run)) = waiting.recv().await {
                    if hand_over(&client, message, run).await.is_err() {
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
                told,
            },
            rx,
        )
    }

    /// Hands a message over without waiting. Messages go in the order in which they were handed over.
    /// One that the broker does not take is said once and left out: it would end the connection.
    pub async fn publish(&self, message: Outgoing) -> Result<(), LinkClosed> {
        self.post(message, None)
    }

    /// The same for a message to one start of a robot; none: to one that says its boot counter alone.
    pub async fn publish_of(
        &self,
        message: Outgoing,
        run: Option<RunId>,
    ) -> Result<(), LinkClosed> {
        let run = run.map_or(String::new(), |run| run.to_string());
        self.post(message, Some(run))
    }

    fn post(&self, message: Outgoing, run: Option<String>) -> Result<(), LinkClosed> {
        if !self.takes(&message) {
            return Ok(());
        }
        let posts = self.posts.as_ref().ok_or(LinkClosed)?;
        posts.send((message, run)).map_err(|_| LinkClosed)
    }

    /// Hands a message over, waiting while too many are on their way. Not for a task that handles what comes in.
    pub async fn publish_when_room(&self, message: Outgoing) -> Result<(), LinkClosed> {
        if !self.takes(&message) {
            return Ok(());
        }
        hand_over(&self.client, message, None).await
    }

    fn takes(&self, message: &Outgoing) -> bool {
        let mut told = lock(&self.told);
        let limits = told.limits;
        let takes = limits.takes(message.topic.len(), message.payload.len());
        if takes {
            told.too_large.remove(&message.topic);
        } else if told.too_large.insert(message.topic.clone()) {
            tracing::error!(
                "the message of {} bytes for {} is larger than the broker takes ({}); raise its limit (Mosquitto: \
                 max_packet_size, message_size_limit)",
                message.payload.len(),
                message.topic,
                limits.packet.min(limits.payload)
            );
        }
        takes
    }

    /// The largest size of chunks that the broker takes on any robot's topic; none where it takes no chunk at all.
    pub fn chunk_limit(&self) -> Option<u32> {
        lock(&self.told).limits.chunk(MAX_TOPIC)
    }

    /// What is wrong with the broker, in words, where something is.
    pub fn trouble(&self) -> Option<String> {
        let told = lock(&self.told);
        let too_large = || {
            let topic = told.too_large.first()?;
            Some(format!(
                "messages for {} topics are larger than the broker takes, among them {topic}; raise its limit \
                 (Mosquitto: max_packet_size, message_size_limit)",
                told.too_large.len()
            ))
        };
        told.trouble.clone().or_else(too_large)
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

async fn hand_over(
    client: &AsyncClient,
    message: Outgoing,
    run: Option<String>,
) -> Result<(), LinkClosed> {
    let Outgoing {
        topic,
        payload,
        at_least_once,
        retain,
    } = message;
    let qos = qos(at_least_once);
    let done = match run {
        None => client.publish(topic, qos, retain, payload).await,
        Some(run) => {
            let properties = PublishProperties {
                user_properties: vec![(RUN_PROPERTY.to_owned(), run)],
                ..PublishProperties::default()
            };
            client
                .publish_with_properties(topic, qos, retain, payload, properties)
                .await
        }
    };
    done.map_err(|_| LinkClosed)
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
    told: Arc<Mutex<Told>>,
}

impl Poll {
    async fn run(self, mut eventloop: EventLoop) {
        let mut failures = Failures::default();
        let mut answered = false;
        loop {
            let event = match eventloop.poll().await {
                Ok(Event::Incoming(packet)) => packet,
                Ok(Event::Outgoing(rumqttc::Outgoing::Disconnect)) => return,
                Ok(Event::Outgoing(_)) => continue,
                Err(error) => {
                    let learned = is_too_large(&error) && self.learn(&eventloop);
                    let worth_a_line = failures.another(is_taken_over(&error));
                    if worth_a_line && !learned {
                        let why = self.why(&error, answered).await;
                        let why = failures.why(&why, &self.options.client_id);
                        tracing::warn!(
                            "no connection to the broker at {}: {why}; trying again until it is back",
                            self.options.broker
                        );
                        lock(&self.told).trouble = Some(why);
                    }
                    answered = false;
                    if self.tell.send_replace(false)
                        && self.tx.send(Incoming::Disconnected).await.is_err()
                    {
                        return;
                    }
                    tokio::time::sleep(failures.pause()).await;
                    continue;
                }
            };
            let handled = match event {
                Packet::ConnAck(ack) => {
                    answered = true;
                    if let Some(lacks) = self.heard(&ack) {
                        if lock(&self.told).trouble.as_deref() != Some(lacks) {
                            tracing::error!(
                                "the broker at {} cannot be used: {lacks}; asking again every {} s",
                                self.options.broker,
                                UNUSABLE.as_secs()
                            );
                        }
                        lock(&self.told).trouble = Some(lacks.to_owned());
                        failures.another(false);
                        eventloop.clean();
                        tokio::time::sleep(UNUSABLE).await;
                        continue;
                    }
                    self.subscribe();
                    if self.options.filters.is_empty() {
                        self.up(&mut failures).await
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
                    self.up(&mut failures).await
                }
                Packet::Publish(publish) => {
                    let message = Incoming::Message {
                        run: publish.properties.as_ref().and_then(run_of),
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

    /// Takes up what the broker says about itself; gives what it lacks.
    fn heard(&self, ack: &ConnAck) -> Option<&'static str> {
        let theirs = ack.properties.as_ref();
        let packet = theirs.and_then(|theirs| theirs.max_packet_size);
        let packet = packet.and_then(|packet| usize::try_from(packet).ok());
        let mut told = lock(&self.told);
        if told.limits.packet != packet.unwrap_or(usize::MAX) {
            told.limits.packet = packet.unwrap_or(usize::MAX);
            told.too_large.clear();
            if let Some(packet) = packet {
                tracing::info!("the broker takes packets of up to {packet} bytes");
            }
        }
        broker::lacks(
            theirs.and_then(|theirs| theirs.retain_available),
            theirs.and_then(|theirs| theirs.max_qos),
        )
    }

    /// A message was refused for its size, and the MQTT client does not say which: the largest of those that were on
    /// their way was too large. True where that is news.
    fn learn(&self, eventloop: &EventLoop) -> bool {
        let payload = |request: &Request| match request {
            Request::Publish(publish) => Some(publish.payload.len()),
            _ => None,
        };
        let Some(largest) = eventloop.pending.iter().filter_map(payload).max() else {
            return false;
        };
        let mut told = lock(&self.told);
        let news = told.limits.refused(largest);
        if news {
            tracing::warn!(
                "the broker refuses messages of {largest} bytes; smaller ones are sent from now on \
                 (Mosquitto: max_packet_size, message_size_limit)"
            );
        }
        news
    }

    /// Why there is no connection, in words that say what to do.
    async fn why(&self, error: &ConnectionError, answered: bool) -> String {
        let aborted = matches!(
            error,
            ConnectionError::MqttState(
                StateError::ConnectionAborted
                    | StateError::Io(_)
                    | StateError::Deserialization(mqttbytes::Error::Io(_))
            )
        );
        let silent = matches!(error, ConnectionError::Timeout(_));
        let BrokerUrl {
            host, port, tls, ..
        } = &self.options.broker;
        if (aborted || silent) && !answered && !tls && mqtt_version::is_older(host, *port).await {
            return "it speaks MQTT 3.1.1 only, and Sanderling needs MQTT 5 (Mosquitto has it since 1.6)"
                .to_owned();
        }
        if aborted && !answered {
            return format!("it closes the connection before it answers ({error})");
        }
        words(error)
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

    async fn up(&self, failures: &mut Failures) -> Result<(), LinkClosed> {
        if failures.stands() {
            tracing::info!("connected to the broker at {}", self.options.broker);
        }
        lock(&self.told).trouble = None;
        self.tell.send_replace(true);
        self.tx
            .send(Incoming::Connected)
            .await
            .map_err(|_| LinkClosed)
    }
}

/// The start of a robot that a message says it is of.
fn run_of(properties: &PublishProperties) -> Option<RunId> {
    let mut all = properties.user_properties.iter();
    let (_, value) = all.find(|(name, _)| name == RUN_PROPERTY)?;
    value.parse().ok()
}

/// Whether the broker ended the connection because another client has the same id.
fn is_taken_over(error: &ConnectionError) -> bool {
    matches!(
        error,
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        })
    )
}

fn is_too_large(error: &ConnectionError) -> bool {
    match error {
        ConnectionError::MqttState(StateError::Deserialization(
            mqttbytes::Error::InvalidConnectReturnCode(code),
        )) => *code == TOO_LARGE,
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            *reason_code as u8 == TOO_LARGE
        }
        ConnectionError::MqttState(StateError::OutgoingPacketTooLarge { .. }) => true,
        _ => false,
    }
}

/// A connection's end in words that say what to do.
fn words(error: &ConnectionError) -> String {
    use ConnectReturnCode::{
        BadUserNamePassword, NotAuthorized, QoSNotSupported, RetainNotSupported,
        UnsupportedProtocolVersion,
    };
    match error {
        ConnectionError::Io(error) => format!("it cannot be reached ({error})"),
        ConnectionError::Timeout(_) => "it does not answer".to_owned(),
        ConnectionError::ConnectionRefused(code) => match code {
            BadUserNamePassword | NotAuthorized => {
                format!(
                    "it refuses the login ({code:?}); check the user name in --broker-url and its password"
                )
            }
            UnsupportedProtocolVersion => {
                "it refuses MQTT 5, which Sanderling needs; allow it".to_owned()
            }
            RetainNotSupported => broker::NO_RETAIN.to_owned(),
            QoSNotSupported => broker::NO_QOS.to_owned(),
            code => format!("it refuses the connection ({code:?})"),
        },
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code,
            reason_string,
        }) => match reason_string {
            Some(why) => format!("it ended the connection ({reason_code:?}: {why})"),
            None => format!("it ended the connection ({reason_code:?})"),
        },
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            "it closed the connection".to_owned()
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => "it went silent".to_owned(),
        other => other.to_string(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
