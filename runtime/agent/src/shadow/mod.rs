//! A candidate that runs beside the active model on live input: its answers are compared and never acted on.
//!
//! The inference thread offers each frame after it has answered it. An offer never waits: where the candidate is busy,
//! or has used up its share of the time, or frames wait for the active model, the frame is skipped. The candidate has a
//! thread and an arena of its own; whatever it does, the active model does not notice.

mod gate;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use sanderling_plan::Dtype;

use crate::answer::Said;
use crate::infer::Candidate;
use crate::latency::{Latencies, Quantiles, between};
pub use gate::Gate;

/// How often the thread looks whether the agent ends.
const LOOK_AROUND: Duration = Duration::from_millis(200);

/// What is seen of a candidate, as sums since it began to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// SHA-256 of the candidate.
    pub candidate: [u8; 32],
    /// Inputs that both answered.
    pub compared: u64,
    /// Of these, how often the answers differed.
    pub disagreed: u64,
    /// Inferences of the candidate that failed, and frames that it cannot take.
    pub failures: u64,
    /// Frames that it was not given, to leave the active model its time.
    pub skipped: u64,
    /// Quantiles of its inferences' time.
    pub times: Quantiles,
}

/// The place where a frame waits for the candidate.
#[derive(Debug)]
pub struct Shadow {
    /// Read by the inference thread for each frame: false costs nothing more.
    wanted: AtomicBool,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inner {
    /// The next candidate, or none; taken by the thread.
    next: Option<Option<Box<Candidate>>>,
    offer: Offer,
    waiting: bool,
    gate: Gate,
    tolerance: f32,
    seen: Seen,
}

/// A frame and what the active model said about it. Buffers are used again and again.
#[derive(Debug, Default)]
struct Offer {
    frame: Vec<u8>,
    class: Option<u16>,
    raw: Vec<u8>,
    dtype: Option<Dtype>,
}

#[derive(Debug, Default)]
struct Seen {
    candidate: Option<[u8; 32]>,
    compared: u64,
    disagreed: u64,
    failures: u64,
    skipped: u64,
    times: Latencies,
}

/// What came of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Agreed,
    Disagreed,
    Failed,
}

impl Default for Shadow {
    fn default() -> Shadow {
        Shadow {
            wanted: AtomicBool::new(false),
            inner: Mutex::new(Inner {
                next: None,
                offer: Offer::default(),
                waiting: false,
                gate: Gate::new(25),
                tolerance: 0.0,
                seen: Seen::default(),
            }),
            changed: Condvar::new(),
        }
    }
}

impl Shadow {
    /// Sets the candidate's share of one processor's time in percent, and how far outputs that are no classes may be
    /// apart: in stored steps, or in the unit itself where they are floats.
    pub fn configure(&self, percent: u32, tolerance: f32) {
        let mut inner = self.lock();
        inner.gate = Gate::new(percent);
        inner.tolerance = tolerance;
    }

    /// Runs this candidate from now on, or none. Its sums begin at nothing.
    pub fn set(&self, candidate: Option<Box<Candidate>>) {
        let mut inner = self.lock();
        inner.seen = Seen {
            candidate: candidate.as_ref().map(|candidate| candidate.image.digest),
            ..Seen::default()
        };
        inner.waiting = false;
        self.wanted.store(candidate.is_some(), Ordering::Release);
        inner.next = Some(candidate);
        self.changed.notify_all();
    }

    /// Which candidate runs, if any.
    pub fn candidate(&self) -> Option<[u8; 32]> {
        self.lock().seen.candidate
    }

    /// What is seen so far; none where no candidate runs.
    pub fn summary(&self) -> Option<Summary> {
        let inner = self.lock();
        let seen = &inner.seen;
        Some(Summary {
            candidate: seen.candidate?,
            compared: seen.compared,
            disagreed: seen.disagreed,
            failures: seen.failures,
            skipped: seen.skipped,
            times: between(&[], &seen.times.counts()),
        })
    }

