//! What tract is not trusted with: a panic ends one reading and not the process, and what
//! constants may grow to is bounded by the file they come from.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread is caught, so that nothing is to be printed.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
    /// Bytes that folded constants may still take in this thread's reading.
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// Runs `work`; a panic in it becomes the text that it would have printed.
///
/// What `work` had half done must not be used again by the caller.
///
/// # Errors
///
/// The panic's text, in one line.
pub fn without_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    // Where a panic ends the process, its text must still be seen.
    if cfg!(panic = "unwind") {
        HOOK.call_once(|| {
            let before = take_hook();
            set_hook(Box::new(move |info| {
                if !CAUGHT.get() {
                    before(info);
                }
            }));
        });
    }
    let outer = CAUGHT.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(outer);
    outcome.map_err(|panic| {
        let why = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        why.split_whitespace().collect::<Vec<_>>().join(" ")
    })
}

/// What a file of some size may ask for, so that a small file cannot ask for much.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Bytes of the file, its external data included.
    pub file: u64,
}

impl Budget {
    /// Bytes that one tensor may take.
    pub fn tensor(self) -> u64 {
        (256 << 20) + 16 * self.file
    }

    /// Bytes that all constants made by folding may take together.
    pub fn folded(self) -> u64 {
        (64 << 20) + 16 * self.file
    }

    /// Multiply-accumulates of one inference.
    pub fn macs(self) -> u64 {
        (1 << 38) + (self.file << 16)
    }

    /// Runs `work` with this much for folded constants, see [`spend`].
    pub fn apply<T>(self, work: impl FnOnce() -> T) -> T {
        let outer = LEFT.replace(self.folded());
        let done = work();
        LEFT.set(outer);
        done
    }
}

/// Takes `bytes` from what folded constants may take; `false` where there is not so much.
pub fn spend(bytes: u64) -> bool {
    match LEFT.get().checked_sub(bytes) {
        Some(left) => {
            LEFT.set(left);
            true
        }
        None => false,
    }
}

/// Bytes of a tensor with this shape and size of element, where they can be counted.
pub fn tensor_bytes(shape: impl IntoIterator<Item = u64>, element: u64) -> Option<u64> {
    shape.into_iter().try_fold(element, u64::checked_mul)
}
