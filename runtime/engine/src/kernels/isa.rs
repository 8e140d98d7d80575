//! Which instruction set's loops a plan runs with.

use sanderling_plan::Target;

/// Loops that this build has and this processor runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// Whatever the compiler made of portable Rust.
    #[cfg(feature = "generic")]
    Generic,
    /// Armv7E-M's digital signal processing instructions.
    #[cfg(feature = "cortex-m4")]
    CortexM4,
    /// 64-bit Arm.
    #[cfg(target_arch = "aarch64")]
    Aarch64,
    /// 64-bit Arm with dot product.
    #[cfg(target_arch = "aarch64")]
    Aarch64Dotprod,
}

impl Isa {
    /// The loops for plans that are packed for `target`; `None` where this build has none
    /// or this processor does not run them.
    pub(crate) fn of(target: Target) -> Option<Self> {
        match target {
            #[cfg(feature = "generic")]
            Target::Generic => Some(Self::Generic),
            #[cfg(feature = "cortex-m4")]
            Target::CortexM4 => Some(Self::CortexM4),
            #[cfg(target_arch = "aarch64")]
            Target::Aarch64 => Some(Self::Aarch64),
            #[cfg(target_arch = "aarch64")]
            Target::Aarch64Dotprod => dotprod().then_some(Self::Aarch64Dotprod),
            #[cfg(feature = "generic")]
            Target::CortexM55 if cfg!(target_arch = "arm") => Some(Self::Generic),
            #[cfg(feature = "generic")]
            Target::X86_64 if cfg!(target_arch = "x86_64") => Some(Self::Generic),
            _ => None,
        }
    }
}

/// Whether this processor has the dot product: it is built for such ones, or says so.
#[cfg(target_arch = "aarch64")]
fn dotprod() -> bool {
    #[cfg(feature = "std")]
    if std::arch::is_aarch64_feature_detected!("dotprod") {
        return true;
    }
    cfg!(target_feature = "dotprod")
}
