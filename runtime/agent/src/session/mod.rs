//! The conversation with the fleet: connecting and connecting again, birth and will, posting what waits, and passing
//! on what comes.

mod beat;
mod rival;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sanderling_wire::{
    self as wire, Birth, Cmd, FrameId, Kind, Message, Name, Order, Presence, RunId, Text, Topic,
};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use crate::config::Config;
use crate::keeper::SharedOutbox;
use crate::link::{Address, Learned, Link, LinkEvent, Post, RunOf};
use crate::queue::FrameQueue;
use crate::runs::Runs;
use crate::say::Hush;
use crate::shared::Shared;
use crate::status::Standings;
use crate::steady::Steady;
use crate::update::backoff::Dice;
use crate::update::{Input, Line, Outgoing};
use crate::{info, local, warn};

const AREA: &str = "fleet";
/// How often everything that has a time is looked at.
const BEAT: Duration = Duration::from_millis(100);
/// A connection on which nothing is acknowledged for so long is given up.
const STUCK_AFTER: Duration = Duration::from_secs(20);
/// How long the end of the agent may wait for the fleet to confirm results, and for the farewell.
const GRACE: Duration = Duration::from_secs(3);
const FAREWELL: Duration = Duration::from_secs(1);
/// Orders whose numbers are remembered, to know a repeated delivery.
const REMEMBERED_ORDERS: usize = 32;

/// What the session is made of.
#[derive(Debug)]
pub struct Parts {
    /// The configuration.
    pub config: Arc<Config>,
    /// The password for the broker.
    pub password: String,
    /// TLS to the broker, where it speaks that.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// What the threads share.
    pub shared: Arc<Shared>,
    /// The start before this one, where it is known.
    pub boot_before: Option<u32>,
    /// Which runs the starts of this robot were.
    pub runs: Runs,
    /// Results that wait.
    pub outbox: SharedOutbox,
    /// The queue, for its counts.
    pub queue: Arc<FrameQueue>,
    /// The line to the updating thread.
    pub updates: Line,
    /// Its messages for the fleet.
    pub outgoing: UnboundedReceiver<Outgoing>,
    /// True once the agent should end.
    pub stopping: watch::Receiver<bool>,
    /// Asks for the end when the source has ended.
    pub stop: watch::Sender<bool>,
    /// True once no more results come.
    pub kept: watch::Receiver<bool>,
}

/// What comes back when the broker has a message.
#[derive(Clone, Copy, Debug)]
enum Token {
    /// Birth, state, need.
    Control,
    /// A result, and whether the broker's word is enough for it.
    Result { frame: FrameId, final_here: bool },
}

struct Session {
    parts: Parts,
    topics: Topics,
    address: Address,
    link: Option<Link<Token>>,
    up: bool,
    connections: u32,
    session: wire::Session,
    run: Option<RunId>,
    steady: Steady,
    /// A birth of this process was confirmed: what others said under its name before was said before it began.
    born: bool,
    reconnect_at: Instant,
    dice: Dice,
    control: VecDeque<Post>,
    orders: VecDeque<u64>,
    standings: Standings,
    started: Instant,
    health_due: Instant,
    health_counts: Vec<u32>,
    written: String,
    hush: Hush,
}

/// This robot's topics, as text.
struct Topics {
    birth: String,
    state: String,
    result: String,
    json: String,
    health: String,
    need: String,
    chunk: String,
    cmd: String,
    desired: String,
    root: String,
    condition: String,
}

impl Topics {
    fn new(config: &Config) -> Topics {
        let of = |kind| {
            Topic::device(&config.fleet, &config.device, kind)
                .text()
                .as_str()
                .to_owned()
        };
        Topics {
            birth: of(Kind::Birth),
            state: of(Kind::State),
            result: of(Kind::Result),
            json: format!("{}/json", of(Kind::Result)),
            health: of(Kind::Health),
            need: of(Kind::Need),
            chunk: of(Kind::Chunk),
            cmd: of(Kind::Cmd),
            desired: Topic::desired(&config.fleet, &config.group)
                .text()
                .as_str()
                .to_owned(),
            condition: of(Kind::Birth).replace("/birth", "/condition"),
            root: Topic::root(&config.fleet, &config.group)
                .text()
                .as_str()
                .to_owned(),
        }
    }
}

