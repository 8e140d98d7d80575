//! The way in for HTTP and MQTT: accepts connections as far as there are places, and survives a lack of descriptors.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::decide::places::{Guest, Limits, MOMENT, Places, Verdict};

/// How long what was sent may stay without an acknowledgement, and how long a reader may read nothing.
const UNREAD: Duration = Duration::from_secs(60);
/// The shortest and the longest pause after a failure to accept.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// One way in, which several listeners may share.
#[derive(Debug)]
pub struct Doors {
    name: &'static str,
    state: Mutex<State>,
    /// Told whenever somebody leaves.
    left: Notify,
}

#[derive(Debug)]
struct State {
    places: Places,
    /// How each guest is asked to leave.
    asked: HashMap<Guest, Arc<Notify>>,
}

/// A place, as long as this value lives.
#[derive(Debug)]
pub struct Place {
    doors: Arc<Doors>,
    guest: Guest,
    asked: Arc<Notify>,
}

impl Doors {
    /// Doors with so many places; `name` is for the log.
    pub fn new(name: &'static str, limits: Limits) -> Arc<Doors> {
        let state = State {
            places: Places::new(limits),
            asked: HashMap::new(),
        };
        Arc::new(Doors {
            name,
            state: Mutex::new(state),
            left: Notify::new(),
        })
    }

    /// The next connection that has a place.
    pub async fn accept(
        self: &Arc<Doors>,
        listener: &TcpListener,
    ) -> (TcpStream, SocketAddr, Place) {
        let mut pause = PAUSES.0;
        loop {
            let (stream, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // The connection stays in the queue, so that the next attempt would fail at once.
                    tracing::error!(
                        "{} cannot accept a connection ({error}); trying again",
                        self.name
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                    continue;
                }
            };
            pause = PAUSES.0;
            let Some(place) = self.place(from).await else {
                tracing::warn!(
                    "{} refuses {from}: all places are taken; more descriptors (ulimit -n) give more places",
                    self.name
                );
                continue;
            };
            // Neither is needed for a connection that works.
            let _ = stream.set_nodelay(true);
            let socket = socket2::SockRef::from(&stream);
            let _ = socket.set_tcp_user_timeout(Some(UNREAD));
            let _ = socket.set_keepalive(true);
            return (stream, from, place);
        }
    }

    async fn place(self: &Arc<Doors>, from: SocketAddr) -> Option<Place> {
        loop {
            // Registered before the look, so that nobody leaves between look and wait unseen.
            let left = self.left.notified();
            let verdict = self.state().places.admit(from.ip(), Instant::now());
            let wait = match verdict {
                Verdict::Enter(guest) => {
                    let asked = Arc::new(Notify::new());
                    self.state().asked.insert(guest, Arc::clone(&asked));
                    let doors = Arc::clone(self);
                    return Some(Place {
                        doors,
                        guest,
                        asked,
                    });
                }
                Verdict::After(guest) => {
                    tracing::debug!("{} closes a silent connection for {from}", self.name);
                    if let Some(asked) = self.state().asked.get(&guest) {
                        asked.notify_one();
                    }
                    MOMENT
                }
                Verdict::Wait(wait) => wait.max(Duration::from_millis(1)),
                Verdict::Refuse => return None,
            };
            let _ = tokio::time::timeout(wait, left).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The guest has something to do, and is not asked to leave meanwhile.
    pub fn busy(&self) {
        self.doors.state().places.busy(self.guest);
    }

    /// The guest has nothing to do any more.
    pub fn idle(&self) {
        let now = Instant::now();
        self.doors.state().places.idle(self.guest, now);
    }

    /// Waits until the place is wanted for another.
    pub async fn wanted(&self) {
        self.asked.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.doors.state();
        state.places.left(self.guest);
        state.asked.remove(&self.guest);
        drop(state);
        self.doors.left.notify_waiters();
    }
}
