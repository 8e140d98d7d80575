//! Memory for inference: a pool that threads which infer allocate from, beside the system's.
//!
//! tract asks for memory in every inference. A thread that [`serve_this_thread`] gets it from
//! a pool of chunks that grow with the first inferences and are never given back, so that
//! from then on no call reaches the system's allocator: no lock that other threads hold, no
//! system call, no page fault. Inside a chunk rlsf's two-level segregated fit takes constant
//! time and joins free neighbours again. All other threads use the system's allocator.
//!
//! This is the only file with `unsafe` in it: the trait for allocators is an unsafe one.
#![allow(unsafe_code)]

use rlsf::Tlsf;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of the first chunk; each further one is as large as all before it, and has room for
/// twice what was asked for, so that small blocks in a large gap do not make the pool grow on.
const FIRST_CHUNK: usize = 1 << 20;
/// Most chunks: more than the address space has room for.
const MOST_CHUNKS: usize = 24;
/// Beginning of a chunk, on a cache line.
const CHUNK_ALIGNMENT: usize = 64;
/// Bytes of a chunk that are the pool's own, generously.
const OVERHEAD: usize = 4096;

/// Blocks of up to 1 GiB on every processor.
type Blocks = Tlsf<'static, u32, u32, 25, 16>;

thread_local! {
    static SERVED: Cell<bool> = const { Cell::new(false) };
}

/// What was asked for since the program started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls {
    /// Allocations and reallocations.
    pub all: u64,
    /// Those of them that reached the system's allocator.
    pub system: u64,
}

/// The allocator. A binary installs one with `#[global_allocator]`.
pub struct Pool {
    blocks: Mutex<Blocks>,
    /// First and past-the-end address of each chunk, 0 where there is none yet.
    chunks: [(AtomicUsize, AtomicUsize); MOST_CHUNKS],
    bytes: AtomicUsize,
    all: AtomicU64,
    system: AtomicU64,
}

/// Serves this thread from the pool as long as the answer lives.
#[must_use = "the thread is served while this lives"]
pub struct Served(bool);

/// Serves this thread from `pool`.
pub fn serve_this_thread(pool: &Pool) -> Served {
    // Where a lock allocates when it is first taken, it does so here.
    drop(pool.lock());
    Served(SERVED.replace(true))
}

impl Drop for Served {
    fn drop(&mut self) {
        SERVED.set(self.0);
    }
}

/// A thread that is being torn down is served no more.
fn is_served() -> bool {
    SERVED.try_with(Cell::get).unwrap_or(false)
}

impl Pool {
    /// A pool without memory.
    pub const fn new() -> Self {
        Pool {
            blocks: Mutex::new(Tlsf::new()),
            chunks: [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; MOST_CHUNKS],
            bytes: AtomicUsize::new(0),
            all: AtomicU64::new(0),
            system: AtomicU64::new(0),
        }
    }

    /// Calls so far, of all threads.
    pub fn calls(&self) -> Calls {
        Calls {
            all: self.all.load(Ordering::Relaxed),
            system: self.system.load(Ordering::Relaxed),
        }
    }

    /// Bytes that the pool has from the system.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) {
        self.all.fetch_add(1, Ordering::Relaxed);
    }

    fn system(&self) -> System {
        self.system.fetch_add(1, Ordering::Relaxed);
        System
    }

    fn owns(&self, memory: *mut u8) -> bool {
        let at = memory.addr();
        (self.chunks.iter())
            .map(|(start, end)| (start.load(Ordering::Acquire), end.load(Ordering::Acquire)))
            .take_while(|&(start, _)| start != 0)
            .any(|(start, end)| (start..end).contains(&at))
    }

    /// Memory from the pool, which grows where it must; `None` where the system has no more.
    fn allocate(&self, layout: Layout) -> Option<NonNull<u8>> {
        let mut blocks = self.lock();
        blocks.allocate(layout).or_else(|| {
            self.grow(&mut blocks, layout)?;
            blocks.allocate(layout)
        })
    }

    /// Adds a chunk in which `layout` has room.
    fn grow(&self, blocks: &mut Blocks, layout: Layout) -> Option<()> {
        let bytes = self.bytes();
        let needed = layout.size().checked_add(layout.align())?;
        let size = (needed.checked_mul(2)?.checked_add(OVERHEAD)?)
            .max(bytes)
            .max(FIRST_CHUNK)
            .next_multiple_of(CHUNK_ALIGNMENT);
        let (start, end) =
            (self.chunks.iter()).find(|(start, _)| start.load(Ordering::Relaxed) == 0)?;
        let chunk = Layout::from_size_align(size, CHUNK_ALIGNMENT).ok()?;
        // SAFETY: the size of `chunk` is not 0.
        let memory = NonNull::new(unsafe { self.system().alloc(chunk) })?;
        // SAFETY: the memory is `size` bytes long, belongs to nobody else, and is never given back.
        unsafe { blocks.insert_free_block_ptr(NonNull::slice_from_raw_parts(memory, size)) }?;
        let address = memory.addr().get();
        // The end first: who sees the start sees both.
        end.store(address + size, Ordering::Release);
        start.store(address, Ordering::Release);
        self.bytes.store(bytes + size, Ordering::Relaxed);
        Some(())
    }
}