    /// Offers a frame that the active model has answered. Never waits.
    pub fn offer(&self, frame: &[u8], said: &Said, frames_wait: bool) {
        if !self.wanted.load(Ordering::Acquire) {
            return;
        }
        let mut inner = match self.inner.try_lock() {
            Ok(inner) => inner,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // The thread is taking the frame before: this one is skipped, uncounted.
            Err(TryLockError::WouldBlock) => return,
        };
        if inner.waiting || !inner.gate.is_open(Instant::now(), frames_wait) {
            inner.seen.skipped += 1;
            return;
        }
        let offer = &mut inner.offer;
        offer.frame.clear();
        offer.frame.extend_from_slice(frame);
        offer.raw.clear();
        (offer.class, offer.dtype) = match said {
            Said::Class { top, .. } => (Some(*top), None),
            Said::Raw { dtype, data, .. } => {
                offer.raw.extend_from_slice(data);
                (None, Some(*dtype))
            }
        };
        inner.waiting = true;
        self.changed.notify_all();
    }

    /// Runs candidates until `is_stopping`.
    pub fn run(&self, is_stopping: impl Fn() -> bool) {
        let mut current: Option<Box<Candidate>> = None;
        let mut offer = Offer::default();
        while !is_stopping() {
            let tolerance = {
                let mut inner = self.lock();
                if inner.next.is_none() && !inner.waiting {
                    let waited = self.changed.wait_timeout(inner, LOOK_AROUND);
                    inner = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
                }
                if let Some(next) = inner.next.take() {
                    current = next;
                }
                if !inner.waiting {
                    continue;
                }
                std::mem::swap(&mut inner.offer, &mut offer);
                inner.tolerance
            };
            let Some(candidate) = current.as_deref_mut() else {
                self.lock().waiting = false;
                continue;
            };
            let started = Instant::now();
            let outcome = try_one(candidate, &offer, tolerance);
            let ended = Instant::now();
            let took = ended.duration_since(started);
            let digest = candidate.image.digest;
            let mut inner = self.lock();
            // Only now may the next frame come: one candidate is never two frames behind.
            inner.waiting = false;
            inner.gate.ran(ended, took);
            if inner.seen.candidate == Some(digest) {
                inner.seen.note(outcome, took);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Sums and buffers are sound whatever was interrupted.
        self.inner
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Seen {
    fn note(&mut self, outcome: Outcome, took: Duration) {
        if outcome == Outcome::Failed {
            self.failures += 1;
            return;
        }
        self.times.record(took);
        self.compared += 1;
        self.disagreed += u64::from(outcome == Outcome::Disagreed);
    }
}

fn try_one(candidate: &mut Candidate, offer: &Offer, tolerance: f32) -> Outcome {
    let Candidate { model, form, .. } = candidate;
    let input = model.input_mut(0);
    if input.len() != offer.frame.len() {
        return Outcome::Failed;
    }
    input.copy_from_slice(&offer.frame);
    if model.run().is_err() {
        return Outcome::Failed;
    }
    let said = model
        .outputs()
        .first()
        .and_then(|output| form.take(output, model.output(0)));
    match said {
        None => Outcome::Failed,
        Some(said) if agrees(&said, offer, tolerance) => Outcome::Agreed,
        Some(_) => Outcome::Disagreed,
    }
}

/// Whether a candidate said the same: the same class, or every output within the tolerance.
fn agrees(said: &Said, offer: &Offer, tolerance: f32) -> bool {
    match said {
        Said::Class { top, .. } => offer.class == Some(*top),
        Said::Raw { dtype, data, .. } => {
            offer.dtype == Some(*dtype)
                && offer.raw.len() == data.len()
                && are_near(*dtype, data, &offer.raw, tolerance)
        }
    }
}

fn are_near(dtype: Dtype, a: &[u8], b: &[u8], tolerance: f32) -> bool {
    fn all<const N: usize>(
        a: &[u8],
        b: &[u8],
        read: impl Fn([u8; N]) -> f64,
        tolerance: f32,
    ) -> bool {
        let (a, b) = (a.as_chunks::<N>().0, b.as_chunks::<N>().0);
        a.iter()
            .zip(b)
            .all(|(&a, &b)| (read(a) - read(b)).abs() <= f64::from(tolerance))
    }
    match dtype {
        Dtype::I8 => all(a, b, |[x]: [u8; 1]| f64::from(x as i8), tolerance),
        Dtype::U8 => all(a, b, |[x]: [u8; 1]| f64::from(x), tolerance),
        Dtype::I16 => all(a, b, |x| f64::from(i16::from_le_bytes(x)), tolerance),
        Dtype::I32 => all(a, b, |x| f64::from(i32::from_le_bytes(x)), tolerance),
        Dtype::F32 => all(a, b, |x| f64::from(f32::from_le_bytes(x)), tolerance),
    }
}

#[cfg(test)]
mod tests;
