//! The range encoder: bits into compressed bytes, LZMA's arithmetic with its carry.

use std::vec::Vec;

use crate::chance::{CHANCE_BITS, Chance};
use crate::range::{SLACK, TOP};
use crate::residual::Bits;

/// Writes bits.
pub(super) struct Encoder {
    bytes: Vec<u8>,
    low: u64,
    range: u32,
    /// The last byte that a carry can still reach, and how many bytes of 255 stand behind it.
    held: u8,
    behind: usize,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder {
            bytes: Vec::new(),
            low: 0,
            range: u32::MAX,
            held: 0,
            behind: 0,
        }
    }
}

impl Encoder {
    fn shift(&mut self) {
        if self.low < 0xFF00_0000 || self.low > 0xFFFF_FFFF {
            let carry = (self.low >> 32) as u8;
            self.bytes.push(self.held.wrapping_add(carry));
            for _ in 0..self.behind {
                self.bytes.push(0xFF_u8.wrapping_add(carry));
            }
            self.behind = 0;
            self.held = (self.low >> 24) as u8;
        } else {
            self.behind += 1;
        }
        self.low = (self.low & 0x00FF_FFFF) << 8;
    }

    fn fill(&mut self) {
        while self.range < TOP {
            self.range <<= 8;
            self.shift();
        }
    }

    /// The bytes, without the first one, which is always 0, and without zeros at the end that the decoder reads
    /// there by itself.
    pub(super) fn finish(mut self) -> Vec<u8> {
        // Of all numbers in the range the one with the most zeros at its end.
        let last = self.low + u64::from(self.range) - 1;
        let round = (0..32).rev().map(|n| last >> n << n);
        self.low = round
            .into_iter()
            .find(|&n| n >= self.low)
            .unwrap_or(self.low);
        for _ in 0..5 {
            self.shift();
        }
        let mut bytes = self.bytes.split_off(1);
        for _ in 0..SLACK {
            if bytes.last() == Some(&0) {
                bytes.pop();
            }
        }
        bytes
    }
}

impl Bits for Encoder {
    fn bit(&mut self, chance: &mut Chance, bit: bool) -> bool {
        let bound = (self.range >> CHANCE_BITS) * chance.one();
        if bit {
            self.range = bound;
        } else {
            self.low += u64::from(bound);
            self.range -= bound;
        }
        chance.learn(bit);
        self.fill();
        bit
    }

    fn plain(&mut self, bit: bool) -> bool {
        self.range >>= 1;
        if !bit {
            self.low += u64::from(self.range);
        }
        self.fill();
        bit
    }
}
