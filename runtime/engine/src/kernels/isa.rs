//! Which instruction set's loops a plan runs with.

use sanderling_plan::Target;

/// Loops that this build has and this processor runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// Whatever the compiler made of portable Rust.
    Generic,
}

impl Isa {
    /// The loops for plans that are packed for `target`; `None` where this build has none
    /// or this processor does not run them.
    pub(crate) fn of(target: Target) -> Option<Self> {
        let here = match target {
            Target::Generic => true,
            Target::CortexM4 | Target::CortexM55 => cfg!(target_arch = "arm"),
            Target::Aarch64 | Target::Aarch64Dotprod => cfg!(target_arch = "aarch64"),
            Target::X86_64 => cfg!(target_arch = "x86_64"),
        };
        here.then_some(Self::Generic)
    }
}
