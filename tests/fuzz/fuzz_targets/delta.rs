//! A delta of any bytes: applying returns, reads nothing but the base, and gives no more than the block.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sanderling_delta::{Applier, Base, Delta, HEADER_BYTES};

/// A base that minds its borders.
struct Guarded<'a>(&'a [u8]);

impl Base for Guarded<'_> {
    type Error = ();

    fn read(&mut self, offset: u32, into: &mut [u8]) -> Result<(), ()> {
        into.copy_from_slice(&self.0[offset as usize..][..into.len()]);
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    if bytes.len() < HEADER_BYTES {
        return;
    }
    bytes[..5].copy_from_slice(b"SDLT\x01");
    let mut crc = !0u32;
    for &byte in &bytes[..HEADER_BYTES - 4] {
        let bit = |c: u32, _| {
            if c & 1 == 1 {
                c >> 1 ^ 0xEDB8_8320
            } else {
                c >> 1
            }
        };
        crc = (0..8).fold(crc ^ u32::from(byte), bit);
    }
    bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&(!crc).to_le_bytes());
    let Ok(delta) = Delta::open(bytes.first_chunk().expect("a head")) else {
        return;
    };
    // The bytes are their own base, as long as the head says, within reason.
    let base: Vec<u8> = bytes
        .iter()
        .copied()
        .cycle()
        .take(delta.base_size().min(1 << 16) as usize)
        .collect();
    if base.len() != delta.base_size() as usize {
        return;
    }
    let part = |range: core::ops::Range<u32>| bytes.get(range.start as usize..range.end as usize);
    let mut applier = Applier::new();
    for index in 0..delta.blocks().min(16) {
        let Some(block) = delta
            .entry_place(index)
            .and_then(part)
            .and_then(|e| delta.block_at(index, e))
        else {
            continue;
        };
        let Some(input) = part(block.bytes.clone()) else {
            continue;
        };
        let mut next = block.offset;
        let _ = applier.block(
            &delta,
            &block,
            input,
            &mut Guarded(&base),
            |at, piece: &[u8]| {
                assert_eq!(at, next);
                next += piece.len() as u32;
                assert!(next <= block.offset + block.length);
                Ok::<(), ()>(())
            },
        );
    }
});
