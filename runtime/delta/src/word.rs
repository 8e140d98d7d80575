//! Words of four bytes that come again: a few recent ones are kept, and a word is one of them or four bytes.
//!
//! Golden outputs are this: numbers of a few dozen values, the bytes of which look like noise. So are the zeros and
//! small numbers of records. A word that is known moves to the front; one that is not is told byte by byte against
//! the one in front, and pushes out the last.

use crate::chance::Chance;
use crate::residual::{Against, Bits, Residuals};

/// How many words are kept.
const KEPT: usize = 32;
/// The bits of a kept word's place.
const PLACE_BITS: u32 = KEPT.ilog2();

/// The recent words, and the probabilities of meeting one.
pub(crate) struct Words {
    kept: [u32; KEPT],
    known: [Chance; 2],
    places: [Chance; KEPT],
    last_known: bool,
}

impl Words {
    /// Nothing seen.
    pub(crate) const fn new() -> Words {
        Words {
            kept: [0; KEPT],
            known: [Chance::new(2048, 0); 2],
            places: [Chance::new(2048, 0); KEPT],
            last_known: true,
        }
    }

    /// Codes one word and returns it.
    pub(crate) fn code<B: Bits>(
        &mut self,
        bits: &mut B,
        residuals: &mut Residuals,
        word: u32,
    ) -> u32 {
        let found = self.kept.iter().position(|&kept| kept == word);
        let [after_new, after_known] = &mut self.known;
        let chance = if self.last_known {
            after_known
        } else {
            after_new
        };
        self.last_known = bits.bit(chance, found.is_some());
        let (place, word) = if self.last_known {
            let place = self.place(bits, found.unwrap_or(0));
            (place, self.kept.get(place).copied().unwrap_or(0))
        } else {
            let mut bytes = self.kept[0].to_le_bytes();
            let wanted = word.to_le_bytes();
            for (phase, (byte, wanted)) in bytes.iter_mut().zip(wanted).enumerate() {
                let residual = wanted.wrapping_sub(*byte);
                *byte = byte.wrapping_add(residuals.code(bits, Against::Word(phase), residual));
            }
            (KEPT - 1, u32::from_le_bytes(bytes))
        };
        if let Some(before) = self.kept.get_mut(..=place) {
            before.rotate_right(1);
        }
        self.kept[0] = word;
        word
    }

    /// A kept word's place, highest bit first, each bit with a probability of its own for the bits before it.
    fn place<B: Bits>(&mut self, bits: &mut B, wanted: usize) -> usize {
        let mut node = 1;
        for bit in (0..PLACE_BITS).rev() {
            let one = match self.places.get_mut(node) {
                Some(chance) => bits.bit(chance, wanted >> bit & 1 == 1),
                None => false,
            };
            node = node << 1 | usize::from(one);
        }
        node - KEPT
    }
}