/// Talks with the fleet until the agent ends, then says goodbye.
pub async fn run(parts: Parts, seed: u64) {
    let config = parts.config.clone();
    let now = Instant::now();
    let mut session = Session {
        topics: Topics::new(&config),
        address: Address {
            host: config.broker.host.clone(),
            port: config.broker.port,
            client: config.device.as_str().to_owned(),
            user: config.user.clone(),
            password: parts.password.clone(),
            tls: parts.tls.clone(),
            learned: Learned::default(),
        },
        run: parts.runs.of(parts.shared.boot),
        parts,
        link: None,
        up: false,
        connections: 0,
        session: wire::Session::default(),
        steady: Steady::default(),
        born: false,
        reconnect_at: now,
        dice: Dice::new(seed),
        control: VecDeque::new(),
        orders: VecDeque::new(),
        standings: Standings::default(),
        started: now,
        health_due: now,
        health_counts: Vec::new(),
        written: String::new(),
        hush: Hush::default(),
    };
    session.talk().await;
    session.leave().await;
}

/// The link's next event; never, while there is no link.
async fn next(link: &mut Option<Link<Token>>) -> LinkEvent<Token> {
    match link {
        Some(link) => link.next().await,
        None => std::future::pending().await,
    }
}

impl Session {
    async fn talk(&mut self) {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut end: Option<Instant> = None;
        loop {
            tokio::select! {
                event = next(&mut self.link) => self.event(event),
                Some(outgoing) = self.parts.outgoing.recv() => self.outgoing(outgoing),
                () = self.parts.outbox.filled() => {}
                _ = beat.tick() => self.beat(Instant::now()),
            }
            self.pump(Instant::now());
            if *self.parts.stopping.borrow() {
                let end = *end.get_or_insert_with(|| Instant::now() + GRACE);
                let quiet = self.parts.outbox.lock().depth() == 0 && self.control.is_empty();
                let clear = self.link.as_ref().is_none_or(Link::is_clear);
                let kept = *self.parts.kept.borrow();
                if kept && (!self.up || (quiet && clear)) || Instant::now() >= end {
                    return;
                }
            }
        }
    }

    /// Says goodbye: the fleet hears that this connection ended in peace.
    async fn leave(&mut self) {
        if let Some(mut link) = self.link.take().filter(|_| self.up) {
            let gone = Presence::Gone(self.session);
            if let Some(payload) = encoded(&gone) {
                link.post_of(
                    Post {
                        topic: self.topics.birth.clone(),
                        payload,
                        retain: true,
                    },
                    self.run,
                    Token::Control,
                );
            }
            let until = Instant::now() + FAREWELL;
            while !link.is_clear() {
                let left = until.saturating_duration_since(Instant::now());
                match tokio::time::timeout(left, link.next()).await {
                    Ok(LinkEvent::Down(_)) | Err(_) => break,
                    Ok(_) => {}
                }
            }
            link.leave(FAREWELL).await;
        }
        // What was confirmed since the outbox's thread ended need not be sent again by the next start.
        let _ = self.parts.outbox.lock().note_cursor();
        self.up = false;
        self.standings.ended = true;
        self.write_status();
    }

    fn event(&mut self, event: LinkEvent<Token>) {
        match event {
            LinkEvent::Up => {
                self.up = true;
                self.control.clear();
                self.parts.outbox.lock().connection_lost();
                self.say_birth();
                if let Some(link) = &self.link {
                    self.tell_update(Input::ChunkLimit(link.chunk_limit()));
                }
                self.tell_update(Input::Up(self.session));
            }
            LinkEvent::Message {
                topic,
                payload,
                run,
            } => self.message(&topic, payload, run),
            LinkEvent::Acked(Token::Result {
                frame,
                final_here: true,
            }) => {
                let left = self
                    .parts
                    .outbox
                    .lock()
                    .confirm(frame.boot, frame.seq, frame.seq);
                self.standings.confirmed += left as u64;
            }
            LinkEvent::Acked(_) => {}
            LinkEvent::Refused(token, why) => {
                let what = match token {
                    Token::Control => "a message",
                    Token::Result { .. } => "a result",
                };
                self.hush.warn(
                    AREA,
                    "refused",
                    format_args!(
                        "the broker refuses {what} ({why}); let this robot write its own topics"
                    ),
                );
            }
            LinkEvent::Down(why) => self.down(&why),
        }
    }

