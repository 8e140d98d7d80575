//! The gateway's edge: the serial device, a thread that reads it, one that writes it, and the connection to the broker.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sanderling_wire::Name;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;

use super::port::{self, PortError, Speed};
use super::{Gateway, Out};
use crate::link::{Address, Link, LinkEvent, Post};
use crate::say::Hush;
use crate::steady::Steady;
use crate::update::backoff::Dice;
use crate::{info, warn};

const AREA: &str = "gateway";
const BEAT: Duration = Duration::from_millis(200);
/// The wait before a line that ended is opened again.
const RECONNECT: Duration = Duration::from_secs(2);
/// A connection on which nothing is acknowledged for so long is given up.
const STUCK_AFTER: Duration = Duration::from_secs(20);
/// Bytes that are read off the line at once.
const READ: usize = 4096;

/// Which line, which broker, and which fleet.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The serial device.
    pub device: PathBuf,
    /// Its speed.
    pub speed: Speed,
    /// The broker and the password of the microcontroller's login. The client's id and the user are the name that it
    /// says, so that the broker lets this connection touch its topics and no others.
    pub address: Address,
    /// The fleet.
    pub fleet: Name,
}

struct Edge {
    setup: Setup,
    gateway: Gateway,
    line: mpsc::Sender<Vec<u8>>,
    link: Option<Link<()>>,
    waiting: VecDeque<Post>,
    /// A connection to make, and when.
    connect: Option<(Instant, Out)>,
    began: Instant,
    steady: Steady,
    dice: Dice,
    hush: Hush,
}

/// Speaks for what is at the other end of the line until `stopping` says so. A line that ends, or that is not there
/// yet, is opened again and again.
pub async fn run(setup: Setup, mut stopping: watch::Receiver<bool>) {
    let mut hush = Hush::default();
    while !*stopping.borrow() {
        let opened = port::open(&setup.device, setup.speed)
            .and_then(|port| Ok((port.try_clone().map_err(PortError::Open)?, port)));
        match opened {
            Ok((reader, writer)) => {
                info!(AREA, "listening at {}", setup.device.display());
                carry(setup.clone(), reader, writer, stopping.clone()).await;
            }
            Err(error) => hush.warn(
                AREA,
                "line",
                format_args!("{}: {error}", setup.device.display()),
            ),
        }
        tokio::select! {
            () = tokio::time::sleep(RECONNECT) => {}
            _ = stopping.changed() => {}
        }
    }
}

/// Speaks for what is at the other end of `reader` and `writer` until `stopping` says so or the line ends.
async fn carry(
    setup: Setup,
    reader: impl Read + Send + 'static,
    writer: impl Write + Send + 'static,
    mut stopping: watch::Receiver<bool>,
) {
    let mut bytes = read(reader);
    let mut edge = Edge {
        gateway: Gateway::new(setup.fleet.clone()),
        setup,
        line: write(writer),
        link: None,
        waiting: VecDeque::new(),
        connect: None,
        began: Instant::now(),
        steady: Steady::default(),
        dice: Dice::new(now_s()),
        hush: Hush::default(),
    };
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = next(&mut edge.link) => edge.event(event),
            heard = bytes.recv() => match heard {
                Some(heard) => {
                    let out = edge.gateway.line(&heard, edge.now_ms(), now_s());
                    edge.act(out);
                }
                None => {
                    warn!(AREA, "the serial line ended; check the cable and the device");
                    return;
                }
            },
            _ = beat.tick() => edge.beat(),
            changed = stopping.changed() => if changed.is_err() || *stopping.borrow() {
                return;
            },
        }
        edge.pump();
    }
}

/// The link's next event; never, while there is no link.
async fn next(link: &mut Option<Link<()>>) -> LinkEvent<()> {
    match link {
        Some(link) => link.next().await,
        None => std::future::pending().await,
    }
}

