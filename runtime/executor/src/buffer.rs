//! Bytes that start at a 16-byte boundary, as plans and arenas must.

use sanderling_plan::ALIGNMENT;

/// Owned bytes at a 16-byte boundary; they stay at their address while it lives.
#[derive(Clone)]
pub struct AlignedBytes {
    // A u128 is 16 bytes at a 16-byte boundary.
    blocks: Box<[u128]>,
    len: usize,
}

const _: () = assert!(align_of::<u128>() >= ALIGNMENT);

impl AlignedBytes {
    /// `len` zero bytes.
    pub fn zeroed(len: usize) -> Self {
        AlignedBytes {
            blocks: vec![0; len.div_ceil(size_of::<u128>())].into(),
            len,
        }
    }

    /// A copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut copy = AlignedBytes::zeroed(bytes.len());
        copy.as_mut().copy_from_slice(bytes);
        copy
    }
}

impl AsRef<[u8]> for AlignedBytes {
    fn as_ref(&self) -> &[u8] {
        let bytes: &[u8] = bytemuck::cast_slice(&self.blocks);
        bytes.get(..self.len).unwrap_or(bytes)
    }
}

impl AsMut<[u8]> for AlignedBytes {
    fn as_mut(&mut self) -> &mut [u8] {
        let len = self.len;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.blocks);
        // `blocks` was made for `len` bytes.
        &mut bytes[..len]
    }
}

impl std::fmt::Debug for AlignedBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} aligned bytes", self.len)
    }
}