// SAFETY: memory comes either from `System`, which implements the trait, or from `blocks`,
// which keeps the same contract for its chunks; which of the two, its address says, so that
// every block goes back to where it came from. No method panics or calls itself: rlsf does
// not allocate, and the lock does not once `serve_this_thread` has taken it.
unsafe impl GlobalAlloc for Pool {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.asked();
        if is_served()
            && let Some(memory) = self.allocate(layout)
        {
            return memory.as_ptr();
        }
        // SAFETY: the caller upholds the contract of `alloc`, which is the same here.
        unsafe { self.system().alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.asked();
        if is_served()
            && let Some(memory) = self.allocate(layout)
        {
            // SAFETY: the block is at least `layout.size()` bytes long.
            unsafe { memory.write_bytes(0, layout.size()) };
            return memory.as_ptr();
        }
        // SAFETY: the caller upholds the contract of `alloc_zeroed`, which is the same here.
        unsafe { self.system().alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.asked();
        let (Some(block), true) = (NonNull::new(memory), self.owns(memory)) else {
            // SAFETY: the pool does not own `memory`, so it came from `System` with this layout.
            return unsafe { self.system().realloc(memory, layout, size) };
        };
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else {
            return std::ptr::null_mut();
        };
        // SAFETY: the block came from `blocks` with this alignment.
        if let Some(moved) = unsafe { self.lock().reallocate(block, wanted) } {
            return moved.as_ptr();
        }
        // SAFETY: `wanted` is not empty, by the contract of `realloc`.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both blocks are at least as long as the shorter of the two sizes, and
            // they are different blocks; the old one is not used again.
            unsafe {
                moved.copy_from_nonoverlapping(memory, layout.size().min(size));
                self.dealloc(memory, layout);
            }
        }
        moved
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        match NonNull::new(memory) {
            Some(block) if self.owns(memory) => {
                // SAFETY: the block came from `blocks` with this alignment.
                unsafe { self.lock().deallocate(block, layout.align()) };
            }
            // SAFETY: the pool does not own `memory`, so it came from `System` with this layout.
            _ => unsafe { System.dealloc(memory, layout) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block that a test holds, filled with one byte.
    struct Held {
        memory: *mut u8,
        layout: Layout,
        byte: u8,
    }

    impl Held {
        fn check(&self) {
            // SAFETY: the block is that long and was written whole.
            let bytes = unsafe { std::slice::from_raw_parts(self.memory, self.layout.size()) };
            assert!(
                bytes.iter().all(|&b| b == self.byte),
                "another block wrote into it"
            );
            assert_eq!(self.memory.addr() % self.layout.align(), 0);
        }
    }

    /// Any order of calls, half of them while served, keeps every block apart and whole.
    #[test]
    fn blocks_never_overlap_and_keep_their_bytes() {
        let pool = Pool::new();
        let seed = 0x9e37_79b9_7f4a_7c15_u64;
        println!("seed {seed:#x}");
        let mut state = seed;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut held: Vec<Held> = Vec::new();
        for round in 0..20_000 {
            let served = (random(2) == 0).then(|| serve_this_thread(&pool));
            let magnitude = random(16);
            let size = 1 + random(1 << magnitude);
            let byte = round as u8;
            if held.is_empty() || random(2) == 0 {
                let align = 1 << random(8);
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the layout is not empty.
                let memory = unsafe { pool.alloc(layout) };
                assert!(!memory.is_null());
                // SAFETY: the block is that long.
                unsafe { memory.write_bytes(byte, size) };
                held.push(Held {
                    memory,
                    layout,
                    byte,
                });
            } else {
                let which = random(held.len());
                let mut block = held.swap_remove(which);
                block.check();
                if random(3) == 0 {
                    // SAFETY: the block came from this pool with this layout.
                    block.memory = unsafe { pool.realloc(block.memory, block.layout, size) };
                    let kept = block.layout.size().min(size);
                    block.layout = Layout::from_size_align(kept, block.layout.align()).unwrap();
                    block.check();
                    block.layout = Layout::from_size_align(size, block.layout.align()).unwrap();
                    // SAFETY: the block is that long.
                    unsafe { block.memory.write_bytes(block.byte, size) };
                    held.push(block);
                } else {
                    // SAFETY: the block came from this pool with this layout.
                    unsafe { pool.dealloc(block.memory, block.layout) };
                }
            }
            drop(served);
        }
        for block in held {
            block.check();
            // SAFETY: the block came from this pool with this layout.
            unsafe { pool.dealloc(block.memory, block.layout) };
        }
    }

    /// The same work again and again needs nothing more after a few times.
    #[test]
    fn a_repeated_pattern_stops_reaching_the_system() {
        let pool = Pool::new();
        let sizes = [10, 3 << 20, 70_000, 1, 9 << 20, 400, 2 << 20, 65_536];
        let mut reached = Vec::with_capacity(20);
        for _ in 0..20 {
            let _served = serve_this_thread(&pool);
            let layouts = sizes.map(|size| Layout::from_size_align(size, 16).unwrap());
            // SAFETY: no layout is empty.
            let blocks = layouts.map(|layout| unsafe { pool.alloc_zeroed(layout) });
            for (memory, layout) in blocks.into_iter().zip(layouts) {
                assert!(pool.owns(memory));
                // SAFETY: the block came from this pool with this layout.
                unsafe { pool.dealloc(memory, layout) };
            }
            reached.push(pool.calls().system);
        }
        let last = reached[reached.len() - 1];
        assert!(reached[0] > 0, "{reached:?}");
        assert!(reached[3..].iter().all(|&n| n == last), "{reached:?}");
    }
}
