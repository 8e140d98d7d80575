//! A fleet's message out of its pieces, and into them.

use super::message::{Carried, MAX_PIECE, Piece};

/// The pieces that `message` travels in, in order; none of an empty one. `number` differs from the message's before.
pub fn pieces(carried: Carried, number: u16, message: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    // A message is far below 4 GiB: the largest is `crate::MAX_MESSAGE`.
    let total = u32::try_from(message.len()).unwrap_or(u32::MAX);
    (0u32..)
        .zip(message.chunks(MAX_PIECE))
        .map(move |(i, data)| Piece {
            carried,
            number,
            total,
            offset: i * MAX_PIECE as u32,
            data,
        })
}

/// Puts messages of up to `N` bytes together again. Pieces of one message come in order; when one is missing or
/// belongs to another message, what was there is dropped.
#[derive(Clone, Debug)]
pub struct Assembly<const N: usize> {
    buffer: [u8; N],
    length: usize,
    of: Option<(Carried, u16, u32)>,
}

impl<const N: usize> Default for Assembly<N> {
    fn default() -> Assembly<N> {
        Assembly::new()
    }
}

impl<const N: usize> Assembly<N> {
    /// Nothing there.
    pub const fn new() -> Assembly<N> {
        Assembly {
            buffer: [0; N],
            length: 0,
            of: None,
        }
    }

    /// Takes a piece; gives the message that it completes. A message that is longer than `N` is never completed.
    pub fn push(&mut self, piece: &Piece<'_>) -> Option<(Carried, &[u8])> {
        let of = (piece.carried, piece.number, piece.total);
        if piece.offset == 0 {
            self.of = Some(of);
            self.length = 0;
        }
        let fits = self.of == Some(of) && piece.offset as usize == self.length;
        let end = self.length.saturating_add(piece.data.len());
        let Some(place) = self.buffer.get_mut(self.length..end).filter(|_| fits) else {
            self.of = None;
            return None;
        };
        place.copy_from_slice(piece.data);
        self.length = end;
        if end < piece.total as usize {
            return None;
        }
        self.of = None;
        Some((piece.carried, self.buffer.get(..end).unwrap_or_default()))
    }
}
