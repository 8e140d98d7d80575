//! Operations: how a block is put together, and how they are written.
//!
//! ```text
//! kind     told outright? then: words or bytes; else: as it is in the base, or with a residual
//! length   from 1 to the rest of the block, Elias gamma
//! place    copy and residual: as far from the block's place as the last one? else the change, zigzag, Elias gamma
//! bytes    residual and literal: one residual for each byte
//! ```

use crate::chance::Chance;
use crate::residual::Bits;

/// Where an operation's bytes come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// The base, as they are.
    Copy,
    /// The base, plus a residual each.
    Residual,
    /// The delta.
    Literal,
    /// The delta, four bytes at a time.
    Words,
}

impl Kind {
    /// True where bytes of the base are read.
    pub(crate) const fn reads_base(self) -> bool {
        matches!(self, Kind::Copy | Kind::Residual)
    }
}

/// An operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    /// How many bytes it gives; at least 1.
    pub(crate) length: u32,
    /// Copy and residual: place in the base less place in the new file.
    pub(crate) shift: i64,
}

/// A length has up to 17 bits.
const LENGTH_WIDTHS: usize = 16;
/// A shift has up to 34 bits once folded and raised by 1.
const SHIFT_WIDTHS: usize = 33;

/// The probabilities of operations, and the last shift.
pub(crate) struct Operations {
    kinds: [[Chance; 3]; 5],
    lengths: [[Chance; LENGTH_WIDTHS]; 4],
    moved: Chance,
    shifts: [Chance; SHIFT_WIDTHS],
    shift: i64,
    last: usize,
}

impl Operations {
    /// Nothing seen.
    pub(crate) const fn new() -> Operations {
        const HALF: Chance = Chance::new(2048, 0);
        Operations {
            kinds: [[HALF; 3]; 5],
            lengths: [[HALF; LENGTH_WIDTHS]; 4],
            moved: HALF,
            shifts: [HALF; SHIFT_WIDTHS],
            shift: 0,
            last: 4,
        }
    }

    /// Codes an operation's head and returns it. What a hostile delta makes of length and shift is the caller's to check.
    pub(crate) fn code<B: Bits>(&mut self, bits: &mut B, operation: Operation) -> Operation {
        let [told, words, copy] = match self.kinds.get_mut(self.last) {
            Some(kinds) => kinds,
            None => &mut self.kinds[0],
        };
        let kind = if bits.bit(told, !operation.kind.reads_base()) {
            match bits.bit(words, operation.kind == Kind::Words) {
                true => Kind::Words,
                false => Kind::Literal,
            }
        } else if bits.bit(copy, operation.kind == Kind::Copy) {
            Kind::Copy
        } else {
            Kind::Residual
        };
        self.last = match kind {
            Kind::Copy => 0,
            Kind::Residual => 1,
            Kind::Literal => 2,
            Kind::Words => 3,
        };
        let length = match self.lengths.get_mut(self.last) {
            Some(widths) => gamma(bits, widths, u64::from(operation.length)),
            None => 1,
        };
        if kind.reads_base() && bits.bit(&mut self.moved, operation.shift != self.shift) {
            let change = operation.shift.wrapping_sub(self.shift);
            let folded = (change << 1 ^ change >> 63) as u64;
            let folded = gamma(bits, &mut self.shifts, folded.wrapping_add(1)).wrapping_sub(1);
            let change = (folded >> 1) as i64 ^ -((folded & 1) as i64);
            self.shift = self.shift.wrapping_add(change);
        }
        Operation {
            kind,
            length: u32::try_from(length).unwrap_or(u32::MAX),
            shift: self.shift,
        }
    }
}

/// Elias gamma: the number of bits in unary, each step with a probability of its own, then the bits.
fn gamma<B: Bits>(bits: &mut B, widths: &mut [Chance], value: u64) -> u64 {
    let wanted = 63 - value.max(1).leading_zeros() as usize;
    let mut width = 0;
    for chance in widths {
        if !bits.bit(chance, wanted > width) {
            break;
        }
        width += 1;
    }
    let mut read = 1u64;
    for place in (0..width).rev() {
        read = read << 1 | u64::from(bits.plain(value >> place & 1 == 1));
    }
    read
}
