//! The connection to the broker: the only file that names the MQTT client.
//!
//! What was learned about `rumqttc` 0.25 and is held here:
//!
//! - Its event loop is polled in a task of its own; publishing from the task that polls would deadlock.
//! - It is made anew for each connection. A loop that reconnects keeps packets of the old session or drops them,
//!   depending on what the broker remembers; here the outbox alone knows what must be sent again.
//! - Its table of packets in flight is as long as the inflight limit, and a packet id that is still in use wedges it.
//!   So no more packets are handed over than fit between the oldest unacknowledged one and its id's next turn.
//! - A broker that acknowledges nothing does not end the connection: [`Link::is_stuck`] tells, and the owner reconnects.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode, DisconnectReasonCode, Filter, LastWill, LastWillProperties, Packet,
    PubAckReason, PublishProperties, SubscribeReasonCode,
};
use rumqttc::v5::mqttbytes::{self, QoS};
use rumqttc::v5::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Request, StateError,
};
use rumqttc::{Outgoing, TlsConfiguration, Transport};
use sanderling_wire::{MAX_CHUNK, MAX_TOPIC, MIN_CHUNK, RUN_PROPERTY, RunId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::mqtt_version;

/// QoS 1 packets that may wait for their acknowledgement.
const MAX_INFLIGHT: u16 = 16;
/// The largest packet in either direction, in bytes: a chunk of 64 KiB and everything around it.
const MAX_PACKET: u32 = 128 * 1024;
/// Requests between the two tasks; more than can be in flight, so that handing one over never waits.
const REQUESTS: usize = 64;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const CONNECT_SECONDS: u64 = 10;
/// Bytes of a PUBLISH packet beside topic and payload: the fixed header, the lengths, the packet id, and a short property.
const AROUND: usize = 96;
/// Bytes of a chunk's message beside its data: the envelope, the digest, the offset, the length.
const IN_CHUNK: usize = 64;
/// What the broker answers to a message that is larger than it takes. The MQTT client knows the code in a DISCONNECT
/// and not in a PUBACK, where it ends the connection.
const TOO_LARGE: u8 = 0x95;
/// What a broker lacks that keeps no retained messages.
const NO_RETAIN: &str = "the broker keeps no retained messages, by which the fleet knows that this robot is there; \
     allow them (Mosquitto: retain_available true)";
/// What a broker lacks that acknowledges nothing.
const NO_QOS: &str = "the broker takes messages at QoS 0 only, which it may lose without a word; allow QoS 1 \
     (Mosquitto: max_qos 1)";

/// Where to connect, and as whom.
#[derive(Clone, Debug)]
pub struct Address {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The client's id.
    pub client: String,
    /// User name and password; the name is sent without a password too.
    pub user: String,
    /// The password.
    pub password: String,
    /// TLS, and whom it trusts; none: plain TCP.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// What earlier connections learned about the broker.
    pub learned: Learned,
}

/// The largest payload that a broker takes, learned from its refusals: a limit on messages (Mosquitto's
/// `message_size_limit`) is announced nowhere.
#[derive(Clone, Debug)]
pub struct Learned(Arc<AtomicUsize>);

impl Default for Learned {
    fn default() -> Learned {
        Learned(Arc::new(AtomicUsize::new(usize::MAX)))
    }
}

impl Learned {
    fn payload(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// One of the messages that were on their way was refused for its size, and the MQTT client does not say which:
    /// the largest was too large. Gives its size where that is news.
    fn refused(&self, poller: &EventLoop) -> Option<usize> {
        let payload = |request: &Request| match request {
            Request::Publish(publish) => Some(publish.payload.len()),
            _ => None,
        };
        let largest = poller.pending.iter().filter_map(payload).max()?;
        let limit = largest.saturating_sub(1);
        (self.0.fetch_min(limit, Ordering::Relaxed) > limit).then_some(largest)
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Its topic.
    pub topic: String,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Whether the broker keeps it for those who come later.
    pub retain: bool,
}

/// Which start of a robot a message is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOf {
    /// This one.
    Start(RunId),
    /// One that named itself by its boot counter alone.
    Unnamed,
}

impl RunOf {
    /// Whether it speaks of the start with this run.
    pub fn is(self, run: Option<RunId>) -> bool {
        match self {
            RunOf::Start(named) => run == Some(named),
            RunOf::Unnamed => run.is_none(),
        }
    }
}

/// What a connection brings.
#[derive(Debug)]
pub enum LinkEvent<T> {
    /// It is up.
    Up,
    /// A message.
    Message {
        /// Its topic.
        topic: String,
        /// Its bytes.
        payload: Vec<u8>,
        /// Which start of a robot it is of or for; none: its sender does not tell starts apart.
        run: Option<RunOf>,
    },
    /// The broker has the message that was posted with this token.
    Acked(T),
    /// The broker refused it, in words.
    Refused(T, String),
    /// It is over, in words. Nothing more comes.
    Down(String),
}

/// One connection. Dropping it closes it without a farewell, and the broker publishes the will.
#[derive(Debug)]
pub struct Link<T> {
    client: AsyncClient,
    events: mpsc::Receiver<Polled>,
    task: JoinHandle<()>,
    /// Handed to the client, not yet given an id. In order.
    requested: VecDeque<T>,
    /// Sent and not acknowledged, oldest first; a `None` was acknowledged out of order.
    sent: VecDeque<(u16, Option<T>)>,
    limit: usize,
    max_packet: usize,
    learned: Learned,
    progress: Instant,
    subscribed: bool,
    confirmed: u64,
    taken_over: bool,
}

/// What the polling task passes on.
#[derive(Debug)]
enum Polled {
    Event(Box<Event>),
    Over { why: String, taken_over: bool },
}

impl Polled {
    /// The end, for another reason than another client of the same id.
    fn over(why: String) -> Polled {
        Polled::Over {
            why,
            taken_over: false,
        }
    }
}

impl<T> Link<T> {
    /// Begins to connect. `will` is published by the broker when the connection ends without [`Link::leave`].
    pub fn connect(address: &Address, will: &Post, subscriptions: &[String]) -> Link<T> {
        Link::connect_of(address, will, None, subscriptions)
    }

    /// The same with a will that names the start it is of.
    pub fn connect_of(
        address: &Address,
        will: &Post,
        run: Option<RunId>,
        subscriptions: &[String],
    ) -> Link<T> {
        let mut options = MqttOptions::new(&address.client, &address.host, address.port);
        options.set_clean_start(true);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_connection_timeout(CONNECT_SECONDS);
        options.set_max_packet_size(Some(MAX_PACKET));
        options.set_receive_maximum(Some(MAX_INFLIGHT));
        options.set_outgoing_inflight_upper_limit(MAX_INFLIGHT);
        options.set_credentials(&address.user, &address.password);
        if let Some(tls) = &address.tls {
            let tls = TlsConfiguration::Rustls(Arc::clone(tls));
            options.set_transport(Transport::tls_with_config(tls));
        }
        options.set_last_will(LastWill::new(
            &will.topic,
            will.payload.clone(),
            QoS::AtLeastOnce,
            will.retain,
            run.map(|run| LastWillProperties {
                delay_interval: None,
                payload_format_indicator: None,
                message_expiry_interval: None,
                content_type: None,
                response_topic: None,
                correlation_data: None,
                user_properties: vec![property(run)],
            }),
        ));
        let (client, mut poller) = AsyncClient::new(options, REQUESTS);
        let filters = subscriptions
            .iter()
            .map(|topic| Filter::new(topic, QoS::AtLeastOnce));
        // The channel is empty and has room; the request waits there for the connection.
        let _ = client.try_subscribe_many(filters.collect::<Vec<_>>());
        let (events, receiver) = mpsc::channel(REQUESTS);
        let (place, learned) = (address.clone(), address.learned.clone());
        let task = tokio::spawn(async move {
            let mut answered = false;
            loop {
                let polled = match poller.poll().await {
                    Ok(event) => Polled::Event(Box::new(event)),
                    Err(error) if is_too_large(&error) => {
                        Polled::over(match place.learned.refused(&poller) {
                            Some(bytes) => format!(
                                "the broker refuses messages of {bytes} bytes; smaller ones are sent from now on \
                                 (Mosquitto: max_packet_size, message_size_limit)"
                            ),
                            None => words(&error),
                        })
                    }
                    Err(error) if !answered => Polled::over(unanswered(&error, &place).await),
                    Err(error) => Polled::Over {
                        why: words(&error),
                        taken_over: is_taken_over(&error),
                    },
                };
                answered = true;
                let over = matches!(polled, Polled::Over { .. });
                if events.send(polled).await.is_err() || over {
                    return;
                }
            }
        });
        Link {
            client,
            events: receiver,
            task,
            requested: VecDeque::new(),
            sent: VecDeque::new(),
            limit: usize::from(MAX_INFLIGHT),
            max_packet: MAX_PACKET as usize,
            learned,
            progress: Instant::now(),
            subscribed: false,
            confirmed: 0,
            taken_over: false,
        }
    }

    /// True once the broker has granted the subscriptions.
    pub fn is_subscribed(&self) -> bool {
        self.subscribed
    }

    /// How many messages the broker has confirmed.
    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// True where the broker ended the connection because another client has the same id.
    pub fn was_taken_over(&self) -> bool {
        self.taken_over
    }

    /// True when another [`Link::post`] may be called.
    pub fn has_room(&self) -> bool {
        self.requested.len() + self.sent.len() < self.limit
    }

    /// True when the broker takes a message of this length. One that it does not take would end the connection, and
    /// each one after it.
    pub fn takes(&self, post: &Post) -> bool {
        let (topic, payload) = (post.topic.len(), post.payload.len());
        payload <= self.learned.payload() && topic + payload + AROUND <= self.max_packet
    }

    /// The largest size of chunks that a broker with this one's limits passes on: a power of two, and the smallest that
    /// there is where none fits.
    pub fn chunk_limit(&self) -> u32 {
        let room = self
            .max_packet
            .saturating_sub(MAX_TOPIC + AROUND + IN_CHUNK);
        let room = u32::try_from(room).unwrap_or(u32::MAX).max(1);
        (1 << room.ilog2()).clamp(MIN_CHUNK, MAX_CHUNK)
    }

    /// Posts a message at QoS 1; `token` comes back when the broker has it. Call only while there is room.
    pub fn post(&mut self, post: Post, token: T) {
        self.post_of(post, None, token);
    }

    /// The same for a message that names the start it is of.
    pub fn post_of(&mut self, post: Post, run: Option<RunId>, token: T) {
        if self.sent.is_empty() && self.requested.is_empty() {
            self.progress = Instant::now();
        }
        let Post {
            topic,
            payload,
            retain,
        } = post;
        // The channel is longer than what may be in flight. Were it full all the same, the message would count as
        // one that is never acknowledged, and the connection would be given up as stuck.
        let qos = QoS::AtLeastOnce;
        let _ = match run {
            None => self.client.try_publish(topic, qos, retain, payload),
            Some(run) => {
                let properties = PublishProperties {
                    user_properties: vec![property(run)],
                    ..PublishProperties::default()
                };
                self.client
                    .try_publish_with_properties(topic, qos, retain, payload, properties)
            }
        };
        self.requested.push_back(token);
    }

    /// Posts a message at QoS 0, without promise.
    pub fn mention(&mut self, post: Post) {
        let Post {
            topic,
            payload,
            retain,
        } = post;
        // Losing one is allowed.
        let _ = self
            .client
            .try_publish(topic, QoS::AtMostOnce, retain, payload);
    }

    /// True when something was posted and no acknowledgement came for `limit`.
    pub fn is_stuck(&self, now: Instant, limit: Duration) -> bool {
        let waits = !self.sent.is_empty() || !self.requested.is_empty();
        waits && now.saturating_duration_since(self.progress) > limit
    }

    /// True when everything that was posted is acknowledged.
    pub fn is_clear(&self) -> bool {
        self.sent.is_empty() && self.requested.is_empty()
    }

    /// The next thing that happens. May be dropped at any moment without losing anything.
    pub async fn next(&mut self) -> LinkEvent<T> {
        loop {
            let event = match self.events.recv().await {
                Some(Polled::Event(event)) => *event,
                Some(Polled::Over { why, taken_over }) => {
                    self.taken_over = taken_over;
                    return LinkEvent::Down(why);
                }
                None => return LinkEvent::Down("the connection ended".into()),
            };
            match event {
                Event::Incoming(Packet::ConnAck(ack)) => {
                    let theirs = ack.properties.as_ref();
                    if theirs.is_some_and(|theirs| theirs.retain_available == Some(0)) {
                        return LinkEvent::Down(NO_RETAIN.into());
                    }
                    if theirs.is_some_and(|theirs| theirs.max_qos == Some(0)) {
                        return LinkEvent::Down(NO_QOS.into());
                    }
                    let window = theirs.and_then(|theirs| theirs.receive_max);
                    self.limit = usize::from(window.unwrap_or(MAX_INFLIGHT).clamp(1, MAX_INFLIGHT));
                    let largest = theirs.and_then(|theirs| theirs.max_packet_size);
                    self.max_packet = largest.unwrap_or(MAX_PACKET).min(MAX_PACKET) as usize;
                    return LinkEvent::Up;
                }
                Event::Incoming(Packet::Publish(publish)) => {
                    return LinkEvent::Message {
                        run: publish.properties.as_ref().and_then(named),
                        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                        payload: publish.payload.to_vec(),
                    };
                }
                Event::Incoming(Packet::SubAck(ack)) => {
                    let refused = |code: &SubscribeReasonCode| {
                        !matches!(code, SubscribeReasonCode::Success(_))
                    };
                    if ack.return_codes.iter().any(refused) {
                        return LinkEvent::Down(format!(
                            "the broker refuses the subscriptions ({:?}); let this robot read its own topics",
                            ack.return_codes
                        ));
                    }
                    self.subscribed = true;
                }
                Event::Incoming(Packet::PubAck(ack)) => {
                    self.progress = Instant::now();
                    if let Some(token) = self.acknowledged(ack.pkid) {
                        use PubAckReason::{NoMatchingSubscribers, Success};
                        return match ack.reason {
                            Success | NoMatchingSubscribers => {
                                self.confirmed += 1;
                                LinkEvent::Acked(token)
                            }
                            other => LinkEvent::Refused(token, format!("{other:?}")),
                        };
                    }
                }
                Event::Outgoing(Outgoing::Publish(id)) if id != 0 => {
                    if let Some(token) = self.requested.pop_front() {
                        self.sent.push_back((id, Some(token)));
                    }
                }
                _ => {}
            }
        }
    }

    /// Takes the token of a packet id, and forgets the acknowledged ones at the front.
    fn acknowledged(&mut self, id: u16) -> Option<T> {
        let token = self
            .sent
            .iter_mut()
            .find(|(sent, token)| *sent == id && token.is_some())?
            .1
            .take();
        while self
            .sent
            .pop_front_if(|(_, token)| token.is_none())
            .is_some()
        {}
        token
    }

    /// Says goodbye, so that the broker does not publish the will, and waits for the end, at most `limit`.
    pub async fn leave(mut self, limit: Duration) {
        let _ = self.client.try_disconnect();
        let over = async { while !matches!(self.next().await, LinkEvent::Down(_)) {} };
        // A broker that does not close the connection is left all the same.
        let _ = tokio::time::timeout(limit, over).await;
    }
}

impl<T> Drop for Link<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
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

/// Why a broker did not answer, in words that say what to do.
async fn unanswered(error: &ConnectionError, place: &Address) -> String {
    let hung_up = matches!(
        error,
        ConnectionError::MqttState(
            StateError::ConnectionAborted
                | StateError::Io(_)
                | StateError::Deserialization(mqttbytes::Error::Io(_))
        )
    );
    let silent = matches!(error, ConnectionError::Timeout(_));
    if (hung_up || silent)
        && place.tls.is_none()
        && mqtt_version::is_older(&place.host, place.port).await
    {
        return "the broker speaks MQTT 3.1.1 only, and Sanderling needs MQTT 5 (Mosquitto has it since 1.6)"
            .into();
    }
    match hung_up {
        true => "the broker closes the connection before it answers".into(),
        false => words(error),
    }
}

fn property(run: RunId) -> (String, String) {
    (RUN_PROPERTY.to_owned(), run.to_string())
}

/// The start that a message names.
fn named(properties: &PublishProperties) -> Option<RunOf> {
    let mut all = properties.user_properties.iter();
    let (_, value) = all.find(|(name, _)| name == RUN_PROPERTY)?;
    Some(value.parse().map_or(RunOf::Unnamed, RunOf::Start))
}

fn is_taken_over(error: &ConnectionError) -> bool {
    matches!(
        error,
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        })
    )
}