    fn down(&mut self, why: &str) {
        let now = Instant::now();
        if self.link.as_ref().is_some_and(Link::was_taken_over) {
            self.meets_rival(None);
        }
        self.look_at_link(now);
        let wait = self.steady.ended(now, self.dice.roll());
        let Address { host, port, .. } = &self.address;
        self.hush.warn(
            AREA,
            why,
            format_args!(
                "{host}:{port}: {why}; inference goes on, results wait, and the agent tries again"
            ),
        );
        self.reconnect_at = now + wait;
        self.link = None;
        if std::mem::take(&mut self.up) {
            self.tell_update(Input::Down);
        }
    }

    fn connect(&mut self) {
        self.steady.begins();
        self.connections += 1;
        self.session = wire::Session::new(self.parts.shared.boot, self.connections);
        self.standings.session = self.session.0;
        let Some(payload) = encoded(&Presence::Gone(self.session)) else {
            return;
        };
        let will = Post {
            topic: self.topics.birth.clone(),
            payload,
            retain: true,
        };
        let Topics {
            desired,
            root,
            chunk,
            cmd,
            birth,
            condition,
            ..
        } = &self.topics;
        // The root first: what a new fleet key signed is believed only after it.
        let subscriptions = [root, desired, chunk, cmd, birth, condition].map(String::clone);
        self.link = Some(Link::connect_of(
            &self.address,
            &will,
            self.run,
            &subscriptions,
        ));
    }

    fn say_birth(&mut self) {
        let config = &self.parts.config;
        let limits = &config.update;
        let birth = Birth {
            session: self.session,
            group: config.group.clone(),
            software: Text::cut(concat!("sanderling-agent ", env!("CARGO_PKG_VERSION"))),
            board: Text::format(format_args!(
                "{}-{}",
                std::env::consts::OS,
                std::env::consts::ARCH
            )),
            targets: limits
                .targets
                .iter()
                .cloned()
                .collect::<heapless::Vec<Name, { wire::MAX_TARGETS }>>(),
            arena_limit: limits.arena_limit,
            flash_limit: limits.model_limit,
            chunk_limit: limits.chunk,
            running: self.parts.shared.standing().running,
        };
        if let Some(payload) = encoded(&Presence::Born(birth)) {
            let birth = Post {
                topic: self.topics.birth.clone(),
                payload,
                retain: true,
            };
            self.control.push_front(birth);
        }
    }

    fn outgoing(&mut self, outgoing: Outgoing) {
        // What is not heard now is said again at the next connection.
        if !self.up {
            return;
        }
        let topic = match outgoing.kind {
            Kind::Need => &self.topics.need,
            _ => &self.topics.state,
        };
        let retain = outgoing.kind.is_retained();
        self.control.push_back(Post {
            topic: topic.clone(),
            payload: outgoing.payload,
            retain,
        });
    }

