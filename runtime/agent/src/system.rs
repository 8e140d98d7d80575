//! What the library asks of the machine and does not do itself, because it takes unsafe code: the binary brings it.

/// The machine's services, each a function that may refuse with a line that says what to do.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// Keeps all memory of the process in RAM, now and later.
    pub lock_memory: fn() -> anyhow::Result<()>,
    /// Binds the calling thread to these processors.
    pub bind_thread: fn(&[usize]) -> anyhow::Result<()>,
    /// Gives the calling thread a real-time priority, 1 to 99.
    pub raise_thread: fn(u8) -> anyhow::Result<()>,
    /// Calls to the allocator that the calling thread has made so far; always 0 where nobody counts.
    pub allocator_calls: fn() -> u64,
}
