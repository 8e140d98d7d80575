//! The first 128 bytes: identity, sizes, and where each section lies.
//!
//! ```text
//!  0        8      10 11  12      16       20      24      32            64
//!  ┌────────┬───────┬──┬──┬───────┬────────┬───────┬───────┬─────────────┬──────────────────┬───┐
//!  │ magic  │version│tg│ 0│ total │ arena  │ peak  │ macs  │ source      │ 6 × (offset, len)│ 0 │
//!  │        │ u16   │u8│  │ u32   │ u32    │ u32   │ u64   │ SHA-256     │ u32, u32         │   │
//!  └────────┴───────┴──┴──┴───────┴────────┴───────┴───────┴─────────────┴──────────────────┴───┘
//!                                                                         64              112  128
//! ```

use core::fmt;

/// First eight bytes of every plan.
pub const MAGIC: [u8; 8] = *b"SNDRPLAN";
/// Format version that this crate reads and writes.
pub const VERSION: u16 = 1;
/// Header length in bytes.
pub const BYTES: usize = 128;

/// Byte offsets within the header.
pub mod field {
    /// `[u8; 8]`, [`MAGIC`](super::MAGIC).
    pub const MAGIC: usize = 0;
    /// `u16`, [`VERSION`](super::VERSION).
    pub const VERSION: usize = 8;
    /// `u8`, see [`Target`](super::Target).
    pub const TARGET: usize = 10;
    /// `u32`, length of the plan in bytes.
    pub const TOTAL: usize = 12;
    /// `u32`, arena in bytes, scratch included.
    pub const ARENA: usize = 16;
    /// `u32`, id of the tensor that sets the arena's peak.
    pub const PEAK: usize = 20;
    /// `u64`, multiply-accumulate operations per inference.
    pub const MACS: usize = 24;
    /// `[u8; 32]`, SHA-256 of the ONNX file this was compiled from.
    pub const SOURCE: usize = 32;
    /// Six pairs of `u32` offset and `u32` length, in the order of [`Section`](super::Section).
    pub const SECTIONS: usize = 64;
}

/// A section of the plan; the value is its index in the header's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Tensor records.
    Tensors = 0,
    /// Step records.
    Steps = 1,
    /// Inputs and outputs.
    Io = 2,
    /// Packed weights, biases, multipliers, tables.
    Constants = 3,
    /// Golden vectors.
    Golden = 4,
    /// Names.
    Names = 5,
}

impl Section {
    /// Every section, in the order of the table.
    pub const ALL: [Section; 6] = [
        Self::Tensors,
        Self::Steps,
        Self::Io,
        Self::Constants,
        Self::Golden,
        Self::Names,
    ];

    /// Its name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tensors => "tensors",
            Self::Steps => "steps",
            Self::Io => "io",
            Self::Constants => "constants",
            Self::Golden => "golden",
            Self::Names => "names",
        }
    }
}

/// What the constants are packed for. An engine runs plans of its own target and
/// [`Target::Generic`] ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Target {
    /// Plain row-major weights that every engine runs.
    Generic = 0,
    /// Cortex-M4 and M7 (Armv7E-M, DSP extension).
    CortexM4 = 1,
    /// Cortex-M55 (Armv8.1-M, MVE).
    CortexM55 = 2,
    /// 64-bit Arm without dot product, such as Cortex-A72.
    Aarch64 = 3,
    /// 64-bit Arm with dot product, such as Cortex-A76 and Jetson Orin.
    Aarch64Dotprod = 4,
    /// x86-64.
    X86_64 = 5,
}

impl Target {
    /// Every target.
    pub const ALL: [Target; 6] = [
        Self::Generic,
        Self::CortexM4,
        Self::CortexM55,
        Self::Aarch64,
        Self::Aarch64Dotprod,
        Self::X86_64,
    ];

    /// The one target whose plans this build reads; `None` where it reads those of all.
    pub const ONLY: Option<Target> = match (
        cfg!(target_os = "none") && !cfg!(feature = "every-target"),
        cfg!(feature = "generic"),
        cfg!(feature = "cortex-m4"),
        cfg!(feature = "cortex-m55"),
    ) {
        (true, true, false, false) => Some(Self::Generic),
        (true, false, true, false) => Some(Self::CortexM4),
        (true, false, false, true) => Some(Self::CortexM55),
        _ => None,
    };

    /// The target of a plan that this build reads: itself, but where there is only one, the
    /// compiler knows it.
    pub(crate) const fn read(self) -> Self {
        match Self::ONLY {
            Some(only) => only,
            None => self,
        }
    }

    /// The target stored as `byte`.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|t| *t as u8 == byte)
    }

    /// The name that command line, manifests, and messages use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::CortexM4 => "cortex-m4",
            Self::CortexM55 => "cortex-m55",
            Self::Aarch64 => "aarch64",
            Self::Aarch64Dotprod => "aarch64-dotprod",
            Self::X86_64 => "x86-64",
        }
    }

    /// The target called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