/// A connection's end in words that say what to do.
fn words(error: &ConnectionError) -> String {
    match error {
        ConnectionError::Io(error) => format!("the broker cannot be reached ({error})"),
        ConnectionError::Timeout(_) => "the broker does not answer".into(),
        ConnectionError::ConnectionRefused(code) => refused(*code),
        ConnectionError::MqttState(StateError::ConnFail { reason }) => refused(*reason),
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            "the broker closed the connection".into()
        }
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code,
            reason_string,
        }) => {
            let why = reason_string
                .clone()
                .unwrap_or_else(|| format!("{reason_code:?}"));
            let hint = match format!("{reason_code:?}").as_str() {
                "SessionTakenOver" => "; does another agent use the same --device?",
                _ => "",
            };
            format!("the broker ended the connection ({why}){hint}")
        }
        ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)),
        ) => {
            format!("the connection broke ({error})")
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => "the broker went silent".into(),
        other => format!("the connection failed ({other})"),
    }
}

fn refused(code: ConnectReturnCode) -> String {
    use ConnectReturnCode::{
        BadUserNamePassword, NotAuthorized, QoSNotSupported, RetainNotSupported,
        UnsupportedProtocolVersion,
    };
    let hint = match code {
        // The will, with which every connection begins, needs both.
        RetainNotSupported => return NO_RETAIN.into(),
        QoSNotSupported => return NO_QOS.into(),
        BadUserNamePassword | NotAuthorized => {
            "; check the user name and the password (--user, --password-file, or in the broker's URL)"
        }
        UnsupportedProtocolVersion => "; it must speak MQTT 5",
        _ => "",
    };
    format!("the broker refuses the connection ({code:?}){hint}")
}
