//! The inference thread: takes frames from the queue, runs the model, hands answers on, and changes the model between
//! two frames.
//!
//! A new model is loaded and tested on other threads and put on the [`Stage`]; this thread takes it up when it has
//! finished a frame, and hands the old one back. No frame waits for a load, and none is lost to a swap.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use sanderling_executor::Model;
use sanderling_slots::Image;

use crate::answer::{Answer, Form};
use crate::frame::{self, Frame};
use crate::latency::micros;
use crate::queue::{FrameQueue, Popped};
use crate::say::Hush;
use crate::shared::Shared;

/// A model that is loaded and ready to serve.
#[derive(Debug)]
pub struct Candidate {
    /// What it is.
    pub image: Image,
    /// The model with its buffers.
    pub model: Model,
    /// The form of its answers.
    pub form: Form,
}

/// What the inference thread should serve with next: a model, or nothing.
#[derive(Debug)]
pub enum Next {
    /// This model.
    Serve(Box<Candidate>),
    /// None.
    Nothing,
}

/// The place where the next model waits for the end of a frame.
#[derive(Default)]
pub struct Stage {
    next: Mutex<Option<Next>>,
    filled: AtomicBool,
    restart: Mutex<Option<Restart>>,
}

/// Starts another inference thread in the place of one that is stuck.
pub type Restart = Box<dyn Fn() + Send>;

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage")
            .field("filled", &self.filled)
            .finish_non_exhaustive()
    }
}

impl Stage {
    /// Puts the next model there; gives back one that was never taken.
    pub fn put(&self, next: Next) -> Option<Next> {
        let before = self.lock().replace(next);
        self.filled.store(true, Ordering::Release);
        before
    }

    /// Says how another inference thread is started.
    pub fn set_restart(&self, restart: Restart) {
        *self
            .restart
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(restart);
    }

    /// Replaces an inference thread that is stuck in a model. The old one ends when its inference does, and what it
    /// then says is not listened to.
    pub fn restart(&self, shared: &Shared) {
        shared.generation.add(1);
        shared.inference_ends();
        let restart = self
            .restart
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(restart) = restart.as_ref() {
            restart();
        }
    }

