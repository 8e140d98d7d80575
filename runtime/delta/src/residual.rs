//! How a byte's distance from its prediction is written as binary decisions, and which probabilities they use.
//!
//! ```text
//! residual r, -128 to 127
//!   zero?  ─ yes ─▶ done
//!     no
//!   sign
//!   bucket b = ⌊log₂|r|⌋, unary: 1 | 2-3 | 4-7 | 8-15 | 16-31 | 32-63 | 64-127 | 128
//!   the b bits below the leading one: two with a probability of their own, the others plain
//! ```
//!
//! The probabilities are chosen by whether the byte is told against the base or against nothing, and by how large
//! the residuals before it were: drift after training is about alike within a tensor, so its size is the best
//! prediction of the next one's. A context has few decisions, so it is learnt within a few dozen bytes, which is
//! what lets every block start anew.

use crate::chance::Chance;

/// Levels of the last two residuals.
const FAST: usize = 6;
/// Levels of the mean over the last dozens.
const SLOW: usize = 5;
/// Levels of the same mean for bytes that are told outright.
const SPREADS: usize = 6;
/// Decisions of one context.
pub(crate) const NODES: usize = 20;
/// Contexts.
pub(crate) const CONTEXTS: usize = SLOW * FAST + 2 * SPREADS + PHASES * WORD_FAST;
/// Kinds of bytes in a word: the two low ones, and each of the others.
const PHASES: usize = 3;
/// Levels of the last two residuals within words.
const WORD_FAST: usize = 4;

/// What a byte is told against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Against {
    /// A byte of the base.
    Base,
    /// Nothing: the byte itself is the residual.
    Nothing,
    /// This byte of the word before.
    Word(usize),
}

/// One side of the coder: a decoder answers with the bit it reads, an encoder with the bit it was asked to write.
pub(crate) trait Bits {
    /// The next bit under `chance`, which learns it. A decoder ignores `bit`.
    fn bit(&mut self, chance: &mut Chance, bit: bool) -> bool;
    /// The next bit where both are as likely.
    fn plain(&mut self, bit: bool) -> bool;
}

/// All probabilities of residuals, and what the bytes before were like.
pub(crate) struct Residuals {
    chances: [[Chance; NODES]; CONTEXTS],
    last: [u8; 2],
    mean: u16,
}

const SIGN: usize = 1;
const BUCKET: usize = 2;
/// One for each bucket from 1 to 6.
const FIRST: usize = 8;
/// One for each bucket from 2 to 6.
const SECOND: usize = 13;

impl Residuals {
    /// Nothing seen.
    pub(crate) const fn new() -> Residuals {
        Residuals {
            chances: [[Chance::new(2048, 0); NODES]; CONTEXTS],
            last: [0; 2],
            mean: 0,
        }
    }

    /// Forgets the bytes before, at the start of an operation: they were of another kind.
    pub(crate) fn turn(&mut self, against: Against) {
        let typical = match against {
            Against::Base => 0,
            Against::Nothing | Against::Word(_) => 16,
        };
        self.last = [typical; 2];
        self.mean = u16::from(typical) << 4;
    }

    fn context(&self, against: Against) -> usize {
        let two = u16::from(self.last[0]) + u16::from(self.last[1]);
        let fast = match two {
            0 => 0,
            1..=2 => 1,
            3..=6 => 2,
            7..=20 => 3,
            21..=60 => 4,
            _ => 5,
        };
        let slow = match self.mean >> 4 {
            0 if self.mean < 6 => 0,
            0..=1 => 1,
            2..=5 => 2,
            6..=20 => 3,
            _ => 4,
        };
        match against {
            Against::Base => slow * FAST + fast,
            Against::Nothing => {
                let spread = match self.mean >> 4 {
                    0..=3 => 0,
                    4..=9 => 1,
                    10..=15 => 2,
                    16..=21 => 3,
                    22..=29 => 4,
                    _ => 5,
                };
                SLOW * FAST + spread * 2 + usize::from(fast > 2)
            }
            Against::Word(phase) => {
                let phase = phase.saturating_sub(1).min(PHASES - 1);
                SLOW * FAST + 2 * SPREADS + phase * WORD_FAST + fast.saturating_sub(2)
            }
        }
    }

    /// Codes one residual and returns it.
    pub(crate) fn code<B: Bits>(&mut self, bits: &mut B, against: Against, residual: u8) -> u8 {
        let context = self.context(against);
        let value = residual as i8;
        let size = value.unsigned_abs();
        let size = match self.chances.get_mut(context) {
            Some(nodes) => Self::size(bits, nodes, value < 0, size),
            None => 0,
        };
        let (negative, size) = (size < 0, size.unsigned_abs().min(128) as u8);
        self.last = [size, self.last[0]];
        // mean += (size - mean) / 16, in sixteenths.
        self.mean = self.mean - (self.mean >> 4) + u16::from(size);
        if negative { size.wrapping_neg() } else { size }
    }

    /// The residual, read or written.
    fn size<B: Bits>(bits: &mut B, nodes: &mut [Chance; NODES], negative: bool, size: u8) -> i16 {
        let mut node = |bits: &mut B, index: usize, bit: bool| match nodes.get_mut(index) {
            Some(chance) => bits.bit(chance, bit),
            None => false,
        };
        if node(bits, 0, size == 0) {
            return 0;
        }
        let negative = node(bits, SIGN, negative);
        let wanted = 7 - size.max(1).leading_zeros() as usize;
        let mut bucket = 0;
        while bucket < 7 && node(bits, BUCKET + bucket, wanted > bucket) {
            bucket += 1;
        }
        let mut read = 1u8;
        for place in (0..bucket).rev() {
            let bit = size >> place & 1 == 1;
            let bit = if bucket == 7 {
                // 128 is alone in its bucket.
                false
            } else if place + 1 == bucket {
                node(bits, FIRST + bucket, bit)
            } else if place + 2 == bucket {
                node(bits, SECOND + bucket, bit)
            } else {
                bits.plain(bit)
            };
            read = read << 1 | u8::from(bit);
        }
        if negative {
            -i16::from(read)
        } else {
            i16::from(read)
        }
    }
}
