//! Who may hold a connection: so many for a listener, so many for a peer, and whoever has said nothing yet makes room.
//!
//! A guest is *idle* until it has said who it is (MQTT) or while it asks for nothing (HTTP). Where all places are taken the
//! guest that has been idle longest leaves. It was given a moment first, so that a crowd that arrives at once is served and
//! not thrown out one by the other. Where nobody is idle, the newcomer is refused. Pure: the time is told.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How long a guest may be idle before it may be asked to leave for another.
pub const MOMENT: Duration = Duration::from_millis(250);

/// How many places there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub all: usize,
    /// For one peer.
    pub peer: usize,
    /// Beyond those, for this machine: the coordinator's own connection comes from it.
    pub own: usize,
}

/// One connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Guest(u64);

/// What is to be done with a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has a place.
    Enter(Guest),
    /// This guest leaves first.
    After(Guest),
    /// It waits for so long, unless somebody leaves earlier.
    Wait(Duration),
    /// It is refused: everybody who is there works.
    Refuse,
}

#[derive(Clone, Copy, Debug)]
struct Seat {
    peer: IpAddr,
    idle_since: Option<Instant>,
    leaving: bool,
}

/// The places of a listener.
#[derive(Debug)]
pub struct Places {
    limits: Limits,
    next: u64,
    seats: HashMap<Guest, Seat>,
    peers: HashMap<IpAddr, usize>,
}

impl Places {
    /// All of them free.
    pub fn new(limits: Limits) -> Places {
        Places {
            limits,
            next: 0,
            seats: HashMap::new(),
            peers: HashMap::new(),
        }
    }

    /// What is to be done with somebody who comes from there.
    pub fn admit(&mut self, peer: IpAddr, now: Instant) -> Verdict {
        let peer = one(peer);
        let own = if peer.is_loopback() {
            self.limits.own
        } else {
            0
        };
        let held = self.peers.get(&peer).copied().unwrap_or_default();
        let crowded = held >= self.limits.peer + own;
        if !crowded && self.seats.len() < self.limits.all + own {
            let guest = Guest(self.next);
            self.next += 1;
            let seat = Seat {
                peer,
                idle_since: Some(now),
                leaving: false,
            };
            self.seats.insert(guest, seat);
            *self.peers.entry(peer).or_default() += 1;
            return Verdict::Enter(guest);
        }
        let concerned = self
            .seats
            .iter()
            .filter(|(_, seat)| !crowded || seat.peer == peer);
        let mut leaving = false;
        let mut longest: Option<(Instant, Guest)> = None;
        for (guest, seat) in concerned {
            leaving |= seat.leaving;
            if let (Some(since), false) = (seat.idle_since, seat.leaving)
                && longest.is_none_or(|(other, _)| since < other)
            {
                longest = Some((since, *guest));
            }
        }
        match longest {
            Some((since, guest)) if now.saturating_duration_since(since) >= MOMENT => {
                if let Some(seat) = self.seats.get_mut(&guest) {
                    seat.leaving = true;
                }
                Verdict::After(guest)
            }
            Some((since, _)) => {
                Verdict::Wait(MOMENT.saturating_sub(now.saturating_duration_since(since)))
            }
            None if leaving => Verdict::Wait(MOMENT),
            None => Verdict::Refuse,
        }
    }

    /// A guest has something to do; false where it was asked to leave before.
    pub fn busy(&mut self, guest: Guest) -> bool {
        match self.seats.get_mut(&guest) {
            Some(seat) if !seat.leaving => {
                seat.idle_since = None;
                true
            }
            _ => false,
        }
    }

    /// A guest has nothing to do.
    pub fn idle(&mut self, guest: Guest, now: Instant) {
        if let Some(seat) = self.seats.get_mut(&guest) {
            seat.idle_since = Some(now);
        }
    }