    fn take(&self) -> Option<Next> {
        // One atomic read per frame; the lock only when there is something.
        if !self.filled.swap(false, Ordering::AcqRel) {
            return None;
        }
        self.lock().take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Next>> {
        self.next
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Says that the inference thread changed its model.
#[derive(Debug)]
pub struct Swapped {
    /// What serves now.
    pub serving: Option<Image>,
    /// What runs it.
    pub executor: Option<&'static str>,
    /// What served before.
    pub retired: Option<Box<Candidate>>,
}

/// How long the thread waits for a frame before it looks around.
const LOOK_AROUND: Duration = Duration::from_millis(200);

/// Serves until the agent stops and every frame that waits is answered. `allocator_calls` counts this thread's calls to
/// the allocator.
pub fn run(
    queue: &FrameQueue,
    stage: &Stage,
    shared: &Shared,
    answers: &SyncSender<Answer>,
    allocator_calls: fn() -> u64,
    mut swapped: impl FnMut(Swapped),
) {
    let mut current: Option<Box<Candidate>> = None;
    let mut hush = Hush::default();
    let generation = shared.generation.get();
    loop {
        if shared.generation.get() != generation {
            return;
        }
        if let Some(next) = stage.take() {
            let next = match next {
                Next::Serve(candidate) => Some(candidate),
                Next::Nothing => None,
            };
            let retired = std::mem::replace(&mut current, next);
            announce(current.as_deref(), shared);
            let serving = current.as_ref().map(|candidate| candidate.image);
            let executor = current
                .as_ref()
                .map(|candidate| candidate.model.executor().name());
            swapped(Swapped {
                serving,
                executor,
                retired,
            });
        }
        let Some(candidate) = current.as_deref_mut().filter(|_| !shared.paused.get()) else {
            if shared.is_stopping() {
                return;
            }
            queue.idle(LOOK_AROUND);
            continue;
        };
        match queue.pop(LOOK_AROUND) {
            Popped::Frame(frame) => {
                let said = serve(
                    candidate,
                    &frame,
                    shared,
                    generation,
                    allocator_calls,
                    &mut hush,
                );
                if let Some(answer) = said {
                    let frames_wait = queue.waiting() > 0;
                    shared.shadow.offer(&frame.data, &answer.said, frames_wait);
                    if let Err(TrySendError::Full(_)) = answers.try_send(answer) {
                        shared.results_lost.add(1);
                        hush.warn("outbox", "late", format_args!("the disk is slower than the results, and some are lost; lower --rate, or use --outbox-sync never"));
                    }
                }
                queue.recycle(frame.data);
            }
            Popped::Nothing => {}
            Popped::Closed if shared.is_stopping() => return,
            // The source has ended, and another model may still come.
            Popped::Closed => {
                shared.set_drained();
                queue.idle(LOOK_AROUND);
            }
        }
    }
}

/// Tells the other threads about the model that serves now.
fn announce(candidate: Option<&Candidate>, shared: &Shared) {
    shared.served_now.reset();
    shared.failed_now.reset();
    shared.misfits_now.reset();
    shared.allocations.reset();
    shared.arena_bytes.reset();
    shared.swaps.add(1);
    shared
        .evidence()
        .begin(candidate.map(|candidate| candidate.image.digest));
    if let Some(plan) = candidate.and_then(|candidate| candidate.model.plan()) {
        shared.arena_bytes.add(plan.arena_bytes() as u64);
    }
    shared.set_input(candidate.and_then(|candidate| candidate.model.inputs().first().cloned()));
}

/// Runs the model on one frame; none where the frame or the model is at fault, which is counted and said.
fn serve(
    candidate: &mut Candidate,
    frame: &Frame,
    shared: &Shared,
    generation: u64,
    allocator_calls: fn() -> u64,
    hush: &mut Hush,
) -> Option<Answer> {
    let Candidate { image, model, form } = candidate;
    let input = model.inputs().first()?;
    if let Err(bad) = frame::check(frame, input) {
        shared.bad_frames.add(1);
        if bad.depends_on_the_model() {
            shared.misfits_now.add(1);
            shared.note_failure(bad.to_string());
        }
        hush.warn("frame", bad.kind(), format_args!("frame left out: {bad}"));
        return None;
    }
    let before = allocator_calls();
    let started = Instant::now();
    shared.inference_begins(started);
    model.input_mut(0).copy_from_slice(&frame.data);
    let ran = model.run();
    let said = match &ran {
        Ok(()) => model
            .outputs()
            .first()
            .and_then(|output| form.take(output, model.output(0))),
        Err(_) => None,
    };
    if shared.generation.get() != generation {
        // This thread was taken for stuck, and another one serves since.
        return None;
    }
    shared.inference_ends();
    let took = started.elapsed();
    shared.allocations.add(allocator_calls() - before);
    let Some(said) = said else {
        let why = match ran {
            Err(error) => error.to_string(),
            Ok(()) => "the output holds a value that is no number".to_owned(),
        };
        shared.failed_frames.add(1);
        shared.failed_now.add(1);
        shared.evidence().failed();
        hush.warn(
            "model",
            "failed",
            format_args!(
                "{} {} failed on frame {}: {why}",
                image.name.as_str(),
                image.version,
                frame.seq
            ),
        );
        shared.note_failure(why);
        return None;
    };
    let latency = frame.entered.elapsed();
    shared.latencies.record(latency);
    shared.frames_out.add(1);
    shared.served_now.add(1);
    shared.evidence().answered(&said, took);
    Some(Answer {
        seq: frame.seq,
        model: image.digest,
        latency_us: micros(latency),
        truth: frame.truth,
        said,
    })
}
