//! The bounded queue between a source and the inference thread, with a stated policy for when it is full.
//!
//! Buffers travel in a circle: the source takes an empty one, fills it, and the inference thread gives it back. After
//! the first few frames nothing is allocated.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::frame::Frame;

/// What happens when a frame comes and the queue is full.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// The oldest waiting frame goes: answers stay fresh.
    #[default]
    DropOldest,
    /// The new frame goes: what waits is answered without a gap.
    DropNewest,
    /// The source waits: for recordings, where every frame counts and none is late.
    Block,
}

/// What [`FrameQueue::pop`] found.
#[derive(Debug)]
pub enum Popped {
    /// The oldest frame.
    Frame(Frame),
    /// Nothing yet: the time is over, or somebody called [`FrameQueue::nudge`].
    Nothing,
    /// The source has ended and every frame was taken.
    Closed,
}

/// A bounded queue of frames for one source and one consumer.
#[derive(Debug)]
pub struct FrameQueue {
    depth: usize,
    policy: Policy,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    frames: VecDeque<Frame>,
    empty: Vec<Vec<u8>>,
    dropped: u64,
    nudged: bool,
    closed: bool,
}

impl FrameQueue {
    /// A queue that holds up to `depth` frames (at least one).
    pub fn new(depth: usize, policy: Policy) -> FrameQueue {
        let depth = depth.max(1);
        let inner = Inner {
            frames: VecDeque::with_capacity(depth),
            empty: Vec::with_capacity(depth + 2),
            ..Inner::default()
        };
        FrameQueue {
            depth,
            policy,
            inner: Mutex::new(inner),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that holds the lock can panic half-way through a change, so a poisoned lock still guards sound data.
        self.inner
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// An empty buffer, one that has been used before where there is one.
    pub fn buffer(&self) -> Vec<u8> {
        self.lock().empty.pop().unwrap_or_default()
    }

    /// Gives a buffer back.
    pub fn recycle(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut inner = self.lock();
        if inner.empty.len() <= self.depth {
            inner.empty.push(buffer);
        }
    }

    /// Puts a frame in as the policy says. Returns false when the queue was closed and the frame is lost.
    pub fn push(&self, frame: Frame) -> bool {
        let mut inner = self.lock();
        while self.policy == Policy::Block && inner.frames.len() >= self.depth && !inner.closed {
            inner = self
                .changed
                .wait(inner)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        if inner.closed {
            return false;
        }
        if inner.frames.len() >= self.depth {
            inner.dropped += 1;
            let gone = match self.policy {
                Policy::DropOldest => {
                    let oldest = inner.frames.pop_front();
                    inner.frames.push_back(frame);
                    oldest
                }
                Policy::DropNewest | Policy::Block => Some(frame),
            };
            if let Some(mut gone) = gone {
                gone.data.clear();
                inner.empty.push(gone.data);
            }
        } else {
            inner.frames.push_back(frame);
        }
        drop(inner);
        self.changed.notify_all();
        true
    }

    /// Takes the oldest frame, waiting at most `wait` for one.
    pub fn pop(&self, wait: Duration) -> Popped {
        let end = Instant::now() + wait;
        let mut inner = self.lock();
        loop {
            if std::mem::take(&mut inner.nudged) {
                return Popped::Nothing;
            }
            if let Some(frame) = inner.frames.pop_front() {
                drop(inner);
                self.changed.notify_all();
                return Popped::Frame(frame);
            }
            if inner.closed {
                return Popped::Closed;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Popped::Nothing;
            }
            inner = self
                .changed
                .wait_timeout(inner, left)
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .0;
        }
    }

    /// Waits for a [`FrameQueue::nudge`], at most `wait`, and leaves the frames where they are.
    pub fn idle(&self, wait: Duration) {
        let mut inner = self.lock();
        if !inner.nudged {
            let waited = self
                .changed
                .wait_timeout_while(inner, wait, |inner| !inner.nudged);
            inner = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        inner.nudged = false;
    }

    /// Makes the consumer's next or current [`FrameQueue::pop`] return at once, so that it looks around.
    pub fn nudge(&self) {
        self.lock().nudged = true;
        self.changed.notify_all();
    }

    /// Says that no more frames come. Waiting frames can still be taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Frames that the policy dropped so far.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Frames that wait now.
    pub fn waiting(&self) -> usize {
        self.lock().frames.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn frame(seq: u64) -> Frame {
        Frame {
            seq,
            entered: Instant::now(),
            truth: None,
            shape: None,
            data: vec![seq as u8],
        }
    }

    fn seqs(queue: &FrameQueue) -> Vec<u64> {
        let mut seqs = Vec::new();
        while let Popped::Frame(frame) = queue.pop(Duration::ZERO) {
            seqs.push(frame.seq);
        }
        seqs
    }

    #[test]
    fn drop_oldest_keeps_the_newest_and_counts() {
        let queue = FrameQueue::new(3, Policy::DropOldest);
        (0..5).for_each(|seq| assert!(queue.push(frame(seq))));
        assert_eq!((queue.dropped(), seqs(&queue)), (2, vec![2, 3, 4]));
    }

    #[test]
    fn drop_newest_keeps_the_oldest_and_counts() {
        let queue = FrameQueue::new(3, Policy::DropNewest);
        (0..5).for_each(|seq| assert!(queue.push(frame(seq))));
        assert_eq!((queue.dropped(), seqs(&queue)), (2, vec![0, 1, 2]));
    }

    #[test]
    fn block_waits_for_room_and_drops_nothing() {
        let queue = Arc::new(FrameQueue::new(2, Policy::Block));
        let source = {
            let queue = queue.clone();
            std::thread::spawn(move || (0..50).all(|seq| queue.push(frame(seq))))
        };
        let mut taken = Vec::new();
        while taken.len() < 50 {
            match queue.pop(Duration::from_secs(10)) {
                Popped::Frame(frame) => taken.push(frame.seq),
                other => panic!("the source still has frames: {other:?}"),
            }
        }
        assert!(source.join().expect("the source ends"));
        assert_eq!((taken, queue.dropped()), ((0..50).collect(), 0));
    }

    #[test]
    fn closing_frees_a_source_that_waits_and_keeps_what_is_in() {
        let queue = Arc::new(FrameQueue::new(1, Policy::Block));
        assert!(queue.push(frame(0)));
        let source = {
            let queue = queue.clone();
            std::thread::spawn(move || queue.push(frame(1)))
        };
        queue.close();
        assert!(!source.join().expect("the source ends"));
        assert_eq!(seqs(&queue), [0]);
        assert!(matches!(queue.pop(Duration::from_secs(10)), Popped::Closed));
    }

    #[test]
    fn a_nudge_ends_the_wait() {
        let queue = FrameQueue::new(1, Policy::Block);
        queue.nudge();
        assert!(matches!(
            queue.pop(Duration::from_secs(60)),
            Popped::Nothing
        ));
    }

    #[test]
    fn buffers_go_round() {
        let queue = FrameQueue::new(2, Policy::Block);
        let mut buffer = queue.buffer();
        buffer.reserve_exact(4096);
        queue.recycle(buffer);
        assert!(queue.buffer().capacity() >= 4096);
    }
}
