//! The status file: one JSON object about the agent, replaced whole, for people, tests and scripts to wait on.

use std::time::Instant;

use sanderling_wire::{Digest, Evidence, Phase, Shadow};
use serde_json::{Value, json};

use crate::latency::{Quantiles, between};
use crate::shared::Shared;
use crate::update::Pulled;

/// What the session knows and the threads do not share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standings {
    /// True while a connection is up.
    pub connected: bool,
    /// The number of the last connection.
    pub session: u64,
    /// Results that wait for the fleet.
    pub outbox_depth: u64,
    /// Their bytes on disk.
    pub outbox_bytes: u64,
    /// Results that were lost at the outbox's bound.
    pub outbox_dropped: u64,
    /// Results that the fleet confirmed in this run.
    pub confirmed: u64,
    /// Frames that wait for the model.
    pub waiting: usize,
    /// Frames that the queue dropped.
    pub dropped: u64,
    /// What to do about another robot of the same name, once one was met.
    pub clone: Option<String>,
    /// True in the last status of a clean end.
    pub ended: bool,
}

/// The whole status.
pub fn object(shared: &Shared, standings: &Standings, device: &str, started: Instant) -> Value {
    let standing = shared.standing();
    let latency = between(&[], &shared.latencies.counts());
    let running = standing.running.as_ref().map(|running| {
        json!({
            "model": running.model.as_str(),
            "version": running.version,
            "digest": running.digest.to_string(),
            "executor": standing.executor,
        })
    });
    let models: Vec<Value> = shared
        .tallies()
        .iter()
        .map(|tally| {
            json!({
                "digest": Digest(tally.model).to_string(),
                "frames": tally.frames,
                "first_seq": tally.first_seq,
                "last_seq": tally.last_seq,
                "labelled": tally.labelled,
                "right": tally.right,
            })
        })
        .collect();
    json!({
        "device": device,
        "pid": std::process::id(),
        "boot": shared.boot,
        "uptime_s": started.elapsed().as_secs(),
        "ended": standings.ended,
        "connected": standings.connected,
        "session": standings.session,
        "clone": standings.clone,
        "phase": standing.phase.map(phase),
        "serial": standing.serial,
        "root": standing.root.map(|root| json!({ "version": root.version, "epoch": root.epoch })),
        "running": running,
        "progress": standing.progress.map(|(held, size)| json!({"held": held, "size": size})),
        "pulled": standing.pulled.as_ref().map(pulled),
        "pulled_bytes": shared.pulled_bytes.get(),
        "failure": standing.failure,
        "held": standing.held,
        "evidence": evidence(shared),
        "shadow": shadow(shared),
        "swaps": shared.swaps.get(),
        "frames_in": shared.frames_in.get(),
        "frames_out": shared.frames_out.get(),
        "frames_dropped": standings.dropped,
        "frames_waiting": standings.waiting,
        "bad_frames": shared.bad_frames.get(),
        "failed_frames": shared.failed_frames.get(),
        "source_ended": shared.has_source_ended(),
        "paused": shared.paused.get(),
        "latency_p50_us": latency.p50_us,
        "latency_p99_us": latency.p99_us,
        "arena_bytes": shared.arena_bytes.get(),
        "allocations": shared.allocations.get(),
        "outbox_depth": standings.outbox_depth,
        "outbox_bytes": standings.outbox_bytes,
        "outbox_dropped": standings.outbox_dropped + shared.results_lost.get(),
        "confirmed": standings.confirmed,
        "models": models,
    })
}

/// What was pulled for the last update, and how.
fn pulled(pulled: &Pulled) -> Value {
    json!({
        "digest": Digest(pulled.release).to_string(),
        "size": pulled.size,
        "bytes": pulled.bytes,
        "delta_from": pulled.base.map(|base| Digest(base).to_string()),
        "without_delta": pulled.without,
    })
}

/// What was seen of the release that serves, and of the candidate beside it, for the health message.
pub fn evidence_message(shared: &Shared) -> Option<Evidence> {
    let seen = shared.evidence().summary()?;
    let shadow = shared.shadow.summary().map(|seen| Shadow {
        candidate: Digest(seen.candidate),
        compared: seen.compared,
        disagreed: seen.disagreed,
        failures: seen.failures,
        p99_us: seen.times.p99_us,
    });
    Some(Evidence {
        release: Digest(seen.release),
        inferences: seen.inferences,
        failures: seen.failures,
        p50_us: seen.times.p50_us,
        p99_us: seen.times.p99_us,
        low_confidence: seen.low_confidence,
        classes: seen.classes.into_iter().collect(),
        rewards: seen.rewards,
        reward_milli: seen.reward_milli,
        shadow,
    })
}

fn evidence(shared: &Shared) -> Option<Value> {
    let seen = shared.evidence().summary()?;
    Some(json!({
        "digest": Digest(seen.release).to_string(),
        "inferences": seen.inferences,
        "failures": seen.failures,
        "p50_us": seen.times.p50_us,
        "p99_us": seen.times.p99_us,
        "low_confidence": seen.low_confidence,
        "classes": seen.classes,
        "rewards": seen.rewards,
        "reward_milli": seen.reward_milli,
    }))
}

fn shadow(shared: &Shared) -> Option<Value> {
    let seen = shared.shadow.summary()?;
    Some(json!({
        "digest": Digest(seen.candidate).to_string(),
        "compared": seen.compared,
        "disagreed": seen.disagreed,
        "failures": seen.failures,
        "skipped": seen.skipped,
        "p99_us": seen.times.p99_us,
    }))
}

/// The health message's quantiles for the time since `before`, and the counts to compare with next time.
pub fn period(shared: &Shared, before: &[u32]) -> (Quantiles, Vec<u32>) {
    let now = shared.latencies.counts();
    (between(before, &now), now)
}

/// A phase as the status file and the coordinator's API spell it.
fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Empty => "empty",
        Phase::Active => "active",
        Phase::Downloading => "downloading",
        Phase::Verifying => "verifying",
        Phase::SelfTest => "self_test",
        Phase::Trial => "trial",
        Phase::FellBack => "fell_back",
    }
}
