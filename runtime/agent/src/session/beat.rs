//! What the session does at every beat: connecting again, health, the status file, and noticing the end.

use std::time::Instant;

use sanderling_wire::Health;

use super::{STUCK_AFTER, Session, encoded};
use crate::durable;
use crate::link::Post;
use crate::status;

impl Session {
    pub(super) fn beat(&mut self, now: Instant) {
        self.look_at_link(now);
        if self.link.is_none() && now >= self.reconnect_at && !*self.parts.stopping.borrow() {
            self.connect();
        }
        if self
            .link
            .as_ref()
            .is_some_and(|link| link.is_stuck(now, STUCK_AFTER))
        {
            self.down("the broker acknowledges nothing");
        }
        if self.up && now >= self.health_due {
            self.health_due = now + self.parts.config.health_every;
            self.say_health();
        }
        self.write_status();
        if self.parts.config.source.exit_at_end && self.is_everything_done() {
            let _ = self.parts.stop.send(true);
        }
    }

    /// True when the source has ended, every frame was answered, and every answer is confirmed.
    fn is_everything_done(&self) -> bool {
        let shared = &self.parts.shared;
        let tallied: u64 = shared.tallies().iter().map(|tally| tally.frames).sum();
        shared.has_source_ended()
            && self.parts.queue.waiting() == 0
            && shared.is_drained()
            && tallied + shared.results_lost.get() >= shared.frames_out.get()
            && self.parts.outbox.lock().depth() == 0
    }

    fn say_health(&mut self) {
        let shared = &self.parts.shared;
        let (latency, counts) = status::period(shared, &self.health_counts);
        self.health_counts = counts;
        let (depth, dropped) = {
            let outbox = self.parts.outbox.lock();
            (outbox.depth(), outbox.dropped())
        };
        let health = Health {
            session: self.session,
            uptime_s: u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX),
            frames_in: shared.frames_in.get(),
            frames_out: shared.frames_out.get(),
            frames_dropped: self.parts.queue.dropped(),
            latency_p50_us: latency.p50_us,
            latency_p99_us: latency.p99_us,
            arena_bytes: shared.arena_bytes.get(),
            allocations: shared.allocations.get(),
            outbox_depth: u32::try_from(depth).unwrap_or(u32::MAX),
            outbox_dropped: dropped + shared.results_lost.get(),
            temperature_mc: temperature(),
            pulled_bytes: shared.pulled_bytes.get(),
            evidence: status::evidence_message(shared),
        };
        if let (Some(payload), Some(link)) = (encoded(&health), &mut self.link) {
            link.mention(Post {
                topic: self.topics.health.clone(),
                payload,
                retain: false,
            });
        }
    }

    pub(super) fn write_status(&mut self) {
        let Some(path) = self.parts.config.status_file.clone() else {
            return;
        };
        self.standings.connected = self.up;
        self.standings.waiting = self.parts.queue.waiting();
        self.standings.dropped = self.parts.queue.dropped();
        {
            let outbox = self.parts.outbox.lock();
            self.standings.outbox_depth = outbox.depth();
            self.standings.outbox_bytes = outbox.bytes();
            self.standings.outbox_dropped = outbox.dropped();
        }
        let device = self.parts.config.device.as_str();
        let text = format!(
            "{}\n",
            status::object(&self.parts.shared, &self.standings, device, self.started)
        );
        if text == self.written {
            return;
        }
        match durable::show(&path, text.as_bytes()) {
            Ok(()) => self.written = text,
            Err(error) => self.hush.warn(
                "status",
                "status",
                format_args!("{} cannot be written ({error})", path.display()),
            ),
        }
    }
}

/// The board's temperature in thousandths of a degree, where Linux knows one.
fn temperature() -> Option<i32> {
    std::fs::read_to_string("/sys/class/thermal/thermal_zone0/temp")
        .ok()?
        .trim()
        .parse()
        .ok()
}
