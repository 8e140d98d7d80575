//! Which instruction set's loops a plan runs with.

#[cfg(not(target_arch = "aarch64"))]
use crate::numerics::Sum;
use sanderling_plan::Target;

/// Loops that this build has and this processor runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// Whatever the compiler made of portable Rust.
    #[cfg(feature = "generic")]
    Generic,
    /// Cortex-M55.
    #[cfg(all(target_arch = "arm", feature = "cortex-m55"))]
    Mve,
    /// Armv7E-M's digital signal processing instructions.
    #[cfg(feature = "cortex-m4")]
    CortexM4,
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
        match target {
            #[cfg(feature = "generic")]
            Target::Generic => Some(Self::Generic),
            #[cfg(all(target_arch = "arm", feature = "cortex-m55"))]
            Target::CortexM55 => Some(Self::Mve),
            #[cfg(feature = "cortex-m4")]
            Target::CortexM4 => Some(Self::CortexM4),
            #[cfg(target_arch = "aarch64")]
            Target::Aarch64 => Some(Self::Aarch64),
            #[cfg(target_arch = "aarch64")]
            Target::Aarch64Dotprod => dotprod().then_some(Self::Aarch64Dotprod),
            #[cfg(target_arch = "x86_64")]
            Target::X86_64 => Some(super::x86_64::widest()),
            _ => None,
        }
    }

    /// Adds all elements of `y`, where an operand that is `None` is what `y` holds; `None`
    /// where these loops do not, or an operand is shorter.
    #[cfg(not(target_arch = "aarch64"))]
    pub(crate) fn add_in_place(
        self,
        sum: &Sum,
        y: &mut [i8],
        a: Option<&[i8]>,
        b: Option<&[i8]>,
    ) -> Option<()> {
        #[cfg(all(target_arch = "arm", feature = "cortex-m55"))]
        if self == Self::Mve && super::armv8_1m_mve::adds(sum) {
            return super::armv8_1m_mve::add(sum, y, a, b);
        }
        let _ = (sum, y, a, b);
        None
    }

    /// Adds the columns of `x`, rows of as many values as `acc` has, to `acc`; `None` where
    /// these loops do not.
    pub(crate) fn add_columns(self, acc: &mut [i32], x: &[i8]) -> Option<()> {
        #[cfg(all(target_arch = "arm", feature = "cortex-m55"))]
        if self == Self::Mve {
            return super::armv8_1m_mve::add_columns(acc, x);
        }
        let _ = (acc, x);
        None
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