    /// Hands over what waits, as much as may be in flight: control messages first, then results in their order.
    fn pump(&mut self, now: Instant) {
        let Some(link) = self.link.as_mut().filter(|_| self.up) else {
            return;
        };
        while link.has_room() {
            if let Some(post) = self.control.pop_front() {
                link.post_of(post, self.run, Token::Control);
                continue;
            }
            let next = self
                .parts
                .outbox
                .lock()
                .next_to_send(now, self.parts.config.resend_after);
            let Some((frame, payload)) = next else { return };
            // What was kept by an earlier run in the other format goes where it belongs.
            let json = payload.first() == Some(&b'{');
            let topic = if json {
                &self.topics.json
            } else {
                &self.topics.result
            };
            let post = Post {
                topic: topic.clone(),
                payload,
                retain: false,
            };
            if !link.takes(&post) {
                let bytes = post.payload.len();
                self.hush.warn(
                    AREA,
                    "too large",
                    format_args!("results of {bytes} bytes are more than the broker takes, and are lost; raise its limit, or use --answer class"),
                );
                self.parts
                    .outbox
                    .lock()
                    .confirm(frame.boot, frame.seq, frame.seq);
                self.parts.shared.results_lost.add(1);
                continue;
            }
            let token = Token::Result {
                frame,
                final_here: json,
            };
            link.post_of(post, self.parts.runs.of(frame.boot), token);
        }
    }

    fn message(&mut self, topic: &str, payload: Vec<u8>, run: Option<RunOf>) {
        if topic == self.topics.desired {
            self.tell_update(Input::Desired(payload));
        } else if topic == self.topics.root {
            self.tell_update(Input::Roots(payload));
        } else if topic == self.topics.condition {
            let told = String::from_utf8_lossy(&payload);
            let taken = local::take(&told, &self.parts.shared, &self.parts.updates);
            if let Err(why) = taken {
                self.hush.warn(AREA, "condition", format_args!("{why}"));
            }
        } else if topic == self.topics.chunk {
            self.tell_update(Input::Chunk(payload));
        } else if topic == self.topics.cmd {
            match wire::decode::<Cmd>(&payload) {
                Ok(cmd) => self.cmd(cmd, run),
                Err(error) => self.hush.warn(
                    AREA,
                    "order",
                    format_args!("an order cannot be read: {error}"),
                ),
            }
        } else if topic == self.topics.birth
            && let Ok(presence) = wire::decode::<Presence>(&payload)
        {
            self.presence(&presence, run);
        }
    }

    fn cmd(&mut self, cmd: Cmd, run: Option<RunOf>) {
        if cmd.id != 0 {
            if self.orders.contains(&cmd.id) {
                return;
            }
            self.orders.push_back(cmd.id);
            if self.orders.len() > REMEMBERED_ORDERS {
                self.orders.pop_front();
            }
        }
        match cmd.order {
            Order::Identify => info!(
                AREA,
                "here I am: {} (asked by the fleet)", self.parts.config.device
            ),
            Order::Stop => {
                info!(AREA, "stopped answering frames, as ordered");
                self.parts.shared.paused.set(true);
                self.parts.queue.nudge();
            }
            Order::Resume => {
                info!(AREA, "answering frames again, as ordered");
                self.parts.shared.paused.set(false);
                self.parts.queue.nudge();
            }
            Order::Retry => self.tell_update(Input::Retry),
            Order::Rebirth => {
                self.say_birth();
                self.tell_update(Input::Report);
            }
            Order::Receipt(ranges) => {
                let mut outbox = self.parts.outbox.lock();
                for range in &ranges {
                    // Another robot of this name may have numbered its results alike. A fleet that does not name the
                    // start knows it by its boot counter alone.
                    let own = self.parts.runs.of(range.boot);
                    if run.is_some_and(|run| !run.is(own)) {
                        continue;
                    }
                    self.standings.confirmed +=
                        outbox.confirm(range.boot, range.first, range.last) as u64;
                }
            }
            Order::Refused(release, refusal) => self.tell_update(Input::Refused(release, refusal)),
        }
    }

    fn tell_update(&self, input: Input) {
        // The updating thread outlives the session.
        let _ = self.parts.updates.send(input);
    }
}

/// A small message's bytes; a message that contradicts itself is said and not sent.
fn encoded<'a, M: Message<'a>>(message: &M) -> Option<Vec<u8>> {
    let mut buffer = [0; wire::MAX_SMALL_MESSAGE];
    match wire::encode(message, &mut buffer) {
        Ok(bytes) => Some(bytes.to_vec()),
        Err(error) => {
            warn!(AREA, "a message cannot be written: {error}");
            None
        }
    }
}
