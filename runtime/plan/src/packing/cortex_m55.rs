//! Cortex-M55: a vector register holds sixteen bytes.
//!
//! Depthwise weights lie `[out][kh · kw]`. The kernels rearrange input rows into *words*
//! of four bytes that one channel's window takes as a whole: four rows of one column, or
//! four columns of the one row that a kernel of height 1 has. A register of four words
//! then multiplies sixteen taps of one channel.

use super::{Dense, Layout};
use crate::step::Conv;

/// Two rows of activations meet four outputs: their eight sums are all that general
/// registers hold. A tile of more such pairs makes less of what comes with every tile.
pub(super) const DENSE: Dense = Dense {
    outputs: 4,
    depth: 16,
    pixels: 8,
    activation_bytes: 1,
    activation_offset: 0,
    header: 0,
    padded_rows: false,
    ragged: true,
    layout: Layout::Rows,
};

/// Most kernel rows that are read in place.
pub const MAX_ROWS: usize = 16;

/// How the kernels take a convolution: the rows under the window are copied once into a
/// ring of rows with their padding, so that every window is a run of each of them. Runs of
/// whole vectors are read in place, others gathered in a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padded {
    /// Bytes of a padded row.
    pub row: usize,
    /// Rows of the ring: the kernel's.
    pub rows: usize,
    /// Bytes of a window's run in a row.
    pub run: usize,
    /// Bytes of a tile, behind the ring.
    pub tile: usize,
}

impl Padded {
    /// Of an image of `width` pixels of `channels`; `None` where it is taken without
    /// padded rows.
    pub fn of(p: &Conv, width: usize, channels: usize) -> Option<Self> {
        let (rows, across) = (p.kernel_h as usize, p.kernel_w as usize);
        let takes = p.groups == 1
            && p.dilation_h == 1
            && p.dilation_w == 1
            && p.weight_zero_point == 0
            && (1..=MAX_ROWS).contains(&rows)
            && !p.is_point();
        if !takes {
            return None;
        }
        let run = across.checked_mul(channels)?;
        let columns = (p.pad_left as usize)
            .checked_add(width)?
            .checked_add(across.checked_sub(1)?)?;
        Some(Padded {
            row: columns.checked_mul(channels)?,
            rows,
            run,
            tile: match run.is_multiple_of(DENSE.depth) {
                true => 0,
                false => DENSE.tile_bytes(run.checked_mul(rows)?)?,
            },
        })
    }

    /// Bytes of the ring.
    pub fn ring(&self) -> Option<usize> {
        self.row.checked_mul(self.rows)
    }

    /// Bytes of ring and tile.
    pub fn bytes(&self) -> Option<usize> {
        self.ring()?.checked_add(self.tile)
    }
}

/// Bytes of a word.
const WORD: usize = 4;
/// Words of a vector register.
const WORDS: usize = 4;
/// Most taps of a window that is rearranged: a byte counts them.
const TAPS: usize = 256;

/// How the kernels rearrange rows for one depthwise step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Taps of a word that are neighbours in their row: 4, or 1 where it has four rows.
    pub across: usize,
    /// Words of each channel and column: one for every four kernel rows.
    pub planes: usize,
    /// Words of a window.
    pub words: usize,
    /// Vector registers that hold them.
    pub vectors: usize,
    /// Columns that are rearranged at most: the padding's on the left, the image's, and
    /// as many on the right as a window reaches.
    pub columns: usize,
}

impl Windows {
    /// Bytes of the tables in front of the words, for each vector: the offset of every
    /// word, the number of every tap, which taps there are, and the weights of four
    /// channels.
    pub const TABLE: usize = 16 + 16 + 16 + 4 * 16;
    /// Bytes behind the words that may be read and written.
    pub const SLACK: usize = 64;

    /// Of rows of `width` pixels; `None` where the kernels take the window tap by tap.
    pub fn of(p: &Conv, width: u32) -> Option<Self> {
        let (kernel_h, kernel_w) = (p.kernel_h as usize, p.kernel_w as usize);
        let taps = kernel_h.checked_mul(kernel_w)?;
        if p.weight_zero_point != 0 || taps > TAPS {
            return None;
        }
        let across = if kernel_h == 1 && p.dilation_w == 1 {
            WORD
        } else {
            1
        };
        let planes = kernel_h.div_ceil(WORD);
        let words = planes.checked_mul(kernel_w.div_ceil(across))?;
        let reach = (p.kernel_w.checked_sub(1)? as usize).checked_mul(p.dilation_w as usize)?;
        let columns = (p.pad_left as usize)
            .checked_add(width as usize)?
            .checked_add(reach)?;
        Some(Windows {
            across,
            planes,
            words,
            vectors: words.div_ceil(WORDS),
            columns,
        })
    }

    /// Bytes of one plane of words of `channels`.
    pub fn plane_bytes(&self, channels: usize) -> Option<usize> {
        self.columns.checked_mul(channels)?.checked_mul(WORD)
    }

    /// Bytes of all tables.
    pub fn table_bytes(&self) -> Option<usize> {
        self.vectors.checked_mul(Self::TABLE)
    }

    /// Bytes of tables and words.
    pub fn bytes(&self, channels: usize) -> Option<usize> {
        self.plane_bytes(channels)?
            .checked_mul(self.planes)?
            .checked_add(self.table_bytes()?)?
            .checked_add(Self::SLACK)
    }
}

/// `[taps][out]` as `[out][taps]`.
#[cfg(feature = "writer")]
pub(super) fn pack_depthwise(weights: &[i8], outputs: usize) -> alloc::vec::Vec<i8> {
    (0..outputs)
        .flat_map(|output| weights.iter().skip(output).step_by(outputs.max(1)))
        .copied()
        .collect()
}