fn read(mut reader: impl Read + Send + 'static) -> UnboundedReceiver<Vec<u8>> {
    let (sender, receiver) = unbounded_channel();
    thread::spawn(move || {
        let mut buffer = [0; READ];
        loop {
            match reader.read(&mut buffer) {
                Ok(count) if count > 0 && sender.send(buffer[..count].to_vec()).is_ok() => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    });
    receiver
}

fn write(mut writer: impl Write + Send + 'static) -> mpsc::Sender<Vec<u8>> {
    let (sender, receiver) = mpsc::channel::<Vec<u8>>();
    thread::spawn(move || {
        // What cannot be written is asked for again by the other side; a line that is gone ends the reader.
        while let Ok(bytes) = receiver.recv() {
            let _ = writer.write_all(&bytes).and_then(|()| writer.flush());
        }
    });
    sender
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl Edge {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn act(&mut self, out: VecDeque<Out>) {
        for out in out {
            match out {
                Out::Line(bytes) => {
                    let _ = self.line.send(bytes);
                }
                Out::Post(post) => self.waiting.push_back(post),
                connect @ Out::Connect { .. } => {
                    self.waiting.clear();
                    self.link = None;
                    self.connect = Some((Instant::now(), connect));
                }
            }
        }
    }

    fn event(&mut self, event: LinkEvent<()>) {
        let out = match event {
            LinkEvent::Up => self.gateway.up(now_s()),
            LinkEvent::Message { topic, payload, .. } => {
                self.gateway.fleet(&topic, &payload, self.now_ms(), now_s())
            }
            LinkEvent::Acked(()) => VecDeque::new(),
            LinkEvent::Refused((), why) => {
                warn!(
                    AREA,
                    "the broker refused a message of the microcontroller's: {why}"
                );
                VecDeque::new()
            }
            LinkEvent::Down(why) => {
                self.hush.warn(
                    AREA,
                    &why,
                    format_args!("the microcontroller's connection ended: {why}"),
                );
                return self.lost();
            }
        };
        self.act(out);
    }

    fn lost(&mut self) {
        let now = Instant::now();
        self.look_at_link(now);
        if self.link.as_ref().is_some_and(Link::was_taken_over) {
            self.steady.meets_rival();
        }
        let wait = self.steady.ended(now, self.dice.roll());
        let out = self.gateway.down();
        self.act(out);
        if let Some((at, _)) = &mut self.connect {
            *at = now + wait;
        }
    }

    /// Notices the moments at which the connection has proved itself and is steady.
    fn look_at_link(&mut self, now: Instant) {
        let Some(link) = &self.link else { return };
        let (subscribed, confirmed) = (link.is_subscribed(), link.confirmed());
        if self.steady.look(subscribed, confirmed, now) {
            self.hush.info(
                AREA,
                "connected",
                format_args!("the microcontroller is connected"),
            );
        }
        if self.steady.became_steady(now) {
            self.hush.clear();
        }
    }

    fn beat(&mut self) {
        let now = Instant::now();
        self.look_at_link(now);
        if self
            .link
            .as_ref()
            .is_some_and(|link| link.is_stuck(now, STUCK_AFTER))
        {
            self.lost();
        }
        if let Some((
            _,
            Out::Connect {
                device,
                will,
                topics,
            },
        )) = self.connect.take_if(|(at, _)| now >= *at)
        {
            let address = Address {
                client: device.as_str().to_owned(),
                user: device.as_str().to_owned(),
                ..self.setup.address.clone()
            };
            self.hush
                .info(AREA, "speaking", format_args!("speaking for {device}"));
            self.steady.begins();
            self.link = Some(Link::connect(&address, &will, &topics));
        }
        let out = self.gateway.beat(self.now_ms());
        self.act(out);
    }

    fn pump(&mut self) {
        let Some(link) = &mut self.link else { return };
        while link.has_room() {
            let Some(post) = self.waiting.pop_front() else {
                return;
            };
            if link.takes(&post) {
                link.post(post, ());
            }
        }
    }
}
