//! What a row of the device table means to a rollout. The table holds the newest that each robot said, so these events
//! can be made of it again and again; a rollout takes from them only what is new.

use sanderling_rollout::{Event, Evidence, Fault, HISTOGRAM_BINS, Key, Phase, Report, Shadow};
use sanderling_wire::{Failure, FailureCode, Health, Manifest, Name, Phase as Told, State};
use sha2::{Digest as _, Sha256};

use crate::decide::fit::{Limits, fit};
use crate::store::devices::Device;

/// A robot's key: the first 8 bytes of the hash whose first 4 are its place.
pub fn key(salt: &[u8; 16], device: &Name) -> Key {
    let hash = Sha256::new()
        .chain_update(salt)
        .chain_update(device.as_bytes())
        .finalize();
    let first: [u8; 8] = hash.first_chunk().copied().unwrap_or_default();
    Key(u64::from_le_bytes(first))
}

/// The events of one row. `record`: the connection that the rollout knows; `told`: the robot's arm runs the new version.
pub fn events(
    key: Key,
    device: &Device,
    record: Option<u64>,
    candidate: &Manifest,
    told: bool,
) -> Vec<Event> {
    let mut events = Vec::with_capacity(4);
    let session = device.known.session.0;
    // A robot whose storage was replaced counts its connections from the start.
    if record.is_some_and(|known| known > session) {
        events.push(Event::Forgotten(key));
    }
    if let Some(health) = &device.health {
        events.extend(of_health(key, health));
    }
    if let Some(state) = &device.state {
        let mut report = of_state(key, state);
        if told && report.failure.is_none() {
            report.failure = misfit(device, state, candidate);
        }
        events.push(Event::Report(Box::new(report)));
    }
    let order = session;
    events.push(if device.known.online {
        Event::Here { device: key, order }
    } else {
        Event::Gone { device: key, order }
    });
    events
}

/// A robot that was told to run the new version, and cannot or does not believe it, names no release in its failure.
fn misfit(
    device: &Device,
    state: &State,
    candidate: &Manifest,
) -> Option<(sanderling_rollout::Digest, Fault)> {
    let first = candidate.artifacts.first()?.digest.0;
    let limits = Limits::from(device.birth.as_ref()?);
    let unfit = fit(candidate, &limits).is_err();
    let refused = state
        .failure
        .as_ref()
        .is_some_and(|failure| failure.release.is_none() && failure.code == FailureCode::Refused);
    (unfit || refused).then_some((first, Fault::Install))
}

fn fault(failure: &Failure) -> Fault {
    match failure.code {
        FailureCode::Trial => Fault::Trial,
        _ => Fault::Install,
    }
}

fn of_state(key: Key, state: &State) -> Report {
    let phase = match state.phase {
        Told::Empty | Told::Active | Told::FellBack => Phase::Resting,
        Told::Downloading | Told::Verifying | Told::SelfTest => Phase::Updating,
        Told::Trial => Phase::Trial,
    };
    Report {
        running: Some(state.running.as_ref().map(|running| running.digest.0)),
        phase: Some(phase),
        failure: state
            .failure
            .as_ref()
            .and_then(|failure| Some((failure.release?.0, fault(failure)))),
        ..Report::of(key, state.session.0)
    }
}

fn of_health(key: Key, health: &Health) -> Option<Event> {
    let seen = health.evidence.as_ref()?;
    let mut classes = [0; HISTOGRAM_BINS];
    for (bin, count) in classes.iter_mut().zip(&seen.classes) {
        *bin = u32::try_from(*count).unwrap_or(u32::MAX);
    }
    let evidence = Evidence {
        inferences: seen.inferences,
        failures: seen.failures,
        p99_us: seen.p99_us,
        low_confidence: seen.low_confidence,
        classes,
        rewards: seen.rewards,
        reward_milli: seen.reward_milli,
    };
    let shadow = seen.shadow.as_ref().map(|shadow| {
        let seen = Shadow {
            compared: shadow.compared,
            disagreed: shadow.disagreed,
            failures: shadow.failures,
            p99_us: shadow.p99_us,
        };
        (shadow.candidate.0, seen)
    });
    Some(Event::Report(Box::new(Report {
        evidence: Some((seen.release.0, evidence)),
        shadow,
        ..Report::of(key, health.session.0)
    })))
}
