//! What the agent's threads know of one another: counters, the model that serves, and when to stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use sanderling_executor::TensorInfo;
use sanderling_wire::{Phase, Running};

use crate::evidence::Evidence;
use crate::latency::Latencies;
use crate::policy::Facts;
use crate::shadow::Shadow;
use crate::update::Pulled;

/// A counter that one thread raises and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Begins at zero again.
    pub fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// A flag that is raised once or toggled.
#[derive(Debug, Default)]
pub struct Flag(AtomicBool);

impl Flag {
    /// Sets it.
    pub fn set(&self, on: bool) {
        self.0.store(on, Ordering::Release);
    }

    /// Reads it.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Where an update stands, for health, birth and the status file.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The phase as the fleet hears it.
    pub phase: Option<Phase>,
    /// The newest accepted wish.
    pub serial: u64,
    /// The root that is believed; none: unsigned statements are taken.
    pub root: Option<sanderling_wire::Anchor>,
    /// What serves.
    pub running: Option<Running>,
    /// What runs it: `engine` or `tract`.
    pub executor: Option<&'static str>,
    /// Bytes held and in all, while a download goes on.
    pub progress: Option<(u64, u64)>,
    /// What was pulled for the last update.
    pub pulled: Option<Pulled>,
    /// Why the last update failed.
    pub failure: Option<String>,
    /// Why an update that is wanted waits.
    pub held: Option<String>,
}

/// How many frames one model answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    /// SHA-256 of the model.
    pub model: [u8; 32],
    /// Frames that it answered.
    pub frames: u64,
    /// Of those, frames whose true class is known.
    pub labelled: u64,
    /// Of those, frames where its best class was the true one.
    pub right: u64,
    /// The first and the last frame.
    pub first_seq: u64,
    /// The last frame.
    pub last_seq: u64,
}

/// One agent's shared knowledge.
#[derive(Debug, Default)]
pub struct Shared {
    /// This start's number.
    pub boot: u32,
    /// Frames that the source gave.
    pub frames_in: Counter,
    /// Frames that were answered.
    pub frames_out: Counter,
    /// Frames that no model could take, and things that were no frames.
    pub bad_frames: Counter,
    /// Frames that the model failed on.
    pub failed_frames: Counter,
    /// Results that the outbox's thread could not take.
    pub results_lost: Counter,
    /// How often the model was swapped.
    pub swaps: Counter,
    /// Answers of the model that serves now, since it began.
    pub served_now: Counter,
    /// Its failures since it began.
    pub failed_now: Counter,
    /// Frames since it began that have another shape than it takes.
    pub misfits_now: Counter,
    /// Calls to the allocator inside inference since it began.
    pub allocations: Counter,
    /// Bytes of its arena.
    pub arena_bytes: Counter,
    /// Bytes of models and deltas that were pulled.
    pub pulled_bytes: Counter,
    /// True once every frame of an ended source was taken.
    drained: Flag,
    /// True while the fleet wants no answers.
    pub paused: Flag,
    /// The latencies of all answers.
    pub latencies: Latencies,
    /// What is seen of the release that serves.
    evidence: Mutex<Evidence>,
    /// The candidate beside it.
    pub shadow: Shadow,
    /// What the robot says about itself.
    facts: Mutex<Facts>,
    /// The inference that runs now.
    busy: Busy,
    /// Raised when the inference thread is replaced: one with a smaller number is to end.
    pub generation: Counter,
    /// True once the inference thread has ended in peace.
    pub inference_ended: Flag,
    /// Where the update stands.
    standing: Mutex<Standing>,
    tallies: Mutex<Vec<Tally>>,
    /// Why the model that serves failed last.
    last_failure: Mutex<Option<String>>,
    gate: Mutex<Gate>,
    gate_changed: Condvar,
}

/// When the inference that runs now began: microseconds after `base`, plus one; 0 between two inferences.
#[derive(Debug)]
struct Busy {
    base: Instant,
    since: AtomicU64,
}

impl Default for Busy {
    fn default() -> Busy {
        Busy {
            base: Instant::now(),
            since: AtomicU64::new(0),
        }
    }
}

