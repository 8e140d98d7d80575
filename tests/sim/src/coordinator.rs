//! The coordinator: the real rollout, fed with what robots say, and the desired state that follows from it.

use std::collections::HashMap;
use std::rc::Rc;

use sanderling_rollout::{
    Audit, Event, Evidence, Fault, HISTOGRAM_BINS, Key, Phase, Policy, Report, Shadow, State,
    Version, arms, step,
};
use sanderling_trust::Role;
use sanderling_wire::{
    Arm, Chunk, DEFAULT_CHUNK, Desired, FailureCode, Health, Kind, Layout, Name, Need,
    Phase as Told, Presence, Signed, State as Said, Topic, decode,
};
use sha2::{Digest as _, Sha256};

use crate::keys::{Keys, bytes, signed};
use crate::shelf::Release;

/// Bytes in a second that the coordinator sends as chunks.
const RATE: u64 = 20_000_000;
/// Seconds that a desired state is believed.
const VALID_S: u64 = 7 * 86_400;

pub struct Coordinator {
    pub rollout: State,
    pub audit: Vec<Audit>,
    group: Name,
    salt: [u8; 16],
    serial: u64,
    /// The revision that the desired state on the broker was made of.
    published: Option<u32>,
    known: HashMap<Name, Key>,
    /// When the next chunk may leave.
    free_us: u64,
}

/// A message on its way to a robot.
pub struct Letter {
    pub leaves_ms: u64,
    pub payload: Rc<[u8]>,
}

fn release_of(release: &Release) -> sanderling_rollout::Release {
    sanderling_rollout::Release {
        model: "terrain".to_owned(),
        version: release.version,
        digests: vec![release.digest.0],
    }
}

impl Coordinator {
    pub fn new(
        policy: Policy,
        group: Name,
        seed: u64,
        old: &Release,
        new: &Release,
    ) -> Coordinator {
        let mut salt = [0; 16];
        salt[..8].copy_from_slice(&seed.to_le_bytes());
        Coordinator {
            rollout: State::draft(policy, Some(release_of(old)), release_of(new)),
            audit: Vec::new(),
            group,
            salt,
            serial: 1,
            published: None,
            known: HashMap::new(),
            free_us: 0,
        }
    }

    /// Killed and started again: only what was written down is left.
    pub fn restart(&mut self) -> Result<(), serde_json::Error> {
        let disk = serde_json::to_string(&self.rollout)?;
        self.rollout = serde_json::from_str(&disk)?;
        self.known.clear();
        self.free_us = 0;
        Ok(())
    }

    fn key(&mut self, device: &Name) -> Key {
        if let Some(key) = self.known.get(device) {
            return *key;
        }
        let hash = <[u8; 32]>::from(
            Sha256::new()
                .chain_update(self.salt)
                .chain_update(device.as_bytes())
                .finalize(),
        );
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        let key = Key(u64::from_le_bytes(first));
        debug_assert_eq!(key.place(), sanderling_trust::place(&self.salt, device));
        self.known.insert(device.clone(), key);
        key
    }

    pub fn event(&mut self, event: Event, now: u64) {
        let nobody = State::draft(
            self.rollout.head.policy.clone(),
            None,
            self.rollout.head.candidate.clone(),
        );
        let state = std::mem::replace(&mut self.rollout, nobody);
        let next = step(state, event, now);
        self.rollout = next.state;
        self.audit.extend(next.audit);
    }

    /// A message of a robot. Chunks that it asks for are given back.
    pub fn hear(
        &mut self,
        topic: &str,
        payload: &[u8],
        shelf: [&Release; 2],
        now: u64,
    ) -> Vec<Letter> {
        let Ok(Topic::Device { device, kind, .. }) = topic.parse::<Topic>() else {
            return Vec::new();
        };
        let key = self.key(&device);
        match kind {
            Kind::Birth => {
                let event = match decode::<Presence>(payload) {
                    Ok(Presence::Born(birth)) => Event::Here {
                        device: key,
                        order: birth.session.0,
                    },
                    Ok(Presence::Gone(session)) => Event::Gone {
                        device: key,
                        order: session.0,
                    },
                    Err(error) => panic!("{device} said what cannot be read: {error}"),
                };
                self.event(event, now);
            }
            Kind::State => match decode::<Said>(payload) {
                Ok(state) => self.event(Event::Report(Box::new(of_state(key, &state))), now),
                Err(error) => panic!("{device} said what cannot be read: {error}"),
            },
            Kind::Health => match decode::<Health>(payload) {
                Ok(health) => self.event(Event::Report(Box::new(of_health(key, &health))), now),
                Err(error) => panic!("{device} said what cannot be read: {error}"),
            },
            Kind::Need => {
                return decode::<Need>(payload)
                    .map_or_else(|_| Vec::new(), |need| self.supply(&need, shelf, now));
            }
            _ => {}
        }
        Vec::new()
    }

