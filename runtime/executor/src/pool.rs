//! A fixed pool of threads that works on the parts of a step, without the allocator.

use sanderling_engine::Spread;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, mpsc};
use std::thread::{self, JoinHandle};

/// Work that several threads may do at the same time, each call until nothing is left.
type Work<'a> = dyn Fn() + Sync + 'a;

/// A job is open: threads may join it.
const OPEN: u64 = 1;
/// One thread that has joined.
const JOINED: u64 = 2;
/// One job; those before it are over.
const JOB: u64 = 1 << 32;
/// No job comes any more.
const OVER: u64 = u64::MAX;

/// How often a thread without work looks for some before it sleeps: tens of microseconds,
/// about as long as waking takes.
const LOOKS: u32 = 4000;

/// Threads that wait for work.
///
/// A job waits for the threads that have joined it, never for those that have not: one that
/// sleeps, or that the system gives no processor, costs its share of the speed only.
#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Held by whoever has a job done.
    owner: Mutex<()>,
}

#[derive(Debug)]
struct Shared {
    /// [`OPEN`], threads that have [`JOINED`], and the [`JOB`]'s number.
    state: AtomicU64,
    /// The open job: where a `&Work` lies.
    job: AtomicPtr<()>,
}

impl Pool {
    /// A pool of `threads`, of which the caller's is one.
    pub(crate) fn new(threads: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: AtomicPtr::new(std::ptr::null_mut()),
        });
        let mut pool = Pool {
            shared,
            threads: Vec::new(),
            owner: Mutex::new(()),
        };
        for _ in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let (started, starts) = mpsc::channel();
            let thread = thread::Builder::new().name("infer".to_owned());
            pool.threads.push(thread.spawn(move || {
                // What a thread allocates, it allocates before its first job.
                let _ = started.send(());
                drop(started);
                shared.work();
            })?);
            let _ = starts.recv();
        }
        Ok(pool)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.state.store(OVER, Ordering::Release);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            // A part that panicked has been reported by then.
            let _ = thread.join();
        }
    }
}

impl Spread for Pool {
    fn width(&self) -> usize {
        self.threads.len() + 1
    }

    fn each<T: Send>(&self, parts: &mut [T], work: impl Fn(&mut T) + Sync) {
        let parts = Mutex::new(parts.iter_mut());
        let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
        let until_none_is_left = || {
            while let Some(part) = next() {
                work(part);
            }
        };
        match self.owner.try_lock() {
            Err(TryLockError::WouldBlock) => until_none_is_left(),
            // A job that panicked is over, too.
            owner => {
                self.shared.share(&until_none_is_left, &self.threads);
                drop(owner);
            }
        }
    }
}

impl Shared {
    /// Opens a job, takes part in it, and returns when no thread is in it any more.
    fn share(&self, work: &Work<'_>, threads: &[JoinHandle<()>]) {
        let job: &&Work<'_> = &work;
        self.job
            .store((&raw const *job).cast_mut().cast(), Ordering::Relaxed);
        self.state.fetch_add(JOB | OPEN, Ordering::Release);
        // Even where `work` panics, nobody is left in it.
        let _close = Close(self);
        for thread in threads {
            thread.thread().unpark();
        }
        work();
    }

    /// Joins one job after another.
    fn work(&self) {
        let mut last = 0;
        loop {
            let state = self.wait(last);
            if state == OVER {
                return;
            }
            let joined = self.state.compare_exchange_weak(
                state,
                state + JOINED,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            if joined.is_ok() {
                last = state / JOB;
                let _leave = Leave(self);
                self.join();
            }
        }
    }

    #[allow(unsafe_code, reason = "threads that live on borrow what a caller owns")]
    fn join(&self) {
        let job = self.job.load(Ordering::Relaxed).cast::<&Work<'_>>();
        // SAFETY: this thread has joined a job that was open, and `share`, which stored where
        // its work lies before it opened it, keeps the work until this thread has left.
        let work = unsafe { &**job };
        work();
    }

    /// The state when there is another open job than number `last`, or none will come.
    fn wait(&self, last: u64) -> u64 {
        let mut looks = 0;
        loop {
            let state = self.state.load(Ordering::Relaxed);
            if state == OVER || (state & OPEN != 0 && state / JOB != last) {
                return state;
            }
            looks += 1;
            if looks < LOOKS {
                spin_loop();
            } else {
                // Whoever opens a job wakes all threads after it.
                thread::park();
                looks = 0;
            }
        }
    }
}

/// Ends a job: no thread may join it, and those that have are waited for.
struct Close<'a>(&'a Shared);

impl Drop for Close<'_> {
    fn drop(&mut self) {
        self.0.state.fetch_sub(OPEN, Ordering::Relaxed);
        while !self.0.state.load(Ordering::Acquire).is_multiple_of(JOB) {
            spin_loop();
        }
    }
}

/// Leaves a job.
struct Leave<'a>(&'a Shared);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.state.fetch_sub(JOINED, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn every_part_is_worked_on_once() {
        for threads in 1..5 {
            let pool = Pool::new(threads).unwrap();
            assert_eq!(pool.width(), threads);
            for round in 0..if cfg!(miri) { 5 } else { 2000 } {
                let mut parts = vec![round; round % 17];
                pool.each(&mut parts, |part| *part += 1);
                assert!(parts.iter().all(|&part| part == round + 1));
            }
        }
    }

    #[test]
    fn a_job_within_a_job_is_done() {
        let pool = Pool::new(3).unwrap();
        let count = AtomicUsize::new(0);
        pool.each(&mut [(); 4], |()| {
            pool.each(&mut [(); 3], |()| {
                count.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(count.into_inner(), 12);
    }

    #[test]
    fn a_panic_in_a_job_leaves_the_pool_usable() {
        let pool = Pool::new(2).unwrap();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.each(&mut [0, 1], |_| panic!("on purpose"));
        }));
        drop(caught);
        let mut parts = [1, 2];
        pool.each(&mut parts, |part| *part *= 2);
        assert_eq!(parts, [2, 4]);
    }
}