#[derive(Debug, Default)]
struct Gate {
    input: Option<TensorInfo>,
    stopping: bool,
    source_ended: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Values are replaced whole under these locks, so what a panic left is still sound.
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Shared {
    /// Knowledge of a start with this number.
    pub fn new(boot: u32) -> Shared {
        Shared {
            boot,
            ..Shared::default()
        }
    }

    /// Waits until a model serves, and gives its input; none when the agent stops.
    pub fn wait_for_input(&self) -> Option<TensorInfo> {
        let mut gate = lock(&self.gate);
        loop {
            if gate.stopping {
                return None;
            }
            if let Some(input) = &gate.input {
                return Some(input.clone());
            }
            gate = self
                .gate_changed
                .wait(gate)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// What the model that serves takes; none when nothing serves.
    pub fn input(&self) -> Option<TensorInfo> {
        lock(&self.gate).input.clone()
    }

    /// Says what the model that serves takes; none when nothing serves.
    pub fn set_input(&self, input: Option<TensorInfo>) {
        lock(&self.gate).input = input;
        self.gate_changed.notify_all();
    }

    /// Waits until `due`, or until the agent stops.
    pub fn sleep_until(&self, due: Instant) {
        let mut gate = lock(&self.gate);
        while !gate.stopping {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self
                .gate_changed
                .wait_timeout(gate, left.min(Duration::from_secs(1)));
            gate = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
    }

    /// Tells every thread to finish.
    pub fn stop(&self) {
        lock(&self.gate).stopping = true;
        self.gate_changed.notify_all();
    }

    /// True once [`Shared::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        lock(&self.gate).stopping
    }

    /// Says that the source gives no more frames.
    pub fn source_ended(&self) {
        lock(&self.gate).source_ended = true;
    }

    /// True once the source gives no more frames.
    pub fn has_source_ended(&self) -> bool {
        lock(&self.gate).source_ended
    }

    /// Says that every frame of an ended source was taken.
    pub fn set_drained(&self) {
        self.drained.set(true);
    }

    /// True once every frame of an ended source was taken.
    pub fn is_drained(&self) -> bool {
        self.drained.get()
    }

    /// What is seen of the release that serves. Hold it shortly: the inference thread counts there.
    pub fn evidence(&self) -> MutexGuard<'_, Evidence> {
        lock(&self.evidence)
    }

    /// What the robot says about itself.
    pub fn facts(&self) -> Facts {
        *lock(&self.facts)
    }

    /// Takes over what the robot says about itself.
    pub fn learn(&self, newer: &Facts) {
        lock(&self.facts).learn(newer);
    }

    /// Says that an inference begins.
    pub fn inference_begins(&self, now: Instant) {
        let since = now.saturating_duration_since(self.busy.base).as_micros();
        let since = u64::try_from(since)
            .unwrap_or(u64::MAX - 1)
            .saturating_add(1);
        self.busy.since.store(since, Ordering::Release);
    }

    /// Says that it has ended.
    pub fn inference_ends(&self) {
        self.busy.since.store(0, Ordering::Release);
    }

    /// How long the inference that runs now has run; zero between two inferences.
    pub fn busy_for(&self, now: Instant) -> Duration {
        match self.busy.since.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            since => now
                .saturating_duration_since(self.busy.base)
                .saturating_sub(Duration::from_micros(since - 1)),
        }
    }

    /// Where the update stands.
    pub fn standing(&self) -> Standing {
        lock(&self.standing).clone()
    }

    /// Changes where the update stands.
    pub fn set_standing(&self, standing: Standing) {
        *lock(&self.standing) = standing;
    }

    /// Notes why the model that serves failed.
    pub fn note_failure(&self, why: String) {
        *lock(&self.last_failure) = Some(why);
    }

    /// Takes the last note about a failure.
    pub fn take_failure(&self) -> Option<String> {
        lock(&self.last_failure).take()
    }

    /// Counts an answer for its model.
    pub fn tally(&self, model: [u8; 32], seq: u64, right: Option<bool>) {
        let mut tallies = lock(&self.tallies);
        let index = tallies.iter().rposition(|tally| tally.model == model);
        let index = index.unwrap_or_else(|| {
            tallies.push(Tally {
                model,
                frames: 0,
                labelled: 0,
                right: 0,
                first_seq: seq,
                last_seq: seq,
            });
            tallies.len() - 1
        });
        let tally = &mut tallies[index];
        tally.frames += 1;
        tally.last_seq = seq;
        tally.labelled += u64::from(right.is_some());
        tally.right += u64::from(right == Some(true));
    }

    /// The counts per model, in the order in which the models first answered.
    pub fn tallies(&self) -> Vec<Tally> {
        lock(&self.tallies).clone()
    }
}