    /// A guest is gone.
    pub fn left(&mut self, guest: Guest) {
        let Some(seat) = self.seats.remove(&guest) else {
            return;
        };
        if let Some(held) = self.peers.get_mut(&seat.peer) {
            *held -= 1;
            if *held == 0 {
                self.peers.remove(&seat.peer);
            }
        }
    }
}

/// The peer that an address stands for: a host with IPv6 has a whole network of addresses.
fn one(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let bits = u128::from(v6) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(bits))
        }
        other => other,
    }
}

/// How `descriptors` of the process are shared out: the places of the HTTP API, and those of the broker. What is left over
/// is for the database, for files, and for connections that are on their way out.
pub fn shares(descriptors: u64) -> (Limits, Limits) {
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let free = descriptors.saturating_sub(96).max(descriptors / 3);
    let http = (free / 4).clamp(4, 512);
    let mqtt = free.saturating_sub(http).clamp(4, 10_000);
    let limits = |all: usize, own: usize| Limits {
        all,
        // One peer does not take all: a robot's site may stand behind a single address, and there are others.
        peer: all - all / 8,
        own,
    };
    (limits(http, 0), limits(mqtt, 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        all: 4,
        peer: 3,
        own: 1,
    };

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn enter(places: &mut Places, last: u8, now: Instant) -> Guest {
        match places.admit(peer(last), now) {
            Verdict::Enter(guest) => guest,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_longest_idle_of_a_crowded_peer_makes_room_after_a_moment() {
        let (mut places, start) = (Places::new(LIMITS), Instant::now());
        let guests: Vec<Guest> = (0..3u8).map(|_| enter(&mut places, 1, start)).collect();
        assert!(places.busy(guests[0]));
        assert_eq!(places.admit(peer(1), start), Verdict::Wait(MOMENT));
        // Another peer is not concerned.
        let other = enter(&mut places, 2, start);
        let later = start + MOMENT;
        places.idle(guests[1], later);
        assert_eq!(places.admit(peer(1), later), Verdict::After(guests[2]));
        // It is asked once, and what it says from now on is too late.
        assert!(!places.busy(guests[2]));
        assert!(matches!(places.admit(peer(1), later), Verdict::Wait(_)));
        places.left(guests[2]);
        enter(&mut places, 1, later);
        places.left(other);
        enter(&mut places, 2, later);
    }

    #[test]
    fn who_works_is_never_thrown_out_and_this_machine_has_a_place_more() {
        let (mut places, now) = (Places::new(LIMITS), Instant::now());
        for last in [1, 1, 2, 2] {
            let guest = enter(&mut places, last, now);
            assert!(places.busy(guest));
        }
        let later = now + MOMENT * 100;
        assert_eq!(places.admit(peer(3), later), Verdict::Refuse);
        let own = IpAddr::from([127, 0, 0, 1]);
        assert!(matches!(places.admit(own, later), Verdict::Enter(_)));
        assert!(matches!(places.admit(own, later), Verdict::Wait(_)));
    }

    #[test]
    fn a_host_with_many_addresses_is_one_peer() {
        let (mut places, now) = (Places::new(LIMITS), Instant::now());
        for last in 1..=3u16 {
            let address = IpAddr::from([0x2001, 0xdb8, 0, 0, 9, 9, 9, last]);
            assert!(matches!(places.admit(address, now), Verdict::Enter(_)));
        }
        let fourth = IpAddr::from([0x2001, 0xdb8, 0, 0, 1, 2, 3, 4]);
        assert!(matches!(places.admit(fourth, now), Verdict::Wait(_)));
        let mapped = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(one(mapped), peer(1));
    }

    #[test]
    fn few_descriptors_are_shared_and_some_are_left() {
        for descriptors in [64u64, 256, 1024, 4096, 1 << 20] {
            let (http, mqtt) = shares(descriptors);
            let used = http.all + mqtt.all + mqtt.own;
            assert!((used as u64) < descriptors, "{descriptors}: {used}");
            assert!(http.peer < http.all || http.all < 8);
        }
        assert_eq!(shares(1 << 20).1.all, 10_000);
    }
}
