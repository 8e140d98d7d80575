//! Which instruction set's loops a plan runs with.

#[cfg(not(target_arch = "aarch64"))]
use crate::numerics::Sum;
use sanderling_plan::Target;

/// Loops that this build has and this processor runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// Whatever the compiler made of portable Rust.
    Generic,
    /// 64-bit Arm.
    #[cfg(target_arch = "aarch64")]
    Aarch64,
    /// 64-bit Arm with dot product.
    #[cfg(target_arch = "aarch64")]
    Aarch64Dotprod,
    /// What every x86-64 processor has.
    #[cfg(target_arch = "x86_64")]
    Sse2,
    /// With fused multiply-adds.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// With VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// The loops for plans that are packed for `target`; `None` where this build has none
    /// or this processor does not run them.
    pub(crate) fn of(target: Target) -> Option<Self> {
        let here = match target {
            Target::Generic => true,
            #[cfg(target_arch = "aarch64")]
            Target::Aarch64 => return Some(Self::Aarch64),
            #[cfg(target_arch = "aarch64")]
            Target::Aarch64Dotprod => return dotprod().then_some(Self::Aarch64Dotprod),
            Target::CortexM4 | Target::CortexM55 => cfg!(target_arch = "arm"),
            #[cfg(target_arch = "x86_64")]
            Target::X86_64 => return Some(super::x86_64::widest()),
            #[cfg(not(target_arch = "x86_64"))]
            Target::X86_64 => false,
            #[cfg(not(target_arch = "aarch64"))]
            Target::Aarch64 | Target::Aarch64Dotprod => false,
        };
        here.then_some(Self::Generic)
    }

    /// `y = a + b`, each as `sum` says.
    #[cfg(not(target_arch = "aarch64"))]
    pub(crate) fn add(self, sum: &Sum, y: &mut [i8], a: &[i8], b: &[i8]) {
        #[cfg(target_arch = "x86_64")]
        super::x86_64::add(self, sum, y, a, b);
        #[cfg(not(target_arch = "x86_64"))]
        sum.run(y, a, b);
    }

    /// `acc[i] += x[i]`.
    pub(crate) fn accumulate(self, acc: &mut [i32], x: &[i8]) {
        #[cfg(target_arch = "x86_64")]
        super::x86_64::accumulate(self, acc, x);
        #[cfg(not(target_arch = "x86_64"))]
        super::generic::accumulate(acc, x);
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
