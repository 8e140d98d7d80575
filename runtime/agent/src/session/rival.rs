//! Whether a connection has proved itself, and whether another robot has the same name.
//!
//! A copied card gives two robots one name. The broker ends the connection of one for the other, and says so at best to
//! the client that it throws out; many close without a word. So an agent also reads what stands on its own birth topic:
//! a birth or a will there that is not its own, after its own birth was confirmed, is another robot's.

use std::time::Instant;

use sanderling_wire::{Presence, Session as Connection};

use super::{AREA, Session};
use crate::link::{Address, RunOf};

impl Session {
    /// Notices the moments at which the connection has proved itself and is steady.
    pub(super) fn look_at_link(&mut self, now: Instant) {
        let Some(link) = self.link.as_ref().filter(|_| self.up) else {
            return;
        };
        let (subscribed, confirmed) = (link.is_subscribed(), link.confirmed());
        if self.steady.look(subscribed, confirmed, now) {
            self.born = true;
            let Address { host, port, .. } = &self.address;
            let device = &self.parts.config.device;
            self.hush.info(
                AREA,
                "connected",
                format_args!("connected to {host}:{port} as {device}"),
            );
        }
        if self.steady.became_steady(now) {
            self.hush.clear();
        }
    }

    /// Somebody spoke on this robot's birth topic: the robot itself, its will, or another one.
    pub(super) fn presence(&mut self, presence: &Presence, run: Option<RunOf>) {
        let connection = presence.session();
        let own = match (run, self.run) {
            (Some(run), Some(_)) => run.is(self.run),
            _ => connection.boot() == self.session.boot() && connection <= self.session,
        };
        // What stood there before this process began is its last life's; of a will, so is what comes in its first
        // connection, where the storage was replaced in between.
        let last_life = Some(connection.boot()) == self.parts.boot_before;
        let foreign = !own && self.born && !last_life;
        match presence {
            Presence::Born(_) if foreign => self.meets_rival(Some(connection)),
            Presence::Born(_) => {}
            Presence::Gone(_) => {
                if foreign && self.connections > 1 {
                    self.meets_rival(Some(connection));
                }
                // An old connection's will came late, or another robot's; this one lives.
                self.say_birth();
            }
        }
    }

    /// Another robot connects under this one's name.
    pub(super) fn meets_rival(&mut self, connection: Option<Connection>) {
        self.steady.meets_rival();
        let device = &self.parts.config.device;
        let start = match connection {
            Some(connection) => format!(" (its start {})", connection.boot()),
            None => String::new(),
        };
        let text = format!(
            "another robot connects as {device} too{start}, and each ends the other's connection; a copied card or \
             state folder? Give one of them another --device and an empty --state-dir. Until then they take turns, \
             and the results of both are kept"
        );
        self.hush.warn(AREA, "clone", format_args!("{text}"));
        self.standings.clone = Some(text);
    }
}