    fn supply(&mut self, need: &Need, shelf: [&Release; 2], now: u64) -> Vec<Letter> {
        let Some(release) = shelf.into_iter().find(|r| r.digest == need.release) else {
            return Vec::new();
        };
        let Ok(layout) = Layout::new(release.file.len() as u64, need.chunk_size) else {
            return Vec::new();
        };
        let wanted = need
            .ranges
            .iter()
            .flat_map(|r| r.first..r.first.saturating_add(r.count));
        let mut letters = Vec::new();
        for range in wanted
            .filter_map(|index| layout.range(index))
            .take(usize::from(need.credit))
        {
            let place = |end: u64| usize::try_from(end).unwrap_or(usize::MAX);
            let Some(data) = release.file.get(place(range.start)..place(range.end)) else {
                continue;
            };
            let payload = bytes(&Chunk {
                release: release.digest,
                offset: range.start,
                data,
            });
            self.free_us = self.free_us.max(now * 1000) + payload.len() as u64 * 1_000_000 / RATE;
            letters.push(Letter {
                leaves_ms: self.free_us / 1000,
                payload: payload.into(),
            });
        }
        letters
    }

    /// The desired state to publish, where it is not the one that was.
    pub fn desired(&mut self, keys: &Keys, shelf: [&Release; 2], now: u64) -> Option<Rc<[u8]>> {
        let revision = self.rollout.head.revision;
        if self.published == Some(revision) {
            return None;
        }
        self.published = Some(revision);
        self.serial += 1;
        let index = |version: Option<Version>| {
            version.map(|version| match version {
                Version::Base => 0,
                Version::Candidate => 1,
            })
        };
        let wire = |arm: &sanderling_rollout::Arm| Arm {
            upto: arm.upto,
            run: index(arm.run),
            shadow: index(arm.shadow),
        };
        let releases: Result<heapless::Vec<Signed<'_>, 2>, _> = shelf
            .into_iter()
            .map(|release| decode::<Signed<'_>>(&release.signed))
            .collect();
        let releases = match releases {
            Ok(releases) => releases,
            Err(error) => panic!("the shelf's manifests are sound: {error}"),
        };
        let desired = Desired {
            group: self.group.clone(),
            serial: self.serial,
            issued_s: now / 1000,
            expires_s: Some(now / 1000 + VALID_S),
            chunk_size: DEFAULT_CHUNK,
            salt: self.salt,
            releases,
            arms: arms(&self.rollout).iter().map(wire).collect(),
        };
        Some(signed(&keys.fleet, Role::Fleet, &bytes(&desired)).into())
    }
}

fn of_state(device: Key, state: &Said) -> Report {
    let phase = match state.phase {
        Told::Empty | Told::Active | Told::FellBack => Phase::Resting,
        Told::Downloading | Told::Verifying | Told::SelfTest => Phase::Updating,
        Told::Trial => Phase::Trial,
    };
    let failure = state.failure.as_ref().and_then(|failure| {
        let fault = if failure.code == FailureCode::Trial {
            Fault::Trial
        } else {
            Fault::Install
        };
        Some((failure.release?.0, fault))
    });
    Report {
        running: Some(state.running.as_ref().map(|running| running.digest.0)),
        phase: Some(phase),
        failure,
        ..Report::of(device, state.session.0)
    }
}

fn of_health(device: Key, health: &Health) -> Report {
    let mut report = Report::of(device, health.session.0);
    let Some(seen) = &health.evidence else {
        return report;
    };
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
    report.evidence = Some((seen.release.0, evidence));
    report.shadow = seen.shadow.as_ref().map(|shadow| {
        let seen = Shadow {
            compared: shadow.compared,
            disagreed: shadow.disagreed,
            failures: shadow.failures,
            p99_us: shadow.p99_us,
        };
        (shadow.candidate.0, seen)
    });
    report
}
