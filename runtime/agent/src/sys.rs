//! What the agent asks of Linux itself: memory that stays, a processor of its own, priority, the host's name.
//!
//! Everything here is asked for by flags and may be refused; a refusal is an error value that says what to do, and
//! the agent goes on without.

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, gethostname};

/// Why the system refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SysError {
    /// Memory cannot be locked.
    #[error(
        "memory is not locked ({0}); raise the limit (LimitMEMLOCK=infinity, ulimit -l) or grant CAP_IPC_LOCK"
    )]
    Lock(Errno),
    /// The thread stays where the scheduler puts it.
    #[error(
        "the inference thread is not bound to the given processors ({0}); choose processors that exist, see nproc"
    )]
    Affinity(Errno),
    /// The thread keeps the usual priority.
    #[error(
        "the inference thread has no real-time priority ({0}); raise the limit (LimitRTPRIO=99, ulimit -r) or grant CAP_SYS_NICE"
    )]
    Priority(Errno),
}

/// Keeps all memory of the process in RAM, now and later.
pub fn lock_memory() -> Result<(), SysError> {
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE).map_err(SysError::Lock)
}

/// Binds the calling thread to the processors.
pub fn bind_thread(cpus: &[usize]) -> Result<(), SysError> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu).map_err(SysError::Affinity)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set).map_err(SysError::Affinity)
}

/// Gives the calling thread a first-in-first-out real-time priority, 1 to 99.
///
/// `sched_setscheduler` would be the plainer call, but musl refuses it always, because Linux gives it to one thread
/// where POSIX means the process.
pub fn raise_thread(priority: u8) -> Result<(), SysError> {
    use nix::libc::{SCHED_FIFO, pthread_self, pthread_setschedparam, sched_param};
    // Some targets have further fields, for sporadic servers; zero is their neutral value.
    // SAFETY: `sched_param` is plain integers, for which all zeros is a valid value.
    let mut parameters: sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = i32::from(priority);
    // SAFETY: the thread is the calling one, so it lives; the call reads `parameters`, which lives until it returns.
    let result =
        unsafe { pthread_setschedparam(pthread_self(), SCHED_FIFO, &raw const parameters) };
    match result {
        0 => Ok(()),
        error => Err(SysError::Priority(Errno::from_raw(error))),
    }
}

/// From now on the process makes files that only its owner reads.
pub fn close_new_files() {
    umask(Mode::from_bits_truncate(0o077));
}

/// The host's name, empty where there is none.
pub fn hostname() -> String {
    gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_that_do_not_exist_are_refused() {
        assert!(matches!(bind_thread(&[1000]), Err(SysError::Affinity(_))));
        assert!(matches!(
            bind_thread(&[usize::MAX]),
            Err(SysError::Affinity(_))
        ));
    }
}
