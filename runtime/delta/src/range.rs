//! The range decoder: bits out of compressed bytes, LZMA's arithmetic.

use crate::chance::{CHANCE_BITS, Chance};
use crate::residual::Bits;

/// The coder works with the top byte of its range not empty.
pub(crate) const TOP: u32 = 1 << 24;
/// Zeros that the encoder may leave out at the end.
pub(crate) const SLACK: usize = 4;

/// Reads bits from a block's bytes. Past the end it reads zeros and remembers that it did.
pub(crate) struct Decoder<'a> {
    bytes: core::slice::Iter<'a, u8>,
    range: u32,
    code: u32,
    missing: usize,
}

impl<'a> Decoder<'a> {
    /// The first byte of a stream says nothing; it is left out of the bytes.
    pub(crate) fn new(bytes: &'a [u8]) -> Decoder<'a> {
        let mut decoder = Decoder {
            bytes: bytes.iter(),
            range: u32::MAX,
            code: 0,
            missing: 0,
        };
        for _ in 0..4 {
            decoder.code = decoder.code << 8 | decoder.next();
        }
        decoder
    }

    /// True where more was read than was left out, or bytes are left: these bytes are no block.
    pub(crate) fn is_off(&self) -> bool {
        self.missing > SLACK || !self.bytes.as_slice().is_empty()
    }

    fn next(&mut self) -> u32 {
        match self.bytes.next() {
            Some(&byte) => u32::from(byte),
            None => {
                self.missing += 1;
                0
            }
        }
    }

    fn fill(&mut self) {
        // A range below 2²⁴ takes one byte, and with probabilities of 12 bits never more than two.
        while self.range < TOP {
            self.range <<= 8;
            self.code = self.code << 8 | self.next();
        }
    }
}

impl Bits for Decoder<'_> {
    fn bit(&mut self, chance: &mut Chance, _: bool) -> bool {
        let bound = (self.range >> CHANCE_BITS) * chance.one();
        let bit = self.code < bound;
        if bit {
            self.range = bound;
        } else {
            self.code -= bound;
            self.range -= bound;
        }
        chance.learn(bit);
        self.fill();
        bit
    }

    fn plain(&mut self, _: bool) -> bool {
        self.range >>= 1;
        let bit = self.code < self.range;
        if !bit {
            self.code -= self.range;
        }
        self.fill();
        bit
    }
}
