//! Consistent overhead byte stuffing (Cheshire and Baker, 1999): bytes without a zero among them.
//!
//! ```text
//! plain    11 22 00 33              COBS   03 11 22 02 33
//!                                          │        └ 1 byte follows, then the end
//!                                          └ 2 bytes follow, then a zero
//! ```
//!
//! A code of 255 is followed by 254 bytes and no zero.

/// The longest code: so many bytes, itself included, without a zero.
const FULL: u8 = 0xFF;

/// The most bytes that `plain` bytes become.
pub(super) const fn longest(plain: usize) -> usize {
    plain + plain / 254 + 1
}

/// Takes the bytes of a frame one at a time and gives the plain ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unstuff {
    /// Bytes that follow before the next code.
    left: u8,
    /// A zero stands before the next byte, if there is one.
    zero: bool,
}

impl Unstuff {
    /// Before the first byte of a frame.
    pub(super) const fn new() -> Unstuff {
        Unstuff {
            left: 0,
            zero: false,
        }
    }

    /// The plain bytes that this one tells of: none, one, or a zero. Never called with 0, which ends a frame.
    pub(super) fn push(&mut self, byte: u8) -> Option<u8> {
        if self.left > 0 {
            self.left -= 1;
            return Some(byte);
        }
        let before = self.zero;
        self.left = byte.wrapping_sub(1);
        self.zero = byte != FULL;
        before.then_some(0)
    }

    /// True where a frame may end.
    pub(super) const fn is_whole(&self) -> bool {
        self.left == 0
    }
}

/// Stuffs the plain bytes at `from..from + length` of `buffer` to its bytes from `to` on, where `to` lies at least
/// [`longest`]` - length` before `from`; gives how many there are, or none where the buffer ends.
pub(super) fn stuff(buffer: &mut [u8], from: usize, length: usize, to: usize) -> Option<usize> {
    let mut code_at = to;
    let mut code = 1u8;
    let mut at = to + 1;
    for plain in from..from + length {
        if code == FULL {
            *buffer.get_mut(code_at)? = code;
            (code_at, at, code) = (at, at + 1, 1);
        }
        match *buffer.get(plain)? {
            0 => {
                *buffer.get_mut(code_at)? = code;
                (code_at, at, code) = (at, at + 1, 1);
            }
            byte => {
                *buffer.get_mut(at)? = byte;
                at += 1;
                code += 1;
            }
        }
    }
    *buffer.get_mut(code_at)? = code;
    Some(at - to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stuffed(plain: &[u8]) -> ([u8; 1024], usize) {
        let mut buffer = [0; 1024];
        let from = 1024 - plain.len();
        buffer[from..].copy_from_slice(plain);
        let length = stuff(&mut buffer, from, plain.len(), 0).expect("room");
        (buffer, length)
    }

    #[test]
    fn the_papers_examples() {
        let cases: [(&[u8], &[u8]); 5] = [
            (&[], &[1]),
            (&[0], &[1, 1]),
            (&[0x11, 0x22, 0, 0x33], &[3, 0x11, 0x22, 2, 0x33]),
            (&[0x11, 0, 0, 0], &[2, 0x11, 1, 1, 1]),
            (&[0, 0], &[1, 1, 1]),
        ];
        for (plain, expected) in cases {
            let (buffer, length) = stuffed(plain);
            assert_eq!(&buffer[..length], expected);
        }
    }

    #[test]
    fn every_length_around_a_full_code_comes_back() {
        for length in 250..=520 {
            for zero in [0, 1, 253, 254, 255, 600] {
                let mut plain = [0; 520];
                for (i, byte) in plain.iter_mut().enumerate() {
                    *byte = if i == zero { 0 } else { (i % 255) as u8 + 1 };
                }
                let (buffer, coded) = stuffed(&plain[..length]);
                assert!(coded <= longest(length));
                assert!(!buffer[..coded].contains(&0));
                let mut unstuff = Unstuff::new();
                let back = buffer[..coded]
                    .iter()
                    .filter_map(|&byte| unstuff.push(byte));
                assert!(back.eq(plain[..length].iter().copied()));
                assert!(unstuff.is_whole());
            }
        }
    }
}
