//! Counts how often the program asks the allocator for memory, for `bench`.
//!
//! This is the only file of the command with `unsafe` in it: the trait for allocators is
//! an unsafe one. Every method counts and then hands the call on unchanged to the
//! system's allocator, so that the contract between caller and allocator is the system's.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

static CALLS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

/// Calls that asked for memory since the program started: allocations and reallocations.
pub fn calls() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

struct Counting;

// SAFETY: each method passes its arguments on to `System`, which implements the trait,
// and returns what it returned; counting touches no memory but its own counter.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `alloc`, which is the same here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `alloc_zeroed`, which is the same here.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: `memory` came from `System` by way of this allocator, with this layout.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: `memory` came from `System` by way of this allocator, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}
