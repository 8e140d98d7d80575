//! Tensors and outputs as defmt prints them.

use defmt::{Formatter, write};
use sanderling_plan::{Dtype, Tensor};

/// Elements of an output that are printed; the checksum covers all of them.
const SHOWN: usize = 12;

/// A tensor's element type and shape, as in `f32 1x3x32x32`.
pub struct Signature<'a>(pub &'a Tensor);

impl defmt::Format for Signature<'_> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{=str} ", self.0.dtype.name());
        for (i, dim) in self.0.shape.dims().iter().enumerate() {
            write!(f, "{=str}{=u32}", if i == 0 { "" } else { "x" }, *dim);
        }
    }
}

/// The first elements of an output, and a checksum of all its bytes.
pub struct Output<'a> {
    /// What its elements are.
    pub dtype: Dtype,
    /// Its bytes, little-endian.
    pub bytes: &'a [u8],
}

impl defmt::Format for Output<'_> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "[");
        for (i, element) in self
            .bytes
            .chunks_exact(self.dtype.bytes())
            .take(SHOWN)
            .enumerate()
        {
            write!(f, "{=str}", if i == 0 { "" } else { ", " });
            match (self.dtype, element) {
                (Dtype::I8, &[a]) => write!(f, "{=i8}", a as i8),
                (Dtype::U8, &[a]) => write!(f, "{=u8}", a),
                (Dtype::I16, &[a, b]) => write!(f, "{=i16}", i16::from_le_bytes([a, b])),
                (Dtype::I32, &[a, b, c, d]) => {
                    write!(f, "{=i32}", i32::from_le_bytes([a, b, c, d]))
                }
                (Dtype::F32, &[a, b, c, d]) => {
                    write!(f, "{=f32}", f32::from_le_bytes([a, b, c, d]))
                }
                _ => {}
            }
        }
        let more = if self.bytes.len() / self.dtype.bytes() > SHOWN {
            ", ..."
        } else {
            ""
        };
        write!(f, "{=str}] crc32 {=u32:08x}", more, crc32(self.bytes));
    }
}

/// CRC-32 as ZIP and Ethernet define it.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| {
            if c & 1 == 1 {
                (c >> 1) ^ 0xedb8_8320
            } else {
                c >> 1
            }
        })
    })
}
